"""The keyframe document: a camera path as a person draws it, a few keys on a timeline. Its data, checks and JSON.

A document says where the camera goes relative to a base camera, in the base camera's axes (x right, y down, z forward)
and in scene scales, so it carries from clip to clip. What its numbers mean, formula by formula, stands in
`sampling.py`; what they may be is checked here, once, when a PathDocument is made. `parse_document` reads JSON text or
the dict it stands for, `to_json` writes it.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from numbers import Real
from types import MappingProxyType
from typing import Any, Literal, TypeGuard

from ...errors import Track2ViewError
from ..easing import EASES
from .float_geometry import Quaternion, Vector, distance, orbit_offset

FORMAT = "track2view.camera_path"
VERSION = 2
UNITS = ("scene_scale",)
BASES = ("source", "first_frame")
POSITION_INTERPOLATIONS = ("catmull_rom", "linear")
ORIENTATION_INTERPOLATIONS = ("squad", "slerp")

SMOOTH = "smooth"
SEGMENT = "segment_"
KEY_EASES: Mapping[str, str] = MappingProxyType(
    {
        SMOOTH: "passes the key without stopping; rests at the first and the last one",
        "linear": "straight on, at constant speed",
        "hold": "stands until the next key, then jumps there",
        **{f"{SEGMENT}{ease}": f"the way to the next key by itself: {told}" for ease, told in EASES.items()},
    }
)
"""How the camera goes from a key to the next one."""

MOST_CHARACTERS = 16_000_000
MOST_KEYS = 10_000
MOST_FRAMES = 100_000
FARTHEST = 1e6  # scene scales
MOST_DEGREES = 1e5
STEEPEST = 89.0  # degrees of elevation: straight above its target a camera has no upright
FOCAL_RANGE = (0.01, 100.0)
NEAREST = 1e-6  # scene scales between a camera and what it looks at

SUBJECT = "subject"
SUBJECT_AHEAD: Vector = (0.0, 0.0, 1.0)  # where a preset and a fitted document take it to be, in scene scales
Target = Vector | Literal["subject"]

_EXAMPLE = "the text that the Camera Path Editor copies"


def _eased_by_segments(content: dict[str, Any]) -> dict[str, Any]:
    """Version 1: every key's ease, linear where it was left out, was that of its own segment."""
    keys = content.get("keys")
    if not isinstance(keys, list | tuple):
        return content
    # with two keys, which are the path's ends, the smooth and the straight path are the very same
    alone = len(keys) <= 2
    return {**content, "keys": [_with_ease_of_segment(key, alone) for key in keys]}


def _with_ease_of_segment(key: Any, alone: bool) -> Any:
    if not isinstance(key, dict):
        return key
    ease = key.get("ease", "linear")
    if not isinstance(ease, str) or ease not in EASES or (alone and ease in KEY_EASES):
        return {**key, "ease": ease}
    return {**key, "ease": f"{SEGMENT}{ease}"}


# version -> what brings a document of that version to the next
MIGRATIONS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = MappingProxyType({1: _eased_by_segments})


@dataclass(frozen=True)
class Orbit:
    """A position in coordinates around a target: degrees, and scene scales.

    Azimuth 0 and elevation 0 stand in front of the target as the base camera does. A larger azimuth lies to the right
    and may pass 360 for more than one turn, a larger elevation above.
    """

    azimuth: float
    elevation: float
    distance: float
    target: Target


@dataclass(frozen=True)
class Keyframe:
    """One key: `position` or `orbit`, and `look_at` or `quaternion`; the other of each pair is None."""

    frame: float  # 0 .. frames - 1, whole or not
    position: Vector | None = None
    orbit: Orbit | None = None
    look_at: Target | None = None
    quaternion: Quaternion | None = None  # w, x, y, z; base_from_camera
    roll: float = 0.0  # degrees about the axis of view, + clockwise as the operator sees it; may pass 360
    focal: float = 1.0  # times the base camera's focal length
    ease: str = SMOOTH  # one of KEY_EASES: of the segment that follows


@dataclass(frozen=True)
class PathDocument:
    """Keys on a timeline of `frames` frames. Without keys it is the base path itself.

    Raises:
        Track2ViewError: one sentence that names the field, and the key (counted from 1).
    """

    frames: int
    keys: tuple[Keyframe, ...] = ()
    fps: float = 16.0
    aspect: tuple[int, int] | None = None  # width and height of the clip it was drawn on
    unit: str = "scene_scale"
    base: str = "source"  # `source`: the moving source camera; `first_frame`: its first pose and lens, held
    position_interpolation: str = "catmull_rom"
    orientation_interpolation: str = "squad"
    subject: tuple[Vector, ...] | None = None  # a moving point, one position a frame, in the first camera's axes

    def __post_init__(self) -> None:
        validate(self)
        object.__setattr__(self, "frames", int(self.frames))
        if self.aspect is not None:
            object.__setattr__(self, "aspect", tuple(int(side) for side in self.aspect))


def key_position(key: Keyframe, subject: Vector | None = None) -> Vector | None:
    """Where a key's camera stands, in the base camera's axes; None where that takes the subject and none is given."""
    if key.orbit is None:
        return key.position
    target = subject if isinstance(key.orbit.target, str) else key.orbit.target
    if target is None:
        return None
    azimuth, elevation = key.orbit.azimuth * math.pi / 180, key.orbit.elevation * math.pi / 180
    x, y, z = orbit_offset(azimuth, elevation, key.orbit.distance)
    return (target[0] + x, target[1] + y, target[2] + z)


# --- what a document may be -------------------------------------------------------------------------------------------


def validate(document: PathDocument) -> None:
    """Check every field of a document; a PathDocument that exists has passed.

    Raises:
        Track2ViewError: the first field that does not hold, with its key.
    """
    _whole(document.frames, "field frames", 1, MOST_FRAMES)
    _number(document.fps, "field fps", 0.01, 1000.0)
    if document.aspect is not None:
        if not isinstance(document.aspect, tuple) or len(document.aspect) != 2:
            raise _wrong("field aspect", document.aspect, "must be null or [width, height] in whole pixels")
        for side in document.aspect:
            _whole(side, "field aspect", 1, 100_000)
    for name, allowed in (
        ("unit", UNITS),
        ("base", BASES),
        ("position_interpolation", POSITION_INTERPOLATIONS),
        ("orientation_interpolation", ORIENTATION_INTERPOLATIONS),
    ):
        _choice(getattr(document, name), f"field {name}", allowed)
    if document.subject is not None:
        if not isinstance(document.subject, tuple) or len(document.subject) != document.frames:
            wanted = f"must be null or a list of {document.frames} points [x, y, z], one a frame"
            raise _wrong("field subject", document.subject, wanted)
        for frame, point in enumerate(document.subject):
            _vector(point, f"field subject at frame {frame}")
    if not isinstance(document.keys, tuple) or len(document.keys) > MOST_KEYS:
        raise _wrong("field keys", document.keys, f"must be a list of at most {MOST_KEYS} keys")
    before = None
    for number, key in enumerate(document.keys, start=1):
        if not isinstance(key, Keyframe):
            raise _wrong(f"key {number}", key, "must be an object with the fields of a key")
        _check_key(key, f"key {number}, field", document)
        if before is not None and key.frame <= before:
            wanted = f"must be after frame {shown(before)} of key {number - 1}; sort the keys, one a frame"
            raise _wrong(f"key {number}, field frame", key.frame, wanted)
        before = key.frame


def _check_key(key: Keyframe, where: str, document: PathDocument) -> None:
    _number(key.frame, f"{where} frame", 0, document.frames - 1, "a frame of the document")
    for name, other in (("position", "orbit"), ("look_at", "quaternion")):
        given = [getattr(key, field) is not None for field in (name, other)]
        if sum(given) != 1:
            came = f"{name} and {other} both came" if all(given) else f"neither {name} nor {other} came"
            raise Track2ViewError(_capital(f"{where} {name}: {came}; give exactly one of them."))
    if key.position is not None:
        _vector(key.position, f"{where} position")
    if key.orbit is not None:
        _check_orbit(key.orbit, f"{where} orbit", document)
    if key.look_at is not None:
        _target(key.look_at, f"{where} look_at", document)
        stands = key_position(key)
        if stands is not None and not isinstance(key.look_at, str) and distance(stands, key.look_at) < NEAREST:
            raise _wrong(f"{where} look_at", key.look_at, "must be another point than the one where the camera stands")
    if key.quaternion is not None:
        _vector(key.quaternion, f"{where} quaternion", 4)
        if abs(math.sqrt(sum(part * part for part in key.quaternion)) - 1) > 1e-3:
            raise _wrong(f"{where} quaternion", key.quaternion, "must be w, x, y, z of length 1")
    _number(key.roll, f"{where} roll", -MOST_DEGREES, MOST_DEGREES, "degrees")
    _number(key.focal, f"{where} focal", *FOCAL_RANGE, "a factor on the base camera's focal length")
    _choice(key.ease, f"{where} ease", tuple(KEY_EASES))


def _check_orbit(orbit: Orbit, where: str, document: PathDocument) -> None:
    if not isinstance(orbit, Orbit):
        raise _wrong(where, orbit, "must be an object with azimuth, elevation, distance and target")
    _number(orbit.azimuth, f"{where}.azimuth", -MOST_DEGREES, MOST_DEGREES, "degrees")
    _number(orbit.elevation, f"{where}.elevation", -STEEPEST, STEEPEST, "degrees")
    _number(orbit.distance, f"{where}.distance", NEAREST, FARTHEST, "scene scales")
    _target(orbit.target, f"{where}.target", document)


def _target(value: Any, where: str, document: PathDocument) -> None:
    if isinstance(value, str):
        if value != SUBJECT:
            raise _wrong(where, value, "must be three finite numbers or 'subject'")
        if document.subject is None:
            raise _wrong(where, value, "needs the document's field subject, which is missing")
    else:
        _vector(value, where)


def _vector(value: Any, where: str, count: int = 3) -> None:
    number = {3: "three", 4: "four"}[count]
    if not isinstance(value, tuple) or len(value) != count or not all(is_number(part) for part in value):
        raise _wrong(where, value, f"must be {number} finite numbers")
    if max(abs(part) for part in value) > FARTHEST:
        raise _wrong(where, value, f"must be {number} finite numbers of at most {FARTHEST:g}")


def _number(value: Any, where: str, least: float, most: float, what: str = "") -> None:
    if not is_number(value) or not least <= value <= most:
        raise _wrong(where, value, f"must be {what + ', ' if what else ''}a number from {least:g} to {most:g}")


def _whole(value: Any, where: str, least: int, most: int) -> None:
    if not is_number(value) or value != int(value) or not least <= value <= most:
        raise _wrong(where, value, f"must be a whole number from {least} to {most}")


def _choice(value: Any, where: str, allowed: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in allowed:
        raise _wrong(where, value, f"must be {' or '.join(repr(name) for name in allowed)}")


def is_number(value: Any) -> TypeGuard[float]:
    """A finite real number; true and false are none, nor is a whole number too large for a float."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def shown(value: Any) -> str:
    """A value in few words, however large or deep it is."""
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, list | dict) and len(value) > 8:
        return f"a {'list' if isinstance(value, list) else 'object'} of {len(value)} entries"
    try:
        text = json.dumps(value, default=repr, ensure_ascii=True)
    except (ValueError, RecursionError, TypeError):  # Python refuses to write very long numbers and deep nesting
        return "a number of thousands of digits" if isinstance(value, int) else "something that cannot be shown"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _wrong(where: str, value: Any, wanted: str) -> Track2ViewError:
    return Track2ViewError(_capital(f"{where}: {shown(value)} came; it {wanted}."))


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


# --- JSON in ----------------------------------------------------------------------------------------------------------


def parse_document(document: str | dict[str, Any]) -> PathDocument:
    """A keyframe document of JSON text or of the dict it stands for. Nothing is mended, nothing is run.

    A key without `look_at` and `quaternion` looks at its orbit's target, or as the base camera does. Optional fields
    have the defaults of PathDocument and Keyframe; `format`, `version`, `frames` and `keys` must be given.

    Raises:
        Track2ViewError: text that is no JSON, another format, a version that is not known, a field that is missing,
            unknown or out of its range. Keys are counted from 1.
    """
    content = migrate(_read_json(document) if isinstance(document, str) else document)
    content = {name: value for name, value in content.items() if name not in ("format", "version")}
    _check_names(content, PathDocument, "The camera path document", required=("frames", "keys"))
    keys = content["keys"]
    if not isinstance(keys, list | tuple) or len(keys) > MOST_KEYS:
        raise Track2ViewError(f"Field keys: {shown(keys)} came; it must be a list of at most {MOST_KEYS} keys.")
    content["keys"] = tuple(_read_key(key, number) for number, key in enumerate(keys, start=1))
    if isinstance(content.get("subject"), list | tuple):
        content["subject"] = tuple(_tuple(point) for point in content["subject"])
    if "aspect" in content:
        content["aspect"] = _tuple(content["aspect"])
    return PathDocument(**content)


def migrate(content: Any) -> dict[str, Any]:
    """The content of a document of any known version as one of the newest; the given one is not changed.

    Raises:
        Track2ViewError: it is no camera path document, or of a version that this release does not know.
    """
    if not isinstance(content, dict):
        raise Track2ViewError(
            f"A camera path document must be a JSON object, such as {_EXAMPLE}; {shown(content)} came."
        )
    if content.get("format") != FORMAT:
        raise Track2ViewError(f"Field format: {shown(content.get('format'))} came; it must be {FORMAT!r}.")
    version = content.get("version")
    if not is_number(version) or version != int(version) or version < 1:
        raise Track2ViewError(f"Field version: {shown(version)} came; it must be a number from 1 to {VERSION}.")
    if version > VERSION:
        raise Track2ViewError(
            f"Field version: {shown(version)} came; this release reads up to {VERSION}, so update Track2View."
        )
    content = dict(content)
    for number in range(int(version), VERSION):
        content = MIGRATIONS[number](content)
    return content


def _read_json(text: str) -> Any:
    if len(text) > MOST_CHARACTERS:
        raise Track2ViewError(
            f"The camera path text has {len(text)} characters; it must have at most {MOST_CHARACTERS}."
        )
    if not text.strip():
        raise Track2ViewError(f"The camera path text is empty; paste {_EXAMPLE}.")
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise Track2ViewError(
            f"The camera path text is no JSON: {error.msg} at line {error.lineno}, column {error.colno}; "
            f"paste {_EXAMPLE}."
        ) from None
    except Track2ViewError:
        raise
    except (ValueError, RecursionError):  # a number of thousands of digits, or nesting without end
        raise Track2ViewError(
            f"The camera path text is JSON that is too deep or holds too long a number; paste {_EXAMPLE}."
        ) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Track2ViewError(f"Field {shown(twice)} is given twice in one object; keep one of them.")
    return content


def _read_key(content: Any, number: int) -> Keyframe:
    if not isinstance(content, dict):
        raise Track2ViewError(f"Key {number}: {shown(content)} came; it must be an object with the fields of a key.")
    _check_names(content, Keyframe, f"Key {number}", required=("frame",))
    values = {name: _tuple(value) for name, value in content.items()}
    orbit = values.get("orbit")
    if isinstance(orbit, dict):
        _check_names(orbit, Orbit, f"Key {number}, field orbit", required=tuple(f.name for f in fields(Orbit)))
        values["orbit"] = Orbit(**{name: _tuple(value) for name, value in orbit.items()})
    if values.get("look_at") is None and values.get("quaternion") is None:
        if isinstance(values.get("orbit"), Orbit):
            values["look_at"] = values["orbit"].target
        else:
            values["quaternion"] = (1.0, 0.0, 0.0, 0.0)
    return Keyframe(**values)


def _check_names(content: dict[Any, Any], kind: type, where: str, *, required: tuple[str, ...]) -> None:
    known = [field.name for field in fields(kind)]
    for name in content:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1) if isinstance(name, str) and len(name) < 80 else []
            hint = f"perhaps {near[0]!r} is meant" if near else f"it may have {', '.join(known)}"
            raise Track2ViewError(f"{where} has no field {shown(name)}; {hint}.")
    for name in required:
        if name not in content:
            raise Track2ViewError(f"{where} lacks the field {name!r}; it must be given.")


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


# --- JSON out ---------------------------------------------------------------------------------------------------------


def to_json(document: PathDocument) -> str:
    """The document as canonical JSON: all fields, one order, no spaces, one text for equal documents.

    `parse_document(to_json(document)) == document`, to the bit. Whole numbers are written without a decimal point.
    """
    fields: dict[str, Any] = {"format": FORMAT, "version": VERSION}
    for name in ("frames", "fps", "aspect", "unit", "base", "position_interpolation", "orientation_interpolation"):
        fields[name] = _plain(getattr(document, name))
    fields["subject"] = _plain(document.subject)
    fields["keys"] = [_key_fields(key) for key in document.keys]
    return json.dumps(fields, separators=(",", ":"), allow_nan=False)


def _key_fields(key: Keyframe) -> dict[str, Any]:
    fields: dict[str, Any] = {"frame": _plain(key.frame)}
    if key.orbit is None:
        fields["position"] = _plain(key.position)
    else:
        fields["orbit"] = {name: _plain(value) for name, value in vars(key.orbit).items()}
    oriented = "look_at" if key.look_at is not None else "quaternion"
    fields[oriented] = _plain(getattr(key, oriented))
    return fields | {"roll": _plain(key.roll), "focal": _plain(key.focal), "ease": key.ease}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if value is None or isinstance(value, str):
        return value
    number = float(value)
    return int(number) if number.is_integer() and abs(number) < 2**53 else number
