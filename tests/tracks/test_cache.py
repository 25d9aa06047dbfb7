"""The disk cache: what is put is found, limits hold, damage is a miss, and two processes do not disturb each other."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from track2view_core.cameras import CameraPath
from track2view_core.notes import Note
from track2view_core.tracks import PointTracks, save_tracks
from track2view_core.tracks.cache import TrackCache, cache_key, code_version, install_version, library_versions

ROOT = Path(__file__).resolve().parents[2]


def some_tracks(frames: int = 5, points: int = 11) -> PointTracks:
    generator = torch.Generator().manual_seed(0)
    lens = torch.tensor([[100.0, 0, 64], [0, 100, 48], [0, 0, 1]]).expand(frames, 3, 3)
    return PointTracks(
        torch.rand(frames, points, 3, generator=generator),
        torch.ones(frames, points, dtype=torch.bool),
        torch.ones(frames, points),
        CameraPath(torch.eye(4).expand(frames, 4, 4), lens, 128, 96),
        notes=(Note.of("motion", motion="static", how="found"),),
    )


def assert_same_tracks(found: PointTracks, put: PointTracks) -> None:
    assert torch.equal(found.positions, put.positions)
    assert torch.equal(found.camera.intrinsics, put.camera.intrinsics)
    assert found.notes == put.notes


def test_what_is_put_is_found_and_nothing_else(tmp_path: Path) -> None:
    cache = TrackCache(tmp_path / "new" / "folder")
    assert cache.get("a" * 64) is None
    cache.put("a" * 64, some_tracks())
    found = cache.get("a" * 64)
    assert found is not None
    assert_same_tracks(found, some_tracks())
    assert cache.get("b" * 64) is None


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    TrackCache(tmp_path).put("first", some_tracks())
    size = (tmp_path / "first.safetensors").stat().st_size
    cache = TrackCache(tmp_path, most_bytes=int(2.5 * size))
    cache.put("second", some_tracks())
    for age, name in ((200, "first"), (100, "second")):
        file = tmp_path / f"{name}.safetensors"
        os.utime(file, (file.stat().st_atime, file.stat().st_mtime - age))
    assert cache.get("first") is not None  # used again, so "second" is now the older one
    cache.put("third", some_tracks())
    assert sorted(file.stem for file in tmp_path.iterdir()) == ["first", "third"]


def test_one_result_above_the_limit_is_not_kept(tmp_path: Path) -> None:
    cache = TrackCache(tmp_path, most_bytes=10)
    cache.put("large", some_tracks())
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_a_miss_and_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / "key.safetensors").write_bytes(b"half a fi")
    assert TrackCache(tmp_path).get("key") is None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    cache = TrackCache(tmp_path / "file")
    cache.put("key", some_tracks())
    assert cache.get("key") is None


def test_parts_of_writes_that_died_are_swept_and_fresh_ones_left(tmp_path: Path) -> None:
    old, fresh = tmp_path / ".a.part", tmp_path / ".b.part"
    for file in (old, fresh):
        file.write_bytes(b"x")
    os.utime(old, (0, 0))
    TrackCache(tmp_path).put("key", some_tracks())
    assert sorted(file.name for file in tmp_path.iterdir()) == [".b.part", "key.safetensors"]


CHURN = """
import sys
from pathlib import Path
import torch
from track2view_core.tracks import load_tracks
from track2view_core.tracks.cache import TrackCache
cache, some = TrackCache(Path(sys.argv[1]), most_bytes=int(sys.argv[2])), load_tracks(sys.argv[3])
for turn in range(40):
    key = f"key{(turn * 7 + int(sys.argv[4])) % 5}"
    found = cache.get(key)
    assert found is None or torch.equal(found.positions, some.positions)
    cache.put(key, some)
"""


def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    save_tracks(some_tracks(), tmp_path / "some.safetensors")
    folder, limit = tmp_path / "shared", int(2.5 * (tmp_path / "some.safetensors").stat().st_size)
    arguments = [str(folder), str(limit), str(tmp_path / "some.safetensors")]
    workers = [subprocess.Popen([sys.executable, "-c", CHURN, *arguments, seed], cwd=ROOT) for seed in ("0", "3")]
    assert [worker.wait() for worker in workers] == [0, 0]
    assert sum(file.stat().st_size for file in folder.iterdir()) <= limit


@pytest.mark.parametrize(
    "change",
    [
        {"points": 513},
        {"motion": "static"},
        {"fov": 0.0},
        {"fov": None},
        {"video": torch.ones(2, 4, 4, 3, dtype=torch.uint8)},
        {"video": torch.zeros(2, 4, 2, 6, dtype=torch.uint8)},
        {"video": torch.zeros(2, 4, 4, 3, dtype=torch.int8)},
        {"depth": np.zeros((2, 4, 4), np.float32)},
        {"camera": some_tracks().camera.with_frames([0, 1, 2])},
        {"camera": replace(some_tracks().camera, fps=24.0)},
    ],
)
def test_every_input_changes_the_key(change: dict) -> None:
    def inputs() -> dict:
        video = torch.zeros(2, 4, 4, 3, dtype=torch.uint8)
        return {
            "video": video,
            "points": 512,
            "motion": "auto",
            "fov": 60,
            "depth": None,
            "camera": some_tracks().camera,
        }

    assert cache_key(**inputs()) == cache_key(**inputs())
    assert cache_key(**{**inputs(), **change}) != cache_key(**inputs())


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_other_code_is_another_version(tmp_path: Path) -> None:
    write(tmp_path / "a.py", "x = 1\n")
    before = code_version(tmp_path)
    assert code_version(tmp_path) == before
    write(tmp_path / "a.py", "x = 2\n")
    assert code_version(tmp_path) != before


@pytest.mark.parametrize("library", ["cv2", "numpy"])
def test_another_version_of_a_library_changes_the_key(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    before = cache_key(libraries=library_versions())
    assert cache_key(libraries=library_versions()) == before
    monkeypatch.setattr(f"{library}.__version__", "0.0.1")
    assert cache_key(libraries=library_versions()) != before


def an_install(folder: Path) -> tuple[Path, list[Path]]:
    checkout, weights = folder / "checkout", [folder / "front", folder / "offline"]
    write(checkout / "models" / "predictor.py", "x = 1\n")
    write(checkout / "env" / "pyvenv.cfg", "home = /usr/bin\n")
    write(checkout / "env" / "lib" / "torch.py", "x = 1\n")
    for part in weights:
        os.utime(write(part / "model.safetensors", "weights"), (100, 100))
    return checkout, weights


CHANGES = {
    "an edited file": lambda folder: write(folder / "checkout/models/predictor.py", "x = 2\n"),
    "a new file": lambda folder: write(folder / "checkout/models/more.py", ""),
    "a moved file": lambda folder: (folder / "checkout/models").rename(folder / "checkout/moved"),
    "weights of another size": lambda folder: os.utime(write(folder / "front/model.safetensors", "more"), (100, 100)),
    "weights of another time": lambda folder: os.utime(folder / "offline/model.safetensors", (200, 200)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_checkout_or_other_weights_change_the_key(tmp_path: Path, change: str) -> None:
    checkout, weights = an_install(tmp_path)
    before = install_version(checkout, weights)
    CHANGES[change](tmp_path)
    assert install_version(checkout, weights) != before


def test_what_is_not_the_checkouts_code_leaves_the_key(tmp_path: Path) -> None:
    checkout, weights = an_install(tmp_path)
    before = install_version(checkout, weights)
    write(checkout / "env" / "lib" / "torch.py", "x = 2\n")  # its environment; the profile names it
    write(checkout / "results" / "log.txt", "of a run")
    assert install_version(checkout, weights) == before
    assert install_version(checkout, weights[:1]) != before
