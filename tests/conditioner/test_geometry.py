"""From cameras to cells: a camera that steps aside moves every feature by the cells it should."""

import pytest
import torch

from track2view_core.cameras import CameraPath
from track2view_core.conditioner import sample_along_tracks, scatter_to_grid
from track2view_core.conditioner.gather_scatter import warp_latents
from track2view_core.tracks import PointTracks, collate_tracks, pair_tracks

WIDTH, HEIGHT, FOCAL, DEPTH, FRAMES = 96, 64, 64.0, 2.0, 5  # 5 video frames, 2 latent ones


def camera(offset=(0.0, 0.0)):
    """Still, moved in its image plane."""
    pose = torch.eye(4, dtype=torch.float64).repeat(FRAMES, 1, 1)
    pose[:, 0, 3], pose[:, 1, 3] = offset
    lens = torch.tensor([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]], dtype=torch.float64)
    return CameraPath(pose, lens.repeat(FRAMES, 1, 1), WIDTH, HEIGHT)


def wall(cell):
    """A wall seen at the centre of every cell of `cell` px."""
    y, x = torch.meshgrid(torch.arange(HEIGHT // cell), torch.arange(WIDTH // cell), indexing="ij")
    pixel = (torch.stack([x, y], -1).reshape(-1, 2) + 0.5) * cell
    ray = (pixel - torch.tensor([WIDTH / 2, HEIGHT / 2])) / FOCAL
    points = DEPTH * torch.cat([ray, torch.ones(len(ray), 1)], 1)
    seen = torch.ones(FRAMES, len(points), dtype=torch.bool)
    return PointTracks(points.expand(FRAMES, -1, -1), seen, seen.float(), camera())


@pytest.mark.parametrize(("right", "down"), [(1, 0), (-2, 0), (0, 1), (2, -1), (0, 0)])
@pytest.mark.parametrize("cell", [16, 8])
def test_features_move_against_the_camera(right, down, cell):
    step = cell * DEPTH / FOCAL  # world units that shift the wall by one cell
    batch = collate_tracks([pair_tracks(wall(cell), camera((right * step, down * step)))])
    rows, columns = HEIGHT // cell, WIDTH // cell
    grid = torch.randn(1, 3, 2, rows, columns)
    expected, reached = torch.zeros_like(grid), torch.zeros(1, 1, 2, rows, columns)
    for i in range(rows):
        for j in range(columns):
            if 0 <= i + down < rows and 0 <= j + right < columns:
                expected[..., i, j], reached[..., i, j] = grid[..., i + down, j + right], 1
    if cell == 16:
        values = sample_along_tracks(grid, batch.source_xy, batch.image_size)
        place = (batch.target_xy, batch.target_depth, batch.target_inside)
        mean, coverage = scatter_to_grid(values, *place, (rows, columns), batch.image_size)
    else:
        valid = batch.visible & batch.source_inside
        mean, coverage = warp_latents(grid, batch, valid, beta=10.0, norm="mean_coverage").split([3, 1], 1)
    torch.testing.assert_close(coverage, reached, atol=1e-5, rtol=0)
    torch.testing.assert_close(mean * reached, expected, atol=1e-5, rtol=0)
