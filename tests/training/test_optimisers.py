"""Optimisers: Muon, and the course of the rates."""

import pytest
import torch

from track2view_core.training import OptimiserSettings
from track2view_core.training.optimisers import Muon, orthogonalise, rate_factor


def test_the_rate_rises_stays_and_falls():
    settings = OptimiserSettings(warmup=10, points=((0.1, 1.0), (1.0, 0.02)))
    factors = [rate_factor(step, 1000, settings) for step in range(1000)]
    assert factors[0] == 0.1 and factors[9:101] == [1.0] * 92
    assert factors[100:] == sorted(factors[100:], reverse=True)
    assert factors[550] == pytest.approx(0.51, abs=1e-3) and factors[-1] == pytest.approx(0.02, abs=1e-3)
    constant = OptimiserSettings(warmup=0, points=((0.0, 1.0),))
    assert {rate_factor(step, 7, constant) for step in range(7)} == {1.0}


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
