"""The tiny base: what it starts as."""

import torch

from track2view_core.training.objectives import drawn_levels, noised
from track2view_core.training.settings import BaseSettings
from track2view_core.training.tiny.base_stage import new_transformer


def test_the_fresh_transformer_is_already_a_linear_denoiser():
    generator = torch.Generator().manual_seed(0)
    noisy = noised(torch.randn(4, 16, 2, 8, 8, generator=generator), drawn_levels(4, 3.0, generator), generator)
    transformer = new_transformer(BaseSettings(width=128, layers=2, ffn=128))
    with torch.no_grad():
        velocity = transformer(noisy.latent, noisy.timestep, torch.zeros(4, 1, 4096), return_dict=False)[0]
    assert torch.corrcoef(torch.stack([velocity.flatten(), noisy.latent.flatten()]))[0, 1] > 0.9
