"""sample_along_tracks against a loop that reads the grid by hand."""

import math

import pytest
import torch

from track2view_core.conditioner import sample_along_tracks
from track2view_core.errors import Track2ViewError


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
def test_matches_the_loop(grid, image):
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randn(2, 3, 2, *grid, generator=generator, dtype=torch.float64)
    xy = wild_xy(generator, 2, 2, 24, image)
    expected = sample_by_hand(tokens, xy, image)
    torch.testing.assert_close(sample_along_tracks(tokens, xy, image), expected, atol=1e-10, rtol=0)
    single = sample_along_tracks(tokens.float(), xy.float(), image)
    torch.testing.assert_close(single.double(), expected, atol=1e-5, rtol=0)


def test_is_exact_on_centres():
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


def test_gradient():
    generator = torch.Generator().manual_seed(2)
    tokens = torch.randn(1, 2, 2, 3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    xy = wild_xy(generator, 1, 2, 12, (48, 64))
    assert torch.autograd.gradcheck(lambda x: sample_along_tracks(x, xy, (48, 64)), tokens)


def test_places_that_are_no_place_stay_finite():
    tokens = torch.randn(1, 2, 1, 3, 4, requires_grad=True)
    xy = torch.tensor([[torch.nan, 3.0], [torch.inf, -torch.inf], [1e30, -1e30]])[None, None]
    sampled = sample_along_tracks(tokens, xy, (48, 64))
    sampled.sum().backward()
    assert sampled.isfinite().all()
    assert tokens.grad.isfinite().all()


def test_no_tracks():
    tokens = torch.randn(2, 3, 4, 5, 6, requires_grad=True)
    sampled = sample_along_tracks(tokens, torch.zeros(2, 4, 0, 2), (80, 96))
    assert sampled.shape == (2, 4, 0, 3)
    sampled.sum().backward()
    assert (tokens.grad == 0).all()


@pytest.mark.parametrize("shape", [(2, 4, 7, 3), (2, 5, 7, 2), (1, 4, 7, 2), (4, 7, 2)])
def test_shapes_that_do_not_belong_together_are_refused(shape):
    with pytest.raises(Track2ViewError, match="to sample"):
        sample_along_tracks(torch.zeros(2, 3, 4, 5, 6), torch.zeros(shape), (80, 96))
