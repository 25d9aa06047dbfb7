"""Prompts for WAN: UMT5-XXL's embeddings of a text, from a diffusers folder. No network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from ..errors import Track2ViewError

TEXT_TOKENS = 512


def empty_text(transformer: WanTransformer3DModel) -> Tensor:
    """The all-zero prompt [1, 512, text_dim], for models that were trained without text."""
    return torch.zeros(1, TEXT_TOKENS, transformer.config.text_dim)


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
        encoder = encoder.to(self.device).eval()
        return [_embedding(tokenizer, encoder, prompt) for prompt in prompts]


def _embedding(tokenizer, encoder, prompt: str) -> Tensor:
    tokens = tokenizer(
        " ".join(prompt.split()), padding="max_length", max_length=TEXT_TOKENS, truncation=True, return_tensors="pt"
    )
    mask = tokens.attention_mask.to(encoder.device)
    hidden = encoder(tokens.input_ids.to(encoder.device), mask).last_hidden_state
    return (hidden * mask[..., None]).float().cpu()
