"""A transformer of WAN 2.1's architecture from nothing, which starts near the best linear denoiser."""

from __future__ import annotations

import torch
from diffusers import WanTransformer3DModel
from torch import nn

from .config import BaseSettings

HEAD_SIZE = 128


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
        out = transformer.proj_out.weight  # rows (1, 2, 2, channel), as the transformer unpatches
        out.copy_(0.5 * weight.permute(2, 3, 4, 1, 0).reshape(out.shape))
        transformer.proj_out.bias.zero_()
        if zero_prompt:
            transformer.condition_embedder.text_embedder.linear_1.weight.zero_()
    return transformer
