"""Shots put together: which tracks are handed out, and in which frames they are seen."""

from __future__ import annotations

import numpy as np

from track2view_core.tracks.trackers.assembly import spread_over_picture, standing_points_seen


def test_the_choice_is_spread_over_picture_and_time():
    random = np.random.default_rng(0)
    xy = np.repeat(np.concatenate([random.uniform(0, 20, (500, 2)), random.uniform(0, 200, (100, 2))])[None], 20, 0)
    seen = np.ones((20, 600), bool)
    seen[:15, 560:] = False
    chosen = spread_over_picture(xy, seen, np.ones(600), 100, 200, 200)
    assert len(chosen) == 100 and (np.diff(chosen) > 0).all()
    assert (chosen >= 500).sum() > 60 and (chosen >= 560).sum() > 20
    assert len(spread_over_picture(xy, seen, np.ones(600), 1000, 200, 200)) == 600


def test_a_point_behind_others_or_of_another_colour_is_hidden():
    video = np.full((2, 100, 100, 3), 100, np.uint8)
    video[1, :, 60:] = 200
    xy = np.array([[50.0, 50], [52, 50], [50, 52], [51, 51], [51, 49], [80, 50]])
    depth = np.array([2.0, 2, 2, 2, 5, 2])
    followed = np.zeros((2, 6), bool)
    followed[:, :3] = True
    visible = standing_points_seen(
        video,
        np.stack([xy, xy]),
        np.stack([depth, depth]),
        np.ones((2, 6), bool),
        followed,
        np.zeros(6, bool),
        np.full((6, 3), 100.0),
    )
    assert visible[1].tolist() == [True, True, True, True, False, False]
