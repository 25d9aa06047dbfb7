"""`track2view convert-model`: NeoVerse's shards become two files that load, or one sentence says why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from track2view_core.cli import main
from track2view_core.wan.neoverse import CameraEmbedding, load_camera_embedding

INDEX = "diffusion_pytorch_model.safetensors.index.json"
SHARD = "diffusion_pytorch_model-0000{}-of-00003.safetensors"


def weights() -> dict[str, torch.Tensor]:
    """Names and kinds of NeoVerse's weights, far smaller, in several precisions."""
    draw = torch.Generator().manual_seed(1)
    state = {"head.modulation": torch.randn(1, 2, 4, generator=draw), "patch_embedding.bias": torch.ones(3).half()}
    for kind, count in (("blocks", 4), ("control_blocks", 2)):
        for number in range(count):
            state[f"{kind}.{number}.modulation"] = torch.randn(1, 6, 4, generator=draw)
            state[f"{kind}.{number}.ffn.0.weight"] = torch.randn(5, 3, generator=draw).bfloat16()
    state["control_blocks.0.before_proj.weight"] = torch.randn(4, 4, generator=draw)
    state["control_patch_embedding.weight"] = torch.randn(4, 96, 1, 2, 2, generator=draw)
    state["time_embedding.0.bias"] = torch.tensor(2.5)  # no axes
    state["text_embedding.0.weight"] = torch.randn(3, 5, generator=draw).to(torch.float8_e4m3fn)
    embedding = CameraEmbedding().layers.state_dict()
    return {**state, **{f"control_mask_cam_embedding.{name}": value for name, value in embedding.items()}}


def neoverse_folder(folder: Path, state: dict[str, torch.Tensor]) -> Path:
    """Three shards and their index, beside what else lies in the published folder."""
    folder.mkdir()
    where = {key: SHARD.format(1 + place % 3) for place, key in enumerate(state)}
    for name in set(where.values()):
        save_file({key: value for key, value in state.items() if where[key] == name}, folder / name)
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": where}), encoding="utf-8")
    (folder / "reconstructor.ckpt").write_bytes(b"another model")
    save_file({"lora": torch.ones(2)}, folder / "of_another_model.safetensors")
    return folder


@pytest.fixture
def convert(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Runs the verb; a refusal must be one sentence and leave the folders as they were. Gives what was said."""

    def run(folder: Path, output: Path) -> str:
        before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
        code = main(["convert-model", "neoverse", str(folder), str(output)])
        out, err = capsys.readouterr()
        if code:
            assert code == 2 and not out
            assert err.startswith("track2view: ") and err.count("\n") == 1 and err.endswith(".\n")
            assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
        return out or err

    return run


def test_the_model_has_vaces_names_and_the_same_numbers_and_the_embedding_a_file_of_its_own(convert, tmp_path: Path):
    state = weights()
    out = tmp_path / "neoverse_14B.safetensors"
    said = convert(neoverse_folder(tmp_path / "NeoVerse", state), out)
    assert "4 blocks, 2 of control" in said and str(out) in said
    model, beside = load_file(out), tmp_path / "neoverse_14B_camera_embedding.safetensors"
    assert str(beside) in said
    embedding = {key: value for key, value in state.items() if key.startswith("control_mask_cam_embedding.")}
    assert len(model) + len(embedding) == len(state)
    for key, value in {**model, **load_file(beside)}.items():
        came = state[key.replace("vace_", "control_")]
        assert came.dtype == value.dtype and came.shape == value.shape, key
        assert torch.equal(came.flatten().view(torch.uint8), value.flatten().view(torch.uint8)), key
    assert int.from_bytes(out.read_bytes()[:8], "little") % 8 == 0, "numbers begin at a multiple of their size"
    assert {"vace_blocks.1.modulation", "vace_patch_embedding.weight", "blocks.3.modulation"} <= model.keys()
    found = load_camera_embedding(beside).layers.state_dict()
    assert all(torch.equal(found[key.split(".", 1)[1]], value) for key, value in embedding.items())


def test_one_file_of_all_needs_no_index(convert, tmp_path: Path):
    (tmp_path / "one").mkdir()
    save_file(weights(), tmp_path / "one/diffusion_pytorch_model.safetensors")
    assert "4 blocks" in convert(tmp_path / "one", tmp_path / "out.safetensors")
    assert load_file(tmp_path / "out.safetensors").keys() >= {"vace_blocks.0.before_proj.weight"}


NEEDED = (
    "head.modulation",
    "control_patch_embedding.weight",
    "control_mask_cam_embedding.1.bias",
    "control_blocks.0.modulation",
    "blocks.2.ffn.0.weight",
)


@pytest.mark.parametrize("key", NEEDED)
def test_what_is_no_whole_neoverse_is_refused_by_what_it_lacks(convert, tmp_path: Path, key: str):
    state = weights()
    del state[key]
    told = convert(neoverse_folder(tmp_path / "NeoVerse", state), tmp_path / "out.safetensors")
    assert f"lacks {key}" in told and "Yuppie1204/NeoVerse" in told


def test_an_embedding_of_another_shape_is_refused(convert, tmp_path: Path):
    state = {**weights(), "control_mask_cam_embedding.0.weight": torch.zeros(64, 7, 1, 8, 8)}
    told = convert(neoverse_folder(tmp_path / "NeoVerse", state), tmp_path / "out.safetensors")
    assert "lacks control_mask_cam_embedding.0.weight of shape [64, 7, 4, 8, 8]" in told


def test_damaged_folders_are_refused_with_nothing_written(convert, tmp_path: Path):
    out = tmp_path / "out.safetensors"
    assert "is no folder" in convert(tmp_path / "nowhere", out)
    folder = neoverse_folder(tmp_path / "NeoVerse", weights())
    shard = folder / SHARD.format(2)
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-5])
    assert shard.name in convert(folder, out)
    shard.unlink()
    assert f"{shard.name} does not exist" in convert(folder, out)
    shard.write_bytes(whole)
    index = folder / INDEX
    listed = json.loads(index.read_text(encoding="utf-8"))
    listed["weight_map"]["blocks.0.more"] = shard.name
    for text, told in ((json.dumps(listed), "lacks blocks.0.more"), ("[]", "lists no weights"), ("{", "no JSON")):
        index.write_text(text, encoding="utf-8")
        assert told in convert(folder, out)
    index.unlink()
    assert "4 .safetensors files and no" in convert(folder, out)


def test_infinity_at_the_very_end_leaves_nothing_behind(convert, tmp_path: Path):
    state = weights()
    state["zzz"] = torch.tensor([1.0, float("nan")])
    assert "zzz, which holds NaN" in convert(
        neoverse_folder(tmp_path / "NeoVerse", state), tmp_path / "out.safetensors"
    )


def test_control_that_comfyui_would_attach_elsewhere_is_refused(convert, tmp_path: Path):
    state = {key: value for key, value in weights().items() if not key.startswith("blocks.3.")}
    told = convert(neoverse_folder(tmp_path / "NeoVerse", state), tmp_path / "out.safetensors")
    assert "3 blocks and 2 of control" in told


def test_the_target_is_a_new_safetensors(convert, tmp_path: Path):
    folder = neoverse_folder(tmp_path / "NeoVerse", weights())
    assert "name a .safetensors file" in convert(folder, tmp_path / "out.ckpt")
    assert "one of the files to convert" in convert(folder, folder / SHARD.format(1))
    assert "does not exist" in convert(folder, tmp_path / "nowhere/out.safetensors")
