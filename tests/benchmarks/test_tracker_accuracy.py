"""The trackers' table marks what misses its gate and goes on from its rows; both solvers get the points that stand."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from track2view_core.scenes import rendered_clip
from track2view_core.tracks.trackers.flow import PixelTracks

ROOT = Path(__file__).resolve().parents[2]
WIDTH, HEIGHT, FRAMES = 96, 64, 4
GOOD = {
    "move": "arc", "frames": 25, "seed": 1, "depth": True, "class": "general", "stands_exactly": False,
    "focal": -0.004, "rotation": 0.05, "ate": 0.002, "rpe": 0.002, "standing": 0.005, "moving": 0.03, "movers": 9,
    "apd3d": 0.4, "aj3d": 0.3, "oa": 0.9, "cpu": 1.0, "wall": 1.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({}, []),
        ({"focal": 0.006}, ["focal"]),
        ({"focal": 0.05, "move": "dolly"}, []),
        ({"rotation": 0.11, "ate": 0.02}, ["rot", "ATE"]),
        ({"moving": 0.4}, ["moving"]),
        ({"moving": 0.4, "depth": False}, []),
        ({"standing": 0.3, "depth": False}, ["standing"]),
        ({"class": "static"}, ["class"]),
        ({"move": "static", "class": "static", "standing": 0.3, "depth": False}, ["identity poses"]),
        ({"move": "static", "class": "static", "stands_exactly": True, "standing": 0.3, "depth": False}, []),
        ({"moving": float("nan")}, []),
    ],
)
def test_what_misses_a_gate_is_named(benchmark_module, change: dict, missed: list[str]) -> None:
    table = benchmark_module("tracker_accuracy")
    row = {**GOOD, **change}
    assert table.misses(row) == missed
    told = table.line(row)
    assert told.endswith("MISS " + ", ".join(missed) if missed else "pass")
    assert told.count("!") == len([word for word in missed if word not in ("class", "identity poses")])


def test_rows_are_made_once_and_again_for_other_facts(benchmark_module, tmp_path: Path) -> None:
    file, made = tmp_path / "out" / "tracking.jsonl", []
    make = lambda: made.append(1) or {"ate": float("nan")}  # noqa: E731
    rows = benchmark_module("tracker_accuracy").Rows
    for facts in ({"code": "a"}, {"code": "a"}, {"code": "b"}):
        rows(file).get(facts, make)
    assert len(made) == 2 and len(file.read_text(encoding="utf-8").splitlines()) == 2
    whole = file.read_text(encoding="utf-8")
    file.write_text(whole + whole[:20], encoding="utf-8")  # stopped while it wrote
    again = rows(file)
    assert again.get({"code": "b"}, make)["code"] == "b" and len(made) == 2
    again.get({"code": "c"}, make)
    assert [json.loads(line)["code"] for line in file.read_text(encoding="utf-8").splitlines()] == ["a", "b", "c"]


@pytest.fixture(scope="module")
def clip():
    return rendered_clip("arc", frames=FRAMES, width=WIDTH, height=HEIGHT, seed=1)


def test_true_points_are_seen_where_they_were_first_followed(benchmark_module, clip) -> None:
    solvers = benchmark_module("camera_solvers")
    generator = np.random.default_rng(0)
    xy = generator.uniform((4, 4), (WIDTH - 4, HEIGHT - 4), (FRAMES, 50, 2))
    seen = np.tile(np.arange(FRAMES)[:, None] >= generator.integers(0, FRAMES, 50), 1)
    points = solvers.true_points(clip, PixelTracks(xy, seen)).double()
    first = seen.argmax(0)
    pose, lens = clip.camera.camera_from_world[first], clip.camera.intrinsics[first]
    local = torch.einsum("nij,nj->ni", pose[:, :3, :3], points) + pose[:, :3, 3]
    pixels = torch.einsum("nij,nj->ni", lens, local / local[:, 2:])[:, :2].numpy()
    np.testing.assert_allclose(pixels, xy[first, np.arange(50)], atol=0.01)
    row, column = (xy[first, np.arange(50)][:, axis].astype(int) for axis in (1, 0))
    close = np.abs(local[:, 2].numpy() / clip.depth[first, row, column].numpy() - 1) < 0.1
    assert close.mean() > 0.9  # the others lie within a pixel of an edge


def test_points_that_ever_lie_on_a_mover_do_not_stand(benchmark_module, clip) -> None:
    solvers = benchmark_module("camera_solvers")
    y, x = np.mgrid[2:HEIGHT:4, 2:WIDTH:4].reshape(2, -1) + 0.5
    grid = np.tile(np.stack([x, y], 1), (FRAMES, 1, 1)).astype(float)
    frame = np.tile(np.arange(FRAMES)[:, None], (1, grid.shape[1]))
    alone = [solvers.standing_points(clip, PixelTracks(grid, frame == t)) for t in range(FRAMES)]
    together = solvers.standing_points(clip, PixelTracks(grid, np.ones(grid.shape[:2], bool)))
    assert np.array_equal(together, np.all(alone, 0))
    assert 0.2 < together.mean() < 1
