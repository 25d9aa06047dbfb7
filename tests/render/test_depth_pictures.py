"""Depth as pictures: what reads them back finds the same distances, and movers stand before what they hide."""

from __future__ import annotations

import pytest
import torch

from track2view_core.cameras import CameraPath
from track2view_core.render.depth_pictures import near_is_bright, source_depth
from track2view_core.render.geometry import ClipGeometry
from track2view_core.tracks.model_geometry import geometry_from_pictures


def test_the_pictures_are_read_back_as_the_distances_they_were_made_of():
    depth = 2 + 6 * torch.rand(3, 40, 50, generator=torch.Generator().manual_seed(1))
    made = near_is_bright(1 / depth)
    assert made.near is not None and made.far is not None and 2 <= made.near < 2.02 and 7.9 < made.far <= 8
    back = geometry_from_pictures(made.pictures, "near is bright, metric", near=made.near, far=made.far).depth
    within = (depth > made.near) & (depth < made.far)
    assert within.float().mean() > 0.99
    torch.testing.assert_close(back[within], depth[within], rtol=1e-4, atol=0)
    (note,) = made.notes
    assert note.facts["near"] == pytest.approx(made.near)


def test_a_few_wild_pixels_take_no_contrast_and_unknown_ones_are_black():
    inverse = torch.linspace(0.1, 0.5, 100 * 100).reshape(1, 100, 100)
    inverse[0, 0, :5] = 100.0
    inverse[0, 1] = 0
    made = near_is_bright(inverse)
    assert (made.pictures[0, 1] == 0).all() and (made.pictures[0, 0, :5] == 1).all()
    assert made.pictures[0, 50].mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_a_clip_without_range_gives_pictures_without_nan(value: float):
    made = near_is_bright(torch.full((2, 4, 4), value))
    assert (made.pictures == float(value > 0)).all() and len(made.notes) == (value > 0)


def test_movers_stand_before_what_they_hide_at_the_pictures_size():
    silhouettes = torch.zeros(1, 16, 24, dtype=torch.bool)
    silhouettes[:, 4:12, 6:18] = True
    camera = CameraPath(torch.eye(4)[None], torch.tensor([[[50.0, 0, 24], [0, 50.0, 16], [0, 0, 1]]]), 48, 32)
    geometry = ClipGeometry(torch.full((1, 8, 12), 0.2), silhouettes, 0.5 * silhouettes, camera)
    inverse, movers = source_depth(torch.zeros(1, 32, 48, 3, dtype=torch.uint8), geometry)
    assert torch.equal(movers[0, 8:24, 12:36], torch.ones(16, 24, dtype=torch.bool)) and movers.sum() == 16 * 24
    assert torch.allclose(inverse, torch.where(movers, 0.5, 0.2)), "no pixel lies between the two"
