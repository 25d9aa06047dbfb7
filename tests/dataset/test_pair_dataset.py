"""The data set on disk: what is written comes back, damage costs one sample and names it, a full disk one shard."""

from __future__ import annotations

import errno
import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from track2view_core.dataset import (
    BrokenSample,
    DatasetInfo,
    PairDataset,
    Shard,
    VaeIdentity,
    read_report,
    shard_file,
    start_dataset,
    write_report,
    write_shard,
)
from track2view_core.errors import Track2ViewError
from track2view_core.wan import tensor_files

INFO = DatasetInfo(
    width=32, height=16, frames=5, fps=16, source="render", tracker="exact", vae=VaeIdentity("vae", "ab" * 32),
    has_frames=True, settings={"seed": 0, "cut": [1, 2]},
)  # fmt: skip


def a_shard(seed: int = 0, *, clips: int = 3, tracks: tuple[int, ...] = (7, 4), text: bool = False) -> Shard:
    generator = torch.Generator().manual_seed(seed)
    poses = torch.eye(4, dtype=torch.float64).repeat(clips, INFO.frames, 1, 1)
    poses[..., :3, 3] = torch.rand(clips, INFO.frames, 3, generator=generator, dtype=torch.float64)
    lens = torch.tensor([[20.0, 0, 16], [0, 20, 8], [0, 0, 1]], dtype=torch.float64).repeat(clips, INFO.frames, 1, 1)
    most = max(tracks, default=0)
    counts = torch.tensor(tracks, dtype=torch.int64)
    held = (torch.arange(most) < counts[:, None])[:, None]
    shape = (len(tracks), INFO.frames, most)
    return Shard(
        world_from_camera=poses,
        intrinsics=lens,
        positions=torch.randn(*shape, 3, generator=generator) * held[..., None],
        visible=(torch.rand(shape, generator=generator) < 0.5) & held,
        track_counts=counts,
        pairs=torch.tensor([[k % clips, (k + 1) % clips, k] for k in range(len(tracks))]).reshape(-1, 3).long(),
        names=tuple(f"scene{seed}/cam{c}" for c in range(clips)),
        captions=("A room.", "", "Ein Zimmer mit Tür.")[:clips],
        latents=torch.randn(clips, *INFO.latent_shape, generator=generator).half(),
        frames=torch.randint(0, 256, (clips, 5, 16, 32, 3), generator=generator, dtype=torch.uint8),
        confidence=torch.rand(shape, generator=generator) * held,
        target_positions=torch.randn(*shape, 3, generator=generator) * held[..., None],
        text=tuple(torch.randn(3 + c, 4096, generator=generator).bfloat16() for c in range(clips)) if text else (),
        counts={"pairs kept": len(tracks), "clips": clips},
        refused={f"scene{seed}/cam1 -> cam2": "They differ."},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    start_dataset(tmp_path / "data", INFO)
    for number in range(3):
        write_shard(a_shard(number, text=number == 1), tmp_path / "data", number, INFO)
    write_report(tmp_path / "data")
    return tmp_path / "data"


def test_what_is_written_comes_back(folder: Path):
    data = PairDataset(folder)
    assert (len(data), data.clip_count) == (6, 9)
    assert data.info == INFO
    pair, shard = data[3], a_shard(1, text=True)
    assert torch.equal(pair.source.latent, shard.latents[1].float())
    assert torch.equal(pair.target.camera.world_from_camera, shard.world_from_camera[2])
    assert torch.equal(pair.tracks.camera.intrinsics, shard.intrinsics[1])
    assert torch.equal(pair.tracks.positions, shard.positions[1, :, :4])
    assert torch.equal(pair.tracks.visible, shard.visible[1, :, :4])
    assert torch.equal(pair.tracks.confidence, shard.confidence[1, :, :4])
    assert torch.equal(pair.target_positions, shard.target_positions[1, :, :4])
    assert torch.equal(pair.target.text, shard.text[2]) and data[0].source.text is None
    assert pair.target.caption == "Ein Zimmer mit Tür." and pair.source.camera.fps == 16
    assert pair.name == "shard_000001 pair 1: scene1/cam1 -> scene1/cam2"
    assert torch.equal(data.clip_frames(pair.target.number), shard.frames[2])
    with pytest.raises(IndexError):
        data[6]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), max_size=3), min_size=1, max_size=4))
def test_pairs_are_numbered_shard_after_shard(tmp_path_factory: pytest.TempPathFactory, shards: list[list[int]]):
    folder = tmp_path_factory.mktemp("numbers")
    start_dataset(folder, INFO)
    for number, tracks in enumerate(shards):
        write_shard(a_shard(number, tracks=tuple(tracks)), folder, number, INFO)
    data = PairDataset(folder)
    found = [(data[i].name.split(":")[0], data[i].tracks.positions.shape[1]) for i in range(len(data))]
    assert found == [
        (f"shard_{n:06d} pair {k}", count) for n, tracks in enumerate(shards) for k, count in enumerate(tracks)
    ]


def test_a_data_set_travels_to_another_process(folder: Path):
    data = PairDataset(folder)
    name = data[2].name
    assert pickle.loads(pickle.dumps(data))[2].name == name


def test_report_sums_the_shards(folder: Path):
    report = read_report(folder)
    assert report["counts"] == {"clips": 9, "pairs kept": 6}
    assert report["refused"]["scene2/cam1 -> cam2"] == "They differ."
    assert report["shards"]["shard_000002.safetensors"] == {"clips": 3, "pairs": 2}


def test_a_damaged_shard_is_named_in_the_report(folder: Path):
    file = shard_file(folder, 1)
    file.write_bytes(file.read_bytes()[:-10])
    assert write_report(folder) == {"clips": 6, "pairs kept": 4, "shards damaged": 1}
    report = read_report(folder)
    assert "delete it and run the same command again" in report["refused"][file.name]
    assert report["shards"][file.name] == {"clips": 3, "pairs": 2}


def damage(file: Path, name: str, row: int) -> None:
    """Flip one bit in the middle of one row of one tensor."""
    data = bytearray(file.read_bytes())
    length = int.from_bytes(data[:8], "little")
    entry = json.loads(data[8 : 8 + length])[name]
    begin, end = entry["data_offsets"]
    size = (end - begin) // entry["shape"][0]
    data[8 + length + begin + row * size + size // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("name", ["latents", "world_from_camera", "intrinsics"])
def test_a_lost_bit_of_a_clip_costs_its_pairs_alone(folder: Path, name: str):
    damage(shard_file(folder, 1), name, 0)  # clip 0 is the source of pair 2
    data = PairDataset(folder)
    with pytest.raises(BrokenSample, match=r"shard_000001 pair 0 .*make its shard again\.$"):
        data[2]
    assert [data[i].name for i in (0, 1, 3, 4, 5)]


@pytest.mark.parametrize("name", ["positions", "visible", "track_counts", "pairs", "target_positions", "confidence"])
def test_a_lost_bit_of_tracks_costs_their_pair_alone(folder: Path, name: str):
    damage(shard_file(folder, 2), name, 1)
    data = PairDataset(folder)
    with pytest.raises(BrokenSample, match="shard_000002 pair 1"):
        data[5]
    assert [data[i].name for i in range(5)]


def test_nan_is_a_broken_sample(folder: Path):
    shard = a_shard(1)
    shard.latents[2, 3, 1] = torch.nan  # clip 2 is the target of pair 1
    write_shard(shard, folder, 1, INFO)
    data = PairDataset(folder)
    with pytest.raises(BrokenSample, match=r"shard_000001 pair 1 is broken \(latents 2 .* NaN"):
        data[3]
    assert data[2].name


def test_damaged_frames_name_their_clip(folder: Path):
    damage(shard_file(folder, 0), "frames", 1)
    data = PairDataset(folder)
    with pytest.raises(BrokenSample, match="shard_000000 clip 1"):
        data.clip_frames(1)
    assert data.clip_frames(0).shape == (5, 16, 32, 3) and data[0].name


@pytest.mark.parametrize("keep", [0, 5, 300, -10])
def test_a_shard_cut_short_keeps_the_numbers_of_the_others(folder: Path, keep: int):
    """Its own pairs are named when they are drawn; a training that goes on draws the same others."""
    names = [PairDataset(folder)[i].name for i in (0, 1, 4, 5)]
    file = shard_file(folder, 1)
    file.write_bytes(file.read_bytes()[:keep])
    data = PairDataset(folder)
    assert len(data) == 6 and [data[i].name for i in (0, 1, 4, 5)] == names
    for index in (2, 3):
        with pytest.raises(BrokenSample, match=f"shard_000001 pair {index - 2}"):
            data[index]


def test_a_shard_of_another_data_set_is_broken(folder: Path, tmp_path: Path):
    other = replace(INFO, width=64)
    start_dataset(tmp_path / "other", other)
    shard = a_shard(7)
    wide = replace(shard, latents=torch.zeros(3, *other.latent_shape).half(), frames=shard.frames.repeat(1, 1, 1, 2, 1))
    write_shard(wide, tmp_path / "other", 0, other).replace(shard_file(folder, 1))
    with pytest.raises(BrokenSample, match="latents of shape"):
        PairDataset(folder)[2]


def test_frames_alone_serve_a_vae(tmp_path: Path):
    info = replace(INFO, vae=None)
    start_dataset(tmp_path / "data", info)
    write_shard(replace(a_shard(), latents=None), tmp_path / "data", 0, info)
    data = PairDataset(tmp_path / "data")
    assert torch.equal(data.clip_frames(2), a_shard().frames[2])
    assert data.pair(0).source.latent.numel() == 0
    with pytest.raises(Track2ViewError, match="no latents"):
        data[0]
    with pytest.raises(Track2ViewError, match="neither latents nor frames"):
        replace(info, has_frames=False)


def test_a_full_disk_costs_the_shard_being_written_alone(folder: Path, monkeypatch: pytest.MonkeyPatch):
    before = {file.name: file.read_bytes() for file in folder.iterdir()}

    def full(tensors, name, metadata):
        Path(name).write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tensor_files, "save_file", full)
    with pytest.raises(Track2ViewError, match=r"shard_000003.*No space left.*goes on after the finished shards\.$"):
        write_shard(a_shard(3), folder, 3, INFO)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_other_settings_do_not_go_on_with_a_data_set(folder: Path):
    start_dataset(folder, INFO)
    for other, said in (
        (replace(INFO, width=48), "width 32, and now it is 48"),
        (replace(INFO, settings={"seed": 1, "cut": [1, 2]}), "seed 0, and now it is 1"),
        (replace(INFO, vae=VaeIdentity("vae", "cd" * 32)), "begun with vae"),
    ):
        with pytest.raises(Track2ViewError, match=said):
            start_dataset(folder, other)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"positions": torch.zeros(2, 5, 7, 2)}, "positions"),
        ({"pairs": torch.tensor([[0, 3, 0]])}, "does not hold"),
        ({"pairs": torch.tensor([[0, 1, 2]])}, "does not hold"),
        ({"track_counts": torch.tensor([8, 4])}, "more tracks"),
        ({"names": ("a",)}, "names"),
        ({"latents": None}, "announce"),
        ({"frames": None}, "announce"),
    ],
)
def test_a_shard_that_does_not_hold_together_is_not_written(tmp_path: Path, change: dict, said: str):
    with pytest.raises(Track2ViewError, match=said):
        write_shard(replace(a_shard(), **change), tmp_path, 0, INFO)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"), ("[]", "no JSON object"), ('{"format": "coco"}', "no data set of Track2View"),
        ('{"format": "track2view-dataset", "version": 9}', "version 9"),
        ('{"format": "track2view-dataset", "version": 1}', "damaged"),
    ],
)  # fmt: skip
def test_a_wrong_dataset_json_is_one_sentence(folder: Path, text: str, said: str):
    (folder / "dataset.json").write_text(text)
    with pytest.raises(Track2ViewError, match=said) as caught:
        PairDataset(folder)
    assert str(caught.value)[0].isupper() or str(caught.value).startswith("/")


@pytest.mark.parametrize("field", [{"frames": 6}, {"width": 40}, {"fps": 0}])
def test_sizes_that_the_model_cannot_take_are_refused(field: dict):
    with pytest.raises(Track2ViewError):
        replace(INFO, **field)


def test_no_pickle_is_in_a_shard(folder: Path):
    with safe_open(str(shard_file(folder, 0)), "pt") as handle:
        assert set(json.loads(handle.metadata()["checksums"])) == set(handle.keys())
