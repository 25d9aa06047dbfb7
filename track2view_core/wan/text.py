"""Prompts for WAN: UMT5-XXL's embeddings of a text, from a diffusers folder. No network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..errors import Track2ViewError

TEXT_TOKENS = 512
_PARTS = ("text_encoder", "tokenizer")


def holds_text_encoder(folder: Path) -> bool:
    """Whether `folder` is a diffusers pipeline with a text encoder and its tokenizer."""
    return all((folder / part).is_dir() for part in _PARTS)


@torch.no_grad()
def encode_prompts(
    prompts: Sequence[str],
    folder: Path | str,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> list[Tensor]:
    """Embeddings `[1, 512, text_dim]` of each prompt, on the CPU, zero behind its last token, as WAN was trained.

    The encoder (5.7 billion parameters) is loaded for this call and let go after it.
    """
    folder = Path(folder)
    if not holds_text_encoder(folder):
        raise Track2ViewError(
            f"{folder} holds no text encoder; give a diffusers folder of WAN 2.1 with text_encoder and tokenizer in it."
        )
    from transformers import AutoTokenizer, UMT5EncoderModel

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        encoder = UMT5EncoderModel.from_pretrained(folder / "text_encoder", dtype=dtype, local_files_only=True)
    except Exception as error:  # whatever transformers finds wrong with the user's folder is one sentence to them
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise Track2ViewError(f"The text encoder in {folder} cannot be loaded ({reason}); copy it again.") from error
    encoder = encoder.to(device).eval()
    results = []
    for prompt in prompts:
        tokens = tokenizer(
            " ".join(prompt.split()), padding="max_length", max_length=TEXT_TOKENS, truncation=True, return_tensors="pt"
        )
        mask = tokens.attention_mask.to(device)
        embedding = encoder(tokens.input_ids.to(device), mask).last_hidden_state
        results.append((embedding * mask[..., None]).float().cpu())
    return results
