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
from ...notes import Door, Note
from ..path import ORTHONORMAL_TOLERANCE, CameraPath
from ..path_quality import lens_notes
from ..rotations import matrix_from_quaternion, rigid
from .frame_times import FASTEST, SLOWEST
from .parsing import READ_PATH, Source, advised, asked_rate, check_length

SMALLEST_SIDE, LARGEST_SIDE = 1, 65_536  # pixels
FARTHEST = 1e12  # of a position, in the file's units; beyond it nothing of a move would be left in 64-bit floats
WORST_QUATERNION = 1e-2  # deviation of a quaternion's length from 1 that rounding in a file explains
SAME_LENS = 1e-9  # relative difference below which two focal lengths or centres are one

Lens = Callable[[int, int], Tensor]  # width, height in pixels -> intrinsics [T, 3, 3]
Where = Callable[[int], str]  # frame -> the beginning of a sentence: "poses.txt, line 7,"
Numbers = Sequence[float] | Tensor

MISSING_FRAMES = ("refuse", "fill", "join")
"""What becomes of a file that lacks frames of its clip: it is refused; they are filled in between the others, straight
and along the shortest turn; or the others follow one another as if they were all."""
QUATERNION_ORDERS = ("xyzw", "wxyz")


@dataclass(frozen=True)
class Wanted:
    """What a reader may be told of its file."""

    camera: str | None = None  # which one, of a file that holds several
    quaternion_order: str | None = None  # one of QUATERNION_ORDERS; None: the format's, or what the file states


@dataclass(frozen=True, eq=False)
class RecordedCamera:
    """A camera as a file holds it: always poses, the rest where the format has it.

    A `*_problem` is a sentence for a field that is there and cannot be taken as it is; it is raised unless the caller
    gives the field. So is `gap`, on frames that are missing, unless the caller says what becomes of them.
    """

    world_from_camera: Tensor  # [T, 4, 4] float64, OpenCV axes, checked by `checked_poses`
    lens: Lens | None = None
    size: tuple[int, int] | None = None  # width, height
    fps: float | None = None
    lens_problem: str | None = None
    fps_problem: str | None = None
    gap: str | None = None
    frames: tuple[int, ...] | None = None  # of each row, from 0 and rising, where some are missing and that is known
    timed: bool = False  # the gap shows in times, which a given rate stands in for
    notes: tuple[Note, ...] = ()


Reader = Callable[[Source, Wanted], RecordedCamera]
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
    several: bool = False  # may hold more than one camera, so `camera` says which
    ordered: bool = False  # whether quaternions come with w last or first, so `quaternion_order` may say which
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
    missing_frames: str = "refuse",
    door: Door = READ_PATH,
) -> tuple[CameraPath, tuple[Note, ...]]:
    """The path of a recording, and what to know of it; see `read_path` for what the arguments mean.

    Raises:
        Track2ViewError: a field that neither the file nor the caller states, frames that are missing, or a size of
            another aspect.
    """
    wanted = _wanted_size(width, height)
    size = recording.size or wanted
    if size is None:
        asked = advised(door, size="give {} in pixels") or "write it into the file"
        raise Track2ViewError(f"{name} does not say for which image size it is; {asked}.")
    notes = [*recording.notes]
    frames = _frames(recording, name, missing_frames, fps, notes)
    intrinsics = _intrinsics(recording, name, size, fov_degrees, door)
    path = CameraPath(recording.world_from_camera, intrinsics, *size, fps=_fps(recording, name, fps, door))
    if fov_degrees is None:
        notes += lens_notes(path)
    if frames is not None:
        path = path.filled(frames)
    if wanted is None or wanted == size:
        return path, tuple(notes)
    if abs(wanted[0] / size[0] * size[1] - wanted[1]) > 1.0:
        raise Track2ViewError(
            f"{name} is for images of {size[0]} x {size[1]} and {wanted[0]} x {wanted[1]} is asked for, which has "
            "another aspect; crop the clip as the camera's images, or leave width and height out."
        )
    return path.resized(*wanted), tuple(notes)


def _frames(
    recording: RecordedCamera, name: str, missing_frames: str, fps: float | None, notes: list[Note]
) -> tuple[int, ...] | None:
    """The frame of each row where those between are to be filled in; a note where the file lacks some."""
    if missing_frames not in MISSING_FRAMES:
        raise Track2ViewError(
            f"missing_frames is {str(missing_frames)[:40]!r}; it must be one of {', '.join(MISSING_FRAMES)}."
        )
    if recording.gap is None:
        return None
    frames = recording.frames
    if missing_frames == "fill" and frames is not None:
        check_length(frames[-1] + 1, name)
        notes.append(Note.of("frames_filled", count=frames[-1] + 1 - len(frames), rows=len(frames)))
        return frames
    if missing_frames == "join" or (missing_frames == "refuse" and recording.timed and fps is not None):
        notes.append(Note.of("frames_joined", rows=len(recording.world_from_camera)))
        return None
    raise Track2ViewError(f"{name} {recording.gap}")


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


def _intrinsics(
    recording: RecordedCamera, name: str, size: tuple[int, int], fov_degrees: float | None, door: Door
) -> Tensor:
    frames = len(recording.world_from_camera)
    if fov_degrees is not None:
        if not (math.isfinite(fov_degrees) and 0 < fov_degrees < 180):
            raise Track2ViewError(
                f"The field of view {door.words.get('fov_degrees', '')} is {fov_degrees}; it must be above 0 and below "
                "180 degrees."
            )
        focal = size[0] / 2 / math.tan(math.radians(fov_degrees) / 2)
        return centred_lens([focal] * frames, *size)
    if recording.lens_problem:
        raise Track2ViewError(f"{name} {recording.lens_problem}")
    if recording.lens is None:
        asked = advised(door, fov_degrees="give {}, the horizontal field of view") or "write it into the file"
        raise Track2ViewError(f"{name} holds no lens; {asked}.")
    return recording.lens(*size)


def _fps(recording: RecordedCamera, name: str, fps: float | None, door: Door) -> float:
    if fps is not None:
        return fps
    if recording.fps_problem:
        raise Track2ViewError(f"{name} {recording.fps_problem}")
    if recording.fps is None:
        raise Track2ViewError(f"{name} does not say how fast it plays; {asked_rate(door)}.")
    if not SLOWEST <= recording.fps <= FASTEST:
        raise Track2ViewError(
            f"{name} says that it plays {recording.fps:.6g} frames a second, which no clip does; {asked_rate(door)}."
        )
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


def plain_lens(source: Source, first: str = "") -> str:
    """What to do about a lens that a path cannot hold."""
    return source.advice(first, fov_degrees="give {} to take the poses with a plain lens") or "undistort the images"


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
