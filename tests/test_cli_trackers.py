"""`track2view rerender` with the user's own tracker and with a camera of a file."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from track2view_core.cameras import CameraPath
from track2view_core.cameras.formats import read_path, write_path
from track2view_core.commands.own_tracker import FILE_VARIABLE
from track2view_core.tracks import PointTracks, load_tracks, save_tracks
from track2view_core.video import VideoClip, read_clip, write_clip
from track2view_core.wan.models import Models

from .tracks.trackers.spatial_checkout import calls, worker_in_this_process, write_checkout
from .tracks.trackers.spatial_checkout import clip as coloured_clip

OWN = ("--tracker", "spatial_tracker_v2")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Colours that the stand-in reads."""
    return write_clip(VideoClip(torch.from_numpy(coloured_clip(5, 160, 68)), Fraction(24)), tmp_path / "clip.mp4")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes the stand-in checkout and a profile of it named `mine`; gives the profile."""
    file = tmp_path / "trackers.json"
    monkeypatch.setenv(FILE_VARIABLE, str(file))

    def write(*names: str, **changes: object):
        profile = write_checkout(tmp_path / "checkout", aspect=160 / 68, standing=True)
        entry = {
            "checkout": str(profile.checkout),
            "python": str(profile.python),
            "weights": dict(profile.weights),
            "device": "cpu",
            **changes,
        }
        file.write_text(json.dumps({"spatial_tracker_v2": {name: entry for name in names}}), encoding="utf-8")
        return profile

    return write


def test_the_users_own_tracker_tracks_the_clip(rerender, clip: Path, checkout, tmp_path: Path, monkeypatch):
    profile, saved = checkout("mine"), tmp_path / "tracks.npz"
    with worker_in_this_process(monkeypatch):
        outcome = rerender(clip, *OWN, "--profile", "mine", "--motion", "static", "--save-tracks", saved)
    assert outcome.code == 0, outcome.complaint
    assert "SpatialTrackerV2, offline, the camera taken as fixed" in outcome.said
    assert [call["frames"] for call in calls(profile)] == [5] and calls(profile)[0]["fixed_cam"]
    tracks = load_tracks(saved)
    assert len(tracks) == 5 and torch.equal(tracks.camera.world_from_camera[4], torch.eye(4, dtype=torch.float64))


def test_the_only_profile_needs_no_name(rerender, clip: Path, checkout, monkeypatch):
    profile = checkout("mine")
    with worker_in_this_process(monkeypatch):
        assert rerender(clip, *OWN, "--variant", "online").code == 0
    (call,) = calls(profile)
    assert call["weights"].endswith("online") and not call["fixed_cam"]


@pytest.mark.parametrize(
    ("names", "options", "told"),
    [
        ((), (), "No install of SpatialTrackerV2 is known; write"),
        (("mine", "other"), (), "--profile is not given; choose one of mine, other"),
        (("mine",), ("--profile", "nine"), '--profile is "nine"; choose one of mine'),
        (("mine",), ("--fov", "60"), "--fov is of the built-in tracker"),
        (("mine",), ("--motion", "rotation"), "--motion is rotation"),
    ],
)
def test_what_is_wrong_is_told_before_the_clip_is_read(
    rerender, tmp_path: Path, checkout, names: tuple[str, ...], options: tuple[str, ...], told: str
):
    checkout(*names)
    assert told in rerender(tmp_path / "no_clip.mp4", *OWN, *options).sentence


@pytest.mark.parametrize(("entry", "value"), [("checkout", "/nowhere"), ("python", "/no/python")])
def test_an_install_that_is_not_whole_is_named(rerender, tmp_path: Path, checkout, entry: str, value: str):
    checkout("mine", **{entry: value})
    assert value in rerender(tmp_path / "no_clip.mp4", *OWN).sentence


@pytest.mark.parametrize("option", [("--profile", "mine"), ("--variant", "online")])
def test_options_of_the_other_tracker_are_refused(rerender, tmp_path: Path, option: tuple[str, str]):
    assert option[0] in rerender(tmp_path / "no_clip.mp4", *option).sentence


class Placed:
    """Stands for a model on a device that this machine need not have."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        self.moves: list[str] = []

    def to(self, device: torch.device | str) -> None:
        self.device = torch.device(device)
        self.moves.append(str(device))


def test_models_leave_the_card_to_another_tracker_and_come_back() -> None:
    transformer, vae = Placed("cuda:1"), Placed("cpu")
    with pytest.raises(KeyboardInterrupt), Models.set_aside(SimpleNamespace(transformer=transformer, vae=vae)):
        assert transformer.device.type == "cpu"
        raise KeyboardInterrupt
    assert transformer.moves == ["cpu", "cuda:1"] and not vae.moves


def test_no_program_can_be_named_on_the_command_line(rerender, tmp_path: Path, checkout):
    checkout("mine")
    sentence = rerender(tmp_path / "no_clip.mp4", *OWN, "--profile", "/usr/bin/python3").sentence
    assert "choose one of mine" in sentence


def a_wall(frames: int = 5) -> PointTracks:
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(200, 3, generator=generator) * torch.tensor([4.0, 2.0, 0.5]) - torch.tensor([2.0, 1.0, -4.0])
    lens = torch.tensor([[150.0, 0, 80], [0, 150, 34], [0, 0, 1]]).expand(frames, 3, 3)
    camera = CameraPath(torch.eye(4).expand(frames, 4, 4), lens, 160, 68)
    everywhere = torch.ones(frames, 200)
    return PointTracks(points.expand(frames, 200, 3), everywhere.bool(), everywhere, camera)


@pytest.mark.parametrize(
    ("written_as", "distance", "factor"), [("track2view_camera", (), 1.0), ("tum", ("--camera-distance", "2"), None)]
)
def test_the_move_of_a_file_is_made(rerender, clip: Path, tmp_path: Path, written_as: str, distance, factor):
    tracks = a_wall()
    save_tracks(tracks, tmp_path / "tracks.npz")
    poses = torch.eye(4).repeat(5, 1, 1)
    poses[:, 0, 3] = 7 + 0.1 * torch.arange(5)  # its own frame 0 is the start
    lens = torch.tensor([[90.0, 0, 50], [0, 90, 50], [0, 0, 1]]).expand(5, 3, 3)
    file = tmp_path / ("move.txt" if written_as == "tum" else "move.json")
    write_path(CameraPath(poses, lens, 100, 100, fps=30.0), file, format=written_as)
    outcome = rerender(clip, "--tracks", tmp_path / "tracks.npz", "--camera", file, *distance)
    assert outcome.code == 0, outcome.complaint
    source, target = (read_path(outcome.output.with_name(f"out_{view}_camera.json")) for view in ("source", "target"))
    expected = 0.1 * torch.arange(5) * (tracks.scene_scale / 2 if factor is None else factor)
    torch.testing.assert_close(target.world_from_camera[:, 0, 3], expected.double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(source.world_from_camera, tracks.camera.world_from_camera, atol=1e-6, rtol=0)
    assert (source.width, source.height, source.fps) == (160, 68, read_clip(clip).fps)
    torch.testing.assert_close(target.intrinsics, tracks.camera.intrinsics)


def test_camera_files_that_cannot_be_are_refused_at_once(rerender, tmp_path: Path):
    missing = tmp_path / "no_clip.mp4"
    assert "gone.json" in rerender(missing, "--camera", tmp_path / "gone.json").sentence
    (tmp_path / "text.json").write_text("{}", encoding="utf-8")
    assert "text.json" in rerender(missing, "--camera", tmp_path / "text.json").sentence
    assert "--camera-distance" in rerender(missing, "--camera-distance", "2").sentence
    twice = rerender(missing, "--camera", tmp_path / "gone.json", "--amount", "0.5").sentence
    assert "--camera and --amount both" in twice
