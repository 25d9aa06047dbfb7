"""Confidence intervals: slow twins, and what must hold for any."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from track2view_core.errors import Track2ViewError
from track2view_core.evaluation import bootstrap_interval, mean_interval, paired_interval, t_interval


def values(count: int = 40, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(2.0, 1.5, count)


def test_the_bootstrap_is_the_spread_of_means_of_clips_drawn_anew():
    own = bootstrap_interval(values().tolist(), resamples=20_000)
    generator = np.random.default_rng(7)
    means = np.sort([generator.choice(values(), 40).mean() for _ in range(20_000)])
    assert own.mean == pytest.approx(values().mean())
    assert (own.low, own.high) == pytest.approx((means[500], means[-500]), abs=0.03)


def test_the_t_interval_is_student_s():
    own, told = t_interval(values().tolist()), values()
    half = 2.0226909 * told.std(ddof=1) / math.sqrt(40)  # the 97.5 % point of Student's t with 39 degrees of freedom
    assert (own.low, own.high) == pytest.approx((told.mean() - half, told.mean() + half))


def test_one_seed_gives_one_interval_and_nan_clips_do_not_take_part():
    told = torch.from_numpy(values())
    with_nan = torch.cat([told, torch.tensor([math.nan, math.nan], dtype=torch.float64)])
    assert bootstrap_interval(told, seed=3) == bootstrap_interval(with_nan, seed=3)
    assert bootstrap_interval(told, seed=3) != bootstrap_interval(told, seed=4)
    assert bootstrap_interval(with_nan).clips == 40


@pytest.mark.parametrize("few", [[], [2.0], [math.inf, 1.0]])
def test_too_little_to_tell_has_no_interval(few: list[float]):
    for method in ("bootstrap", "t"):
        told = mean_interval(few, method)
        assert math.isnan(told.low) and math.isnan(told.high) and told.clips == len(few)


def test_a_small_steady_difference_is_seen_only_in_pairs():
    hard = values(25)
    own, other = hard + 0.05 * values(25, seed=1), hard
    assert bootstrap_interval(own.tolist()).low < bootstrap_interval(other.tolist()).high
    assert paired_interval(own.tolist(), other.tolist()).low > 0
    assert paired_interval(own.tolist(), own.tolist(), "t").high == 0


def test_about_95_of_100_bootstrap_intervals_hold_the_truth():
    held = [
        (told := bootstrap_interval(values(60, seed).tolist(), resamples=500)).low <= 3.0 <= told.high
        for seed in range(200)
    ]
    assert 0.88 <= np.mean(held) <= 0.99


def test_mistakes_are_one_sentence():
    with pytest.raises(Track2ViewError, match="one of bootstrap, t"):
        mean_interval([1.0, 2.0], "gauss")
    with pytest.raises(Track2ViewError, match="25 clips and the other 24"):
        paired_interval(values(25).tolist(), values(24).tolist())
