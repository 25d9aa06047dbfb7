"""The original key layout: the inverse of diffusers' own conversion, name by name."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers, convert_wan_vae_to_diffusers

from track2view_core.errors import Track2ViewError
from track2view_core.wan.original_layout import (
    dit_from_original,
    dit_name_from_original,
    dit_name_to_original,
    dit_to_original,
    vae_from_original,
    vae_to_original,
)

WAN_1_3B = {"num_attention_heads": 12, "attention_head_dim": 128, "ffn_dim": 8960, "num_layers": 30}
ATTENTION = [f"{name}.{part}" for name in "qkvo" for part in ("weight", "bias")] + ["norm_q.weight", "norm_k.weight"]
BLOCK = {
    "modulation", "norm3.weight", "norm3.bias", "ffn.0.weight", "ffn.0.bias", "ffn.2.weight", "ffn.2.bias",
    *(f"{attention}.{name}" for attention in ("self_attn", "cross_attn") for name in ATTENTION),
}  # fmt: skip
LINEARS = ("patch_embedding", "text_embedding.0", "text_embedding.2", "time_embedding.0", "time_embedding.2")
OUTSIDE = {
    "head.modulation",
    *(f"{name}.{part}" for name in (*LINEARS, "time_projection.1", "head.head") for part in ("weight", "bias")),
}


def same(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(first[key] is second[key] for key in first)


@pytest.fixture(scope="module", params=["tiny", "1.3B"])
def dit_state(request, make) -> dict[str, torch.Tensor]:
    if request.param == "tiny":
        return dict(make.transformer().state_dict())
    with torch.device("meta"):
        return dict(WanTransformer3DModel(**WAN_1_3B).state_dict())


@pytest.fixture(scope="module", params=[8, 96])
def vae_state(request) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        return dict(AutoencoderKLWan(base_dim=request.param).state_dict())


def test_dit_names_are_the_published_ones(dit_state):
    original = dit_to_original(dit_state)
    layers = 1 + max(int(key.split(".")[1]) for key in original if key.startswith("blocks."))
    assert set(original) == OUTSIDE | {f"blocks.{number}.{name}" for number in range(layers) for name in BLOCK}


def test_dit_round_trip_is_the_identity_and_agrees_with_diffusers(dit_state):
    original = dit_to_original(dit_state)
    assert same(dit_from_original(original), dit_state)
    assert same(convert_wan_transformer_to_diffusers(dict(original)), dit_state)


def test_vae_round_trip_is_the_identity_and_agrees_with_diffusers(vae_state):
    original = vae_to_original(vae_state)
    assert same(vae_from_original(original), vae_state)
    assert same(convert_wan_vae_to_diffusers(dict(original)), vae_state)
    assert {"decoder.head.0.gamma", "conv1.weight", "conv2.bias", "encoder.conv1.weight"} <= original.keys()
    assert {"encoder.downsamples.10.residual.6.weight", "decoder.upsamples.14.residual.2.weight"} <= original.keys()


def test_module_names_without_a_parameter_are_renamed_too():
    assert dit_name_to_original("blocks.12.attn1.to_out.0") == "blocks.12.self_attn.o"
    assert dit_name_from_original("blocks.12.ffn.2") == "blocks.12.ffn.net.2"
    assert dit_name_from_original("img_emb.proj.0") is None


@pytest.mark.parametrize("convert", [dit_to_original, dit_from_original, vae_to_original, vae_from_original])
def test_an_unknown_key_is_named(convert):
    with pytest.raises(Track2ViewError, match=r"blocks\.0\.surprise\.weight"):
        convert({"blocks.0.surprise.weight": 0})
