"""What the target's queries need of a source that attends to itself alone: its keys and values in every block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar

import torch
from torch import Tensor

Home = Literal["card", "host", "nowhere"]
HOMES = ("card", "host", "nowhere")
Pair = tuple[Tensor, Tensor]  # keys and values
Function = TypeVar("Function", bound=Callable)


def untraced(function: Function) -> Function:
    """Python for torch.compile to step over, which annotates its own decorator as one that is called first."""
    return torch.compiler.disable(function)  # pyright: ignore[reportReturnType]


class KeptStates:
    """A source's keys and values by the number of their block, kept where they were computed or in host memory.

    From host memory those of the next block are on their way while a block computes.
    """

    def __init__(self, *, in_host_memory: bool = False) -> None:
        self._in_host_memory = in_host_memory
        self._pairs: dict[int, Pair] = {}
        self._device = torch.device("cpu")
        self._coming: dict[int, tuple[Pair, torch.Event | None]] = {}
        self._stream: torch.cuda.Stream | None = None

    @property
    def bytes(self) -> int:
        return sum(part.nbytes for pair in self._pairs.values() for part in pair)

    @untraced
    def put(self, block: int, keys: Tensor, values: Tensor) -> None:
        self._device = keys.device
        self._pairs[block] = (_in_host(keys), _in_host(values)) if self._in_host_memory else (keys, values)

    @untraced
    def __getitem__(self, block: int) -> Pair:
        """On the device that computed them."""
        if not self._in_host_memory:
            return self._pairs[block]
        pair, arrived = self._coming.pop(block, None) or self._sent(block)
        order = list(self._pairs)
        following = order[(order.index(block) + 1) % len(order)]  # behind the last one the next step begins
        self._coming = {following: self._sent(following)}
        if arrived is not None:
            now = torch.cuda.current_stream(self._device)
            now.wait_event(arrived)
            for part in pair:
                part.record_stream(now)  # else its memory is handed out while it is read
        return pair

    def _sent(self, block: int) -> tuple[Pair, torch.Event | None]:
        keys, values = self._pairs[block]
        if self._device.type != "cuda":
            return (keys.to(self._device), values.to(self._device)), None
        self._stream = self._stream or torch.cuda.Stream(self._device)
        with torch.cuda.stream(self._stream):
            pair = keys.to(self._device, non_blocking=True), values.to(self._device, non_blocking=True)
            return pair, self._stream.record_event()


def _in_host(part: Tensor) -> Tensor:
    """Pinned where it comes from a card, from where alone copies run beside the computing."""
    if not part.is_cuda:
        return part.cpu()
    return torch.empty(part.shape, dtype=part.dtype, pin_memory=True).copy_(part)
