"""The table of the re-film measures what it says: the truth scores full marks, a known fault its size."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from track2view_core.cameras import CameraPath
from track2view_core.render import ClipGeometry

FRAMES, HEIGHT, WIDTH = 5, 32, 48


def noise(frames: int = FRAMES) -> torch.Tensor:
    return torch.randint(0, 256, (frames, HEIGHT, WIDTH, 3), generator=torch.Generator().manual_seed(1)).byte()


def left_half(frames: int) -> torch.Tensor:
    mask = torch.zeros(frames, HEIGHT, WIDTH, dtype=torch.bool)
    mask[..., : WIDTH // 2] = True
    return mask


def test_each_column_counts_its_own_pixels(benchmark_module) -> None:
    measures = benchmark_module("render_measures")
    source, judged, hidden, holes = noise(), (1, 3), left_half(2), left_half(FRAMES)
    truth = source[list(judged)].clone()
    holes[2, :, WIDTH // 4 :] = False
    film = source.clone()
    film[holes] = film[holes] ^ 16  # off by 16 grey levels wherever the method does not claim to know
    scores = measures.picture_scores(film, holes, truth, hidden, judged, source)
    off = 20 * math.log10(255 / 16)
    assert scores["known"] == scores["seen"] == math.inf
    assert scores["disoccluded"] == pytest.approx(off) and scores["all"] == pytest.approx(off + 10 * math.log10(2))
    assert scores["holes"] == 0.5 and scores["flips"] == pytest.approx(2 * 0.25 / 4)
    same = measures.picture_scores(source, ~hidden.any() & holes, truth, hidden, judged, source)
    assert same["jitter"] == 1 and same["flips"] == 0


def test_energy_is_that_of_known_pixels(benchmark_module) -> None:
    measures = benchmark_module("render_measures")
    film, holes = noise(), left_half(FRAMES)
    other = film.clone()
    other[holes] = 0
    assert measures.known_gradient_energy(film, holes) == measures.known_gradient_energy(other, holes)
    whole = measures.known_gradient_energy(film, torch.zeros_like(holes))
    assert measures.known_gradient_energy(other, torch.zeros_like(holes)) < 0.7 * whole


def test_parts_know_the_truth_and_a_fault(benchmark_module) -> None:
    measures = benchmark_module("render_measures")
    depth = 2 + torch.rand(FRAMES, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    moving = left_half(FRAMES)
    standing = 1 / depth
    standing[:, : HEIGHT // 4, WIDTH // 2 :] *= 1.1
    assert measures.standing_scores(standing, depth, moving) == pytest.approx(
        {"standing_off": 0.25, "standing_median": 0, "behind_off": 0}, abs=1e-6
    )
    small = moving[:, ::2, ::2].clone()
    assert measures.silhouette_scores(small, moving)["iou"] == 1
    small[:, :4] = False
    assert (
        measures.silhouette_scores(small, moving)["iou"] == measures.silhouette_scores(small, moving)["recall"] == 0.75
    )
    assert measures.silhouette_scores(small, torch.zeros_like(moving))["false_movers"] == 0.375
    camera = CameraPath(torch.eye(4).repeat(FRAMES, 1, 1), torch.eye(3).repeat(FRAMES, 1, 1), WIDTH, HEIGHT)
    geometry = ClipGeometry(standing, moving, torch.where(moving, 1.2 / depth, 0), camera)
    scores = measures.mover_scores(geometry, depth, moving)
    assert scores == pytest.approx({"mover_error": 0.2, "mover_ratio": 1.2}, abs=1e-6)


def test_gates_say_what_was_reached(benchmark_module) -> None:
    gate = benchmark_module("render").gate
    assert gate("a", ">=", 2.3, 2.31) == "gate: a >= 2.3: reached 2.31 (pass)"
    assert gate("a", ">=", 2.3, 2.2).endswith("(FAIL)") and gate("a", "<=", 4, 4.1).endswith("(FAIL)")
    assert gate("a", "<=", 4, float("nan")).endswith("not measured")


def test_the_clock_charges_each_module_once_and_leaves_no_trace(benchmark_module, monkeypatch) -> None:
    clocks, now = benchmark_module("stage_clock"), [0.0]
    monkeypatch.setattr(clocks.time, "process_time", lambda: now[0])
    inner, outer = (ModuleType(f"track2view_core.{name}") for name in ("inner", "outer"))
    for module in (inner, outer):
        monkeypatch.setitem(sys.modules, module.__name__, module)

    def fails():
        now[0] += 3
        raise ZeroDivisionError

    def frames():
        for _ in range(2):
            now[0] += 1
            yield

    def whole():
        for _ in outer.frames():
            now[0] += 2
        outer.fails()

    for module, function in ((inner, fails), (inner, frames), (outer, whole)):
        function.__module__ = module.__name__
        setattr(module, function.__name__, function)
        setattr(outer, function.__name__, function)
    with pytest.raises(ZeroDivisionError), clocks.StageClock(inner, outer) as clock:
        outer.whole()
    assert clock.seconds == {"outer": 4, "inner": 5}
    assert (outer.whole, outer.fails, inner.frames) == (whole, fails, frames)


def test_one_command_prints_the_table(benchmark_module, monkeypatch, capsys, tmp_path: Path) -> None:
    table, scenes = benchmark_module("render"), benchmark_module("render_scenes")
    for name, value in {"WIDTH": 96, "HEIGHT": 64, "POINTS": 128}.items():
        monkeypatch.setattr(scenes, name, value)
    for module in (table, scenes):
        monkeypatch.setattr(module, "MOVES", ("orbit_left",))
    options = ["render", "--out", str(tmp_path), "--scenes", "1", "--only", "pictures,standing,silhouettes,movers"]
    monkeypatch.setattr(sys, "argv", options)
    table.main()
    told = capsys.readouterr().out
    assert told.count("(pass)") + told.count("(FAIL)") + told.count("not measured") == 12
    for label in table.METHODS.values():
        assert told.count(f"| {label} |") == 2
    assert len(list((tmp_path / "sheets").glob("*.png"))) == 2 * 2
    monkeypatch.setattr(table.Case, "dense", lambda *_: pytest.fail("a row of unchanged code was made again"))
    table.main()
    assert capsys.readouterr().out == told == (tmp_path / "table.md").read_text(encoding="utf-8")
