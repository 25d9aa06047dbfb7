"""What a small WAN VAE learns: pictures there and back, single frames first, then clips and frames in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from torch import Tensor

from ..errors import Track2ViewError
from ..wan.vae import decode_whole_clip, encode_whole_clip, latent_statistics
from .batches import draw_samples
from .settings_checks import check_at_least, check_shares
from .vae_initialisation import initialise_near_identity

LATENT_WEIGHT = 1e-5  # keeps latents from drifting to where no statistics are known


@dataclass(frozen=True)
class VaeSettings:
    """The VAE and what it is trained on."""

    base_width: int = 8
    """Channels of the widest resolution; WAN 2.1's is 96. ComfyUI reads it from the file."""
    frames_until: float = 0.65
    """Share of the run with single frames alone; after it clips come in, every other step."""
    image_batch: int = 12
    """Single frames a batch."""
    image_crop: int = 64
    """Their side in pixels."""
    clip_shapes: tuple[tuple[int, int], ...] = ((17, 32), (9, 48), (17, 32), (33, 32), (9, 64))
    """[frames, side] of clips, in turn; longer than the data's clips means there and back again. Train at the longest
    length that is to be decoded at once: trained on 9 frames alone, colours drift from frame 10 on."""
    clip_pixels: int = 72_000
    """Pixels a batch of clips, which sets how many there are."""

    def __post_init__(self) -> None:
        check_at_least(self, 1, "base_width", "image_batch", "clip_pixels")
        check_shares(self, "frames_until")
        if not self.clip_shapes:
            raise Track2ViewError("clip_shapes is empty; give at least one [frames, side].")
        for frames, side in (*self.clip_shapes, (1, self.image_crop)):
            if frames % 4 != 1 or frames < 1 or side % 16 or side < 16:
                raise Track2ViewError(
                    f"clip_shapes or image_crop has {frames} frames of {side} px; frames must be 4n + 1 and the side a "
                    "multiple of 16."
                )


def new_vae(base_width: int) -> AutoencoderKLWan:
    """WAN's architecture with a small base width, near the identity."""
    vae = AutoencoderKLWan(
        base_dim=base_width,
        z_dim=16,
        dim_mult=[1, 2, 4, 4],
        num_res_blocks=2,
        temperal_downsample=[False, True, True],
    )
    initialise_near_identity(vae)
    return vae


def pixels(frames: Tensor) -> Tensor:
    """Pictures uint8 [..., H, W, 3] as the VAE takes them, [..., 3, H, W] in -1..1."""
    return frames.movedim(-1, -3).float() / 127.5 - 1


class Clips(Protocol):
    """What the VAE's batches are cut from; `track2view_core.dataset.PairDataset` with frames is one."""

    @property
    def clip_count(self) -> int: ...

    def clip_frames(self, index: int) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class ClipBatch:
    clip: Tensor  # [B, T, 3, h, w] in -1..1
    name: str = ""
    replaced: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.clip)

    def to(self, device: torch.device | str) -> ClipBatch:
        return replace(self, clip=self.clip.to(device))


class ClipSource:
    """Random crops of random clips, at their own size or averaged down by two, flipped in space and time."""

    def __init__(self, datasets: Sequence[Clips], settings: VaeSettings) -> None:
        self.datasets, self.settings = tuple(datasets), settings

    def draw(self, step: int, steps: int, generator: torch.Generator) -> ClipBatch:
        dataset, settings = self.datasets[step % len(self.datasets)], self.settings
        if step < settings.frames_until * steps or step % 2:
            name, count, frames, side = "frames", settings.image_batch, 1, settings.image_crop
        else:
            frames, side = settings.clip_shapes[step // 2 % len(settings.clip_shapes)]
            name, count = "clips", max(1, settings.clip_pixels // (frames * side**2))
        cut, replaced = draw_samples(
            dataset.clip_count, count, lambda index, own: _cut(dataset.clip_frames(index), frames, side, own), generator
        )
        return ClipBatch(torch.stack(cut), name, replaced)


def _cut(clip: Tensor, frames: int, side: int, generator: torch.Generator) -> Tensor:
    """[frames, 3, side, side] of a clip uint8 [T, H, W, 3]."""

    def below(high: int) -> int:
        return int(torch.randint(high, (), generator=generator))

    if frames > len(clip):
        clip = torch.cat([clip, clip.flip(0)[1:]])
    if frames > len(clip) or side > min(clip.shape[1:3]):
        raise Track2ViewError(
            f"The clips are {len(clip)} frames of {clip.shape[2]} x {clip.shape[1]}, too small for {frames} frames of "
            f"{side} px; lower clip_shapes or image_crop."
        )
    start = below(len(clip) - frames + 1)
    x = pixels(clip[start : start + frames])
    if below(2) and side <= min(x.shape[-2:]) // 2:
        x = F.avg_pool2d(x, 2)
    top, left = below(x.shape[-2] - side + 1), below(x.shape[-1] - side + 1)
    x = x[..., top : top + side, left : left + side]
    for axis in (-1, -2, 0):
        x = x.flip(axis) if below(2) else x
    return x.transpose(-1, -2) if below(2) else x


class VaeObjective:
    """L1 + MSE + pooled L1 of the clip there and back; no KL term, so only the mean of the posterior is trained."""

    def __init__(self, vae: AutoencoderKLWan) -> None:
        self.module = vae

    def loss(self, batch: ClipBatch, generator: torch.Generator) -> Tensor:
        latent = encode_whole_clip(self.module, batch.clip)
        decoded = decode_whole_clip(self.module, latent)
        return reconstruction_loss(decoded, batch.clip) + LATENT_WEIGHT * latent.square().mean()


def reconstruction_loss(decoded: Tensor, clip: Tensor) -> Tensor:
    """L1 + MSE, and L1 of the 8x8-pooled picture, which keeps flat areas at the right colour."""
    error = decoded - clip
    return error.abs().mean() + error.square().mean() + 0.5 * F.avg_pool2d(error.flatten(0, 1), 8).abs().mean()


def psnr(decoded: Tensor, clip: Tensor) -> float:
    """Of clips in -1..1, averaged over the batch."""
    error = (decoded.clamp(-1, 1) - clip).square().flatten(1).mean(1)
    return float((10 * torch.log10(4 / error.clamp_min(1e-8))).mean())


@torch.no_grad()
def measured_statistics(vae: AutoencoderKLWan, clips: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and std [16] of the raw latents of clips uint8 [T, H, W, 3]."""
    device = next(vae.parameters()).device
    raw = [encode_whole_clip(vae, pixels(clip)[None].to(device))[0] for clip in clips]
    channels = torch.cat([latent.transpose(0, 1).flatten(1).cpu() for latent in raw], 1)
    return channels.mean(1), channels.std(1)


@torch.no_grad()
def fold_statistics(vae: AutoencoderKLWan, mean: Tensor, std: Tensor) -> None:
    """Change the two 1x1x1 convolutions so that latents of mean and std [16] leave the VAE with WAN's statistics.

    The decoded picture stays the same; readers that subtract WAN's mean and divide by WAN's std get unit variance.
    """
    wan_mean, wan_std = (value.flatten() for value in latent_statistics(vae))
    gain = wan_std / std
    channels = len(mean)
    out, back = vae.quant_conv, vae.post_quant_conv
    out.weight[:channels] *= gain[:, None, None, None, None]
    out.bias[:channels] = (out.bias[:channels] - mean) * gain + wan_mean
    back.bias += back.weight[:, :, 0, 0, 0] @ (mean - wan_mean / gain)
    back.weight /= gain[None, :, None, None, None]
