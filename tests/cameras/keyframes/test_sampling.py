"""Sampling a keyframe document: keys are hit, targets stay in the middle, and every rule of the written spec holds."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from torch import Tensor

from track2view_core.cameras import (
    CameraPath,
    Keyframe,
    Orbit,
    PathDocument,
    document_notes,
    parse_document,
    preset_path,
    project,
    sample_document,
)
from track2view_core.cameras.keyframes.documents import key_position
from track2view_core.cameras.keyframes.float_geometry import Vector, aim, distance, normalised
from track2view_core.cameras.keyframes.sampling import document_time, sample_move
from track2view_core.cameras.rotations import (
    axis_angle_from_matrix,
    matrix_from_axis_angle,
    matrix_from_quaternion,
    rigid,
    rigid_inverse,
)
from track2view_core.errors import Track2ViewError

from .keyframe_documents import documents, keyframes, vectors

SCALE = 4.0
laws = settings(deadline=None, max_examples=60)


def source_camera(frames: int, moving: bool = True) -> CameraPath:
    steps = torch.randn(frames, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(7)).cumsum(0) * 0.05
    intrinsics = torch.tensor([[80.0, 0.5, 64], [0, 82.0, 47], [0, 0, 1]], dtype=torch.float64).repeat(frames, 1, 1)
    intrinsics[:, :2, :2] *= torch.linspace(1, 1.5, frames, dtype=torch.float64)[:, None, None]
    return CameraPath(
        rigid(matrix_from_axis_angle(steps[:, :3]), steps[:, 3:]) if moving else _still(frames),
        intrinsics,
        128,
        96,
        fps=25.0,
    )


def _still(frames: int) -> Tensor:
    return torch.eye(4, dtype=torch.float64).repeat(frames, 1, 1)


def key_pose(key: Keyframe, subject: Vector | None) -> Tensor:
    """A key's pose in the base camera's axes, built from scipy's rotations."""
    stand = key_position(key, subject)
    if key.quaternion is not None:
        w, x, y, z = key.quaternion
        turn = Rotation.from_quat([x, y, z, w])
    else:
        x, y, z = (b - a for a, b in zip(stand, subject if key.look_at == "subject" else key.look_at, strict=True))
        turn = Rotation.from_euler("YX", [math.atan2(x, z), math.atan2(-y, math.hypot(x, z))])
    turn = turn * Rotation.from_euler("Z", key.roll, degrees=True)
    return rigid(torch.from_numpy(turn.as_matrix()), SCALE * torch.tensor(stand, dtype=torch.float64))


@laws
@given(documents())
def test_every_key_on_a_frame_is_hit(document: PathDocument) -> None:
    source = source_camera(document.frames)
    path = sample_document(document, source, scene_scale=SCALE)
    assert (len(path), path.width, path.height, path.fps) == (document.frames, 128, 96, 25.0)
    for key in document.keys:
        if key.frame != int(key.frame):
            continue
        t = int(key.frame)
        base = t if document.base == "source" else 0
        subject = None
        if document.subject is not None:
            first = source.world_from_camera[0]
            seen = rigid_inverse(source.world_from_camera[base]) @ first
            x, y, z = (
                seen[:3, :3] @ torch.tensor(document.subject[t], dtype=torch.float64) + seen[:3, 3] / SCALE
            ).tolist()
            subject = (x, y, z)
        wanted = source.world_from_camera[base] @ key_pose(key, subject)
        torch.testing.assert_close(path.world_from_camera[t], wanted, atol=1e-12 * 40 * SCALE, rtol=0)
        focal = torch.tensor([key.focal, key.focal, 1.0], dtype=torch.float64)
        torch.testing.assert_close(path.intrinsics[t, :2], source.intrinsics[base, :2] * focal, atol=1e-12, rtol=0)


@laws
@given(documents(with_subject=False), st.integers(1, 40))
def test_before_the_first_key_and_after_the_last_the_move_is_held(document: PathDocument, frames: int) -> None:
    moved = sample_move(document, frames)
    assert len(moved) == frames
    if not document.keys:
        assert set(moved) == {((0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), 1.0)}
        return
    first, last = document.keys[0], document.keys[-1]
    for t, camera in enumerate(moved):
        time = document_time(t, frames, document.frames)
        for key, beyond in ((first, time <= first.frame), (last, time >= last.frame)):
            if beyond:
                assert camera.position == key_position(key)
                assert camera.focal == key.focal


@pytest.mark.parametrize("base", ["source", "first_frame"])
def test_a_document_without_keys_is_its_base_exactly(base: str) -> None:
    source = source_camera(9)
    path = sample_document(PathDocument(9, base=base), source, scene_scale=SCALE)
    wanted = source if base == "source" else source.with_frames([0] * 9)
    assert torch.equal(path.world_from_camera, wanted.world_from_camera)
    assert torch.equal(path.intrinsics, wanted.intrinsics)
    still = PathDocument(9, (Keyframe(4, position=(0, 0, 0), quaternion=(1, 0, 0, 0)),), base=base)
    assert torch.equal(sample_document(still, source, scene_scale=SCALE).world_from_camera, wanted.world_from_camera)


@laws
@given(documents(with_subject=True))
def test_a_document_gives_a_path_that_holds(document: PathDocument) -> None:
    for frames in (1, 2, document.frames, 33):
        assert len(sample_document(document, source_camera(frames), scene_scale=SCALE)) == frames


@laws
@given(st.data(), st.sampled_from(["catmull_rom", "linear"]), vectors.map(lambda v: (v[0] + 30, v[1], v[2])))
def test_what_all_keys_look_at_stays_in_the_middle(data: st.DataObject, interpolation: str, target: Vector) -> None:
    keys = tuple(data.draw(keyframes(frame, subject=False)) for frame in (0, 7, 12, 20))
    keys = tuple(replace(key, look_at=target, quaternion=None) for key in keys)
    document = PathDocument(21, keys, position_interpolation=interpolation)
    for camera in sample_move(document, 21):
        x, y, z = (b - a for a, b in zip(camera.position, target, strict=True))
        axis = Rotation.from_quat([*camera.quaternion[1:], camera.quaternion[0]]).as_matrix()[:, 2]
        ahead = torch.tensor([x, y, z], dtype=torch.float64)
        torch.testing.assert_close(torch.from_numpy(axis), ahead / ahead.norm(), atol=1e-9, rtol=0)


@pytest.mark.parametrize("base", ["source", "first_frame"])
@pytest.mark.parametrize("frames", [21, 33])
def test_a_moving_subject_is_followed_at_every_frame(base: str, frames: int) -> None:
    subject = tuple((0.1 * math.sin(t / 3), 0.02 * t, 1.5 - 0.01 * t) for t in range(21))
    around = Orbit(0.0, 0.0, 1.0, "subject")
    keys = (
        Keyframe(0, orbit=around, look_at="subject"),
        Keyframe(8, orbit=replace(around, azimuth=30.0), look_at="subject"),
        Keyframe(20, orbit=replace(around, azimuth=400.0, elevation=20.0), look_at="subject"),
    )
    source = source_camera(frames)
    path = sample_document(PathDocument(21, keys, base=base, subject=subject), source, scene_scale=SCALE)
    times = torch.arange(frames, dtype=torch.float64) * 20 / (frames - 1)
    low = times.floor().long().clamp(max=19)
    known = torch.tensor(subject, dtype=torch.float64)
    local = SCALE * torch.lerp(known[low], known[low + 1], (times - low)[:, None])
    first = source.world_from_camera[0]
    world = local @ first[:3, :3].mT + first[:3, 3]
    seen = project(path, world[:, None].float())
    wanted = path.intrinsics[:, :2, 2].float()
    torch.testing.assert_close(seen.xy[:, 0], wanted, atol=1e-3, rtol=0)
    torch.testing.assert_close(seen.depth[:, 0], torch.full((frames,), SCALE), atol=1e-4, rtol=0)


@pytest.mark.parametrize("at", [0, 9, 20])
def test_one_key_on_the_subject_follows_it_through_the_whole_clip(at: int) -> None:
    subject = [(0.1 * math.sin(t / 3), 0.02 * t, 1.5 - 0.01 * t) for t in range(21)]
    around = Keyframe(at, orbit=Orbit(30, 10, 0.8, "subject"), look_at="subject", roll=5)
    beside = Keyframe(at, position=(1, 0, 0), look_at="subject")
    fixed = Keyframe(at, orbit=Orbit(30, 10, 0.8, "subject"), quaternion=(1, 0, 0, 0))
    for key in (around, beside, fixed):
        moved = sample_move(PathDocument(21, (key,), subject=tuple(subject)), 21, subject)
        for camera, point in zip(moved, subject, strict=True):
            ahead = torch.tensor(point, dtype=torch.float64) - torch.tensor(camera.position, dtype=torch.float64)
            axis = matrix_from_quaternion(torch.tensor(camera.quaternion, dtype=torch.float64))[:, 2]
            if key is not fixed:
                torch.testing.assert_close(axis, ahead / ahead.norm(), atol=1e-12, rtol=0)
            if key is not beside:
                assert float(ahead.norm()) == pytest.approx(0.8, abs=1e-12)


def test_two_orbit_keys_keep_distance_and_run_through_whole_turns() -> None:
    start = Orbit(0.0, 10.0, 1.5, (0.0, 0.0, 1.0))
    keys = (
        Keyframe(0, orbit=start, look_at=(0.0, 0.0, 1.0), ease="linear"),
        Keyframe(40, orbit=replace(start, azimuth=720.0), look_at=(0.0, 0.0, 1.0)),
    )
    positions = [camera.position for camera in sample_move(PathDocument(41, keys), 41)]
    assert {round(distance(p, (0.0, 0.0, 1.0)), 12) for p in positions} == {1.5}
    assert positions[20] == pytest.approx(positions[0], abs=1e-12)
    assert positions[40] == pytest.approx(positions[0], abs=1e-12)
    assert positions[5][0] == pytest.approx(1.5 * math.cos(math.radians(10)))  # a quarter turn: to the right
    assert positions[0][1] < 0  # above


def test_two_keys_say_what_a_preset_says(subtests: pytest.Subtests) -> None:
    for name in ["orbit_right", "orbit_left", "crane_up", "truck_left", "dolly_in", "pan_right"]:
        for ease in ["linear", "smooth", "ease_in", "ease_out"]:
            with subtests.test(name=name, ease=ease):
                ahead, still = (0.0, 0.0, 1.0), (1.0, 0.0, 0.0, 0.0)
                turn = math.radians(15)
                start, end = {
                    "orbit_right": ({"orbit": Orbit(0, 0, 1, ahead)}, {"orbit": Orbit(30, 0, 1, ahead)}),
                    "orbit_left": ({"orbit": Orbit(0, 0, 1, ahead)}, {"orbit": Orbit(-30, 0, 1, ahead)}),
                    "crane_up": (
                        {"position": (0, 0, 0), "look_at": ahead},
                        {"position": (0, -0.4, 0), "look_at": ahead},
                    ),
                    "truck_left": ({"position": (0, 0, 0)}, {"position": (-0.5, 0, 0)}),
                    "dolly_in": ({"position": (0, 0, 0)}, {"position": (0, 0, 0.4)}),
                    "pan_right": (
                        {"position": (0, 0, 0)},
                        {"position": (0, 0, 0), "quaternion": (math.cos(turn), 0, math.sin(turn), 0)},
                    ),
                }[name]
                facing = {"look_at": ahead} if name.startswith(("orbit", "crane")) else {"quaternion": still}
                own = ease if ease in ("linear", "smooth") else f"segment_{ease}"
                keys = (Keyframe(0, **facing | start, ease=own), Keyframe(16, **facing | end))
                source = source_camera(17)
                path = sample_document(PathDocument(17, keys), source, scene_scale=SCALE)
                preset = preset_path(name, source, amount=1.0, scene_scale=SCALE, ease=ease)
                torch.testing.assert_close(path.world_from_camera, preset.world_from_camera, atol=1e-12, rtol=0)


def test_a_dolly_zoom_of_two_keys_is_the_presets() -> None:
    still = (1.0, 0.0, 0.0, 0.0)
    keys = (
        Keyframe(0, position=(0, 0, 0), quaternion=still, ease="smooth"),
        Keyframe(16, position=(0, 0, 0.4), quaternion=still, focal=0.6),
    )
    source = source_camera(17)
    path = sample_document(PathDocument(17, keys), source, scene_scale=SCALE)
    preset = preset_path("dolly_zoom", source, amount=1.0, scene_scale=SCALE, ease="smooth")
    torch.testing.assert_close(path.intrinsics, preset.intrinsics, atol=1e-12, rtol=0)


OLD = json.loads((Path(__file__).parent / "version_1.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", OLD, ids=lambda case: f"{len(case['document']['keys'])} keys")
def test_documents_of_version_1_sample_to_the_path_they_had(case: dict) -> None:
    document = parse_document(case["document"])
    moved = sample_move(document, document.frames, document.subject)
    for frame, pose in zip(case["frames"], case["poses"], strict=True):
        found = [*moved[frame].position, *moved[frame].quaternion, moved[frame].focal]
        assert found == pytest.approx(pose, abs=1e-11)


FINE = 200  # samples a frame
AHEAD = (0.0, 0.0, 1.0)
ROUND = (Orbit(0, 0, 1, AHEAD), Orbit(20, 10, 1.1, AHEAD), Orbit(50, 15, 0.9, AHEAD), Orbit(70, 30, 1, AHEAD))
PLACES = ((0.0, 0.0, 0.0), (0.3, 0.0, 0.1), (0.4, -0.3, 0.1), (0.9, -0.3, 0.3))
TURNS = tuple(aim((0.0, 0.0, 0.0), goal) for goal in ((0.0, 0, 1), (0.3, 0.1, 1), (0.4, -0.2, 1), (0.8, -0.3, 1)))
GOALS = (AHEAD, (0.1, 0.0, 1.1), (0.3, 0.1, 1.2), (0.2, -0.2, 0.9))
WAYS = {
    "places and directions": [{"position": p, "quaternion": q} for p, q in zip(PLACES, TURNS, strict=True)],
    "places that look": [{"position": p, "look_at": g} for p, g in zip(PLACES, GOALS, strict=True)],
    "around a target": [{"orbit": o, "look_at": AHEAD} for o in ROUND],
    "around one that wanders": [
        {"orbit": replace(o, target=g), "look_at": g} for o, g in zip(ROUND, GOALS, strict=True)
    ],
    "around it, then on": [{"orbit": o, "look_at": AHEAD} for o in ROUND[:2]]
    + [{"position": p, "quaternion": q} for p, q in zip(PLACES[2:], TURNS[2:], strict=True)],
    "on, then around it": [{"position": PLACES[0], "quaternion": TURNS[0]}, {"position": PLACES[1], "look_at": AHEAD}]
    + [{"orbit": o, "look_at": AHEAD} for o in ROUND[2:]],
    "with what moves": [{"orbit": replace(o, target="subject"), "look_at": "subject"} for o in ROUND[:3]]
    + [{"orbit": ROUND[3], "look_at": AHEAD}],
}
TIMES = (0, 9, 25, 40)


def change_at_keys(document: PathDocument) -> list[tuple[Tensor, Tensor]]:
    """At each key but the first and the last: what changes a frame of place, lens and turn, before it and after it."""
    subject = [(0.4 + 0.01 * t / FINE, 0.0, 1.0) for t in range(40 * FINE + 1)]
    moved = sample_move(document, len(subject), subject if document.subject else None)
    found = []
    for key in document.keys[1:-1]:
        around = moved[int(key.frame) * FINE - 1 : int(key.frame) * FINE + 2]
        turns = matrix_from_quaternion(torch.tensor([camera.quaternion for camera in around], dtype=torch.float64))
        turned = axis_angle_from_matrix(turns[:-1].mT @ turns[1:])
        rest = torch.tensor([[*camera.position, camera.focal] for camera in around], dtype=torch.float64).diff(dim=0)
        before, after = torch.cat([rest, turned], dim=1) * FINE
        found.append((before, after))
    return found


@pytest.mark.parametrize("way", WAYS)
def test_a_smooth_path_passes_its_keys_without_a_kink_and_without_a_stop(way: str) -> None:
    shape = [{"roll": roll, "focal": focal} for roll, focal in ((0, 1), (4, 1.2), (9, 1.3), (10, 1.6))]
    keys = tuple(Keyframe(t, **place | more) for t, place, more in zip(TIMES, WAYS[way], shape, strict=True))
    subject = tuple((0.4 + 0.01 * t, 0.0, 1.0) for t in range(41)) if way == "with what moves" else None
    document = PathDocument(41, keys, subject=subject)
    apart = replace(document, keys=tuple(replace(key, ease="segment_smooth") for key in keys))
    for (before, after), (_, stopped) in zip(change_at_keys(document), change_at_keys(apart), strict=True):
        for part in (slice(0, 3), slice(3, 4), slice(4, 7)):
            assert float((after - before)[part].norm()) < 0.03 * float(after[part].norm())
        assert float(after[:3].norm()) > 0.006  # a mean of 0.02 a frame
        if subject is None:
            assert float(stopped[:3].norm()) < 1e-3
    start, end = sample_move(document, 40 * FINE + 1, [(0.4, 0.0, 1.0)] * (40 * FINE + 1))[:2], keys[-1]
    assert distance(start[0].position, start[1].position) * FINE < 1e-3 and end.ease == "smooth"


def test_a_smooth_path_goes_past_no_key_on_its_line_and_rests_where_keys_stand_still() -> None:
    values = (0.0, 0.1, 1.0, 1.0, 0.5, 0.2)
    times = (0, 10, 12, 20, 31, 40)
    keys = tuple(
        Keyframe(t, position=(v, 2 * v, 0), quaternion=(1, 0, 0, 0), roll=50 * v, focal=1 + v)
        for t, v in zip(times, values, strict=True)
    )
    moved = sample_move(PathDocument(41, keys), 40 * 20 + 1)
    for first, second, low, high in zip(times, times[1:], values, values[1:], strict=False):
        part = [camera.position[0] for camera in moved[first * 20 : second * 20 + 1]]
        assert sorted(part, reverse=high < low) == part
    assert {camera.focal for camera in moved[12 * 20 : 20 * 20]} == {2.0}


def test_a_key_may_be_straight_or_hold() -> None:
    def moved(*eases: str) -> list[Vector]:
        places = ((0, 0, 0), (1, 0, 0), (1, 1, 0), (3, 1, 0))
        keys = tuple(
            Keyframe(10 * n, position=place, quaternion=(1, 0, 0, 0), ease=ease)
            for n, (place, ease) in enumerate(zip(places, (*eases, "smooth"), strict=True))
        )
        return [camera.position for camera in sample_move(PathDocument(31, keys), 31)]

    assert moved("linear", "linear", "linear")[5] == pytest.approx((0.5, 0, 0))
    held = moved("smooth", "hold", "smooth")
    assert held[10:20] == [(1, 0, 0)] * 10 and held[20] == (1, 1, 0)
    assert distance(held[9], held[10]) < 0.04 and distance(held[20], held[21]) < 0.08  # it rests at both ends
    joined = moved("linear", "smooth", "smooth")
    assert distance(joined[10], joined[11]) == pytest.approx(
        0.05, abs=0.03
    )  # half of the straight way's speed: a corner


def test_squad_turns_without_a_kink_at_a_key_where_slerp_has_one() -> None:
    turns = ((0.0, 0.0), (40.0, 0.0), (40.0, 40.0), (0.0, 40.0))
    keys = []
    for frame, (yaw, pitch) in zip((0, 100, 200, 300), turns, strict=True):
        x, y, z, w = Rotation.from_euler("YX", [yaw, pitch], degrees=True).as_quat().tolist()
        keys.append(Keyframe(frame, position=(0, 0, 0), quaternion=(w, x, y, z), ease="segment_linear"))
    document = PathDocument(301, tuple(keys))

    def bend(orientation: str) -> float:
        sampled = sample_document(
            replace(document, orientation_interpolation=orientation), source_camera(301, moving=False), scene_scale=1.0
        ).world_from_camera[:, :3, :3]
        steps = axis_angle_from_matrix(sampled[:-1].mT @ sampled[1:])
        return float((steps[100] - steps[99]).norm())

    assert bend("squad") < 0.1 * bend("slerp")


def test_a_curve_through_keys_is_smooth_where_lines_have_a_corner() -> None:
    corner = [(0, 0, 0), (1, 0, 0), (1, 1, 0)]
    still = {"quaternion": (1, 0, 0, 0), "ease": "segment_linear"}
    keys = tuple(Keyframe(100 * k, position=p, **still) for k, p in enumerate(corner))
    document = PathDocument(201, keys)

    def bend(interpolation: str) -> float:
        path = sample_move(replace(document, position_interpolation=interpolation), 201)
        steps = torch.tensor([camera.position for camera in path], dtype=torch.float64).diff(dim=0)
        return float((steps[100] - steps[99]).norm() / steps[100].norm())

    assert bend("catmull_rom") < 0.1 < 1 < bend("linear")


@laws
@given(documents(with_subject=False), st.integers(2, 5))
def test_on_another_length_the_keys_are_rescaled_in_time(document: PathDocument, times: int) -> None:
    longer = (document.frames - 1) * times + 1
    same = sample_move(document, longer)[::times]
    for a, b in zip(sample_move(document, document.frames), same, strict=True):
        assert a.position == pytest.approx(b.position, abs=1e-9)
        assert a.quaternion == pytest.approx(b.quaternion, abs=1e-9)


def test_the_notes_say_what_the_clip_does_not_share_with_the_document() -> None:
    key = Keyframe(0, position=(0, 0, 0), quaternion=(1, 0, 0, 0))
    document = PathDocument(81, (key,), aspect=(1280, 960))
    assert document_notes(document, source_camera(81)) == ()
    (note,) = document_notes(document, source_camera(41))
    assert note.code == "keys_rescaled" and note.facts == {"frames": 81, "clip": 41}
    (note,) = document_notes(replace(document, aspect=(832, 480)), source_camera(81))
    assert "832 x 480" in note.text() and "128 x 96" in note.text()
    assert document_notes(PathDocument(81, aspect=(832, 480)), source_camera(41)) == ()


def test_a_key_in_the_place_of_the_subject_it_looks_at_is_refused() -> None:
    document = PathDocument(5, (Keyframe(2, position=(0, 0, 1), look_at="subject"),), subject=((0, 0, 1),) * 5)
    with pytest.raises(Track2ViewError, match="Key 1, field look_at: at frame 2 the camera stands where it should"):
        sample_document(document, source_camera(5, moving=False), scene_scale=SCALE)
    with pytest.raises(Track2ViewError, match="needs the subject's positions"):
        sample_move(document, 5)
    with pytest.raises(Track2ViewError, match="scene_scale is 0"):
        sample_document(document, source_camera(5), scene_scale=0)


def test_a_camera_that_passes_through_its_target_turns_on_instead_of_failing() -> None:
    keys = (Keyframe(0, position=(0, 0, 0), look_at=(0, 0, 1)), Keyframe(10, position=(0, 0, 2), look_at=(0, 0, 1)))
    moved = sample_move(PathDocument(11, keys), 11)
    assert moved[5].position == pytest.approx((0, 0, 1))
    assert all(math.isclose(sum(part * part for part in camera.quaternion), 1) for camera in moved)


def test_aims_are_the_normalised_ones_of_the_geometry() -> None:
    document = PathDocument(2, (Keyframe(0, position=(0, 0, 0), look_at=(1, 2, 3)),))
    assert sample_move(document, 2)[1].quaternion == pytest.approx(normalised(aim((0, 0, 0), (1, 2, 3))), abs=1e-15)
