"""Reading a keyframe document: JSON text or a dict in, a checked PathDocument out, or one sentence on what is wrong."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from ..errors import Track2ViewError
from .keyframes import FORMAT, MOST_KEYS, VERSION, Keyframe, Orbit, PathDocument, is_number, shown

MOST_CHARACTERS = 16_000_000

_EXAMPLE = "the text that the Camera Path Editor copies"

# version -> what brings a document of that version to the next; version 1 is the first
MIGRATIONS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = MappingProxyType({})


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
        raise Track2ViewError(f"Field version: {shown(version)} came; it must be {VERSION}.")
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
