"""Picture scores: closed forms, slow twins, and torchmetrics."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from track2view_core.errors import Track2ViewError
from track2view_core.evaluation import gradient_energy, psnr, ssim


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


def noisy(video: torch.Tensor) -> torch.Tensor:
    return (video + 0.2 * (picture(seed=1) - 0.5)).clamp(0, 1)


def test_psnr_and_ssim_are_those_of_torchmetrics():
    true, own = picture(), noisy(picture())
    for frame in range(len(true)):
        a, b = (x[frame].permute(2, 0, 1)[None].double() for x in (own, true))
        assert float(psnr(own, true)[frame]) == pytest.approx(
            float(peak_signal_noise_ratio(a, b, data_range=1.0)), rel=1e-6
        )
        _, each = structural_similarity_index_measure(a, b, data_range=1.0, sigma=1.5, return_full_image=True)
        inside = each[..., 5:-5, 5:-5].mean()  # its own mean takes in windows over a mirrored border
        assert float(ssim(own, true)[frame]) == pytest.approx(float(inside), rel=1e-6)


def test_ssim_of_equal_frames_is_one_and_of_flat_ones_a_closed_form():
    assert torch.allclose(ssim(picture(), picture()), torch.ones(3, dtype=torch.float64))
    dark, light = (torch.full((12, 12, 3), value, dtype=torch.float64) for value in (0.2, 0.6))
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert float(ssim(dark, light)) == pytest.approx(expected, rel=1e-9)


def test_a_mask_counts_its_pixels_alone():
    true, own = picture(), picture()
    own[:, :8] = 1 - own[:, :8]
    mask = torch.zeros(3, 16, 20, dtype=torch.bool)
    mask[:, 8:] = True
    assert psnr(own, true, mask).isinf().all()
    torch.testing.assert_close(psnr(own, true, ~mask), psnr(own[:, :8], true[:, :8]))
    both = 10 ** (-psnr(own, true, ~mask) / 10) * 0.5
    torch.testing.assert_close(10 ** (-psnr(own, true) / 10), both)
    assert psnr(own, true, torch.zeros_like(mask)).isnan().all()
    torch.testing.assert_close(ssim(own, true, torch.ones_like(mask)), ssim(own, true))
    assert (ssim(own, true, ~mask) < ssim(own, true)).all()


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
    with pytest.raises(Track2ViewError, match="11 x 11"):
        ssim(picture()[:, :8], picture()[:, :8])
    with pytest.raises(Track2ViewError, match="mask"):
        psnr(picture(), picture(), torch.ones(3, 16, 20))
    with pytest.raises(Track2ViewError, match="2 x 2"):
        gradient_energy(torch.zeros(2, 1, 8, 3))
