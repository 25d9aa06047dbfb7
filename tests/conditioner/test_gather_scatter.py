"""Sampling and scattering against loops that read and write the grid by hand, and features that move with a camera."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from track2view_core.cameras import CameraPath
from track2view_core.conditioner import sample_along_tracks, scatter_to_grid
from track2view_core.conditioner.gather_scatter import warp_latents
from track2view_core.errors import Track2ViewError
from track2view_core.tracks import PointTracks, collate_tracks, pair_tracks


def sample_by_hand(tokens, xy, image_size):
    """Four cells a point, weighted by hand, coordinates held within the outermost centres."""
    batch, dim, frames, rows, columns = tokens.shape
    tracks = xy.shape[2]
    out = torch.zeros(batch, frames, tracks, dim, dtype=torch.float64)
    for b in range(batch):
        for f in range(frames):
            for n in range(tracks):
                x, y = xy[b, f, n].tolist()
                u = min(max(x * columns / image_size[1] - 0.5, 0), columns - 1)
                v = min(max(y * rows / image_size[0] - 0.5, 0), rows - 1)
                for i in (math.floor(v), math.floor(v) + 1):
                    for j in (math.floor(u), math.floor(u) + 1):
                        weight = (1 - abs(v - i)) * (1 - abs(u - j))
                        if weight > 0:
                            out[b, f, n] += weight * tokens[b, :, f, i, j].double()
    return out


def centres(rows, columns, cell, count, frames):
    """The pixel of every cell's centre, `[count, frames, rows * columns, 2]`."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    xy = (torch.stack([x, y], -1).reshape(-1, 2) + 0.5) * cell
    return xy.double().expand(count, frames, -1, -1)


def wild_xy(generator, count, frames, tracks, image_size):
    """Points everywhere: spread, on all borders and corners, outside, coincident."""
    height, width = image_size
    xy = (torch.rand(count, frames, tracks, 2, generator=generator, dtype=torch.float64) * 1.6 - 0.3) * torch.tensor(
        [width, height]
    )
    special = [[0, 0], [width, height], [width, 0], [8, 8], [16, 16], [width - 8, height - 8], [-500, 3], [7, 4000]]
    xy[:, :, : len(special)] = torch.tensor(special, dtype=torch.float64)
    xy[:, :, -1] = xy[:, :, -2]
    return xy


@pytest.mark.parametrize(
    ("grid", "image"), [((3, 4), (48, 64)), ((1, 5), (16, 80)), ((1, 1), (16, 16)), ((6, 8), (48, 64))]
)
def test_sampling_matches_the_loop(grid, image):
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randn(2, 3, 2, *grid, generator=generator, dtype=torch.float64)
    xy = wild_xy(generator, 2, 2, 24, image)
    expected = sample_by_hand(tokens, xy, image)
    torch.testing.assert_close(sample_along_tracks(tokens, xy, image), expected, atol=1e-10, rtol=0)
    single = sample_along_tracks(tokens.float(), xy.float(), image)
    torch.testing.assert_close(single.double(), expected, atol=1e-5, rtol=0)


def test_sampling_is_exact_on_centres():
    tokens = torch.randn(2, 5, 3, 4, 6)
    sampled = sample_along_tracks(tokens, centres(4, 6, 16, 2, 3).float(), (64, 96))
    torch.testing.assert_close(sampled, tokens.flatten(3).permute(0, 2, 3, 1), atol=1e-5, rtol=0)


def test_half_precision_tokens_are_read_at_full_precision_places():
    """In bfloat16 a coordinate near 800 px would be rounded to 4 px."""
    tokens = torch.randn(1, 4, 1, 30, 52).bfloat16()
    xy = torch.rand(1, 1, 50, 2) * torch.tensor([832, 480])
    sampled = sample_along_tracks(tokens, xy, (480, 832))
    assert sampled.dtype == torch.bfloat16
    expected = sample_by_hand(tokens.double(), xy.double(), (480, 832))
    torch.testing.assert_close(sampled.double(), expected, atol=0, rtol=2**-8)


def test_the_gradient_of_sampling():
    generator = torch.Generator().manual_seed(2)
    tokens = torch.randn(1, 2, 2, 3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    xy = wild_xy(generator, 1, 2, 12, (48, 64))
    assert torch.autograd.gradcheck(lambda x: sample_along_tracks(x, xy, (48, 64)), tokens)


def test_sampling_at_places_that_are_no_place_stay_finite():
    tokens = torch.randn(1, 2, 1, 3, 4, requires_grad=True)
    xy = torch.tensor([[torch.nan, 3.0], [torch.inf, -torch.inf], [1e30, -1e30]])[None, None]
    sampled = sample_along_tracks(tokens, xy, (48, 64))
    sampled.sum().backward()
    assert sampled.isfinite().all()
    assert tokens.grad.isfinite().all()


def test_sampling_no_tracks():
    tokens = torch.randn(2, 3, 4, 5, 6, requires_grad=True)
    sampled = sample_along_tracks(tokens, torch.zeros(2, 4, 0, 2), (80, 96))
    assert sampled.shape == (2, 4, 0, 3)
    sampled.sum().backward()
    assert (tokens.grad == 0).all()


@pytest.mark.parametrize("shape", [(2, 4, 7, 3), (2, 5, 7, 2), (1, 4, 7, 2), (4, 7, 2)])
def test_sampling_of_shapes_that_do_not_belong_together_are_refused(shape):
    with pytest.raises(Track2ViewError, match="to sample"):
        sample_along_tracks(torch.zeros(2, 3, 4, 5, 6), torch.zeros(shape), (80, 96))


IMAGE = (48, 64)
GRID = (3, 4)


def scatter_by_hand(values, xy, depth, inside, grid_size, image_size, beta=10.0, norm="mean_coverage"):
    """One cell after the other: weights of all points, nearest depth, soft z-buffer, mean and coverage."""
    batch, frames, tracks, dim = values.shape
    rows, columns = grid_size
    mean = torch.zeros(batch, dim, frames, rows, columns, dtype=torch.float64)
    coverage = torch.zeros(batch, 1, frames, rows, columns, dtype=torch.float64)
    for b in range(batch):
        for f in range(frames):
            points = [n for n in range(tracks) if inside[b, f, n]]
            for i in range(rows):
                for j in range(columns):
                    weights = {}
                    for n in points:
                        u = min(max(xy[b, f, n, 0].item() * columns / image_size[1] - 0.5, 0), columns - 1)
                        v = min(max(xy[b, f, n, 1].item() * rows / image_size[0] - 0.5, 0), rows - 1)
                        weights[n] = max(0, 1 - abs(u - j)) * max(0, 1 - abs(v - i))
                    near = [depth[b, f, n].item() for n in points if weights[n] >= 0.25]
                    total = 0.0
                    for n in points:
                        hidden = min(1.0, math.exp(-beta * (depth[b, f, n].item() / min(near) - 1))) if near else 1.0
                        total += weights[n] * hidden
                        mean[b, :, f, i, j] += weights[n] * hidden * values[b, f, n].double()
                    mean[b, :, f, i, j] /= max(1e-6, total) if norm == "mean_coverage" else max(1.0, total)
                    coverage[b, 0, f, i, j] = min(1.0, total)
    return mean, coverage


def wild_points(seed, count=2, frames=2, tracks=30, dim=3, image_size=IMAGE):
    """Points spread, on borders and corners, between cells, outside and said to be inside, behind, coincident."""
    generator = torch.Generator().manual_seed(seed)
    height, width = image_size
    shape = (count, frames, tracks)
    xy = torch.rand(*shape, 2, generator=generator, dtype=torch.float64) * torch.tensor([width, height])
    special = [
        [0, 0],
        [width, height],
        [width, 0],
        [8, 8],
        [16, 16],
        [24, 16],
        [width - 8, height - 8],
        [-50, 3],
        [7, 99],
    ]
    xy[:, :, : len(special)] = torch.tensor(special, dtype=torch.float64)
    depth = 0.5 + 3 * torch.rand(shape, generator=generator, dtype=torch.float64)
    xy[:, :, -4:-1] = xy[:, :, -1:]  # four points at one place
    depth[:, :, -3:-1] = depth[:, :, -1:]  # three of them at one depth
    inside = torch.rand(shape, generator=generator) < 0.7
    behind = ~inside & (torch.rand(shape, generator=generator) < 0.5)
    depth[behind] = -depth[behind]
    xy[behind] = torch.nan
    values = torch.randn(*shape, dim, generator=generator, dtype=torch.float64)
    return values, xy, depth, inside


@pytest.mark.parametrize("norm", ["mean_coverage", "max1"])
@pytest.mark.parametrize("beta", [0.0, 10.0, 300.0])
@pytest.mark.parametrize(
    ("grid", "image"), [((3, 4), (48, 64)), ((6, 8), (48, 64)), ((1, 5), (16, 80)), ((1, 1), (16, 16))]
)
def test_scattering_matches_the_loops(grid, image, beta, norm):
    points = wild_points(3, image_size=image)
    mean, coverage = scatter_to_grid(*points, grid, image, beta=beta, norm=norm)
    expected_mean, expected_coverage = scatter_by_hand(*points, grid, image, beta, norm)
    torch.testing.assert_close(mean, expected_mean, atol=1e-9, rtol=0)
    torch.testing.assert_close(coverage, expected_coverage, atol=1e-9, rtol=0)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 9), st.sampled_from([0.0, 10.0]))
def test_matches_the_loops_on_few_points(seed, tracks, beta):
    points = tuple(part[:, :, :tracks] for part in wild_points(seed, count=1))
    mean, coverage = scatter_to_grid(*points, GRID, IMAGE, beta=beta)
    expected = scatter_by_hand(*points, GRID, IMAGE, beta)
    torch.testing.assert_close((mean, coverage), expected, atol=1e-9, rtol=0)


def test_single_precision_is_near_the_loops():
    values, xy, depth, inside = wild_points(4)
    mean, coverage = scatter_to_grid(values.float(), xy.float(), depth.float(), inside, GRID, IMAGE)
    expected = scatter_by_hand(values, xy, depth, inside, GRID, IMAGE)
    torch.testing.assert_close((mean.double(), coverage.double()), expected, atol=1e-5, rtol=0)


def test_half_precision_values_are_weighed_in_single_precision():
    values, xy, depth, inside = wild_points(5)
    mean, coverage = scatter_to_grid(values.bfloat16(), xy.float(), depth.float(), inside, GRID, IMAGE)
    assert mean.dtype == torch.bfloat16
    assert coverage.dtype == torch.float32
    expected = scatter_by_hand(values.bfloat16(), xy, depth, inside, GRID, IMAGE)
    torch.testing.assert_close(mean.double(), expected[0], atol=1e-5, rtol=2**-8)
    torch.testing.assert_close(coverage.double(), expected[1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_undoes_sampling_on_centres(dtype):
    generator = torch.Generator().manual_seed(7)
    tokens = torch.randn(2, 5, 3, 30, 52, generator=generator, dtype=dtype)
    y, x = torch.meshgrid(torch.arange(30), torch.arange(52), indexing="ij")
    xy = ((torch.stack([x, y], -1).reshape(-1, 2) + 0.5) * 16).to(dtype).expand(2, 3, -1, -1)
    values = sample_along_tracks(tokens, xy, (480, 832))
    depth = 1 + torch.rand(2, 3, 30 * 52, generator=generator, dtype=dtype)
    mean, coverage = scatter_to_grid(values, xy, depth, torch.ones_like(depth, dtype=torch.bool), (30, 52), (480, 832))
    torch.testing.assert_close(mean, tokens, atol=3e-5, rtol=0)  # places are exact to 1e-6 of a cell in float32
    torch.testing.assert_close(coverage, torch.ones_like(coverage), atol=1e-5, rtol=0)


@pytest.mark.parametrize("norm", ["mean_coverage", "max1"])
def test_the_gradient_of_scattering(norm):
    values, *place = wild_points(6, count=1, tracks=14)
    values.requires_grad_()
    assert torch.autograd.gradcheck(lambda v: scatter_to_grid(v, *place, GRID, IMAGE, norm=norm)[0], values)


def test_a_point_behind_a_surface_does_not_leak_through():
    xy = torch.full((1, 1, 2, 2), 24.0)  # both on the centre of cell (1, 1)
    depth = torch.tensor([[[1.0, 3.0]]])
    values = torch.tensor([[[[1.0], [100.0]]]])
    mean, _ = scatter_to_grid(values, xy, depth, torch.ones(1, 1, 2, dtype=torch.bool), GRID, IMAGE)
    assert mean[0, 0, 0, 1, 1].item() == pytest.approx(1.0, abs=1e-4)


def test_a_grazing_near_corner_does_not_hide_the_surface():
    """The near point's share of cell (1, 1) is 0.0625 < 0.25: it may add to the cell, not clear it."""
    xy = torch.tensor([[[[24.0, 24.0], [36.0, 36.0]]]])
    depth = torch.tensor([[[3.0, 1.0]]])
    values = torch.tensor([[[[1.0], [0.0]]]])
    mean, coverage = scatter_to_grid(values, xy, depth, torch.ones(1, 1, 2, dtype=torch.bool), GRID, IMAGE)
    assert mean[0, 0, 0, 1, 1].item() == pytest.approx(1 / 1.0625, abs=1e-5)
    assert coverage[0, 0, 0, 1, 1] == 1


def test_borders_lose_nothing():
    """The shares of one point add up to 1 wherever it lies."""
    xy = wild_points(7, tracks=30)[1].nan_to_num(nan=11.0).reshape(120, 1, 1, 2)
    one = torch.ones(120, 1, 1, dtype=torch.float64)
    _, coverage = scatter_to_grid(one[..., None], xy, one, one.bool(), GRID, IMAGE)
    torch.testing.assert_close(coverage.sum((1, 2, 3, 4)), torch.ones(120, dtype=torch.float64))


def test_a_constant_stays_constant_where_anything_reaches():
    values, *place = wild_points(8)
    mean, coverage = scatter_to_grid(torch.ones_like(values), *place, GRID, IMAGE)
    reached = (coverage > 1e-5).expand_as(mean)
    torch.testing.assert_close(mean[reached], torch.ones_like(mean[reached]))
    assert (mean[(coverage == 0).expand_as(mean)] == 0).all()


def test_the_order_of_tracks_does_not_matter():
    values, xy, depth, inside = wild_points(9)
    order = torch.randperm(values.shape[2], generator=torch.Generator().manual_seed(0))
    straight = scatter_to_grid(values, xy, depth, inside, GRID, IMAGE)
    shuffled = scatter_to_grid(*(part[:, :, order] for part in (values, xy, depth, inside)), GRID, IMAGE)
    torch.testing.assert_close(tuple(straight), tuple(shuffled), atol=1e-12, rtol=0)


def test_frames_and_clips_are_independent():
    values, xy, depth, inside = wild_points(10)
    whole = scatter_to_grid(values, xy, depth, inside, GRID, IMAGE)
    part = scatter_to_grid(values[1:, 1:], xy[1:, 1:], depth[1:, 1:], inside[1:, 1:], GRID, IMAGE)
    assert torch.equal(whole.mean[1:, :, 1:], part.mean)
    assert torch.equal(whole.coverage[1:, :, 1:], part.coverage)


def test_points_that_are_not_inside_contribute_exactly_nothing():
    values, xy, depth, inside = wild_points(11)
    before = scatter_to_grid(values, xy, depth, inside, GRID, IMAGE)
    xy, depth, values = xy.clone(), depth.clone(), values.clone()
    xy[~inside], depth[~inside], values[~inside] = torch.inf, torch.nan, 1e6
    after = scatter_to_grid(values, xy, depth, inside, GRID, IMAGE)
    assert torch.equal(before.mean, after.mean)
    assert torch.equal(before.coverage, after.coverage)


@pytest.mark.parametrize("tracks", [0, 5])
def test_nothing_inside_gives_zeros_and_a_zero_gradient(tracks):
    values = torch.randn(2, 3, tracks, 4, requires_grad=True)
    nowhere = torch.full((2, 3, tracks, 2), torch.nan)
    mean, coverage = scatter_to_grid(
        values, nowhere, torch.zeros(2, 3, tracks), torch.zeros(2, 3, tracks, dtype=torch.bool), GRID, IMAGE
    )
    assert mean.shape == (2, 4, 3, *GRID)
    assert coverage.shape == (2, 1, 3, *GRID)
    assert (mean == 0).all()
    assert (coverage == 0).all()
    mean.sum().backward()
    assert (values.grad == 0).all()


def test_extreme_depths_stay_finite():
    xy = torch.full((1, 1, 4, 2), 24.0)
    depth = torch.tensor([[[1e-38, 1e38, 1e-6, 5.0]]])
    mean, _ = scatter_to_grid(torch.randn(1, 1, 4, 2), xy, depth, torch.ones(1, 1, 4, dtype=torch.bool), GRID, IMAGE)
    assert mean.isfinite().all()


def test_scattering_of_wrong_input_is_refused_by_name():
    values, xy, depth, inside = wild_points(12)
    with pytest.raises(Track2ViewError, match="depth"):
        scatter_to_grid(values, xy, depth[:, :, 1:], inside, GRID, IMAGE)
    with pytest.raises(Track2ViewError, match="xy"):
        scatter_to_grid(values, xy[..., :1], depth, inside, GRID, IMAGE)
    with pytest.raises(Track2ViewError, match="bool"):
        scatter_to_grid(values, xy, depth, inside.float(), GRID, IMAGE)
    with pytest.raises(Track2ViewError, match="'mean_coverage' or 'max1'"):
        scatter_to_grid(values, xy, depth, inside, GRID, IMAGE, norm="sum")


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
