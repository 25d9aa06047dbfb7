"""Checks: figures against closed forms, warnings in words, and silence about a calm path."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings

from track2view_core.cameras import PRESETS, CameraPath, preset_path
from track2view_core.cameras.path_quality import PathChecks, check_path, path_summary, path_warnings
from track2view_core.errors import Track2ViewError

from .camera_paths import paths, still, wandering

SCALE = 4.0


def along(x: torch.Tensor) -> CameraPath:
    """A camera at x scene scales to the right at each frame."""
    path = still(len(x))
    poses = path.world_from_camera.clone()
    poses[:, 0, 3] = x * SCALE
    return replace(path, world_from_camera=poses)


def told(checks: PathChecks) -> tuple[str, ...]:
    return tuple(warning.text() for warning in path_warnings(checks))


def test_figures_of_a_cubic_are_its_derivatives() -> None:
    seconds = torch.arange(25, dtype=torch.float64) / 24
    checks = check_path(along(0.1 * seconds**3), still(25), scene_scale=SCALE)
    torch.testing.assert_close(checks.jerk[1:-2], torch.full((22,), 0.6).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(checks.acceleration[1:-1], 0.6 * seconds[1:-1], atol=1e-8, rtol=0)
    middle = (seconds[1:] + seconds[:-1]) / 2
    torch.testing.assert_close(checks.speed[1:], 0.3 * middle**2 + 0.1 / 4 / 24**2, atol=1e-9, rtol=0)
    torch.testing.assert_close(checks.distance_from_source, 0.1 * seconds**3, atol=1e-12, rtol=0)
    assert checks.speed[0] == checks.acceleration[0] == checks.acceleration[-1] == checks.jerk[-1] == 0


def test_an_orbits_angle_from_the_source_is_the_orbits() -> None:
    source = wandering(49, size=0.01)
    path = preset_path("orbit_right", source, amount=1, scene_scale=SCALE, ease="linear")
    checks = check_path(path, source, scene_scale=SCALE)
    torch.testing.assert_close(checks.angle_from_source, 30 * torch.arange(49).double() / 48, atol=1e-6, rtol=0)
    assert float(checks.distance_from_source[-1]) == pytest.approx(2 * math.sin(math.radians(15)))
    still_source = check_path(
        preset_path("pan_left", still(49), amount=1, scene_scale=SCALE, ease="linear"), scene_scale=SCALE
    )
    assert still_source.angular_speed[1:].tolist() == pytest.approx([15.0] * 48)
    assert still_source.angle_from_source is None


@settings(deadline=None, max_examples=40)
@given(paths)
def test_every_figure_is_a_number_for_every_length(path: CameraPath) -> None:
    checks = check_path(path, path, scene_scale=1.0, coverage=torch.rand(len(path)))
    for name in ("speed", "acceleration", "jerk", "angular_speed", "step", "turn", "angle_from_source", "coverage"):
        assert getattr(checks, name).shape == (len(path),)
        assert getattr(checks, name).isfinite().all()
    assert all(note.text().endswith(".") for note in path_summary(checks))
    for warning in path_warnings(checks):
        assert warning.text().startswith("Frame") and warning.text().endswith(".")


def test_presets_on_a_well_tracked_clip_give_no_warning(subtests: pytest.Subtests) -> None:
    for name in PRESETS:
        with subtests.test(name=name):
            source = still(81)
            path = preset_path(name, source, amount=1, scene_scale=SCALE)
            assert path_warnings(check_path(path, source, scene_scale=SCALE, coverage=torch.full((81,), 0.9))) == ()


def test_low_coverage_is_told_by_frames() -> None:
    coverage = torch.full((81,), 0.8)
    coverage[40:63] = 0.1
    coverage[50] = 0.3  # a gap of one frame is not worth two sentences
    checks = check_path(still(81), scene_scale=1.0, coverage=coverage)
    assert told(checks) == ("Frames 40-62: under 20 % of the view has tracks.",)
    coverage[::8] = 0.0
    *_, last = told(check_path(still(81), scene_scale=1.0, coverage=coverage))
    assert last.startswith("Frame 16: under 20 %") and last.endswith("; the same in 5 more places.")


def test_a_jump_is_told_by_its_frame_and_size() -> None:
    x = torch.arange(81, dtype=torch.float64) * 0.01
    x[31:] += 0.79
    checks = check_path(along(x), scene_scale=SCALE)
    assert told(checks) == ("Frame 31: the camera jumps by 0.8 scene scales.",)
    turned = wandering(81, size=0.0)
    poses = turned.world_from_camera.clone()
    poses[20:] = preset_path("pan_left", still(2), amount=1, scene_scale=1).world_from_camera[-1]
    checks = check_path(replace(turned, world_from_camera=poses), scene_scale=SCALE)
    assert told(checks) == ("Frame 20: the camera turns by 30 degrees at once.",)


def test_a_fast_camera_and_a_far_view_are_told() -> None:
    fast = check_path(along(torch.arange(25, dtype=torch.float64) * 0.1), scene_scale=SCALE)
    assert told(fast) == ("Frames 1-24: the camera moves at up to 2.4 scene scales a second, which may smear.",)
    source = still(81)
    path = preset_path("orbit_left", source, amount=3, scene_scale=SCALE, ease="linear")
    (warning,) = told(check_path(path, source, scene_scale=SCALE))
    assert warning.startswith("Frames 54-80: the view is turned up to 90 degrees away from the source")


def test_what_the_source_does_not_show_is_revealed() -> None:
    frames, tracks = 9, 100
    inside = torch.ones(frames, tracks, dtype=torch.bool)
    shown = inside.clone()
    shown[6:, 25:] = False
    coverage = torch.full((frames,), 0.8)
    checks = check_path(
        still(frames), scene_scale=1.0, coverage=coverage, shown=shown, inside=inside, full_coverage=0.8
    )
    assert checks.revealed.tolist() == pytest.approx([0.0] * 6 + [0.75] * 3, abs=1e-6)
    assert told(checks) == (
        "Frames 6-8: up to 75 % of the view is not in the source at that moment and will be made up.",
    )
    nowhere = check_path(still(frames), scene_scale=1.0, coverage=0 * coverage, shown=shown, inside=~inside)
    assert nowhere.revealed.tolist() == [1.0] * frames


def test_tensors_of_another_clip_are_refused() -> None:
    with pytest.raises(Track2ViewError, match="8 frames of coverage; the path has 9"):
        check_path(still(9), scene_scale=1.0, coverage=torch.ones(8))
    with pytest.raises(Track2ViewError, match="scene_scale is nan"):
        check_path(still(9), scene_scale=math.nan)


def test_the_summary_names_the_largest_figures() -> None:
    source = still(81)
    path = preset_path("truck_right", source, amount=1, scene_scale=SCALE, ease="linear")
    checks = check_path(path, source, scene_scale=SCALE, coverage=torch.linspace(0.5, 1, 81))
    assert [note.text() for note in path_summary(checks)] == [
        "The camera moves at most 0.15 scene scales and 0 degrees a second.",
        "It goes up to 0.50 scene scales and 0 degrees away from the source camera.",
        "50 % to 100 % of the view has tracks.",
    ]
