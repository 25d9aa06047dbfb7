"""What all arms share: the frozen backbone with a LoRA of its own, source and noised target side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from track2view_core.conditioner import TrackConditioner
from track2view_core.tracks.pairing import FrameAnchor
from track2view_core.training.batches import PairBatch
from track2view_core.training.objectives import drawn_levels, noised
from track2view_core.wan.lora import add_lora
from track2view_core.wan.sampler import TRAIN_TIMESTEPS, initial_noise, make_scheduler
from track2view_core.wan.seams import Deltas, Rotary, SourceTimestep, attach_seams


class Arm(nn.Module):
    """No camera at all: the model sees the source and has to guess. The other arms add to this one.

    Every addition starts at zero, so that all arms begin as this one does.
    """

    rotary: Rotary = "shared"
    source_timestep: SourceTimestep = "zero"
    anchor: FrameAnchor = "last"

    def __init__(self, transformer: WanTransformer3DModel, rank: int, conditioner: TrackConditioner | None = None):
        super().__init__()
        transformer.requires_grad_(False)
        add_lora(transformer, rank, rank)
        self.transformer, self.conditioner = transformer, conditioner
        self.seams = attach_seams(transformer, conditioner, rotary=self.rotary, source_timestep=self.source_timestep)

    def deltas(self, pair: PairBatch) -> Deltas | None:
        """What is added to the tokens of both views; it knows neither timestep nor noise."""
        return None

    @contextmanager
    def inside_blocks(self, pair: PairBatch) -> Iterator[None]:
        """For arms whose blocks must know the pair while a forward runs."""
        yield

    def velocity(self, noised: Tensor, timestep: Tensor, pair: PairBatch, deltas: Deltas | None) -> Tensor:
        with self.inside_blocks(pair):
            return self.seams(noised, pair.source, timestep, pair.text, deltas=deltas)

    def trainable(self) -> dict[str, nn.Parameter]:
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}


class FlowMatching:
    """What is minimised, the same for every arm: the target's velocity at a random noise level."""

    def __init__(self, arm: Arm, shift: float) -> None:
        self.module, self.shift = arm, shift

    def loss(self, batch: PairBatch, generator: torch.Generator) -> Tensor:
        noisy = noised(batch.target, drawn_levels(len(batch), self.shift, generator), generator)
        velocity = self.module.velocity(noisy.latent, noisy.timestep, batch, self.module.deltas(batch))
        return (velocity - noisy.velocity).square().mean()


@torch.no_grad()
def generate(arm: Arm, pair: PairBatch, *, steps: int, shift: float, seed: int) -> Tensor:
    """Sample the target view with Euler steps: [1, 16, F, h, w]. A seed means the same noise to every arm."""
    schedule = make_scheduler("euler", steps, shift)
    latent, deltas = initial_noise(pair.source, seed), arm.deltas(pair)
    for sigma, timestep in zip(schedule.sigmas, schedule.timesteps, strict=False):
        velocity = arm.velocity(latent, sigma[None] * TRAIN_TIMESTEPS, pair, deltas)
        latent = schedule.step(velocity, timestep, latent, return_dict=False)[0]
    return latent


@torch.no_grad()
def velocity_error(arm: Arm, pair: PairBatch, levels: Sequence[float], seed: int) -> float:
    """Mean squared error of the velocity at set noise levels, under set noise: the loss without its luck."""
    deltas, errors = arm.deltas(pair), []
    for level in levels:
        noisy = noised(pair.target, torch.tensor([level]), torch.Generator().manual_seed(seed))
        velocity = arm.velocity(noisy.latent, noisy.timestep, pair, deltas)
        errors.append((velocity - noisy.velocity).square().mean())
    return float(torch.stack(errors).mean())
