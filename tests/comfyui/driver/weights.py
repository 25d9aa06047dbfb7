"""The tiny models by their shipped names: the pack's own, or random ones of the same shape where they are missing."""

from __future__ import annotations

from pathlib import Path

import torch

NAMES = tuple(f"track2view_tiny_{part}.safetensors" for part in ("dit", "vae", "bundle"))
FOLDERS = ("diffusion_models", "vae", "track2view")  # of ComfyUI's models and of the pack's weights
PACK_WEIGHTS = Path(__file__).resolve().parents[3] / "track2view_core/weights"
SHIPPED = tuple(PACK_WEIGHTS / folder / name for folder, name in zip(FOLDERS, NAMES, strict=True))
WIDTH, LAYERS, FEED_FORWARD = 128, 8, 512


def provide_tiny_models(models: Path) -> None:
    """Random weights go into `models`, ComfyUI's own folder, which comes before the pack's."""
    if not all(file.is_file() for file in SHIPPED):
        write_random_models(*(models / folder / name for folder, name in zip(FOLDERS, NAMES, strict=True)))


def write_random_models(dit: Path, vae: Path, bundle: Path) -> None:
    from diffusers import AutoencoderKLWan

    from track2view_core.wan.checkpoints import save_transformer
    from track2view_core.wan.vae import save_vae

    torch.manual_seed(0)
    for file in (dit, vae, bundle):
        file.parent.mkdir(parents=True, exist_ok=True)
    transformer = random_transformer()
    save_transformer(transformer, dit)
    save_vae(AutoencoderKLWan(base_dim=8), vae)
    write_bundle(bundle, transformer)


def random_transformer(width: int = WIDTH, layers: int = LAYERS, ffn: int = FEED_FORWARD):
    from diffusers import WanTransformer3DModel

    return WanTransformer3DModel(
        num_attention_heads=width // 128,
        attention_head_dim=128,
        num_layers=layers,
        ffn_dim=ffn,
        text_dim=4096,
        freq_dim=256,
    )


def write_bundle(
    file: Path,
    transformer,
    *,
    rank: int = 4,
    unknown_key: str | None = None,
    uses_text: bool = False,
    random_outputs: bool = False,
) -> None:
    """A bundle of random conditioner and LoRA for `transformer`, which is left as it came.

    random_outputs: also where training starts from zero, so that the bundle changes the result.
    """
    from track2view_core.conditioner import ConditionerConfig, TrackConditioner
    from track2view_core.wan.bundle import Bundle, save_bundle
    from track2view_core.wan.bundle_config import BaseConfig, BundleConfig, SamplingConfig
    from track2view_core.wan.lora import add_lora, lora_state, remove_lora

    base = BaseConfig.of(transformer)
    conditioner = TrackConditioner(ConditionerConfig(dim=base.dim, width=64, layers=2, heads=2))
    add_lora(transformer, rank, float(rank))
    lora = lora_state(transformer)
    remove_lora(transformer)
    if random_outputs:
        for weight in (*(linear.weight for linear in conditioner.output.values()), *lora.values()):
            if weight.ndim == 2 and not weight.any():
                torch.nn.init.normal_(weight, std=0.02)
    if unknown_key is not None:
        lora[unknown_key] = torch.zeros(rank, base.dim)
    sampling = SamplingConfig(steps=4, guidance=1.0, shift=5.0, width=128, height=128, frames=17, uses_text=uses_text)
    save_bundle(
        file, Bundle(conditioner, lora, BundleConfig(conditioner.config, sampling, base, {"title": "random weights"}))
    )


def write_variant(bundle: Path, file: Path, *, source_text: torch.Tensor | None = None, **sampling: object) -> None:
    """The bundle with other sampling settings, and open to text, so that guidance has two branches; its source
    attends to both views unless told otherwise, and reads `source_text` where that is given."""
    import dataclasses

    from track2view_core.wan.bundle import load_bundle, save_bundle

    loaded = load_bundle(bundle)
    reads = "prompt" if source_text is None else "empty"
    told = dataclasses.replace(
        loaded.config.sampling,
        uses_text=True,
        guidance=3.0,
        **{"source_attention": "full", "source_text": reads, **sampling},
    )
    config = dataclasses.replace(loaded.config, sampling=told)
    save_bundle(file, dataclasses.replace(loaded, config=config, source_text=source_text))
