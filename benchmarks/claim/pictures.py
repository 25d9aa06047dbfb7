"""Loss curves and contact sheets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.clip_figures import contact_sheet

_COLOURS = ((31, 119, 180), (23, 190, 207), (214, 39, 40), (255, 127, 14), (148, 103, 189), (60, 60, 60))  # RGB
_PANEL, _LEGEND = (760, 560), 300  # pixels
_LEFT, _TOP, _BOTTOM, _RIGHT = 90, 60, 60, 20
_FONT, _LABEL_WIDTH = cv2.FONT_HERSHEY_SIMPLEX, 200
_SMOOTH = 0.95  # of the running mean


def losses(log: Path) -> np.ndarray:
    """[steps] of one run's log."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return np.array([line["loss"] for line in lines if "loss" in line])


def smoothed(values: np.ndarray) -> np.ndarray:
    """Running mean without a bias towards the start."""
    out, total, weight = np.empty(len(values)), 0.0, 0.0
    for i, value in enumerate(values):
        total, weight = _SMOOTH * total + (1 - _SMOOTH) * value, _SMOOTH * weight + (1 - _SMOOTH)
        out[i] = total / weight
    return out


def curves(runs: Mapping[str, Mapping[int, np.ndarray]], baseline: str) -> np.ndarray | None:
    """[h, w, 3] uint8, BGR: each arm's loss, and beside it the loss less the baseline's on the same pairs and noise.

    runs: for every arm the losses [steps] of its finished seeds; means are over the seeds that all of them have.
    """
    shared = set.intersection(*(set(seeds) for seeds in runs.values())) if runs else set()
    if not shared:
        return None
    means = {name: np.mean([seeds[seed] for seed in sorted(shared)], 0) for name, seeds in runs.items()}
    panels = [_panel({name: smoothed(values) for name, values in means.items()}, "training loss")]
    if baseline in means and len(means) > 1:
        less = {name: smoothed(values - means[baseline]) for name, values in means.items() if name != baseline}
        panels.append(_panel(less, f"the same less that of: {baseline}", list(means)))
    return np.concatenate([*panels, _legend(list(means))], 1)


def _legend(names: Sequence[str]) -> np.ndarray:
    picture = np.full((_PANEL[1], _LEGEND, 3), 255, np.uint8)
    for row, name in enumerate(names):
        y = _TOP + 20 + 30 * row
        cv2.line(picture, (10, y - 5), (40, y - 5), _colour(name, names), 3, cv2.LINE_AA)
        cv2.putText(picture, name, (50, y), _FONT, 0.55, (30, 30, 30), 1, cv2.LINE_AA)
    return picture


def _colour(name: str, names: Sequence[str]) -> tuple[int, ...]:
    return _COLOURS[names.index(name) % len(_COLOURS)][::-1]


def _panel(lines: Mapping[str, np.ndarray], title: str, order: Sequence[str] | None = None) -> np.ndarray:
    width, height = _PANEL
    picture = np.full((height, width, 3), 255, np.uint8)
    skipped = min(20, min(map(len, lines.values())) - 1)  # the first steps are all alike and stretch the scale
    shown = np.concatenate([values[skipped:] for values in lines.values()])
    low, high = float(shown.min()), float(shown.max()) + 1e-9
    steps = max(map(len, lines.values()))

    def place(step: float, value: float) -> tuple[int, int]:
        x = _LEFT + (width - _LEFT - _RIGHT) * step / max(1, steps - 1)
        return round(x), round(_TOP + (height - _TOP - _BOTTOM) * (high - value) / (high - low))

    for share in np.linspace(0, 1, 6):
        value = low + share * (high - low)
        (x, y), end = place(0, value), place(steps - 1, value)
        cv2.line(picture, (x, y), end, (225, 225, 225), 1)
        cv2.putText(picture, f"{value:.3f}", (8, y + 5), _FONT, 0.5, (60, 60, 60), 1, cv2.LINE_AA)
        mark = place(share * (steps - 1), low)
        cv2.putText(
            picture, f"{share * steps:.0f}", (mark[0] - 15, mark[1] + 25), _FONT, 0.5, (60, 60, 60), 1, cv2.LINE_AA
        )
    names = list(order or lines)
    for name, values in lines.items():
        points = np.array([place(step, value) for step, value in enumerate(values) if step >= skipped], np.int32)
        cv2.polylines(picture, [points], False, _colour(name, names), 2, cv2.LINE_AA)
    cv2.putText(picture, title, (_LEFT, 35), _FONT, 0.7, (30, 30, 30), 1, cv2.LINE_AA)
    return picture


def sheet(rows: Mapping[str, Path]) -> np.ndarray | None:
    """The frames of every row under each other; None where one is missing."""
    strips = {name: cv2.imread(str(file)) for name, file in rows.items()}
    return None if any(strip is None for strip in strips.values()) else contact_sheet(strips, _LABEL_WIDTH)
