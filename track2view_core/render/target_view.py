"""A clip as another camera sees it: layers, other times, filling and the mask of what is invented, frame by frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..cameras import CameraPath
from ..errors import Track2ViewError
from ..progress import Progress
from ..tracks import PairedTracks
from ..tracks.pairing import ASPECT_TOLERANCE
from .filling import Filled, filled
from .geometry import ClipGeometry, clip_geometry
from .hole_masks import majority
from .layers import OPAQUE, composed, moving_layer, standing_layer
from .plates import Plates
from .silhouettes import matte
from .upsampling import upsampled
from .warping import Reprojection

GREY = 128
LONGEST_DEPTH = 1e6


@dataclass(frozen=True, eq=False)
class TargetFrame:
    picture: Tensor  # [H, W, 3] uint8, filled
    hole: Tensor  # [H, W] bool: no time of the clip shows this
    seen: Tensor  # [H, W] bool: this very frame of the clip shows it
    depth: Tensor  # [H, W] float32, target camera z


@dataclass(frozen=True, eq=False)
class TargetView:
    frames: Tensor  # [T, H, W, 3] uint8, filled
    holes: Tensor  # [T, H, W] bool: no time of the clip shows this
    depth: Tensor  # [T, H, W] float32, target camera z

    def with_holes(self, holes: Literal["grey", "black", "filled"]) -> Tensor:
        """The frames `[T, H, W, 3]` uint8 with holes as a model wants them."""
        if holes == "filled":
            return self.frames
        return self.frames.masked_fill(self.holes[..., None], {"grey": GREY, "black": 0}[holes])


def render_target_view(
    video: Tensor,  # [T, H, W, 3] uint8, the source
    paired: PairedTracks,  # T frames, of pictures of the video's shape at any size
    *,
    geometry: ClipGeometry | None = None,
    depth: Tensor | None = None,  # [T, h, w] camera z in the tracks' own units, NaN where unknown
    movers: Tensor | None = None,  # [T, H, W] bool
    remember: bool = True,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> TargetView:
    """The clip's own pixels from the target camera, with what no time shows filled in.

    Args:
        geometry: what `clip_geometry` knows of the clip; it is asked with `depth` and `movers` if there is none.
        remember: show in holes what other times of the clip show of the same place.

    Raises:
        Track2ViewError: video, tracks, geometry, depth and movers do not belong to one clip, or no track is visible.
    """
    frames, height, width = video.shape[:3]
    if len(paired) != frames:
        raise Track2ViewError(
            f"The video has {frames} frames and the tracks have {len(paired)}; give both of the same clip."
        )
    camera = paired.source_camera
    if abs(camera.width * height / (camera.height * width) - 1) > ASPECT_TOLERANCE:
        raise Track2ViewError(
            f"The video is {width} x {height} and the tracks are of {camera.width} x {camera.height}, another shape; "
            "give the frames that were tracked, or pair the tracks with the clip info of these frames."
        )
    if geometry is None:
        geometry = clip_geometry(video, paired, depth=depth, movers=movers, progress=progress)
    pictures = torch.empty(frames, height, width, 3, dtype=torch.uint8)
    holes, far = torch.empty(frames, height, width, dtype=torch.bool), torch.empty(frames, height, width)
    target = paired.target_camera
    for t, frame in enumerate(
        target_frames(video, geometry, target, plates=video if remember else None, device=device)
    ):
        pictures[t], holes[t], far[t] = frame.picture.cpu(), frame.hole.cpu(), frame.depth.cpu()
        if progress:
            progress(t + 1, frames, "rendering the target view")
    return TargetView(pictures, holes, far)


def target_frames(
    pictures: Iterable[Tensor],  # T times [H, W, 3] uint8, the source at any size
    geometry: ClipGeometry,  # of the same T frames
    target_camera: CameraPath,  # T frames
    *,
    plates: Tensor | None = None,  # [T, h, w, 3] uint8, the analysed video: what other times show; None: nothing
    device: torch.device | str = "cpu",
) -> Iterator[TargetFrame]:
    """The target view frame by frame, at the pictures' size, in memory that does not depend on T.

    A frame is handed out when the next picture has come, since the mask is the majority of three frames.

    Raises:
        Track2ViewError: pictures, geometry and target camera differ in their number of frames.
    """
    frames = len(geometry)
    if len(target_camera) != frames:
        raise Track2ViewError(
            f"The target camera has {len(target_camera)} frames and the clip {frames}; resample the path to the clip."
        )
    if plates is not None and len(plates) != frames:
        raise Track2ViewError(
            f"The video for other times has {len(plates)} frames and the clip {frames}; give the analysed frames."
        )
    view = _View(geometry, target_camera, plates, torch.device(device))
    earlier: TargetFrame | None = None  # the frame before `now`, its mask as it came
    now: TargetFrame | None = None
    count = 0
    for picture in pictures:
        if count == frames:
            raise Track2ViewError(
                f"There are more pictures than the {frames} frames of the geometry; give the same clip."
            )
        later = view.frame(picture, count)
        cut = count == geometry.shot_of(count).start
        if now is not None:
            yield now if cut else _steady(earlier, now, later)
        earlier, now = None if cut else now, later
        count += 1
    if count < frames or now is None:
        raise Track2ViewError(f"There are {count} pictures and the geometry has {frames} frames; give the same clip.")
    yield now


def _steady(before: TargetFrame | None, now: TargetFrame, after: TargetFrame) -> TargetFrame:
    if before is None:
        return now
    return replace(now, hole=majority(before.hole, now.hole, after.hole))


class _View:
    """The target view of one frame after the other."""

    def __init__(self, geometry: ClipGeometry, target: CameraPath, video: Tensor | None, device: torch.device) -> None:
        self.geometry, self.target, self.device = geometry, target, device
        self.plates = None
        if video is not None:
            self.plates = Plates(video, geometry.camera, self._standing, self._silhouette, device)
        self.before: Filled | None = None

    def frame(self, picture: Tensor, t: int) -> TargetFrame:
        height, width = picture.shape[:2]
        shot = self.geometry.shot_of(t)
        source, target = self.geometry.camera.resized(width, height), self.target.resized(width, height)
        way = Reprojection.between(source, t, target, t)
        picture = picture.to(self.device)
        colour = picture.permute(2, 0, 1).float().contiguous()
        opacity = self._opacity(t, picture)
        standing = standing_layer(colour, self._standing(t, picture), opacity, way)
        moving = moving_layer(colour, self._mover_inverse(t, height, width), opacity, standing, way)
        needed = torch.ones_like(standing.known) if moving is None else moving.opacity < OPAQUE
        seen = standing.known
        if self.plates is not None:
            standing = self.plates.filled(standing, needed, t, target, shot)
        begins = t == shot.start
        to_before = None if begins else Reprojection.between(target, t, target, t - 1)
        self.before = filled(standing, needed, None if begins else self.before, to_before)
        out, inverse = composed(self.before.colour, self.before.inverse, moving)
        covered = torch.zeros_like(seen) if moving is None else moving.opacity > 0.5
        return TargetFrame(
            out.round().to(torch.uint8).permute(1, 2, 0),
            self.before.invented & ~covered,
            seen | covered,
            (1 / inverse.clamp(min=1 / LONGEST_DEPTH)),
        )

    def _standing(self, t: int, picture: Tensor) -> Tensor:
        """Inverse depth [H, W] of what stands, at the size of the frame's picture [H, W, 3] uint8.

        Nowhere is it nearer than what moves before it: there it is a guess, and would hide the mover.
        """
        standing = self.geometry.standing[t].to(self.device)
        height, width = standing.shape
        before = _resized(self.geometry.mover_inverse[t].to(self.device), height, width, "nearest-exact")
        standing = torch.where(before > 0, torch.minimum(standing, before), standing)
        return standing if standing.shape == picture.shape[:2] else upsampled(standing, picture)

    def _silhouette(self, t: int, height: int, width: int) -> Tensor:
        return _resized(self.geometry.silhouettes[t].to(self.device).float(), height, width, "bilinear") > 0

    def _opacity(self, t: int, picture: Tensor) -> Tensor:
        """[H, W] the movers' share of each pixel of the frame's picture [H, W, 3] uint8."""
        silhouette = self.geometry.silhouettes[t].to(self.device)
        return matte(picture, silhouette) if silhouette.any() else torch.zeros(picture.shape[:2], device=self.device)

    def _mover_inverse(self, t: int, height: int, width: int) -> Tensor:
        """Inverse depth of what moves, also a few pixels around it, 0 elsewhere."""
        inverse = self.geometry.mover_inverse[t].to(self.device)
        if not inverse.any():
            return torch.zeros(height, width, device=self.device)
        rows = F.max_pool2d(inverse[None], (9, 1), stride=1, padding=(4, 0))
        around = F.max_pool2d(rows, (1, 9), stride=1, padding=(0, 4))[0]
        return _resized(torch.where(inverse > 0, inverse, around), height, width, "nearest-exact")


def _resized(map: Tensor, height: int, width: int, mode: str) -> Tensor:
    """[h, w] or [1, h, w] -> [H, W] float32."""
    map = map.reshape(1, 1, *map.shape[-2:]).float()
    if map.shape[-2:] == (height, width):
        return map[0, 0]
    corners = {} if mode == "nearest-exact" else {"align_corners": False}
    return F.interpolate(map, (height, width), mode=mode, **corners)[0, 0]
