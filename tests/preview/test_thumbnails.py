"""Small frames for the browser: the right size, the same pictures."""

from __future__ import annotations

import pytest
import torch

from track2view_core.preview.thumbnails import thumbnails


@pytest.mark.parametrize(
    ("size", "small"),
    [((480, 832), (296, 512)), ((832, 480), (512, 296)), ((64, 101), (64, 100)), ((1, 4000), (2, 512))],
)
def test_the_longer_side_fits_and_both_are_even(size, small) -> None:
    frames = torch.full((3, *size, 3), 40, dtype=torch.uint8)
    frames[1] = 200
    made = thumbnails(frames)
    assert tuple(made.shape) == (3, *small, 3) and made.dtype == torch.uint8
    assert [int(frame.float().mean()) for frame in made] == [40, 200, 40]


def test_small_frames_stay_as_they_are() -> None:
    frames = torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(thumbnails(frames), frames)
