"""`track2view convert`: every file that people have becomes ours in one command, or one sentence says why not."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from track2view_core.cli import main
from track2view_core.wan.bundle import load_bundle


@dataclass(frozen=True)
class Outcome:
    code: int
    said: str
    sentence: str


@pytest.fixture
def convert(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Runs the verb; a refusal must be one sentence and leave the folder as it was."""

    def run(*arguments: object) -> Outcome:
        before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
        code = main(["convert", *map(str, arguments)])
        out, err = capsys.readouterr()
        if code != 0:
            assert code == 2 and not out
            assert err.startswith("track2view: ") and err.count("\n") == 1 and err.endswith(".\n")
            assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
        return Outcome(code, out, err)

    return run


def metadata_of(file: Path) -> dict[str, str]:
    with safe_open(str(file), framework="pt") as handle:
        return handle.metadata()


def kohya_file(file: Path, rank: int = 4, **metadata: str) -> Path:
    module = "lora_unet_blocks_0_self_attn_q"
    state = {f"{module}.lora_down.weight": torch.randn(rank, 128), f"{module}.lora_up.weight": torch.randn(128, rank)}
    save_file({**state, f"{module}.alpha": torch.tensor(rank / 2)}, file, metadata)
    return file


def diffusers_bundle(bundle: Path, file: Path) -> Path:
    """The bundle with one LoRA pair in diffusers' layout and settings, its conditioner in half precision."""
    state = {k: v.to(torch.float16) for k, v in load_file(bundle).items() if k.startswith("track2view.")}
    module = "transformer.blocks.1.attn1.to_k"
    state |= {f"{module}.lora_A.weight": torch.ones(2, 128), f"{module}.lora_B.weight": torch.ones(128, 2)}
    settings = {"lora_adapter_metadata": json.dumps({"transformer.lora_alpha": 5}), "note": "mine"}
    save_file(state, file, {**metadata_of(bundle), **settings})
    return file


def test_a_lora_in_one_line(convert, tmp_path: Path):
    out = tmp_path / "ours.safetensors"
    outcome = convert(kohya_file(tmp_path / "kohya.safetensors", ss_network_dim="4"), out)
    assert outcome.code == 0 and outcome.said.count("\n") == 1
    assert "kohya layout, 1 module, rank 4, scale 0.5" in outcome.said and str(out) in outcome.said
    key = "diffusion_model.blocks.0.self_attn.q"
    assert load_file(out).keys() == {f"{key}.{part}" for part in ("lora_A.weight", "lora_B.weight", "alpha")}
    assert metadata_of(out) == {"ss_network_dim": "4", "format": "pt"}
    again = tmp_path / "again.safetensors"
    assert "ComfyUI layout" in convert(out, again).said
    assert metadata_of(again) == metadata_of(out)  # the file's bytes may differ: its metadata has no order
    first, second = load_file(out), load_file(again)
    assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_ranks_and_scales_are_told_as_ranges(convert, tmp_path: Path):
    state = load_file(kohya_file(tmp_path / "kohya.safetensors"))
    more = load_file(kohya_file(tmp_path / "kohya.safetensors", rank=8))
    del more["lora_unet_blocks_0_self_attn_q.alpha"]
    save_file({**state, **{k.replace("_q.", "_k."): v for k, v in more.items()}}, tmp_path / "kohya.safetensors")
    said = convert(tmp_path / "kohya.safetensors", tmp_path / "ours.safetensors").said
    assert "2 modules, ranks 4 to 8, scales 0.5 to 1" in said


def test_a_peft_folder(convert, tmp_path: Path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    module = "base_model.model.blocks.0.ffn.net.2"
    state = {f"{module}.lora_A.weight": torch.ones(2, 256), f"{module}.lora_B.weight": torch.ones(128, 2)}
    save_file(state, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"lora_alpha": 6}), encoding="utf-8")
    assert "peft layout, 1 module, rank 2, scale 3" in convert(folder, tmp_path / "ours.safetensors").said
    assert float(load_file(tmp_path / "ours.safetensors")["diffusion_model.blocks.0.ffn.2.alpha"]) == 6
    for broken, told in (("{", "no JSON"), ("[]", "no JSON object"), ("{}", "lora_alpha")):
        (folder / "adapter_config.json").write_text(broken, encoding="utf-8")
        assert told in convert(folder, tmp_path / "other.safetensors").sentence
    (folder / "adapter_model.safetensors").unlink()
    assert "adapter_model.safetensors does not exist" in convert(folder, tmp_path / "other.safetensors").sentence


def test_a_bundle_stays_a_bundle(convert, random_weights: SimpleNamespace, tmp_path: Path):
    source, out = (
        diffusers_bundle(random_weights.bundle, tmp_path / "bundle.safetensors"),
        tmp_path / "ours.safetensors",
    )
    said = convert(source, out).said
    assert "diffusers layout, 1 module, rank 2, scale 2.5" in said and "written as a bundle" in said
    before, after = load_file(source), load_file(out)
    kept = [key for key in before if key.startswith("track2view.")]
    assert kept == [key for key in after if key.startswith("track2view.")]
    assert all(before[key].dtype == after[key].dtype and torch.equal(before[key], after[key]) for key in kept)
    assert metadata_of(out) == {k: v for k, v in metadata_of(source).items() if k != "lora_adapter_metadata"}
    assert load_bundle(out).lora.keys() == load_bundle(source).lora.keys()


def test_only_the_lora_of_a_bundle(convert, random_weights: SimpleNamespace, tmp_path: Path):
    source, out = (
        diffusers_bundle(random_weights.bundle, tmp_path / "bundle.safetensors"),
        tmp_path / "ours.safetensors",
    )
    assert "written as a LoRA" in convert(source, out, "--lora-only").said
    assert all(key.startswith("diffusion_model.blocks.1.self_attn.k.") for key in load_file(out))
    assert metadata_of(out) == {"note": "mine", "format": "pt"}


def test_a_bundle_without_lora(convert, random_weights: SimpleNamespace, tmp_path: Path):
    state = {key: value for key, value in load_file(random_weights.bundle).items() if key.startswith("track2view.")}
    save_file(state, tmp_path / "bundle.safetensors", metadata_of(random_weights.bundle))
    out = tmp_path / "ours.safetensors"
    assert "holds no LoRA" in convert(tmp_path / "bundle.safetensors", out, "--lora-only").sentence
    assert "no LoRA" in convert(tmp_path / "bundle.safetensors", out).said
    assert load_file(out).keys() == state.keys()


def test_the_source_is_never_the_target(convert, tmp_path: Path):
    file = kohya_file(tmp_path / "lora.safetensors")
    os.link(file, tmp_path / "hard.safetensors")
    (tmp_path / "soft.safetensors").symlink_to(file)
    for same in (file, tmp_path / "hard.safetensors", tmp_path / "soft.safetensors", tmp_path / "." / file.name):
        assert "is the file to convert" in convert(file, same).sentence
    file.rename(tmp_path / "adapter_model.safetensors")
    assert "is the file to convert" in convert(tmp_path, tmp_path / "adapter_model.safetensors").sentence


def test_targets_that_cannot_be_written(convert, tmp_path: Path):
    file = kohya_file(tmp_path / "lora.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    for target in (tmp_path, tmp_path / "ours.pt", tmp_path / "folder.safetensors"):
        assert "name a .safetensors file" in convert(file, target).sentence
    assert "does not exist" in convert(file, tmp_path / "nowhere/ours.safetensors").sentence


def test_files_that_are_no_lora(convert, random_weights: SimpleNamespace, tmp_path: Path):
    out = tmp_path / "ours.safetensors"
    whole = kohya_file(tmp_path / "lora.safetensors").read_bytes()
    contents = {
        "cut.safetensors": (whole[: len(whole) // 2], "no complete .safetensors"),
        "empty.safetensors": (b"", "is empty"),
        "pickle.pt": (pickle.dumps({"a": 1}), "no complete .safetensors"),
        "model.gguf": (b"GGUF", "GGUF"),
    }
    for name, (content, told) in contents.items():
        (tmp_path / name).write_bytes(content)
        sentence = convert(tmp_path / name, out).sentence
        assert told in sentence and name in sentence
    assert "missing.safetensors does not exist" in convert(tmp_path / "missing.safetensors", out).sentence
    assert "unknown key" in convert(random_weights.dit, out).sentence  # a whole model
    save_file({}, tmp_path / "nothing.safetensors")
    assert "holds no LoRA" in convert(tmp_path / "nothing.safetensors", out).sentence


def test_the_sentence_names_file_and_key(convert, tmp_path: Path):
    state = load_file(kohya_file(tmp_path / "dora.safetensors"))
    key = "lora_unet_blocks_0_self_attn_q.dora_scale"
    save_file({**state, key: torch.ones(128, 1)}, tmp_path / "dora.safetensors")
    sentence = convert(tmp_path / "dora.safetensors", tmp_path / "ours.safetensors").sentence
    assert sentence.startswith(f"track2view: The LoRA dora.safetensors has the key {key}, which is DoRA; allowed are")
