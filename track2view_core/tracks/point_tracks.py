"""PointTracks: what a tracker hands out, 3D points over time and the camera that saw them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..cameras import CameraPath, project
from ..errors import Track2ViewError
from ..notes import Note


@dataclass(frozen=True, eq=False)
class PointTracks:
    """N world points over T video frames, and the source camera.

    Checked once, here; Track2ViewError names the field. Points may move. Every position is a number, also where a
    point is hidden: `visible` alone says what the tracker saw.
    """

    positions: Tensor  # [T, N, 3] float32, world
    visible: Tensor  # [T, N] bool, seen by the tracker in the source view
    confidence: Tensor  # [T, N] float32, 0..1
    camera: CameraPath  # the source camera, T frames
    colors: Tensor | None = None  # [N, 3] uint8, for previews
    notes: tuple[Note, ...] = ()  # what the tracker found, assumed or guessed

    def __post_init__(self) -> None:
        if self.positions.ndim != 3 or self.positions.shape[-1] != 3:
            raise Track2ViewError(
                f"PointTracks.positions has shape {list(self.positions.shape)}; it must be [T, N, 3]."
            )
        frames, points = self.positions.shape[:2]
        _check_shape(self.visible, "visible", (frames, points))
        _check_shape(self.confidence, "confidence", (frames, points))
        if self.colors is not None:
            _check_shape(self.colors, "colors", (points, 3))
            _check_dtype(self.colors, "colors", torch.uint8)
        _check_dtype(self.visible, "visible", torch.bool)
        if len(self.camera) != frames:
            raise Track2ViewError(
                f"PointTracks has {frames} frames of positions and a camera of {len(self.camera)} frames; "
                "both must belong to one clip."
            )
        object.__setattr__(self, "positions", self.positions.to(torch.float32))
        object.__setattr__(self, "confidence", self.confidence.to(torch.float32))
        object.__setattr__(self, "notes", tuple(self.notes))
        for note in self.notes:
            if not isinstance(note, Note):
                raise Track2ViewError(f"PointTracks.notes holds {note!r:.60}; every entry must be a Note.")
        broken = ~self.positions.isfinite().all(dim=-1)
        if broken.any():
            frame, point = broken.nonzero()[0].tolist()
            raise Track2ViewError(
                f"PointTracks.positions holds NaN or infinity at frame {frame}, track {point} ({int(broken.sum())} "
                "places in all); every entry must be finite, and a hidden point has visible False."
            )
        if not ((self.confidence >= 0) & (self.confidence <= 1)).all():
            raise Track2ViewError("PointTracks.confidence holds NaN or numbers outside 0..1; every entry must be 0..1.")

    def __len__(self) -> int:
        """The number of video frames T."""
        return len(self.positions)

    @property
    def scene_scale(self) -> float:
        """The scene's size in world units: the median depth of the points visible in frame 0.

        Where frame 0 shows none, the first frame that shows any decides. The unit of drawn paths and reports; presets
        take the distance that `subject_distance` finds.

        Raises:
            Track2ViewError: no point is visible in front of the camera in any frame.
        """
        return median_depth(project(self.camera, self.positions).depth, self.visible)

    def select(self, mask: Tensor) -> PointTracks:
        """The tracks of `mask`: `[N]` bool, or indices `[any]` long."""
        return replace(
            self,
            positions=self.positions[:, mask],
            visible=self.visible[:, mask],
            confidence=self.confidence[:, mask],
            colors=None if self.colors is None else self.colors[mask],
        )

    def with_frames(self, index: list[int] | slice | Tensor) -> PointTracks:
        """The frames of `index`, in its order, of points and camera alike."""
        return replace(
            self,
            positions=self.positions[index],
            visible=self.visible[index],
            confidence=self.confidence[index],
            camera=self.camera.with_frames(index),
        )

    def padded(self, frames: int) -> PointTracks:
        """The tracks with their last frame repeated up to `frames` frames, as a clip is padded to 4n + 1."""
        if frames < len(self):
            raise Track2ViewError(
                f"Padding to {frames} would shorten tracks of {len(self)} frames; cut them with with_frames."
            )
        return self.with_frames([min(frame, len(self) - 1) for frame in range(frames)])

    def to(self, device: torch.device | str) -> PointTracks:
        """Points and masks on `device`; the camera stays where it is, since not every device has float64."""
        return replace(
            self,
            positions=self.positions.to(device),
            visible=self.visible.to(device),
            confidence=self.confidence.to(device),
            colors=None if self.colors is None else self.colors.to(device),
        )


def median_depth(depth: Tensor, visible: Tensor) -> float:
    """The median depth of the points seen in the first frame that shows any, of depth and visibility [T, N].

    Raises:
        Track2ViewError: no point is visible in front of the camera in any frame.
    """
    seen = visible & (depth > 0)
    frames = seen.any(dim=1).nonzero()
    if len(frames) == 0:
        raise Track2ViewError(
            f"None of the {depth.shape[1]} tracks is visible in front of the source camera in any frame, so the scene "
            "has no scale; track the clip again with more points or another motion setting."
        )
    first = int(frames[0])
    return float(depth[first][seen[first]].cpu().to(torch.float64).quantile(0.5))


def _check_shape(value: Tensor, name: str, shape: tuple[int, ...]) -> None:
    if tuple(value.shape) != shape:
        raise Track2ViewError(
            f"PointTracks.{name} has shape {list(value.shape)}; with these positions it must be {list(shape)}."
        )


def _check_dtype(value: Tensor, name: str, dtype: torch.dtype) -> None:
    if value.dtype != dtype:
        raise Track2ViewError(f"PointTracks.{name} has dtype {value.dtype}; it must be {dtype}.")
