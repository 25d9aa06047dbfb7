"""Every spelling of a LoRA comes to our layout, with the effect that W + alpha / rank B A has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from track2view_core.errors import Track2ViewError
from track2view_core.wan.bundle import METADATA_KEY, load_bundle, save_bundle
from track2view_core.wan.bundle_config import BaseConfig
from track2view_core.wan.convert_lora import convert_lora
from track2view_core.wan.lora import for_stock_loaders, load_lora, lora_layout, to_comfyui_lora
from track2view_core.wan.original_layout import dit_from_original, dit_name_from_original, dit_to_original

# how a program spells the module in front, the two halves, and whose names the modules have
SPELLINGS = {
    "ComfyUI": ("diffusion_model.{original}", ".lora_A.weight", ".lora_B.weight"),
    "ComfyUI, down and up": ("diffusion_model.{original}", ".lora_down.weight", ".lora_up.weight"),
    "ComfyUI, as in a checkpoint": ("model.diffusion_model.{original}", ".lora_down.weight", ".lora_up.weight"),
    "ComfyUI, unet": ("unet.{diffusers}", ".lora.down.weight", ".lora.up.weight"),
    "diffusers": ("transformer.{diffusers}", ".lora_A.weight", ".lora_B.weight"),
    "diffusers, of a model": ("{diffusers}", ".lora_A.weight", ".lora_B.weight"),
    "diffusers, named adapter": ("transformer.{diffusers}", ".lora_A.my-style.weight", ".lora_B.my-style.weight"),
    "diffusers, older": ("transformer.{diffusers}", ".lora.down.weight", ".lora.up.weight"),
    "diffusers, oldest": ("transformer.{diffusers}", "_lora.down.weight", "_lora.up.weight"),
    "diffusers, of linear layers": (
        "transformer.{diffusers}",
        ".lora_linear_layer.down.weight",
        ".lora_linear_layer.up.weight",
    ),
    "diffusers, bare parameters": ("transformer.{diffusers}", ".lora_A", ".lora_B"),
    "peft": ("base_model.model.{diffusers}", ".lora_A.weight", ".lora_B.weight"),
    "peft, running": ("base_model.model.{original}", ".lora_A.default.weight", ".lora_B.default.weight"),
    "peft, of a pipeline": ("base_model.model.transformer.{diffusers}", ".lora_A.weight", ".lora_B.weight"),
    "DiffSynth": ("pipe.dit.{original}", ".lora_A.default.weight", ".lora_B.default.weight"),
    "DiffSynth, bare": ("{original}", ".lora_A.default.weight", ".lora_B.default.weight"),
    "DiffSynth, dit": ("dit.{original}", ".lora_A.weight", ".lora_B.weight"),
    "kohya": ("lora_unet_{flat}", ".lora_down.weight", ".lora_up.weight"),
    "kohya, of diffusers": ("lora_transformer_{flat_diffusers}", ".lora_down.weight", ".lora_up.weight"),
    "kohya, lycoris": ("lycoris_{flat_diffusers}", ".lora_down.weight", ".lora_up.weight"),
    "WAN Fun": ("lora_unet__{flat}", ".lora_down.weight", ".lora_up.weight"),
}
IN_A_BLOCK = [f"{attention}.{x}" for attention in ("self_attn", "cross_attn") for x in "qkvo"] + ["ffn.0", "ffn.2"]
OUTSIDE = [f"{part}_embedding.{index}" for part in ("text", "time") for index in (0, 2)]
MODULES = [f"blocks.{n}.{name}" for n in (0, 1, 11, 39) for name in IN_A_BLOCK] + [
    *OUTSIDE,
    "time_projection.1",
    "head.head",
]


def spelled(spelling: str, lora: dict[str, Tensor]) -> dict[str, Tensor]:
    """A LoRA in our layout as another program writes it."""
    front, down, up = SPELLINGS[spelling]
    behind = {"lora_A.weight": down, "lora_B.weight": up, "alpha": ".alpha"}
    out = {}
    for key, value in lora.items():
        part = next(part for part in behind if key.endswith(part))
        original = key.removeprefix("diffusion_model.").removesuffix(f".{part}")
        names = {"original": original, "diffusers": dit_name_from_original(original)}
        names |= {"flat": original.replace(".", "_"), "flat_diffusers": names["diffusers"].replace(".", "_")}
        out[front.format(**names) + behind[part]] = value
    return out


@st.composite
def loras(draw) -> dict[str, Tensor]:
    """Ours, of a few modules of any rank, with and without alpha; the sizes are not WAN's."""
    lora = {}
    for index, module in enumerate(draw(st.lists(st.sampled_from(MODULES), unique=True, min_size=1, max_size=6))):
        rank = draw(st.integers(1, 5))
        lora[f"diffusion_model.{module}.lora_A.weight"] = torch.full((rank, 3), float(index))
        lora[f"diffusion_model.{module}.lora_B.weight"] = torch.full((2, rank), -float(index))
        if draw(st.booleans()):
            lora[f"diffusion_model.{module}.alpha"] = torch.tensor(draw(st.floats(0, 64, width=32)))
    return lora


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("spelling", SPELLINGS)
@settings(max_examples=25, deadline=None)
@given(lora=loras())
def test_every_layout_comes_back_in_ours(spelling, lora):
    state = spelled(spelling, lora)
    assert same(to_comfyui_lora(state), lora)
    assert same(to_comfyui_lora(dict(reversed(state.items()))), lora)  # whatever the order in the file
    assert lora_layout(state) == spelling.split(",")[0]


def test_every_linear_of_wan_is_known_and_no_two_share_a_name(make, transformer):
    linears = {name: module for name, module in transformer.named_modules() if isinstance(module, nn.Linear)}
    base = BaseConfig.of(transformer)
    lora = {}
    for name, linear in linears.items():
        lora[f"{name}.lora_A.weight"] = torch.zeros(2, linear.in_features)
        lora[f"{name}.lora_B.weight"] = torch.zeros(linear.out_features, 2)
    converted = to_comfyui_lora(lora, base=base)
    assert len(converted) == len(lora)
    names = {key.removeprefix("diffusion_model.").split(".lora_")[0] for key in converted}
    assert {dit_name_from_original(name) for name in names} == linears.keys()
    assert len({name.replace(".", "_") for name in (*names, *linears)}) == 2 * len(linears)


def assert_does_the_same(make, lora: dict[str, Tensor], expected: Tensor) -> None:
    """Our loader with `lora` on the untouched base gives `expected`, and the LoRA is no small thing."""
    transformer = make.transformer()
    plain = make.velocity(transformer)
    load_lora(transformer, lora)
    found = make.velocity(transformer)
    assert float((found - expected).norm()) < 1e-5 * float(expected.norm())
    assert float((found - plain).norm()) > 1e-2 * float(plain.norm())


def in_blocks(lora: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value for key, value in lora.items() if ".blocks." in key}


@pytest.mark.parametrize("alpha", [None, 6.0])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_each_layout_equals_the_merged_weights(make, transformer, spelling, alpha):
    """The readable twin: W + alpha / rank B A, in a second transformer."""
    lora = make.whole_lora(transformer, alpha)
    weights = dit_to_original(transformer.state_dict())
    for key in [key for key in lora if ".lora_A." in key]:
        module = key.removeprefix("diffusion_model.").removesuffix(".lora_A.weight")
        change = (alpha or 4) / 4 * lora[key.replace("lora_A", "lora_B")] @ lora[key]
        weights[f"{module}.weight"] = weights[f"{module}.weight"] + change
    other = make.transformer()
    other.load_state_dict(dit_from_original(weights))
    assert_does_the_same(make, to_comfyui_lora(spelled(spelling, lora)), make.velocity(other))


@given(lora=loras())
@settings(max_examples=25, deadline=None)
def test_stock_loaders_see_alpha_in_the_blocks_only(lora):
    stock = for_stock_loaders(lora)
    assert all(".blocks." in key for key in stock if key.endswith(".alpha"))
    assert same(in_blocks(stock), in_blocks(lora))
    for key in [key for key in lora if ".lora_A." in key and ".blocks." not in key]:
        alpha, rank = f"{key.removesuffix('.lora_A.weight')}.alpha", lora[key].shape[0]
        scale = float(lora[alpha]) / rank if alpha in lora else 1.0
        assert torch.allclose(stock[key.replace("lora_A", "lora_B")], lora[key.replace("lora_A", "lora_B")] * scale)
    assert same(for_stock_loaders(stock), stock)


def pair(name: str = "transformer.blocks.0.attn1.to_q", rank: int = 4, inputs: int = 128, outputs: int = 128):
    return {
        f"{name}.lora_A.weight": torch.zeros(rank, inputs),
        f"{name}.lora_B.weight": torch.zeros(outputs, rank),
    }


KEY = "diffusion_model.blocks.0.self_attn.q"


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("part", ["lora_A.weight", "lora_B.weight"])
def test_half_a_pair_is_refused(spelling, part):
    state = spelled(spelling, {**pair(KEY), f"{KEY}.alpha": torch.tensor(4.0)})
    lone = spelled(spelling, {f"{KEY}.{part}": torch.zeros(1)})
    with pytest.raises(Track2ViewError, match=f"without the {part} of blocks.0.self_attn.q"):
        to_comfyui_lora({key: value for key, value in state.items() if key not in lone})


@pytest.mark.parametrize("spelling", [name for name in SPELLINGS if name != "ComfyUI"])
def test_two_names_for_one_module_are_refused(spelling):
    with pytest.raises(Track2ViewError, match=r"has both .* and .* for blocks\.0\.self_attn\.q") as caught:
        to_comfyui_lora({**pair(KEY), **spelled(spelling, pair(KEY))})
    assert f"{KEY}.lora_A.weight" in str(caught.value)


# Bundles.


def respelled_bundle(file: Path, spelling: str, config: dict | None = None) -> Path:
    """The bundle with its LoRA as another program writes it, and that program's settings."""
    state = {key: value.clone() for key, value in load_file(file).items()}
    lora = {key: state.pop(key) for key in list(state) if key.startswith("diffusion_model.")}
    if config is not None:
        lora = {key: value for key, value in lora.items() if not key.endswith(".alpha")}
    metadata = {METADATA_KEY: json.dumps(load_bundle(file).config.to_dict())}
    if config is not None:
        metadata["lora_adapter_metadata"] = json.dumps(config)
    other = file.with_name("respelled.safetensors")
    save_file({**state, **spelled(spelling, lora)}, other, metadata)
    return other


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_bundle_with_any_layout_loads_in_ours(make, transformer, tmp_path, spelling):
    bundle = make.bundle(transformer)
    save_bundle(tmp_path / "bundle.safetensors", bundle)
    other = respelled_bundle(tmp_path / "bundle.safetensors", spelling)
    assert same(load_bundle(other).lora, bundle.lora)
    found = convert_lora(other, tmp_path / "ours.safetensors")
    assert found.is_bundle and found.layout == spelling.split(",")[0]
    assert same(load_file(tmp_path / "ours.safetensors"), load_file(tmp_path / "bundle.safetensors"))


def test_a_bundles_settings_give_its_alpha_once(make, transformer, tmp_path):
    save_bundle(tmp_path / "bundle.safetensors", make.bundle(transformer))
    other = respelled_bundle(tmp_path / "bundle.safetensors", "diffusers", {"transformer.lora_alpha": 9})
    convert_lora(other, tmp_path / "ours.safetensors")
    for file in (other, tmp_path / "ours.safetensors"):
        assert {float(v) for k, v in load_bundle(file).lora.items() if k.endswith("alpha")} == {9.0}


def test_a_bundle_whose_lora_is_for_another_base_is_refused(make, transformer, tmp_path):
    wide = make.transformer(num_attention_heads=2, num_layers=1)
    bundle = make.bundle(transformer)
    bundle.lora.update(make.lora(wide))
    save_bundle(tmp_path / "bundle.safetensors", bundle)
    with pytest.raises(Track2ViewError, match=r"The bundle bundle\.safetensors has diffusion_model\.blocks\.0\..*128"):
        load_bundle(tmp_path / "bundle.safetensors")
