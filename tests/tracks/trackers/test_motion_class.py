"""What the camera does, told from followed points alone."""

from __future__ import annotations

import numpy as np
import pytest

from track2view_core.tracks.trackers.flow import PixelTracks
from track2view_core.tracks.trackers.motion_class import classify


@pytest.mark.parametrize("motion", ["static", "rotation", "general"])
def test_the_motion_class_is_read_off_the_points(motion: str):
    random = np.random.default_rng(0)
    points = random.uniform([-2, -1.2, 3], [2, 1.2, 9], (300, 3))
    frames = []
    for t in np.linspace(0, 1, 10):
        angle, shift = (0.2 * t, 0.0) if motion == "rotation" else (0.0, 0.8 * t)
        turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
        local = points @ turn.T + ([0, 0, 0] if motion == "static" else [shift, 0, 0])
        frames.append(400 * local[:, :2] / local[:, 2:] + [320, 200])
    xy = np.stack(frames)
    xy[:, :60] += 20 * np.arange(10)[:, None, None]  # movers
    assert classify(PixelTracks(xy, np.ones(xy.shape[:2], bool)), 640, 400).motion == motion


def test_a_standing_camera_is_known_by_the_background_between_large_movers():
    random = np.random.default_rng(0)
    xy = np.repeat(random.uniform([0, 0], [640, 400], (1, 300, 2)), 12, 0) + 0.05 * random.standard_normal((12, 300, 2))
    xy[:, 45:] += np.arange(12)[:, None, None] * random.uniform(2, 5, (255, 2))
    seen = np.ones((12, 300), bool)
    assert classify(PixelTracks(xy, seen), 640, 400).motion == "static"
    logo = xy.copy()
    logo[:, :45] = 0.1 * logo[:, :45] + [580, 10]  # what stands in a corner is no background
    assert classify(PixelTracks(logo, seen), 640, 400).motion == "general"
