"""Operations on a path: declared once, then offered by name to a node, an editor and a line of text.

`@operation(...)` names the ranges of a function's parameters once. They are checked at every call, and they are what
`OPERATIONS` tells the user interface; defaults are those of the function's signature. The operations themselves stand
beside this file, by kind: composing, following, retiming, shaping.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, ParamSpec

import torch
from torch import Tensor

from ...errors import Track2ViewError
from ..keyframes.documents import is_number, shown
from ..path import CameraPath, relative_move, riding_on

P = ParamSpec("P")
Kind = Literal["number", "whole", "choice", "switch", "curve"]

INPUTS = ("other", "point", "scene_scale")  # what an operation may need beside its parameters


@dataclass(frozen=True)
class Parameter:
    """One setting of an operation."""

    kind: Kind
    description: str
    least: float = -math.inf
    most: float = math.inf
    choices: tuple[str, ...] = ()
    unit: str = ""
    default: Any = None

    def check(self, value: Any, where: str) -> None:
        """Raises Track2ViewError, naming `where`, when the value is not of this kind or not in its range."""
        wanted = self._refusal(value)
        if wanted:
            raise Track2ViewError(f"{where}: {shown(value)} came; it must be {wanted}.")

    def _refusal(self, value: Any) -> str:
        if self.kind == "choice":
            return "" if value in self.choices else " or ".join(repr(choice) for choice in self.choices)
        if self.kind == "switch":
            return "" if isinstance(value, bool) else "true or false"
        limits = f"from {self.least:.10g} to {self.most:.10g}"
        if self.kind == "curve":
            return "" if _is_curve(value, self.least, self.most) else f"pairs of time 0..1, rising, and value {limits}"
        whole = self.kind == "whole"
        fits = is_number(value) and self.least <= value <= self.most and not (whole and value != int(value))
        return "" if fits else f"a {'whole ' if whole else ''}number {limits}"


def _is_curve(value: Any, least: float, most: float) -> bool:
    if not isinstance(value, tuple | list) or not 1 <= len(value) <= 1000:
        return False
    before = -1.0
    for pair in value:
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(is_number(part) for part in pair):
            return False
        if not (before < pair[0] and 0 <= pair[0] <= 1 and least <= pair[1] <= most):
            return False
        before = pair[0]
    return True


def number(least: float, most: float, description: str, unit: str = "") -> Parameter:
    return Parameter("number", description, least, most, unit=unit)


def whole(least: int, most: int, description: str, unit: str = "") -> Parameter:
    return Parameter("whole", description, least, most, unit=unit)


def choice(choices: tuple[str, ...], description: str) -> Parameter:
    return Parameter("choice", description, choices=choices)


def switch(description: str) -> Parameter:
    return Parameter("switch", description)


def curve(least: float, most: float, description: str) -> Parameter:
    """Pairs (share of the clip 0..1, value); in text "0:1, 0.5:0.2, 1:1"."""
    return Parameter("curve", description, least, most)


@dataclass(frozen=True)
class Operation:
    """An operation by name. `function(path, **inputs, **parameters)` makes the new path."""

    name: str
    description: str
    length: str  # how many frames come out
    parameters: Mapping[str, Parameter]
    needs: tuple[str, ...]  # of INPUTS
    takes: tuple[str, ...]  # of INPUTS, where they are given
    on_move: bool  # with a source it changes the move on top of that camera, and the source's own movement stays
    function: Callable[..., CameraPath]


_REGISTERED: dict[str, Operation] = {}
OPERATIONS: Mapping[str, Operation] = MappingProxyType(_REGISTERED)  # filled by the modules of this folder


def operation(
    description: str, *, on_move: bool = False, length: str = "the same", **ranges: Parameter
) -> Callable[[Callable[P, CameraPath]], Callable[P, CameraPath]]:
    """Register a function `(path, *, inputs, parameters) -> CameraPath` under its own name, checked at each call.

    A path that comes out with the same poses and lenses may be the very object that went in.
    """

    def register(function: Callable[P, CameraPath]) -> Callable[P, CameraPath]:
        signature = inspect.signature(function)
        name = function.__name__
        parameters = {
            key: Parameter(**{**vars(ranges[key]), "default": signature.parameters[key].default}) for key in ranges
        }
        inputs = {key: signature.parameters[key].default for key in INPUTS if key in signature.parameters}
        needs = tuple(key for key, default in inputs.items() if default is inspect.Parameter.empty)
        takes = tuple(key for key in inputs if key not in needs)
        assert {*parameters, *inputs} == {*signature.parameters} - {"path"}, (
            f"{name} leaves a parameter without a range"
        )

        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> CameraPath:
            bound = signature.bind(*args, **kwargs)
            for key, parameter in parameters.items():
                if key in bound.arguments:
                    parameter.check(bound.arguments[key], f"Operation {name}, field {key}")
            return function(*args, **kwargs)

        _REGISTERED[name] = Operation(
            name, description, length, MappingProxyType(parameters), needs, takes, on_move, checked
        )
        return checked

    return register


def checked_point(point: Tensor, path: CameraPath) -> Tensor:
    """A world point as `[T, 3]` float64 on the path's device: `[3]` holds still, `[T, 3]` moves with the clip.

    Raises:
        Track2ViewError: another shape, or a number that is not finite.
    """
    point = torch.as_tensor(point)
    if tuple(point.shape) not in ((3,), (len(path), 3)):
        raise Track2ViewError(
            f"The point has shape {list(point.shape)}; with a path of {len(path)} frames it must be [3] or "
            f"[{len(path)}, 3]."
        )
    if not point.isfinite().all():
        raise Track2ViewError("The point holds NaN or infinity; choose one that is tracked in every frame.")
    return point.to(path.device).to(torch.float64).expand(len(path), 3)


# --- by name, for a node and an editor --------------------------------------------------------------------------------


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
    values = {key: _typed(chosen, key, value) for key, value in (parameters or {}).items()}
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


def _chosen(name: str) -> Operation:
    if name not in OPERATIONS:
        near = difflib.get_close_matches(str(name), OPERATIONS, n=1)
        hint = f" (perhaps {near[0]!r} is meant)" if near else ""
        raise Track2ViewError(f"There is no operation {name!r}{hint}; it must be one of {', '.join(OPERATIONS)}.")
    return OPERATIONS[name]


def _typed(operation: Operation, name: str, value: Any) -> Any:
    if name not in operation.parameters:
        allowed = ", ".join(operation.parameters) or "none"
        raise Track2ViewError(f"Operation {operation.name} has no field {name!r}; it has {allowed}.")
    if operation.parameters[name].kind == "curve" and isinstance(value, str):
        return parse_curve(value, f"Operation {operation.name}, field {name}")
    return value


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


# --- settings as one line of text, such as "degrees=45; rise=10" ------------------------------------------------------


_SWITCHES = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def read_settings(text: str, operation: str) -> dict[str, Any]:
    """The values of "name=value; name=value" for one of OPERATIONS; empty text has none.

    Ranges are checked by the operation itself.

    Raises:
        Track2ViewError: a part that is no name=value, a name the operation does not have, a value of another kind.
    """
    parameters = OPERATIONS[operation].parameters
    values: dict[str, Any] = {}
    for part in text.split(";"):
        if not part.strip():
            continue
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value:
            raise Track2ViewError(
                f"Field settings: {part.strip()[:40]!r} came; it must be name=value, more of them separated by "
                f"semicolons, such as {settings_example(OPERATIONS[operation])}."
            )
        if name not in parameters:
            near = difflib.get_close_matches(name, parameters, n=1)
            hint = f"perhaps {near[0]!r} is meant" if near else f"it has {', '.join(parameters) or 'none'}"
            raise Track2ViewError(f"Field settings: {operation} has no setting {name[:40]!r}; {hint}.")
        if name in values:
            raise Track2ViewError(f"Field settings: {name} is given twice; keep one of them.")
        values[name] = _value_of_text(parameters[name], value, f"Field settings, {name}")
    return values


def chosen_settings(operation: str, text: str, **fields: Any) -> dict[str, Any]:
    """Settings of the text, and of those fields that the operation has; it does not look at the others.

    Raises:
        Track2ViewError: as `read_settings`, or the text names one of the fields.
    """
    values = read_settings(text, operation)
    for name in fields:
        if name in values:
            raise Track2ViewError(f"Field settings: {name} has a field of its own on the node; set it there.")
    return values | {name: value for name, value in fields.items() if name in OPERATIONS[operation].parameters}


def _value_of_text(parameter: Parameter, text: str, where: str) -> Any:
    if parameter.kind == "curve":
        return parse_curve(text, where)
    if parameter.kind == "choice":
        return text
    if parameter.kind == "switch":
        if text.lower() not in _SWITCHES:
            raise Track2ViewError(f"{where}: {text[:40]!r} came; it must be true or false.")
        return _SWITCHES[text.lower()]
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise Track2ViewError(f"{where}: {text[:40]!r} came; it must be a number.")
    return int(number) if parameter.kind == "whole" and number == int(number) else number


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


def settings_text(operation: Operation, values: Mapping[str, Any]) -> str:
    """All settings of an operation with these values, the others at their defaults, as `read_settings` reads them."""
    shown = {name: values.get(name, parameter.default) for name, parameter in operation.parameters.items()}
    return "; ".join(f"{name}={_shown(value)}" for name, value in shown.items())


def settings_example(operation: Operation) -> str:
    """The settings at their defaults, or what stands for none."""
    return settings_text(operation, {}) or "an empty field, since this operation has no settings"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return ", ".join(f"{at:g}:{number:g}" for at, number in value)
    return f"{value:g}" if isinstance(value, int | float) else str(value)
