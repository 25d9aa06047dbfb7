"""Operations on paths: the laws each keeps, and the registry that offers them."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from track2view_core.cameras import CameraPath, preset_path
from track2view_core.cameras.operations.operation import (
    OPERATIONS,
    chosen_settings,
    edit_path,
    operations_table,
    parse_curve,
    read_settings,
    settings_text,
)
from track2view_core.cameras.path import relative_move, riding_on
from track2view_core.cameras.rotations import (
    axis_angle_from_matrix,
    rigid_inverse,
    transform_from_twist,
    twist_from_transform,
)
from track2view_core.errors import Track2ViewError

from ..camera_paths import assert_same, paths, still, wandering

laws = settings(deadline=None, max_examples=40)
SCALE = 4.0
AHEAD = torch.tensor([0.5, -0.3, 6.0], dtype=torch.float64)

IDENTITIES: dict[str, dict[str, Any]] = {
    "retime": {"curve": ((0, 0), (0.3, 0.3), (1, 1))},
    "change_speed": {"speeds": ((0.2, 3), (0.9, 3))},
    "ease": {"ease": "linear"},
    "loop": {"times": 1, "closed": False},
    "hold": {"first": 0, "last": 0},
    "limit_speed": {"speed": 0, "turn": 0},
    "scale": {"amount": 1},
    "handheld": {"amount": 0},
    "smooth": {"amount": 0},
    "stabilise": {"amount": 0},
    "freeze": {"at": 1},
    "focal_keys": {"factors": ((0.5, 1),)},
    "look_at": {"amount": 0},
    "orbit": {"degrees": 0},
    "accompany": {"amount": 0},
    "dolly_zoom": {"amount": 0},
    "fit_to_scene": {"path_scale": SCALE},
}
OTHERS = {"reverse", "ping_pong", "return_to_start", "mirror", "lock_off", "compose", "match", "concatenate"}


def edited(path: CameraPath, name: str, *, source: CameraPath | None = None, **parameters: Any) -> CameraPath:
    other = parameters.pop("other", None)
    point = parameters.pop("point", AHEAD)
    return edit_path(path, name, parameters, source=source, scene_scale=SCALE, point=point, other=other or path)


def test_every_operation_is_told_of_and_has_its_laws_here() -> None:
    assert {*IDENTITIES, *OTHERS} == set(OPERATIONS)
    table = json.loads(json.dumps(operations_table(), allow_nan=False))
    assert [row["name"] for row in table] == list(OPERATIONS)
    for row in table:
        assert row["description"].endswith(".")
        for parameter in row["parameters"]:
            assert parameter["description"]
            assert parameter["kind"] != "number" or parameter["least"] <= parameter["default"] <= parameter["most"]
            assert parameter["kind"] != "choice" or parameter["default"] in parameter["choices"]


def test_nothing_asked_is_nothing_changed_exactly(subtests: pytest.Subtests) -> None:
    for name in IDENTITIES:
        with subtests.test(name=name):
            for frames in (1, 2, 17):
                path = wandering(frames)
                assert edited(path, name, **IDENTITIES[name]) is path
                assert edited(path, name, source=wandering(frames, seed=5), **IDENTITIES[name]) is path


@laws
@given(paths, st.sampled_from(sorted({*IDENTITIES, *OTHERS} - {"hold", "limit_speed"})), st.booleans())
def test_length_size_and_fps_stay_with_the_defaults(path: CameraPath, name: str, rides: bool) -> None:
    far = torch.tensor([0.0, 0.0, 40.0])
    source = wandering(len(path), seed=1, size=0.05) if rides else None
    path = path if name not in ("dolly_zoom",) else still(len(path))
    result = edited(path, name, source=source, point=far)
    added = len(path) - 1 if name == "concatenate" else 0
    assert len(result) == len(path) + added
    assert (result.width, result.height, result.fps) == (path.width, path.height, path.fps)


@laws
@given(paths)
def test_reverse_twice_and_mirror_twice_are_the_path(path: CameraPath) -> None:
    assert_same(edited(edited(path, "reverse"), "reverse"), path)
    assert_same(edited(edited(path, "mirror"), "mirror"), path, 1e-12)


def test_a_mirrored_preset_is_the_preset_to_the_other_side() -> None:
    source = wandering()
    for left, right in (("orbit_left", "orbit_right"), ("truck_left", "truck_right"), ("pan_left", "pan_right")):
        one, two = (preset_path(name, source, amount=1, scene_scale=SCALE) for name in (left, right))
        assert_same(edited(one, "mirror", source=source), two, 1e-12)


@laws
@given(paths, st.integers(0, 99))
def test_adding_a_move_to_a_camera_and_taking_it_off_are_inverse(path: CameraPath, seed: int) -> None:
    source = wandering(len(path), seed=seed)
    assert_same(riding_on(relative_move(path, source), source), path, 1e-11)
    nothing = relative_move(path, path)
    torch.testing.assert_close(nothing.world_from_camera, still(len(path)).world_from_camera, atol=1e-12, rtol=0)


@laws
@given(paths, st.integers(0, 99))
def test_composing_is_adding_the_other_paths_movement(path: CameraPath, seed: int) -> None:
    other = wandering(len(path), seed=seed)
    on_top = edited(path, "compose", other=other, other_scale=SCALE)
    move = other.relative_to_first().world_from_camera
    torch.testing.assert_close(on_top.world_from_camera, path.world_from_camera @ move, atol=1e-12, rtol=0)
    back = rigid_inverse(path.world_from_camera) @ on_top.world_from_camera
    torch.testing.assert_close(back, move, atol=1e-11, rtol=0)
    assert_same(edit_path(path, "compose", other=other), on_top)  # the same scene: no scale is asked for
    assert_same(edited(path, "compose", other=still(len(path))), path, 1e-12)
    instead = edited(path, "compose", other=other, other_scale=SCALE, place="instead")
    assert_same(edited(path.with_frames([0] * len(path)), "compose", other=other, other_scale=SCALE), instead, 1e-12)


def test_matching_a_clip_brings_its_movement_to_this_scenes_size() -> None:
    other = preset_path("orbit_right", still(33), amount=1, scene_scale=10.0)
    matched = edited(still(17), "match", other=other, other_scale=10.0)
    wanted = preset_path("orbit_right", still(33), amount=1, scene_scale=SCALE).resampled(17)
    torch.testing.assert_close(matched.world_from_camera, wanted.world_from_camera, atol=1e-12, rtol=0)
    assert matched.fps == 24.0


@laws
@given(paths, paths)
def test_lengths_add_up_and_a_continued_path_has_no_jump(path: CameraPath, other: CameraPath) -> None:
    cut = edited(path, "concatenate", other=other, join="cut")
    assert len(cut) == len(path) + len(other)
    assert_same(cut.with_frames(slice(len(path), None)), other)
    joined = edited(path, "concatenate", other=other)
    assert len(joined) == len(path) + len(other) - 1
    assert_same(joined.with_frames(slice(0, len(path))), path)
    second = joined.with_frames(slice(len(path) - 1, None)).relative_to_first()
    torch.testing.assert_close(
        second.world_from_camera, other.relative_to_first().world_from_camera, atol=1e-11, rtol=0
    )
    focal = joined.intrinsics[len(path) - 1 :, 0, 0] / joined.intrinsics[len(path) - 1, 0, 0]
    torch.testing.assert_close(focal, other.intrinsics[:, 0, 0] / other.intrinsics[0, 0, 0], atol=1e-12, rtol=0)


@laws
@given(paths, st.floats(0.1, 10), st.floats(0.1, 10))
def test_fitting_to_another_scene_and_back_is_the_path(path: CameraPath, one: float, two: float) -> None:
    there = edit_path(path, "fit_to_scene", {"path_scale": one}, scene_scale=two)
    assert_same(edit_path(there, "fit_to_scene", {"path_scale": two}, scene_scale=one), path, 1e-12)
    torch.testing.assert_close(
        there.world_from_camera[:, :3, 3], path.world_from_camera[:, :3, 3] * (two / one), atol=1e-12, rtol=0
    )


def test_a_scaled_preset_is_the_preset_of_that_amount(subtests: pytest.Subtests) -> None:
    for name in ["orbit_right", "dolly_in", "truck_left", "pan_left", "roll", "dolly_zoom"]:
        for amount in [0.0, 0.5, 2.0, -1.0]:
            with subtests.test(name=name, amount=amount):
                source = wandering()
                path = preset_path(name, source, amount=0.4, scene_scale=SCALE, ease="linear")
                wanted = preset_path(name, source, amount=0.4 * amount, scene_scale=SCALE, ease="linear")
                scaled = edited(path, "scale", source=source, amount=amount)
                torch.testing.assert_close(scaled.world_from_camera, wanted.world_from_camera, atol=1e-10, rtol=0)
                if name != "dolly_zoom":
                    torch.testing.assert_close(scaled.intrinsics, wanted.intrinsics, atol=1e-9, rtol=0)


@laws
@given(paths)
def test_scaled_to_nothing_a_path_holds_its_first_frame(path: CameraPath) -> None:
    assert_same(edited(path, "scale", amount=0), path.with_frames([0] * len(path)), 1e-12)
    assert_same(edited(edited(path, "scale", amount=-1), "scale", amount=-1), path, 1e-9)


@laws
@given(st.integers(0, 999), st.sampled_from([1e-9, 1e-3, 0.1, 0.29, 0.31, 1.0, 3.0]))
def test_twists_survive_their_transforms_and_shares_add_up(seed: int, angle: float) -> None:
    twist = torch.randn(6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    twist[:3] *= angle / twist[:3].norm()
    transform = transform_from_twist(twist)
    torch.testing.assert_close(twist_from_transform(transform), twist, atol=1e-9, rtol=0)
    parts = transform_from_twist(0.3 * twist) @ transform_from_twist(0.7 * twist)
    torch.testing.assert_close(parts, transform, atol=1e-12, rtol=0)


@laws
@given(paths, st.integers(0, 2**31 - 1))
def test_the_hand_is_the_same_for_the_same_seed_and_stays_within_its_amplitudes(path: CameraPath, seed: int) -> None:
    settings = {"seed": seed, "amount": 2.0, "degrees": 0.5, "shift": 0.01}
    shaken = edited(path, "handheld", **settings)
    assert_same(edited(path, "handheld", **settings), shaken)
    step = rigid_inverse(path.world_from_camera) @ shaken.world_from_camera
    turn = axis_angle_from_matrix(step[:, :3, :3]).abs().rad2deg()
    assert (turn <= torch.tensor([1.0, 1.0, 0.5]) + 1e-9).all()
    assert (step[:, :3, 3].abs() <= 2 * 0.01 * SCALE + 1e-12).all()
    if len(path) > 1:
        other = edited(path, "handheld", **settings | {"seed": seed ^ 1})
        assert not torch.allclose(other.world_from_camera, shaken.world_from_camera, atol=1e-9)


def test_the_hand_has_known_numbers_and_is_smooth() -> None:
    shaken = edited(still(97), "handheld", seed=7)
    turn = axis_angle_from_matrix(shaken.world_from_camera[:, :3, :3]).rad2deg()
    assert turn[0].tolist() == pytest.approx([0.23514428407756, -0.02120871486502, 0.03838673334685], abs=1e-12)
    assert turn[50].tolist() == pytest.approx([0.05368358314788, 0.06075501398688, 0.06607582736875], abs=1e-12)
    assert float(turn.diff(n=2, dim=0).abs().max()) < 0.03


def rough(frames: int = 97) -> tuple[CameraPath, CameraPath]:
    """A steady truck and pan, and the same with a shaking hand."""
    steady = preset_path("truck_right", still(frames), amount=1, scene_scale=SCALE, ease="linear")
    steady = preset_path("pan_right", steady, amount=1, scene_scale=SCALE, ease="linear")
    return steady, edited(steady, "handheld", seed=3, amount=5, frequency=6)


@pytest.mark.parametrize(("name", "seconds"), [("smooth", 0.5), ("stabilise", 1.0)])
def test_smoothing_takes_the_shake_out_and_keeps_the_ends(name: str, seconds: float) -> None:
    steady, shaken = rough()
    calm = edited(shaken, name, seconds=seconds)
    for end in (0, -1):
        assert torch.equal(calm.world_from_camera[end], shaken.world_from_camera[end])

    def unrest(path: CameraPath) -> tuple[float, float]:
        steps = rigid_inverse(path.world_from_camera[:-1]) @ path.world_from_camera[1:]
        twists = twist_from_transform(steps).diff(dim=0)
        return float(twists[:, :3].norm()), float(twists[:, 3:].norm())

    for before, after in zip(unrest(shaken), unrest(calm), strict=True):
        assert after < before / 3
    # Steady movement is left alone.
    torch.testing.assert_close(
        edited(steady, name, seconds=seconds).world_from_camera, steady.world_from_camera, atol=1e-9, rtol=0
    )


def test_smoothing_one_thing_leaves_the_other_alone() -> None:
    _, shaken = rough()
    turned = edited(shaken, "smooth", positions=False).world_from_camera
    moved = edited(shaken, "smooth", turns=False).world_from_camera
    assert torch.equal(turned[:, :3, 3], shaken.world_from_camera[:, :3, 3])
    assert torch.equal(moved[:, :3, :3], shaken.world_from_camera[:, :3, :3])


def test_a_tripod_and_a_stop() -> None:
    path = wandering(11)
    assert_same(edited(path, "lock_off", at=0.5), path.with_frames([5] * 11))
    assert_same(edited(path, "freeze", at=0.5), path.with_frames([0, 1, 2, 3, 4, 5, 5, 5, 5, 5, 5]))
    locked = edited(path, "stabilise", zoom=True)
    assert torch.equal(locked.intrinsics, path.intrinsics[:1].expand(11, 3, 3))


def focal_of(path: CameraPath) -> Tensor:
    return path.intrinsics[:, 1, 1] / 112.0


def test_focal_keys_are_met() -> None:
    zoomed = focal_of(edited(still(17), "focal_keys", factors=((0, 1), (0.5, 3), (1, 2)), ease="linear"))
    assert zoomed.tolist() == pytest.approx([1 + 2 * t / 8 for t in range(9)] + [3 - t / 8 for t in range(1, 9)])
    text = edited(still(17), "focal_keys", factors="0:1, 0.5:3, 1:2", ease="linear")
    assert torch.equal(focal_of(text), zoomed)
    assert focal_of(edited(still(5), "focal_keys", factors=((0.5, 2),))).tolist() == pytest.approx([2] * 5)


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("revers", {}, "no operation 'revers' \\(perhaps 'reverse' is meant\\)"),
        ("scale", {"amount": "1"}, 'Operation scale, field amount: "1" came; it must be a number from -20 to 20.'),
        ("scale", {"amount": math.nan}, "Operation scale, field amount: NaN came"),
        ("scale", {"size": 2}, "Operation scale has no field 'size'; it has amount."),
        ("loop", {"closed": 1}, "Operation loop, field closed: 1 came; it must be true or false."),
        ("loop", {"times": 1.5}, "Operation loop, field times: 1.5 came; it must be a whole number from 1 to 100."),
        ("ease", {"ease": "soft"}, "Operation ease, field ease: \"soft\" came; it must be 'linear' or 'smooth' or"),
        ("retime", {"curve": ((0, 0), (0, 1))}, "field curve: .* came; it must be pairs of time 0..1, rising, and"),
        ("retime", {"curve": "0:0, 1"}, "Operation retime, field curve: '1' came; it must be pairs of time and value"),
        ("change_speed", {"speeds": ((0, 0),)}, "field speeds: all are 0"),
        ("hold", {"first": 9, "last": 8}, "9 and 8 still frames leave nothing of 17"),
        ("limit_speed", {"speed": 0.01, "turn": 0}, "takes .* times the clip's time at these limits; raise speed"),
        ("look_at", {}, "Operation look_at needs a point to follow; connect one to its input point."),
        ("handheld", {}, "Operation handheld needs the scene scale"),
        ("compose", {}, "Operation compose needs a second camera path; connect one to its input other."),
    ],
)
def test_a_mistake_is_one_sentence(name: str, parameters: dict[str, Any], words: str) -> None:
    scale = 1.0 if name in ("limit_speed", "hold") else None
    with pytest.raises(Track2ViewError, match=words) as caught:
        edit_path(wandering(), name, parameters, scene_scale=scale)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_inputs_that_do_not_fit_are_named() -> None:
    path = wandering()
    for point, words in ((torch.zeros(2, 3), r"shape \[2, 3\].*\[17, 3\]"), (torch.full((3,), math.inf), "NaN or inf")):
        with pytest.raises(Track2ViewError, match=words):
            edited(path, "look_at", point=point)
    with pytest.raises(Track2ViewError, match="at frame 3 the camera stands in the point"):
        edited(path, "look_at", point=path.world_from_camera[3, :3, 3])
    with pytest.raises(Track2ViewError, match="at frame 0 the point is not in front"):
        edited(path, "dolly_zoom", point=torch.tensor([0.0, 0.0, -5.0]))
    with pytest.raises(Track2ViewError, match="the width is 128 in the first path and 64"):
        edited(path, "concatenate", other=path.resized(64, 96))
    with pytest.raises(Track2ViewError, match="other_scale is 2 and this scene's own scale is not known"):
        edit_path(path, "compose", {"other_scale": 2}, other=path)
    with pytest.raises(Track2ViewError, match="17 frames and the source camera 9"):
        edited(path, "reverse", source=wandering(9))


@st.composite
def settings_of(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """Settings of an operation: each left out, within its range, or anything at all."""
    chosen = {}
    for key, parameter in OPERATIONS[name].parameters.items():
        anything = st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=9), st.just([[0]]))
        shares = st.lists(st.floats(0, 1), min_size=1, max_size=4, unique=True).map(sorted)
        within = {
            "choice": st.sampled_from(parameter.choices or ("",)),
            "switch": st.booleans(),
            "curve": shares.map(lambda at, most=parameter.most: tuple((x, x * min(most, 50)) for x in at)),
        }.get(parameter.kind, st.floats(parameter.least, parameter.most))
        if parameter.kind == "whole":
            within = st.integers(int(parameter.least), int(parameter.most))
        if draw(st.booleans()):
            chosen[key] = draw(st.one_of(within, within, within, anything))
    return chosen


@pytest.mark.filterwarnings("error")
@settings(deadline=None, max_examples=100)
@given(st.data(), st.sampled_from(sorted(OPERATIONS)), st.integers(1, 9), st.booleans())
def test_any_settings_make_a_path_or_a_sentence(data: st.DataObject, name: str, frames: int, rides: bool) -> None:
    path = wandering(frames, size=0.3)
    inputs = {"scene_scale": SCALE, "point": AHEAD, "other": wandering(5, seed=1)}
    source = wandering(frames, seed=2) if rides else None
    try:
        result = edit_path(path, name, data.draw(settings_of(name)), source=source, **inputs)
    except Track2ViewError as error:
        assert str(error).endswith(".") and "\n" not in str(error)
    else:
        assert result.world_from_camera.isfinite().all() and result.intrinsics.isfinite().all()


def test_curves_of_text() -> None:
    assert parse_curve(" 0:1 ,0.5:0.25,1 : 2", "x") == ((0.0, 1.0), (0.5, 0.25), (1.0, 2.0))
    for text in ("", "0", "0:1,", "a:b", "0:1:2"):
        with pytest.raises(Track2ViewError, match=r"^x: .*pairs of time and value"):
            parse_curve(text, "x")


# --- settings as one line of text -------------------------------------------------------------------------------------


def test_default_settings_read_back_as_they_are_written(subtests: pytest.Subtests) -> None:
    for name in OPERATIONS:
        with subtests.test(name=name):
            operation = OPERATIONS[name]
            values = read_settings(settings_text(operation, {}), name)
            assert set(values) == set(operation.parameters)
            for key, parameter in operation.parameters.items():
                assert values[key] == parameter.default, key
                assert isinstance(values[key], bool) == isinstance(parameter.default, bool)


@given(st.integers(-3600, 3600), st.sampled_from([" ", "", "\t"]))
def test_spaces_and_empty_parts_do_not_matter(degrees: int, space: str) -> None:
    text = f";{space}degrees{space}={space}{degrees}{space}; ;rise=10;"
    assert read_settings(text, "orbit") == {"degrees": degrees, "rise": 10}


def test_fields_of_the_node_go_to_the_operations_that_have_them() -> None:
    fields = {"amount": 0.5, "ease": "linear", "seed": 7}
    assert chosen_settings("mirror", "", **fields) == {}
    assert chosen_settings("orbit", "degrees=5", **fields) == {"degrees": 5, "ease": "linear"}
    assert chosen_settings("handheld", "", **fields) == {"amount": 0.5, "seed": 7}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("orbit", "degrees", "'degrees' came; it must be name=value"),
        ("orbit", "degrees=", "it must be name=value"),
        ("mirror", "left", "such as an empty field, since this operation has no settings"),
        ("orbit", "degress=3", "orbit has no setting 'degress'; perhaps 'degrees' is meant"),
        ("mirror", "x=3", "mirror has no setting 'x'; it has none"),
        ("orbit", "rise=1; rise=2", "rise is given twice"),
        ("orbit", "rise=high", "rise: 'high' came; it must be a number"),
        ("orbit", "rise=nan", "it must be a number"),
        ("loop", "closed=perhaps", "closed: 'perhaps' came; it must be true or false"),
        ("retime", "curve=0:0, 1", "curve: '1' came; it must be pairs"),
        ("orbit", "ease=linear", "ease has a field of its own"),
    ],
)
def test_what_is_wrong_in_a_line_of_settings_is_named(name: str, text: str, words: str) -> None:
    with pytest.raises(Track2ViewError) as caught:
        chosen_settings(name, text, ease="smooth")
    assert words in str(caught.value) and str(caught.value).endswith(".")
