"""An initialisation that makes WAN's VAE close to the identity, so that a tiny one trains in minutes instead of hours.

Causal kernels start with the current frame's tap only, residual branches end in zeros, shortcuts are (padded)
identities, downsampling averages, upsampling smooths, time down takes the mean of two frames and time up copies.
"""

from __future__ import annotations

import math

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import (
    WanAttentionBlock,
    WanCausalConv3d,
    WanResample,
    WanResidualBlock,
)
from torch import Tensor, nn


@torch.no_grad()
def initialise_near_identity(vae: AutoencoderKLWan, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for module in vae.modules():
        if isinstance(module, WanCausalConv3d) and module.weight.shape[2:] == (3, 3, 3):
            module.weight[:, :, :2] = 0
            module.weight[:, :, 2] *= 1.7 * math.sqrt(3.0)
        elif isinstance(module, WanResample):
            _initialise_resample(module, generator)
    for module in vae.modules():  # after the generic kernels: these overwrite some of them
        if isinstance(module, WanResidualBlock):
            _zero(module.conv2)
            if not isinstance(module.conv_shortcut, nn.Identity):
                weight = module.conv_shortcut.weight
                weight[:, :, 0, 0, 0] = _partial_identity(weight.shape[0], weight.shape[1], generator)
                module.conv_shortcut.bias.zero_()
        elif isinstance(module, WanAttentionBlock):
            _zero(module.proj)


def _zero(conv: nn.Module) -> None:
    conv.weight.zero_()
    conv.bias.zero_()


def _partial_identity(rows: int, columns: int, generator: torch.Generator, spread: float = 0.5) -> Tensor:
    """An identity where it fits, small random mixing for the rows or columns that remain."""
    matrix = torch.randn(rows, columns, generator=generator) * spread / math.sqrt(columns)
    square = min(rows, columns)
    matrix[:square, :square] = torch.eye(square)
    return matrix


def _initialise_resample(block: WanResample, generator: torch.Generator) -> None:
    conv = block.resample[1]
    rows, columns = conv.weight.shape[:2]
    conv.weight.copy_(torch.randn(conv.weight.shape, generator=generator) * 0.3 / math.sqrt(9 * columns))
    conv.bias.zero_()
    if block.mode.startswith("down"):
        conv.weight[:, :, :2, :2] += torch.eye(rows)[:, :, None, None] * 0.25
    else:
        tent = torch.tensor([0.25, 0.5, 0.25])
        conv.weight += _partial_identity(rows, columns, generator)[:, :, None, None] * (tent[:, None] * tent)
    if hasattr(block, "time_conv"):
        weight = block.time_conv.weight
        rows, columns = weight.shape[:2]
        weight *= 0.1
        block.time_conv.bias.zero_()
        if rows == columns:
            weight[:, :, 1:, 0, 0] += torch.eye(columns)[:, :, None] * 0.5
        else:
            weight[:columns, :, 2, 0, 0] += torch.eye(columns)
            weight[columns:, :, 2, 0, 0] += torch.eye(columns)
