"""What is learnt from pairs: flow matching on the target half of [target, source].

As WAN is trained: a straight path from data to noise, noise levels drawn with a shift. LoRA and conditioner learn, and
the base stays frozen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import torch
from diffusers import WanTransformer3DModel
from einops import rearrange
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..conditioner import TrackConditioner
from ..wan.seams import Seams, attach_seams
from .batches import PairBatch
from .settings import FlowSettings


class Noised(NamedTuple):
    latent: Tensor  # [B, C, F, h, w]
    timestep: Tensor  # [B] 0..1000
    velocity: Tensor  # [B, C, F, h, w] what the model has to predict


def drawn_levels(count: int, shift: float, generator: torch.Generator) -> Tensor:
    """Noise levels [count]: s = shift u / (1 + (shift - 1) u), one uniform u in each of `count` parts of 0..1."""
    device = generator.device
    u = (torch.rand(count, generator=generator, device=device) + torch.arange(count, device=device)) / count
    return shift * u / (1 + (shift - 1) * u)


def noised(clean: Tensor, levels: Tensor, generator: torch.Generator) -> Noised:
    """z_s = (1 - s) z + s e for levels s [B]; the velocity is e - z. Noise is drawn where the generator is."""
    e = torch.randn(clean.shape, generator=generator, device=generator.device).to(clean)
    s = rearrange(levels.to(clean), "b -> b 1 1 1 1")
    return Noised((1 - s) * clean + s * e, levels.to(clean.device) * 1000, e - clean)


class PairObjective:
    """Flow matching on the target half of [target, source]."""

    module: nn.Module

    def __init__(
        self,
        transformer: WanTransformer3DModel,
        conditioner: TrackConditioner | None,
        flow: FlowSettings,
        source_text: Tensor | None = None,
    ) -> None:
        """source_text: [L, text_dim] the empty prompt, where `flow.source_text` is empty."""
        self.transformer, self.conditioner, self.flow = transformer, conditioner, flow
        self.source_text = source_text
        self.seams = self._attached()

    def _attached(self) -> Seams:
        return attach_seams(
            self.transformer,
            self.conditioner,
            rotary=self.flow.rotary,
            source_timestep=self.flow.source_timestep,
            source_attention=self.flow.source_attention,
            source_text=self.source_text,
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


class Adapted(nn.Module):
    """LoRA on the frozen base and the conditioner, under one roof."""

    def __init__(self, transformer: WanTransformer3DModel, conditioner: TrackConditioner) -> None:
        super().__init__()
        self.transformer, self.conditioner = transformer, conditioner


class ConditionerObjective(PairObjective):
    """LoRA (put on the transformer before, by `wan.lora.add_lora`) and conditioner; the base's gradients stay None."""

    def __init__(
        self,
        transformer: WanTransformer3DModel,
        conditioner: TrackConditioner,
        flow: FlowSettings,
        source_text: Tensor | None = None,
    ) -> None:
        super().__init__(transformer, conditioner, flow, source_text)
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
