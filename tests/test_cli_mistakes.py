"""Every mistake a user can make on the command line: one sentence, exit code 2, nothing left behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from track2view_core.cli import main
from track2view_core.video import VideoClip, write_clip


@pytest.fixture(scope="module")
def clip(clip_from: Callable[..., Path]) -> Path:
    return clip_from("bikes", 5, 160, 68)


def npz(file: Path, frames: int = 5, width: int = 160, height: int = 68, *, broken: bool = False) -> Path:
    """A track file in TAPIP3D's layout, of points on a wall."""
    points = np.random.default_rng(0).uniform((-1, -1, 3), (1, 1, 4), (frames, 50, 3)).astype(np.float32)
    if broken:
        points[1, 2, 0] = np.nan
    intrinsics = np.tile(np.array([[100, 0, width / 2], [0, 100, height / 2], [0, 0, 1]]), (frames, 1, 1))
    np.savez(
        file, coords=points, visibs=np.ones((frames, 50), bool), extrinsics=np.tile(np.eye(4), (frames, 1, 1)),
        intrinsics=intrinsics, image_size=np.array([height, width]),
    )  # fmt: skip
    return file


def test_a_missing_file(rerender, tmp_path: Path):
    assert "missing.mp4" in rerender(tmp_path / "missing.mp4").sentence


@pytest.mark.parametrize("content", [b"", b"This is a text, not a video.\n" * 40, b"\x00\x00\x00\x20ftypisom"])
def test_a_file_that_is_no_video(rerender, tmp_path: Path, content: bytes):
    file = tmp_path / "clip.mp4"
    file.write_bytes(content)
    assert "clip.mp4" in rerender(file).sentence


def test_a_folder_as_clip(rerender, tmp_path: Path):
    assert str(tmp_path) in rerender(tmp_path).sentence


def test_good_tracks_are_taken(rerender, clip: Path, tmp_path: Path):
    assert rerender(clip, "--tracks", npz(tmp_path / "tracks.npz")).code == 0


def test_nan_in_tracks(rerender, clip: Path, tmp_path: Path):
    assert "NaN" in rerender(clip, "--tracks", npz(tmp_path / "tracks.npz", broken=True)).sentence


def test_tracks_of_another_length(rerender, clip: Path, tmp_path: Path):
    sentence = rerender(clip, "--tracks", npz(tmp_path / "tracks.npz", frames=4)).sentence
    assert "4 frames" in sentence and "5" in sentence


def test_tracks_of_another_shape(rerender, clip: Path, tmp_path: Path):
    assert "another shape" in rerender(clip, "--tracks", npz(tmp_path / "tracks.npz", height=160)).sentence


def test_tracks_that_are_missing_or_of_another_kind(rerender, clip: Path, tmp_path: Path):
    assert "no.npz" in rerender(clip, "--tracks", tmp_path / "no.npz").sentence
    (tmp_path / "tracks.txt").write_text("1 2 3")
    assert ".npz" in rerender(clip, "--tracks", tmp_path / "tracks.txt").sentence


@pytest.mark.parametrize("part", ["bundle", "model", "vae"])
def test_a_file_of_weights_that_is_cut_short(rerender, random_weights, clip: Path, tmp_path: Path, part: str):
    whole = getattr(random_weights, {"model": "dit"}.get(part, part)).read_bytes()
    file = tmp_path / "cut.safetensors"
    file.write_bytes(whole[: len(whole) // 2])
    assert "cut.safetensors" in rerender(clip, f"--{part}", file).sentence


@pytest.mark.parametrize("part", ["bundle", "model", "vae"])
def test_weights_that_are_missing_or_something_else(rerender, random_weights, clip: Path, tmp_path: Path, part: str):
    assert "gone.safetensors" in rerender(clip, f"--{part}", tmp_path / "gone.safetensors").sentence
    other = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, other)
    assert "other.safetensors" in rerender(clip, f"--{part}", other).sentence


def test_a_bundle_for_another_base(rerender, random_weights, clip: Path, tmp_path: Path):
    """One more layer than the base that the bundle states."""
    state = load_file(random_weights.dit)
    state |= {key.replace("blocks.1.", "blocks.2."): value.clone() for key, value in state.items() if ".1." in key}
    save_file(state, tmp_path / "deeper.safetensors")
    sentence = rerender(clip, "--model", tmp_path / "deeper.safetensors").sentence
    assert "2 layers" in sentence and "3 layers" in sentence


def test_a_path_that_looks_away(rerender, clip: Path, tmp_path: Path):
    tracks = npz(tmp_path / "tracks.npz")
    options = ("--preset", "pan_left", "--amount", "6", "--ease", "linear", "--relative-to", "first_frame")
    outcome = rerender(clip, "--tracks", tracks, *options)  # passes the points on its way round: a result
    assert outcome.code == 0, outcome.complaint
    still = write_clip(
        VideoClip(torch.full((1, 68, 160, 3), 90, dtype=torch.uint8), Fraction(24)), tmp_path / "one.mp4"
    )
    sentence = rerender(still, "--tracks", npz(tmp_path / "one.npz", frames=1), *options).sentence
    assert "looks away" in sentence


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--preset", "orbit_lift"), "orbit_left"),
        (("--ease", "bouncy"), "smooth"),
        (("--amount", "nan"), "amount"),
        (("--frames", "0"), "frames"),
        (("--points", "0"), "points"),
        (("--fov", "200"), "fov"),
        (("--steps", "0"), "steps"),
        (("--shift", "0"), "shift"),
        (("--size", "8x8"), "width"),
        (("--device", "abacus"), "--device"),
    ],
)
def test_numbers_and_names_out_of_range(rerender, clip: Path, options: tuple[str, str], named: str):
    assert named in rerender(clip, *options).sentence.lower()


@pytest.mark.parametrize("name", ["out.gif", "nowhere/out.mp4"])
def test_a_result_that_could_not_be_written(clip: Path, tmp_path: Path, capsys, name: str):
    assert main(["rerender", str(clip), str(tmp_path / name)]) == 2
    assert "OUT" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_input_is_never_written_over(clip: Path, capsys):
    before = clip.read_bytes()
    assert main(["rerender", str(clip), str(clip)]) == 2
    assert "write over its own input" in capsys.readouterr().err
    assert clip.read_bytes() == before


@pytest.mark.parametrize(
    "argv", [[], ["rerender"], ["fly"], ["rerender", "a", "b", "--size", "big"], ["demo", "--frobnicate"]]
)
def test_mistyped_words_are_one_line(argv: list[str], capsys):
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_camera_file_of_several_cameras_is_sent_to_this_verb_s_option(rerender, clip: Path, tmp_path: Path):
    rows = "[1 0 0 0] [0 1 0 0] [0 0 1 0] "
    told = {f"frame{t}": {name: f"{rows}[{t} 0 0 1] " for name in ("cam01", "cam02")} for t in range(5)}
    file = tmp_path / "camera_extrinsics.json"
    file.write_text(json.dumps(told), encoding="utf-8")
    tracks = npz(tmp_path / "tracks.npz")
    sentence = rerender(clip, "--tracks", tracks, "--camera", file).sentence
    assert "--camera-name) as one of cam01, cam02" in sentence and "--fov" not in sentence
    outcome = rerender(clip, "--tracks", tracks, "--camera", file, "--camera-name", "cam02")
    assert outcome.code == 0 and "camera_extrinsics.json: 5 frames" in outcome.said
    file.write_text("these are notes", encoding="utf-8")
    assert "--camera-format) as one of" in rerender(clip, "--tracks", tracks, "--camera", file).sentence


@pytest.mark.parametrize(
    "options",
    [("--camera-name", "a"), ("--camera-format", "tum"), ("--missing-frames", "fill"), ("--quaternion-order", "wxyz")],
)
def test_what_is_of_a_camera_file_needs_one(rerender, clip: Path, options: tuple[str, str]):
    assert f"{options[0]} is {options[1]} and there is no --camera" in rerender(clip, *options).sentence
