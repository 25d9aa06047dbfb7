"""The models of a generation from files and folders; prompts by a tiny random UMT5 in a diffusers folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from track2view_core.errors import Track2ViewError
from track2view_core.wan import models as models_module
from track2view_core.wan.bundle import save_bundle
from track2view_core.wan.checkpoints import save_transformer
from track2view_core.wan.models import TEXT_TOKENS, TextEncoder, load_models
from track2view_core.wan.rerender import rerender

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


def test_models_load_from_files_and_run(make, random_weights):
    models = load_models(random_weights.dit, random_weights.vae, random_weights.bundle)
    clip = torch.zeros(5, 32, 64, 3, dtype=torch.uint8)
    assert rerender(clip, make.tracks(5), models=models).shape == clip.shape


def test_nothing_given_means_the_models_of_the_package(random_weights, monkeypatch):
    monkeypatch.setattr(models_module, "TINY_TRANSFORMER", random_weights.dit)
    monkeypatch.setattr(models_module, "TINY_VAE", random_weights.vae)
    monkeypatch.setattr(models_module, "TINY_BUNDLE", random_weights.bundle)
    assert load_models().bundle.config.sampling.frames == 17
    assert models_module.WEIGHTS.name == "weights" and models_module.WEIGHTS.parent.name == "track2view_core"


def test_a_pipelines_folder_brings_its_vae(transformer, vae, make, tmp_path):
    transformer.save_pretrained(tmp_path / "wan" / "transformer")
    save_bundle(tmp_path / "bundle.safetensors", make.bundle(transformer))
    with pytest.raises(Track2ViewError, match="brings no VAE"):
        load_models(tmp_path / "wan", bundle=tmp_path / "bundle.safetensors")
    vae.save_pretrained(tmp_path / "wan" / "vae")
    models = load_models(tmp_path / "wan", bundle=tmp_path / "bundle.safetensors", dtype=torch.bfloat16)
    assert models.vae.dtype == torch.float32 and models.transformer.dtype == torch.bfloat16
    assert models.text_encoder is None


def test_half_of_the_models_is_refused(random_weights):
    with pytest.raises(Track2ViewError, match="model was given without its bundle"):
        load_models(random_weights.dit, random_weights.vae)
    with pytest.raises(Track2ViewError, match="bundle was given without its model"):
        load_models(bundle=random_weights.bundle)


def test_a_bundle_for_another_base_is_refused_on_loading(make, random_weights, tmp_path):
    save_transformer(make.transformer(num_layers=1, text_dim=4096), tmp_path / "other.safetensors")
    with pytest.raises(Track2ViewError, match="trained for a WAN 128 wide with 2 layers"):
        load_models(tmp_path / "other.safetensors", random_weights.vae, random_weights.bundle)
