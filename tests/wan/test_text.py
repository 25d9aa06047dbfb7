"""Prompts: a tiny random UMT5 in a diffusers folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from track2view_core.errors import Track2ViewError
from track2view_core.wan.models import TEXT_TOKENS, TextEncoder

WORDS = ["<pad>", "</s>", "<unk>", "a", "red", "car", "by", "the", "sea"]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

    folder = tmp_path_factory.mktemp("pipeline")
    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=words, **special).save_pretrained(folder / "tokenizer")
    config = UMT5Config(vocab_size=len(WORDS), d_model=32, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    UMT5EncoderModel(config).save_pretrained(folder / "text_encoder")
    return folder


def test_a_prompt_is_zero_behind_its_last_token(pipeline: Path):
    long, short = TextEncoder(pipeline).encode(["a red  car\nby the sea", "car"])
    assert long.shape == short.shape == (1, TEXT_TOKENS, 32)
    assert [int(text.any(dim=-1).sum()) for text in (long, short)] == [7, 2]
    assert not short[:, 2:].any()


def test_white_space_does_not_change_a_prompt(pipeline: Path):
    first, second = TextEncoder(pipeline).encode(["a red car", " a  red car "])
    assert torch.equal(first, second)


def test_it_is_found_where_encoder_and_tokenizer_lie(pipeline: Path, tmp_path: Path):
    assert TextEncoder.is_in(pipeline) and not TextEncoder.is_in(tmp_path)


def test_a_broken_encoder_is_one_sentence(tmp_path: Path):
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "text_encoder").mkdir()
    with pytest.raises(Track2ViewError, match="cannot be loaded"):
        TextEncoder(tmp_path).encode(["a"])
