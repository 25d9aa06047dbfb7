"""What is learnt: the noise, its levels, and the gradients."""

import pytest
import torch

from track2view_core.training.objectives import drawn_levels, noised, recompute_activations

from .pair_data import small_source, tiny_pair_objective


def test_noise_lies_on_the_straight_path_to_the_velocity():
    clean, generator = torch.randn(6, 16, 2, 4, 4), torch.Generator().manual_seed(0)
    levels = drawn_levels(6, 3.0, generator)
    noisy = noised(clean, levels, generator)
    assert torch.allclose(noisy.latent - levels[:, None, None, None, None] * noisy.velocity, clean, atol=1e-5)
    assert torch.equal(noisy.timestep, levels * 1000) and (levels > 0).all() and (levels <= 1).all()


def test_levels_are_spread_by_the_shift():
    levels = torch.cat([drawn_levels(64, 5.0, torch.Generator().manual_seed(seed)) for seed in range(20)])
    for u in (0.25, 0.5, 0.75):  # the quantiles of s = 5 u / (1 + 4 u)
        assert levels.quantile(u) == pytest.approx(5 * u / (1 + 4 * u), abs=0.01)


def test_recomputed_activations_give_the_same_gradients():
    gradients = []
    for recompute in (False, True):
        objective = tiny_pair_objective()
        if recompute:
            recompute_activations(objective.transformer, objective.conditioner)
        batch = small_source().draw(0, 1, torch.Generator().manual_seed(0))
        objective.loss(batch, torch.Generator().manual_seed(0)).backward()
        gradients.append({name: p.grad for name, p in objective.module.named_parameters() if p.requires_grad})
    for name, wanted in gradients[0].items():
        assert (wanted is None) == (gradients[1][name] is None), name
        assert wanted is None or torch.allclose(gradients[1][name], wanted, atol=1e-6), name
