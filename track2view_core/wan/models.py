"""The models of one generation: transformer, VAE, bundle and, where the base brings one, the text encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch import Tensor, nn

from ..errors import Track2ViewError
from .bundle import Bundle, load_bundle
from .checkpoints import load_transformer
from .tensor_files import check_finite
from .vae import load_vae

TEXT_TOKENS = 512


def empty_text(transformer: WanTransformer3DModel) -> Tensor:
    """The all-zero prompt [1, 512, text_dim], for models that were trained without text."""
    return torch.zeros(1, TEXT_TOKENS, transformer.config["text_dim"])


class TextEncoder:
    """WAN's text encoder in a diffusers pipeline's folder.

    Its 5.7 billion parameters are loaded when prompts are encoded and let go after that: they are needed once a run.
    """

    def __init__(self, folder: Path | str, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"):
        self.folder, self.dtype, self.device = Path(folder), dtype, device

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Whether `folder` holds a text encoder and its tokenizer."""
        return (folder / "text_encoder").is_dir() and (folder / "tokenizer").is_dir()

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> list[Tensor]:
        """Each prompt [1, 512, text_dim] float32 on the CPU, zero behind its last token, as WAN was trained."""
        from transformers import AutoTokenizer, UMT5EncoderModel

        try:
            tokenizer = AutoTokenizer.from_pretrained(self.folder / "tokenizer", local_files_only=True)
            encoder = UMT5EncoderModel.from_pretrained(
                self.folder / "text_encoder", torch_dtype=self.dtype, local_files_only=True
            )
        except Exception as error:  # whatever transformers finds wrong with the user's folder is one sentence to them
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise Track2ViewError(
                f"The text encoder in {self.folder} cannot be loaded ({reason}); copy the folder again."
            ) from error
        check_finite(encoder.state_dict(), f"The text encoder in {self.folder}", "copy the folder again")
        # transformers and diffusers wrap torch's `to` in a way that loses its types.
        encoder = encoder.to(self.device).eval()  # pyright: ignore[reportArgumentType]
        return [_embedding(tokenizer, encoder, prompt) for prompt in prompts]


def _embedding(tokenizer, encoder, prompt: str) -> Tensor:
    tokens = tokenizer(
        " ".join(prompt.split()), padding="max_length", max_length=TEXT_TOKENS, truncation=True, return_tensors="pt"
    )
    mask = tokens.attention_mask.to(encoder.device)
    hidden = encoder(tokens.input_ids.to(encoder.device), mask).last_hidden_state
    return (hidden * mask[..., None]).float().cpu()


WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
TINY_TRANSFORMER = WEIGHTS / "diffusion_models" / "track2view_tiny_dit.safetensors"
TINY_VAE = WEIGHTS / "vae" / "track2view_tiny_vae.safetensors"
TINY_BUNDLE = WEIGHTS / "track2view" / "track2view_tiny_bundle.safetensors"


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
        models = [(self.transformer, self.transformer.device), (self.vae, self.vae.device)]
        places: list[tuple[nn.Module, torch.device]] = [(m, device) for m, device in models if device.type != "cpu"]
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
    transformer = transformer.to(device)  # pyright: ignore[reportArgumentType]: as above
    return Models(transformer, load_vae(vae, device=device), loaded, text_encoder)
