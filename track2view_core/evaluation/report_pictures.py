"""Two pictures of a report: camera errors over time, and the clips it went best and worst with."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import Track2ViewError
from ..preview.drawing import (
    FAINT,
    GAP,
    GOOD,
    GROUND,
    PANEL,
    POOR,
    SOURCE,
    TARGET,
    TEXT,
    Color,
    caption,
    draw_line,
    text_size,
    write_text,
)
from ..video.resizing import resize_picture
from .curves import Curve, draw_axes, placed, round_up
from .report import Report
from .run_manifest import Run
from .scoring import SCORES, RunScores, read_video

COLORS: tuple[Color, ...] = (
    SOURCE,
    TARGET,
    GOOD,
    POOR,
    (190, 130, 240),
    (230, 210, 90),
    (120, 220, 235),
    (200, 200, 200),
)
RANKED_BY = ("rot_err", "psnr", "clip_v", "mat_pix")  # the first that the run has orders its clips
_SHOWN_FRAMES, _PICTURE_WIDTH = 5, 208
_MARGIN, _HEAD, _LEFT, _FOOT = 20, 58, 64, 46


def error_curves(report: Report, *, width: int = 1100, height: int = 460) -> Tensor:
    """RotErr and TransErr over the frames: each method's mean over clips, its clips faint behind. [H, W, 3] uint8."""
    picture = np.full((height, width, 3), GROUND, np.uint8)
    each = (width - 3 * _MARGIN) // 2
    for place, name in enumerate(("rot_err", "trans_err")):
        corner = (_MARGIN + place * (each + _MARGIN), _HEAD)
        _panel(picture, corner, (each, height - _HEAD - _MARGIN), name, report)
    left = _MARGIN
    for number, run in enumerate(report.runs):
        color = COLORS[number % len(COLORS)]
        draw_line(picture, np.array([(left, 30.0), (left + 24.0, 30.0)]), color, 2)
        write_text(picture, run.method, (left + 32, 35), 11, TEXT)
        left += 60 + text_size(run.method, 11)[0]
    return torch.from_numpy(picture)


def clip_sheet(report: Report, runs: Sequence[Run], count: int = 2) -> Tensor:
    """The best and the worst clips of the first method: its source, every method's result and the truth. [H, W, 3]."""
    first = report.runs[0]
    ranked, score = _ranked(first)
    if not ranked:
        picture = np.full((80, 640, 3), GROUND, np.uint8)
        write_text(picture, "No clip has a score to order it by.", (_MARGIN, 46), 12, TEXT)
        return torch.from_numpy(picture)
    chosen = list(dict.fromkeys([*ranked[:count], *ranked[-count:]]))
    blocks = []
    for name in chosen:
        value = next(clip.values[score] for clip in first.clips if clip.name == name)
        where = ranked.index(name) + 1
        told = SCORES[score]
        kind = "best" if where <= (len(ranked) + 1) // 2 else "worst"
        title = f"{kind}: {name}, {told.title} {value:.{told.digits}f} {told.unit}, {where} of {len(ranked)}"
        title += f" ({first.method})"
        blocks.append(_clip_rows(report, runs, name, title))
    width = max(block.shape[1] for block in blocks)
    padded = [np.pad(block, ((0, GAP), (0, width - block.shape[1]), (0, 0))) for block in blocks]
    return torch.from_numpy(np.concatenate(padded))


def _ranked(run: RunScores) -> tuple[list[str], str]:
    """Names from best to worst, and the score they are ordered by."""
    for score in RANKED_BY:
        known = [clip for clip in run.clips if math.isfinite(clip.values.get(score, math.nan))]
        if known:
            known.sort(key=lambda clip: clip.values[score], reverse=SCORES[score].better == "higher")
            return [clip.name for clip in known], score
    return [], ""


def _clip_rows(report: Report, runs: Sequence[Run], name: str, title: str) -> np.ndarray:
    rows: list[tuple[str, Tensor]] = []
    for place, run in enumerate(runs):
        clip = next(clip for clip in run.clips if clip.name == name)
        files = [("source", clip.source)] if place == 0 else []
        files += [(run.method, clip.generated)]
        files += [("true target", clip.target)] if place == len(runs) - 1 else []
        for label, file in files:
            if file is None:
                continue
            try:
                rows.append((label, read_video(run, file)))
            except (Track2ViewError, OSError):
                continue
    strips = [_strip(frames, label) for label, frames in rows]
    head = np.full((30, max((strip.shape[1] for strip in strips), default=640), 3), GROUND, np.uint8)
    write_text(head, title, (6, 20), 11, TEXT)
    return np.concatenate([head, *strips])


def _strip(frames: Tensor, label: str) -> np.ndarray:
    """Frames of the clip beside each other, from the first to the last."""
    chosen = np.linspace(0, len(frames) - 1, _SHOWN_FRAMES).round().astype(int)
    height = max(1, round(_PICTURE_WIDTH * frames.shape[1] / frames.shape[2]))
    strip = np.full((height + 2, _SHOWN_FRAMES * (_PICTURE_WIDTH + 2), 3), GROUND, np.uint8)
    for place, t in enumerate(chosen):
        shown = resize_picture(np.ascontiguousarray(frames[t].numpy()), _PICTURE_WIDTH, height).copy()
        caption(shown, f"{label}, frame {t}" if place == 0 else f"{t}")
        strip[:height, place * (_PICTURE_WIDTH + 2) : place * (_PICTURE_WIDTH + 2) + _PICTURE_WIDTH] = shown
    return strip


def _panel(picture: np.ndarray, corner: tuple[int, int], size: tuple[int, int], score: str, report: Report) -> None:
    (left, top), (width, height) = corner, size
    picture[top : top + height, left : left + width] = PANEL
    told = SCORES[score]
    write_text(
        picture, f"{told.title} {told.unit} over frames".replace("°", "(degrees)"), (left + 12, top + 22), 11, TEXT
    )
    lines = [_curves(run, score, report) for run in report.runs]
    drawn = [curve for clips, _ in lines for curve in clips]
    if not drawn:
        write_text(picture, "missing", (left + width / 2, top + height / 2), 12, FAINT, "center")
        return
    most = max(float(frames.max()) for frames, _ in drawn)
    tops = [float(values.max()) for _, mean in lines if mean is not None for values in [mean[1]]]
    high = round_up(1.6 * max(tops)) or 1.0
    area = np.array([left + _LEFT, top + 36, left + width - 16, top + height - _FOOT], dtype=float)
    draw_axes(picture, area, most, high)
    for number, (clips, _) in enumerate(lines):
        color = COLORS[number % len(COLORS)]
        faint: Color = tuple((3 * p + c) // 4 for p, c in zip(PANEL, color, strict=True))  # type: ignore[assignment]
        for curve in clips:
            draw_line(picture, placed(curve, area, most, high), faint, 1)
    for number, (_, mean) in enumerate(lines):
        if mean is not None:
            thickness = min(2 + 2 * (len(lines) - 1 - number), 6)  # one below another still shows
            draw_line(picture, placed(mean, area, most, high), COLORS[number % len(COLORS)], thickness)


def _curves(run: RunScores, score: str, report: Report) -> tuple[list[Curve], Curve | None]:
    """Every clip's curve, and their mean where all have the same frames."""
    clips = [clip for clip in report.counted(run) if score in clip.curves]
    curves = [(np.array(clip.curves["frames"]), np.array(clip.curves[score])) for clip in clips]
    if not curves or any(not np.array_equal(frames, curves[0][0]) for frames, _ in curves):
        return curves, None
    return curves, (curves[0][0], np.mean([values for _, values in curves], axis=0))
