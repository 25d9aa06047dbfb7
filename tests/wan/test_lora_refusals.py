"""Where alpha comes from, and what is no plain LoRA on text-to-video WAN: one sentence that names the key."""

from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import save_file

from track2view_core.errors import Track2ViewError
from track2view_core.wan.bundle_config import BaseConfig
from track2view_core.wan.convert_lora import convert_lora
from track2view_core.wan.lora import to_comfyui_lora

KEY = "diffusion_model.blocks.0.self_attn.q"


def pair(name: str = "transformer.blocks.0.attn1.to_q", rank: int = 4, inputs: int = 128, outputs: int = 128):
    return {
        f"{name}.lora_A.weight": torch.zeros(rank, inputs),
        f"{name}.lora_B.weight": torch.zeros(outputs, rank),
    }


# Where alpha comes from.


def test_alpha_is_the_files_else_the_settings_else_left_out():
    state, config = pair(), {"lora_alpha": 6}
    assert f"{KEY}.alpha" not in to_comfyui_lora(state)
    assert float(to_comfyui_lora(state, config=config)[f"{KEY}.alpha"]) == 6
    own = {"transformer.blocks.0.attn1.to_q.alpha": torch.tensor(3, dtype=torch.bfloat16)}
    assert float(to_comfyui_lora({**state, **own}, config=config)[f"{KEY}.alpha"]) == 3
    stabilised = to_comfyui_lora(state, config={**config, "use_rslora": True})
    assert float(stabilised[f"{KEY}.alpha"]) == pytest.approx(6 * math.sqrt(4))


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"lora_alpha": None},
        {"lora_alpha": "much"},
        {"lora_alpha": 4, "alpha_pattern": {"(": 1}},
        {"lora_alpha": 4, "alpha_pattern": 3},
    ],
)
def test_settings_without_a_usable_alpha_are_told(config):
    with pytest.raises(Track2ViewError, match="lora_alpha or alpha_pattern"):
        to_comfyui_lora(pair(), config=config)


@pytest.mark.parametrize("start", ["pissa", "pissa_niter_4", "olora", "corda", "loftq"])
def test_a_start_that_changed_the_base_is_refused(start):
    with pytest.raises(Track2ViewError, match=f"init_lora_weights {start}"):
        to_comfyui_lora(pair(), config={"lora_alpha": 4, "init_lora_weights": start})
    to_comfyui_lora(pair(), config={"lora_alpha": 4, "init_lora_weights": "gaussian"})


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_broken_metadata_is_one_sentence(tmp_path, text):
    save_file(pair(), tmp_path / "in.safetensors", {"lora_adapter_metadata": text})
    with pytest.raises(Track2ViewError, match=r"LoRA in\.safetensors has a lora_adapter_metadata that is no JSON"):
        convert_lora(tmp_path / "in.safetensors", tmp_path / "out.safetensors")


# What is refused.


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("diffusion_model.blocks.0.self_attn.q.dora_scale", "is DoRA"),
        ("base_model.model.blocks.0.attn1.to_q.lora_magnitude_vector", "is DoRA"),
        ("lora_unet_blocks_0_self_attn_q.hada_w1_a", "is LoHa"),
        ("lora_unet_blocks_0_self_attn_q.lokr_w1", "is LoKr"),
        ("lora_unet_blocks_0_self_attn_q.oft_blocks", "another kind of adapter"),
        ("lora_unet_blocks_0_self_attn_q.lora_mid.weight", "another kind of adapter"),
        ("lora_unet_blocks_0_self_attn_q.a1.weight", "another kind of adapter"),
        ("diffusion_model.blocks.0.self_attn.q.diff", "a difference of whole weights"),
        ("diffusion_model.blocks.0.self_attn.q.diff_b", "a difference of whole weights"),
        ("diffusion_model.blocks.0.norm3.diff", "a difference of whole weights"),
        ("diffusion_model.patch_embedding.set_weight", "a difference of whole weights"),
        ("transformer.blocks.0.attn1.to_q.lora_B.bias", "a LoRA with biases"),
        ("base_model.model.blocks.0.attn1.to_q.lora_B.default.bias", "a LoRA with biases"),
        ("surprise", "has the unknown key surprise; allowed are pairs of lora_A and lora_B"),
        ("blocks.0.self_attn.q.weight", "unknown key"),
        ("diffusion_model.blocks.0.cross_attn.k_img.lora_A.weight", "image-to-video"),
        ("lora_unet_blocks_0_cross_attn_v_img.lora_down.weight", "image-to-video"),
        ("transformer.blocks.0.attn2.add_k_proj.lora_A.weight", "image-to-video"),
        ("diffusion_model.img_emb.proj.1.lora_A.weight", "image-to-video"),
        ("transformer.condition_embedder.image_embedder.ff.net.2.lora_B.weight", "image-to-video"),
        ("diffusion_model.blocks.0.surprise.lora_A.weight", "unknown key"),
        ("diffusion_model.blocks.00.self_attn.q.lora_A.weight", "unknown key"),
        ("diffusion_model.blocks.0.norm3.lora_A.weight", "unknown key"),
        ("diffusion_model.patch_embedding.lora_A.weight", "unknown key"),
        ("diffusion_model.vace_blocks.0.self_attn.q.lora_A.weight", "unknown key"),
        ("transformer_2.blocks.0.attn1.to_q.lora_A.weight", "unknown key"),
        ("text_encoder.encoder.block.0.lora_A.weight", "unknown key"),
        ("lora_te_encoder_block_0.lora_down.weight", "unknown key"),
    ],
)
def test_a_key_that_is_no_plain_lora_on_wan_is_named(key, told):
    state = {**pair("diffusion_model.blocks.1.ffn.0"), key: torch.zeros(4, 128)}
    with pytest.raises(Track2ViewError, match=told) as caught:
        to_comfyui_lora(state)
    sentence = str(caught.value)
    assert key in sentence and sentence.startswith("The LoRA has ") and sentence.endswith(".")


def test_alpha_alone_is_refused():
    with pytest.raises(Track2ViewError, match=r"lora_unet_head_head\.alpha without the lora_A\.weight of head\.head"):
        to_comfyui_lora({"lora_unet_head_head.alpha": torch.tensor(4.0)})


def test_two_adapters_in_one_file_are_refused():
    names = [f"blocks.0.self_attn.q.lora_A.{adapter}.weight" for adapter in ("first", "second")]
    with pytest.raises(Track2ViewError, match=f"has both {names[0]} and {names[1]}"):
        to_comfyui_lora({name: torch.zeros(4, 128) for name in names})


@pytest.mark.parametrize(
    ("down", "up"),
    [((4, 128), (128, 5)), ((4, 128, 1), (128, 4)), ((4, 128), (128,)), ((0, 128), (128, 0)), ((128,), (128, 4))],
)
def test_halves_that_do_not_fit_each_other_are_refused_with_their_shapes(down, up):
    with pytest.raises(Track2ViewError, match=r"blocks\.0\.self_attn\.q\.lora_A\.weight of shape") as caught:
        to_comfyui_lora({f"{KEY}.lora_A.weight": torch.zeros(down), f"{KEY}.lora_B.weight": torch.zeros(up)})
    assert str(list(down)) in str(caught.value) and str(list(up)) in str(caught.value)


@pytest.mark.parametrize("alpha", [torch.tensor(float("nan")), torch.tensor(float("inf")), torch.zeros(2)])
def test_an_alpha_that_is_no_number_is_refused(alpha):
    with pytest.raises(Track2ViewError, match=r"self_attn\.q\.alpha, which is not one finite number"):
        to_comfyui_lora({**pair(KEY), f"{KEY}.alpha": alpha})


def test_weights_in_whole_numbers_are_refused():
    with pytest.raises(Track2ViewError, match=r"lora_A\.weight in int8"):
        to_comfyui_lora({key: value.to(torch.int8) for key, value in pair(KEY).items()})


BASE = BaseConfig(dim=128, layers=2, ffn_dim=256)


@pytest.mark.parametrize(
    ("name", "inputs", "outputs", "told"),
    [
        ("blocks.2.attn1.to_q", 128, 128, "for layer 2, but its base has 2 layers, counted from 0"),
        ("blocks.1.attn1.to_q", 256, 128, "self_attn.q of its base has 128 inputs"),
        ("blocks.1.attn2.to_k", 128, 256, "cross_attn.k of its base has 128 outputs"),
        ("blocks.0.ffn.net.0.proj", 128, 512, "ffn.0 of its base has 256 outputs"),
        ("blocks.0.ffn.net.2", 512, 128, "ffn.2 of its base has 256 inputs"),
        ("proj_out", 1536, 64, "head.head of its base has 128 inputs"),
    ],
)
def test_a_lora_for_another_base_is_refused(name, inputs, outputs, told):
    state = pair(f"transformer.{name}", inputs=inputs, outputs=outputs)
    with pytest.raises(Track2ViewError, match=told) as caught:
        to_comfyui_lora(state, base=BASE)
    assert f"transformer.{name}.lora_" in str(caught.value)
    assert to_comfyui_lora(state)  # nothing wrong with it by itself
