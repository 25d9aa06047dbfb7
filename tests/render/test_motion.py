"""What moves is found against a camera that moves, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from track2view_core.cameras import CameraPath
from track2view_core.render import motion
from track2view_core.render.motion import moving_probability
from track2view_core.render.source_tracks import SourceTracks

FRAMES, HEIGHT, WIDTH, FOCAL = 9, 192, 256, 160.0
WALL, STEP = 4.0, 0.1
"""Distance of the wall, and how far the camera moves right a frame: FOCAL * STEP / WALL = 4 px."""
SQUARE, SPEED = 96, 3
"""Side of the thing that moves and its pixels a frame, to the right."""


def texture(height: int, width: int, seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).uniform(0, 255, (height // 4, width // 4, 3))
    fine = np.kron(coarse, np.ones((4, 4, 1)))
    return sum(np.roll(fine, (i, j), (0, 1)) for i in range(3) for j in range(3)) / 9


def clip(moves: bool) -> tuple[np.ndarray, np.ndarray]:
    """A wall that a camera passes at 4 px a frame, and a square before it that goes the other way."""
    wall, thing = texture(HEIGHT, WIDTH + 64, 1), texture(SQUARE, SQUARE, 2)
    video, mask = np.zeros((FRAMES, HEIGHT, WIDTH, 3), np.uint8), np.zeros((FRAMES, HEIGHT, WIDTH), bool)
    for t in range(FRAMES):
        video[t] = wall[:, 4 * t : 4 * t + WIDTH]
        if moves:
            left = 60 + SPEED * t
            video[t, 40 : 40 + SQUARE, left : left + SQUARE] = thing
            mask[t, 40 : 40 + SQUARE, left : left + SQUARE] = True
    return video, mask


def tracks(unit: float = 1.0) -> SourceTracks:
    """Points of the wall, and none of what moves."""
    poses = torch.eye(4, dtype=torch.float64).repeat(FRAMES, 1, 1)
    poses[:, 0, 3] = STEP * unit * torch.arange(FRAMES)
    lens = torch.tensor([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]], dtype=torch.float64)
    camera = CameraPath(poses, lens.repeat(FRAMES, 1, 1), WIDTH, HEIGHT)
    column, row = np.meshgrid(np.arange(8.5, WIDTH, 16), [6.5, 30.5, 160.5, 184.5])
    start = np.stack([column.ravel(), row.ravel()], -1).astype(np.float32)
    xy = start - np.array([4, 0], np.float32) * np.arange(FRAMES, dtype=np.float32)[:, None, None]
    seen = xy[..., 0] > 0
    return SourceTracks(xy, np.full(seen.shape, 1 / WALL / unit, np.float32), seen, np.zeros(len(start), bool), camera)


def wall(unit: float = 1.0) -> np.ndarray:
    return np.full((FRAMES, HEIGHT // 4, WIDTH // 4), 1 / WALL / unit, np.float32)


def overlap(probability: np.ndarray, mask: np.ndarray) -> float:
    """Intersection over union of the middle frames."""
    found, true = probability > 0.5, mask[:, ::2, ::2]
    return float((found & true).sum() / (found | true).sum())


def test_a_square_that_moves_is_found_before_a_camera_that_moves() -> None:
    video, mask = clip(moves=True)
    assert overlap(moving_probability(video, tracks(), wall()).probability, mask) > 0.9


def test_nothing_moves_where_everything_stands() -> None:
    assert (moving_probability(clip(moves=False)[0], tracks(), wall()).probability > 0.5).mean() == 0


def test_a_camera_that_goes_the_other_way_explains_nothing() -> None:
    video, given = clip(moves=False)[0], tracks()
    poses = given.camera.world_from_camera.clone()
    poses[:, 0, 3] *= -1
    other = replace(given, camera=replace(given.camera, world_from_camera=poses))
    assert motion.LEAST_MISS * 2 < moving_probability(video, other, wall()).noise


@pytest.mark.parametrize("unit", [1e-3, 50.0])
def test_the_unit_of_length_does_not_matter(unit: float) -> None:
    video = clip(moves=True)[0]
    expected = moving_probability(video, tracks(), wall()).probability
    np.testing.assert_allclose(moving_probability(video, tracks(unit), wall(unit)).probability, expected, atol=1e-3)


def shades(*steps: tuple[int, float]) -> tuple[np.ndarray, np.ndarray]:
    """Discs in one another, each of a radius (px) and so much lighter (CIELAB) than the ground: the picture, and the
    distance of its pixels from the middle."""
    row, column = np.mgrid[:100, :100]
    away = np.hypot(row - 50, column - 50)
    lab = np.full((100, 100, 3), (50, 5, 20), np.float32)
    for radius, lighter in steps:
        lab[away <= radius, 0] = 50 + lighter
    return (cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * 255).round().astype(np.uint8), away


def test_a_mover_of_much_the_colour_of_what_is_behind_it_is_cut_out_whole() -> None:
    picture, away = shades((10, 13))
    said = np.stack([away <= 10, 3.5 * (away > 10)], -1).astype(np.float32)
    assert np.array_equal(motion._likely(said, picture) > 0.5, away <= 10)


def test_what_is_said_of_a_part_goes_over_its_shades_and_no_farther() -> None:
    picture, away = shades((12, 30), (5, 40))
    said = np.stack([away <= 5, 3.5 * (away > 12)], -1).astype(np.float32)
    assert np.array_equal(motion._likely(said, picture) > 0.5, away <= 12)
