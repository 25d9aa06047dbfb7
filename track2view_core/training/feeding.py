"""Batches read ahead in threads. What comes is the same with and without: a batch depends on its step alone."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from .batches import BatchSource
from .seeds import generator_for


class Feed:
    """The batches of one process in the order of steps, from `start` on."""

    def __init__(
        self, source: BatchSource, *, start: int, steps: int, accumulation: int, seed: int, process: int, ahead: int
    ) -> None:
        self.source, self.steps, self.seed, self.process, self.ahead = source, steps, seed, process, ahead
        self._next = ((step, part) for step in range(start, steps) for part in range(accumulation))
        self._pool = ThreadPoolExecutor(ahead, thread_name_prefix="batches") if ahead else None
        self._waiting: deque[Future[Any]] = deque()

    def __enter__(self) -> Feed:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def take(self) -> Any:
        """The next batch."""
        if self._pool is None:
            return self._draw(*next(self._next))
        while len(self._waiting) < self.ahead and (place := next(self._next, None)) is not None:
            self._waiting.append(self._pool.submit(self._draw, *place))
        return self._waiting.popleft().result()

    def _draw(self, step: int, part: int) -> Any:
        generator = generator_for(self.seed, step, self.process, part, "data")
        return self.source.draw(step, self.steps, generator)
