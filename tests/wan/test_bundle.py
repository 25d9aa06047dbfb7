"""The bundle file: an exact round trip, and one sentence for every file that is not one."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from track2view_core.errors import Track2ViewError
from track2view_core.wan import tensor_files
from track2view_core.wan.bundle import METADATA_KEY, load_bundle, save_bundle
from track2view_core.wan.bundle_config import BaseConfig, BundleConfig, SamplingConfig


@pytest.fixture
def bundle(make, transformer):
    return make.bundle(transformer)


@pytest.fixture
def file(bundle, tmp_path) -> Path:
    save_bundle(tmp_path / "bundle.safetensors", bundle)
    return tmp_path / "bundle.safetensors"


def rewritten(file: Path, *, config=None, extra=None, drop: str = "nothing") -> Path:
    """The file with a changed config, a further tensor, or without the tensors whose names hold `drop`."""
    state = {key: value.clone() for key, value in load_file(file).items() if drop not in key}
    metadata = {METADATA_KEY: json.dumps(load_bundle(file).config.to_dict() if config is None else config)}
    other = file.with_name("other.safetensors")
    save_file({**state, **(extra or {})}, other, metadata)
    return other


def test_round_trip(bundle, file):
    again = load_bundle(file)
    assert again.config == bundle.config
    assert BundleConfig.from_dict(json.loads(json.dumps(bundle.config.to_dict()))) == bundle.config
    for first, second in ((again.lora, bundle.lora), (again.conditioner.state_dict(), bundle.conditioner.state_dict())):
        assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
    assert not again.conditioner.training
    prefixes = {key.split(".")[0] for key in load_file(file)}
    assert prefixes == {"track2view", "diffusion_model"}


def test_the_empty_prompt_goes_with_a_bundle_whose_source_reads_it(make, transformer, tmp_path):
    text, file = torch.randn(2, 64), tmp_path / "empty.safetensors"
    bundle = make.bundle(transformer, source_attention="own", source_text=text)
    save_bundle(file, bundle, dtype=torch.float16)
    again = load_bundle(file)
    assert torch.equal(again.source_text, text) and again.config == bundle.config
    assert again.lora.keys() == bundle.lora.keys()
    told = 'source_text in the bundle is "empty", and source_text, the embedding of the empty prompt, is missing'
    with pytest.raises(Track2ViewError, match=told):
        load_bundle(rewritten(file, drop="source_text"))
    with pytest.raises(Track2ViewError, match=r'"prompt", and .* is there'):
        replace(bundle, config=make.bundle(transformer).config)
    with pytest.raises(Track2ViewError, match=r"shape \[64\]; it must be \[tokens, text_dim\]"):
        load_bundle(rewritten(file, extra={"source_text": text[0]}))


def test_half_precision_halves_the_file_and_loads_as_float32(bundle, file, tmp_path):
    save_bundle(tmp_path / "half.safetensors", bundle, dtype=torch.float16)
    again = load_bundle(tmp_path / "half.safetensors")
    assert (tmp_path / "half.safetensors").stat().st_size < 0.6 * file.stat().st_size
    assert {weight.dtype for weight in again.conditioner.parameters()} == {torch.float32}
    alphas = [value for key, value in again.lora.items() if key.endswith("alpha")]
    assert {value.dtype for value in alphas} == {torch.float32}


def test_writing_replaces_the_file_whole_or_not_at_all(bundle, file, monkeypatch):
    before = file.read_bytes()

    def fail(_state, name, _metadata):
        Path(name).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(tensor_files, "save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        save_bundle(file, bundle)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_a_folder_that_is_missing_is_told(bundle, tmp_path):
    with pytest.raises(Track2ViewError, match="does not exist"):
        save_bundle(tmp_path / "nowhere" / "bundle.safetensors", bundle)


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "does not exist"), (b"", "is empty"), (b"just some text, no tensors", "no complete .safetensors")],
)
def test_a_file_that_is_none_is_one_sentence(tmp_path, content, told):
    file = tmp_path / "bundle.safetensors"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(Track2ViewError, match=told):
        load_bundle(file)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_a_truncated_file_is_one_sentence(file, share):
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(Track2ViewError, match=r"no complete \.safetensors"):
        load_bundle(file)


def test_other_safetensors_are_no_bundle(tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(Track2ViewError, match="no Track2View bundle"):
        load_bundle(tmp_path / "other.safetensors")


@pytest.mark.parametrize("part", [None, "conditioner", "sampling", "base"])
def test_an_unknown_config_field_is_named(bundle, file, part):
    config = bundle.config.to_dict()
    (config if part is None else config[part])["surprise"] = 1
    with pytest.raises(Track2ViewError, match=r"unknown field '?surprise"):
        load_bundle(rewritten(file, config=config))


def test_whose_pixels_stand_goes_by_the_size_until_the_bundle_says(bundle, file):
    config = bundle.config.to_dict()
    assert "pixels" not in config["sampling"]  # as in files that are older than it
    for size, keeps in ({"width": 832, "height": 464}, True), ({"width": 480, "height": 832}, False):
        assert (
            load_bundle(
                rewritten(file, config={**config, "sampling": {**config["sampling"], **size}})
            ).config.sampling.keeps_pixels
            is keeps
        )
        for pixels in ("keep", "model"):
            told = {**config, "sampling": {**config["sampling"], **size, "pixels": pixels}}
            again = load_bundle(rewritten(file, config=told)).config
            assert again.sampling.keeps_pixels is (pixels == "keep") and again.to_dict() == told


@pytest.mark.parametrize("part", [None, "sampling", "base"])
def test_a_missing_config_field_is_named(bundle, file, part):
    config = bundle.config.to_dict()
    group = config if part is None else config[part]
    name = next(iter(group))
    del group[name]
    with pytest.raises(Track2ViewError, match=f"lacks {name}"):
        load_bundle(rewritten(file, config=config))


def test_broken_config_is_one_sentence(file):
    state = load_file(file)
    save_file({k: v.clone() for k, v in state.items()}, file.with_name("b.safetensors"), {METADATA_KEY: "{"})
    with pytest.raises(Track2ViewError, match="is no JSON"):
        load_bundle(file.with_name("b.safetensors"))
    with pytest.raises(Track2ViewError, match="not a JSON object"):
        load_bundle(rewritten(file, config=[1, 2]))


def test_a_conditioner_that_is_wrapped_loads_and_one_that_is_not_finite_is_named(bundle, file):
    state, (key, *_) = load_file(file), bundle.conditioner.state_dict()
    wrapped = {f"track2view._orig_mod.{name}": value for name, value in bundle.conditioner.state_dict().items()}
    again = load_bundle(rewritten(file, extra=wrapped, drop="track2view."))
    assert all(
        torch.equal(again.conditioner.state_dict()[name], v) for name, v in bundle.conditioner.state_dict().items()
    )
    broken = state[f"track2view.{key}"].clone()
    broken.flatten()[-1] = float("inf")
    other = rewritten(file, extra={f"track2view.{key}": broken})
    with pytest.raises(Track2ViewError, match=rf"The bundle other\.safetensors has track2view\.{key}, which holds NaN"):
        load_bundle(other)


def test_foreign_missing_and_misfitting_weights_are_named(bundle, file):
    with pytest.raises(Track2ViewError, match="unknown key surprise"):
        load_bundle(rewritten(file, extra={"surprise": torch.zeros(1)}))
    with pytest.raises(Track2ViewError, match="mask_token absent"):
        load_bundle(rewritten(file, drop="mask_token"))
    config = bundle.config.to_dict()
    config["conditioner"]["width"] = 64
    with pytest.raises(Track2ViewError, match=r"of shape \[32\], but of shape \[64\] is needed"):
        load_bundle(rewritten(file, config=config))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scheduler", "heun"),
        ("rotary", "none"),
        ("source_timestep", "one"),
        ("frames", 16),
        ("width", 100),
        ("steps", 0),
        ("pixels", "mine"),
    ],
)
def test_a_setting_out_of_range_is_told(field, value):
    good = {"steps": 2, "guidance": 1.0, "shift": 3.0, "width": 64, "height": 32, "frames": 9}
    assert SamplingConfig(**good).scheduler == "euler"
    with pytest.raises(Track2ViewError, match=str(value)):
        SamplingConfig(**{**good, field: value})


def test_a_bundle_for_another_base_is_refused_with_both_sizes(make, bundle, transformer):
    bundle.check_fits(transformer)
    assert BaseConfig.of(transformer) == BaseConfig(dim=128, layers=2, ffn_dim=256)
    with pytest.raises(Track2ViewError, match=r"128 wide with 2 layers.*but the model is 256 wide with 2 layers"):
        bundle.check_fits(make.transformer(num_attention_heads=2))


def test_what_comfyuis_own_model_needs_of_a_bundle_loads_without_diffusers_and_peft():
    """They load for seconds, before the first film that anybody makes."""
    needed = "wan.bundle wan.condition wan.trained_for wan.host_seams"
    script = f"import sys\nfor name in {needed.split()}: __import__('track2view_core.' + name)\n"
    script += "print([name for name in ('diffusers', 'peft', 'transformers') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
