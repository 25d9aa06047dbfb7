"""A training step of WAN 2.1 at full width: `python -m benchmarks.training_full_size`.

Random weights of the real shape (times and memory do not depend on their values): the frozen base in bfloat16, LoRA and
conditioner in float32, gradient checkpointing, AdamW. Printed: parameters, the share that is trained, that no frozen
parameter got a gradient; then a row for every length: time of a step, tokens a second, peak memory, and the time
against its floor, the step's operations (counted by torch on shapes alone, recomputation and backward pass included)
over the measured rate of one large matrix product.

With a card, 480 x 832 at 25, 49 and 81 frames; without one, a single small row in float32 (a CPU may have no products
in bfloat16), which takes 11 GB of memory.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import meters
from benchmarks.conditioner_flops import BASES
from track2view_core.conditioner import ConditionerConfig, TrackConditioner
from track2view_core.tracks import TrackBatch
from track2view_core.training import CameraBatch, ConditionerObjective, FlowSettings, PairBatch
from track2view_core.training.objectives import keep_time_in_float32, recompute_activations
from track2view_core.wan.lora import add_lora
from track2view_core.wan.memory.time_estimate import matrix_rate

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
WIDTHS = {"1.3B": (1536, 1536, 12), "14B": (5120, 1536, 12)}  # of tokens, conditioner; its heads


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    card = torch.cuda.is_available()
    parser.add_argument("--base", choices=tuple(BASES), default="1.3B")
    parser.add_argument("--size", default="832x480" if card else "64x64", help="WxH (default: %(default)s)")
    parser.add_argument("--frames", type=int, nargs="+", default=[25, 49, 81] if card else [5])
    parser.add_argument("--tracks", type=int, default=1000 if card else 32)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--width", type=int, help="of the conditioner (default: the base's config)")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=3 if card else 1, help="timed steps a row, after one that is not")
    parser.add_argument("--text", type=int, default=512 if card else 16, help="tokens of the prompt")
    parser.add_argument("--dtype", choices=tuple(DTYPES), default="bf16" if card else "fp32", help="of the base")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    arguments = parser.parse_args()
    device = torch.device("cuda" if card else "cpu")
    print(f"{arguments.base}, {meters.device_name(device)}, torch {torch.__version__}", flush=True)
    objective = random_objective(arguments, device)
    print(parameter_table(objective), flush=True)
    optimiser = torch.optim.AdamW([p for p in objective.module.parameters() if p.requires_grad], lr=1e-4)
    rate = matrix_rate(device, DTYPES[arguments.dtype])
    print(f"one matrix product in {arguments.dtype}: {rate / 1e12:.3f} TFLOP/s", flush=True)
    rows = []
    for frames in arguments.frames:
        rows.append(measured(arguments, objective, optimiser, frames, rate))
        print(line(rows[-1]), flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


def random_objective(arguments: argparse.Namespace, device: torch.device) -> ConditionerObjective:
    """The real architecture on `device`; on `meta`, its shapes."""
    torch.manual_seed(0)
    dim, width, heads = WIDTHS[arguments.base]
    width = arguments.width or width
    transformer = random_transformer(arguments.base, DTYPES[arguments.dtype], device)
    add_lora(transformer, arguments.rank, float(arguments.rank))
    heads = heads if arguments.width is None else width // 128
    with torch.device(device):
        conditioner = TrackConditioner(ConditionerConfig(dim=dim, width=width, heads=heads))
    if device.type != "meta":  # which knows no autocast
        keep_time_in_float32(transformer)
    recompute_activations(transformer, conditioner)
    objective = ConditionerObjective(transformer, conditioner, FlowSettings())
    objective.module.to(device)
    return objective


def random_transformer(
    base: str, weights: torch.dtype, device: torch.device, layers: int | None = None
) -> WanTransformer3DModel:
    """Frozen, in `weights` but for what WAN keeps in float32; never held twice. layers: None for as many as it has."""
    settings = BASES[base] if layers is None else {**BASES[base], "num_layers": layers}
    with torch.device("meta"):
        model = WanTransformer3DModel(attention_head_dim=128, **settings)
    kept = set(WanTransformer3DModel._keep_in_fp32_modules)
    for name, parameter in list(model.named_parameters()):
        dtype = torch.float32 if kept & set(name.split(".")) else weights
        value = torch.empty(parameter.shape, dtype=dtype, device=device)
        if device.type != "meta":  # a repeated pattern: drawing billions of numbers takes longer than the step
            pattern = 0.02 * torch.randn(min(value.numel(), 999_983), device=device)
            value.view(-1).copy_(pattern.repeat(-(-value.numel() // len(pattern)))[: value.numel()])
        module, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(module), leaf, torch.nn.Parameter(value, requires_grad=False))
    with torch.device(device):
        model.rope = type(model.rope)(128, model.config.patch_size, model.config.rope_max_seq_len)
    return model


def parameter_table(objective: ConditionerObjective) -> str:
    counts = {"base, frozen": 0, "LoRA": 0, "conditioner": 0}
    for name, parameter in objective.module.named_parameters():
        part = "conditioner" if name.startswith("conditioner.") else "LoRA" if "lora_" in name else "base, frozen"
        assert parameter.requires_grad == (part != "base, frozen"), name
        counts[part] += parameter.numel()
    trained, total = counts["LoRA"] + counts["conditioner"], sum(counts.values())
    lines = [f"{name}: {count / 1e6:.1f} M parameters" for name, count in counts.items()]
    return "\n".join([*lines, f"trained: {trained / 1e6:.1f} M of {total / 1e6:.1f} M, {trained / total:.2%}"])


def random_batch(arguments: argparse.Namespace, frames: int, device: torch.device) -> PairBatch:
    width, height = map(int, arguments.size.split("x"))
    latent_frames, count, tracks = 1 + frames // 4, arguments.batch, arguments.tracks
    with torch.device(device):
        xy = torch.rand(count, latent_frames, tracks, 2) * torch.tensor([width, height])
        depth = 1 + 3 * torch.rand(count, latent_frames, tracks)
        seen = torch.rand(count, latent_frames, tracks) < 0.8
        inside = torch.ones_like(seen)
        latents = torch.randn(2, count, 16, latent_frames, height // 8, width // 8)
        cameras = CameraBatch(
            torch.eye(4).expand(count, latent_frames, 4, 4), torch.eye(3).expand(count, latent_frames, 3, 3)
        )
        return PairBatch(
            latents[0],
            latents[1],
            TrackBatch(xy, xy, depth, depth, 1 / depth, 1 / depth, inside, inside, seen, (height, width)),
            torch.randn(count, arguments.text, 4096),
            cameras,
            cameras,
        )


def one_step(
    objective: ConditionerObjective, batch: PairBatch, optimiser: torch.optim.Optimizer | None
) -> torch.Tensor:
    kind = "cpu" if batch.source.is_meta else batch.source.device.type
    half = objective.transformer.patch_embedding.weight.dtype == torch.bfloat16
    with torch.autocast(kind, torch.bfloat16, enabled=half):
        loss = objective.loss(batch, torch.Generator().manual_seed(0))
    loss.backward()
    if optimiser is not None:
        trained = [p for p in objective.module.parameters() if p.requires_grad]
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
    return loss.detach()


def operations(arguments: argparse.Namespace, frames: int) -> int:
    """Of one step, matrix products and attention, counted on shapes."""
    meta = torch.device("meta")
    objective, batch = random_objective(arguments, meta), random_batch(arguments, frames, meta)
    with FlopCounterMode(display=False) as counter:
        one_step(objective, batch, None)
    return counter.get_total_flops()


def measured(
    arguments: argparse.Namespace, objective: ConditionerObjective, optimiser: Any, frames: int, rate: float
) -> dict[str, Any]:
    device = next(objective.module.parameters()).device
    batch = random_batch(arguments, frames, device)
    meters.start_peak(device)
    loss = one_step(objective, batch, optimiser)
    with_gradient = [name for name, p in objective.module.named_parameters() if p.grad is not None]
    frozen = [name for name, p in objective.module.named_parameters() if not p.requires_grad]
    assert not set(with_gradient) & set(frozen), "a frozen parameter got a gradient"
    assert loss.isfinite(), "the loss is not finite"

    def step() -> None:
        one_step(objective, batch, optimiser)
        optimiser.zero_grad(set_to_none=True)

    optimiser.zero_grad(set_to_none=True)
    seconds = [meters.seconds(step, device) for _ in range(arguments.steps)]
    height, width = batch.tracks.image_size
    tokens = 2 * arguments.batch * (1 + frames // 4) * (height // 16) * (width // 16)
    median, needed = sorted(seconds)[len(seconds) // 2], operations(arguments, frames)
    return {
        "base": arguments.base,
        "size": arguments.size,
        "frames": frames,
        "batch": arguments.batch,
        "rank": arguments.rank,
        "loss": float(loss),
        "frozen_without_gradient": len(frozen),
        "trained_with_gradient": len(with_gradient),
        "seconds": median,
        "tokens": tokens,
        "operations": needed,
        "floor": needed / rate,
        "peak": meters.peak_bytes(device),
    }


def line(row: dict[str, Any]) -> str:
    peak = "" if row["peak"] is None else f", peak {row['peak'] / 2**30:.1f} GiB"
    speed = f"{row['tokens'] / row['seconds']:.0f} tokens/s of {row['tokens']}"
    return (
        f"{row['size']} x {row['frames']}, batch {row['batch']}: all {row['frozen_without_gradient']} frozen tensors "
        f"without gradient, {row['trained_with_gradient']} trained; {row['seconds']:.2f} s a step, "
        f"{speed}{peak}; {row['operations'] / 1e12:.2f} TFLOP, "
        f"{row['seconds'] / row['floor']:.2f} x the floor"
    )


if __name__ == "__main__":
    main()
