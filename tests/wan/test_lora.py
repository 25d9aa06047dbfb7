"""LoRA: equal to the merged weights, gone without a trace, read from every spelling, and refused by name."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft.tuners.lora import LoraModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

from track2view_core.errors import Track2ViewError
from track2view_core.wan.bundle import METADATA_KEY, load_bundle, save_bundle
from track2view_core.wan.bundle_config import BaseConfig
from track2view_core.wan.convert_lora import convert_lora
from track2view_core.wan.lora import (
    add_lora,
    fill_lora,
    for_stock_loaders,
    load_lora,
    lora_layout,
    lora_state,
    remove_lora,
    to_comfyui_lora,
)
from track2view_core.wan.original_layout import dit_from_original, dit_name_from_original, dit_to_original

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


class Unreadable(Tensor):
    """A LoRA's weight whose copy to the device fails."""

    failure: BaseException

    def to(self, *_: object) -> Tensor:
        raise self.failure


@pytest.mark.parametrize("failure", [RuntimeError("out of memory"), KeyboardInterrupt()], ids=["error", "interrupt"])
@pytest.mark.parametrize("moment", ["while peft replaces the linears", "while their weights are filled in"])
def test_a_lora_that_fails_half_way_leaves_nothing_behind(make, monkeypatch, moment, failure):
    transformer = make.transformer()
    state, modules, before = make.lora(transformer), dict(transformer.named_modules()), velocity(transformer, make)
    broken = dict(state)
    if "filled" in moment:
        broken[KEYS[-2]] = state[KEYS[-2]].as_subclass(Unreadable)
        broken[KEYS[-2]].failure = failure
    else:
        replaced, replace = [], LoraModel._create_and_replace

        def fail_at_the_fourth(*args, **kwargs):
            replaced.append(args)
            if len(replaced) == 4:
                raise failure
            return replace(*args, **kwargs)

        monkeypatch.setattr(LoraModel, "_create_and_replace", fail_at_the_fourth)
    with pytest.raises(type(failure)):
        load_lora(transformer, broken)
    monkeypatch.undo()
    assert dict(transformer.named_modules()) == modules and not hasattr(transformer, "peft_config")
    assert torch.equal(velocity(transformer, make), before)
    load_lora(transformer, state)  # the next run is not refused
    assert not torch.equal(velocity(transformer, make), before)


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


def spelled(spelling: str, lora: dict[str, Tensor], wrap=lambda name: name) -> dict[str, Tensor]:
    """A LoRA in our layout as another program writes it, of modules whose names `wrap` changes."""
    front, down, up = SPELLINGS[spelling]
    behind = {"lora_A.weight": down, "lora_B.weight": up, "alpha": ".alpha"}
    out = {}
    for key, value in lora.items():
        part = next(part for part in behind if key.endswith(part))
        original = key.removeprefix("diffusion_model.").removesuffix(f".{part}")
        names = {"original": wrap(original), "diffusers": wrap(dit_name_from_original(original))}
        names |= {"flat": names["original"].replace(".", "_"), "flat_diffusers": names["diffusers"].replace(".", "_")}
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


# Where a wrapper's name may stand in a module's.
WRAPPED = {
    "in front": lambda name, wrapper: f"{wrapper}.{name}",
    "around a block": lambda name, wrapper: re.sub(r"(?<=blocks\.\d\.)", f"{wrapper}.", name),
    "around the linear": lambda name, wrapper: re.sub(r"(?<=\.)(?=[^.]+$)", f"{wrapper}.", name),
}


@pytest.mark.parametrize("where", WRAPPED)
@pytest.mark.parametrize(
    "wrapper",
    [
        "_orig_mod",
        "module",
        "_fsdp_wrapped_module",
        "_checkpoint_wrapped_module",
        "_forward_module",
        "module._orig_mod",
        "_fsdp_wrapped_module._checkpoint_wrapped_module._orig_mod",
        "base_model.model",
    ],
)
def test_what_wraps_a_module_may_stand_anywhere_in_a_key(where, wrapper):
    lora = {**pair("diffusion_model.blocks.1.ffn.0"), "diffusion_model.blocks.1.ffn.0.alpha": torch.tensor(3.0)}
    for spelling, (front, *_) in SPELLINGS.items():
        flat = "flat" in front  # peft knows no names without dots
        if not (flat and "base_model" in wrapper):
            state = spelled(spelling, lora, lambda name: WRAPPED[where](name, wrapper))
            assert same(to_comfyui_lora(state), lora)
        if not flat:
            whole = {f"{wrapper}.{key}": value for key, value in spelled(spelling, lora).items()}
            assert same(to_comfyui_lora(whole), lora)
    halves = {key.replace(".weight", f".{wrapper}.weight"): value for key, value in lora.items()}
    assert same(to_comfyui_lora(halves), lora)
    with pytest.raises(Track2ViewError, match=f"has both .* and .*{wrapper}"):
        to_comfyui_lora({**lora, **halves})


@pytest.mark.parametrize(
    "pattern", ["_orig_mod.blocks.0.attn1.to_q", r"^_orig_mod\.blocks\.\d+\.attn1\.to_q", "attn1.to_q"]
)
@pytest.mark.parametrize("front", ["", "_orig_mod."])
def test_the_settings_of_a_wrapped_model_give_the_same_alpha(front, pattern):
    config = {"lora_alpha": 6, "alpha_pattern": {pattern: 2}}
    lora = to_comfyui_lora(pair(f"base_model.model.{front}blocks.0.attn1.to_q"), config=config)
    assert float(lora[f"{KEY}.alpha"]) == 2


def wrapped(transformer: nn.Module, how: str) -> nn.Module:
    if how == "compiled":
        return torch.compile(transformer, backend="eager")
    for index, block in enumerate(transformer.blocks):
        transformer.blocks[index] = torch.compile(checkpoint_wrapper(block), backend="eager")
    return transformer


@pytest.mark.parametrize("how", ["compiled", "block by block"])
def test_a_wrapped_transformer_takes_and_gives_the_same_lora(make, how):
    state = make.lora(make.transformer())
    transformer = wrapped(make.transformer(), how)
    modules = dict(transformer.named_modules())
    load_lora(transformer, state)
    assert same(lora_state(transformer), state)
    remove_lora(transformer)
    assert dict(transformer.named_modules()) == modules
    add_lora(transformer, 4, 4)
    fill_lora(transformer, state)
    assert same(lora_state(transformer), state)


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
        {"lora_alpha": float("nan")},
        {"lora_alpha": 4, "alpha_pattern": {"to_q": float("inf")}},
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


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]
)
@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("half", ["lora_A.weight", "lora_B.weight"])
def test_a_weight_that_is_not_finite_is_named(make, tmp_path, dtype, broken, half):
    if dtype == torch.float8_e4m3fn:  # it has no infinity: torch makes NaN of it
        broken = float("nan")
    key, told = f"{KEY}.{half}", rf"{re.escape(KEY)}\.{half}, which holds NaN or infinity"
    state = {name: value.to(dtype) for name, value in pair(KEY).items()}
    assert to_comfyui_lora(state)  # and nothing else is wrong with it
    largest = torch.finfo(dtype).max
    state[key] = torch.full(state[key].shape, largest).to(dtype)
    state[key][0, 0] = -largest
    assert to_comfyui_lora(state)
    state[key][1, 2] = broken
    save_file(state, tmp_path / "in.safetensors")
    with pytest.raises(Track2ViewError, match=f"The LoRA has {told}"):
        to_comfyui_lora(state)
    with pytest.raises(Track2ViewError, match=rf"in\.safetensors has {told}"):
        convert_lora(tmp_path / "in.safetensors", tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("part", ["lora_A.weight", "lora_B.weight", "alpha"])
def test_a_lora_that_is_not_finite_is_put_on_no_transformer(make, part):
    transformer = make.transformer()
    before, state = velocity(transformer, make), make.lora(transformer)
    broken = {**state, f"{KEY}.{part}": torch.full_like(state[f"{KEY}.{part}"], float("nan"))}
    with pytest.raises(Track2ViewError, match=rf"The LoRA has {re.escape(KEY)}\.{part}, which holds NaN"):
        load_lora(transformer, broken)
    with pytest.raises(Track2ViewError, match="strength is nan"):
        load_lora(transformer, state, float("nan"))
    assert torch.equal(velocity(transformer, make), before)
    add_lora(transformer, 4, 4)
    with pytest.raises(Track2ViewError, match=rf"to start from has {re.escape(KEY)}\.{part}, which holds NaN"):
        fill_lora(transformer, broken)


def test_a_lora_too_large_for_float16_is_refused_there(make):
    transformer = make.transformer().half()
    state = make.lora(make.transformer())
    state[f"{KEY}.lora_A.weight"][0, 0] = 7e4
    with pytest.raises(Track2ViewError, match=r"lora_A\.weight with numbers larger than float16 holds \(65504\)"):
        load_lora(transformer, state)
    load_lora(transformer.to(torch.bfloat16), state)


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
