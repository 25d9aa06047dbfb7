"""run.json: what is read is what was written, and a mistake in it is one sentence with its place."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from track2view_core.errors import Track2ViewError
from track2view_core.evaluation.run_manifest import (
    CameraFile,
    RenderedScene,
    Run,
    RunClip,
    read_run,
    run_of_folders,
    write_run,
)
from track2view_core.video import VideoClip, write_clip

DOCUMENT: dict[str, Any] = {
    "format": "track2view-run", "version": 1, "method": "Ours", "frames": 25,
    "clips": [{"name": "a", "generated": "a.mp4"}],
}  # fmt: skip


def test_a_run_comes_back_as_it_was_written(tmp_path: Path):
    camera = CameraFile("cameras/list.npz", "realcamvid", "3")
    clips = (
        RunClip("a", "a.mp4", "s.mp4", "t.mp4", "a prompt", CameraFile("r.txt"), camera, camera, RenderedScene(4), "x"),
        RunClip("b", "b.mp4"),
    )
    run = Run(tmp_path, "Ours", 49, clips, {"data": "mine"})
    assert read_run(write_run(run)) == run == read_run(tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": 2}, "version 2"),
        ({"frames": 0}, "frames, is 0"),
        ({"clips": []}, "lists no clips"),
        ({"method": " "}, "method"),
        ({"speed": 3}, "unknown field 'speed'"),
        ({"clips": [{"name": "a"}]}, "clip 0 lacks the field 'generated'"),
        ({"clips": [{"name": "a", "generated": "a.mp4", "sauce": "b"}]}, "unknown field 'sauce'"),
        ({"clips": [{"name": "a", "generated": 3}]}, "generated, is '3'"),
        ({"clips": [{"name": "a", "generated": "a.mp4", "scene": {"seed": "x"}}]}, "where a number must stand"),
        (
            {"clips": [{"name": "a", "generated": "a.mp4", "scene": {"seed": 1, "texture": "odd"}}]},
            "smooth or detailed",
        ),
        ({"clips": [{"name": "a", "generated": "a.mp4", "source_camera": {"format": "tum"}}]}, "source_camera, file"),
        ({"clips": [{"name": "a", "generated": "a.mp4"}] * 2}, "two clips 'a'"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, changes: dict[str, Any], words: str):
    (tmp_path / "run.json").write_text(json.dumps({**DOCUMENT, **changes}))
    with pytest.raises(Track2ViewError) as caught:
        read_run(tmp_path)
    assert words in str(caught.value) and str(caught.value).endswith(".")


def test_no_manifest_and_no_json_are_told_apart(tmp_path: Path):
    with pytest.raises(Track2ViewError, match="manifest folders"):
        read_run(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(Track2ViewError, match="no JSON"):
        read_run(tmp_path)


def test_folders_of_equal_names_make_a_run(tmp_path: Path):
    for folder in ("ours", "source", "prompts", "paths"):
        (tmp_path / folder).mkdir()
    clip = VideoClip(torch.zeros(2, 16, 16, 3, dtype=torch.uint8), Fraction(8))
    for name in ("one", "two"):
        write_clip(clip, tmp_path / "ours" / f"{name}.mp4")
        write_clip(clip, tmp_path / "ours" / f"{name}_side_by_side.mp4")
        (tmp_path / "source" / f"{name}.mov").touch()
        (tmp_path / "prompts" / f"{name}.txt").write_text(f"clip {name}\n", encoding="utf-8")
        (tmp_path / "ours" / f"{name}_target_camera.json").touch()
    others = {"source": tmp_path / "source", "prompt": tmp_path / "prompts"}
    (tmp_path / "run").mkdir()
    run = run_of_folders(tmp_path / "run", method="Ours", frames=2, generated=tmp_path / "ours", others=others)
    assert [clip.name for clip in run.clips] == ["one", "two"]
    assert run.clips[0] == RunClip(
        "one", "../ours/one.mp4", "../source/one.mov", prompt="clip one",
        reference_camera=CameraFile("../ours/one_target_camera.json"),
    )  # fmt: skip
    assert run.file(run.clips[0].source or "").resolve() == (tmp_path / "source" / "one.mov").resolve()
    (tmp_path / "source" / "two.mov").unlink()
    with pytest.raises(Track2ViewError, match="no files named 'two'"):
        run_of_folders(tmp_path, method="Ours", frames=2, generated=tmp_path / "ours", others=others)
    with pytest.raises(Track2ViewError, match="holds no clip"):
        run_of_folders(tmp_path, method="Ours", frames=2, generated=tmp_path / "paths", others={})
