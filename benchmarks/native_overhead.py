"""What tracks cost a step on ComfyUI's own MODEL: `python -m benchmarks.native_overhead`.

Two MODELs of the same random weights, 1536 wide in two blocks, sample side by side, a step of the one and a step of the
other in turn: one with tracks, one with core's own `time_dim_concat` of the same source latent, which makes the same
sequence of tokens. The first pair, in which the conditioner runs, is left out and told apart. With two blocks the fixed
costs of a step weigh 15 times what they do in the 1.3B model's 30. On the CPU the seconds are those of this process'
work, over all its threads, which other programs do not stretch.
"""

from __future__ import annotations

import argparse
import threading
import time
from typing import Any

import torch

from .comfyui_host import add_arguments, guider_of, open_host, open_model, prompt, random_condition, random_wan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--size", default="416x256", help="WxH of the clip (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=9, help="video frames (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=31, help="pairs of steps after the first (default: %(default)s)")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--source-timestep", choices=("zero", "same"), default="zero")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    host = open_host(arguments.comfyui, cpu=arguments.cpu)
    state = random_wan("1.3B", layers=arguments.layers)
    with torch.inference_mode():
        base, ours = open_model(state), open_model(state)
        condition = random_condition(
            host,
            ours,
            frames=arguments.frames,
            height=height,
            width=width,
            source_timestep=arguments.source_timestep,
            rotary="shared",
        )
        tracked = host.native.with_seams(ours, condition, host.bridge.managed(condition.bundle.conditioner))
        source = host.bridge.raw_latent(condition.source_latent)["samples"]
        turns = _Turns(2)
        runs = [
            _Run(turns, 0, guider_of(host, tracked, prompt(condition, host)), condition, arguments.pairs + 1),
            _Run(turns, 1, guider_of(host, base, prompt(None, host, frames=source)), condition, arguments.pairs + 1),
        ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    _report(arguments, *(torch.tensor(run.seconds) for run in runs))


def _report(arguments: argparse.Namespace, tracked: torch.Tensor, plain: torch.Tensor) -> None:
    ratio = (tracked / plain)[1:]
    low, middle, high = ratio.quantile(torch.tensor([0.25, 0.5, 0.75])).tolist()
    print(
        f"{arguments.frames} frames of {arguments.size}, {arguments.layers} blocks of 1536, source timestep "
        f"{arguments.source_timestep}, {torch.get_num_threads()} threads"
    )
    print(f"step with tracks / step of time_dim_concat, {len(ratio)} interleaved pairs after the first:")
    print(f"  median {middle:.4f}, quartiles {low:.4f} .. {high:.4f}")
    print(f"  median step {plain[1:].median():.3f} s; first step with tracks {tracked[0]:.3f} s")


class _Turns:
    """Lets `count` threads run one at a time, in order."""

    def __init__(self, count: int):
        self._gates = [threading.Semaphore(int(number == 0)) for number in range(count)]

    def wait(self, number: int) -> None:
        self._gates[number].acquire()

    def hand_on(self, number: int) -> None:
        self._gates[(number + 1) % len(self._gates)].release()


class _Run(threading.Thread):
    """One sampling run that stops before each step until it is its turn."""

    def __init__(self, turns: _Turns, number: int, guider: Any, condition: Any, steps: int):
        super().__init__(daemon=True)
        self._turns, self._number, self._guider, self._steps = turns, number, guider, steps
        self._latent = torch.zeros_like(condition.source_latent)
        self.seconds: list[float] = []

    def run(self) -> None:
        self._turns.wait(self._number)
        with torch.inference_mode():
            sigmas = torch.linspace(1.0, 0.0, self._steps + 1)
            noise = torch.randn(self._latent.shape, generator=torch.Generator().manual_seed(2))
            self._guider.sample(noise, self._latent, self, sigmas, disable_pbar=True, seed=2)
        self._turns.hand_on(self._number)

    def sample(
        self, model: Any, sigmas: torch.Tensor, extra_args: Any, callback: Any, noise: torch.Tensor, *_: Any, **__: Any
    ):
        """What core calls as its sampler: forwards at every sigma, nothing else."""
        options = {"model_options": extra_args["model_options"], "seed": 2}
        for sigma in sigmas[:-1]:
            if self.seconds:
                self._turns.hand_on(self._number)
                self._turns.wait(self._number)
            begin = _clock(noise)
            model(noise, sigma[None], **options)
            self.seconds.append(_clock(noise) - begin)
        return noise

    def max_denoise(self, *_: Any) -> bool:
        return True


def _clock(tensor: torch.Tensor) -> float:
    """Seconds of the card's wall clock, or of this process' work on the CPU, which other programs do not stretch."""
    if tensor.is_cuda:
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


if __name__ == "__main__":
    main()
