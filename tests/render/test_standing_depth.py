"""Depth of what stands: planes are found, steps lie on colour edges, units are free, one bad seed stays alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from track2view_core.cameras import CameraPath
from track2view_core.errors import Track2ViewError
from track2view_core.render.source_tracks import SourceTracks
from track2view_core.render.standing_depth import map_size, standing_inverse_depth

FRAMES, WIDTH, HEIGHT, SEEDS = 3, 160, 96, 300


def camera() -> CameraPath:
    lens = torch.tensor([[150.0, 0, WIDTH / 2], [0, 150.0, HEIGHT / 2], [0, 0, 1]], dtype=torch.float64)
    pose = torch.eye(4, dtype=torch.float64).repeat(FRAMES, 1, 1)
    return CameraPath(pose, lens.repeat(FRAMES, 1, 1), WIDTH, HEIGHT)


def tracks_on(surface, seeds: int = SEEDS) -> SourceTracks:
    """Tracks whose inverse depth is `surface(x, y)` with x, y in pixels, before a camera at rest."""
    xy = np.random.default_rng(0).uniform([0, 0], [WIDTH, HEIGHT], (seeds, 2)).astype(np.float32)
    inverse = surface(xy[:, 0], xy[:, 1]).astype(np.float32)
    still = np.ones((FRAMES, seeds), bool)
    return SourceTracks(np.stack([xy] * FRAMES), np.stack([inverse] * FRAMES), still, np.zeros(seeds, bool), camera())


def plane(x, y):
    return 0.2 + 0.001 * x + 0.002 * y


def step(x, y):
    return np.where(x < 70, 0.5, 0.2)


def pictures(edge: int | None = None) -> np.ndarray:
    video = np.full((FRAMES, HEIGHT, WIDTH, 3), 90, np.uint8)
    if edge is not None:
        video[:, :, :edge] = (200, 60, 60)
    return video


def pixels() -> tuple[np.ndarray, np.ndarray]:
    """Where the centres of the map's pixels are in the picture."""
    h, w = map_size(HEIGHT, WIDTH)
    y, x = np.mgrid[:h, :w] + 0.5
    return x * WIDTH / w, y * HEIGHT / h


def test_the_tracks_of_a_plane_give_the_plane() -> None:
    found = standing_inverse_depth(pictures(), tracks_on(plane))
    x, y = pixels()
    inner = np.s_[:, 8:-8, 8:-8]
    assert np.abs(found / plane(x, y) - 1)[inner].max() < 1e-3


def test_a_step_lies_on_the_edge_of_colour() -> None:
    found = standing_inverse_depth(pictures(edge=70), tracks_on(step, 60))
    x, y = pixels()
    clear = np.abs(x - 70) > 1
    assert np.abs(found / step(x, y) - 1)[:, clear].max() < 0.01


def test_other_units_give_the_same_map_in_those_units() -> None:
    tracks = tracks_on(step)
    large = replace(tracks, inverse=tracks.inverse / 7, camera=camera())
    one, other = (standing_inverse_depth(pictures(edge=70), each) for each in (tracks, large))
    assert np.allclose(one / 7, other, rtol=1e-4)


def test_a_seed_that_disagrees_changes_nothing() -> None:
    tracks = tracks_on(plane)
    wrong = tracks.inverse.copy()
    wrong[:, 17] *= 3
    found = standing_inverse_depth(pictures(), replace(tracks, inverse=wrong))
    assert np.abs(found / standing_inverse_depth(pictures(), tracks) - 1).max() < 0.02


def test_what_moves_lends_no_depth() -> None:
    tracks = tracks_on(plane)
    moving = np.arange(SEEDS) % 5 == 0
    near = np.where(moving, 5.0, tracks.inverse)
    found = standing_inverse_depth(pictures(), replace(tracks, inverse=near.astype(np.float32), moving=moving))
    assert found.max() < 1


def test_no_standing_track_is_refused() -> None:
    tracks = tracks_on(plane)
    with pytest.raises(Track2ViewError, match="standing track"):
        standing_inverse_depth(pictures(), replace(tracks, moving=np.ones(SEEDS, bool)))
