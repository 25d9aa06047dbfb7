"""How sure is a mean over clips: confidence intervals, of one method and of the difference between two.

The clips are the sample: frames of one clip resemble each other, so that they are averaged first and never resampled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import Track2ViewError

METHODS = ("bootstrap", "t")
LEVEL, RESAMPLES = 0.95, 10_000
_AT_ONCE = 1 << 22  # drawn numbers held at a time


@dataclass(frozen=True)
class Interval:
    """A mean over clips and where it lies with 95 % confidence; nan where there is too little to tell."""

    mean: float
    low: float
    high: float
    clips: int  # that took part; NaN clips do not

    def __str__(self) -> str:
        return f"{self.mean:.4g} [{self.low:.4g}, {self.high:.4g}]"


def mean_interval(values: Tensor | Sequence[float], method: str = "bootstrap", *, seed: int = 0) -> Interval:
    """The interval of the named method; both leave out NaN, the clips that could not be measured."""
    if method not in METHODS:
        raise Track2ViewError(f"The interval's method is {method!r}; it must be one of {', '.join(METHODS)}.")
    return bootstrap_interval(values, seed=seed) if method == "bootstrap" else t_interval(values)


def bootstrap_interval(
    values: Tensor | Sequence[float], *, seed: int = 0, level: float = LEVEL, resamples: int = RESAMPLES
) -> Interval:
    """Percentile bootstrap: the clips are drawn anew with replacement, and the means' quantiles are the interval.

    Args:
        values: one number a clip; NaN marks a clip without one.
        seed: of the draws; the same seed gives the same interval.
    """
    from scipy.stats import bootstrap

    known = _known(values)
    if len(known) < 2 or not np.isfinite(known).all():
        return _without_interval(known)
    told = bootstrap(
        (known,), np.mean, method="percentile", confidence_level=level, n_resamples=resamples,
        batch=max(1, _AT_ONCE // len(known)),
        random_state=np.random.default_rng(seed),  # pyright: ignore[reportCallIssue]: the name before SciPy 1.15
    )  # fmt: skip
    low, high = told.confidence_interval
    return Interval(float(known.mean()), float(low), float(high), len(known))


def t_interval(values: Tensor | Sequence[float], *, level: float = LEVEL) -> Interval:
    """Student's interval, for values that are about normal."""
    from scipy.stats import t

    known = _known(values)
    if len(known) < 2 or not np.isfinite(known).all():
        return _without_interval(known)
    half = float(t.ppf((1 + level) / 2, len(known) - 1)) * float(known.std(ddof=1)) / math.sqrt(len(known))
    mean = float(known.mean())
    return Interval(mean, mean - half, mean + half, len(known))


def paired_interval(
    own: Tensor | Sequence[float], other: Tensor | Sequence[float], method: str = "bootstrap", *, seed: int = 0
) -> Interval:
    """Interval of the mean difference own - other on the same clips; one that leaves out 0 tells the two apart.

    Far narrower than the two intervals apart, because what makes a clip hard is hard for both.
    """
    first, second = _numbers(own), _numbers(other)
    if len(first) != len(second):
        raise Track2ViewError(
            f"One method has {len(first)} clips and the other {len(second)}; compare both on the same clips."
        )
    with np.errstate(invalid="ignore"):  # both infinite, as PSNR of equal frames: no difference to speak of
        difference = first - second
    return mean_interval(difference.tolist(), method, seed=seed)


def _numbers(values: Tensor | Sequence[float]) -> np.ndarray:
    return torch.as_tensor(values, dtype=torch.float64).detach().flatten().cpu().numpy()


def _known(values: Tensor | Sequence[float]) -> np.ndarray:
    numbers = _numbers(values)
    return numbers[~np.isnan(numbers)]


def _without_interval(known: np.ndarray) -> Interval:
    return Interval(float(known.mean()) if len(known) else math.nan, math.nan, math.nan, len(known))
