"""Loading transformers: every layout and number format that is allowed, every variant that is refused; no network."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import save_file
from torch import Tensor

from track2view_core.errors import Track2ViewError
from track2view_core.wan.checkpoints import load_transformer, save_transformer
from track2view_core.wan.original_layout import dit_to_original

FP8 = torch.float8_e4m3fn


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a network connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="module")
def original(make) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in dit_to_original(make.transformer().state_dict()).items()}


@pytest.fixture
def written(tmp_path):
    def write(state: dict[str, Tensor], prefix: str = "") -> Path:
        save_file({prefix + key: value.contiguous() for key, value in state.items()}, tmp_path / "model.safetensors")
        return tmp_path / "model.safetensors"

    return write


def is_linear(key: str) -> bool:
    return key.startswith("blocks.") and key.endswith(".weight") and "norm" not in key


def largest_difference(model: WanTransformer3DModel, original: dict[str, Tensor]) -> float:
    """Over all weights, relative to each weight's largest value."""
    found = dit_to_original(model.state_dict())
    assert found.keys() == original.keys()
    return max(float((found[k].float() - v).abs().max() / v.abs().max().clamp(min=1e-6)) for k, v in original.items())


@pytest.mark.parametrize("prefix", ["", "diffusion_model.", "model.diffusion_model."])
def test_a_single_file_loads_exactly_whatever_its_prefix(transformer, original, written, prefix):
    model = load_transformer(written(original, prefix))
    assert largest_difference(model, original) == 0.0
    hidden = {"_use_default_values"}  # diffusers' note of what was not said
    assert {k: v for k, v in model.config.items() if k not in hidden} == {
        k: v for k, v in transformer.config.items() if k not in hidden
    }
    latent, step, text = torch.randn(1, 16, 2, 4, 4), torch.tensor([300.0]), torch.randn(1, 3, 64)
    assert torch.equal(model(latent, step, text).sample, transformer(latent, step, text).sample)
    assert not model.training and not any(weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize("wrapper", ["_orig_mod.", "module.", "_fsdp_wrapped_module._orig_mod."])
def test_a_file_of_a_compiled_or_wrapped_model_loads_exactly(original, written, wrapper):
    inside = {key.replace("self_attn", f"{wrapper}self_attn"): value for key, value in original.items()}
    for state, prefix in ((original, wrapper), (original, f"model.diffusion_model.{wrapper}"), (inside, "")):
        assert largest_difference(load_transformer(written(state, prefix)), original) == 0.0
    with pytest.raises(Track2ViewError, match=r"has blocks\.\S+ twice, once as "):
        load_transformer(written({**original, **{key: value.clone() for key, value in inside.items()}}))


@pytest.mark.parametrize("broken", [float("nan"), -float("inf")])
@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16, FP8])
def test_weights_that_are_not_finite_are_named(original, written, stored, broken):
    state = {key: value.to(stored, copy=True) for key, value in original.items()}
    state["blocks.1.ffn.2.weight"][3, 5] = broken if stored != FP8 else float("nan")
    with pytest.raises(Track2ViewError, match=r"diffusion_model\.blocks\.1\.ffn\.2\.weight, which holds NaN or inf"):
        load_transformer(written(state, "diffusion_model."))


def test_weights_that_are_not_finite_are_named_in_a_folder_and_when_written(transformer, original, tmp_path):
    model = WanTransformer3DModel.from_config(transformer.config)
    model.blocks[1].ffn.net[2].weight.data[3, 5] = float("nan")
    model.save_pretrained(tmp_path / "transformer")
    with pytest.raises(Track2ViewError, match=r"transformer has blocks\.1\.ffn\.net\.2\.weight, which holds NaN"):
        load_transformer(tmp_path)
    with pytest.raises(Track2ViewError, match=r"to out\.safetensors has blocks\.1\.ffn\.2\.weight, which holds NaN"):
        save_transformer(model, tmp_path / "out.safetensors")


def test_what_only_float16_cannot_hold_is_told_there(original, written):
    state = {key: value.clone() for key, value in original.items()}
    state["blocks.1.ffn.2.weight"][3, 5] = 1e5
    assert load_transformer(written(state), torch.bfloat16)
    with pytest.raises(Track2ViewError, match=r"ffn\.net\.2\.weight with numbers larger than float16 holds"):
        load_transformer(written(state), torch.float16)


def test_text_encoder_and_vae_in_the_same_file_are_left_alone(original, written):
    state = {f"model.diffusion_model.{key}": value for key, value in original.items()}
    state["first_stage_model.conv1.weight"] = state["text_encoders.umt5.weight"] = torch.zeros(1)
    assert largest_difference(load_transformer(written({k: v.clone() for k, v in state.items()})), original) == 0.0


def test_a_file_in_diffusers_layout_loads(transformer, original, written):
    assert largest_difference(load_transformer(written(transformer.state_dict())), original) == 0.0


@pytest.mark.parametrize(("stored", "error"), [(torch.float16, 1e-3), (torch.bfloat16, 1e-2), (FP8, 0.1)])
def test_number_formats(original, written, stored, error):
    model = load_transformer(written({key: value.to(stored) for key, value in original.items()}))
    assert largest_difference(model, original) < error
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def scaled_fp8(original, *, layout: str) -> dict[str, Tensor]:
    """As ComfyUI stores scaled fp8: value / scale in fp8, with the scale and what else it writes."""
    state: dict[str, Tensor] = {}
    for key, value in original.items():
        if not is_linear(key):
            state[key] = value
            continue
        module = key.removesuffix(".weight")
        largest = value.abs().amax(dim=1) if layout == "rows" else value.abs().max()
        scale = largest / 448
        state[key] = (value / (scale[:, None] if layout == "rows" else scale)).to(FP8)
        state[f"{module}.{'weight_scale' if layout == 'new' else 'scale_weight'}"] = scale
        if layout == "old":
            state[f"{module}.scale_input"] = torch.ones(())
        if layout == "new":
            description = json.dumps({"format": "float8_e4m3fn"}).encode()
            state[f"{module}.comfy_quant"] = torch.tensor(list(description), dtype=torch.uint8)
    if layout != "new":
        state["scaled_fp8"] = torch.zeros(0, dtype=FP8)
    return state


@pytest.mark.parametrize("layout", ["old", "new", "rows"])
def test_scaled_fp8_is_dequantised(original, written, layout):
    model = load_transformer(written(scaled_fp8(original, layout=layout), "diffusion_model."))
    assert largest_difference(model, original) < 0.05


def test_other_quantisations_are_refused(original, written):
    key = "blocks.0.self_attn.q"
    described = torch.tensor(list(json.dumps({"format": "nvfp4"}).encode()), dtype=torch.uint8)
    with pytest.raises(Track2ViewError, match="quantised to nvfp4"):
        load_transformer(written({**original, f"{key}.comfy_quant": described}))
    with pytest.raises(Track2ViewError, match=f"stores {key}.weight as uint8"):
        load_transformer(written({**original, f"{key}.weight": torch.zeros(128, 64, dtype=torch.uint8)}))
    with pytest.raises(Track2ViewError, match=r"scales \[128, 4\]"):
        load_transformer(written({**original, f"{key}.scale_weight": torch.ones(128, 4)}))


@pytest.mark.parametrize("source", ["file", "folder"])
def test_what_wan_keeps_in_float32_stays_there(transformer, tmp_path, source):
    path = tmp_path / "model"
    if source == "file":
        path = tmp_path / "model.safetensors"
        save_transformer(transformer, path, torch.bfloat16)
    else:
        transformer.save_pretrained(path)
    model = load_transformer(path, torch.bfloat16)
    kept = {name for name, weight in model.named_parameters() if weight.dtype == torch.float32}
    assert kept == {
        name
        for name, _ in model.named_parameters()
        if "scale_shift_table" in name or "time_embedder" in name or "norm2" in name
    }
    assert model.rope.freqs_cos.dtype == transformer.rope.freqs_cos.dtype == torch.float32
    assert torch.equal(model.rope.freqs_cos, transformer.rope.freqs_cos)
    assert model.blocks[0].attn1.to_q.weight.dtype == torch.bfloat16


@pytest.mark.parametrize("inside", ["", "transformer"])
def test_a_diffusers_folder_loads(transformer, original, tmp_path, inside):
    transformer.save_pretrained(tmp_path / "wan" / inside)
    assert largest_difference(load_transformer(tmp_path / "wan"), original) == 0.0


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("img_emb.proj.0.weight", "image-to-video"),
        ("vace_blocks.0.after_proj.bias", "VACE"),
        ("control_adapter.conv.weight", "Camera"),
        ("casual_audio_encoder.weights", "S2V"),
        ("face_adapter.fuser_blocks.0.linear2.weight", "Animate"),
        ("blocks.0.surprise.weight", "blocks.0.surprise.weight"),
    ],
)
def test_other_variants_are_refused_by_name(original, written, key, name):
    with pytest.raises(Track2ViewError, match=rf"{name}.*give a plain WAN 2\.1"):
        load_transformer(written({**original, key: torch.zeros(1)}, "model.diffusion_model."))


@pytest.mark.parametrize(("channels", "name"), [(36, "image-to-video"), (48, "2.2 5B"), (17, "17 input channels")])
def test_other_input_channels_are_refused_by_name(original, written, channels, name):
    with pytest.raises(Track2ViewError, match=name):
        load_transformer(written({**original, "patch_embedding.weight": torch.zeros(128, channels, 1, 2, 2)}))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"in_channels": 36}, "image-to-video"),
        ({"image_dim": 1280}, "image-to-video"),
        ({"_class_name": "WanVACETransformer3DModel"}, "WanVACETransformer3DModel"),
    ],
)
def test_a_folder_of_another_variant_is_refused(transformer, tmp_path, changes, name):
    transformer.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **changes}))
    with pytest.raises(Track2ViewError, match=name):
        load_transformer(tmp_path)


def test_a_pipeline_of_two_transformers_is_refused(transformer, tmp_path):
    transformer.save_pretrained(tmp_path / "transformer")
    index = {"transformer": ["diffusers", "x"], "transformer_2": ["diffusers", "WanTransformer3DModel"]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(Track2ViewError, match=r"2\.2 with two transformers"):
        load_transformer(tmp_path)


def test_files_and_folders_that_hold_no_transformer(original, written, tmp_path):
    with pytest.raises(Track2ViewError, match="holds no diffusers transformer"):
        load_transformer(tmp_path)
    with pytest.raises(Track2ViewError, match="does not exist"):
        load_transformer(tmp_path / "nothing.safetensors")
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(Track2ViewError, match="GGUF"):
        load_transformer(tmp_path / "model.gguf")
    with pytest.raises(Track2ViewError, match="holds no WAN transformer"):
        load_transformer(written({"weight": torch.zeros(1)}))
    partial = {key: value for key, value in original.items() if key != "blocks.1.self_attn.o.weight"}
    with pytest.raises(Track2ViewError, match=r"attn1\.to_out\.0\.weight absent"):
        load_transformer(written(partial))


def test_a_broken_folder_is_one_sentence(transformer, tmp_path):
    transformer.save_pretrained(tmp_path)
    weights = tmp_path / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(Track2ViewError, match="diffusers cannot load"):
        load_transformer(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(Track2ViewError, match="is no JSON"):
        load_transformer(tmp_path)
