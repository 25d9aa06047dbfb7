"""`track2view batch`: every clip of a folder, each finished one once, whatever happens to the others."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from track2view_core.cli import main
from track2view_core.commands import batch
from track2view_core.preview.drawing import pane_size
from track2view_core.video import read_clip


@pytest.fixture
def folder(clip_from: Callable[..., Path], tmp_path: Path) -> Path:
    """Two clips, one that cannot be read, and what is no clip."""
    folder = tmp_path / "clips"
    folder.mkdir()
    shutil.copy(clip_from("bikes", 5, 160, 68), folder / "a.mp4")
    shutil.copy(clip_from("bigbuckbunny", 6, 128, 72, Fraction(12)), folder / "b.mp4")
    (folder / "broken.mp4").write_bytes(b"no video")
    (folder / "notes.txt").write_text("of the shoot")
    return folder


def run(folder: Path, out: Path, *options: str) -> int:
    return main(["batch", str(folder), str(out), "--points", "64", "--no-model", *options])


def test_what_fails_is_told_and_the_others_are_there_and_stay(folder: Path, capsys, monkeypatch) -> None:
    out = folder.parent / "out"
    assert run(folder, out) == 2
    said, complaint = capsys.readouterr()
    assert "1 of 3 clips failed" in complaint and complaint.count("\n") == 1
    lines = [line for line in said.splitlines() if line.startswith(("done", "FAILED"))]
    assert [line.split(":")[0].split()[-1] for line in lines] == ["a.mp4", "b.mp4", "broken.mp4"]
    assert "5 frames" in lines[0] and "the clip's own pixels" in lines[0] and lines[2].startswith("FAILED")
    assert len(read_clip(out / "a.mp4")) == 5 and read_clip(out / "b.mp4").fps == 12
    assert (out / "contact_sheet.png").exists() and not list(out.glob(".track2view*"))
    made = {file: file.stat().st_mtime_ns for file in out.glob("*.mp4")}

    filmed: list[str] = []
    monkeypatch.setattr(batch, "refilm", lambda clip, *_, **__: filmed.append(clip.name) or pytest.fail("again"))
    (folder / "broken.mp4").unlink()
    assert run(folder, out) == 0
    assert capsys.readouterr().out.count("finished before") == 2 and not filmed
    assert {file: file.stat().st_mtime_ns for file in out.glob("*.mp4")} == made


def test_another_move_or_another_clip_of_the_name_is_filmed_anew(folder: Path, clip_from, capsys) -> None:
    (folder / "broken.mp4").unlink()
    (folder / "b.mp4").unlink()
    out = folder.parent / "out"
    assert run(folder, out) == 0 and run(folder, out, "--amount", "0.5") == 0
    assert "finished before" not in capsys.readouterr().out
    shutil.copy(clip_from("bikes", 6, 160, 68), folder / "a.mp4")
    assert run(folder, out, "--amount", "0.5") == 0
    assert "6 frames" in capsys.readouterr().out and len(read_clip(out / "a.mp4")) == 6


def test_a_stop_loses_the_clip_in_hand_alone(folder: Path, capsys, monkeypatch) -> None:
    out, real = folder.parent / "out", batch.refilm

    def stopped(clip: Path, *rest, **given):
        if clip.name == "b.mp4":
            raise KeyboardInterrupt
        return real(clip, *rest, **given)

    monkeypatch.setattr(batch, "refilm", stopped)
    assert run(folder, out) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert {file.name for file in out.glob("*.mp4")} == {"a.mp4", "a_side_by_side.mp4"}


def test_clips_that_differ_in_their_ending_alone_keep_it(folder: Path) -> None:
    names = [name for name, _ in batch._named([folder / "a.mp4", folder / "A.mov", folder / "b.mp4"])]
    assert names == ["a.mp4", "A.mov", "b"]


def test_a_folder_without_clips_and_the_clips_own_folder_are_refused(folder: Path, capsys) -> None:
    empty = folder.parent / "empty"
    empty.mkdir()
    for at, out, words in (
        (empty, folder, "holds no clip"),
        (folder, folder, "OUT is"),
        (folder / "a.mp4", empty, "no folder"),
    ):
        assert run(at, out) == 2
        assert words in capsys.readouterr().err
    assert not list(folder.glob("*.png"))


def test_the_contact_sheet_shows_source_and_re_film_of_each_clip(folder: Path) -> None:
    (folder / "broken.mp4").unlink()
    out = folder.parent / "out"
    assert run(folder, out) == 0
    sheet = batch._contact_sheet({name: out / f"{name}.mp4" for name in ("a", "b")})
    sides = [read_clip(out / f"{name}_side_by_side.mp4", box=(batch.MOST_WIDTH, batch.MOST_WIDTH)) for name in "ab"]
    sizes = [pane_size(clip.width, clip.height) for clip in sides]
    assert sheet.shape[1] == 3 * max(width for width, _ in sizes)
    assert sheet.shape[0] > sum(height for _, height in sizes)
