"""What an operation on a path is: a function, and what a node or an editor must know to offer it.

`@operation(...)` names the ranges of a function's parameters once. They are checked at every call, and they are what
`OPERATIONS` tells the user interface; defaults are those of the function's signature.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, ParamSpec

import torch
from torch import Tensor

from ..errors import Track2ViewError
from .keyframes import is_number, shown
from .path import CameraPath

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


REGISTERED: dict[str, Operation] = {}


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

        REGISTERED[name] = Operation(
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
