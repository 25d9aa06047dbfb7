"""After Effects' keyframe text, as a camera layer's keyframes look on the clipboard.

Source: text copied from After Effects, and the scripting guide's order of rotations. Axes are OpenCV's (x right, y
down, z into the picture), positions in pixels with the composition's middle at (width / 2, height / 2), so here 100
pixels are one unit, as other exporters have it. A camera turns by Orientation first, then by its X, Y and Z Rotation:
the matrix is Ox Oy Oz Rx Ry Rz. Zoom is the focal length in pixels. A two-node camera looks at its Point of Interest
before it turns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ...errors import Track2ViewError
from ..path import CameraPath
from ..rotations import rigid
from .axes import compose, decompose, turn
from .parsing import Source, check_length, number, rate, whole
from .path_format import (
    PathFormat,
    RecordedCamera,
    Wanted,
    centred_lens,
    check_focals,
    checked_poses,
    frame_of,
    pixel_lens,
    refuse_off_centre,
    words,
)

HEADER = "Adobe After Effects"
PIXELS_PER_UNIT = 100.0
ORDER = "xyz"
NUMBERS = {
    "Position": 3,
    "Point of Interest": 3,
    "Orientation": 3,
    "X Rotation": 1,
    "Y Rotation": 1,
    "Z Rotation": 1,
    "Rotation": 1,
    "Zoom": 1,
}


@dataclass
class _Keys:
    """One animated property: a value a frame, or one value that holds throughout."""

    by_frame: dict[int, list[float]] = field(default_factory=dict)
    lines: dict[int, int] = field(default_factory=dict)
    held: list[float] | None = None


@dataclass
class _Clipboard:
    facts: dict[str, tuple[str, str]] = field(default_factory=dict)  # name -> (value, where)
    properties: dict[str, _Keys] = field(default_factory=dict)


def _read(source: Source, wanted: Wanted) -> RecordedCamera:
    clipboard = _parsed(source)
    width, height = (whole(*_fact(clipboard, f"Source {side}", source)) for side in ("Width", "Height"))
    fps = rate(*_fact(clipboard, "Units Per Second", source))
    for name in ("Source Pixel Aspect Ratio", "Comp Pixel Aspect Ratio"):
        if name in clipboard.facts and number(*clipboard.facts[name]) != 1:
            source.refuse(f"has a {name} other than 1; copy the camera from a composition of square pixels.")
    if "Position" not in clipboard.properties:
        source.refuse("holds no Transform Position; select the camera's Position keyframes too before copying.")
    first, frames = _extent(clipboard, source)
    values = {
        name: torch.tensor(_baked(name, keys, first, frames, source), dtype=torch.float64)
        for name, keys in clipboard.properties.items()
    }
    middle = torch.tensor([width / 2, height / 2, 0.0], dtype=torch.float64)
    where = frame_of(source.name)
    poses = rigid(_rotations(values, frames), (values["Position"] - middle) / PIXELS_PER_UNIT)
    if "Zoom" not in values:
        return RecordedCamera(checked_poses(poses, where), None, (width, height), fps)
    zoom = values["Zoom"][:, 0]
    check_focals(zoom.tolist(), where)
    return RecordedCamera(
        checked_poses(poses, where), pixel_lens(centred_lens(zoom, width, height)), (width, height), fps
    )


def _rotations(values: dict[str, Tensor], frames: int) -> Tensor:
    rotation = torch.eye(3, dtype=torch.float64).repeat(frames, 1, 1)
    if "Point of Interest" in values:
        x, y, z = (values["Point of Interest"] - values["Position"]).unbind(-1)
        rotation = turn("y", torch.atan2(x, z)) @ turn("x", torch.atan2(-y, torch.hypot(x, z)))
    if "Orientation" in values:
        rotation = rotation @ compose(ORDER, values["Orientation"])
    for axis, names in (("x", ("X Rotation",)), ("y", ("Y Rotation",)), ("z", ("Z Rotation", "Rotation"))):
        for name in names:
            if name in values:
                rotation = rotation @ turn(axis, torch.deg2rad(values[name][:, 0]))
    return rotation


def _parsed(source: Source) -> _Clipboard:
    clipboard = _Clipboard()
    current: _Keys | None = None
    size, started = 0, False
    for line_number, line in source.lines():
        where = source.at_line(line_number)
        told = [word.strip() for word in line.split("\t")]
        if not any(told):
            continue
        if not started:
            if HEADER not in line:
                raise Track2ViewError(
                    f"{where} must name {HEADER}; copy the camera's keyframes again, all of the text."
                )
            started = True
        elif told[0]:
            if told[0].startswith("End of"):
                current = None
                continue
            name = told[-1] if len(told) > 1 and told[-1] else next(word for word in reversed(told) if word)
            current = clipboard.properties.setdefault(name, _Keys()) if name in NUMBERS else None
            size = NUMBERS.get(name, 0)
        elif current is not None and told[1:2] != ["Frame"]:
            _key(current, told[1:], size, line_number, where)
        elif len(told) > 2 and told[1] != "Frame" and not clipboard.properties:
            clipboard.facts[told[1]] = (told[2], f"{where} {told[1]},")
    if not started:
        source.refuse("is empty; copy the camera's keyframes again.")
    return clipboard


def _key(keys: _Keys, told: list[str], size: int, line: int, where: str) -> None:
    numbers = [word for word in told[1:] if word]
    if len(numbers) != size:
        raise Track2ViewError(f"{where} has {len(numbers)} values where {size} must stand; the text is cut short.")
    values = [number(word, where) for word in numbers]
    if not told[0]:
        keys.held = values
        return
    frame = number(told[0], where)
    if frame != int(frame):
        raise Track2ViewError(f"{where} is a key between frames ({frame:g}); bake the camera to whole frames.")
    if int(frame) in keys.by_frame:
        raise Track2ViewError(f"{where} gives frame {int(frame)} a second time; copy one camera alone.")
    check_length(len(keys.by_frame) + 1, where)
    keys.by_frame[int(frame)], keys.lines[int(frame)] = values, line


def _fact(clipboard: _Clipboard, name: str, source: Source) -> tuple[str, str]:
    if name not in clipboard.facts:
        source.refuse(f"does not state its {name}; copy the camera's keyframes again, with the head of the text.")
    return clipboard.facts[name]


def _extent(clipboard: _Clipboard, source: Source) -> tuple[int, int]:
    """First frame and number of frames that the keys span."""
    told = [frame for keys in clipboard.properties.values() for frame in keys.by_frame]
    if not told:
        return 0, 1
    first, frames = min(told), max(told) - min(told) + 1
    check_length(frames, source.name)
    return first, frames


def _baked(name: str, keys: _Keys, first: int, frames: int, source: Source) -> list[list[float]]:
    if len(keys.by_frame) <= 1:
        value = next(iter(keys.by_frame.values()), keys.held)
        if value is None:
            source.refuse(f"names {name} without any value; copy the camera's keyframes again.")
        return [value] * frames
    missing = next((frame for frame in range(first, first + frames) if frame not in keys.by_frame), None)
    if missing is not None:
        source.refuse(
            f"has no key of {name} at frame {missing}; its curves are not in the text, so bake a key on every frame "
            "(Animation, Keyframe Assistant, Convert Expression to Keyframes)."
        )
    return [keys.by_frame[frame] for frame in range(first, first + frames)]


def _write(path: CameraPath, file: Path) -> bytes:
    refuse_off_centre(path, FORMAT.title)
    middle = torch.tensor([path.width / 2, path.height / 2, 0.0], dtype=torch.float64)
    blocks = (
        ("Camera Options\tZoom", "pixels", path.intrinsics[:, :1, 0]),
        (
            "Transform\tPosition",
            "X pixels\tY pixels\tZ pixels",
            path.world_from_camera[:, :3, 3] * PIXELS_PER_UNIT + middle,
        ),
        (
            "Transform\tOrientation",
            "X degrees\tY degrees\tZ degrees",
            decompose(ORDER, path.world_from_camera[:, :3, :3]),
        ),
    )
    lines = ["Adobe After Effects 8.0 Keyframe Data", "", f"\tUnits Per Second\t{path.fps!r}"]
    lines += [f"\tSource Width\t{path.width}", f"\tSource Height\t{path.height}"]
    lines += ["\tSource Pixel Aspect Ratio\t1", "\tComp Pixel Aspect Ratio\t1"]
    for title, columns, values in blocks:
        lines += ["", title, f"\tFrame\t{columns}\t"]
        lines += ["\t".join(["", str(frame), *words(value), ""]) for frame, value in enumerate(values)]
    return ("\r\n".join([*lines, "", "", "End of Keyframe Data"]) + "\r\n").encode("ascii")


FORMAT = PathFormat(
    name="aftereffects",
    title="After Effects keyframes",
    endings=(".txt",),
    description="a camera layer's keyframes as After Effects copies and pastes them",
    lens="fov",
    size=True,
    fps=True,
    read=_read,
    recognises=lambda source: bool(source.head) and HEADER in source.head[0],
    write=_write,
)
