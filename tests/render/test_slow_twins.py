"""Each path that was made fast does what the line that says the same plainly does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from track2view_core.cameras import CameraPath
from track2view_core.render import geodesic_planes, silhouettes, warping
from track2view_core.render.filling import _halved, _nearest_good
from track2view_core.render.geodesic_planes import PixelGraph, spread_planes
from track2view_core.render.hole_masks import grown_square
from track2view_core.render.optical_flow import HELD, ClipFlow, carried
from track2view_core.render.plane_sweep import EDGE, EDGE_JUMP, JUMP, SLOPE, _between, cheapest_map, swept_costs
from track2view_core.render.silhouettes import matte
from track2view_core.render.standing_fusion import _middle


@pytest.mark.parametrize("pixels", [1, 2, 5])
def test_masks_grow_as_by_pooling(pixels: int) -> None:
    mask = torch.rand(13, 17, generator=torch.Generator().manual_seed(pixels)) > 0.97
    pooled = F.max_pool2d(mask[None, None].float(), 2 * pixels + 1, stride=1, padding=pixels)[0, 0] > 0
    assert torch.equal(grown_square(mask, pixels), pooled)


@pytest.mark.parametrize("size", [(6, 8), (7, 8), (6, 9), (7, 9), (1, 3)])
def test_halves_are_means_at_odd_sizes_too(size: tuple[int, int]) -> None:
    maps = torch.rand(2, *size, generator=torch.Generator().manual_seed(0))
    pooled = F.avg_pool2d(maps[None], 2, ceil_mode=True, count_include_pad=False)[0]
    assert torch.allclose(_halved(maps), pooled, atol=1e-6)


@pytest.mark.parametrize("reach", [2, 5, 40])
def test_the_nearest_good_cell_is_found(reach: int) -> None:
    good = torch.rand(15, 20, generator=torch.Generator().manual_seed(1)) > 0.95
    row, column = (~good).nonzero(as_tuple=True)
    found_row, found_column = _nearest_good(good, reach, row, column)
    y, x = good.nonzero(as_tuple=True)
    square = (y - row[:, None]) ** 2 + (x - column[:, None]) ** 2
    square = square.masked_fill((y - row[:, None]).abs() > reach, (4 * reach) ** 2)
    least = square.amin(1)
    known = least < (4 * reach) ** 2
    assert torch.equal(found_row >= 0, known) and torch.equal(found_column >= 0, known)
    off = (found_row - row) ** 2 + (found_column - column) ** 2
    assert torch.equal(off[known], least[known]) and good[found_row[known], found_column[known]].all()


@pytest.mark.parametrize("count", [1, 2, 3, 6, 7, 10])
def test_the_middle_of_maps_is_their_median(count: int) -> None:
    maps = np.random.default_rng(count).random((count, 4, 5)).astype(np.float32)
    maps[-1] = maps[0]
    assert np.array_equal(_middle(list(maps)), np.median(maps, 0))


def test_a_flow_that_is_held_is_the_chained_one() -> None:
    frames = HELD
    steps = np.random.default_rng(0).normal(0, 1, (2, frames - 1, 6, 8, 2)).astype(np.float32)
    flow = ClipFlow(steps[0], steps[1])

    def chained(start: int, end: int) -> np.ndarray:
        out = np.zeros((6, 8, 2), np.float32)
        for t in range(start, end):
            out = out + carried(steps[0, t], out)
        for t in range(start, end, -1):
            out = out + carried(steps[1, t - 1], out)
        return out

    for t in (*range(frames - 6), 0, 9):  # again from the start: the first ones are held no more
        for ends in ((t, t), (t, t + 2), (t + 2, t), (t + 6, t), (t, t + 6), (t, t + 5)):
            assert np.array_equal(flow.between(*ends), chained(*ends))
    assert len(flow._held) <= HELD


@pytest.mark.parametrize("corner", [(0, 0), (20, 30), (44, 70)])
def test_a_matte_is_the_same_in_its_own_box(monkeypatch: pytest.MonkeyPatch, corner: tuple[int, int]) -> None:
    picture = torch.randint(0, 255, (96, 150, 3), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    mask = torch.zeros(48, 75, dtype=torch.bool)
    mask[corner[0] : corner[0] + 6, corner[1] : corner[1] + 9] = True
    found = matte(picture, mask)
    monkeypatch.setattr(silhouettes, "_span", lambda used: slice(0, len(used)))
    whole = matte(picture, mask)
    assert torch.allclose(found, whole, atol=1e-4) and whole.max() == 1
    assert not matte(picture, torch.zeros_like(mask)).any()


def test_costs_of_two_sides_are_their_mean_or_the_better_one() -> None:
    pose = torch.eye(4, dtype=torch.float64).repeat(3, 1, 1)
    pose[:, 0, 3] = torch.tensor([-0.1, 0.0, 0.1])
    lens = torch.tensor([[30.0, 0, 20], [0, 30, 15], [0, 0, 1]], dtype=torch.float64).expand(3, 3, 3)
    pictures = np.random.default_rng(5).random((3, 30, 40, 3)).astype(np.float32) * 9
    camera, depths = CameraPath(pose, lens, 40, 30), np.array([0.5, 1.0])
    before, after, both, better = (
        swept_costs(pictures, camera, 1, depths, sides, together, 1.0)
        for sides, together in (([[0]], False), ([[2]], False), ([[0], [2]], True), ([[0], [2]], False))
    )
    seen = (slice(2, -2), slice(6, -6))  # by all frames
    assert np.allclose(both[seen], ((before + after) / 2)[seen], atol=1e-5) and before[seen].mean() > 1
    assert (better[seen] <= np.minimum(before, after)[seen] + 1e-5).all() and (better < both)[seen].mean() > 0.99
    # where the frame before or the frame after ends, the other one alone is asked
    assert np.allclose(both[2:-2, 0], after[2:-2, 0]) or np.allclose(both[2:-2, 0], before[2:-2, 0])


def test_cells_are_the_same_gathered_or_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rough = torch.rand(5, 7, generator=torch.Generator().manual_seed(6)) + 0.3
    inverse = F.interpolate(rough[None, None], (40, 56), mode="bilinear")[0, 0]
    way = warping.Reprojection(torch.eye(3, dtype=torch.float64), torch.tensor([6.0, -2.0, 0.0], dtype=torch.float64))
    valid = torch.ones(40, 56, dtype=torch.bool)
    valid[10:25, 20:40] = False
    found = []
    for few in (0.0, 2.0):
        monkeypatch.setattr(warping, "FEW", few)
        found.append(warping.warped(inverse, way, (40, 56), valid=valid))
    assert all(torch.equal(getattr(found[0], name), getattr(found[1], name)) for name in ("x", "y", "inverse"))
    x, y = (found[0].x[found[0].covered], found[0].y[found[0].covered])
    assert not ((x > 20) & (x < 40) & (y > 10) & (y < 25)).any() and found[0].covered.float().mean() > 0.4


def test_the_cheapest_map_counts_changes_along_four_ways() -> None:
    """Semi-global matching as it is written in the paper, path by path."""
    generator = np.random.default_rng(3)
    costs, depths = generator.random((5, 7, 6)).astype(np.float32), np.geomspace(0.1, 1, 6)
    lab = (20 * generator.random((5, 7, 3))).astype(np.float32)
    total = np.zeros_like(costs)
    for down, right in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        path = np.zeros_like(costs)
        for y in range(5)[:: down or 1]:
            for x in range(7)[:: right or 1]:
                path[y, x] = costs[y, x]
                if not (0 <= y - down < 5 and 0 <= x - right < 7):
                    continue
                before = path[y - down, x - right] - path[y - down, x - right].min()
                step = np.linalg.norm(lab[y, x] - lab[y - down, x - right])
                jump = EDGE_JUMP + (JUMP - EDGE_JUMP) * np.exp(-step / EDGE)
                for d in range(6):
                    near = [before[k] + SLOPE for k in (d - 1, d + 1) if 0 <= k < 6]
                    path[y, x, d] += min(before[d], *near, jump)
        total += path
    assert np.allclose(cheapest_map(costs, lab, depths), _between(total, depths), rtol=1e-4)


def test_neighbours_that_are_looked_for_near_by_are_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(4)
    graph = PixelGraph(30, 40)
    xy = np.concatenate([generator.random((40, 2)) * (10, 30), generator.random((12, 2)) * (40, 30)])  # dense and thin
    inverse = 1 + generator.random(len(xy))
    costs = graph.costs(generator.integers(0, 255, (30, 40, 3), np.uint8))
    found = spread_planes(xy, inverse, costs, graph)[0]
    for cells in (0.5, 1e9):  # next to none is found at first, and all are
        monkeypatch.setattr(geodesic_planes, "FEW_CELLS", cells)
        assert np.array_equal(spread_planes(xy, inverse, costs, graph)[0], found)
