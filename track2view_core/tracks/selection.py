"""Which of the tracks: fewer, by a mask, confidence, motion and spread; or the one at a place of the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..cameras import project
from ..errors import Track2ViewError
from ..notes import Note
from .point_tracks import PointTracks

MotionClass = Literal["all", "standing", "moving"]
MaskRule = Literal["drop inside", "keep inside"]
MOTION_CLASSES: tuple[MotionClass, ...] = get_args(MotionClass)
MASK_RULES: tuple[MaskRule, ...] = get_args(MaskRule)
MOVES = 0.02
"""A point moves when it wanders farther than this share of its distance while it is visible."""
MOSTLY = 0.5


# --- fewer ------------------------------------------------------------------------------------------------------------


def edit_tracks(
    tracks: PointTracks,
    *,
    mask: Tensor | None = None,  # [T or 1, h, w], above 0.5 is inside
    mask_rule: str = "drop inside",
    least_confidence: float = 0.0,
    motion: str = "all",
    most: int = 0,
) -> tuple[PointTracks, tuple[Note, ...]]:
    """The tracks that every rule leaves, in their order, and what each took away.

    Args:
        mask: of any size of the picture's shape, one a frame or one for all; a track is inside when it is in more than
            half of the frames that show it.
        least_confidence: of the mean over the frames that show the track.
        motion: the tracks to keep.
        most: of what is left, the tracks that together see most of the picture, most of the time; 0 keeps all.

    Raises:
        Track2ViewError: an unknown rule, a mask of another length or shape, or nothing is left.
    """
    if motion not in MOTION_CLASSES:
        raise Track2ViewError(f"motion is {motion!r}; it must be one of {', '.join(MOTION_CLASSES)}.")
    if mask_rule not in MASK_RULES:
        raise Track2ViewError(f"mask_rule is {mask_rule!r}; it must be one of {', '.join(MASK_RULES)}.")
    view = project(tracks.camera, tracks.positions)
    shown = (tracks.visible & view.inside).cpu()
    kept = _Kept(tracks.positions.shape[1])
    if mask is not None:
        inside = _share_inside(mask.cpu(), view.xy.cpu(), shown, tracks) > MOSTLY
        kept.only(inside if mask_rule == "keep inside" else ~inside, f"the mask ({mask_rule})")
    if least_confidence > 0:
        mean = (tracks.confidence.cpu() * shown).sum(0) / shown.sum(0).clamp(min=1)
        kept.only(mean >= least_confidence, f"confidence {least_confidence:g}")
    if motion != "all":
        moving = is_moving(tracks)
        kept.only(moving if motion == "moving" else ~moving, f"motion {motion}")
    index = kept.mask.nonzero().flatten()
    if 0 < most < len(index):
        from .trackers.assembly import spread_over_picture  # brings OpenCV and SciPy along

        best = spread_over_picture(
            view.xy.cpu().numpy()[:, index],
            shown.numpy()[:, index],
            tracks.confidence.cpu().numpy()[:, index].mean(0),
            most,
            tracks.camera.width,
            tracks.camera.height,
        )
        chosen = torch.zeros_like(kept.mask)
        chosen[index[torch.from_numpy(np.asarray(best))]] = True
        kept.only(chosen, f"the best {most}")
    return tracks.select(kept.mask.to(tracks.positions.device)), kept.notes()


class _Kept:
    """Which tracks are left, and what each rule took away."""

    def __init__(self, count: int) -> None:
        self.mask = torch.ones(count, dtype=torch.bool)
        self.dropped: list[Note] = []

    def only(self, passes: Tensor, what: str) -> None:
        self.dropped.append(Note.of("tracks_dropped", rule=what, count=(self.mask & ~passes).sum()))
        self.mask = self.mask & passes
        if not self.mask.any():
            raise Track2ViewError(
                f"No track is left: {'; '.join(map(str, self.dropped))} of {len(self.mask)}; loosen the last of these."
            )

    def notes(self) -> tuple[Note, ...]:
        return Note.of("tracks_left", count=self.mask.sum(), given=len(self.mask)), *self.dropped


def is_moving(tracks: PointTracks) -> Tensor:
    """`[N]` bool on the CPU: which points wander more than `MOVES` of their distance while they are visible."""
    positions, visible = tracks.positions.cpu(), tracks.visible.cpu()
    distance = project(tracks.camera, tracks.positions).depth.cpu().abs()
    big = torch.finfo(torch.float32).max
    low = torch.where(visible[..., None], positions, big).amin(0)
    high = torch.where(visible[..., None], positions, -big).amax(0)
    wander = torch.where(visible.any(0), (high - low).clamp(min=0).norm(dim=-1), 0.0)
    near = torch.where(visible, distance, big).amin(0)
    return wander > MOVES * near


def _share_inside(mask: Tensor, xy: Tensor, shown: Tensor, tracks: PointTracks) -> Tensor:
    """Share `[N]` of the frames that show a track in which it is inside the mask; 0 for tracks never shown."""
    width, height, frames = tracks.camera.width, tracks.camera.height, len(tracks)
    if mask.ndim != 3 or len(mask) not in (1, frames) or 0 in mask.shape:
        raise Track2ViewError(
            f"The mask has shape {list(mask.shape)}; it must be [{frames} or 1, height, width] beside these tracks."
        )
    if abs(mask.shape[2] * height / (mask.shape[1] * width) - 1) > 0.05:
        raise Track2ViewError(
            f"The mask is {mask.shape[2]} x {mask.shape[1]} and the tracked picture {width} x {height}, another shape; "
            "give a mask of the same frames."
        )
    places = (xy / torch.tensor([width, height]) * 2 - 1)[:, None]  # [T, 1, N, 2]
    values = F.grid_sample(
        mask.float().expand(frames, -1, -1)[:, None], places, mode="nearest", align_corners=False, padding_mode="border"
    )[:, 0, 0]
    return ((values > 0.5) & shown).sum(0) / shown.sum(0).clamp(min=1)


# --- one, to follow it through time -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class FollowedPoint:
    """One track through the whole clip."""

    track: int
    positions: Tensor  # [T, 3] float64, world
    pixel: tuple[float, float]  # where it was picked, in pixels of the source view
    visible: float  # share of the frames in which the tracker saw it


def pick_track(tracks: PointTracks, frame: int, x: float, y: float) -> FollowedPoint:
    """The visible track nearest to a place in one frame of the source view.

    Args:
        frame: 0 is the first.
        x, y: shares of the picture's width and height, 0..1; 0.5 is the middle.

    Raises:
        Track2ViewError: a frame that the clip does not have, a place outside the picture, or a frame in which the
            tracker saw nothing.
    """
    if not 0 <= frame < len(tracks):
        raise Track2ViewError(f"frame is {frame}; the tracks have frames 0 to {len(tracks) - 1}.")
    for name, share in (("x", x), ("y", y)):
        if not (math.isfinite(share) and 0 <= share <= 1):
            raise Track2ViewError(f"{name} is {share}; it must be a share of the picture from 0 to 1.")
    one = tracks.with_frames([frame])
    view = project(one.camera, one.positions)
    seen = (one.visible & view.inside)[0]
    if not seen.any():
        raise Track2ViewError(
            f"No track is visible in frame {frame}, so there is no point to follow; choose another frame or track "
            "more points."
        )
    place = view.xy.new_tensor([x * one.camera.width, y * one.camera.height])
    away = (view.xy[0] - place).norm(dim=-1).masked_fill(~seen, math.inf)
    nearest = int(away.argmin())
    pixel = view.xy[0, nearest].tolist()
    return FollowedPoint(
        nearest,
        tracks.positions[:, nearest].cpu().double(),
        (pixel[0], pixel[1]),
        float(tracks.visible[:, nearest].float().mean()),
    )
