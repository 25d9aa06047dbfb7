from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from track2view_core.errors import Track2ViewError
from track2view_core.video import fit_inside, frame_rate, latent_frames, model_frames, model_side

counts = st.integers(1, 10_000)
sides = st.integers(1, 8000)
boxes = st.integers(16, 2000)


@given(counts)
def test_model_frames_is_the_least_4n_plus_1_that_holds_the_clip(frames):
    padded = model_frames(frames)
    assert padded % 4 == 1
    assert frames <= padded < frames + 4
    assert model_frames(padded) == padded
    assert 4 * (latent_frames(padded) - 1) + 1 == padded


@given(sides)
def test_model_side_is_the_least_multiple_of_16(pixels):
    side = model_side(pixels)
    assert side % 16 == 0
    assert pixels <= side < pixels + 16


@given(sides, sides, boxes, boxes)
def test_fit_inside_touches_the_box_and_keeps_the_aspect(width, height, box_width, box_height):
    fitted_width, fitted_height = fit_inside(width, height, box_width, box_height)
    turned = (width > height and box_width < box_height) or (width < height and box_width > box_height)
    limits = (box_height, box_width) if turned else (box_width, box_height)
    assert 1 <= fitted_width <= limits[0]
    assert 1 <= fitted_height <= limits[1]
    assert fitted_width == limits[0] or fitted_height == limits[1]
    # One side is exact, the other is rounded to a pixel.
    scale = max(Fraction(fitted_width, width), Fraction(fitted_height, height))
    smaller = min(Fraction(limits[0], width), Fraction(limits[1], height))
    assert abs(fitted_width - width * smaller) <= Fraction(1, 2) or fitted_width == 1
    assert abs(fitted_height - height * smaller) <= Fraction(1, 2) or fitted_height == 1
    assert scale >= smaller


@given(sides, sides, boxes, boxes)
def test_fit_inside_treats_portrait_as_turned_landscape(width, height, box_width, box_height):
    if width != height:
        lying = fit_inside(width, height, box_width, box_height)
        assert fit_inside(height, width, box_width, box_height) == lying[::-1]


def test_fit_inside_of_known_sizes():
    assert fit_inside(1920, 1080, 832, 480) == (832, 468)
    assert fit_inside(1080, 1920, 832, 480) == (468, 832)
    assert fit_inside(640, 480, 832, 480) == (640, 480)
    assert fit_inside(320, 240, 832, 480) == (640, 480)


@pytest.mark.parametrize(
    ("value", "exact"),
    [
        (29.97, Fraction(30000, 1001)),
        (29.97002997, Fraction(30000, 1001)),
        (23.976, Fraction(24000, 1001)),
        (23.98, Fraction(24000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (24.0, Fraction(24)),
        (30, Fraction(30)),
        (12.5, Fraction(25, 2)),
        (Fraction(2997, 100), Fraction(2997, 100)),
    ],
)
def test_frame_rate_reads_what_people_write(value, exact):
    assert frame_rate(value) == exact


@given(st.integers(1, 240), st.sampled_from([1, 1001]))
def test_frame_rate_survives_a_float(rate, divisor):
    exact = Fraction(rate * (1000 if divisor == 1001 else 1), divisor)
    assert abs(frame_rate(float(exact)) / exact - 1) < 2e-4


@pytest.mark.parametrize("value", [0, -24, 0.0, float("nan"), float("inf")])
def test_frame_rate_refuses_what_is_no_rate(value):
    with pytest.raises(Track2ViewError, match=r"fps is .*; it must be a finite number above 0"):
        frame_rate(value)


def test_lengths_and_boxes_that_cannot_be_are_refused():
    with pytest.raises(Track2ViewError, match="it must have at least one"):
        model_frames(0)
    with pytest.raises(Track2ViewError, match=r"4n \+ 1"):
        latent_frames(16)
    with pytest.raises(Track2ViewError, match="height to work at is 8"):
        fit_inside(64, 64, 64, 8)
