"""A converted LoRA does what the library that wrote the file makes of it: diffusers and peft, in both directions."""

from __future__ import annotations

import re

import diffusers
import pytest
import torch
from diffusers import WanPipeline
from packaging.version import Version
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from track2view_core.wan.convert_lora import convert_lora
from track2view_core.wan.lora import load_lora, to_comfyui_lora

TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2", "proj_out", "time_proj"]


def assert_does_the_same(make, lora: dict[str, Tensor], expected: Tensor) -> None:
    """Our loader with `lora` on the untouched base gives `expected`, and the LoRA is no small thing."""
    transformer = make.transformer()
    plain = make.velocity(transformer)
    load_lora(transformer, lora)
    found = make.velocity(transformer)
    assert float((found - expected).norm()) < 1e-5 * float(expected.norm())
    assert float((found - plain).norm()) > 1e-2 * float(plain.norm())


def filled(model: nn.Module) -> nn.Module:
    """The adapters with both halves random: fresh ones change nothing."""
    generator = torch.Generator().manual_seed(7)
    for name, weight in model.named_parameters():
        if "lora_" in name:
            weight.data = torch.randn(weight.shape, generator=generator) * 0.1
    return model


def down_and_up(lora: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.replace("lora_A", "lora_down").replace("lora_B", "lora_up"): value for key, value in lora.items()}


def as_kohya(lora: dict[str, Tensor]) -> dict[str, Tensor]:
    out = {}
    for key, value in down_and_up(lora).items():
        module, dot, part = re.fullmatch(r"diffusion_model\.(.+?)(\.)(lora_.+|alpha)", key).groups()
        out[f"lora_unet_{module.replace('.', '_')}{dot}{part}"] = value
    return out


def by_diffusers(make, source) -> Tensor:
    """The velocity with a file or state dict loaded as diffusers' WAN pipelines load it."""
    transformer = make.transformer()
    state, metadata = WanPipeline.lora_state_dict(source, return_lora_metadata=True)
    WanPipeline.load_lora_into_transformer(state, transformer, metadata=metadata)
    return make.velocity(transformer)


CONFIGS = {
    "alpha": {"r": 4, "lora_alpha": 6},
    "rank": {"r": 4, "lora_alpha": 4},
    "rank-stabilised": {"r": 4, "lora_alpha": 3, "use_rslora": True},
    "patterns": {
        "r": 4,
        "lora_alpha": 8,
        "rank_pattern": {"to_q": 2, "blocks.1.ffn.net.2": 7},
        "alpha_pattern": {"attn2.to_q": 3, r"blocks.1.*to_k": 1.5, "^proj_out": 9},
    },
    "rank-stabilised patterns": {"r": 4, "lora_alpha": 2, "use_rslora": True, "alpha_pattern": {"to_v": 5}},
}


@pytest.mark.parametrize("config", CONFIGS)
def test_what_diffusers_saves_from_a_transformer(make, tmp_path, config):
    transformer = make.transformer()
    transformer.add_adapter(LoraConfig(target_modules=TARGETS, **CONFIGS[config]), adapter_name="style")
    expected = make.velocity(filled(transformer))
    transformer.save_lora_adapter(tmp_path, adapter_name="style")
    found = convert_lora(tmp_path / "pytorch_lora_weights.safetensors", tmp_path / "ours.safetensors")
    assert (found.layout, found.modules) == ("diffusers", 2 * 10 + 2)
    assert_does_the_same(make, load_file(tmp_path / "ours.safetensors"), expected)


SAVED_BY_A_PIPELINE = [("alpha", True), ("alpha", False), ("patterns", True)]
if Version(diffusers.__version__) >= Version("0.40"):  # older ones divide the first module's rank by each module's own
    SAVED_BY_A_PIPELINE.append(("patterns", False))


@pytest.mark.parametrize(("config", "with_settings"), SAVED_BY_A_PIPELINE)
def test_what_diffusers_saves_from_a_pipeline(make, tmp_path, config, with_settings):
    """Without the settings, as diffusers wrote it before 0.34, the scale is 1 for diffusers too."""
    transformer = make.transformer()
    transformer.add_adapter(LoraConfig(target_modules=TARGETS, **CONFIGS[config]))
    expected = make.velocity(filled(transformer))
    stored = {k: list(v) if isinstance(v, set) else v for k, v in transformer.peft_config["default"].to_dict().items()}
    WanPipeline.save_lora_weights(
        tmp_path,
        transformer_lora_layers=get_peft_model_state_dict(transformer),
        transformer_lora_adapter_metadata=stored if with_settings else None,
    )
    file = tmp_path / "pytorch_lora_weights.safetensors"
    if not with_settings:
        expected = by_diffusers(make, str(file))
    convert_lora(file, tmp_path / "ours.safetensors")
    assert_does_the_same(make, load_file(tmp_path / "ours.safetensors"), expected)


@pytest.mark.parametrize("config", CONFIGS)
def test_what_peft_saves(make, tmp_path, config):
    peft_model = get_peft_model(make.transformer(), LoraConfig(target_modules=TARGETS, **CONFIGS[config]))
    filled(peft_model).save_pretrained(tmp_path / "peft")
    loaded = PeftModel.from_pretrained(make.transformer(), tmp_path / "peft").eval()
    for number, source in enumerate((tmp_path / "peft", tmp_path / "peft/adapter_model.safetensors")):
        found = convert_lora(source, tmp_path / f"{number}.safetensors")
        assert found.layout == "peft"
        assert_does_the_same(make, load_file(tmp_path / f"{number}.safetensors"), make.velocity(loaded))


def test_what_peft_saves_of_a_transformer_whose_blocks_are_compiled(make, tmp_path):
    transformer = make.transformer()
    for index, block in enumerate(transformer.blocks):
        transformer.blocks[index] = torch.compile(block, backend="eager")
    peft_model = get_peft_model(transformer, LoraConfig(target_modules=TARGETS, **CONFIGS["patterns"])).eval()
    filled(peft_model).save_pretrained(tmp_path / "peft")
    assert any(".0._orig_mod." in key for key in load_file(tmp_path / "peft/adapter_model.safetensors"))
    convert_lora(tmp_path / "peft", tmp_path / "ours.safetensors")
    for index, block in enumerate(transformer.blocks):
        transformer.blocks[index] = block._orig_mod  # the same layers, for a quick answer
    assert_does_the_same(make, load_file(tmp_path / "ours.safetensors"), make.velocity(peft_model))


def test_peft_weights_that_keep_the_adapters_name(make):
    peft_model = get_peft_model(make.transformer(), LoraConfig(target_modules=TARGETS, r=4, lora_alpha=6)).eval()
    state = {name: weight.detach() for name, weight in filled(peft_model).named_parameters() if "lora_" in name}
    assert "base_model.model.blocks.0.attn1.to_q.lora_A.default.weight" in state
    lora = to_comfyui_lora(state, config=peft_model.peft_config["default"].to_dict())
    assert_does_the_same(make, lora, make.velocity(peft_model))


@pytest.mark.parametrize("alpha", [2.0, 4.0, 6.0])
@pytest.mark.parametrize("layout", ["kohya", "ComfyUI"])
def test_what_diffusers_makes_of_kohya_and_comfyui_files(make, transformer, layout, alpha):
    whole = make.whole_lora(transformer, alpha)
    state = {key: value for key, value in whole.items() if ".blocks." in key}  # all that diffusers takes with alpha
    state = as_kohya(state) if layout == "kohya" else down_and_up(state)
    expected = by_diffusers(make, {key: value.clone() for key, value in state.items()})  # it scales them in place
    assert_does_the_same(make, to_comfyui_lora(state), expected)


@pytest.mark.parametrize("alpha", [None, 6.0])
def test_diffusers_loads_the_whole_of_what_stock_loaders_get(make, transformer, tmp_path, alpha):
    save_file(as_kohya(make.whole_lora(transformer, alpha)), tmp_path / "kohya.safetensors")
    convert_lora(tmp_path / "kohya.safetensors", tmp_path / "ours.safetensors", lora_only=True)
    assert_does_the_same(
        make, load_file(tmp_path / "ours.safetensors"), by_diffusers(make, str(tmp_path / "ours.safetensors"))
    )
    assert_does_the_same(
        make,
        load_file(tmp_path / "ours.safetensors"),
        make.velocity(with_lora(make, make.whole_lora(transformer, alpha))),
    )


def with_lora(make, lora: dict[str, Tensor]):
    transformer = make.transformer()
    load_lora(transformer, lora)
    return transformer
