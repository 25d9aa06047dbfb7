"""A small map at full size: slopes stay slopes, steps stay steps and lie on the picture's edges."""

from __future__ import annotations

import torch

from track2view_core.render.upsampling import upsampled

HEIGHT, WIDTH, SMALL = 96, 160, 4


def test_a_slope_is_interpolated() -> None:
    y, x = torch.meshgrid(torch.arange(HEIGHT // SMALL) + 0.5, torch.arange(WIDTH // SMALL) + 0.5, indexing="ij")
    small = 0.2 + 0.004 * x + 0.002 * y
    large = upsampled(small, torch.full((HEIGHT, WIDTH, 3), 90, dtype=torch.uint8))
    y, x = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
    expected = 0.2 + (0.004 * x + 0.002 * y) / SMALL
    assert (large - expected)[SMALL:-SMALL, SMALL:-SMALL].abs().max() < 1e-6


def test_a_step_lies_on_the_edge_of_colour_and_nothing_lies_between() -> None:
    edge = 73  # within a pixel of the map, nearer to its left border
    picture = torch.full((HEIGHT, WIDTH, 3), 60, dtype=torch.uint8)
    picture[:, :edge] = 180
    small = torch.full((HEIGHT // SMALL, WIDTH // SMALL), 0.2)
    small[:, : edge // SMALL] = 0.5
    large = upsampled(small, picture)
    assert ((large - 0.2).abs() < 1e-6).logical_or((large - 0.5).abs() < 1e-6).all()
    assert ((large > 0.35) == (torch.arange(WIDTH) < edge)).all()


def test_a_map_of_the_pictures_size_is_itself() -> None:
    smooth = torch.linspace(0.2, 0.4, WIDTH).expand(HEIGHT, -1)
    same = upsampled(smooth, torch.zeros(HEIGHT, WIDTH, 3, dtype=torch.uint8))
    assert torch.allclose(same, smooth)
