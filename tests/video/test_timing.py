from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from track2view_core.video.arithmetic import STANDARD_RATES
from track2view_core.video.timing import plan_timing

MILLISECONDS = Fraction(1, 1000)


@given(st.sampled_from([rate for rate in STANDARD_RATES if 5 <= rate <= 120]), st.integers(2, 300), st.integers(0, 999))
def test_a_standard_rate_survives_stamps_in_milliseconds(rate, frames, first):
    stamps = [first + round(index / rate / MILLISECONDS) for index in range(frames)]
    timing = plan_timing(stamps, MILLISECONDS, rate)
    assert (timing.rate, timing.count, timing.repeats, timing.notes) == (rate, frames, None, ())


@given(st.fractions(1, 200, max_denominator=2000), st.integers(1, 100))
def test_an_exact_rate_of_any_kind_is_kept(rate, frames):
    time_base = 1 / (rate * 7)
    timing = plan_timing([7 * index for index in range(frames)], time_base, rate)
    assert (timing.rate, timing.count, timing.notes) == (rate, frames, ())


def test_ntsc_is_found_without_a_declared_rate():
    stamps = [round(index * 1001 / 24) for index in range(200)]
    assert plan_timing(stamps, MILLISECONDS, None).rate == Fraction(24000, 1001)


def test_a_wrong_declared_rate_gives_way_to_the_stamps():
    timing = plan_timing([3003 * index for index in range(50)], Fraction(1, 90000), Fraction(60))
    assert timing.rate == Fraction(30000, 1001)


def test_jitter_keeps_every_frame_and_says_so():
    stamps = [3000 * index + (700 if index % 3 == 1 else 0) for index in range(60)]
    timing = plan_timing(stamps, Fraction(1, 90000), None)
    assert timing.rate == 30
    assert timing.repeats is None
    assert timing.count == 60
    assert timing.notes[0].code == "rate_steadied"


def test_a_frozen_stretch_is_filled_so_that_later_frames_keep_their_time():
    stamps = [3000 * index for index in range(10)] + [3000 * (index + 15) for index in range(10)]
    timing = plan_timing(stamps, Fraction(1, 90000), Fraction(30))
    assert timing.rate == 30
    assert timing.count == 25
    assert timing.repeats == [6 if index == 9 else 1 for index in range(20)]
    assert "5 shown again, 0 left out" in timing.notes[0].text()


@given(st.lists(st.integers(300, 30_000), min_size=2, max_size=80))
def test_resampling_keeps_the_duration_and_the_order(gaps):
    stamps = [sum(gaps[:index]) for index in range(len(gaps) + 1)]
    timing = plan_timing(stamps, Fraction(1, 90000), None)
    span = Fraction(stamps[-1], 90000)
    if timing.repeats is not None:
        assert sum(timing.repeats) == timing.count
        assert len(timing.repeats) == len(stamps)
        assert abs((timing.count - 1) / timing.rate - span) <= 1 / timing.rate
    assert timing.count <= 20 * len(stamps) + 1001


def test_one_frame_takes_the_declared_rate_or_says_that_it_guessed():
    assert plan_timing([0], MILLISECONDS, Fraction(24000, 1001)).rate == Fraction(24000, 1001)
    guessed = plan_timing([0], MILLISECONDS, None)
    assert guessed.rate == 25
    assert guessed.notes[0].code == "rate_assumed"


def test_a_stray_stamp_does_not_make_hours():
    timing = plan_timing([0, 3000, 6000, 10**12], Fraction(1, 90000), None)
    assert timing.count == 4
    assert timing.notes[0].code == "times_senseless"
