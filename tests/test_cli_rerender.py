"""`track2view rerender` on real clips: what comes back has the clip's own length, size, rate and sound."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from track2view_core.cli import main
from track2view_core.tracks import load_tracks
from track2view_core.video import VideoClip, read_clip, write_clip

CAMERAS = {"out_source_camera.json", "out_target_camera.json"}
RESULTS = {"out.mp4", "out_side_by_side.mp4", "out_tracks.png", "out_paths.png", *CAMERAS}
NTSC = Fraction(30000, 1001)


def test_a_real_clip_keeps_count_size_rate_and_sound(rerender, real_clips):
    outcome = rerender(real_clips["bigbuckbunny"], "--frames", "6")
    assert outcome.code == 0, outcome.complaint
    source, result = read_clip(real_clips["bigbuckbunny"], frames=6), read_clip(outcome.output)
    assert result.frames.shape == source.frames.shape == (6, 720, 1280, 3)
    assert result.fps == source.fps == 25
    assert source.audio and result.audio and result.audio.sample_rate == source.audio.sample_rate
    assert abs(float(result.audio.seconds - source.audio.seconds)) < 0.05
    assert outcome.left == RESULTS


def test_the_log_says_what_happened(rerender, real_clips):
    outcome = rerender(real_clips["bikes"], "--frames", "6", "--amount", "0.5")
    assert outcome.code == 0, outcome.complaint
    for fact in (
        "first 6 of 250",
        "640 x 272",
        "64 x 32",
        "9 frames",
        "15.0 degrees",
        "scene scale",
        "lie among the",
        "wrote",
        "own pixels",
        "the model paints the rest",
    ):
        assert fact in outcome.said, fact
    assert "assumed; give --fov if you know it" in outcome.said
    assert "fov_degrees" not in outcome.said and "depth maps" not in outcome.said  # which the command does not take


@pytest.mark.parametrize(
    ("frames", "width", "height", "fps", "turned"),
    [
        (1, 160, 68, Fraction(24), False),
        (2, 160, 68, Fraction(24), False),
        (5, 90, 160, Fraction(24), True),
        (6, 161, 91, NTSC, False),
        (5, 33, 47, Fraction(12), True),
    ],
    ids=["one frame", "two frames", "portrait", "odd, 29.97", "small, odd, portrait"],
)
def test_any_length_aspect_and_rate(
    rerender, clip_from: Callable[..., Path], frames: int, width: int, height: int, fps: Fraction, turned: bool
):
    clip = clip_from("bikes", frames, width, height, fps, turned=turned)
    outcome = rerender(clip)
    assert outcome.code == 0, outcome.complaint
    result = read_clip(outcome.output)
    assert result.frames.shape == (frames, height + height % 2, width + width % 2, 3)
    assert (f"{width} x {height} is written as" in outcome.said) == bool(width % 2 or height % 2)
    assert frames == 1 or result.fps == fps
    beside = read_clip(outcome.output.with_name("out_side_by_side.mp4"))
    assert len(beside) == frames


def test_without_a_model_the_clips_own_pixels_are_all_it_takes(clip_from, tmp_path: Path, capsys):
    argv = ["rerender", clip_from("bikes", 5, 160, 68), tmp_path / "out.mp4", "--points", "64", "--no-model"]
    assert main([str(word) for word in argv]) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    assert "none: the clip's own pixels" in said and "filled from what is around it" in said and "steps" not in said
    stages = [line.split()[0] for line in said.splitlines() if not line.startswith(" ")]
    assert stages[2:7] == ["clip", "tracks", "geometry", "move", "render"]
    assert {file.name for file in tmp_path.iterdir()} == RESULTS


def test_a_clip_beyond_the_window_runs_in_windows(rerender, clip_from):
    outcome = rerender(clip_from("bikes", 200, 160, 68), "--motion", "static", "--steps", "1")
    assert outcome.code == 0, outcome.complaint
    assert len(read_clip(outcome.output)) == 200
    assert "overlapping" in outcome.said


def test_ntsc_material_as_it_came(rerender, real_clips):
    outcome = rerender(real_clips["carphone_pristine"], "--frames", "5")
    assert outcome.code == 0, outcome.complaint
    result = read_clip(outcome.output)
    assert result.frames.shape == (5, 144, 176, 3) and result.fps == NTSC


def test_a_cut_in_the_middle(rerender, clip_from, tmp_path: Path):
    shots = [read_clip(clip_from(name, 7, 160, 90)).frames for name in ("bikes", "bigbuckbunny")]
    outcome = rerender(write_clip(VideoClip(torch.cat(shots), Fraction(24)), tmp_path / "cut.mp4"))
    assert outcome.code == 0, outcome.complaint
    assert len(read_clip(outcome.output)) == 14
    assert "cut" in outcome.said.lower().split("wrote")[0]


def test_no_texture_needs_the_motion_by_hand(rerender, tmp_path: Path):
    grey = torch.full((5, 64, 96, 3), 128, dtype=torch.uint8)
    clip = write_clip(VideoClip(grey, Fraction(24)), tmp_path / "grey.mp4")
    assert "motion" in rerender(clip).sentence
    outcome = rerender(clip, "--motion", "static")
    assert outcome.code == 0, outcome.complaint
    assert len(read_clip(outcome.output)) == 5


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_saved_tracks_serve_the_next_run(rerender, clip_from, tmp_path: Path, ending: str):
    clip, file = clip_from("bikes", 5, 160, 68), tmp_path / f"tracks.{ending}"
    first = rerender(clip, "--save-tracks", file)
    assert first.code == 0, first.complaint
    assert len(load_tracks(file)) == 5
    pictures = read_clip(first.output).frames
    second = rerender(clip, "--tracks", file, "--size", "64x64")
    assert second.code == 0, second.complaint
    # Not bit for bit: a tensor mapped from a file lies elsewhere in memory, and sums round differently there.
    assert (read_clip(second.output).frames.float() - pictures.float()).abs().mean() < 1


def test_the_seed_decides_the_picture(rerender, clip_from):
    clip = clip_from("bikes", 5, 160, 68)
    first, again, other = (read_clip(rerender(clip, "--seed", seed).output).frames.float() for seed in ("1", "1", "2"))
    # Not bit for bit: x264 does not code the same pictures the same way every time.
    assert (first - again).abs().mean() < 1 < (first - other).abs().mean()


@pytest.mark.parametrize("preset", ["pan_left", "dolly_zoom", "spiral"])
@pytest.mark.parametrize("relative_to", ["source", "first_frame"])
def test_other_moves_and_sizes(rerender, clip_from, preset: str, relative_to: str):
    options = ("--preset", preset, "--relative-to", relative_to, "--ease", "linear", "--size", "48x48", "--steps", "1")
    outcome = rerender(clip_from("bikes", 2, 160, 68), *options)
    assert outcome.code == 0, outcome.complaint
    assert preset in outcome.said


def test_where_the_source_is_kept_goes_by_the_memory_and_is_said(rerender, real_clips, monkeypatch):
    from track2view_core.notes import Note
    from track2view_core.wan import rerender as job

    asked = []
    monkeypatch.setattr(job, "source_home", lambda *_, **__: ("host", (Note.of("source_in_host_memory", size=2**20),)))
    sample = job.sample
    monkeypatch.setattr(
        job, "sample", lambda *of, source_states, **told: asked.append(source_states) or sample(*of, **told)
    )
    outcome = rerender(real_clips["bikes"], "--frames", "2")
    assert asked == ["host"] and "wait in host memory" in outcome.said
