"""Random paired tracks with everything that happens to tracks: hidden, outside, behind the camera."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from track2view_core.tracks import TrackBatch


def _random_batch(
    count: int = 2, frames: int = 3, tracks: int = 12, size: tuple[int, int] = (48, 64), *, seed: int = 0
) -> TrackBatch:
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(count, frames, tracks, *shape, generator=generator)

    height, width = size
    views = {}
    for view in ("source", "target"):
        xy = uniform(-0.15, 1.15, 2) * torch.tensor([width, height])
        depth = uniform(-0.3, 4.0)
        inside = (xy >= 0).all(-1) & (xy[..., 0] < width) & (xy[..., 1] < height) & (depth > 0)
        disparity = torch.where(inside, uniform(0.0, 1.0), 0.0)
        views |= {f"{view}_xy": xy, f"{view}_depth": depth, f"{view}_inside": inside, f"{view}_disparity": disparity}
    return TrackBatch(**views, visible=uniform(0.0, 1.0) < 0.7, image_size=size)


@pytest.fixture
def random_batch() -> Callable[..., TrackBatch]:
    return _random_batch
