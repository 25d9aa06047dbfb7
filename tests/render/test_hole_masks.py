"""Masks of holes: as core's VACE node reads them, grown in discs, steady in time."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from track2view_core.errors import Track2ViewError
from track2view_core.render.hole_masks import (
    grown,
    latent_holes,
    majority,
    over_latent_frames,
    vace_mask,
    with_edges_cut,
)


@pytest.mark.parametrize("frames", [1, 17, 49, 81, 121])
def test_vace_reads_a_hole_of_any_frame_of_its_latent_frame(frames: int) -> None:
    holes = torch.rand(frames, 5, 7, generator=torch.Generator().manual_seed(frames)) < 0.1
    latent = (frames - 1) // 4 + 1
    # As WanVaceToVideo does: frames are the depth of a volume that is resampled to the latent's length.
    volume = vace_mask(holes).float()[None, None]
    read = F.interpolate(volume, size=(latent, 5, 7), mode="nearest-exact")[0, 0] > 0.5
    for k in range(latent):
        group = holes[:1] if k == 0 else holes[4 * k - 3 : 4 * k + 1]
        assert torch.equal(read[k], group.any(0)), k


def test_frames_that_vace_does_not_read_hold_their_latent_frame() -> None:
    holes = torch.rand(81, 5, 7, generator=torch.Generator().manual_seed(1)) < 0.1
    off = (vace_mask(holes) != over_latent_frames(holes)).flatten(1).any(1)
    read = F.interpolate(torch.arange(81.0)[None, None], 21, mode="nearest-exact")[0, 0].long()
    assert set(off.nonzero().flatten().tolist()) <= set(read.tolist())


def test_a_latent_pixel_is_known_where_all_its_frames_and_pixels_are() -> None:
    holes = torch.zeros(9, 16, 24, dtype=torch.bool)
    for t, row, column in ((0, 7, 8), (2, 15, 23), (8, 0, 0)):
        holes[t, row, column] = True
    assert latent_holes(holes).nonzero().tolist() == [[0, 0, 1], [1, 1, 2], [2, 0, 0]]
    assert not latent_holes(holes, first_frames=True).any()
    holes[5, 8, 16] = True
    assert latent_holes(holes, first_frames=True).nonzero().tolist() == [[2, 1, 2]]
    with pytest.raises(Track2ViewError, match="8 frames of 24 x 16"):
        latent_holes(holes[:8])


def test_vace_takes_4n_plus_1_frames() -> None:
    with pytest.raises(Track2ViewError, match="has 16 frames; VACE takes 4n \\+ 1 of them, as 13"):
        vace_mask(torch.zeros(16, 2, 2, dtype=torch.bool))


@pytest.mark.parametrize("pixels", [0, 1, 3, 40])
def test_a_mask_grows_by_a_disc(pixels: int) -> None:
    mask = torch.rand(2, 23, 31, generator=torch.Generator().manual_seed(2)) < 0.01
    y, x = torch.meshgrid(torch.arange(23), torch.arange(31), indexing="ij")
    truth = torch.stack(
        [
            ((y[..., None] - at[:, 0]) ** 2 + (x[..., None] - at[:, 1]) ** 2 <= pixels**2).any(-1)
            for at in (frame.nonzero() for frame in mask)
        ]
    )
    assert torch.equal(grown(mask, pixels), truth)
    with pytest.raises(Track2ViewError, match="cannot grow by -1 px"):
        grown(mask, -1)


def test_two_of_three_frames_decide() -> None:
    a, b, c = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0, 1, 1], [0, 1, 0, 1, 0, 1, 0, 1]]).bool()
    assert majority(a, b, c).tolist() == [False, False, False, True, False, True, True, True]


def test_edges_of_things_are_cut_and_slopes_are_not() -> None:
    depth = torch.linspace(2, 4, 40).expand(1, 30, 40).clone()  # a slope
    depth[:, 10:20, 10:20] = 1.0
    none = torch.zeros(1, 30, 40, dtype=torch.bool)
    assert torch.equal(with_edges_cut(none, depth, 0), none)
    one = with_edges_cut(none, depth, 1)[0]
    ring = torch.zeros(30, 40, dtype=torch.bool)
    ring[9:21, 10:20] = ring[10:20, 9:21] = True
    ring[11:19, 11:19] = False
    assert torch.equal(one, ring)
    assert torch.equal(with_edges_cut(none, depth, 3)[0], grown(ring, 2))
    with pytest.raises(Track2ViewError, match="cannot grow by"):
        with_edges_cut(none, depth, -2)
