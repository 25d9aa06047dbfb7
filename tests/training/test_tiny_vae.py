"""The tiny VAE's training: the fast forward is diffusers' forward, and folding statistics changes no picture."""

import copy

import pytest
import torch

from track2view_core.training import whole_clip_vae
from track2view_core.training.latents import encode_normalised, fold_normalisation, wan_statistics
from track2view_core.training.muon import Muon, orthogonalise
from track2view_core.training.tiny_vae import psnr, reconstruction_loss, tiny_vae
from track2view_core.training.vae_initialisation import initialise_near_identity


@pytest.fixture(scope="module")
def vae():
    torch.manual_seed(0)
    model = tiny_vae()
    initialise_near_identity(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.03 * torch.randn_like(parameter))
    return model.requires_grad_(False)


@pytest.mark.parametrize("frames", [1, 5, 9])
def test_whole_clip_encode_and_decode_equal_the_chunked_ones(vae, frames):
    clip = torch.rand(2, frames, 3, 32, 32) * 2 - 1
    latent = whole_clip_vae.encode(vae, clip)
    stock = vae.encode(clip.transpose(1, 2)).latent_dist.mean.transpose(1, 2)
    assert torch.allclose(latent, stock, atol=2e-5)
    decoded = vae.decode(latent.transpose(1, 2)).sample.transpose(1, 2)
    assert torch.allclose(whole_clip_vae.decode(vae, latent).clamp(-1, 1), decoded, atol=5e-5)


def test_folding_gives_wan_statistics_and_keeps_the_pictures(vae):
    folded = copy.deepcopy(vae)
    clip = torch.randint(0, 256, (3, 5, 32, 32, 3), dtype=torch.uint8)
    raw = whole_clip_vae.encode(vae, clip.permute(0, 1, 4, 2, 3).float() / 127.5 - 1)
    per_channel = raw.transpose(1, 2).transpose(0, 1).flatten(1)
    fold_normalisation(folded, per_channel.mean(1), per_channel.std(1))
    latent = encode_normalised(folded, clip)
    channels = latent.transpose(0, 1).flatten(1)
    assert torch.allclose(channels.mean(1), torch.zeros(16), atol=1e-3)
    assert torch.allclose(channels.std(1), torch.ones(16), atol=1e-3)
    mean, std = wan_statistics(folded)
    again = whole_clip_vae.decode(
        folded, (latent * std[:, None, None, None] + mean[:, None, None, None]).transpose(1, 2)
    )
    assert torch.allclose(again, whole_clip_vae.decode(vae, raw), atol=1e-3)


def test_orthogonalise_moves_singular_values_towards_one():
    values = torch.linalg.svdvals(orthogonalise(torch.randn(3, 16, 40), iterations=6))
    assert values.min() > 0.5 and values.max() < 1.5


def test_muon_descends_a_quadratic():
    torch.manual_seed(0)
    weight, goal = torch.nn.Parameter(torch.zeros(8, 4, 3, 3)), torch.randn(8, 4, 3, 3)
    optimiser = Muon([weight], lr=0.05)
    start = (weight - goal).square().mean().item()
    for _ in range(120):
        optimiser.zero_grad()
        (weight - goal).square().mean().backward()
        optimiser.step()
    assert (weight - goal).square().mean().item() < 0.2 * start


def test_scores_of_a_perfect_and_of_an_offset_picture():
    clip = torch.rand(2, 3, 3, 16, 16) - 0.5
    assert reconstruction_loss(clip, clip) == 0
    assert psnr(clip, clip) > 79
    assert psnr(clip + 0.2, clip) == pytest.approx(20.0, abs=1e-3)
