"""Values over frames, drawn: axes with round numbers, and where a curve lies between them."""

from __future__ import annotations

import math

import numpy as np

from ..preview.drawing import FAINT, GRID, draw_line, write_text

Curve = tuple[np.ndarray, np.ndarray]  # frames, values


def placed(curve: Curve, area: np.ndarray, most: float, high: float) -> np.ndarray:
    frames, values = curve
    x = area[0] + (area[2] - area[0]) * np.concatenate([[0.0], frames]) / max(most, 1.0)
    y = area[3] - (area[3] - area[1]) * np.concatenate([[0.0], values]).clip(0, high) / high
    return np.stack([x, y], 1)


def draw_axes(picture: np.ndarray, area: np.ndarray, most: float, high: float) -> None:
    left, top, right, bottom = area
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y, x = bottom - share * (bottom - top), left + share * (right - left)
        draw_line(picture, np.array([(left, y), (right, y)]), GRID)
        write_text(picture, f"{share * high:.3g}", (left - 8, y + 4), 9, FAINT, "right")
        write_text(picture, f"{share * most:.0f}", (x, bottom + 18), 9, FAINT, "center")
    write_text(picture, "frame", ((left + right) / 2, bottom + 36), 9, FAINT, "center")


def round_up(value: float) -> float:
    """The next number of the kind 1, 2, 4, 5 or 8 times a power of ten."""
    if value <= 0 or not math.isfinite(value):
        return 0.0
    power = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 5, 8, 10) if step * power >= value * (1 - 1e-9))
