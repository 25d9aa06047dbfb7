"""What a source that is computed once saves in every step after the first: `python -m benchmarks.source_once`.

- Operations of a step at real shapes, on the meta device, by torch's FlopCounterMode: `full` on both views; `own`, the
  target alone behind the source's kept keys and values; one view alone, as WAN runs without us.
- Seconds of a step, 1536 wide in few blocks, of the three in turn: diffusers' transformer with the seams, and ComfyUI's
  own MODEL. The first step of each, in which the source and the conditioner run, is left out.

`full` has one timestep for both views here, its cheapest form: with one for every token, diffusers projects each of
them, which weighs much in few blocks and would flatter `own`. On the CPU the seconds are those of this process' work,
over all its threads.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from track2view_core.wan.kept_states import KeptStates
from track2view_core.wan.seams import attach_seams

from . import meters
from .comfyui_host import Host, add_arguments, guider_of, open_host, open_model, prompt, random_condition, random_wan
from .conditioner_flops import BASES
from .steps_in_turn import steps_in_turn
from .training_full_size import random_transformer

FRAMES, HEIGHT, WIDTH, TEXT = (25, 49, 81), 480, 832, 512
OPERATIONS_LIMIT, TIME_LIMIT = 0.52, 0.60  # of `full`
STEPS = ("full", "own", "one view")
PARTS = ("operations", "diffusers", "comfyui")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--size", default="416x256", help="WxH of the timed clip (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=9, help="its video frames (default: %(default)s)")
    parser.add_argument("--layers", type=int, default=2, help="timed blocks (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=15, help="timed steps of each kind (default: %(default)s)")
    arguments = parser.parse_args()
    held = []
    if "operations" in arguments.only:
        held.append(report_operations())
    if "comfyui" in arguments.only:
        host = open_host(arguments.comfyui, cpu=arguments.cpu)
        held.append(report_seconds("ComfyUI's MODEL", arguments, host.device, comfyui_seconds(arguments, host)))
    if "diffusers" in arguments.only:
        device = torch.device("cuda" if torch.cuda.is_available() and not arguments.cpu else "cpu")
        held.append(report_seconds("diffusers", arguments, device, diffusers_seconds(arguments, device)))
    if not all(held):
        raise SystemExit(
            f"own takes more of a full step than it may: {OPERATIONS_LIMIT} of its operations, {TIME_LIMIT} of its time"
        )


def report_operations() -> bool:
    print(f"TFLOP a forward at {WIDTH} x {HEIGHT}, one prompt (a multiply-add is 2)\n")
    print("| base | frames | full | source, once | own, a step | one view | own of full | mean of 8 steps | of 50 |")
    print("|---|---|---|---|---|---|---|---|---|")
    held = True
    for base, settings in BASES.items():
        for frames in FRAMES:
            found = operations(settings, (1, 16, 1 + frames // 4, HEIGHT // 8, WIDTH // 8), TEXT)
            full, once, own, alone = (found[kind] for kind in ("full", "source", "own", "one view"))
            held &= own <= OPERATIONS_LIMIT * full
            means = [(own + once / steps) / full for steps in (8, 50)]
            print(
                f"| {base} | {frames} | {full / 1e12:.1f} | {once / 1e12:.1f} | {own / 1e12:.1f} | {alone / 1e12:.1f} "
                f"| {own / full:.3f} | {means[0]:.3f} | {means[1]:.3f} |",
                flush=True,
            )
    return held


def operations(settings: dict[str, int], shape: tuple[int, ...], text_tokens: int) -> dict[str, int]:
    """Of each of `STEPS` and of the "source", once: matrix products and attention. shape: [1, 16, F, h8, w8]."""
    with torch.device("meta"):
        transformer = WanTransformer3DModel(attention_head_dim=128, **settings)
        view, moment, text = torch.empty(shape), torch.empty(1), torch.empty(1, text_tokens, 4096)
    with torch.no_grad():
        return {kind: _counted(step) for kind, step in _diffusers_steps(transformer, view, view, moment, text).items()}


def _counted(call: Callable[[], Any]) -> int:
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def _diffusers_steps(
    transformer: WanTransformer3DModel,
    target: Tensor,  # [1, 16, F, h8, w8]
    source: Tensor,  # [1, 16, F, h8, w8]
    moment: Tensor,  # [1]
    text: Tensor,  # [1, L, text_dim]
) -> dict[str, Callable[[], Any]]:
    """What runs for each of `STEPS`, and for the "source" once."""

    def full() -> None:
        with attach_seams(transformer, None, source_timestep="same") as seams:
            seams.forward(target, source, moment, text)

    def source_once() -> KeptStates:
        with attach_seams(transformer, None, source_attention="own") as seams:
            return seams.source_states(source, text)

    states = source_once()

    def own() -> None:
        with attach_seams(transformer, None, source_attention="own") as seams:
            seams.forward_target(target, moment, text, states)

    def one_view() -> None:
        transformer(target.to(text), moment, text, return_dict=False)

    return {"source": source_once, "full": full, "own": own, "one view": one_view}


def diffusers_seconds(arguments: argparse.Namespace, device: torch.device) -> Tensor:
    """[steps after the first, kinds of STEPS]."""
    dtype = _dtype(device)
    width, height = map(int, arguments.size.split("x"))
    transformer = random_transformer("1.3B", dtype, device, arguments.layers).eval()
    torch.manual_seed(0)
    target, source = torch.randn(2, 1, 16, 1 + arguments.frames // 4, height // 8, width // 8, device=device)
    moment, text = torch.full((1,), 500.0, device=device), torch.randn(1, TEXT, 4096, device=device, dtype=dtype)
    rounds = []
    with torch.inference_mode():
        steps = _diffusers_steps(transformer, target, source, moment, text)
        for _ in range(1 + arguments.rounds):
            rounds.append([meters.work_seconds(steps[kind], device) for kind in STEPS])
    return torch.tensor(rounds[1:])


def comfyui_seconds(arguments: argparse.Namespace, host: Host) -> Tensor:
    """[steps after the first, kinds of STEPS], of core's sampling with ComfyUI's own wrappers around every forward."""
    dtype = _dtype(host.device)
    width, height = map(int, arguments.size.split("x"))
    state = random_wan("1.3B", layers=arguments.layers, dtype=dtype)
    guiders = []
    with torch.inference_mode():
        for settings in ({"source_timestep": "same"}, {"source_attention": "own"}, None):
            model = open_model(state)
            condition = random_condition(
                host, model, frames=arguments.frames, height=height, width=width, dtype=dtype,
                conditioner_width=256, **(settings or {}),
            )  # fmt: skip
            if settings is not None:
                model = host.native.with_seams(model, condition, host.bridge.managed(condition.bundle.conditioner))
                kept = [note.code for note in host.kept_source.source_notes(model, condition)]
                if kept not in ([], ["source_on_card"]):
                    raise SystemExit(f"ComfyUI has not the memory to keep the source where it computes: {kept}.")
            guiders.append(guider_of(host, model, prompt(None if settings is None else condition, host)))
        seconds = steps_in_turn(guiders, condition.source_latent, 1 + arguments.rounds)
    return seconds.T[1:]


def _dtype(device: torch.device) -> torch.dtype:
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def report_seconds(route: str, arguments: argparse.Namespace, device: torch.device, seconds: Tensor) -> bool:
    print(
        f"\n{route}: {arguments.frames} frames of {arguments.size}, {arguments.layers} blocks of 1536, "
        f"{meters.device_name(device)}, {torch.get_num_threads()} threads, {len(seconds)} rounds after the first\n"
    )
    print("| step | s, median | quartiles | of full, median | quartiles |")
    print("|---|---|---|---|---|")
    shares = seconds / seconds[:, :1]  # of the same round
    for number, kind in enumerate(STEPS):
        low, middle, high = meters.quartiles(seconds[:, number].tolist())
        under, share, over = meters.quartiles(shares[:, number].tolist())
        print(f"| {kind} | {middle:.3f} | {low:.3f} to {high:.3f} | {share:.3f} | {under:.3f} to {over:.3f} |")
    return float(shares[:, STEPS.index("own")].median()) <= TIME_LIMIT


if __name__ == "__main__":
    main()
