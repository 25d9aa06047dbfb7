"""A last stage for the tiny VAE's decoder: the encoder, and with it every cached latent, stays as it is."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from . import whole_clip_vae
from .checkpoint import load_checkpoint, save_checkpoint
from .tiny_vae import ClipCrops, evaluate, reconstruction_loss

CHECKPOINT_EVERY = 100  # steps


@dataclass(frozen=True)
class DecoderRefinement:
    steps: int = 1000
    frames: int = 17
    crop: int = 64
    batch: int = 1
    rate: float = 1e-3
    ema: float = 0.99
    seed: int = 2


def refine_decoder(
    vae: AutoencoderKLWan, config: DecoderRefinement, shards: list[Path], held_out: list[Tensor], folder: Path
) -> None:
    """Train decoder and post-quantisation convolution in place, on whole clips alone; resumes from `decoder.pt`."""
    torch.manual_seed(config.seed)
    vae.requires_grad_(False)
    vae.decoder.requires_grad_(True)
    vae.post_quant_conv.requires_grad_(True)
    trained = {name: p for name, p in vae.named_parameters() if p.requires_grad}
    average = {name: p.detach().clone() for name, p in trained.items()}
    optimiser = torch.optim.Adam(trained.values(), lr=config.rate, betas=(0.9, 0.98))
    start = load_checkpoint(folder / "decoder.pt", vae, [optimiser], average)
    crops, began = ClipCrops(shards, config.seed + start), time.monotonic()
    for step in range(start, config.steps):
        clip = crops.batch(config.batch, config.frames, config.crop)
        with torch.no_grad():
            latent = whole_clip_vae.encode(vae, clip)
        loss = reconstruction_loss(whole_clip_vae.decode(vae, latent), clip)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained.values(), 1.0)
        fall = 0.5 + 0.5 * math.cos(math.pi * step / config.steps)
        optimiser.param_groups[0]["lr"] = config.rate * min(1.0, (step + 1) / 30) * max(0.02, fall)
        optimiser.step()
        decay = min(config.ema, (step - start + 1) / (step - start + 10))
        with torch.no_grad():
            for name, parameter in trained.items():
                average[name].lerp_(parameter, 1 - decay)
        if (step + 1) % CHECKPOINT_EVERY == 0 or step + 1 == config.steps:
            save_checkpoint(folder / "decoder.pt", step + 1, vae, [optimiser], average)
            scores = evaluate({**vae.state_dict(), **average}, vae.config.base_dim, held_out)
            with (folder / "decoder.jsonl").open("a") as log:
                log.write(
                    json.dumps({"step": step + 1, "seconds": round(time.monotonic() - began, 1), **scores}) + "\n"
                )
    vae.load_state_dict(average, strict=False)
    vae.requires_grad_(False)
