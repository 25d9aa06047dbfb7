"""CameraPath: where a camera stands, where it looks and through which lens, frame by frame; and what one path adds to
another, as a move that rides on it. A move is measured in scene scales, so that it carries from scene to scene.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real

import torch
from torch import Tensor

from ..errors import Track2ViewError
from .rotations import rigid_inverse, slerp

ORTHONORMAL_TOLERANCE = 1e-4
USUAL_FOV = 60.0
"""Horizontal field of view in degrees where nothing is known."""


@dataclass(frozen=True, eq=False)
class CameraPath:
    """One camera over T video frames.

    Camera axes are OpenCV's: x right, y down, z forward. `X_world = world_from_camera @ X_camera`. Intrinsics are in
    pixels of the stated `width` x `height`, where the centre of pixel (row i, column j) is (j + 0.5, i + 0.5). Both
    tensors are converted to float64 and checked once, here; a path that does not hold raises Track2ViewError with the
    name of the field.
    """

    world_from_camera: Tensor  # [T, 4, 4] float64, camera-to-world
    intrinsics: Tensor  # [T, 3, 3] float64, pixels
    width: int
    height: int
    fps: float = 16.0

    def __post_init__(self) -> None:
        for name, rows in (("world_from_camera", 4), ("intrinsics", 3)):
            object.__setattr__(self, name, _matrices(getattr(self, name), name, rows))
        if len(self.intrinsics) != len(self.world_from_camera):
            raise Track2ViewError(
                f"CameraPath has {len(self.world_from_camera)} poses and {len(self.intrinsics)} intrinsics; give "
                "world_from_camera and intrinsics one matrix a frame each."
            )
        for name in ("width", "height"):
            object.__setattr__(self, name, _whole_number(getattr(self, name), f"CameraPath.{name}"))
        if not (isinstance(self.fps, Real) and math.isfinite(self.fps) and self.fps > 0):
            raise Track2ViewError(f"CameraPath.fps is {self.fps}; it must be a finite number above 0.")
        object.__setattr__(self, "fps", float(self.fps))
        _check_poses(self.world_from_camera)
        _check_intrinsics(self.intrinsics)

    @classmethod
    def standing(
        cls, frames: int, width: int, height: int, *, fov_degrees: float = USUAL_FOV, fps: float = 16.0
    ) -> CameraPath:
        """A camera at the origin that does not move, with square pixels and this horizontal field of view."""
        focal = width / 2 / math.tan(math.radians(fov_degrees) / 2)
        lens = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float64)
        poses = torch.eye(4, dtype=torch.float64).repeat(frames, 1, 1)
        return cls(poses, lens.repeat(frames, 1, 1), width, height, fps)

    def __len__(self) -> int:
        """The number of video frames T."""
        return len(self.world_from_camera)

    @property
    def camera_from_world(self) -> Tensor:
        """World-to-camera `[T, 4, 4]` float64, the inverse of `world_from_camera`."""
        return rigid_inverse(self.world_from_camera)

    @property
    def device(self) -> torch.device:
        return self.world_from_camera.device

    def relative_to_first(self) -> CameraPath:
        """The same path in a world whose origin is this path's own frame 0, which becomes the exact identity."""
        poses = rigid_inverse(self.world_from_camera[0]) @ self.world_from_camera
        poses[0] = torch.eye(4, dtype=torch.float64, device=self.device)
        return replace(self, world_from_camera=poses)

    def resized(self, width: int, height: int) -> CameraPath:
        """The same view sampled at `width` x `height` px; intrinsics scale with the width in x, the height in y."""
        scale = torch.tensor([width / self.width, height / self.height, 1.0], dtype=torch.float64, device=self.device)
        return replace(self, intrinsics=self.intrinsics * scale[:, None], width=width, height=height)

    def resampled(self, frames: int) -> CameraPath:
        """The same movement in the same time with another number of frames.

        The first and the last frame are kept exactly. Rotations take the shortest way (slerp); positions and
        intrinsics are linear between neighbouring frames. `fps` changes with the number of frames. A path of one
        frame is repeated; `frames=1` keeps the first.
        """
        frames = _whole_number(frames, "The number of frames to resample to")
        if frames == len(self):
            return self
        if len(self) == 1 or frames == 1:
            return self.with_frames([0] * frames)
        last = len(self) - 1
        # Whole-number arithmetic first: the share of a frame that falls on an old one is exactly 0.
        steps = torch.arange(frames, device=self.device) * last
        before = (steps // (frames - 1)).clamp(max=last - 1)
        share = (steps - before * (frames - 1)).to(torch.float64) / (frames - 1)
        between = path_between(self.with_frames(before), self.with_frames(before + 1), share)
        return replace(between, fps=self.fps * (frames - 1) / last)

    def filled(self, frames: Sequence[int]) -> CameraPath:
        """The path with the frames between its own, whose numbers, from 0 and rising, are `frames`: straight ways,
        shortest turns."""
        known = torch.as_tensor(frames, dtype=torch.long, device=self.device)
        wanted = torch.arange(int(known[-1]) + 1, device=self.device)
        before = (torch.searchsorted(known, wanted, right=True) - 1).clamp(max=max(len(known) - 2, 0))
        after = (before + 1).clamp(max=len(known) - 1)
        span = (known[after] - known[before]).clamp(min=1)
        share = (wanted - known[before]).to(torch.float64) / span
        return path_between(self.with_frames(before), self.with_frames(after), share)

    def with_frames(self, index: Sequence[int] | slice | Tensor) -> CameraPath:
        """The frames of `index`, in its order; the stated fps stays."""
        chosen = index if isinstance(index, slice) else torch.as_tensor(index, dtype=torch.long, device=self.device)
        return replace(self, world_from_camera=self.world_from_camera[chosen], intrinsics=self.intrinsics[chosen])

    def padded(self, frames: int) -> CameraPath:
        """The path with its last frame repeated up to `frames` frames."""
        if frames < len(self):
            raise Track2ViewError(
                f"Padding to {frames} would shorten a path of {len(self)} frames; cut it with with_frames."
            )
        return self.with_frames([min(frame, len(self) - 1) for frame in range(frames)])

    def to(self, device: torch.device | str) -> CameraPath:
        """The same path on `device`, which must know float64."""
        return replace(self, world_from_camera=self.world_from_camera.to(device), intrinsics=self.intrinsics.to(device))


def path_between(start: CameraPath, end: CameraPath, share: Tensor) -> CameraPath:
    """Frame by frame a share `[T]` of the straight and shortest way from one path to another; both ends exact."""
    poses = torch.lerp(start.world_from_camera, end.world_from_camera, share[:, None, None])
    poses[:, :3, :3] = slerp(start.world_from_camera[:, :3, :3], end.world_from_camera[:, :3, :3], share)
    intrinsics = torch.lerp(start.intrinsics, end.intrinsics, share[:, None, None])
    return replace(start, world_from_camera=poses, intrinsics=intrinsics)


def relative_move(path: CameraPath, source: CameraPath) -> CameraPath:
    """What `path` adds to `source`: poses in the source camera's axes, and its lens in terms of the source's.

    The result is no camera of its own: its intrinsics are `path.intrinsics @ inverse(source.intrinsics)`, so that
    `riding_on(relative_move(path, source), source)` is the path again.

    Raises:
        Track2ViewError: the two differ in length.
    """
    _check_lengths(path, source)
    return replace(
        path,
        world_from_camera=rigid_inverse(source.world_from_camera) @ path.world_from_camera,
        intrinsics=path.intrinsics @ inverse_intrinsics(source.intrinsics),
    )


def riding_on(move: CameraPath, source: CameraPath) -> CameraPath:
    """The path that adds the move, as `relative_move` makes it, to `source`; size and fps are the source's.

    Raises:
        Track2ViewError: the two differ in length.
    """
    _check_lengths(move, source)
    return replace(
        source,
        world_from_camera=source.world_from_camera @ move.world_from_camera,
        intrinsics=move.intrinsics @ source.intrinsics,
    )


def inverse_intrinsics(intrinsics: Tensor) -> Tensor:
    """Inverse `[..., 3, 3]` of `[[fx, s, cx], [0, fy, cy], [0, 0, 1]]`, with exact zeros and ones below."""
    fx, s, cx = intrinsics[..., 0, :].unbind(-1)
    fy, cy = intrinsics[..., 1, 1], intrinsics[..., 1, 2]
    zero, one = torch.zeros_like(fx), torch.ones_like(fx)
    rows = ((1 / fx, -s / (fx * fy), (s * cy / fy - cx) / fx), (zero, 1 / fy, -cy / fy), (zero, zero, one))
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def checked_scene_scale(scene_scale: float, name: str = "scene_scale") -> float:
    """The scene scale as a float.

    Raises:
        Track2ViewError: it is not a finite number above 0.
    """
    if not isinstance(scene_scale, Real) or not (math.isfinite(scene_scale) and scene_scale > 0):
        raise Track2ViewError(f"{name} is {scene_scale}; it must be the subject's distance, a finite number above 0.")
    return float(scene_scale)


def _check_lengths(path: CameraPath, source: CameraPath) -> None:
    if len(path) != len(source):
        raise Track2ViewError(
            f"The path has {len(path)} frames and the source camera {len(source)}; resample one to the other's length."
        )


def _matrices(value: Tensor, name: str, rows: int) -> Tensor:
    matrices = torch.as_tensor(value)
    if matrices.ndim != 3 or tuple(matrices.shape[1:]) != (rows, rows) or len(matrices) == 0:
        raise Track2ViewError(
            f"CameraPath.{name} has shape {list(matrices.shape)}; it must be [T, {rows}, {rows}], one matrix a frame."
        )
    matrices = matrices.to(torch.float64)
    finite = matrices.isfinite().all(dim=-1).all(dim=-1)
    if not finite.all():
        frame = int((~finite).nonzero()[0])
        raise Track2ViewError(f"CameraPath.{name} holds NaN or infinity at frame {frame}; every entry must be finite.")
    return matrices


def _whole_number(value: int, name: str) -> int:
    if not isinstance(value, Real) or not math.isfinite(value) or int(value) != value or value < 1:
        raise Track2ViewError(f"{name} is {value}; it must be a whole number of at least 1.")
    return int(value)


def _check_poses(poses: Tensor) -> None:
    rotation = poses[:, :3, :3]
    identity = torch.eye(3, dtype=poses.dtype, device=poses.device)
    bottom = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=poses.dtype, device=poses.device)
    problems = (
        (
            (poses[:, 3] - bottom).abs().amax(dim=-1) > ORTHONORMAL_TOLERANCE,
            "a last row that is not 0 0 0 1; row-vector matrices must be transposed first",
        ),
        (
            (rotation.mT @ rotation - identity).abs().amax(dim=(-2, -1)) > ORTHONORMAL_TOLERANCE,
            f"a rotation that is not orthonormal to {ORTHONORMAL_TOLERANCE:g}; scale and shear must be taken out first",
        ),
        (
            torch.linalg.det(rotation) < 0,
            "a mirrored rotation (determinant -1); left-handed axes must be converted to x right, y down, z forward",
        ),
    )
    for wrong, what in problems:
        if wrong.any():
            raise Track2ViewError(f"CameraPath.world_from_camera has at frame {int(wrong.nonzero()[0])} {what}.")


def _check_intrinsics(intrinsics: Tensor) -> None:
    focal_x, focal_y = intrinsics[:, 0, 0], intrinsics[:, 1, 1]
    bottom = torch.tensor([0.0, 0.0, 1.0], dtype=intrinsics.dtype, device=intrinsics.device)
    wrong = (focal_x <= 0) | (focal_y <= 0) | (intrinsics[:, 1, 0] != 0) | (intrinsics[:, 2] != bottom).any(dim=-1)
    if wrong.any():
        frame = int(wrong.nonzero()[0])
        raise Track2ViewError(
            f"CameraPath.intrinsics at frame {frame} is {intrinsics[frame].tolist()}; it must be "
            "[[fx, s, cx], [0, fy, cy], [0, 0, 1]] in pixels with fx and fy above 0."
        )
