"""How much of the target view the tracks reach, frame by frame."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .drawing import FAINT, GOOD, GRID, GROUND, PANEL, POOR, TEXT, write_text

LOW_COVERAGE = 0.2  # below this the model has little to hold on to


def coverage_band(
    coverage: Tensor,  # [T] 0..1
    *,
    width: int = 900,
    height: int = 56,
    frame: int | None = None,
) -> Tensor:
    """One bar a frame, as high as its share; red below 20 %. `frame` is marked. Returns [height, width, 3] uint8."""
    shares = np.nan_to_num(coverage.detach().cpu().double().numpy()).clip(0, 1)
    band = np.full((height, width, 3), GROUND, np.uint8)
    left, right = min(64, width // 6), width - min(10, width // 20)
    top, bottom = 6, height - 6
    band[top:bottom, left:right] = PANEL
    limit = round(bottom - (bottom - top) * LOW_COVERAGE)
    edges = np.linspace(left, right, len(shares) + 1).round().astype(int)
    gap = 1 if (right - left) / len(shares) >= 4 else 0
    for index, share in enumerate(shares):
        tall = max(2, round((bottom - top) * share))
        color = np.array(POOR if share < LOW_COVERAGE else GOOD)
        if frame is not None and index != frame:
            color = (color * 0.6).astype(int)
        first, last = edges[index], max(edges[index] + 1, edges[index + 1] - gap)
        if share < LOW_COVERAGE:
            band[top:bottom, first:last] = (np.array(PANEL) + np.array(POOR)) // 3
        band[bottom - tall : bottom, first:last] = color
        if index == frame:
            band[top - 4 : top - 1, first:last] = band[bottom + 1 : bottom + 4, first:last] = TEXT
    band[limit, left:right][::6] = band[limit, left:right][1::6] = FAINT
    for share in (0.0, 1.0):
        row = round(bottom - (bottom - top) * share)
        band[row, left - 5 : left] = GRID
    write_text(band, "100 %", (left - 8, top + 9), 8, FAINT, "right")
    write_text(band, "20 %", (left - 8, limit + 2), 8, FAINT, "right")
    return torch.from_numpy(band)
