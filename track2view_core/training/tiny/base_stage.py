"""The tiny base: a transformer of WAN 2.1's architecture from nothing, which starts near the best linear denoiser."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import WanTransformer3DModel
from einops import rearrange
from torch import Tensor, nn

from ...wan.checkpoints import load_transformer, save_transformer
from ..batches import PairBatch
from ..objectives import Noised, PairObjective
from ..settings import BaseSettings, FlowSettings, TrainConfig
from ..stages import DTYPES, pair_source, pair_validation, prepare, source_text

HEAD_SIZE = 128


class BaseStage:
    """A whole transformer, into WAN's original layout."""

    def __init__(self, config: TrainConfig) -> None:
        self.config, model = config, config.model
        if model.transformer:
            self.transformer = load_transformer(model.transformer).requires_grad_(True)
        else:
            self.transformer = new_transformer(config.base, zero_prompt=not model.uses_text)
        if not model.uses_text:  # a prompt of zeros teaches this matrix nothing
            self.transformer.condition_embedder.text_embedder.linear_1.weight.requires_grad_(False)
        self.objective: PairObjective = BaseObjective(self.transformer, config.flow, source_text(config))
        self.source = pair_source(config)
        self.validate = pair_validation(config, self.objective, None)
        prepare(config, self.transformer, None)

    def export(self, average: Mapping[str, Tensor], file: Path, facts: Mapping[str, str]) -> None:
        self.transformer.load_state_dict(average, strict=False)
        save_transformer(self.transformer, file, DTYPES[self.config.export.dtype])


class BaseObjective(PairObjective):
    """The whole transformer: half of the batches plain clips, half untracked [target, source] sequences."""

    def __init__(
        self, transformer: WanTransformer3DModel, flow: FlowSettings, source_text: Tensor | None = None
    ) -> None:
        super().__init__(transformer, None, flow, source_text)
        self.module = transformer

    def _velocity(self, batch: PairBatch, noisy: Noised, generator: torch.Generator) -> Tensor:
        if float(torch.rand((), generator=generator, device=generator.device)) < 0.5:
            return self.transformer(noisy.latent, noisy.timestep, batch.text, return_dict=False)[0]
        return super()._velocity(batch, noisy, generator)


def new_transformer(settings: BaseSettings, *, zero_prompt: bool = True) -> WanTransformer3DModel:
    """Orthogonal patch embedding, and its transpose as the output head.

    zero_prompt: store the text embedding's first matrix as zeros, since its prompt always is.
    """
    transformer = WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=settings.width // HEAD_SIZE,
        attention_head_dim=HEAD_SIZE,
        in_channels=16,
        out_channels=16,
        text_dim=4096,
        freq_dim=256,
        ffn_dim=settings.ffn,
        num_layers=settings.layers,
        rope_max_seq_len=1024,
    )
    with torch.no_grad():
        weight = transformer.patch_embedding.weight
        nn.init.orthogonal_(weight.view(weight.shape[0], -1))
        # The rows of the head are patches as the transformer puts them together again.
        transformer.proj_out.weight.copy_(0.5 * rearrange(weight, "width c t h w -> (t h w c) width"))
        transformer.proj_out.bias.zero_()
        if zero_prompt:
            transformer.condition_embedder.text_embedder.linear_1.weight.zero_()
    return transformer
