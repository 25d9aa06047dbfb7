"""Settings of an operation as one line of text, such as "degrees=45; rise=10", for a node that offers all of them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import Any

from ..errors import Track2ViewError
from .operation import Operation, Parameter
from .operations import OPERATIONS, parse_curve

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
        values[name] = _value(parameters[name], value, f"Field settings, {name}")
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


def _value(parameter: Parameter, text: str, where: str) -> Any:
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
