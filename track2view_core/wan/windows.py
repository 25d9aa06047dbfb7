"""Long clips: overlapping windows of latent frames, and the weights that blend them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import Track2ViewError


@dataclass(frozen=True)
class Window:
    """Latent frames start .. start + length - 1 of a clip, and how much they overlap their neighbours."""

    start: int
    length: int
    overlap_before: int
    overlap_after: int

    @property
    def frames(self) -> slice:
        return slice(self.start, self.start + self.length)

    @property
    def index(self) -> range:
        return range(self.start, self.start + self.length)

    def weights(self) -> Tensor:
        """[length] float32 above 0: 1 inside, rising and falling linearly over the overlaps."""
        steps = torch.arange(self.length, dtype=torch.float32)
        rise = (steps + 1) / (self.overlap_before + 1)
        fall = (self.length - steps) / (self.overlap_after + 1)
        return torch.minimum(rise, fall).clamp(max=1.0)


def plan_windows(frames: int, length: int, overlap: int | None = None) -> tuple[Window, ...]:
    """Cover `frames` latent frames by evenly spread windows of one length; neighbours share at least `overlap` frames.

    overlap: latent frames; None takes a third of the window. A clip that fits in one window is one window.
    """
    if length < 1 or frames < 1:
        raise Track2ViewError(
            f"A window of {length} latent frames over {frames} is impossible; both must be at least 1."
        )
    if frames <= length:
        return (Window(0, frames, 0, 0),)
    shared = min(max(1, length // 3) if overlap is None else overlap, length - 1)
    if shared < 0:
        raise Track2ViewError(f"overlap is {overlap}; it must be at least 0 latent frames.")
    count = 1 + -(-(frames - length) // (length - shared))
    starts = [round(number * (frames - length) / (count - 1)) for number in range(count)]
    ends = [start + length for start in starts]
    return tuple(
        Window(
            start,
            length,
            0 if number == 0 else ends[number - 1] - start,
            0 if number == count - 1 else ends[number] - starts[number + 1],
        )
        for number, start in enumerate(starts)
    )
