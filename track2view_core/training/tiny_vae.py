"""Trains the tiny WAN VAE on rendered clips: single frames first, then clips up to the length it decodes at once."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from torch import Tensor

from . import whole_clip_vae
from .checkpoint import load_checkpoint, save_checkpoint
from .muon import Muon
from .shards import Shard
from .vae_initialisation import initialise_near_identity


@dataclass(frozen=True)
class VaeTraining:
    base_width: int = 8
    image_steps: int = 1100
    clip_steps: int = 600
    image_batch: int = 12
    image_crop: int = 64
    clip_shapes: tuple[tuple[int, int], ...] = ((17, 32), (9, 48), (17, 32), (33, 32), (9, 64))  # frames, crop: in turn
    clip_pixels: int = 72_000  # a step; sets the batch of each shape
    clip_rate: float = 0.1  # a batch holds few clips, and their noisy gradients must not undo what single frames taught
    adam_rate: float = 3e-3
    muon_rate: float = 0.03
    ema: float = 0.995
    seed: int = 0

    @property
    def steps(self) -> int:
        return self.image_steps + self.clip_steps


def tiny_vae(base_width: int = 8) -> AutoencoderKLWan:
    """WAN's architecture with a small base width; ComfyUI reads the width from the file."""
    return AutoencoderKLWan(
        base_dim=base_width,
        z_dim=16,
        dim_mult=[1, 2, 4, 4],
        num_res_blocks=2,
        temperal_downsample=[False, True, True],
    )


class ClipCrops:
    """Random crops of random clips, at the rendered size or averaged down by two, flipped in space and time."""

    def __init__(self, shards: list[Path], seed: int, keep: int = 12) -> None:
        self.shards, self.keep = shards, keep
        self.generator = torch.Generator().manual_seed(seed)
        self.loaded: list[Tensor] = []

    def _draw(self, high: int) -> int:
        return int(torch.randint(high, (1,), generator=self.generator))

    def _refresh(self) -> None:
        """Keep a small rotating set of shards in memory."""
        if len(self.loaded) < self.keep or self._draw(20) == 0:
            shard = Shard.load(self.shards[self._draw(len(self.shards))]).frames
            self.loaded = [*self.loaded[-self.keep + 1 :], shard.flatten(0, 1)]

    def batch(self, count: int, frames: int, crop: int) -> Tensor:
        """[count, frames, 3, crop, crop] in -1..1; longer than the clips means there and back again."""
        self._refresh()
        clips = self.loaded[self._draw(len(self.loaded))]
        picked = clips[torch.randint(len(clips), (count,), generator=self.generator)]
        if frames > picked.shape[1]:
            picked = torch.cat([picked, picked.flip(1)[:, 1:]], 1)
        start = self._draw(picked.shape[1] - frames + 1)
        x = picked[:, start : start + frames].permute(0, 1, 4, 2, 3).float() / 127.5 - 1
        if self._draw(2):
            x = F.avg_pool2d(x.flatten(0, 1), 2).unflatten(0, (count, frames))
        top, left = self._draw(x.shape[-2] - crop + 1), self._draw(x.shape[-1] - crop + 1)
        x = x[..., top : top + crop, left : left + crop]
        for axis in (-1, -2, 1):
            x = x.flip(axis) if self._draw(2) else x
        return x.transpose(-1, -2) if self._draw(2) else x


def reconstruction_loss(decoded: Tensor, clip: Tensor) -> Tensor:
    """L1 + MSE, and L1 of the 8x8-pooled picture, which keeps flat areas at the right colour."""
    error = decoded - clip
    return error.abs().mean() + error.square().mean() + 0.5 * F.avg_pool2d(error.flatten(0, 1), 8).abs().mean()


def psnr(decoded: Tensor, clip: Tensor) -> float:
    """Of clips in -1..1, averaged over the batch."""
    error = (decoded.clamp(-1, 1) - clip).square().flatten(1).mean(1)
    return float((10 * torch.log10(4 / error.clamp_min(1e-8))).mean())


def _optimisers(vae: AutoencoderKLWan, config: VaeTraining) -> list[torch.optim.Optimizer]:
    kernels, others = [], []
    for name, parameter in vae.named_parameters():
        hidden = parameter.ndim >= 4 and min(parameter.shape[:2]) > 3 and "conv_in" not in name
        (kernels if hidden else others).append(parameter)
    return [
        Muon(kernels, lr=config.muon_rate),
        torch.optim.Adam(others, lr=config.adam_rate, betas=(0.9, 0.98)),
    ]


def _learning_rate(step: int, config: VaeTraining) -> float:
    """A cosine from 1 to `clip_rate` over the single frames, and on from there to nearly 0 over the clips."""
    if step < config.image_steps:
        fall = 0.5 + 0.5 * math.cos(math.pi * step / config.image_steps)
        return min(1.0, (step + 1) / 30) * (config.clip_rate + (1 - config.clip_rate) * fall)
    fall = 0.5 + 0.5 * math.cos(math.pi * (step - config.image_steps) / config.clip_steps)
    return config.clip_rate * max(0.05, fall)


def _batches(crops: ClipCrops, config: VaeTraining, start: int) -> Iterator[Tensor]:
    for step in range(start, config.steps):
        if step < config.image_steps or step % 2:  # single frames go on beside the clips
            yield crops.batch(config.image_batch, 1, config.image_crop)
        else:
            frames, crop = config.clip_shapes[step // 2 % len(config.clip_shapes)]
            yield crops.batch(max(1, config.clip_pixels // (frames * crop**2)), frames, crop)


def train_vae(config: VaeTraining, shards: list[Path], held_out: list[Path], folder: Path) -> AutoencoderKLWan:
    """Train, or go on from the checkpoint in `folder`; returns the averaged weights. The log is `vae.jsonl`."""
    torch.manual_seed(config.seed)
    vae = tiny_vae(config.base_width)
    initialise_near_identity(vae)
    average = {name: value.clone() for name, value in vae.state_dict().items()}
    optimisers = _optimisers(vae, config)
    start = load_checkpoint(folder / "vae.pt", vae, optimisers, average)
    rates = [[group["lr"] for group in optimiser.param_groups] for optimiser in _optimisers(vae, config)]
    test = source_clips(held_out)
    began, smooth = time.monotonic(), None
    for step, clip in enumerate(_batches(ClipCrops(shards, config.seed + start), config, start), start):
        latent = whole_clip_vae.encode(vae, clip)
        loss = reconstruction_loss(whole_clip_vae.decode(vae, latent), clip) + 1e-5 * latent.square().mean()
        vae.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        for optimiser, base in zip(optimisers, rates, strict=True):
            for group, rate in zip(optimiser.param_groups, base, strict=True):
                group["lr"] = rate * _learning_rate(step, config)
            optimiser.step()
        decay = min(config.ema, (step + 1) / (step + 10))
        for name, value in vae.state_dict().items():
            average[name].lerp_(value, 1 - decay)
        smooth = loss.item() if smooth is None else 0.98 * smooth + 0.02 * loss.item()
        if (step + 1) % 100 == 0 or step + 1 == config.steps:
            save_checkpoint(folder / "vae.pt", step + 1, vae, optimisers, average)
            scores = evaluate(average, config.base_width, test)
            line = {"step": step + 1, "seconds": round(time.monotonic() - began, 1), "loss": round(smooth, 4), **scores}
            with (folder / "vae.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
    vae.load_state_dict(average)
    return vae


def source_clips(shards: list[Path]) -> list[Tensor]:
    """The source camera's clips of each shard, [S, T, 3, H, W] in -1..1."""
    return [Shard.load(file).frames[:, 0].permute(0, 1, 4, 2, 3).float() / 127.5 - 1 for file in shards]


@torch.no_grad()
def evaluate(weights: dict[str, Tensor], base_width: int, clips: list[Tensor]) -> dict[str, float]:
    """Round-trip PSNR of held-out clips at the rendered size: whole clip, and its last frame (drift shows there)."""
    vae = tiny_vae(base_width)
    vae.load_state_dict(weights)
    whole, last, single = [], [], []
    for batch in clips:
        clip = batch[:2]
        decoded = whole_clip_vae.decode(vae, whole_clip_vae.encode(vae, clip))
        whole.append(psnr(decoded, clip))
        last.append(psnr(decoded[:, -1:], clip[:, -1:]))
        single.append(psnr(whole_clip_vae.decode(vae, whole_clip_vae.encode(vae, clip[:, :1])), clip[:, :1]))
    mean = lambda values: round(sum(values) / len(values), 2)  # noqa: E731
    return {"psnr": mean(whole), "psnr_last_frame": mean(last), "psnr_single_frame": mean(single)}
