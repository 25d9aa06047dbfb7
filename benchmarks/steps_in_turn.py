"""Several of ComfyUI's MODELs that sample side by side, a step of each in turn, and what every step takes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .meters import work_seconds


def steps_in_turn(guiders: Sequence[Any], latent: Tensor, steps: int) -> Tensor:
    """Seconds [guiders, steps] from noise like `latent`; a step is one call of the MODEL as a sampler makes it."""
    turns = _Turns(len(guiders))
    runs = [_Run(turns, number, guider, latent, steps) for number, guider in enumerate(guiders)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    for run in runs:
        if run.failure is not None:
            raise run.failure
    return torch.tensor([run.seconds for run in runs])


class _Turns:
    """Lets `count` threads run one at a time, in order, until each has left."""

    def __init__(self, count: int):
        self._gates = {number: threading.Semaphore(int(number == 0)) for number in range(count)}

    def wait(self, number: int) -> None:
        self._gates[number].acquire()

    def hand_on(self, number: int) -> None:
        self._following(number).release()

    def leave(self, number: int) -> None:
        following = self._following(number)
        del self._gates[number]  # before another runs, which would hand on to it
        following.release()

    def _following(self, number: int) -> threading.Semaphore:
        order = list(self._gates)
        return self._gates[order[(order.index(number) + 1) % len(order)]]


class _Run(threading.Thread):
    """One sampling run that stops before each step until it is its turn."""

    def __init__(self, turns: _Turns, number: int, guider: Any, latent: Tensor, steps: int):
        super().__init__(daemon=True)
        self._turns, self._number, self._guider, self._steps = turns, number, guider, steps
        self._latent = torch.zeros_like(latent)
        self.seconds: list[float] = []
        self.failure: BaseException | None = None

    def run(self) -> None:
        self._turns.wait(self._number)
        try:
            with torch.inference_mode():
                sigmas = torch.linspace(1.0, 0.0, self._steps + 1)
                noise = torch.randn(self._latent.shape, generator=torch.Generator().manual_seed(2))
                self._guider.sample(noise, self._latent, self, sigmas, disable_pbar=True, seed=2)
        except BaseException as failure:
            self.failure = failure
        finally:
            self._turns.leave(self._number)

    def sample(
        self, model: Any, sigmas: Tensor, extra_args: Any, callback: Any, noise: Tensor, *_: Any, **__: Any
    ) -> Tensor:
        """What core calls as its sampler: forwards at every sigma, nothing else."""
        options = {"model_options": extra_args["model_options"], "seed": 2}
        for sigma in sigmas[:-1]:
            if self.seconds:
                self._turns.hand_on(self._number)
                self._turns.wait(self._number)
            moment = sigma[None]
            self.seconds.append(work_seconds(lambda moment=moment: model(noise, moment, **options), noise.device))
        return noise

    def max_denoise(self, *_: Any) -> bool:
        return True
