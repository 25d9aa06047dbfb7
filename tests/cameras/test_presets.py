"""Presets: signs by where a point goes, amount 0, exact ends, words that match the move, keys that say the same."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from track2view_core.cameras import EASES, PRESETS, CameraPath, describe_move, preset_path, project, sample_document
from track2view_core.cameras.easing import eased_progress
from track2view_core.cameras.keyframes.documents import PathDocument
from track2view_core.cameras.presets import MOVES, preset_document, preset_keys
from track2view_core.cameras.rotations import axis_angle_from_matrix, matrix_from_axis_angle, rigid, rigid_inverse
from track2view_core.errors import Track2ViewError

SCALE = 4.0  # world units to the subject
NAMES = list(PRESETS)
REQUIRED = {
    *("static", "pan_left", "pan_right", "tilt_up", "tilt_down", "roll", "truck_left", "truck_right"),
    *("pedestal_up", "pedestal_down", "dolly_in", "dolly_out", "orbit_left", "orbit_right", "arc_left", "arc_right"),
    *("crane_up", "crane_down", "spiral", "dolly_zoom"),
}
WAYS = {"right": (0, 1), "left": (0, -1), "up": (1, -1), "down": (1, 1), "forward": (2, 1), "back": (2, -1)}
HOLD_SUBJECT = ("orbit_left", "orbit_right", "arc_left", "arc_right", "crane_up", "crane_down", "spiral")


def still_source(frames: int = 9) -> CameraPath:
    intrinsics = torch.tensor([[80.0, 0, 64], [0, 80.0, 48], [0, 0, 1]]).repeat(frames, 1, 1)
    return CameraPath(torch.eye(4).repeat(frames, 1, 1), intrinsics, 128, 96)


def moving_source(frames: int = 9) -> CameraPath:
    steps = torch.randn(frames, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(7)).cumsum(0) * 0.05
    intrinsics = torch.tensor([[80.0, 0, 64], [0, 82.0, 47], [0, 0, 1]], dtype=torch.float64).repeat(frames, 1, 1)
    intrinsics[:, :2, :2] *= torch.linspace(1, 1.5, frames, dtype=torch.float64)[:, None, None]
    return CameraPath(rigid(matrix_from_axis_angle(steps[:, :3]), steps[:, 3:]), intrinsics, 128, 96, fps=25.0)


def seen_from(path: CameraPath, point: tuple[float, float, float]) -> Tensor:
    """Pixel `[T, 2]` of one still point, given in scene scales."""
    return project(path, (SCALE * torch.tensor(point)).expand(len(path), 1, 3)).xy[:, 0]


def moved(name: str, amount: float = 1.0, ease: str = "linear", source: CameraPath | None = None) -> CameraPath:
    return preset_path(name, source or still_source(), amount=amount, scene_scale=SCALE, ease=ease)


def test_every_promised_move_and_ease_is_there() -> None:
    assert set(NAMES) >= REQUIRED
    assert set(EASES) >= {"linear", "smooth", "ease_in", "ease_out"}


@pytest.mark.parametrize(
    ("name", "x", "y"),
    [  # where the subject goes in the picture, right and down positive
        ("pan_right", -1, 0),
        ("pan_left", 1, 0),
        ("tilt_up", 0, 1),
        ("tilt_down", 0, -1),
        ("truck_right", -1, 0),
        ("truck_left", 1, 0),
        ("pedestal_up", 0, 1),
        ("pedestal_down", 0, -1),
    ],
)
def test_the_subject_moves_against_the_camera(name: str, x: int, y: int) -> None:
    track = seen_from(moved(name, amount=0.5), (0, 0, 1))
    steps = track[1:] - track[:-1]
    for axis, sign in ((0, x), (1, y)):
        if sign:
            assert (steps[:, axis] * sign > 0).all()
        else:
            torch.testing.assert_close(steps[:, axis], torch.zeros(8), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("truck_right", (1, 0, 0)),
        ("truck_left", (-1, 0, 0)),
        ("pedestal_up", (0, -1, 0)),
        ("pedestal_down", (0, 1, 0)),
        ("dolly_in", (0, 0, 1)),
        ("dolly_out", (0, 0, -1)),
        ("dolly_zoom", (0, 0, 1)),
    ],
)
def test_straight_moves_go_along_one_axis_without_turning(name: str, direction: tuple[int, int, int]) -> None:
    poses = moved(name).world_from_camera
    assert torch.equal(poses[:, :3, :3], torch.eye(3, dtype=torch.float64).expand(9, 3, 3))
    length = poses[:, :3, 3].norm(dim=-1, keepdim=True)
    torch.testing.assert_close(poses[:, :3, 3], length * torch.tensor(direction), atol=1e-12, rtol=0)
    assert length[-1] > 0


def test_dollying_in_makes_things_larger_and_out_smaller() -> None:
    for name, larger in (("dolly_in", True), ("dolly_out", False)):
        right = seen_from(moved(name), (0.2, 0, 1))[:, 0]
        assert ((right[1:] > right[:-1]) == larger).all()


def test_rolling_clockwise_turns_the_picture_counter_clockwise() -> None:
    track = seen_from(moved("roll"), (0.3, 0, 1))
    assert (track[1:, 1] < track[:-1, 1]).all()
    assert "clockwise" in PRESETS["roll"]
    radius = (track - torch.tensor([64.0, 48.0])).norm(dim=-1)
    torch.testing.assert_close(radius, radius[:1].expand(9), atol=1e-3, rtol=0)


def test_the_subject_is_held_in_the_middle(subtests: pytest.Subtests) -> None:
    for name in HOLD_SUBJECT:
        for amount in [1.0, -0.7, 2.0]:
            with subtests.test(name=name, amount=amount):
                track = seen_from(moved(name, amount), (0, 0, 1))
                torch.testing.assert_close(track, torch.tensor([64.0, 48.0]).expand(9, 2), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("name", "side"), [("orbit_left", -1), ("orbit_right", 1), ("arc_left", -1), ("arc_right", 1)])
def test_going_around_moves_the_camera_to_its_side_and_the_background_along(name: str, side: int) -> None:
    path = moved(name)
    x = path.world_from_camera[:, 0, 3]
    assert ((x[1:] - x[:-1]) * side > 0).all()
    behind, before = seen_from(path, (0, 0, 2))[:, 0], seen_from(path, (0, 0, 0.6))[:, 0]
    assert ((behind[1:] - behind[:-1]) * side > 0).all()
    assert ((before[1:] - before[:-1]) * side < 0).all()


def test_an_orbit_is_a_level_circle_and_an_arc_a_shorter_rising_one() -> None:
    subject = torch.tensor([0, 0, SCALE], dtype=torch.float64)
    for side in ("left", "right"):
        orbit, arc = (moved(f"{kind}_{side}").world_from_camera[:, :3, 3] for kind in ("orbit", "arc"))
        torch.testing.assert_close((orbit - subject).norm(dim=-1), torch.full((9,), SCALE).double(), atol=1e-12, rtol=0)
        assert torch.equal(orbit[:, 1], torch.zeros(9).double())
        assert (arc[1:, 1] < arc[:-1, 1]).all()
        assert arc[-1, 0].abs() < orbit[-1, 0].abs()


def test_an_orbit_of_twelve_nominal_moves_comes_home() -> None:
    path = moved("orbit_left", amount=12.0)
    torch.testing.assert_close(path.world_from_camera[-1], torch.eye(4).double(), atol=1e-12, rtol=0)


@pytest.mark.parametrize(("name", "down"), [("crane_up", True), ("crane_down", False)])
def test_a_crane_goes_straight_up_or_down_and_looks_back(name: str, down: bool) -> None:
    path = moved(name)
    positions = path.world_from_camera[:, :3, 3]
    assert positions[:, 0].abs().max() == 0
    assert positions[:, 2].abs().max() == 0
    assert (positions[-1, 1] < 0) == down
    assert (path.world_from_camera[-1, 1, 2] > 0) == down  # y of the axis of view, down positive


def test_the_spiral_circles_once_clockwise_and_widens() -> None:
    offset = moved("spiral").world_from_camera[:, :2, 3]
    radius = offset.norm(dim=-1)
    assert (radius[1:] > radius[:-1]).all()
    angle = 2 * math.pi * torch.arange(9).double()[:, None] / 8
    clockwise = torch.cat([angle.sin(), -angle.cos()], dim=-1)  # from the top, over the right
    torch.testing.assert_close(offset, radius[:, None] * clockwise, atol=1e-12, rtol=0)


def test_a_dolly_zoom_keeps_the_subject_and_moves_the_background() -> None:
    path = moved("dolly_zoom")
    subject = seen_from(path, (0.2, 0.1, 1))
    torch.testing.assert_close(subject, subject[:1].expand(9, 2), atol=1e-3, rtol=0)
    background = seen_from(path, (0.2, 0.1, 3))[:, 0]
    assert (background[1:] < background[:-1]).all()
    assert path.intrinsics[-1, 0, 0] < path.intrinsics[0, 0, 0]
    assert torch.equal(path.intrinsics[:, :2, 2], still_source().intrinsics[:, :2, 2])


def test_amount_zero_is_no_move(subtests: pytest.Subtests) -> None:
    for name in NAMES:
        for ease in EASES:
            with subtests.test(name=name, ease=ease):
                source = moving_source()
                riding = preset_path(name, source, amount=0.0, scene_scale=SCALE, ease=ease, relative_to="source")
                assert torch.equal(riding.world_from_camera, source.world_from_camera)
                assert torch.equal(riding.intrinsics, source.intrinsics)
                held = preset_path(name, source, amount=0.0, scene_scale=SCALE, ease=ease, relative_to="first_frame")
                assert torch.equal(held.world_from_camera, source.world_from_camera[:1].expand(9, 4, 4))
                assert torch.equal(held.intrinsics, source.intrinsics[:1].expand(9, 3, 3))


def test_the_first_frame_is_the_start_and_the_last_the_end_pose_exactly(subtests: pytest.Subtests) -> None:
    for name in NAMES:
        for ease in EASES:
            with subtests.test(name=name, ease=ease):
                source = moving_source()
                path = preset_path(name, source, amount=0.7, scene_scale=SCALE, ease=ease)
                assert torch.equal(path.world_from_camera[0], source.world_from_camera[0])
                # A clip of one frame is at the end of the way.
                for semantics, at in (("source", -1), ("first_frame", 0)):
                    path = preset_path(name, source, amount=0.7, scene_scale=SCALE, ease=ease, relative_to=semantics)
                    end = preset_path(name, source.with_frames([at % 9]), amount=0.7, scene_scale=SCALE, ease="linear")
                    assert torch.equal(path.world_from_camera[-1], end.world_from_camera[0])
                    assert torch.equal(path.intrinsics[-1], end.intrinsics[0])


def test_riding_and_held_moves_are_the_same_move_in_other_axes(subtests: pytest.Subtests) -> None:
    for name in NAMES:
        with subtests.test(name=name):
            source = moving_source()
            move = preset_path(name, still_source(), amount=0.8, scene_scale=SCALE).world_from_camera
            for semantics, start in (
                ("source", source.world_from_camera),
                ("first_frame", source.world_from_camera[:1].expand(9, 4, 4)),
            ):
                path = preset_path(name, source, amount=0.8, scene_scale=SCALE, relative_to=semantics)
                torch.testing.assert_close(rigid_inverse(start) @ path.world_from_camera, move, atol=1e-12, rtol=0)
                assert (len(path), path.width, path.height, path.fps) == (9, 128, 96, 25.0)


def test_translation_grows_with_the_scene_and_rotation_does_not(subtests: pytest.Subtests) -> None:
    for name in NAMES:
        with subtests.test(name=name):
            near = preset_path(name, still_source(), amount=1.0, scene_scale=1.0).world_from_camera
            far = preset_path(name, still_source(), amount=1.0, scene_scale=50.0).world_from_camera
            torch.testing.assert_close(far[:, :3, 3], 50 * near[:, :3, 3], atol=1e-12, rtol=1e-12)
            assert torch.equal(far[:, :3, :3], near[:, :3, :3])


@pytest.mark.parametrize("pair", ["pan", "truck", "orbit", "arc"])
def test_left_is_the_mirror_of_right(pair: str) -> None:
    mirror = torch.diag(torch.tensor([-1.0, 1, 1, 1], dtype=torch.float64))
    left, right = (moved(f"{pair}_{side}").world_from_camera for side in ("left", "right"))
    torch.testing.assert_close(left, mirror @ right @ mirror, atol=1e-14, rtol=0)


@pytest.mark.parametrize(
    ("name", "degrees"), [("pan_left", 30), ("pan_right", 30), ("tilt_up", 20), ("roll", 20), ("orbit_right", 30)]
)
def test_the_stated_degrees_are_the_degrees_turned(name: str, degrees: float) -> None:
    turned = axis_angle_from_matrix(moved(name).world_from_camera[-1, :3, :3]).norm()
    assert math.degrees(turned) == pytest.approx(degrees)
    assert f"{degrees:.1f} degrees" in PRESETS[name]


def test_the_description_states_the_length_and_turn_of_the_end_pose(subtests: pytest.Subtests) -> None:
    for name in NAMES:
        with subtests.test(name=name):
            for amount in (1.0, 0.35, -0.5):
                text = describe_move(name, amount)
                end = preset_path(name, still_source(1), amount=amount, scene_scale=1.0).world_from_camera[0]
                for length, way in re.findall(r"moves ([\d.]+) scene scales (?:to the )?(\w+)", text):
                    axis, sign = WAYS[way]
                    if "around" not in text or axis == 1:
                        assert float(end[axis, 3]) * sign == pytest.approx(float(length), abs=0.006)
                for degrees, way in re.findall(r"turned ([\d.]+) degrees (up|down) at the end", text):
                    tilt = math.degrees(math.asin(float(end[1, 2])))
                    assert tilt * (1 if way == "down" else -1) == pytest.approx(float(degrees), abs=0.06)


def test_the_conventions_page_states_the_same_nominal_moves() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "CONVENTIONS.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("|")]
    for name in NAMES:
        (row,) = (line for line in rows if name in re.split(r"[|, ]+", line.split("|")[1]))
        stated = {float(number) for number in re.findall(r"\d+\.?\d*", row)}
        text = PRESETS[name].split(", turned")[0].split(", focal")[0].replace("a point 1.0 scene scales ahead", "")
        assert {float(number) for number in re.findall(r"\d+\.\d+", text)} <= stated, name


def test_descriptions_read_as_promised() -> None:
    assert describe_move("orbit_left", 1.0) == "30.0 degrees to the left around a point 1.0 scene scales ahead"
    assert describe_move("orbit_left", -0.5) == "15.0 degrees to the right around a point 1.0 scene scales ahead"
    assert describe_move("truck_right", 0.5) == "moves 0.25 scene scales to the right"
    assert describe_move("pan_left", 0.0) == describe_move("static", 3.0) == "no movement of its own"
    assert all(PRESETS[name] == describe_move(name, 1.0) for name in NAMES)


def test_eases_go_from_exactly_0_to_exactly_1_and_never_back(subtests: pytest.Subtests) -> None:
    for ease in EASES:
        for frames in [2, 3, 25, 81, 200]:
            with subtests.test(ease=ease, frames=frames):
                progress = eased_progress(frames, ease)
                assert progress[0] == 0
                assert progress[-1] == 1
                assert (progress[1:] > progress[:-1]).all()
                assert eased_progress(1, ease).tolist() == [1.0]


def test_eases_have_their_shape() -> None:
    speed = {ease: eased_progress(1001, ease).diff() * 1000 for ease in EASES}
    for ease, first, last in (("linear", 1, 1), ("smooth", 0, 0), ("ease_in", 0, 2), ("ease_out", 2, 0)):
        assert float(speed[ease][0]) == pytest.approx(first, abs=0.01)
        assert float(speed[ease][-1]) == pytest.approx(last, abs=0.01)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "orbit_lefft"}, "perhaps 'orbit_left' is meant"),
        ({"name": "warp"}, "no camera preset 'warp'.*static, pan_left"),
        ({"amount": math.nan}, "amount is nan"),
        ({"amount": math.inf}, "amount is inf"),
        ({"scene_scale": 0.0}, "scene_scale is 0.0"),
        ({"scene_scale": math.nan}, "scene_scale is nan"),
        ({"ease": "bounce"}, "ease is 'bounce'.*linear, smooth"),
        ({"relative_to": "world"}, "relative_to is 'world'.*first_frame"),
        ({"name": "dolly_zoom", "amount": 2.5}, "reach the subject.*below 2.5"),
        ({"name": "spiral", "amount": 4.0}, "reach the subject"),
    ],
)
def test_what_cannot_be_is_answered_in_one_sentence(change: dict, words: str) -> None:
    given = {"name": "pan_left", "amount": 1.0, "scene_scale": 1.0, "ease": "smooth", "relative_to": "source"} | change
    with pytest.raises(Track2ViewError, match=words) as caught:
        preset_path(given.pop("name"), still_source(), **given)
    assert "\n" not in str(caught.value)


# --- as keyframe documents --------------------------------------------------------------------------------------------


def assert_document_is_preset(name: str, amount: float, frames: int, ease: str, base: str) -> None:
    source = moving_source(frames)
    document = preset_document(name, amount, frames, ease=ease, relative_to=base)
    drawn = sample_document(document, source, scene_scale=SCALE)
    wanted = preset_path(name, source, amount=amount, scene_scale=SCALE, ease=ease, relative_to=base)
    torch.testing.assert_close(drawn.world_from_camera, wanted.world_from_camera, atol=1e-10, rtol=0)
    torch.testing.assert_close(drawn.intrinsics, wanted.intrinsics, atol=1e-10, rtol=0)


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(list(PRESETS)),
    st.floats(-2, 2),
    st.integers(1, 40),
    st.sampled_from(list(EASES)),
    st.sampled_from(["source", "first_frame"]),
)
def test_sampled_on_its_own_length_it_is_the_preset(name: str, amount: float, frames: int, ease: str, base: str):
    assert_document_is_preset(name, amount, frames, ease, base)


def test_turns_of_more_than_a_circle_are_kept(subtests: pytest.Subtests) -> None:
    for name in ["pan_left", "tilt_up", "roll", "orbit_right", "arc_left"]:
        for amount in [-20, 9, 20]:
            with subtests.test(name=name, amount=amount):
                assert_document_is_preset(name, amount, 33, "smooth", "source")


def test_at_the_nominal_amount_two_keys_are_enough_for_all_but_the_spiral(subtests: pytest.Subtests) -> None:
    for name in PRESETS:
        with subtests.test(name=name):
            keys = preset_document(name, 1.0, 81).keys
            assert len(keys) == {"static": 0, "spiral": 81}.get(name, 2)
            assert not preset_document(name, 0.0, 81).keys


def test_what_a_preset_refuses_its_document_refuses():
    for name, amount in (("orbit", 1.0), ("dolly_zoom", 2.5), ("pan_left", float("nan"))):
        with pytest.raises(Track2ViewError):
            preset_document(name, amount, 9)
    with pytest.raises(Track2ViewError, match="ease is 'bounce'"):
        preset_document("pan_left", 1.0, 9, ease="bounce")
    with pytest.raises(Track2ViewError, match=r"focal length times 0\.004; a path document holds 0\.01 to 100"):
        preset_document("dolly_zoom", 2.49, 9)


BESIDE = (0.35, -0.15, 0.7)  # scene scales: right of the middle, above it, nearer than the median


@pytest.mark.parametrize("name", [name for name, move in MOVES.items() if move.holds_subject or move.dolly])
def test_a_move_about_a_chosen_subject_starts_from_the_clips_own_picture_and_keeps_it_there(name: str) -> None:
    source = still_source(33)
    document = PathDocument(33, preset_keys(name, 0.8, 33, subject=BESIDE))
    path = sample_document(document, source, scene_scale=SCALE)
    torch.testing.assert_close(path.world_from_camera[0], source.world_from_camera[0], atol=1e-12, rtol=0)
    point = SCALE * torch.tensor(BESIDE).expand(33, 1, 3)
    here, there = project(path, point), project(source, point)
    apart = (here.xy - there.xy).norm(dim=-1)[:, 0] / source.width
    assert float(apart[-1]) < 1e-5 and float(apart.max()) < 0.012  # between two keys a turn is the shortest one
    if name.startswith("orbit"):
        assert float(apart.max()) < 1e-5
        torch.testing.assert_close(here.depth, there.depth, atol=1e-4, rtol=0)
    if name == "dolly_zoom":
        size = path.intrinsics[:, 0, 0] / here.depth[:, 0]
        torch.testing.assert_close(size, size[:1].expand(33), atol=1e-4, rtol=0)
