"""The tiny VAE: WAN's architecture with a small base width, started near the identity, taught pictures there and back.

Single frames come first, then clips and frames in turn. When it is done, the statistics of its latents are folded into
its weights, so that readers may normalise them with WAN's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import (
    WanAttentionBlock,
    WanCausalConv3d,
    WanResample,
    WanResidualBlock,
)
from einops import rearrange, reduce
from torch import Tensor, nn

from ...dataset import PairDataset
from ...errors import Track2ViewError
from ...wan.vae import Part, decode_whole_clip, encode_whole_clip, latent_statistics, load_vae, save_vae
from ..batches import draw_samples
from ..resident import ResidentClips
from ..run_log import Samples
from ..settings import TrainConfig, VaeSettings, ValidationSettings
from ..stages import DTYPES, open_datasets, run_device
from ..validation import in_float32, spread

STATISTICS_CLIPS = 96  # whose latents give the mean and std that are folded into a finished VAE
LATENT_WEIGHT = 1e-5  # keeps latents from drifting to where no statistics are known


class VaeStage:
    """The VAE, into WAN's original layout; its latents leave with WAN's statistics."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.datasets = open_datasets(config)
        for dataset in self.datasets:
            if not dataset.info.has_frames:
                raise Track2ViewError(f"{dataset.folder} holds no frames; make it again with --keep-frames.")
        self.vae: AutoencoderKLWan = starting_vae(config.vae)
        self.objective = VaeObjective(self.vae, config.vae)
        shares = zip(config.data, self.datasets, strict=True)
        clips = [ResidentClips(one.folder, run_device(config)) if one.resident else held for one, held in shares]
        self.source = ClipSource(clips, config.vae)
        held_out = config.validation
        self.validate = None
        if held_out.folder:
            clips = PairDataset(held_out.folder)
            self.validate = VaeValidation(self.vae, clips, held_out)

    def export(self, average: Mapping[str, Tensor], file: Path, facts: Mapping[str, str]) -> None:
        untrained = self.vae.load_state_dict(average, strict=False).missing_keys
        if not untrained:  # else the latents are another VAE's, and so are their statistics
            data = self.datasets[0]
            clips = spread(data.clip_count, STATISTICS_CLIPS, data.clip_frames)
            statistics = measured_statistics(self.vae, clips)
            self.vae.cpu()
            fold_statistics(self.vae, *statistics)
        save_vae(self.vae, file, DTYPES[self.config.export.dtype])


class VaeObjective:
    """The clip there and back; no KL term, so only the mean of the posterior is trained."""

    def __init__(self, vae: AutoencoderKLWan, settings: VaeSettings) -> None:
        self.module, self.settings = vae, settings

    def loss(self, batch: ClipBatch, generator: torch.Generator) -> Tensor:
        settings, clip, device = self.settings, batch.clip, generator.device
        latent = encode_whole_clip(self.module, clip)
        kept = LATENT_WEIGHT * latent.float().square().mean()
        if settings.latent_noise:
            spread = latent.detach().float().std((0, 1, 3, 4), keepdim=True)
            noise = torch.randn(latent.shape, generator=generator, device=device).to(latent.device)
            latent = latent + settings.latent_noise * spread * noise
        if settings.coarse and float(torch.rand((), generator=generator, device=device)) < settings.coarse:
            latent, clip = _halved(latent), _halved(clip)
        decoded = decode_whole_clip(self.module, latent).float()
        return reconstruction_loss(decoded, clip, settings) + kept


def reconstruction_loss(
    decoded: Tensor,  # [B, T, 3, H, W]
    clip: Tensor,  # [B, T, 3, H, W]
    settings: VaeSettings,
) -> Tensor:
    """L1 + MSE, L1 of the 8x8-pooled picture, which keeps flat areas at the right colour, and what is set for edges."""
    error = decoded - clip
    loss = error.abs().mean() + error.square().mean() + 0.5 * _pooled(error).abs().mean()
    if settings.gradient:
        loss = loss + settings.gradient * sum(step.abs().mean() for step in _steps(error))
    if settings.sharpness:
        sizes = zip(_steps(decoded)[:2], _steps(clip)[:2], strict=True)
        loss = loss + settings.sharpness * sum(
            (_pooled(own.abs()) - _pooled(true.abs())).abs().mean() for own, true in sizes
        )
    return loss


def _steps(clip: Tensor) -> list[Tensor]:
    """Differences of neighbours in [B, T, 3, H, W]: across, down, and over time where there is any."""
    axes = (-1, -2, 1) if clip.shape[1] > 1 else (-1, -2)
    return [clip.diff(dim=axis) for axis in axes]


def _pooled(clip: Tensor) -> Tensor:
    """Means over 8 x 8 pixels; what is left at the right and lower border does not count."""
    return F.avg_pool2d(rearrange(clip, "b t c h w -> (b t) c h w"), 8)


def _halved(clip: Tensor) -> Tensor:  # [B, T, C, H, W] -> [B, T, C, H / 2, W / 2]
    return reduce(clip, "b t c (h two) (w too) -> b t c h w", "mean", two=2, too=2)


def psnr(decoded: Tensor, clip: Tensor) -> float:
    """Of clips in -1..1, averaged over the batch."""
    error = reduce((decoded.clamp(-1, 1) - clip).square(), "b ... -> b", "mean")
    return float((10 * torch.log10(4 / error.clamp_min(1e-8))).mean())


class VaeValidation:
    """Round-trip PSNR of whole clips, of their last frame (drift shows there) and of single frames, samples, and the
    gradient energy over the clip's: how much of what is sharp is left."""

    def __init__(self, vae: AutoencoderKLWan, dataset: PairDataset, settings: ValidationSettings) -> None:
        self.vae, self.settings, self.fps = vae, settings, dataset.info.fps
        self.clips = spread(dataset.clip_count, settings.pairs, dataset.clip_frames)

    def __call__(self, step: int) -> Mapping[str, float | Samples]:
        device = next(self.vae.parameters()).device
        names = ("psnr", "psnr_last_frame", "psnr_single_frame", "gradient_energy")
        scores: dict[str, list[float]] = {name: [] for name in names}
        rows = []
        for clip in self.clips:
            wanted = pixels(clip)[None].to(device)
            decoded, single = self._there_and_back(wanted), self._there_and_back(wanted[:, :1])
            scores["psnr"].append(psnr(decoded, wanted))
            scores["psnr_last_frame"].append(psnr(decoded[:, -1:], wanted[:, -1:]))
            scores["psnr_single_frame"].append(psnr(single, wanted[:, :1]))
            own, true = (sum(float(step.square().mean()) for step in _steps(x)[:2]) for x in (decoded, wanted))
            scores["gradient_energy"].append(own / true)
            if len(rows) < self.settings.samples:
                rows.append({"clip": clip, "there and back": _frames(decoded[0])})
        found: dict[str, float | Samples] = {name: sum(values) / len(values) for name, values in scores.items()}
        if rows:
            found["samples"] = Samples(rows, self.fps)
        return found

    def _there_and_back(self, clip: Tensor) -> Tensor:
        with in_float32(clip.device):
            return decode_whole_clip(self.vae, encode_whole_clip(self.vae, clip))


def _frames(decoded: Tensor) -> Tensor:  # [T, 3, H, W] -> uint8 [T, H, W, 3]
    return rearrange(((decoded.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8), "t c h w -> t h w c").cpu()


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

    def __init__(self, datasets: Sequence[Clips | ResidentClips], settings: VaeSettings) -> None:
        self.datasets, self.settings = tuple(datasets), settings

    def draw(self, step: int, steps: int, generator: torch.Generator) -> ClipBatch:
        dataset, settings = self.datasets[step % len(self.datasets)], self.settings
        if step < settings.frames_until * steps or step % 2:
            name, count, frames, side = "frames", settings.image_batch, 1, settings.image_crop
        else:
            frames, side = settings.clip_shapes[step // 2 % len(settings.clip_shapes)]
            name, count = "clips", max(1, settings.clip_pixels // (frames * side**2))
        if isinstance(dataset, ResidentClips):
            return ClipBatch(_cut_alike(dataset.frames, count, frames, side, generator), name)
        cut, replaced = draw_samples(
            dataset.clip_count, count, lambda index, own: _cut(dataset.clip_frames(index), frames, side, own), generator
        )
        return ClipBatch(torch.stack(cut), name, replaced)


def _cut(clip: Tensor, frames: int, side: int, generator: torch.Generator) -> Tensor:
    """[frames, 3, side, side] of a clip uint8 [T, H, W, 3]."""
    start = _below(_length_to_cut(clip.shape, frames, side) - frames + 1, generator)
    index = torch.arange(start, start + frames)
    return _varied(pixels(clip[torch.minimum(index, 2 * len(clip) - 2 - index)]), side, generator)


def _cut_alike(clips: Tensor, count: int, frames: int, side: int, generator: torch.Generator) -> Tensor:
    """[count, frames, 3, side, side] of clips uint8 [M, T, H, W, 3] on their device.

    All of a batch are cut and flipped alike; single frames are of different times.
    """
    device, length = clips.device, clips.shape[1]
    start = _below(_length_to_cut(clips.shape[1:], frames, side) - frames + 1, generator)
    index = torch.arange(start, start + frames).expand(count, frames)
    if frames == 1:
        index = torch.randint(length, (count, 1), generator=generator)
    number = torch.randint(len(clips), (count, 1), generator=generator)
    index = torch.minimum(index, 2 * length - 2 - index)
    return _varied(pixels(clips[number.to(device), index.to(device)]), side, generator)


def _below(high: int, generator: torch.Generator) -> int:
    return int(torch.randint(high, (), generator=generator))


def _length_to_cut(shape: torch.Size, frames: int, side: int) -> int:
    """Frames of a clip [T, H, W, 3] to cut from: its own, or those there and back again where more are asked for."""
    length, height, width = shape[:3]
    longest = length if frames <= length else 2 * length - 1
    if frames > longest or side > min(height, width):
        raise Track2ViewError(
            f"The clips are {length} frames of {width} x {height}, too small for {frames} frames of {side} px; lower "
            "clip_shapes or image_crop."
        )
    return longest


def _varied(x: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """A crop [..., T, 3, side, side] of x, at its size or averaged down by two, flipped in space and time."""

    def below(high: int) -> int:
        return _below(high, generator)

    if below(2) and side <= min(x.shape[-2:]) // 2:
        x = reduce(x, "... (h two) (w too) -> ... h w", "mean", two=2, too=2)
    top, left = below(x.shape[-2] - side + 1), below(x.shape[-1] - side + 1)
    x = x[..., top : top + side, left : left + side]
    for axis in (-1, -2, -4):
        x = x.flip(axis) if below(2) else x
    return x.transpose(-1, -2) if below(2) else x


def pixels(frames: Tensor) -> Tensor:
    """Pictures uint8 [..., H, W, 3] as the VAE takes them, [..., 3, H, W] in -1..1."""
    return rearrange(frames, "... h w c -> ... c h w").float() / 127.5 - 1


@torch.no_grad()
def measured_statistics(vae: AutoencoderKLWan, clips: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and std [16] of the raw latents of clips uint8 [T, H, W, 3]."""
    device = next(vae.parameters()).device
    raw = [encode_whole_clip(vae, pixels(clip)[None].to(device))[0] for clip in clips]  # each [F, 16, h, w]
    channels = torch.cat([rearrange(latent, "f c h w -> c (f h w)").cpu() for latent in raw], 1)
    return channels.mean(1), channels.std(1)


@torch.no_grad()
def fold_statistics(vae: AutoencoderKLWan, mean: Tensor, std: Tensor) -> None:
    """Change the two 1x1x1 convolutions so that latents of mean and std [16] leave the VAE with WAN's statistics.

    The decoded picture stays the same; readers that subtract WAN's mean and divide by WAN's std get unit variance.
    """
    wan_mean, wan_std = (value.flatten() for value in latent_statistics(vae))
    gain = wan_std / std
    channels = len(mean)
    to_latent, from_latent = vae.quant_conv, vae.post_quant_conv
    assert to_latent.bias is not None and from_latent.bias is not None
    to_latent.weight[:channels] *= rearrange(gain, "out -> out 1 1 1 1")
    to_latent.bias[:channels] = (to_latent.bias[:channels] - mean) * gain + wan_mean
    from_latent.bias += from_latent.weight[:, :, 0, 0, 0] @ (mean - wan_mean / gain)
    from_latent.weight /= rearrange(gain, "c -> 1 c 1 1 1")


def starting_vae(settings: VaeSettings) -> AutoencoderKLWan:
    """A new one, or the file that the settings name with all but its decoder frozen."""
    if not settings.decoder_of:
        return new_vae(settings.base_width)
    vae = load_vae(Path(settings.decoder_of), torch.float32)
    vae.requires_grad_(False)
    for part in (vae.post_quant_conv, vae.decoder):
        part.requires_grad_(True)
    return vae


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


@torch.no_grad()
def initialise_near_identity(vae: AutoencoderKLWan, seed: int = 0) -> None:
    """Make WAN's VAE close to the identity, so that a tiny one trains in minutes instead of hours.

    Causal kernels start with the current frame's tap only, residual branches end in zeros, shortcuts are (padded)
    identities, downsampling averages, upsampling smooths, time down takes the mean of two frames and time up copies.
    """
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
            shortcut: Part = module.conv_shortcut
            if not isinstance(shortcut, nn.Identity):
                rows, columns = shortcut.weight.shape[:2]
                shortcut.weight[:, :, 0, 0, 0] = _partial_identity(rows, columns, generator)
                shortcut.bias.zero_()
        elif isinstance(module, WanAttentionBlock):
            _zero(module.proj)


def _zero(conv: Part) -> None:
    conv.weight.zero_()
    conv.bias.zero_()


def _partial_identity(rows: int, columns: int, generator: torch.Generator, spread: float = 0.5) -> Tensor:
    """An identity where it fits, small random mixing for the rows or columns that remain."""
    matrix = torch.randn(rows, columns, generator=generator) * spread / math.sqrt(columns)
    square = min(rows, columns)
    matrix[:square, :square] = torch.eye(square)
    return matrix


def _initialise_resample(block: Part, generator: torch.Generator) -> None:
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
