"""Tables of a TOML file as dataclasses: every field known, of the right type, and refused by name where it is not."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ..errors import Track2ViewError

Settings = TypeVar("Settings")
_NAMES = {int: "a whole number", float: "a number", str: "text in quotes", bool: "true or false"}


def read_settings(cls: type[Settings], table: Any, where: str, *, without: frozenset[str] = frozenset()) -> Settings:
    """`table` as the dataclass `cls`; `where` is its dotted name in the file, and `without` names fields not offered.

    Raises:
        Track2ViewError: a field is unknown, missing, of another type or out of range; the message names it.
    """
    if not isinstance(table, Mapping):
        raise Track2ViewError(f"{where} is {table!r}; it must be a table of settings.")
    hints = get_type_hints(cls)
    known = [field for field in fields(cls) if field.name not in without]  # type: ignore[arg-type]
    refuse_unknown(table, [field.name for field in known], where)
    values = {}
    for field in known:
        name = f"{where}.{field.name}" if where else field.name
        if field.name in table:
            values[field.name] = _value(hints[field.name], table[field.name], name)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise Track2ViewError(f"{name} is missing; add it to the config.")
    try:
        return cls(**values)
    except Track2ViewError as error:
        raise Track2ViewError(f"In {where or 'the config'}: {error}") from error


def refuse_unknown(table: Mapping[str, Any], known: list[str], where: str) -> None:
    for name in table:
        if name not in known:
            place = f"of {where}" if where else "at the top of the config"
            full = f"{where}.{name}" if where else name
            raise Track2ViewError(f"{full} is unknown; the fields {place} are {', '.join(sorted(known))}.")


def _value(hint: Any, value: Any, name: str) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):  # X | None
        return _value(next(part for part in inner if part is not type(None)), value, name)
    if origin is Literal:
        if value not in inner or isinstance(value, bool):
            raise Track2ViewError(f"{name} is {value!r}; allowed are {', '.join(map(str, inner))}.")
        return value
    if origin is tuple:
        return _items(inner, value, name)
    if origin in (dict, Mapping):
        if not isinstance(value, dict):
            raise Track2ViewError(f"{name} is {value!r}; it must be a table.")
        return {key: _value(inner[1], entry, f"{name}.{key}") for key, entry in value.items()}
    if isinstance(hint, type) and is_dataclass(hint):
        return read_settings(hint, value, name)
    return _plain(hint, value, name)


def _items(inner: tuple[Any, ...], value: Any, name: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise Track2ViewError(f"{name} is {value!r}; it must be a list in square brackets.")
    kinds = [inner[0]] * len(value) if len(inner) == 2 and inner[1] is Ellipsis else list(inner)
    if len(kinds) != len(value):
        raise Track2ViewError(f"{name} has {len(value)} entries; it must have {len(kinds)}.")
    return tuple(_value(kind, entry, f"{name}[{i}]") for i, (kind, entry) in enumerate(zip(kinds, value, strict=True)))


def _plain(kind: type, value: Any, name: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise Track2ViewError(f"{name} is {value!r}; it must be {_NAMES[kind]}.")
    return value
