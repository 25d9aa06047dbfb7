"""Trains the tiny WAN transformer (the base prior), then LoRA and conditioner on the frozen base."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from ..conditioner import ConditionerConfig, TrackConditioner
from ..wan.lora import add_lora
from ..wan.seams import Seams, attach_seams
from .checkpoint import load_checkpoint, save_checkpoint
from .flow_matching import noise
from .latents import Size
from .muon import Muon
from .pairs import PairBatch, PairDraw, RenderedPairs


@dataclass(frozen=True)
class DitTraining:
    """One stage; `steps` is also what the learning rate's cosine runs over."""

    steps: int
    half: PairDraw = field(default_factory=lambda: PairDraw(batch=8, tracks=(48, 112)))
    full: PairDraw = field(default_factory=lambda: PairDraw(batch=3, tracks=(96, 224)))
    full_from: float = 0.12  # from this share of the steps on, every other batch is at the rendered size
    adam_rate: float = 1.5e-3
    muon_rate: float = 0.02
    shift: float = 3.0
    ema: float = 0.998
    lora_rank: int = 32
    seed: int = 0


CHECKPOINT_EVERY = 200  # steps
TINY_CONDITIONER = ConditionerConfig(dim=128, width=64, layers=8, heads=2, scatter_level="latent")


def tiny_transformer(seed: int = 0) -> WanTransformer3DModel:
    """WAN 2.1's architecture, 128 wide with 8 layers, starting near the optimal linear denoiser."""
    torch.manual_seed(seed)
    transformer = WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=1,
        attention_head_dim=128,
        in_channels=16,
        out_channels=16,
        text_dim=4096,
        freq_dim=256,
        ffn_dim=512,
        num_layers=8,
        rope_max_seq_len=1024,
    )
    with torch.no_grad():
        weight = transformer.patch_embedding.weight
        nn.init.orthogonal_(weight.view(weight.shape[0], -1))
        out = transformer.proj_out.weight  # rows (1, 2, 2, channel), as the transformer unpatches
        out.copy_(0.5 * weight.permute(2, 3, 4, 1, 0).reshape(out.shape))
        transformer.proj_out.bias.zero_()
        transformer.condition_embedder.text_embedder.linear_1.weight.zero_()  # its prompt is all zeros
    return transformer


def _optimisers(parameters: dict[str, Tensor], config: DitTraining) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices, Adam for everything that meets inputs, outputs or a low rank."""
    hidden, others = [], []
    for name, parameter in parameters.items():
        matrix = parameter.ndim == 2 and "blocks." in name and "lora" not in name and "scale_shift" not in name
        (hidden if matrix else others).append(parameter)
    return [
        Muon(hidden, lr=config.muon_rate),
        torch.optim.AdamW(others, lr=config.adam_rate, betas=(0.9, 0.98), weight_decay=0.01),
    ]


def _learning_rate(step: int, steps: int) -> float:
    progress = max(0.0, (step / steps - 0.1) / 0.9)
    return min(1.0, (step + 1) / 50) * max(0.02, 0.5 + 0.5 * math.cos(math.pi * progress))


def _train(
    model: nn.Module,
    loss_of: Callable[[PairBatch, torch.Generator], Tensor],
    pairs: Mapping[Size, RenderedPairs],
    config: DitTraining,
    folder: Path,
    name: str,
) -> dict[str, Tensor]:
    """The loop of both stages, resumed from `<name>.pt`, logged to `<name>.jsonl`; returns the averaged weights."""
    trainable = {key: p for key, p in model.named_parameters() if p.requires_grad}
    average = {key: p.detach().clone() for key, p in trainable.items()}
    optimisers = _optimisers(trainable, config)
    rates = [[group["lr"] for group in optimiser.param_groups] for optimiser in optimisers]
    start = load_checkpoint(folder / f"{name}.pt", model, optimisers, average)
    began, smooth = time.monotonic(), {"half": math.nan, "full": math.nan}
    for step in range(start, config.steps):
        generator = torch.Generator().manual_seed(config.seed * 10_000_019 + step)  # the data of a step never changes
        size: Size = "full" if step % 2 and step >= config.full_from * config.steps else "half"
        loss = loss_of(pairs[size].draw(getattr(config, size), generator), generator)
        for parameter in trainable.values():
            parameter.grad = None
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainable.values(), 1.0)
        for optimiser, base in zip(optimisers, rates, strict=True):
            for group, rate in zip(optimiser.param_groups, base, strict=True):
                group["lr"] = rate * _learning_rate(step, config.steps)
            optimiser.step()
        decay = min(config.ema, (step + 1) / (step + 10))
        with torch.no_grad():
            for key, parameter in trainable.items():
                average[key].lerp_(parameter, 1 - decay)
        value = loss.item()
        smooth[size] = value if math.isnan(smooth[size]) else 0.98 * smooth[size] + 0.02 * value
        if (step + 1) % CHECKPOINT_EVERY == 0 or step + 1 == config.steps:
            save_checkpoint(folder / f"{name}.pt", step + 1, model, optimisers, average)
            line = {"step": step + 1, "seconds": round(time.monotonic() - began, 1), "loss": smooth}
            with (folder / f"{name}.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
    return average


def no_text(batch: int) -> Tensor:
    """An all-zero prompt; one token says the same as any number of them."""
    return torch.zeros(batch, 1, 4096)


def train_base(pairs: Mapping[Size, RenderedPairs], config: DitTraining, folder: Path) -> WanTransformer3DModel:
    """The prior: half of the batches plain clips, half untracked [target, source] sequences."""
    transformer = tiny_transformer(config.seed)
    transformer.condition_embedder.text_embedder.linear_1.weight.requires_grad_(False)
    seams = attach_seams(transformer, None)

    def loss_of(pair: PairBatch, generator: torch.Generator) -> Tensor:
        noised = noise(pair.target, config.shift, generator)
        text = no_text(len(pair.target))
        if float(torch.rand((), generator=generator)) < 0.5:
            predicted = transformer(noised.latent, noised.timestep, text, return_dict=False)[0]
        else:
            predicted = seams(noised.latent, pair.source, noised.timestep, text)
        return (predicted - noised.velocity).square().mean()

    with seams:
        average = _train(transformer, loss_of, pairs, config, folder, "base")
    transformer.load_state_dict(average, strict=False)
    return transformer


class _Adapted(nn.Module):
    """What the second stage trains, under one roof: LoRA on the frozen base, and the conditioner."""

    def __init__(self, transformer: WanTransformer3DModel, conditioner: TrackConditioner) -> None:
        super().__init__()
        self.transformer, self.conditioner = transformer, conditioner


def train_conditioner(
    transformer: WanTransformer3DModel, pairs: Mapping[Size, RenderedPairs], config: DitTraining, folder: Path
) -> TrackConditioner:
    """LoRA (left on `transformer`) and conditioner, both with their averaged weights; the base stays as it is."""
    torch.manual_seed(config.seed + 1)
    transformer.requires_grad_(False)
    add_lora(transformer, rank=config.lora_rank, alpha=config.lora_rank)
    conditioner = TrackConditioner(TINY_CONDITIONER)
    adapted = _Adapted(transformer, conditioner)
    seams: Seams = attach_seams(transformer, conditioner)

    def loss_of(pair: PairBatch, generator: torch.Generator) -> Tensor:
        noised = noise(pair.target, config.shift, generator)
        predicted = seams(noised.latent, pair.source, noised.timestep, no_text(len(pair.target)), pair.tracks)
        return (predicted - noised.velocity).square().mean()

    with seams:
        average = _train(adapted, loss_of, pairs, config, folder, "conditioner")
    adapted.load_state_dict(average, strict=False)
    return conditioner
