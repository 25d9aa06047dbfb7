"""What the stages on latents learn: the base prior, and LoRA and conditioner on the frozen base."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..conditioner import TrackConditioner
from ..wan.seams import ROTARY, SOURCE_TIMESTEPS, Rotary, Seams, SourceTimestep, attach_seams
from .batches import PairBatch
from .flow_matching import Noised, drawn_levels, noised
from .settings_checks import check_choices, check_positive


@dataclass(frozen=True)
class FlowSettings:
    """Flow matching and the sequence of both views; stored in the bundle, which is sampled as it was trained."""

    shift: float = 5.0
    """Noise levels are s = shift u / (1 + (shift - 1) u) for uniform u: the higher, the more noise."""
    rotary: Rotary = "shared"
    """Temporal positions: `shared` by both views, or `consecutive`."""
    source_timestep: SourceTimestep = "zero"
    """Timestep of the clean source's tokens: `zero`, or the `same` as the target's."""

    def __post_init__(self) -> None:
        check_positive(self, "shift")
        check_choices(self, rotary=ROTARY, source_timestep=SOURCE_TIMESTEPS)


class PairObjective:
    """Flow matching on the target half of [target, source]."""

    module: nn.Module

    def __init__(
        self, transformer: WanTransformer3DModel, conditioner: TrackConditioner | None, flow: FlowSettings
    ) -> None:
        self.transformer, self.conditioner, self.flow = transformer, conditioner, flow
        self.seams = self._attached()

    def _attached(self) -> Seams:
        return attach_seams(
            self.transformer,
            self.conditioner,
            rotary=self.flow.rotary,
            source_timestep=self.flow.source_timestep,
        )

    @contextmanager
    def without_seams(self) -> Iterator[None]:
        """Seams off, for a sampler that attaches its own."""
        self.seams.detach()
        try:
            yield
        finally:
            self.seams = self._attached()

    def loss(self, batch: PairBatch, generator: torch.Generator) -> Tensor:
        return self._error(batch, drawn_levels(len(batch), self.flow.shift, generator), generator)

    def loss_at(self, batch: PairBatch, level: float, generator: torch.Generator) -> Tensor:
        """The loss at one noise level, 0..1."""
        return self._error(batch, torch.full((len(batch),), level), generator)

    def _error(self, batch: PairBatch, levels: Tensor, generator: torch.Generator) -> Tensor:
        noisy = noised(batch.target, levels, generator)
        return (self._velocity(batch, noisy, generator).float() - noisy.velocity).square().mean()

    def _velocity(self, batch: PairBatch, noisy: Noised, generator: torch.Generator) -> Tensor:
        tracks = None if self.conditioner is None else batch.tracks
        return self.seams(noisy.latent, batch.source, noisy.timestep, batch.text, tracks)


class BaseObjective(PairObjective):
    """The whole transformer: half of the batches plain clips, half untracked [target, source] sequences."""

    def __init__(self, transformer: WanTransformer3DModel, flow: FlowSettings) -> None:
        super().__init__(transformer, None, flow)
        self.module = transformer

    def _velocity(self, batch: PairBatch, noisy: Noised, generator: torch.Generator) -> Tensor:
        if float(torch.rand((), generator=generator)) < 0.5:
            return self.transformer(noisy.latent, noisy.timestep, batch.text, return_dict=False)[0]
        return super()._velocity(batch, noisy, generator)


class Adapted(nn.Module):
    """LoRA on the frozen base and the conditioner, under one roof."""

    def __init__(self, transformer: WanTransformer3DModel, conditioner: TrackConditioner) -> None:
        super().__init__()
        self.transformer, self.conditioner = transformer, conditioner


class ConditionerObjective(PairObjective):
    """LoRA (put on the transformer before, by `wan.lora.add_lora`) and conditioner; the base's gradients stay None."""

    def __init__(self, transformer: WanTransformer3DModel, conditioner: TrackConditioner, flow: FlowSettings) -> None:
        super().__init__(transformer, conditioner, flow)
        self.module = Adapted(transformer, conditioner)


def recompute_activations(transformer: WanTransformer3DModel, conditioner: TrackConditioner | None = None) -> None:
    """Gradient checkpointing: a block's activations are computed again in the backward pass, not kept."""
    transformer.train()
    transformer.enable_gradient_checkpointing()
    for block in () if conditioner is None else conditioner.blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)


def keep_time_in_float32(transformer: WanTransformer3DModel) -> None:
    """Autocast would run the time embedder in half precision, where timesteps near each other become one."""
    for name in ("time_embedder",):
        module = getattr(transformer.condition_embedder, name)
        module.forward = _outside_autocast(module.forward)


def _outside_autocast(forward):  # a callable of tensors
    def in_full_precision(*inputs: Tensor) -> Tensor:
        with torch.autocast(inputs[0].device.type, enabled=False):
            return forward(*inputs)

    return in_full_precision
