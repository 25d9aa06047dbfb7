"""Latents of the rendered shards, cached once: the VAE is folded to WAN's latent statistics and run over every clip."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from safetensors.torch import save_file
from torch import Tensor

from ..progress import Progress
from . import whole_clip_vae
from .shards import Shard

Size = Literal["half", "full"]


def wan_statistics(vae: AutoencoderKLWan) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [16] that every reader of a WAN latent applies."""
    return torch.tensor(vae.config.latents_mean), torch.tensor(vae.config.latents_std)


@torch.no_grad()
def fold_normalisation(vae: AutoencoderKLWan, mean: Tensor, std: Tensor) -> None:
    """Change the two 1x1x1 convolutions so that latents of mean and std [16] leave the VAE with WAN's statistics.

    The decoded picture stays the same; readers that subtract WAN's mean and divide by WAN's std get unit variance.
    """
    wan_mean, wan_std = wan_statistics(vae)
    gain = wan_std / std
    channels = len(mean)
    out, back = vae.quant_conv, vae.post_quant_conv
    out.weight[:channels] *= gain[:, None, None, None, None]
    out.bias[:channels] = (out.bias[:channels] - mean) * gain + wan_mean
    back.bias += back.weight[:, :, 0, 0, 0] @ (mean - wan_mean / gain)
    back.weight /= gain[None, :, None, None, None]


def encode_normalised(vae: AutoencoderKLWan, frames: Tensor) -> Tensor:
    """uint8 [B, T, H, W, 3] -> model latents [B, 16, F, H/8, W/8]."""
    mean, std = wan_statistics(vae)
    latent = whole_clip_vae.encode(vae, frames.permute(0, 1, 4, 2, 3).float() / 127.5 - 1)
    return ((latent - mean[:, None, None]) / std[:, None, None]).transpose(1, 2)


def halved(frames: Tensor) -> Tensor:
    """uint8 [B, T, H, W, 3] averaged down by two."""
    pooled = F.avg_pool2d(frames.flatten(0, 1).permute(0, 3, 1, 2).float(), 2)
    return pooled.round().to(torch.uint8).permute(0, 2, 3, 1).unflatten(0, frames.shape[:2])


@torch.no_grad()
def latent_statistics(vae: AutoencoderKLWan, shards: list[Path]) -> tuple[Tensor, Tensor]:
    """Mean and std [16] of the raw posterior means over some shards, at both sizes."""
    latents = []
    for file in shards:
        clips = Shard.load(file).frames[:, 0]
        for frames in (clips, halved(clips)):
            raw = whole_clip_vae.encode(vae, frames.permute(0, 1, 4, 2, 3).float() / 127.5 - 1)
            latents.append(raw.transpose(1, 2).transpose(0, 1).flatten(1))
    joined = torch.cat(latents, 1)
    return joined.mean(1), joined.std(1)


def clips_at(shard: Shard, size: Size) -> Tensor:
    """uint8 [S, C, T, H, W, 3], as rendered or averaged down by two."""
    if size == "full":
        return shard.frames
    return halved(shard.frames.flatten(0, 1)).unflatten(0, shard.frames.shape[:2])


@torch.no_grad()
def encode_shards(
    vae: AutoencoderKLWan,
    shards: list[Path],
    folder: Path,
    size: Size,
    progress: Progress | None = None,
) -> None:
    """Write `<shard name>` with latents [S, C, 16, F, h, w] float16 for the shards that `folder` lacks."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, file in enumerate(shards):
        cached = folder / file.name
        if not cached.exists():
            latents = torch.stack([encode_normalised(vae, scene) for scene in clips_at(Shard.load(file), size)])
            temporary = cached.with_suffix(".tmp")
            save_file({"latents": latents.half().contiguous()}, temporary)
            temporary.replace(cached)
        if progress is not None:
            progress(i + 1, len(shards), f"encoding {size} size")
