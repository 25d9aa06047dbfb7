"""Step time and peak memory at full size on a card: `python -m benchmarks.native_full_size`.

Random weights of the real shape (times and memory do not depend on their values), one prompt, bfloat16. A row for every
length and way of holding the weights, each in a process of its own, since ComfyUI settles its memory once a process:

    whole    ComfyUI's MODEL on the card, weights in bfloat16
    offload  the same with ComfyUI's --lowvram, which streams weights through the card
    fp8      weights stored as fp8_e4m3fn, computed in bfloat16

Beside each: `diffusers`, the plain transformer of diffusers on the same tokens (both views, one timestep, no tracks),
and `floor`, the attention alone of all layers on as many tokens. Ratios are of one run on one card.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from .comfyui_host import BASES, add_arguments, guider_of, open_host, open_model, prompt, random_condition, random_wan
from .meters import device_name, median_seconds, peak_bytes, start_peak, synchronise

REPEATS = 3
WAYS = ("whole", "offload", "fp8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--base", choices=tuple(BASES), default="1.3B")
    parser.add_argument("--size", default="832x480", help="WxH (default: %(default)s)")
    parser.add_argument("--frames", type=int, nargs="+", default=[25, 49, 81])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--tracks", type=int, default=1000)
    parser.add_argument(
        "--steps", type=int, default=4, help="steps a row; the first is not timed (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--one", nargs=2, metavar=("WAY", "FRAMES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments, arguments.one[0], int(arguments.one[1]))))
        return
    rows = []
    for frames in arguments.frames:
        for way in arguments.ways:
            rows.append(_in_a_process(way, frames))
            print(_line(rows[-1]), flush=True)
            if arguments.json:
                arguments.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


def _in_a_process(way: str, frames: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.native_full_size", *sys.argv[1:], "--one", way, str(frames)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        return {"way": way, "frames": frames, "failed": done.returncode}
    return json.loads(done.stdout.splitlines()[-1])


def _line(row: dict[str, Any]) -> str:
    name = f"| {row['frames']} | {row['way']} |"
    if "failed" in row:
        return f"{name} failed (exit {row['failed']}) |"
    over_diffusers, over_floor = row["seconds"] / row["diffusers"], row["seconds"] / row["floor"]
    return (
        f"{name} {row['seconds']:.3f} s | {row['peak'] / 2**30:.2f} GiB | {row['first']:.2f} s | "
        f"{over_diffusers:.3f} x diffusers | {over_floor:.2f} x floor | {row['device']} |"
    )


def measure(arguments: argparse.Namespace, way: str, frames: int) -> dict[str, Any]:
    """One row: median step, peak of the card, the first step (with the conditioner), and what they are held against."""
    width, height = map(int, arguments.size.split("x"))
    host = open_host(arguments.comfyui, cpu=arguments.cpu, low_memory=way == "offload")
    dtype = torch.float32 if host.device.type == "cpu" else torch.bfloat16
    state = random_wan(arguments.base, dtype=dtype)
    options = {"dtype": torch.float8_e4m3fn} if way == "fp8" else {}
    shape = 1 + frames // 4, height // 8, width // 8
    with torch.inference_mode():
        plain = _diffusers_step(arguments.base, state, shape, host.device, dtype)
        floor = _attention_step(arguments.base, shape, host.device, dtype)
        model = open_model(state, **options)
        del state
        condition = random_condition(
            host, model, frames=frames, height=height, width=width, tracks=arguments.tracks, dtype=dtype
        )
        patched = host.native.with_seams(model, condition, host.bridge.managed(condition.bundle.conditioner))
        start_peak(host.device)
        steps = _sample(guider_of(host, patched, prompt(condition, host)), condition, arguments.steps, host.device)
    return {
        "way": way,
        "frames": frames,
        "size": arguments.size,
        "base": arguments.base,
        "first": steps[0],
        "seconds": float(torch.tensor(steps[1:]).median()),
        "peak": peak_bytes(host.device) or 0,
        "diffusers": plain,
        "floor": floor,
        "device": device_name(host.device),
    }


def _sample(guider: Any, condition: Any, steps: int, device: torch.device) -> list[float]:
    """Seconds of each of core's Euler steps, read where core calls back after it."""
    from comfy.samplers import sampler_object

    seconds: list[float] = []
    begin = 0.0

    def after_step(*_: Any) -> None:
        nonlocal begin
        synchronise(device)
        seconds.append(time.perf_counter() - begin)
        begin = time.perf_counter()

    class Euler:
        """core's Euler, with the clock started after the models are loaded."""

        def sample(self, *args: Any, **kwargs: Any) -> Any:
            nonlocal begin
            synchronise(device)
            begin = time.perf_counter()
            return sampler_object("euler").sample(*args, **kwargs)

    noise = torch.randn(condition.source_latent.shape)
    sigmas = torch.linspace(1.0, 0.0, steps + 1)
    guider.sample(noise, torch.zeros_like(noise), Euler(), sigmas, callback=after_step, disable_pbar=True, seed=1)
    return seconds


def _diffusers_step(
    base: str, state: dict[str, Any], shape: tuple[int, ...], device: torch.device, dtype: Any
) -> float:
    """Seconds of diffusers' own transformer on the tokens of both views."""
    from diffusers import WanTransformer3DModel

    from track2view_core.wan.original_layout import dit_from_original

    with torch.device("meta"):
        model = WanTransformer3DModel(attention_head_dim=128, **BASES[base])
    model.load_state_dict(dit_from_original(state), assign=True)
    model.rope = type(model.rope)(128, model.config.patch_size, model.config.rope_max_seq_len)  # no weights of a file
    for name, parameter in model.named_parameters():
        if any(kept in name for kept in model._keep_in_fp32_modules):
            parameter.data = parameter.data.float()
    model = model.to(device).eval()
    latents = torch.randn(1, 16, 2 * shape[0], *shape[1:], device=device, dtype=dtype)
    text = torch.randn(1, 512, 4096, device=device, dtype=dtype)
    timestep = torch.full((1,), 500.0, device=device)
    return median_seconds(lambda: model(latents, timestep, text, return_dict=False), device, REPEATS)


def _attention_step(base: str, shape: tuple[int, ...], device: torch.device, dtype: Any) -> float:
    """Seconds of the self-attention of all layers alone, on the tokens of both views."""
    settings = BASES[base]
    tokens = 2 * shape[0] * (shape[1] // 2) * (shape[2] // 2)
    query = torch.randn(1, settings["num_attention_heads"], tokens, 128, device=device, dtype=dtype)
    attention = torch.nn.functional.scaled_dot_product_attention
    return settings["num_layers"] * median_seconds(lambda: attention(query, query, query), device, REPEATS)


if __name__ == "__main__":
    main()
