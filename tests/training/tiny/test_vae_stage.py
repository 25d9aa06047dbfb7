"""The tiny VAE's training: the fast forward is diffusers' forward, and folding statistics changes no picture."""

import copy

import pytest
import torch

from track2view_core.training.tiny.vae_stage import (
    ClipBatch,
    ClipSource,
    VaeObjective,
    VaeSettings,
    fold_statistics,
    measured_statistics,
    new_vae,
    psnr,
    reconstruction_loss,
)
from track2view_core.wan.vae import decode, decode_whole_clip, encode, encode_whole_clip


@pytest.fixture(scope="module")
def vae():
    torch.manual_seed(0)
    model = new_vae(8)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.03 * torch.randn_like(parameter))
    return model.requires_grad_(False)


@pytest.mark.parametrize("frames", [1, 5, 9])
def test_whole_clip_encode_and_decode_equal_the_chunked_ones(vae, frames):
    clip = torch.rand(2, frames, 3, 32, 32) * 2 - 1
    latent = encode_whole_clip(vae, clip)
    stock = vae.encode(clip.transpose(1, 2)).latent_dist.mean.transpose(1, 2)
    assert torch.allclose(latent, stock, atol=2e-5)
    decoded = vae.decode(latent.transpose(1, 2)).sample.transpose(1, 2)
    assert torch.allclose(decode_whole_clip(vae, latent).clamp(-1, 1), decoded, atol=5e-5)


def test_folding_gives_wan_statistics_and_keeps_the_pictures(vae):
    folded = copy.deepcopy(vae)
    clips = list(torch.randint(0, 256, (3, 5, 32, 32, 3), dtype=torch.uint8))
    fold_statistics(folded, *measured_statistics(vae, clips))
    latents = torch.cat([encode(folded, clip) for clip in clips])
    channels = latents.transpose(0, 1).flatten(1)
    assert torch.allclose(channels.mean(1), torch.zeros(16), atol=1e-3)
    assert torch.allclose(channels.std(1), torch.ones(16), atol=1e-3)
    before = decode(vae, encode(vae, clips[0])).int()
    assert (decode(folded, latents[:1]).int() - before).abs().max() <= 1


class Clips:
    """Clips whose pixels say where and when they are."""

    clip_count = 3

    def clip_frames(self, index):
        t, y, x = torch.meshgrid(torch.arange(9) * 20, torch.arange(64) * 3, torch.arange(64) * 3, indexing="ij")
        return torch.stack([t, y, x], -1).to(torch.uint8)


def test_single_frames_come_first_and_then_clips_of_every_shape_in_turn():
    settings = VaeSettings(frames_until=0.5, image_batch=3, image_crop=32, clip_shapes=((17, 16), (5, 32)))
    source = ClipSource([Clips()], settings)
    batches = [source.draw(step, 12, torch.Generator().manual_seed(step)) for step in range(12)]
    assert [batch.name for batch in batches] == ["frames"] * 6 + ["clips", "frames"] * 3
    assert [tuple(batch.clip.shape[1:3]) for batch in batches[6::2]] == [(5, 3), (17, 3), (5, 3)]
    assert batches[0].clip.shape == (3, 1, 3, 32, 32)
    again = source.draw(6, 12, torch.Generator().manual_seed(6))
    assert torch.equal(again.clip, batches[6].clip) and batches[6].clip.abs().max() <= 1


def test_scores_of_a_perfect_and_of_an_offset_picture():
    clip = torch.rand(2, 3, 3, 16, 16) - 0.5
    assert reconstruction_loss(clip, clip, VaeSettings(gradient=1.0, sharpness=1.0)) == 0
    assert psnr(clip, clip) > 79
    assert psnr(clip + 0.2, clip) == pytest.approx(20.0, abs=1e-3)


def test_edges_and_blur_cost_what_is_set():
    """A checkerboard's blur is grey: it has no differences, and those of the checkerboard are 1 everywhere."""
    board = (torch.arange(16)[:, None] + torch.arange(16)).remainder(2).float() - 0.5
    clip = board.expand(1, 2, 3, 16, 16)
    grey, plain = torch.zeros_like(clip), VaeSettings()
    without = reconstruction_loss(grey, clip, plain)
    for name, both_axes in (("gradient", 2.0), ("sharpness", 2.0)):
        found = reconstruction_loss(grey, clip, VaeSettings(**{name: 0.5})) - without
        assert float(found) == pytest.approx(0.5 * both_axes, abs=1e-5), name
    other = reconstruction_loss(-clip, clip, VaeSettings(sharpness=1.0)) - reconstruction_loss(-clip, clip, plain)
    assert float(other) == pytest.approx(0, abs=1e-6)  # as sharp, if elsewhere
    flicker = torch.stack([clip[:, 0], clip[:, 0] + 0.5], 1)
    steady = reconstruction_loss(flicker, clip, VaeSettings(gradient=1.0)) - reconstruction_loss(flicker, clip, plain)
    assert float(steady) == pytest.approx(0.5, abs=1e-6)


def test_latents_are_disturbed_and_halved_as_set(vae):
    batch = ClipBatch(torch.rand(1, 5, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1)

    def loss(seed=0, **changes):
        return float(VaeObjective(vae, VaeSettings(**changes)).loss(batch, torch.Generator().manual_seed(seed)))

    plain = loss()
    assert loss(latent_noise=0.1) != loss(1, latent_noise=0.1) != plain and loss(1) == plain
    latent = encode_whole_clip(vae, batch.clip)
    small, half = (x.unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2)).mean((-1, -3)) for x in (latent, batch.clip))
    expected = reconstruction_loss(decode_whole_clip(vae, small), half, VaeSettings())
    assert loss(coarse=1.0) == pytest.approx(float(expected), abs=2e-4)
