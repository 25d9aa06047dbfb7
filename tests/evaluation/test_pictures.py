from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from track2view_core.errors import Track2ViewError
from track2view_core.evaluation import gradient_energy, psnr


def picture(seed: int = 0) -> torch.Tensor:
    return torch.rand(3, 16, 20, 3, generator=torch.Generator().manual_seed(seed))


def test_psnr_of_a_known_error():
    reference = torch.full((2, 8, 8, 3), 0.5)
    off = reference + torch.tensor([0.1, 0.01]).view(2, 1, 1, 1)
    torch.testing.assert_close(psnr(off, reference), torch.tensor([20.0, 40.0], dtype=torch.float64), atol=1e-4, rtol=0)


def test_psnr_is_infinite_for_equal_frames_and_knows_bytes():
    frames = (picture() * 255).round().to(torch.uint8)
    assert psnr(frames, frames).isinf().all()
    torch.testing.assert_close(psnr(frames, 255 - frames), psnr(frames.float() / 255, 1 - frames.float() / 255))


def test_gradient_energy_against_a_slow_twin():
    video = picture()[:1]
    slow = 0.0
    for y in range(16):
        for x in range(20):
            for c in range(3):
                if x + 1 < 20:
                    slow += float(video[0, y, x + 1, c] - video[0, y, x, c]) ** 2 / (16 * 19 * 3)
                if y + 1 < 16:
                    slow += float(video[0, y + 1, x, c] - video[0, y, x, c]) ** 2 / (15 * 20 * 3)
    assert float(gradient_energy(video)[0]) == pytest.approx(slow, rel=1e-6)


def test_blur_loses_gradient_energy_and_a_flat_picture_has_none():
    sharp = picture()
    soft = F.avg_pool2d(sharp.permute(0, 3, 1, 2), 3, 1, 1).permute(0, 2, 3, 1)
    assert (gradient_energy(soft) < 0.5 * gradient_energy(sharp)).all()
    assert gradient_energy(torch.full((8, 8, 3), 0.7)) == 0
    assert gradient_energy(sharp.view(1, 3, 16, 20, 3)).shape == (1, 3)


def test_mistakes_are_one_sentence():
    with pytest.raises(Track2ViewError, match=r"\(3, 16, 20, 3\).*\(2, 16, 20, 3\)"):
        psnr(picture(), picture()[:2])
    with pytest.raises(Track2ViewError, match="uint8"):
        gradient_energy(torch.zeros(2, 8, 8, 3, dtype=torch.int64))
    with pytest.raises(Track2ViewError, match="2 x 2"):
        gradient_energy(torch.zeros(2, 1, 8, 3))
