"""What tracks cost a step on ComfyUI's own MODEL: `python -m benchmarks.native_overhead`.

Two MODELs of the same random weights, 1536 wide in two blocks, sample side by side, a step of the one and a step of the
other in turn: one with tracks, one with core's own `time_dim_concat` of the same source latent, which makes the same
sequence of tokens. The first pair, in which the conditioner runs, is left out and told apart. With two blocks the fixed
costs of a step weigh 15 times what they do in the 1.3B model's 30. On the CPU the seconds are those of this process'
work, over all its threads, which other programs do not stretch.
"""

from __future__ import annotations

import argparse

import torch

from .comfyui_host import add_arguments, guider_of, open_host, open_model, prompt, random_condition, random_wan
from .meters import quartiles
from .steps_in_turn import steps_in_turn


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
        guiders = [
            guider_of(host, tracked, prompt(condition, host)),
            guider_of(host, base, prompt(None, host, frames=source)),
        ]
    _report(arguments, *steps_in_turn(guiders, condition.source_latent, arguments.pairs + 1))


def _report(arguments: argparse.Namespace, tracked: torch.Tensor, plain: torch.Tensor) -> None:
    ratio = (tracked / plain)[1:]
    low, middle, high = quartiles(ratio.tolist())
    print(
        f"{arguments.frames} frames of {arguments.size}, {arguments.layers} blocks of 1536, source timestep "
        f"{arguments.source_timestep}, {torch.get_num_threads()} threads"
    )
    print(f"step with tracks / step of time_dim_concat, {len(ratio)} interleaved pairs after the first:")
    print(f"  median {middle:.4f}, quartiles {low:.4f} .. {high:.4f}")
    print(f"  median step {plain[1:].median():.3f} s; first step with tracks {tracked[0]:.3f} s")


if __name__ == "__main__":
    main()
