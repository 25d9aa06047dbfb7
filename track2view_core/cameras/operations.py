"""All operations on a path by name, for one node and one editor to offer."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from torch import Tensor

from ..errors import Track2ViewError
from . import composing, following, retiming, shaping, stabilising  # noqa: F401 (their functions register themselves)
from .composing import relative_move, riding_on
from .operation import REGISTERED, Operation, Parameter
from .path import CameraPath

OPERATIONS: Mapping[str, Operation] = MappingProxyType(REGISTERED)

_INPUT_WORDS = {
    "other": "a second camera path",
    "point": "a point to follow",
    "scene_scale": "the scene scale (point tracks)",
}


def edit_path(
    path: CameraPath,
    name: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    source: CameraPath | None = None,
    scene_scale: float | None = None,
    point: Tensor | None = None,  # [3] or [T, 3] world
    other: CameraPath | None = None,
) -> CameraPath:
    """The path after the operation `name` of OPERATIONS.

    Args:
        parameters: settings that differ from their defaults. A curve may be text such as "0:0, 0.5:0.8, 1:1".
        source: the camera that the path rides on. With it, an operation whose `on_move` is set changes what the path
            adds to that camera, and the camera's own movement stays: reversing an orbit does not reverse the clip's
            own camera. The other operations do not look at it.
        scene_scale, point, other: what the operation's `needs` and `takes` name.

    Raises:
        Track2ViewError: an unknown name or parameter, an input that is missing, a value out of its range.
    """
    chosen = _chosen(name)
    values = {key: _value(chosen, key, value) for key, value in (parameters or {}).items()}
    given = {"scene_scale": scene_scale, "point": point, "other": other}
    for need in chosen.needs:
        if given[need] is None:
            raise Track2ViewError(f"Operation {name} needs {_INPUT_WORDS[need]}; connect one to its input {need}.")
    values |= {name: given[name] for name in (*chosen.needs, *chosen.takes) if given[name] is not None}
    if not chosen.on_move or source is None:
        return chosen.function(path, **values)
    move = relative_move(path, source)
    changed = chosen.function(move, **values)
    return path if changed is move else riding_on(changed, source)


def parse_curve(text: str, where: str) -> tuple[tuple[float, float], ...]:
    """Pairs of text such as "0:1, 0.5:0.2, 1:1": share of the clip, value.

    Raises:
        Track2ViewError: something that is no such pair.
    """
    pairs = []
    for part in text.split(","):
        try:
            at, value = (float(piece) for piece in part.split(":"))
        except ValueError:
            raise Track2ViewError(
                f"{where}: {part.strip()[:40]!r} came; it must be pairs of time and value such as 0:0, 0.5:0.8, 1:1."
            ) from None
        pairs.append((at, value))
    return tuple(pairs)


def operations_table() -> list[dict[str, Any]]:
    """OPERATIONS as plain JSON values, for the browser."""
    return [
        {
            "name": operation.name,
            "description": operation.description,
            "length": operation.length,
            "needs": list(operation.needs),
            "takes": list(operation.takes),
            "on_move": operation.on_move,
            "parameters": [_row(key, parameter) for key, parameter in operation.parameters.items()],
        }
        for operation in OPERATIONS.values()
    ]


def _row(name: str, parameter: Parameter) -> dict[str, Any]:
    row = {"name": name, **vars(parameter)}
    for limit in ("least", "most"):
        row[limit] = row[limit] if math.isfinite(row[limit]) else None
    row["choices"] = list(parameter.choices)
    if parameter.kind == "curve":
        row["default"] = [list(pair) for pair in parameter.default]
    return row


def _chosen(name: str) -> Operation:
    if name not in OPERATIONS:
        near = difflib.get_close_matches(str(name), OPERATIONS, n=1)
        hint = f" (perhaps {near[0]!r} is meant)" if near else ""
        raise Track2ViewError(f"There is no operation {name!r}{hint}; it must be one of {', '.join(OPERATIONS)}.")
    return OPERATIONS[name]


def _value(operation: Operation, name: str, value: Any) -> Any:
    if name not in operation.parameters:
        allowed = ", ".join(operation.parameters) or "none"
        raise Track2ViewError(f"Operation {operation.name} has no field {name!r}; it has {allowed}.")
    if operation.parameters[name].kind == "curve" and isinstance(value, str):
        return parse_curve(value, f"Operation {operation.name}, field {name}")
    return value
