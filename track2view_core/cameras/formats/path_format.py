"""What an exchange format is, and what all of them need: a recorded camera from the reader, bytes from the writer.

A reader hands over a `RecordedCamera`: what the file holds, in OpenCV axes and checked. `complete` makes a CameraPath
of it with what the user adds. A writer refuses a lens that its format cannot hold and writes numbers with all digits.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from ...errors import Track2ViewError
from ..path import ORTHONORMAL_TOLERANCE, CameraPath
from ..rotations import matrix_from_quaternion, rigid
from .parsing import Source

SMALLEST_SIDE, LARGEST_SIDE = 1, 65_536  # pixels
FARTHEST = 1e12  # of a position, in the file's units; beyond it nothing of a move would be left in 64-bit floats
WORST_QUATERNION = 1e-2  # deviation of a quaternion's length from 1 that rounding in a file explains
SAME_LENS = 1e-9  # relative difference below which two focal lengths or centres are one

Lens = Callable[[int, int], Tensor]  # width, height in pixels -> intrinsics [T, 3, 3]
Where = Callable[[int], str]  # frame -> the beginning of a sentence: "poses.txt, line 7,"
Numbers = Sequence[float] | Tensor


@dataclass(frozen=True, eq=False)
class RecordedCamera:
    """A camera as a file holds it: always poses, the rest where the format has it.

    A `*_problem` is a sentence for a field that is there and cannot be taken as it is; it is raised unless the caller
    gives the field.
    """

    world_from_camera: Tensor  # [T, 4, 4] float64, OpenCV axes, checked by `checked_poses`
    lens: Lens | None = None
    size: tuple[int, int] | None = None  # width, height
    fps: float | None = None
    lens_problem: str | None = None
    fps_problem: str | None = None


Reader = Callable[[Source, str | None], RecordedCamera]  # the file, and which of its cameras
Writer = Callable[[CameraPath, Path], bytes | Mapping[str, bytes]]  # what to write, or file names and what to write

# What of the lens a format holds: `matrix` everything; `pinhole` both focal lengths and the centre; `focal` one focal
# length and the centre; `fov` one field of view around the image's middle; `none` nothing.
LensKind = Literal["matrix", "pinhole", "focal", "fov", "none"]


@dataclass(frozen=True)
class PathFormat:
    """One exchange format. Every format holds poses; fields it does not hold must be given when it is read."""

    name: str
    title: str  # as its users call it
    endings: tuple[str, ...]  # of its files, lower case; empty for a folder
    description: str
    lens: LensKind
    size: bool  # the image's width and height
    fps: bool
    read: Reader
    recognises: Callable[[Source], bool]  # by content; asked only for a fitting ending
    write: Writer | None = None
    folder: bool = False
    several: bool = False  # holds more than one camera, so `camera` says which
    zoom: bool = True  # whether the lens may change from frame to frame


# --- from a recording to a path ---------------------------------------------------------------------------------------


def complete(
    recording: RecordedCamera,
    name: str,
    *,
    width: int | None,
    height: int | None,
    fov_degrees: float | None,
    fps: float | None,
) -> CameraPath:
    """The path of a recording; see `read_path` for what the arguments mean.

    Raises:
        Track2ViewError: a field that neither the file nor the caller states, or a size of another aspect.
    """
    wanted = _wanted_size(width, height)
    size = recording.size or wanted
    if size is None:
        raise Track2ViewError(
            f"{name} does not say for which image size it is; give width and height (--width, --height) in pixels."
        )
    intrinsics = _intrinsics(recording, name, size, fov_degrees)
    path = CameraPath(recording.world_from_camera, intrinsics, *size, fps=_fps(recording, name, fps))
    if wanted is None or wanted == size:
        return path
    if abs(wanted[0] / size[0] * size[1] - wanted[1]) > 1.0:
        raise Track2ViewError(
            f"{name} is for images of {size[0]} x {size[1]} and {wanted[0]} x {wanted[1]} is asked for, which has "
            "another aspect; crop the clip as the camera's images, or leave width and height out."
        )
    return path.resized(*wanted)


def _wanted_size(width: int | None, height: int | None) -> tuple[int, int] | None:
    if width is None and height is None:
        return None
    for name, side in (("width", width), ("height", height)):
        if side is None:
            raise Track2ViewError(f"Only one side of the image size came; give {name} (--{name}) too.")
        if int(side) != side or not SMALLEST_SIDE <= side <= LARGEST_SIDE:
            raise Track2ViewError(
                f"The image's {name} is {side}; it must be a whole number of 1 to {LARGEST_SIDE} pixels."
            )
    assert width is not None and height is not None
    return int(width), int(height)


def _intrinsics(recording: RecordedCamera, name: str, size: tuple[int, int], fov_degrees: float | None) -> Tensor:
    frames = len(recording.world_from_camera)
    if fov_degrees is not None:
        if not (math.isfinite(fov_degrees) and 0 < fov_degrees < 180):
            raise Track2ViewError(
                f"The field of view fov_degrees (--fov) is {fov_degrees}; it must be above 0 and below 180 degrees."
            )
        focal = size[0] / 2 / math.tan(math.radians(fov_degrees) / 2)
        return centred_lens([focal] * frames, *size)
    if recording.lens_problem:
        raise Track2ViewError(f"{name} {recording.lens_problem}")
    if recording.lens is None:
        raise Track2ViewError(f"{name} holds no lens; give fov_degrees (--fov), the horizontal field of view.")
    return recording.lens(*size)


def _fps(recording: RecordedCamera, name: str, fps: float | None) -> float:
    if fps is not None:
        return fps
    if recording.fps_problem:
        raise Track2ViewError(f"{name} {recording.fps_problem}")
    if recording.fps is None:
        raise Track2ViewError(f"{name} does not say how fast it plays; give fps (--fps), the clip's frames a second.")
    return recording.fps


# --- lenses -----------------------------------------------------------------------------------------------------------


def pinhole(fx: Numbers, fy: Numbers, cx: Numbers, cy: Numbers) -> Tensor:
    """Intrinsics `[T, 3, 3]` float64 of focal lengths and principal points."""
    columns = [torch.as_tensor(values, dtype=torch.float64) for values in (fx, fy, cx, cy)]
    intrinsics = torch.zeros(len(columns[0]), 3, 3, dtype=torch.float64)
    for (row, column), values in zip(((0, 0), (1, 1), (0, 2), (1, 2)), columns, strict=True):
        intrinsics[:, row, column] = values
    intrinsics[:, 2, 2] = 1
    return intrinsics


def centred_lens(focal: Numbers, width: int, height: int) -> Tensor:
    """Intrinsics `[T, 3, 3]` of one focal length in pixels a frame, looking through the middle of the image."""
    return pinhole(focal, focal, [width / 2] * len(focal), [height / 2] * len(focal))


def pixel_lens(intrinsics: Tensor) -> Lens:
    """A lens that is stated in pixels of the recording's own size."""
    return lambda width, height: intrinsics


def normalised_lens(intrinsics: Tensor) -> Lens:
    """A lens whose first row is stated in image widths and whose second in image heights."""
    return lambda width, height: intrinsics * torch.tensor([[width], [height], [1.0]], dtype=torch.float64)


def vertical_fov_lens(fov: Sequence[float]) -> Lens:
    """A centred lens of a vertical field of view in radians a frame."""
    tangents = torch.tensor([math.tan(angle / 2) for angle in fov], dtype=torch.float64)
    return lambda width, height: centred_lens(height / 2 / tangents, width, height)


def check_focals(focals: Sequence[float], where: Callable[[int], str]) -> None:
    for frame, focal in enumerate(focals):
        if not 0 < focal < FARTHEST:
            raise Track2ViewError(f"{where(frame)} has the focal length {focal:g}; it must be above 0.")


# --- poses ------------------------------------------------------------------------------------------------------------


def frame_of(name: str) -> Where:
    """Where a frame stands in a file that has no lines to speak of."""
    return lambda frame: f"{name}, frame {frame},"


def line_of(name: str, lines: Sequence[int]) -> Where:
    return lambda frame: f"{name}, line {lines[frame]},"


def checked_poses(poses: Tensor, where: Where) -> Tensor:
    """The poses `[T, 4, 4]`, in the axes they are written in, if they are rigid; else a sentence with the likely cause.

    Raises:
        Track2ViewError: a last row other than 0 0 0 1, or a rotation that is scaled, sheared or mirrored.
    """
    poses = poses.to(torch.float64)
    bottom = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64)
    wrong = (poses[:, 3] - bottom).abs().amax(dim=-1) > ORTHONORMAL_TOLERANCE
    if wrong.any():
        frame = int(wrong.nonzero()[0])
        turned = (poses[frame, :, 3] - bottom).abs().amax() <= ORTHONORMAL_TOLERANCE
        cause = "rows and columns are exchanged, so transpose it" if turned else "it is no camera-to-world matrix"
        raise Track2ViewError(f"{where(frame)} has a matrix whose last row is not 0 0 0 1; {cause}.")
    _check_rotations(poses[:, :3, :3], where)
    far = poses[:, :3, 3].abs().amax(dim=-1) > FARTHEST
    if far.any():
        raise Track2ViewError(
            f"{where(int(far.nonzero()[0]))} has a position beyond {FARTHEST:g} units; columns are likely mixed up."
        )
    return poses


def _check_rotations(rotation: Tensor, where: Where) -> None:
    square = rotation.mT @ rotation
    identity = torch.eye(3, dtype=torch.float64)
    skewed = ~((square - identity).abs().amax(dim=(-2, -1)) <= ORTHONORMAL_TOLERANCE)
    mirrored = torch.linalg.det(rotation) < 0
    wrong = skewed | mirrored
    if not wrong.any():
        return
    frame = int(wrong.nonzero()[0])
    scale = float(square[frame].diagonal().mean().clamp(min=0).sqrt())
    scaled_only = (square[frame] - scale * scale * identity).abs().amax() <= ORTHONORMAL_TOLERANCE * max(scale, 1) ** 2
    if skewed[frame] and scaled_only and 0 < scale < math.inf:
        sign = " and mirrored" if mirrored[frame] else ""
        cause = f"is scaled by {scale:.4g}{sign}; export the camera without its object's or parent's scale"
    elif skewed[frame]:
        cause = "is not orthonormal; columns are mixed up, the object is sheared, or digits were cut off"
    else:
        cause = "is mirrored (determinant -1); it is likely in left-handed axes, as Unreal's and Unity's, so convert it"
    raise Track2ViewError(f"{where(frame)} has a rotation that {cause}.")


def poses_of_quaternions(
    quaternions: Sequence[Sequence[float]],  # [T, 4] w, x, y, z
    positions: Sequence[Sequence[float]],  # [T, 3]
    where: Where,
) -> Tensor:
    """Rigid transforms `[T, 4, 4]`; a quaternion must have length 1 up to the digits of a file."""
    values = torch.tensor(quaternions, dtype=torch.float64)
    wrong = ~((values.norm(dim=-1) - 1).abs() <= WORST_QUATERNION)
    if wrong.any():
        frame = int(wrong.nonzero()[0])
        raise Track2ViewError(
            f"{where(frame)} has a quaternion of length {values[frame].norm():.4g}, which must be 1; columns are "
            "likely mixed up, or the rotation is scaled."
        )
    return checked_poses(rigid(matrix_from_quaternion(values), torch.tensor(positions, dtype=torch.float64)), where)


# --- writing ----------------------------------------------------------------------------------------------------------


def words(values: Tensor) -> list[str]:
    """Numbers as text with as many digits as bring the same 64-bit float back."""
    return [repr(value) for value in values.flatten().tolist()]


def json_text(document: object) -> bytes:
    return (json.dumps(document, indent=1, allow_nan=False) + "\n").encode("utf-8")


def refuse_skew(path: CameraPath, title: str) -> None:
    """Refuse a lens with skew, which hardly any format holds."""
    _refuse(path.intrinsics[:, 0, 1].abs() > SAME_LENS * path.width, "a skewed lens", title)


def refuse_two_focals(path: CameraPath, title: str) -> None:
    """Refuse pixels that are not square, for a format with a single focal length."""
    refuse_skew(path, title)
    fx, fy = path.intrinsics[:, 0, 0], path.intrinsics[:, 1, 1]
    _refuse((fx - fy).abs() > SAME_LENS * fx, "two focal lengths (pixels that are not square)", title)


def refuse_off_centre(path: CameraPath, title: str) -> None:
    """Refuse all but one focal length and the image's middle, for a format that holds a field of view alone."""
    refuse_two_focals(path, title)
    middle = torch.tensor([path.width / 2, path.height / 2], dtype=torch.float64)
    off = (path.intrinsics[:, :2, 2].cpu() - middle).abs().amax(dim=-1) > SAME_LENS * path.width
    _refuse(off, "a principal point beside the image's middle", title)


def _refuse(wrong: Tensor, what: str, title: str) -> None:
    if wrong.any():
        raise Track2ViewError(
            f"{title} cannot hold {what}, which the path has at frame {int(wrong.nonzero()[0])}; write it as "
            "track2view_camera, which holds every lens."
        )
