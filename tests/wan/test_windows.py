"""Windows over a long clip: everything covered, neighbours overlapping, weights that blend."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from track2view_core.errors import Track2ViewError
from track2view_core.wan.windows import plan_windows

frames_and_windows = st.tuples(st.integers(1, 300), st.integers(1, 30), st.none() | st.integers(0, 40))


@settings(deadline=None, max_examples=60)
@given(frames_and_windows)
def test_every_frame_is_covered_by_windows_of_one_length(case):
    frames, length, overlap = case
    windows = plan_windows(frames, length, overlap)
    assert windows[0].start == 0 and windows[-1].start + windows[-1].length == frames
    assert {window.length for window in windows} == {min(frames, length)}
    weight = torch.zeros(frames)
    for window in windows:
        assert list(window.index) == list(range(frames))[window.frames]
        assert (window.weights() > 0).all() and (window.weights() <= 1).all()
        weight[window.frames] += window.weights()
    assert (weight > 0).all()


@settings(deadline=None, max_examples=60)
@given(frames_and_windows)
def test_neighbours_share_what_was_asked_for(case):
    frames, length, overlap = case
    windows = plan_windows(frames, length, overlap)
    asked = min(max(1, length // 3) if overlap is None else overlap, length - 1)
    for before, after in pairwise(windows):
        shared = before.start + length - after.start
        assert shared == before.overlap_after == after.overlap_before
        assert asked <= shared < length


def test_weights_of_two_windows_ramp_into_each_other():
    first, second = plan_windows(8, 5, 2)
    assert (first.start, second.start) == (0, 3)
    torch.testing.assert_close(first.weights(), torch.tensor([1, 1, 1, 2 / 3, 1 / 3]))
    torch.testing.assert_close(second.weights(), torch.tensor([1 / 3, 2 / 3, 1, 1, 1]))


def test_a_clip_that_fits_is_one_window():
    (window,) = plan_windows(5, 21)
    assert (window.start, window.length) == (0, 5) and window.weights().eq(1).all()


def test_impossible_windows_are_refused():
    with pytest.raises(Track2ViewError, match="at least 1"):
        plan_windows(5, 0)
    with pytest.raises(Track2ViewError, match="overlap is -1"):
        plan_windows(9, 5, -1)
