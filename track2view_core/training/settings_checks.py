"""Checks of settings, one sentence each that names the field and what it may be."""

from __future__ import annotations

import math
from typing import Any

from ..errors import Track2ViewError


def check_shares(settings: Any, *names: str) -> None:
    for name in names:
        if not 0.0 <= getattr(settings, name) <= 1.0:
            raise Track2ViewError(f"{name} is {getattr(settings, name)}; it must be between 0 and 1.")


def check_at_least(settings: Any, least: int, *names: str) -> None:
    for name in names:
        if getattr(settings, name) < least:
            raise Track2ViewError(f"{name} is {getattr(settings, name)}; it must be at least {least}.")


def check_positive(settings: Any, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if not (math.isfinite(value) and value > 0):
            raise Track2ViewError(f"{name} is {value}; it must be a finite number above 0.")


def check_choices(settings: Any, **choices: tuple[str, ...]) -> None:
    for name, allowed in choices.items():
        if getattr(settings, name) not in allowed:
            raise Track2ViewError(f'{name} is "{getattr(settings, name)}"; allowed are {", ".join(allowed)}.')
