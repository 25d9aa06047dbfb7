"""Makes the tiny models from nothing: `python -m track2view_core.training.tiny FOLDER --export WEIGHTS_FOLDER`.

Stages: scenes, VAE, latents, base, LoRA + conditioner, export. Every stage goes on from what FOLDER already holds, so
the command may be stopped and started again at any time.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from tqdm import tqdm

from ..conditioner import TrackConditioner
from ..wan.bundle import BaseConfig, Bundle, BundleConfig, SamplingConfig, save_bundle
from ..wan.checkpoints import load_transformer, save_transformer
from ..wan.lora import lora_state
from ..wan.vae import load_vae, save_vae
from .latents import Size, encode_shards, fold_normalisation, latent_statistics
from .pairs import RenderedPairs
from .shards import ShardSpec, render_shards
from .tiny_dit import DitTraining, train_base, train_conditioner
from .tiny_vae import VaeTraining, train_vae

HELD_OUT_SEED = 1_000_000  # no training shard comes near it


def base_training(steps: int) -> DitTraining:
    """The prior learns at half size alone; the second stage brings the rendered size."""
    return DitTraining(steps=steps, full_from=1.0)


@dataclass(frozen=True)
class TinyTraining:
    shards: int = 96
    full_size_shards: int = 17  # encoded at the rendered size too
    scenes: ShardSpec = field(default_factory=ShardSpec)
    vae: VaeTraining = field(default_factory=VaeTraining)
    base: DitTraining = field(default_factory=lambda: base_training(1100))
    conditioner: DitTraining = field(default_factory=lambda: DitTraining(steps=2700, seed=1))


SAMPLING = SamplingConfig(
    steps=10, guidance=1.0, shift=3.0, width=128, height=128, frames=17, scheduler="euler", uses_text=False
)


class _Bar:
    """One progress bar a stage."""

    def __init__(self) -> None:
        self.bar: tqdm | None = None

    def __call__(self, done: int, total: int, stage: str) -> None:
        if self.bar is None or self.bar.desc != f"{stage}: ":
            self.bar = tqdm(total=total, desc=stage)
        self.bar.update(done - self.bar.n)


def make_vae(config: TinyTraining, shards: list[Path], folder: Path) -> AutoencoderKLWan:
    """The trained VAE with WAN's latent statistics, from `tiny_vae.safetensors` once that is there."""
    file = folder / "tiny_vae.safetensors"
    if not file.exists():
        held_out = render_shards(
            folder / "held_out", 1, spec=replace(config.scenes, scenes=4, cameras=2), first_seed=HELD_OUT_SEED
        )
        vae = train_vae(config.vae, shards, held_out, folder)
        fold_normalisation(vae, *latent_statistics(vae, shards[:12]))
        save_vae(vae, file)
    return load_vae(file, torch.float32)


def make_base(config: DitTraining, pairs: dict[Size, RenderedPairs], folder: Path) -> WanTransformer3DModel:
    """The base prior as it will be shipped, so that the second stage adapts exactly the half-precision weights."""
    file = folder / "tiny_dit.safetensors"
    if not file.exists():
        save_transformer(train_base(pairs, config, folder), file, torch.float16)
    return load_transformer(file, torch.float32)


def export(
    weights: Path,
    vae: AutoencoderKLWan,
    base: WanTransformer3DModel,
    conditioner: TrackConditioner,
    card: dict[str, str],
) -> None:
    """Write the three files that the package ships."""
    weights.mkdir(parents=True, exist_ok=True)
    bundle_config = BundleConfig(conditioner.config, SAMPLING, BaseConfig.of(base), card)
    bundle = Bundle(conditioner, lora_state(base), bundle_config)
    save_bundle(weights / "track2view_tiny_bundle.safetensors", bundle, dtype=torch.float16)
    save_vae(vae, weights / "track2view_tiny_vae.safetensors", torch.float16)


def make(config: TinyTraining, folder: Path, weights: Path) -> None:
    bar = _Bar()
    shards = render_shards(folder / "shards", config.shards, spec=config.scenes, first_seed=0, progress=bar)
    vae = make_vae(config, shards, folder)
    pairs: dict[Size, RenderedPairs] = {}
    for size, count in (("half", config.shards), ("full", config.full_size_shards)):
        encode_shards(vae, shards[:count], folder / size, size, progress=bar)
        pairs[size] = RenderedPairs(shards[:count], folder / size, size)
    base = make_base(config.base, pairs, folder)
    conditioner = train_conditioner(base, pairs, config.conditioner, folder)
    export(weights, vae, base, conditioner, model_card(config))
    (weights / "track2view_tiny_dit.safetensors").write_bytes((folder / "tiny_dit.safetensors").read_bytes())


def model_card(config: TinyTraining) -> dict[str, str]:
    scenes = config.shards * config.scenes.scenes
    return {
        "purpose": "A demonstrator that runs anywhere; its pictures are small and soft.",
        "data": f"{scenes} rendered scenes, {config.scenes.cameras} cameras each, {config.scenes.frames} frames.",
        "base": "Trained half on plain clips, half on untracked [target, source] sequences; frozen afterwards.",
        "steps": f"VAE {config.vae.steps}, base {config.base.steps}, LoRA and conditioner {config.conditioner.steps}.",
        "prompt": "All zeros; guidance has no effect.",
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where data, checkpoints and logs live")
    parser.add_argument("--export", type=Path, required=True, help="where the three weight files go")
    parser.add_argument("--shards", type=int, default=TinyTraining.shards)
    parser.add_argument("--full-size-shards", type=int, default=TinyTraining.full_size_shards)
    parser.add_argument("--base-steps", type=int, default=1100)
    parser.add_argument("--conditioner-steps", type=int, default=2700)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    config = TinyTraining(
        shards=options.shards,
        full_size_shards=options.full_size_shards,
        base=base_training(options.base_steps),
        conditioner=DitTraining(steps=options.conditioner_steps, seed=1),
    )
    make(config, options.folder, options.export)


if __name__ == "__main__":
    main()
