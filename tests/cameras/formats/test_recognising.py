"""Telling formats apart by name and content, and what the arguments may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from track2view_core.cameras import CameraPath
from track2view_core.cameras.formats import read_path, write_path
from track2view_core.errors import Track2ViewError

GIVEN = {"width": 64, "height": 48, "fps": 25.0, "fov_degrees": 60.0}


def sentence(file: Path, **arguments: Any) -> str:
    with pytest.raises(Track2ViewError) as caught:
        read_path(file, **{**GIVEN, **arguments})
    said = str(caught.value)
    assert said[0].isupper() and said.endswith(".") and said.isprintable(), said
    return said


def still(frames: int = 4) -> CameraPath:
    lens = torch.tensor([[50.0, 0, 32], [0, 50, 24], [0, 0, 1]], dtype=torch.float64).repeat(frames, 1, 1)
    poses = torch.eye(4, dtype=torch.float64).repeat(frames, 1, 1)
    poses[:, 0, 3] = torch.arange(frames)
    return CameraPath(poses, lens, 64, 48, 25.0)


def test_an_unknown_file_lists_what_it_could_be(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("these are notes\n", encoding="utf-8")
    assert "realestate10k, tum, kitti, chan, aftereffects" in sentence(file)
    other = tmp_path / "camera.fbx"
    other.write_text("; FBX 7.4.0 project file\n", encoding="utf-8")
    assert "none of the known formats" in sentence(other)
    assert "none of the known formats" in sentence(tmp_path)


def test_a_file_that_fits_two_formats_lists_both(tmp_path: Path) -> None:
    file = tmp_path / "camera.json"
    file.write_text('{"frames": [{"transform_matrix": 1}], "frame0": {}}', encoding="utf-8")
    assert "could be recammaster, nerfstudio; give format" in sentence(file)


def test_a_sound_file_under_an_ending_nobody_has_is_recognised(tmp_path: Path) -> None:
    for name in ("tum", "track2view_camera", "realestate10k", "aftereffects"):
        write_path(still(), tmp_path / "camera.dat", format=name)
        assert len(read_path(tmp_path / "camera.dat", **GIVEN)) == 4


def test_the_editor_s_drawing_is_sent_to_the_editor(tmp_path: Path) -> None:
    file = tmp_path / "path.json"
    file.write_text('{"format": "track2view.camera_path", "version": 1, "frames": 9, "keys": []}', encoding="utf-8")
    assert "Camera Path Editor" in sentence(file)


def test_unknown_names_and_needless_arguments(tmp_path: Path) -> None:
    file = tmp_path / "camera.txt"
    write_path(still(), file, format="tum")
    assert "must be one of track2view_camera" in sentence(file, format="xyz")
    assert "leave camera" in sentence(file, camera="1")
    assert "give height" in sentence(file, height=None)
    assert "below 180" in sentence(file, fov_degrees=180)
    assert "fps" in sentence(file, fps=0)
    assert "whole number" in sentence(file, width=1.5)
    written = tmp_path / "camera.json"
    write_path(still(), written, format="track2view_camera")
    assert "another aspect" in sentence(written, width=100, height=100)
