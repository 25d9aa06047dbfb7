"""`track2view path`: convert and formats."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from track2view_core.cameras import CameraPath
from track2view_core.cameras.formats import FORMATS, read_path, write_path
from track2view_core.cli import main
from track2view_core.commands.path import facts

LENS = torch.tensor([[320.0, 0, 320], [0, 320, 200], [0, 0, 1]], dtype=torch.float64)


@pytest.fixture
def trajectory(tmp_path: Path) -> Path:
    poses = torch.eye(4, dtype=torch.float64).repeat(5, 1, 1)
    poses[:, 2, 3] = torch.arange(5)
    write_path(CameraPath(poses, LENS.repeat(5, 1, 1), 640, 400, 25), tmp_path / "in.tum")
    return tmp_path / "in.tum"


def refused(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    assert main([str(word) for word in argv]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("track2view: ") and line.endswith(".")
    return line


def test_convert_adds_what_the_file_lacks(trajectory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = trajectory.with_name("out.chan")
    options = ["--width", "640", "--height", "400", "--fov", "90"]
    assert main(["path", "convert", str(trajectory), str(output), *options]) == 0
    assert "5 frames of 640 x 400, 25 a second" in capsys.readouterr().out
    path = read_path(output, width=640, height=400, fps=25)
    assert path.world_from_camera[:, 2, 3].tolist() == [0, 1, 2, 3, 4]
    torch.testing.assert_close(path.intrinsics[4], LENS)


def test_convert_resamples_in_the_same_time(trajectory: Path) -> None:
    output = trajectory.with_name("out.json")
    options = ["--to", "track2view_camera", "--frames", "9", "--width", "640", "--height", "400", "--fov", "90"]
    assert main(["path", "convert", str(trajectory), str(output), *options]) == 0
    path = read_path(output)
    assert path.world_from_camera[:, 2, 3].tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4]
    assert path.fps == 50


def test_convert_takes_formats_by_name(trajectory: Path) -> None:
    given = ["--from", "tum", "--to", "colmap", "--width", "640", "--height", "400", "--fov", "90", "--fps", "10"]
    assert main(["path", "convert", str(trajectory), str(trajectory.with_name("model")), *given]) == 0
    assert len(read_path(trajectory.with_name("model"), fps=10)) == 5


def test_mistakes_are_one_sentence_and_leave_nothing(trajectory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = trajectory.with_name("out.chan")
    size = ["--width", "640", "--height", "400"]
    assert "--width" in refused(capsys, "path", "convert", trajectory, output)
    assert "--fov" in refused(capsys, "path", "convert", trajectory, output, *size)
    given = [*size, "--fov", "90"]
    assert "--to" in refused(capsys, "path", "convert", trajectory, output.with_suffix(".json"), *given)
    assert "colmpa" in refused(capsys, "path", "convert", trajectory, output, "--to", "colmpa", *given)
    assert "does not exist" in refused(capsys, "path", "convert", output, output, *given)
    assert "over its own file" in refused(capsys, "path", "convert", trajectory, trajectory, *given)
    assert "whole number" in refused(capsys, "path", "convert", trajectory, output, "--frames", "0", *given)
    assert [file.name for file in trajectory.parent.iterdir()] == ["in.tum"]


def test_formats_lists_them_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["path", "formats"]) == 0
    out = capsys.readouterr().out
    for told in FORMATS.values():
        assert told.name in out and told.description in out and facts(told) in out
    assert "a folder; read and write; holds poses, lens, size" in out
    assert ".npz; read only; holds poses, lens" in out


def test_the_page_for_users_says_the_same() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "CAMERA_FORMATS.md"
    rows = [line.split("|")[1:-1] for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    holds = {row[0].strip(" `"): [cell.strip() for cell in row] for row in rows if len(row) == 8}
    axes = {row[0].strip(" `") for row in rows if len(row) == 6}
    assert set(holds) == axes == set(FORMATS)
    for name, (_, file, _, read, write, lens, size, fps) in holds.items():
        told = FORMATS[name]
        assert file.replace("`", "").split() == (list(told.endings) or ["folder"])
        assert (read, write) == ("yes", "yes" if told.write is not None else "no")
        assert lens.startswith("no") == (told.lens == "none")
        assert (size.replace("(2)", "yes") == "yes", fps == "yes") == (told.size, told.fps)
