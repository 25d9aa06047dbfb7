"""Samples beside what they should be: a sheet of a few frames, and all frames as a clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from ..preview import write_picture
from ..preview.drawing import GAP, GROUND, caption, pane
from ..video import VideoClip, write_clip

SHOWN = 4  # frames of a clip on the sheet
_LEAST_SIDE = 128


def contact_sheet(rows: Sequence[Mapping[str, Tensor]]) -> Tensor:  # [h, w, 3] uint8
    """One block a row of clips [T, H, W, 3] uint8 by name: a line of frames for each, under each other."""
    blocks = []
    for clips in rows:
        for name, clip in clips.items():
            shown = torch.linspace(0, len(clip) - 1, min(SHOWN, len(clip))).round().long()
            blocks.append(_line([_tile(clip[t], name if i == 0 else "") for i, t in enumerate(shown.tolist())]))
        blocks.append(_ground(GAP, blocks[-1].shape[1]))
    return torch.cat(blocks[:-1])


def beside_each_other(rows: Sequence[Mapping[str, Tensor]]) -> Tensor:  # [T, h, w, 3] uint8, even sides
    """All frames: one line a row of clips, its clips side by side."""
    count = min(len(clip) for clips in rows for clip in clips.values())
    frames = []
    for t in range(count):
        picture = torch.cat([_line([_tile(clip[t], name) for name, clip in clips.items()]) for clips in rows])
        frames.append(picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2])
    return torch.stack(frames)


def write_samples(rows: Sequence[Mapping[str, Tensor]], folder: Path, step: int, fps: float) -> Tensor:
    """`step_N.png` and `step_N.mp4` in `folder`; returns the sheet."""
    folder.mkdir(parents=True, exist_ok=True)
    sheet = contact_sheet(rows)
    write_picture(sheet, folder / f"step_{step:08d}.png")
    rate = Fraction(fps).limit_denominator(1001)
    write_clip(VideoClip(beside_each_other(rows), rate), folder / f"step_{step:08d}.mp4")
    return sheet


def _tile(picture: Tensor, name: str) -> Tensor:
    height, width = picture.shape[:2]
    times = max(1, -(-_LEAST_SIDE // min(height, width)))
    drawn = pane(picture, (times * width, times * height))
    if name:
        caption(drawn, name)
    return torch.from_numpy(drawn)


def _line(tiles: Sequence[Tensor]) -> Tensor:
    gap = _ground(tiles[0].shape[0], GAP)
    return torch.cat([part for tile in tiles for part in (tile, gap)][:-1], 1)


def _ground(height: int, width: int) -> Tensor:
    return torch.tensor(GROUND, dtype=torch.uint8).expand(height, width, 3)
