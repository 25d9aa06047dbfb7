"""Known pixels over a model's picture: the laws at both ends, and no seam of colour at the rim between them."""

from __future__ import annotations

import pytest
import torch

from track2view_core.errors import Track2ViewError
from track2view_core.render.known_pixels import keep_known_pixels
from track2view_core.video.resizing import resize_picture

SIZE = (3, 60, 90)


@pytest.fixture
def pictures() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A model's pictures at half size, the rendered ones, and a mask that knows all but a block at one side."""
    random = torch.Generator().manual_seed(4)
    rendered = torch.randint(60, 196, (*SIZE, 3), generator=random, dtype=torch.uint8)
    model = torch.randint(0, 256, (3, 30, 45, 3), generator=random, dtype=torch.uint8)
    known = torch.ones(SIZE, dtype=torch.bool)
    known[:, 10:50, 50:] = False
    return model, rendered, known


def enlarged(model: torch.Tensor) -> torch.Tensor:
    return torch.stack([torch.from_numpy(resize_picture(picture.numpy(), SIZE[2], SIZE[1])) for picture in model])


def test_at_strength_0_it_is_the_models_picture(pictures):
    model, rendered, known = pictures
    assert torch.equal(keep_known_pixels(model, rendered, known, strength=0), enlarged(model))
    assert torch.equal(keep_known_pixels(rendered, rendered.flip(0), known, strength=0), rendered)


def test_where_nothing_is_known_it_is_the_models_picture(pictures):
    model, rendered, known = pictures
    known[1] = False
    assert torch.equal(keep_known_pixels(model, rendered, known)[1], enlarged(model)[1])


@pytest.mark.parametrize("feather", [0.0, 4.0])
def test_where_all_is_known_it_is_the_render(pictures, feather: float):
    model, rendered, known = pictures
    assert torch.equal(keep_known_pixels(model, rendered, torch.ones_like(known), feather=feather), rendered)


def test_known_pixels_beyond_the_feather_are_the_renders_own(pictures):
    model, rendered, known = pictures
    kept = keep_known_pixels(model, rendered, known, feather=3)
    assert torch.equal(kept[:, :, :46], rendered[:, :, :46]) and torch.equal(kept[:, :6], rendered[:, :6])
    rim = (kept[:, 20:40, 49].float() - rendered[:, 20:40, 49].float()).abs().mean()
    assert rim > 10  # the first known pixel is still mostly the model's
    assert torch.equal(keep_known_pixels(model, rendered, known, feather=0)[known], rendered[known])


@pytest.mark.parametrize("feather", [0.0, 4.0])
def test_an_offset_of_the_models_colours_vanishes(pictures, feather: float):
    _, rendered, known = pictures
    offset = torch.tensor([25, -30, 12])
    model = (rendered.short() + offset).to(torch.uint8)
    kept = keep_known_pixels(model, rendered, known, feather=feather)
    assert (kept.short() - rendered.short()).abs().max() <= 1
    half = keep_known_pixels(model, rendered, known, feather=feather, strength=0.5)
    assert ((half.short() - rendered.short()) - offset / 2).abs().max() <= 1


def test_an_offset_that_varies_is_matched_at_the_rim_it_is_nearest_to():
    rendered = torch.full((1, 64, 256, 3), 120, dtype=torch.uint8)
    model = rendered.clone()
    model[:, :, :128] += 40
    model[:, :, 128:] -= 40
    known = torch.ones(1, 64, 256, dtype=torch.bool)
    known[:, :, 100:156] = False
    kept = keep_known_pixels(model, rendered, known, feather=0)[0, 32, :, 0].short()
    assert (kept[[100, 155]] - 120).abs().max() <= 6  # of 40
    assert kept[126:130].float().std() > 20  # the model's own edge, in the middle of the hole, stays


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"strength": 1.5}, "strength is 1.5"),
        ({"feather": -1.0}, "feather is -1"),
        ({"known": torch.ones(3, 60, 80, dtype=torch.bool)}, r"mask is \[3, 60, 80\]"),
        ({"model": torch.zeros(2, 30, 45, 3, dtype=torch.uint8)}, "gave 2 frames and 3 are rendered"),
    ],
)
def test_what_does_not_belong_together_is_refused(pictures, change, told: str):
    given = dict(zip(("model", "rendered", "known"), pictures, strict=True))
    with pytest.raises(Track2ViewError, match=told):
        keep_known_pixels(**{**given, **change})
