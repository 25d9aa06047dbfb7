"""Trains one arm with one seed and scores its clips; what is finished is kept and never made again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import torch
from diffusers import AutoencoderKLWan
from einops import rearrange
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.claim import arms
from benchmarks.claim.arms import Arm, FlowMatching, generate, velocity_error
from benchmarks.claim.protocol import SIGMAS, Protocol, ScoredClip, batches
from benchmarks.held_out_clips import camera_figures, picture_figures, strip
from benchmarks.result_files import read_json, write_json
from track2view_core.dataset import PairDataset
from track2view_core.errors import Track2ViewError
from track2view_core.evaluation import psnr, splat_points
from track2view_core.progress import Progress
from track2view_core.training.loop import train
from track2view_core.training.objectives import keep_time_in_float32
from track2view_core.training.settings import OptimiserSettings, TrainSettings
from track2view_core.wan.vae import decode_whole_clip, latent_statistics

WITHOUT_MODEL = {
    "source": "source copied",
    "splat": "points splatted",
    "round_trip": "VAE round trip of the truth",
}
WEIGHTS, COST = "weights.safetensors", "cost.json"


def train_settings(protocol: Protocol, seed: int) -> TrainSettings:
    return TrainSettings(
        steps=protocol.steps,
        seed=seed,
        optimiser=OptimiserSettings(
            name="muon",
            rate=protocol.rate,
            muon_rate=protocol.muon_rate,
            betas=(0.9, 0.98),
            warmup=protocol.warmup,
        ),
        ema=protocol.ema,
        precision=protocol.precision,
        device="cpu",
        prefetch=0,
        checkpoint_every=50,
        keep_checkpoints=1,
        log_every=1,
        validate_every=0,
        tensorboard=False,
    )


def trained(
    name: str, seed: int, pairs: PairDataset, protocol: Protocol, transformer: Path, folder: Path, progress: Progress
) -> Arm:
    """The arm with its averaged weights, trained unless `folder` holds them."""
    arm = arms.build(name, transformer, rank=protocol.rank, seed=seed)
    weights = folder / WEIGHTS
    if not weights.exists():
        keep_time_in_float32(arm.transformer)
        done: list[int] = []
        began = time.process_time()

        def count(step: int, steps: int, stage: str) -> None:
            done.append(step)
            progress(step, steps, stage)

        average = train(
            FlowMatching(arm, protocol.shift),
            batches(pairs, protocol, arm.anchor),
            train_settings(protocol, seed),
            folder,
            progress=count,
            identity={"arm": name, "protocol": asdict(protocol)},
        )
        # Of the steps since the last start; processor time, so that other work on the machine does not count.
        seconds = (time.process_time() - began) / max(1, len(done))
        parameters = sum(value.numel() for value in average.values())
        write_json({"parameters": parameters, "seconds_a_step": seconds}, folder / COST)
        temporary = weights.with_suffix(".tmp")
        save_file({key: value.contiguous() for key, value in average.items()}, temporary)
        temporary.replace(weights)
    missing = set(arm.trainable()) ^ set(average := load_file(weights))
    if missing:
        raise Track2ViewError(f"{weights} is not of this arm ({min(missing)} differs); remove {folder}.")
    arm.load_state_dict(average, strict=False)
    return arm


def score_arm(arm: Arm, clips: Sequence[ScoredClip], vae: AutoencoderKLWan, folder: Path, progress: Progress) -> None:
    for number, scored in enumerate(clips):
        progress(number, len(clips), "scoring")
        if not _done(folder, number):
            protocol, pair = scored.protocol, scored.pair(arm.anchor)
            latent = generate(arm, pair, steps=protocol.sample_steps, shift=protocol.shift, seed=scored.clip.seed)
            figures = clip_figures(scored, decoded(vae, latent), folder, number)
            figures["loss"] = velocity_error(arm, pair, SIGMAS, scored.clip.seed)
            write_json(figures, _file(folder, number))


def score_without_model(
    name: str, clips: Sequence[ScoredClip], vae: AutoencoderKLWan, folder: Path, progress: Progress
) -> None:
    for number, scored in enumerate(clips):
        progress(number, len(clips), "scoring")
        if not _done(folder, number):
            write_json(clip_figures(scored, _video(name, scored, vae), folder, number), _file(folder, number))


def clip_figures(scored: ScoredClip, video: Tensor, folder: Path, number: int) -> dict:
    """Figures of one video, whose frames to look at are written beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(_file(folder, number).with_suffix(".png")), strip(video)):
        raise Track2ViewError(f"The frames could not be written into {folder}; change --out.")
    clip, hidden = scored.clip, scored.disoccluded[1:]
    # All frames as one: a frame in which little came into sight counts as little.
    apart = psnr(*(rearrange(x, "t h ... -> (t h) ...") for x in (video[1:], scored.target[1:], hidden)))
    return {
        **picture_figures(video, scored.target),
        **camera_figures(scored.fitter, video, clip.source, clip.target),
        "disoccluded_psnr": float(apart),
        "disoccluded_share": float(hidden.double().mean()),
        "moves": clip.moves,
    }


def results_of(folder: Path, count: int) -> list[dict] | None:
    """The figures of all clips, or nothing while some are missing."""
    files = [_file(folder, number) for number in range(count)]
    return [read_json(file) for file in files] if all(file.exists() for file in files) else None


@torch.no_grad()
def decoded(vae: AutoencoderKLWan, latent: Tensor) -> Tensor:
    """[1, 16, F, h, w] -> uint8 [T, H, W, 3], the whole clip at once."""
    mean, std = latent_statistics(vae)
    pixels = decode_whole_clip(vae, rearrange(latent * std + mean, "b c t h w -> b t c h w"))
    return rearrange(((pixels + 1) * 127.5).round().clamp(0, 255).to(torch.uint8), "1 t c h w -> t h w c").contiguous()


def _video(name: str, scored: ScoredClip, vae: AutoencoderKLWan) -> Tensor:
    if name in ("source", "truth"):
        return scored.source if name == "source" else scored.target
    return splat_points(scored.source, scored.tracks) if name == "splat" else decoded(vae, scored.latents[1])


def _file(folder: Path, number: int) -> Path:
    return folder / f"clip_{number:03d}.json"


def _done(folder: Path, number: int) -> bool:
    return _file(folder, number).exists()
