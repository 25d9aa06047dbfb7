"""FID: how far apart two sets of pictures are, as the Frechet distance of Gaussians through their features."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..errors import Track2ViewError


@dataclass(eq=False)
class FeatureStatistics:
    """Mean and covariance of features that come in pieces, so that no large set needs to be held in memory.

    A set of fewer pictures than features is kept as it is: its covariance is singular, and the distance is both exact
    and quick from the features themselves.
    """

    width: int
    count: int = 0
    _total: Tensor = field(init=False)
    _products: Tensor | None = field(init=False, default=None)
    _kept: list[Tensor] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._total = torch.zeros(self.width, dtype=torch.float64)

    def add(self, features: Tensor) -> None:
        """Features [n, width] of further pictures."""
        if features.dim() != 2 or features.shape[1] != self.width:
            raise Track2ViewError(f"The features have shape {list(features.shape)}; give [pictures, {self.width}].")
        features = features.detach().cpu().double()
        self.count += len(features)
        self._total += features.sum(0)
        self._kept.append(features)
        if self._products is not None or self.count > self.width:
            held = torch.cat(self._kept)
            self._kept.clear()
            self._products = (0 if self._products is None else self._products) + held.T @ held

    @property
    def mean(self) -> Tensor:
        return self._total / max(self.count, 1)

    @property
    def covariance(self) -> Tensor:
        """[width, width], of a sample (n - 1)."""
        self._check()
        if self._products is None:
            rows = self.rows()
            assert rows is not None
            return rows.T @ rows
        return (self._products - self.count * torch.outer(self.mean, self.mean)) / (self.count - 1)

    def rows(self) -> Tensor | None:
        """[n, width] whose product with itself is the covariance; None for a set that was too large to keep."""
        self._check()
        if self._products is not None:
            return None
        return (torch.cat(self._kept) - self.mean) / (self.count - 1) ** 0.5

    def _check(self) -> None:
        if self.count < 2:
            raise Track2ViewError(f"A Frechet distance got {self.count} pictures in one set; give at least 2 to each.")


def frechet_distance(first: FeatureStatistics, second: FeatureStatistics) -> float:
    """|mean - mean'|^2 + trace(C + C' - 2 sqrt(C C')), never below 0.

    The root's trace is the sum of the roots of the eigenvalues of R C' R, R the root of C: symmetric, so that
    no offset is needed. With C = A^T A and C' = B^T B it is the sum of the singular values of A B^T.
    """
    shift = (first.mean - second.mean).square().sum()
    one, other = first.rows(), second.rows()
    if one is not None and other is not None:
        total = one.square().sum() + other.square().sum()
        between = torch.linalg.svdvals(one @ other.T).sum()
    else:
        values, vectors = torch.linalg.eigh(first.covariance)
        root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
        total = first.covariance.trace() + second.covariance.trace()
        between = torch.linalg.eigvalsh(root @ second.covariance @ root).clamp(min=0).sqrt().sum()
    return max(0.0, float(shift + total - 2 * between))
