"""FID: how far apart two sets of pictures are, as the Frechet distance of Gaussians through their features."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..errors import Track2ViewError


@dataclass(eq=False)
class FeatureStatistics:
    """Mean and covariance of features that come in pieces, so that no set needs to be held in memory."""

    width: int
    count: int = 0
    _total: Tensor = field(init=False)
    _products: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self._total = torch.zeros(self.width, dtype=torch.float64)
        self._products = torch.zeros(self.width, self.width, dtype=torch.float64)

    def add(self, features: Tensor) -> None:
        """Features [n, width] of further pictures."""
        if features.dim() != 2 or features.shape[1] != self.width:
            raise Track2ViewError(f"The features have shape {list(features.shape)}; give [pictures, {self.width}].")
        features = features.detach().cpu().double()
        self.count += len(features)
        self._total += features.sum(0)
        self._products += features.T @ features

    def merge(self, other: FeatureStatistics) -> None:
        self.count += other.count
        self._total += other._total
        self._products += other._products

    @property
    def mean(self) -> Tensor:
        return self._total / max(self.count, 1)

    @property
    def covariance(self) -> Tensor:
        """[width, width], of a sample (n - 1)."""
        if self.count < 2:
            raise Track2ViewError(f"A Frechet distance got {self.count} pictures in one set; give at least 2 to each.")
        return (self._products - self.count * torch.outer(self.mean, self.mean)) / (self.count - 1)


def frechet_distance(first: FeatureStatistics, second: FeatureStatistics) -> float:
    """|mean - mean'|^2 + trace(C + C' - 2 sqrt(C C')), never below 0.

    The root's trace is the sum of the roots of the eigenvalues of R C' R with R the root of C: symmetric throughout, so
    that few pictures, whose covariances are singular, need no offset.
    """
    shift = (first.mean - second.mean).square().sum()
    one, other = first.covariance, second.covariance
    values, vectors = torch.linalg.eigh(one)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    between = torch.linalg.eigvalsh(root @ other @ root).clamp(min=0).sqrt().sum()
    return max(0.0, float(shift + one.trace() + other.trace() - 2 * between))
