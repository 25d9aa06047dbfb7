"""LoRA: equal to the merged weights, gone without a trace, and wrong files refused by name."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from track2view_core.errors import Track2ViewError
from track2view_core.wan.lora import add_lora, load_lora, lora_state, remove_lora
from track2view_core.wan.original_layout import dit_from_original, dit_to_original

KEYS = [
    f"diffusion_model.blocks.{block}.{linear}.{part}"
    for block in range(2)
    for linear in ("self_attn.q", "self_attn.k", "self_attn.v", "self_attn.o", "ffn.0", "ffn.2")
    for part in ("lora_A.weight", "lora_B.weight", "alpha")
]


def velocity(transformer, make) -> Tensor:
    text = torch.ones(1, 3, 64)
    return transformer(make.latent(), torch.tensor([400.0]), text).sample


def merged(transformer, make, state, strength: float):
    """The readable twin: W + strength alpha / rank B A, in a second transformer."""
    weights = dit_to_original(transformer.state_dict())
    for key in [key for key in state if key.endswith("lora_A.weight")]:
        module = key.removeprefix("diffusion_model.").removesuffix(".lora_A.weight")
        down, up = state[key], state[key.replace("lora_A", "lora_B")]
        alpha = float(state.get(key.replace("lora_A.weight", "alpha"), down.shape[0]))
        weights[f"{module}.weight"] = weights[f"{module}.weight"] + strength * alpha / down.shape[0] * up @ down
    other = make.transformer()
    other.load_state_dict(dit_from_original(weights))
    return other


def test_a_new_lora_changes_nothing_and_has_comfyui_keys(make):
    transformer = make.transformer()
    before = velocity(transformer, make)
    add_lora(transformer, rank=4, alpha=2)
    assert torch.equal(velocity(transformer, make), before)
    state = lora_state(transformer)
    assert sorted(state) == sorted(KEYS)
    assert all(float(state[key]) == 2.0 for key in KEYS if key.endswith("alpha"))
    assert state[KEYS[0]].shape == (4, 128)
    assert {name for name, weight in transformer.named_parameters() if weight.requires_grad} == {
        name for name, _ in transformer.named_parameters() if "lora_" in name
    }


@pytest.mark.parametrize("strength", [1.0, 0.5, 0.0])
def test_a_loaded_lora_equals_the_merged_weights(make, strength):
    transformer = make.transformer()
    state = make.lora(transformer)
    state[KEYS[2]] = torch.tensor(1.0)  # alpha other than the rank
    state[KEYS[3]], state[KEYS[4]] = torch.randn(7, 128) * 0.1, torch.randn(128, 7) * 0.1  # another rank
    del state[KEYS[5]]  # no alpha: alpha = rank
    expected = velocity(merged(transformer, make, state, strength), make)
    load_lora(transformer, state, strength)
    found = velocity(transformer, make)
    assert float((found - expected).norm() / expected.norm()) < 1e-5
    assert not any(weight.requires_grad for weight in transformer.parameters())


def test_removing_restores_the_very_modules(make):
    transformer = make.transformer()
    modules = dict(transformer.named_modules())
    before, result = {k: v.clone() for k, v in transformer.state_dict().items()}, velocity(transformer, make)
    load_lora(transformer, make.lora(transformer))
    assert not torch.equal(velocity(transformer, make), result)
    remove_lora(transformer)
    remove_lora(transformer)  # nothing left to remove
    assert dict(transformer.named_modules()) == modules
    assert list(transformer.state_dict()) == list(before)
    assert all(torch.equal(value, before[key]) for key, value in transformer.state_dict().items())
    assert torch.equal(velocity(transformer, make), result)
    add_lora(transformer, rank=2, alpha=2)  # the place is free again


def test_a_saved_lora_is_the_loaded_one(make):
    transformer = make.transformer()
    state = make.lora(transformer)
    load_lora(transformer, state)
    again = lora_state(transformer)
    assert again.keys() == state.keys() and all(torch.equal(again[key], state[key]) for key in state)


def test_an_empty_lora_is_none(make, transformer):
    modules = dict(transformer.named_modules())
    load_lora(transformer, {})
    assert dict(transformer.named_modules()) == modules


@pytest.mark.parametrize(
    "key",
    [
        "lora_unet_blocks_0_self_attn_q.lora_down.weight",
        "diffusion_model.blocks.0.self_attn.q.diff",
        "transformer.blocks.0.attn1.to_q.lora_A.weight",
    ],
)
def test_an_unknown_key_is_named(transformer, make, key):
    with pytest.raises(Track2ViewError, match=f"The LoRA key {key} is unknown"):
        load_lora(transformer, {**make.lora(transformer), key: torch.zeros(1)})


@pytest.mark.parametrize("module", ["blocks.0.surprise", "blocks.7.self_attn.q", "blocks.0.norm3"])
def test_a_key_that_matches_no_linear_is_named(transformer, make, module):
    extra = {f"diffusion_model.{module}.{part}.weight": torch.zeros(4, 4) for part in ("lora_A", "lora_B")}
    with pytest.raises(Track2ViewError, match=f"{module} matches no linear"):
        load_lora(transformer, {**make.lora(transformer), **extra})


def test_half_a_pair_and_a_lora_for_another_base_are_refused(make, transformer):
    state = make.lora(transformer)
    with pytest.raises(Track2ViewError, match=r"blocks\.0\.self_attn\.q lacks"):
        load_lora(transformer, {key: value for key, value in state.items() if key != KEYS[1]})
    wide = make.transformer(num_attention_heads=2)
    with pytest.raises(
        Track2ViewError, match=r"has shapes \(4, 128\) and \(128, 4\), but this base needs \(rank, 256\)"
    ):
        load_lora(wide, state)
    assert not any("lora" in name for name, _ in wide.named_modules())  # refused before anything was changed


def test_a_second_lora_is_refused(make):
    transformer = make.transformer()
    load_lora(transformer, make.lora(transformer))
    with pytest.raises(Track2ViewError, match="already carries a LoRA"):
        add_lora(transformer, rank=2, alpha=2)
