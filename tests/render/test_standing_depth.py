"""Depth of what stands: planes are found, steps lie on colour edges, units are free, one bad seed stays alone."""

from __future__ import annotations

from dataclasses import replace

import cv2
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


def test_pictures_from_aside_tell_which_side_of_a_step_a_pixel_is_on() -> None:
    """A near board before a far wall of the same colours: no edge of colour between them, tracks on both far apart."""
    frames, edge, near, far, travel = 17, 80, 0.5, 0.2, 0.1
    random = np.random.default_rng(3)
    fine = [cv2.GaussianBlur(random.uniform(0, 255, (HEIGHT, 400, 3)), (0, 0), 2) for _ in range(2)]
    wall, board = [np.clip((each - 127) * 6 + 127, 0, 255).astype(np.uint8) for each in fine]
    video = np.zeros((frames, HEIGHT, WIDTH, 3), np.uint8)
    pose = torch.eye(4, dtype=torch.float64).repeat(frames, 1, 1)
    pose[:, 0, 3] = torch.arange(frames) * travel
    path = CameraPath(pose, camera().intrinsics[:1].repeat(frames, 1, 1), WIDTH, HEIGHT)
    shift = 150 * travel * np.arange(frames)
    for t in range(frames):
        for texture, inverse in ((wall, far), (board, near)):
            columns = (np.arange(WIDTH) + shift[t] * inverse).astype(np.float32)
            rows = np.arange(HEIGHT, dtype=np.float32)
            x, y = np.meshgrid(columns, rows)
            seen = cv2.remap(texture, x, y, cv2.INTER_LINEAR)
            video[t] = seen if inverse == far else np.where((x < edge)[..., None], seen, video[t])
    xy = random.uniform([0, 0], [WIDTH, HEIGHT], (60, 2))
    xy = xy[np.abs(xy[:, 0] - edge) > 12]
    inverse = np.where(xy[:, 0] < edge, near, far)
    moved = np.stack([xy - np.stack([shift[t] * inverse, 0 * inverse], -1) for t in range(frames)])
    seen = (moved[..., 0] > 0) & ((inverse == near) | (moved[..., 0] > edge - shift[:, None] * near))
    depth = np.tile(inverse, (frames, 1)).astype(np.float32)
    tracks = SourceTracks(moved.astype(np.float32), depth, seen, np.zeros(len(xy), bool), path)
    found = standing_inverse_depth(video, tracks)
    x, _ = pixels()
    for t in (4, 8):
        true = np.where(x < edge - shift[t] * near, near, far)
        assert (np.abs(found[t] / true - 1) > 0.05).mean() < 0.03


def test_what_stands_goes_on_behind_what_is_known_to_move() -> None:
    """Also where tracks of what moves were taken for standing ones."""
    video, tracks = pictures(), tracks_on(step)
    hidden = np.zeros((FRAMES, HEIGHT, WIDTH), bool)
    hidden[:, 30:60, 90:130] = True
    video[hidden] = (0, 200, 0)
    video[:, :, :70] = (200, 60, 60)
    on_mover = hidden[0][tracks.xy[0, :, 1].astype(int), tracks.xy[0, :, 0].astype(int)]
    called_standing = np.where(on_mover, 0.9, tracks.inverse).astype(np.float32)
    found = standing_inverse_depth(video, replace(tracks, inverse=called_standing), ignored=hidden)
    x, y = pixels()
    behind = (x > 90) & (x < 130) & (y > 30) & (y < 60)
    assert on_mover.sum() >= 3
    assert np.abs(found[:, behind] / 0.2 - 1).max() < 0.01
