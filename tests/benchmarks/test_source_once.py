"""What the benchmark counts of a source that is computed once, against the count by hand; and who steps when."""

from __future__ import annotations

import pytest
import torch


def test_a_step_costs_one_view_and_the_attention_to_the_other(benchmark_module):
    layers, width, tokens = 3, 2 * 128, 3 * 4 * 5
    settings = {"num_attention_heads": 2, "ffn_dim": 192, "num_layers": layers}
    found = benchmark_module("source_once").operations(settings, (1, 16, 3, 8, 10), 7)
    to_the_other = layers * 2 * (2 * tokens * tokens * width)  # scores, and values weighted by them
    assert found["own"] == found["one view"] + to_the_other
    assert found["source"] == found["one view"]
    text = 2 * 7 * (4096 * width + width * width + layers * 2 * width * width)
    time = 2 * (256 * width + width * width + 6 * width * width)
    once_for_both = text + time
    assert found["full"] == 2 * found["one view"] - once_for_both + 2 * to_the_other
    assert found["own"] < found["full"]


def test_models_step_in_turn_until_each_is_done_or_fails(benchmark_module):
    class Guider:
        def __init__(self, name: str, fails_at: int | None = None):
            self.name, self.fails_at, self.calls = name, fails_at, 0

        def sample(self, noise, latent, sampler, sigmas, **_):
            return sampler.sample(self.model, sigmas, {"model_options": {}}, None, noise)

        def model(self, noise, sigma, **_):
            if self.calls == self.fails_at:
                raise RuntimeError(f"{self.name} fails")
            self.calls += 1
            order.append(self.name)
            return noise

    steps_in_turn = benchmark_module("steps_in_turn").steps_in_turn
    order: list[str] = []
    assert steps_in_turn([Guider(name) for name in "abc"], torch.zeros(1), 3).shape == (3, 3)
    assert "".join(order) == "abcabcabc"
    order.clear()
    with pytest.raises(RuntimeError, match="b fails"):
        steps_in_turn([Guider("a"), Guider("b", fails_at=1), Guider("c")], torch.zeros(1), 3)
    assert "".join(order) == "abcacac"
