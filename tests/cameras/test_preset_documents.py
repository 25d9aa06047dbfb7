"""A preset as a document is the preset: the same path, few keys, the same refusals."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from track2view_core.cameras import EASES, PRESETS, CameraPath, preset_path, sample_document
from track2view_core.cameras.presets import preset_document
from track2view_core.cameras.rotations import matrix_from_axis_angle, rigid
from track2view_core.errors import Track2ViewError

SCALE = 3.7


def source_camera(frames: int) -> CameraPath:
    steps = torch.randn(frames, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).cumsum(0) * 0.05
    lens = torch.tensor([[80.0, 0.5, 64], [0, 82.0, 47], [0, 0, 1]], dtype=torch.float64).repeat(frames, 1, 1)
    return CameraPath(rigid(matrix_from_axis_angle(steps[:, :3]), steps[:, 3:]), lens, 128, 96)


def assert_same(name: str, amount: float, frames: int, ease: str, base: str) -> None:
    source = source_camera(frames)
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
    assert_same(name, amount, frames, ease, base)


def test_turns_of_more_than_a_circle_are_kept(subtests: pytest.Subtests) -> None:
    for name in ["pan_left", "tilt_up", "roll", "orbit_right", "arc_left"]:
        for amount in [-20, 9, 20]:
            with subtests.test(name=name, amount=amount):
                assert_same(name, amount, 33, "smooth", "source")


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
