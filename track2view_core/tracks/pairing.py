"""PairedTracks: the same 3D points in the source view and in the target view, one to one.

`pair_tracks` projects them into both cameras; `pair_in_prepared_frame` does so in the frame that the model sees, which
is the clip scaled, padded and held: the same points, other intrinsics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from ..cameras import CameraPath, ViewTracks, project
from ..errors import Track2ViewError
from ..notes import Note
from .point_tracks import PointTracks

if TYPE_CHECKING:
    from ..video import ClipInfo

FRAMES_PER_LATENT = 4  # latent frame k of WAN 2.1 stands for video frames 4k-3..4k, latent frame 0 for frame 0 alone
PIXELS_PER_TOKEN = 16  # latent stride 8 times patch 2
ASPECT_TOLERANCE = 0.03  # whole pixels and encoders that round to even sides stay within it, another shape does not

FrameAnchor = Literal["last", "mean"]


@dataclass(frozen=True, eq=False)
class PairedTracks:
    """N points in two views over T frames.

    Track n of `source` and track n of `target` are the same point at the same time. `visible` is the tracker's word
    about the source view. The target view has only `inside`: no tracker ran there.
    """

    source: ViewTracks
    target: ViewTracks
    visible: Tensor  # [T, N] bool, seen by the tracker in the source view
    source_camera: CameraPath
    target_camera: CameraPath
    notes: tuple[Note, ...] = ()
    """What the tracker found, of the tracks that were paired."""

    def __post_init__(self) -> None:
        shape = self.source.inside.shape
        for name, found in (("target", self.target.inside.shape), ("visible", self.visible.shape)):
            if found != shape:
                raise Track2ViewError(
                    f"PairedTracks.{name} has shape {list(found)}; with this source it must be {list(shape)}."
                )
        for name in ("source_camera", "target_camera"):
            frames = len(getattr(self, name))
            if frames != shape[0]:
                raise Track2ViewError(
                    f"PairedTracks.{name} has {frames} frames; with this source it must have {shape[0]}."
                )
        if self.visible.dtype != torch.bool:
            raise Track2ViewError(f"PairedTracks.visible has dtype {self.visible.dtype}; it must be torch.bool.")

    def __len__(self) -> int:
        """The number of frames T."""
        return len(self.visible)

    @property
    def seen(self) -> Tensor:
        """`[N]` bool: visible and inside in the source view at least once; the other tracks carry no feature."""
        return (self.visible & self.source.inside).any(dim=0)

    def coverage(self) -> Tensor:
        """Share 0..1 of target tokens that at least one track reaches, `[T]` float32.

        A token is 16 x 16 px. An inside point reaches the up to four tokens whose centres surround it (those with
        bilinear weight above 0), which is the footprint of the conditioner's scatter. Tracks that the source never
        shows are not counted.
        """
        camera, xy = self.target_camera, self.target.xy.cpu().to(torch.float64)
        columns, rows = -(-camera.width // PIXELS_PER_TOKEN), -(-camera.height // PIXELS_PER_TOKEN)
        size = torch.tensor([columns, rows])
        pixels = torch.tensor([camera.width, camera.height])
        token = torch.minimum((xy * size / pixels - 0.5).clamp(min=0), size - 1)
        low, high = token.floor().long(), token.ceil().long()
        counts = (self.target.inside & self.seen).cpu().unsqueeze(-1)
        corners = torch.stack(
            [y[..., 1] * columns + x[..., 0] for y in (low, high) for x in (low, high)], dim=-1
        )  # [T, N, 4] flat token index
        reached = torch.zeros(len(self), rows * columns, dtype=torch.int32)
        # Points that do not count add 0 to token 0.
        reached.scatter_add_(1, (corners * counts).flatten(1), counts.expand_as(corners).flatten(1).int())
        return (reached > 0).float().mean(dim=1).to(self.visible.device)

    def at_latent_frames(self, anchor: FrameAnchor = "last") -> PairedTracks:
        """The tracks at WAN's F = (T - 1) / 4 + 1 latent frames.

        `last`: latent frame k takes video frame 4k. `mean`: it takes the mean of xy and depth over frames 4k-3..4k
        (frame 0 stands alone); a point is visible when it is in any of them. The mean counts only frames where the
        point is inside its view and, in the source, visible. Without such a frame the value of frame 4k stands. The
        cameras are those of frame 4k.

        Raises:
            Track2ViewError: the clip's length is not 4n + 1 (the prepared clip's is), or the anchor is unknown.
        """
        frames = len(self)
        if (frames - 1) % FRAMES_PER_LATENT:
            shorter = frames - (frames - 1) % FRAMES_PER_LATENT
            raise Track2ViewError(
                f"The tracks have {frames} frames, but WAN takes 4n + 1 (such as {shorter} or "
                f"{shorter + FRAMES_PER_LATENT}); run the clip through Prepare Clip and link its "
                "clip_info to Pair Tracks."
            )
        if anchor not in ("last", "mean"):
            raise Track2ViewError(f"frame_anchor is {anchor!r}; it must be 'last' or 'mean'.")
        last = torch.arange(0, frames, FRAMES_PER_LATENT, device=self.visible.device)
        thinned = replace(
            self.with_frames(last),
            source_camera=_slower(self.source_camera.with_frames(last)),
            target_camera=_slower(self.target_camera.with_frames(last)),
        )
        if anchor == "last":
            return thinned
        seen = self.visible & self.source.inside
        # Where the tracker saw a point, only frames count in which it is inside as well: an unseen frame never passes
        # for a seen one.
        weight = torch.where(_any(self.visible)[_group_of(self)], seen, self.source.inside)
        return replace(
            thinned,
            source=_mean_view(self.source, weight, thinned.source),
            target=_mean_view(self.target, self.target.inside, thinned.target),
            visible=_any(self.visible),
        )

    def with_frames(self, index: Sequence[int] | Tensor) -> PairedTracks:
        """The frames of `index`, in its order."""
        index = torch.as_tensor(index, dtype=torch.long, device=self.visible.device)
        return replace(
            self,
            source=self.source.with_frames(index),
            target=self.target.with_frames(index),
            visible=self.visible[index],
            source_camera=self.source_camera.with_frames(index),
            target_camera=self.target_camera.with_frames(index),
        )

    def select(self, tracks: Tensor) -> PairedTracks:
        """The tracks of `tracks`: a mask `[N]` bool or indices `[any]` long."""
        return replace(
            self, source=self.source.select(tracks), target=self.target.select(tracks), visible=self.visible[:, tracks]
        )

    def resized(self, width: int, height: int) -> PairedTracks:
        """Both views sampled at `width` x `height` px."""
        return replace(
            self,
            source=self.source.scaled(width / self.source_camera.width, height / self.source_camera.height),
            target=self.target.scaled(width / self.target_camera.width, height / self.target_camera.height),
            source_camera=self.source_camera.resized(width, height),
            target_camera=self.target_camera.resized(width, height),
        )

    def to(self, device: torch.device | str) -> PairedTracks:
        """The same tracks on `device`; the cameras stay where they are, since not every device has float64."""
        return replace(
            self, source=self.source.to(device), target=self.target.to(device), visible=self.visible.to(device)
        )


def pair_tracks(tracks: PointTracks, target_camera: CameraPath) -> PairedTracks:
    """Project `tracks` into their own camera and into `target_camera`: the same N points in the same order.

    Raises:
        Track2ViewError: tracks and path differ in length, or no point is inside the target view in any frame.
    """
    check_path_length(tracks, target_camera)
    target = project(target_camera, tracks.positions)
    if not target.inside.any():
        raise Track2ViewError(
            f"The target camera path looks away from all {tracks.positions.shape[1]} tracked points in every frame, so "
            "nothing of the source can be shown; lower the preset's amount or change the path."
        )
    source = project(tracks.camera, tracks.positions)
    return PairedTracks(source, target, tracks.visible, tracks.camera, target_camera, tracks.notes)


def check_path_length(tracks: PointTracks, target_camera: CameraPath) -> None:
    """Refuse a path of another number of video frames than the tracks."""
    if len(target_camera) != len(tracks):
        raise Track2ViewError(
            f"The target camera path has {len(target_camera)} frames and the tracks have {len(tracks)}; make the path "
            "anew from these tracks."
        )


# --- in the frame that the model sees ---------------------------------------------------------------------------------


def pair_in_prepared_frame(tracks: PointTracks, target_camera: CameraPath, info: ClipInfo) -> PairedTracks:
    """Pair `tracks` with `target_camera` in the frame that `prepare_clip` made of the clip.

    Both cameras' intrinsics are scaled into the content of the prepared frame and moved by its offset, and both paths
    hold their last frame as long as the clip does. The points themselves live in the world and stay as they are.

    Raises:
        Track2ViewError: tracks of another length or shape than the clip, and all that `pair_tracks` refuses.
    """
    from ..video.arithmetic import square_size  # the room of clips brings PyAV along

    if len(tracks) != info.frames:
        raise Track2ViewError(
            f"The tracks have {len(tracks)} frames and the clip has {info.frames}; track this clip, or set frames so "
            "that both agree."
        )
    check_path_length(tracks, target_camera)
    camera = tracks.camera
    clip_width, clip_height = square_size(info.width, info.height, info.pixel_aspect)
    height = clip_height * camera.width / clip_width
    if abs(height - camera.height) > max(1.0, ASPECT_TOLERANCE * height):
        raise Track2ViewError(
            f"The tracks were made on pictures of {camera.width} x {camera.height} and the clip is {clip_width} x "
            f"{clip_height}, another shape; track this clip, uncropped."
        )
    placed = replace(tracks, camera=camera_of_prepared_frame(camera, info))
    return pair_tracks(
        placed.padded(info.prepared_frames), camera_of_prepared_frame(target_camera, info).padded(info.prepared_frames)
    )


def camera_of_prepared_frame(camera: CameraPath, info: ClipInfo) -> CameraPath:
    """`camera`, of a picture of the whole clip at any scale, as the camera of the prepared frame."""
    left, top, width, height = info.content
    offset = torch.zeros(3, 3, dtype=torch.float64, device=camera.device)
    offset[0, 2], offset[1, 2] = left, top
    return replace(
        camera,
        intrinsics=camera.resized(width, height).intrinsics + offset,
        width=info.prepared_width,
        height=info.prepared_height,
    )


def pair_without_padding(paired: PairedTracks, info: ClipInfo) -> PairedTracks:
    """Pairs of the prepared frame, at any size, as pairs of the clip in it: what `pair_in_prepared_frame` added is off.

    Raises:
        Track2ViewError: they are of another length or shape than the prepared frames.
    """
    camera, width, height = paired.source_camera, info.prepared_width, info.prepared_height
    uneven = abs(camera.width * height / (camera.height * width) - 1)
    if len(paired) != info.prepared_frames or uneven > ASPECT_TOLERANCE:
        raise Track2ViewError(
            f"The pairs are of {len(paired)} frames of {camera.width} x {camera.height} and the clip info is of "
            f"{info.prepared_frames} of {width} x {height}; pair the tracks with this clip info."
        )
    paired = paired.resized(width, height).with_frames(torch.arange(info.frames))
    left, top, width, height = info.content
    offset = torch.tensor([left, top])

    def placed(view: ViewTracks) -> ViewTracks:
        xy = view.xy - offset.to(view.xy)
        within = (xy >= 0).all(-1) & (xy[..., 0] < width) & (xy[..., 1] < height)
        return ViewTracks(xy, view.depth, view.inside & within)

    def cut(camera: CameraPath) -> CameraPath:
        lens = camera.intrinsics.clone()
        lens[:, :2, 2] -= offset.to(lens)
        return replace(camera, intrinsics=lens, width=width, height=height)

    return replace(
        paired,
        source=placed(paired.source),
        target=placed(paired.target),
        source_camera=cut(paired.source_camera),
        target_camera=cut(paired.target_camera),
    )


# --- at latent frames -------------------------------------------------------------------------------------------------


def _slower(path: CameraPath) -> CameraPath:
    return replace(path, fps=path.fps / FRAMES_PER_LATENT)


def _group_of(tracks: PairedTracks) -> Tensor:
    """Latent frame `[T]` long of every video frame: 0, then 1 four times, then 2 four times, ..."""
    return -(-torch.arange(len(tracks), device=tracks.visible.device) // FRAMES_PER_LATENT)


def _grouped(values: Tensor) -> Tensor:
    """`[T, N, ...]` to `[F, 4, N, ...]`; the three frames before frame 0 are zeros."""
    before = values.new_zeros(FRAMES_PER_LATENT - 1, *values.shape[1:])
    return torch.cat([before, values]).unflatten(0, (-1, FRAMES_PER_LATENT))


def _any(mask: Tensor) -> Tensor:
    return _grouped(mask).any(dim=1)


def _mean_view(view: ViewTracks, counts: Tensor, fallback: ViewTracks) -> ViewTracks:
    """Mean of `view` over the frames of `counts` `[T, N]` bool per latent frame; without any, `fallback`, outside."""
    weight = _grouped(counts).to(view.xy.dtype)
    total = weight.sum(dim=1)
    held = total > 0
    xy = (_grouped(view.xy) * weight[..., None]).sum(dim=1) / total.clamp(min=1)[..., None]
    depth = (_grouped(view.depth) * weight).sum(dim=1) / total.clamp(min=1)
    return ViewTracks(torch.where(held[..., None], xy, fallback.xy), torch.where(held, depth, fallback.depth), held)
