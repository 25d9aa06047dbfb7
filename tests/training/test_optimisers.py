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


def reference_steps(weight, gradients, *, lr, momentum, weight_decay):
    """Muon one matrix at a time: the Newton-Schulz polynomial applied to the singular values themselves."""
    velocity = torch.zeros_like(weight)
    for gradient in gradients:
        velocity = momentum * velocity + gradient
        update = (gradient + momentum * velocity).flatten(1)
        left, values, right = torch.linalg.svd(update, full_matrices=False)
        values = values / values.square().sum().sqrt()
        for _ in range(4):
            values = 3.4445 * values - 4.775 * values**3 + 2.0315 * values**5
        rows, columns = update.shape
        step = lr * max(1.0, rows / columns) ** 0.5 * (left @ values.diag() @ right)
        weight = weight - lr * weight_decay * weight - step.reshape(weight.shape)
    return weight


def test_muon_makes_the_step_of_a_slow_reference():
    """Wide, tall and square matrices and kernels, two of them of one shape, over steps whose momentum matters."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(6, 10), (6, 10), (12, 5), (7, 7), (8, 4, 1, 3, 3), (20, 2, 1, 1, 3)]

    def drawn():
        return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]

    starts, gradients = drawn(), [drawn() for _ in range(3)]
    weights = [torch.nn.Parameter(start.clone()) for start in starts]
    settings = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.3}
    optimiser = Muon(weights, **settings)
    for step in gradients:
        for weight, gradient in zip(weights, step, strict=True):
            weight.grad = gradient.clone()
        optimiser.step()
    for index, weight in enumerate(weights):
        wanted = reference_steps(starts[index], [step[index] for step in gradients], **settings)
        torch.testing.assert_close(weight.detach(), wanted, rtol=0, atol=1e-10)
