"""What is known of every pixel of a clip: how far what stands is, what moves, and how far that is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..cameras import CameraPath
from ..errors import Track2ViewError
from ..notes import Note
from ..progress import Progress
from ..tracks import PairedTracks, PointTracks
from ..tracks.moving_objects import amid_movers
from ..tracks.pairing import ASPECT_TOLERANCE
from .motion import moving_probability
from .movers import mover_inverse_depth
from .silhouettes import given_silhouettes, silhouettes
from .source_tracks import SourceTracks
from .standing_depth import StandingDepth

ANALYSED_SIDE = 832
"""Long side of the pictures that are analysed; larger ones bring nothing but time."""

MOSTLY = 0.45
"""Share of the pictures beyond which what moves leaves too little of what stands to lean on."""


@dataclass(frozen=True, eq=False)
class ClipGeometry:
    """The dense geometry of a clip in the source view, at sizes of its own; all depths are inverse camera z."""

    standing: Tensor  # [T, h, w] float32 > 0: what stands at the pixel, or would be seen there behind what moves
    silhouettes: Tensor  # [T, h2, w2] bool: what moves
    mover_inverse: Tensor  # [T, h2, w2] float32: > 0 within the silhouettes, 0 elsewhere
    camera: CameraPath  # the source camera, T frames
    notes: tuple[Note, ...] = ()
    shots: tuple[slice, ...] = ()
    """The frames between cuts: what is true of one shot says nothing of another. Empty: there is no cut."""

    def __len__(self) -> int:
        """The number of frames T."""
        return len(self.standing)

    def shot_of(self, t: int) -> slice:
        """The frames of the shot that frame t belongs to."""
        return next((shot for shot in self.shots if shot.start <= t < shot.stop), slice(0, len(self)))


def clip_geometry(
    video: Tensor,  # [T, H, W, 3] uint8
    tracks: PointTracks | PairedTracks,  # of the same clip at any size
    *,
    depth: Tensor | None = None,  # [T, h, w] camera z in the tracks' units, NaN where unknown: instead of the tracks'
    movers: Tensor | None = None,  # [T, H, W] bool: the silhouettes of what moves, instead of what is found
    progress: Progress | None = None,
) -> ClipGeometry:
    """Depth for every pixel and what moves, from tracks and pictures, without learned weights.

    Raises:
        Track2ViewError: video, tracks, depth and movers do not belong to one clip, or no track is visible.
    """
    frames, height, width = video.shape[:3]
    if len(tracks) != frames:
        raise Track2ViewError(
            f"The video has {frames} frames and the tracks have {len(tracks)} frames; give both of the same clip."
        )
    camera = tracks.source_camera if isinstance(tracks, PairedTracks) else tracks.camera
    if abs(camera.width * height / (camera.height * width) - 1) > ASPECT_TOLERANCE:
        raise Track2ViewError(
            f"The video is {width} x {height} and the tracks are of {camera.width} x {camera.height}, another shape; "
            "give the frames that were tracked."
        )
    given = {"depth": depth, "movers": movers}
    for name, value in given.items():
        if value is not None and (value.ndim != 3 or len(value) != frames):
            raise Track2ViewError(
                f"{name} has shape {list(value.shape)}; it must be [{frames}, h, w] beside this video."
            )
    seen = SourceTracks.of(tracks, width, height)
    codes = frozenset(note.code for note in tracks.notes)
    shots = seen.shots()
    parts = [
        _of_shot(
            video[shot].cpu().numpy(), seen.frames(shot), codes, progress,
            **{name: None if value is None else value[shot] for name, value in given.items()},
        )
        for shot in shots
    ]  # fmt: skip
    standing, silhouette, inverse = (torch.from_numpy(np.concatenate(maps)) for maps in zip(*parts, strict=True))
    return ClipGeometry(standing, silhouette, inverse, seen.camera, _notes(silhouette), shots)


def _of_shot(
    video: np.ndarray,
    tracks: SourceTracks,
    codes: frozenset[str],
    progress: Progress | None,
    *,
    depth: Tensor | None,
    movers: Tensor | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inverse depth of what stands, silhouettes and inverse depth of what moves, over the frames of one shot."""
    maps = None if depth is None else depth.cpu().float().numpy()
    doubted = amid_movers(tracks.xy, tracks.seen, tracks.moving)
    believed = replace(tracks, seen=tracks.seen & ~doubted)
    analysis = StandingDepth(video, believed if (believed.seen & ~tracks.moving).any() else tracks)
    masks = silhouettes(moving_probability(video, tracks, analysis.maps(progress=progress), progress))
    standing = analysis.maps(
        masks, progress
    )  # now compared wherever nothing moves; maps and masks given leave it alone
    if maps is not None:
        standing = _known(maps, standing)
    if movers is not None:
        masks = given_silhouettes(movers)
    elif maps is not None:
        masks = silhouettes(moving_probability(video, tracks, standing, progress))
    inverse = mover_inverse_depth(tracks, masks, standing, codes, video)
    if maps is not None:
        inverse = np.where(masks, _known(maps, inverse), 0)
    return standing, masks, inverse


def _known(depth: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Inverse of depth maps of any size, and where they know nothing `inverse` [T, h, w] float32, whose size it has."""
    height, width = inverse.shape[1:]
    row = ((np.arange(height) + 0.5) * depth.shape[1] / height).astype(int)
    column = ((np.arange(width) + 0.5) * depth.shape[2] / width).astype(int)
    z = depth[:, row[:, None], column]
    known = np.isfinite(z) & (z > 0)
    return np.where(known, 1 / np.where(known, z, 1), inverse).astype(np.float32)


def _notes(silhouette: Tensor) -> tuple[Note, ...]:
    share = float(silhouette.float().mean())
    return (Note.of("mostly_moving", share=share),) if share > MOSTLY else ()
