"""Operations on time: which frame stands where, exactly; and no speed above a limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from track2view_core.cameras import EASES, CameraPath, preset_path
from track2view_core.cameras.easing import eased_progress
from track2view_core.cameras.operations.operation import edit_path
from track2view_core.cameras.operations.retiming import sampled_at
from track2view_core.cameras.rotations import axis_angle_from_matrix

from ..camera_paths import assert_same, paths, still, wandering

laws = settings(deadline=None, max_examples=40)


def edited(path: CameraPath, name: str, **parameters: Any) -> CameraPath:
    return edit_path(path, name, parameters, scene_scale=1.0)


@laws
@given(paths)
def test_the_path_at_its_own_times_is_the_path(path: CameraPath) -> None:
    assert_same(sampled_at(path, torch.arange(len(path), dtype=torch.float64)), path)
    assert path.resampled(len(path)) is path


@laws
@given(paths, st.integers(2, 40))
def test_sampling_evenly_is_resampling(path: CameraPath, frames: int) -> None:
    times = torch.arange(frames, dtype=torch.float64) * (len(path) - 1) / (frames - 1)
    resampled = path.resampled(frames)
    torch.testing.assert_close(
        sampled_at(path, times).world_from_camera, resampled.world_from_camera, atol=1e-9, rtol=0
    )


def test_there_and_back_and_around_take_whole_frames() -> None:
    path = wandering(9)
    assert_same(edited(path, "ping_pong"), path.with_frames([0, 2, 4, 6, 8, 6, 4, 2, 0]))
    assert_same(edited(path, "ping_pong", times=2), path.with_frames([0, 4, 8, 4, 0, 4, 8, 4, 0]))
    assert_same(edited(path, "loop", times=2, closed=False), path.with_frames([0, 2, 4, 6, 0, 2, 4, 6, 8]))


@laws
@given(paths, st.integers(1, 4))
def test_a_closed_loop_ends_where_it_begins_and_begins_where_it_did(path: CameraPath, times: int) -> None:
    looped = edited(path, "loop", times=times)
    for end in (0, -1):
        assert torch.equal(looped.world_from_camera[end], path.world_from_camera[0])
        assert torch.equal(looped.intrinsics[end], path.intrinsics[0])


def test_a_path_that_is_closed_already_stays() -> None:
    path = preset_path("orbit_left", still(25), amount=12, scene_scale=4.0, ease="linear")
    assert_same(edited(path, "loop"), path, 1e-9)


@laws
@given(paths, st.floats(0.05, 0.95), st.sampled_from(list(EASES)))
def test_after_the_way_back_the_camera_is_where_it_began(path: CameraPath, share: float, ease: str) -> None:
    returned = edited(path, "return_to_start", share=share, ease=ease)
    for end in (0, -1):
        assert torch.equal(returned.world_from_camera[end], path.world_from_camera[0])
    if len(path) > 2:
        reached = (returned.world_from_camera - path.world_from_camera[-1]).abs().amax(dim=(1, 2))
        assert float(reached.min()) < 1e-12


def test_holding_gives_still_frames_at_both_ends() -> None:
    path = wandering(9)
    held = edited(path, "hold", first=2, last=4)
    assert_same(held.with_frames([0, 1, 2]), path.with_frames([0, 0, 0]))
    assert_same(held.with_frames([3]), path.with_frames([4]))
    assert_same(held.with_frames([4, 5, 6, 7, 8]), path.with_frames([8] * 5))


@pytest.mark.parametrize("ease", list(EASES))
def test_easing_a_linear_preset_gives_the_eased_preset(ease: str) -> None:
    source = wandering()
    for name in ("truck_left", "pan_right"):
        linear = preset_path(name, source, amount=1, scene_scale=2.0, ease="linear")
        wanted = preset_path(name, source, amount=1, scene_scale=2.0, ease=ease)
        eased = edit_path(linear, "ease", {"ease": ease}, source=source)
        torch.testing.assert_close(eased.world_from_camera, wanted.world_from_camera, atol=1e-10, rtol=0)


@laws
@given(paths, st.lists(st.floats(0, 1), min_size=2, max_size=5))
def test_a_time_curve_meets_its_pairs_and_goes_straight_between_two(path: CameraPath, values: list[float]) -> None:
    path = path if len(path) == 17 else wandering(17)
    at = [t / (len(values) - 1) for t in range(len(values))]
    timed = edited(path, "retime", curve=tuple(zip(at, values, strict=True)))
    last = len(path) - 1
    for share, value in zip(at, values, strict=True):
        if (share * last).is_integer():
            wanted = sampled_at(path, torch.tensor([value * last], dtype=torch.float64))
            assert_same(timed.with_frames([int(share * last)]), wanted, 1e-9)
    if len(values) == 2:
        line = torch.tensor(np.interp(np.arange(17) / 16, at, values) * last)
        assert_same(timed, sampled_at(path, line), 1e-9)


def test_speeds_are_in_the_stated_proportion_and_cover_the_whole_way() -> None:
    path = preset_path("truck_right", still(1001), amount=1, scene_scale=4.0, ease="linear")
    changed = edited(path, "change_speed", speeds=((0, 1), (0.5, 3), (1, 1)))
    x = changed.world_from_camera[:, 0, 3]
    assert x[0] == 0
    assert float(x[-1]) == pytest.approx(2.0, abs=1e-12)
    speed = x.diff()
    assert float(speed[500] / speed[0]) == pytest.approx(3, rel=1e-2)
    assert float(speed[250] / speed[0]) == pytest.approx(2, rel=1e-2)
    stopped = edited(path, "change_speed", speeds=((0, 1), (0.4, 0), (0.6, 0), (1, 1)))
    assert float(stopped.world_from_camera[400:600, 0, 3].diff().abs().max()) < 1e-12
    smooth = edited(path, "change_speed", speeds="0:0, 0.5:1, 1:0").world_from_camera[:, 0, 3] / 2
    assert float(smooth[250]) == pytest.approx(float(eased_progress(1001, "ease_in")[500]) / 2, abs=1e-3)


@laws
@given(st.integers(0, 999), st.floats(1.05, 3), st.booleans())
def test_no_step_is_faster_than_the_limit_and_the_ends_stay(seed: int, room: float, turning: bool) -> None:
    path = wandering(21, seed=seed)
    shift = path.world_from_camera[:, :3, 3].diff(dim=0).norm(dim=-1) * path.fps
    turn = (
        axis_angle_from_matrix(path.world_from_camera[:-1, :3, :3].mT @ path.world_from_camera[1:, :3, :3])
        .norm(dim=-1)
        .rad2deg()
        * path.fps
    )
    limits = (
        {"speed": 0.0, "turn": float(turn.mean()) * room}
        if turning
        else {"speed": float(shift.mean()) * room, "turn": 0.0}
    )
    limited = edited(path, "limit_speed", **limits)
    for end in (0, -1):
        assert_same(limited.with_frames([end]), path.with_frames([end]), 1e-12)
    if turning:
        steps = limited.world_from_camera[:-1, :3, :3].mT @ limited.world_from_camera[1:, :3, :3]
        assert float(axis_angle_from_matrix(steps).norm(dim=-1).rad2deg().max()) * path.fps <= limits["turn"] * (
            1 + 1e-9
        )
    else:
        steps = limited.world_from_camera[:, :3, 3].diff(dim=0).norm(dim=-1)
        assert float(steps.max()) * path.fps <= limits["speed"] * (1 + 1e-9)


def test_a_path_within_the_limits_comes_back_itself() -> None:
    path = wandering(21)
    assert edited(path, "limit_speed", speed=1000, turn=36_000) is path


def test_riding_on_a_source_the_sources_movement_stays() -> None:
    source = wandering()
    path = preset_path("orbit_right", source, amount=1, scene_scale=4.0)
    back = edit_path(path, "reverse", source=source)
    move = preset_path("orbit_right", still(), amount=1, scene_scale=4.0)
    first = move.world_from_camera[0]
    wanted = source.world_from_camera @ (torch.linalg.inv(first) @ move.world_from_camera.flip(0))
    torch.testing.assert_close(back.world_from_camera, wanted, atol=1e-12, rtol=0)
    torch.testing.assert_close(back.intrinsics, source.intrinsics, atol=1e-9, rtol=0)
