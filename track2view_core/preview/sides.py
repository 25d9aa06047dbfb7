"""Clips beside each other, to compare them by eye."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from ..errors import Track2ViewError
from ..progress import Progress
from .drawing import GAP, GROUND, caption, pane, pane_size


def side_by_side(
    left: Tensor,  # [T, H, W, 3] uint8
    right: Tensor,  # [T, H', W', 3] uint8
    labels: tuple[str, str] = ("source", "target"),
    *,
    progress: Progress | None = None,
) -> Tensor:
    """Both clips at one height with their names. Returns [T, h, w, 3] uint8 with even sides."""
    sheet = SideBySide(dict(zip(labels, (left, right), strict=True)))
    pictures = torch.empty((len(left), sheet.height, sheet.width, 3), dtype=torch.uint8)
    for t, picture in enumerate(sheet.pictures()):
        pictures.numpy()[t] = picture
        if progress is not None:
            progress(t + 1, len(left), "Side by side")
    return pictures


class SideBySide:
    """Clips of one length with their names, `columns` in a row, drawn one picture at a time.

    Raises:
        Track2ViewError: the clips differ in length.
    """

    def __init__(self, clips: Mapping[str, Tensor], *, columns: int = 2) -> None:  # name -> [T, H, W, 3] uint8
        first, *others = clips.values()
        for clip in others:
            if len(clip) != len(first):
                raise Track2ViewError(
                    f"The left clip has {len(first)} frames and the right one has {len(clip)}; give two clips of one "
                    "length."
                )
        self.clips, self.columns, self.frames = clips, columns, len(first)
        sizes = [pane_size(clip.shape[2], clip.shape[1]) for clip in clips.values()]
        self._tall = max(size[1] for size in sizes)
        self._wide = [max(2, 2 * round(size[0] * self._tall / size[1] / 2)) for size in sizes]
        rows = [self._wide[at : at + columns] for at in range(0, len(sizes), columns)]
        self.width = max(sum(row) + GAP * (len(row) - 1) for row in rows)
        self.height = len(rows) * (self._tall + GAP) - GAP

    def pictures(self) -> Iterator[np.ndarray]:
        """Each [height, width, 3] uint8, even sides."""
        for t in range(self.frames):
            sheet = np.full((self.height, self.width, 3), GROUND, np.uint8)
            left = top = 0
            for number, (label, clip) in enumerate(self.clips.items()):
                if number and number % self.columns == 0:
                    left, top = 0, top + self._tall + GAP
                picture = pane(clip[t], (self._wide[number], self._tall))
                caption(picture, label)
                sheet[top : top + self._tall, left : left + self._wide[number]] = picture
                left += self._wide[number] + GAP
            yield sheet
