"""The models of one generation: transformer, VAE, bundle and, where the base brings one, the text encoder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch import Tensor

from ..errors import Track2ViewError
from .bundle import Bundle, load_bundle
from .checkpoints import load_transformer
from .text import TextEncoder, empty_text
from .vae import load_vae

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
TINY_TRANSFORMER = WEIGHTS / "track2view_tiny_dit.safetensors"
TINY_VAE = WEIGHTS / "track2view_tiny_vae.safetensors"
TINY_BUNDLE = WEIGHTS / "track2view_tiny_bundle.safetensors"


@dataclass(frozen=True, eq=False)
class Models:
    """What `rerender` needs. Transformer and VAE may be on any device; the conditioner follows the transformer.

    Raises:
        Track2ViewError: the bundle was trained for another base.
    """

    transformer: WanTransformer3DModel
    vae: AutoencoderKLWan
    bundle: Bundle
    text_encoder: TextEncoder | None = None

    def __post_init__(self) -> None:
        self.bundle.check_fits(self.transformer)

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """Transformer and VAE wait in host memory during the block, and the card they are on is free for others."""
        places = [(module, module.device) for module in (self.transformer, self.vae) if module.device.type != "cpu"]
        try:
            for module, _ in places:
                module.to("cpu")
            if places and torch.cuda.is_available():
                torch.cuda.empty_cache()
            yield
        finally:
            for module, device in places:
                module.to(device)

    def encode_prompts(self, prompts: list[str]) -> list[Tensor]:
        """Each prompt [1, 512, text_dim]; zeros for a bundle that was trained without text."""
        if not self.bundle.config.sampling.uses_text:
            return [empty_text(self.transformer) for _ in prompts]
        if self.text_encoder is None:
            raise Track2ViewError(
                "This bundle was trained with text, and no text encoder is loaded; give as model a diffusers folder "
                "that has text_encoder and tokenizer beside the transformer."
            )
        return self.text_encoder.encode(prompts)


def load_models(
    base: Path | str | None = None,
    vae: Path | str | None = None,
    bundle: Path | str | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Models:
    """Load the models of a generation; nothing given loads the tiny ones that come with the package.

    base: a diffusers folder, or one .safetensors file of a WAN 2.1 text-to-video transformer.
    vae: a folder or file; None takes the one in a diffusers pipeline's folder.
    bundle: the Track2View file trained for that base.
    dtype: of the transformer; the VAE is always float32.
    """
    if base is None and bundle is None:
        base, vae, bundle = TINY_TRANSFORMER, vae or TINY_VAE, TINY_BUNDLE
    if base is None or bundle is None:
        given, missing = ("bundle", "model") if base is None else ("model", "bundle")
        raise Track2ViewError(
            f"A {given} was given without its {missing}; give both, or neither to use the tiny model of the package."
        )
    base = Path(base)
    if vae is None:
        if not (base / "vae").is_dir():
            raise Track2ViewError(f"{base.name} brings no VAE; give the VAE of WAN 2.1 too.")
        vae = base
    loaded = load_bundle(bundle)  # the small file first: a wrong one is told before gigabytes are read
    transformer = load_transformer(base, dtype)
    loaded.check_fits(transformer)
    text_encoder = TextEncoder(base, dtype, device) if TextEncoder.is_in(base) else None
    return Models(transformer.to(device), load_vae(vae, device=device), loaded, text_encoder)
