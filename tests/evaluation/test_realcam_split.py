"""RealCam-Vid's test split on a small list of the published layout."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from track2view_core.cameras.formats import read_path
from track2view_core.cli import main
from track2view_core.errors import Track2ViewError
from track2view_core.evaluation.realcam_split import MOVES, prepare_split
from track2view_core.evaluation.run_manifest import read_run
from track2view_core.video import VideoClip, write_clip

FRAMES = 5


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips a group, of which one is too short and one is not there; and one of another data set."""
    root = tmp_path_factory.mktemp("realcam")
    clips: list[dict[str, Any]] = []
    for part in ("RealEstate10K", "MiraData9K", "DL3DV-10K"):
        for place in range(6 if part != "DL3DV-10K" else 1):
            poses = np.tile(np.eye(4), (8, 1, 1))
            poses[:, 0, 3] = -0.1 * (place + 1) * np.arange(8) + 3  # world-to-camera: the camera goes right
            video = f"{part}/clip{place}.mp4"
            clips.append({
                "video_path": video, "camera_extrinsics": poses, "align_factor": np.float64(2.0),
                "camera_intrinsics": np.array([0.5, 0.8, 0.5, 0.5]), "short_caption": f"{part} {place}",
            })  # fmt: skip
            (root / part).mkdir(exist_ok=True)
            frames = torch.zeros(3 if place == 1 else 8, 32, 48, 3, dtype=torch.uint8)
            if place != 2:
                write_clip(VideoClip(frames, Fraction(8)), root / video)
    listed = np.empty(len(clips), dtype=object)
    listed[:] = clips
    np.savez(root / "RealCam-Vid_test.npz", listed)
    return root


def prepare(data: Path, folder: Path, **changes: Any):
    folder.mkdir(exist_ok=True)
    options = {"frames": FRAMES, "static": 3, "dynamic": 2, "seed": 4, **changes}
    return prepare_split(data / "RealCam-Vid_test.npz", data, folder, **options)


def test_the_draw_is_by_seed_and_group_and_passes_over_what_cannot_be_used(data: Path, tmp_path: Path):
    split = prepare(data, tmp_path / "a", static=4)
    run = read_run(tmp_path / "a")
    assert run == split.run
    assert [clip.group for clip in run.clips] == ["static"] * 4 + ["dynamic"] * 2
    assert all("RealEstate10K" in (clip.source or "") for clip in run.clips[:4])
    assert all(run.file(clip.source or "").is_file() for clip in run.clips)
    assert {Path(video).stem for video in split.passed_over if "Real" in video} <= {"clip1", "clip2"}
    assert any("3 frames and 5" in why for why in split.passed_over.values())
    assert (
        "4 static (RealEstate10K)" in run.protocol["data"] and "ten named moves" in run.protocol["target trajectories"]
    )
    names = [clip.name for clip in prepare(data, tmp_path / "b", static=4).run.clips]
    assert names == [clip.name for clip in run.clips]
    assert {clip.name for clip in prepare(data, tmp_path / "c", seed=5).run.clips} != set(names)


def test_target_cameras_share_frame_0_with_the_source_and_make_the_named_moves(data: Path, tmp_path: Path):
    run = prepare(data, tmp_path / "a").run
    ends = []
    for clip in run.clips:
        assert clip.reference_camera and clip.source_camera
        target, source = (read_path(run.file(c.file)) for c in (clip.reference_camera, clip.source_camera))
        assert len(target) == FRAMES and (target.width, target.height) == (48, 32)
        torch.testing.assert_close(target.world_from_camera[0], torch.eye(4, dtype=torch.float64))
        torch.testing.assert_close(source.world_from_camera[0], torch.eye(4, dtype=torch.float64))
        place = int((clip.source or "")[-5])
        assert float(source.world_from_camera[1, 0, 3]) == pytest.approx(0.2 * (place + 1))  # metres
        ends.append(target.world_from_camera[-1])
    metres = [float(end[:3, 3].norm()) for end in ends]
    allowed = {0.0, 0.994, 1.988, 2.0585}  # turns, crane, dolly, arc
    assert all(min(abs(m - known) for known in allowed) < 2e-3 for m in metres)
    assert len(MOVES) == 10


def test_exchanged_paths_are_those_of_another_clip(data: Path, tmp_path: Path):
    run = prepare(data, tmp_path / "a", trajectory="exchanged").run
    for clip in run.clips:
        assert clip.reference_camera and clip.source_camera
        target, source = (read_path(run.file(c.file)) for c in (clip.reference_camera, clip.source_camera))
        assert (target.world_from_camera[-1] - source.world_from_camera[-1]).norm() > 0.1
    with pytest.raises(Track2ViewError, match="no other to exchange"):
        prepare(data, tmp_path / "b", trajectory="exchanged", static=1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"static": 6}, "4 can be used and 6"),
        ({"static": 0, "dynamic": 0}, "no clips"),
        ({"frames": 1}, "no fewer than 2"),
        ({"frames": 9}, "8 frames and 9"),
        ({"trajectory": "random"}, "one of moves, exchanged"),
    ],
)
def test_mistakes_are_one_sentence(data: Path, tmp_path: Path, changes: dict[str, Any], words: str):
    with pytest.raises(Track2ViewError, match=words) as caught:
        prepare(data, tmp_path / "a", **changes)
    assert str(caught.value).endswith(".") and not (tmp_path / "a" / "run.json").exists()


def test_the_commands_write_a_run_once(data: Path, tmp_path: Path, capsys):
    folder = tmp_path / "bench"
    arguments = ["manifest", "realcam-vid", str(folder), str(data / "RealCam-Vid_test.npz"), "--videos", str(data)]
    arguments += ["--frames", "5", "--method", "Ours", "--static", "2", "--dynamic", "2"]
    assert main(arguments) == 0
    assert "generated" in capsys.readouterr().out and len(read_run(folder).clips) == 4
    assert main(arguments) == 2 and "--overwrite" in capsys.readouterr().err
    clips = ["--generated", str(data / "MiraData9K"), "--source", str(data / "MiraData9K")]
    made = ["manifest", "folders", str(tmp_path / "mine"), "--frames", "3", "--method", "Copied", *clips]
    assert main([*made, "--protocol", "data=five clips"]) == 0
    run = read_run(tmp_path / "mine")
    assert len(run.clips) == 5 and run.protocol == {"data": "five clips"}
    assert "reference_camera" in capsys.readouterr().out
    assert main([*made, "--overwrite", "--protocol", "data"]) == 2 and "NAME=TEXT" in capsys.readouterr().err
