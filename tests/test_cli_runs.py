"""The console script, the demo, and what an interrupt leaves behind: nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from track2view_core.cameras import PRESETS
from track2view_core.cli import main
from track2view_core.video import read_clip


def test_the_console_script_is_installed_and_lists_the_presets(tmp_path: Path):
    script = shutil.which("track2view", path=str(Path(sys.executable).parent))
    assert script, "install the project first: pip install -e '.[test]'"
    listed = subprocess.run([script, "presets"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in listed.splitlines()] == list(PRESETS)


def test_the_module_runs_too(tmp_path: Path):
    command = [sys.executable, "-m", "track2view_core.cli", "rerender", "missing.mp4", "out.mp4", "--preset", "nope"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 2 and "orbit_left" in result.stderr and "Traceback" not in result.stderr


def test_the_demo_is_sharp_where_the_scene_was_seen(tmp_path: Path, capsys):
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 0, capsys.readouterr().err
    sample, result, stages = (
        read_clip(tmp_path / "demo" / f"{name}.mp4") for name in ("sample", "rerendered", "stages")
    )
    assert sample.frames.shape == result.frames.shape and sample.fps == result.fps
    assert len(stages) == len(sample) and len(list((tmp_path / "demo").iterdir())) == 8

    def energy(frames: torch.Tensor) -> torch.Tensor:
        grey = frames.float().mean(-1)
        return grey.diff(dim=1).square().mean((1, 2)) + grey.diff(dim=2).square().mean((1, 2))

    assert (energy(result.frames) > 0.8 * energy(sample.frames)).all()  # of the whole picture, the filled part too
    moved = (result.frames.float() - sample.frames.float()).abs().mean((1, 2, 3))
    assert moved[0] < 2 and moved[-1] > 10


@pytest.mark.parametrize("stage", ["sample", "decode"])
def test_an_interrupt_leaves_nothing(rerender, clip_from, monkeypatch: pytest.MonkeyPatch, stage: str):
    from track2view_core.commands.console import Progress

    drawn = Progress.__call__

    def stop(self: Progress, done: int, total: int, now: str) -> None:
        drawn(self, done, total, now)
        if now == stage:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "__call__", stop)
    outcome = rerender(clip_from("bikes", 5, 160, 68))
    assert outcome.code == 130 and "Interrupted" in outcome.complaint and not outcome.left


def test_an_interrupt_while_writing_leaves_nothing(rerender, clip_from, monkeypatch: pytest.MonkeyPatch):
    from track2view_core.commands import results

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(results, "path_plot", stop)  # the videos are written by then
    outcome = rerender(clip_from("bikes", 5, 160, 68))
    assert outcome.code == 130 and not outcome.left


def test_a_failed_demo_removes_the_folder_it_made(random_weights, tmp_path: Path, capsys):
    code = main(["demo", "--out", str(tmp_path / "demo"), "--bundle", str(tmp_path / "none.safetensors")])
    assert code == 2 and not list(tmp_path.iterdir())


def test_a_full_disk_is_one_sentence(rerender, clip_from, monkeypatch: pytest.MonkeyPatch):
    from track2view_core.commands import results

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "out_tracks.png")

    monkeypatch.setattr(results, "write_picture", full)
    assert "No space left on device" in rerender(clip_from("bikes", 2, 160, 68)).sentence
