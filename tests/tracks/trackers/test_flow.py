"""Points followed through pictures: sub-pixel on known motion, no drift under scaling, cuts."""

from __future__ import annotations

import cv2
import numpy as np

from track2view_core.tracks.trackers.flow import Patches, find_again, follow_points


def texture(seed: int = 0, size: int = 420) -> np.ndarray:
    noise = np.random.default_rng(seed).random((size, size)).astype(np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return cv2.normalize(blurred, None, 20, 235, cv2.NORM_MINMAX)


def seen_through(picture: np.ndarray, warp: np.ndarray, width: int = 320, height: int = 240) -> np.ndarray:
    """The picture moved by the 2 x 3 matrix `warp` (continuous pixels, centres at +0.5), as uint8."""
    half = warp[:, :2] @ [0.5, 0.5] + warp[:, 2] - 0.5
    moved = cv2.warpAffine(picture, np.column_stack([warp[:, :2], half]), (width, height), flags=cv2.INTER_CUBIC)
    return moved.clip(0, 255).round().astype(np.uint8)


def test_a_moving_picture_is_followed_to_a_tenth_of_a_pixel():
    warps = [np.array([[1, 0, -40 + 2.3 * t], [0, 1, -40 - 1.7 * t]]) for t in range(12)]
    frames = [seen_through(texture(), w) for w in warps]
    flow = follow_points(lambda t: frames[t], 12, density=300)
    whole = flow.seen[[0, 11]].all(0)
    assert whole.sum() > 100 and not flow.cuts
    way = flow.xy[11, whole] - flow.xy[0, whole]
    assert np.abs(np.median(way, 0) - [2.3 * 11, -1.7 * 11]).max() < 0.1
    assert np.median(np.linalg.norm(way - [2.3 * 11, -1.7 * 11], axis=1)) < 0.1


def test_a_growing_picture_does_not_drift():
    scales = np.linspace(1, 1.5, 15)
    warps = [np.array([[s, 0, 160 - 210 * s], [0, s, 120 - 210 * s]]) for s in scales]
    frames = [seen_through(texture(1), w) for w in warps]
    flow = follow_points(lambda t: frames[t], 15, density=300)
    whole = flow.seen[[0, 14]].all(0)
    expected = (flow.xy[0, whole] - [160, 120]) * 1.5 + [160, 120]
    assert whole.sum() > 50
    assert np.median(np.linalg.norm(flow.xy[14, whole] - expected, axis=1)) < 0.1


def test_a_patch_is_found_again_sheared_and_under_other_light():
    warp = np.array([[1.1, 0.08, -50.0], [-0.05, 0.95, -20.0]])
    before = seen_through(texture(2), np.array([[1, 0, -40.0], [0, 1, -40.0]]))
    after = seen_through(texture(2) * 0.7 + 30, warp)
    start = np.random.default_rng(0).uniform([60, 60], [240, 180], (40, 2))
    expected = (start + 40) @ warp[:, :2].T + warp[:, 2]
    patches = Patches.at(before, start - 0.5)
    unit = np.broadcast_to(np.eye(2), (40, 2, 2))
    found, _, agreement = find_again(after, patches, expected - 0.5 + 0.6, unit)
    assert np.median(np.linalg.norm(found + 0.5 - expected, axis=1)) < 0.1 and np.median(agreement) > 0.97


def test_a_cut_is_found_and_a_flat_clip_has_no_points():
    frames = [texture(t // 4)[:200, :300].astype(np.uint8) for t in range(8)]
    assert follow_points(lambda t: frames[t], 8, density=300).cuts == (4,)
    flat = np.full((100, 100), 128, np.uint8)
    assert follow_points(lambda t: flat, 3, density=300).xy.shape == (3, 0, 2)


def test_a_mover_that_sweeps_over_half_the_picture_is_no_cut():
    back, front = texture(3)[:200, :300].astype(np.uint8), 255 - texture(4)[:200, :300].astype(np.uint8)
    frames = []
    for t in range(8):
        frame = back.copy()
        if t >= 4:
            frame[:, 90:] = front[:, 90:]
        frames.append(frame)
    flow = follow_points(lambda t: frames[t], 8, density=300)
    assert flow.cuts == () and flow.seen.all(0).sum() > 20
