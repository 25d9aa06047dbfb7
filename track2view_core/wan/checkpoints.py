"""Loading WAN 2.1 text-to-video transformers: a diffusers folder, or one file as ComfyUI keeps it. No network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from ..errors import Track2ViewError
from .bundle_config import LATENT_CHANNELS
from .original_layout import dit_from_original, dit_name_from_original, dit_to_original
from .tensor_files import (
    cast_float,
    cast_floats,
    check_shapes,
    dequantised,
    find_part,
    load_part,
    read_json,
    read_tensors,
    unwrapped,
    write_weights,
)

HEAD_SIZE = 128
PREFIXES = ("model.diffusion_model.", "diffusion_model.")
WANTED = "give a plain WAN 2.1 text-to-video model (1.3B or 14B, 16 input channels)"
# A key that starts so betrays the variant; the image variants come last, because others build on them.
_VARIANTS = (
    ("vace_", "WAN VACE"),
    ("control_adapter.", "WAN Fun Camera"),
    ("casual_audio_encoder.", "WAN S2V"),
    ("audio_injector.", "WAN S2V"),
    ("face_adapter.", "WAN Animate"),
    ("motion_encoder.", "WAN Animate"),
    ("pose_patch_embedding.", "WAN Animate"),
    ("audio_proj.", "WAN HuMo"),
    ("ref_conv.", "WAN Fun Control"),
    ("img_emb.", "WAN image-to-video (I2V)"),
    ("condition_embedder.image_embedder.", "WAN image-to-video (I2V)"),
)
_CHANNELS = {36: "WAN image-to-video (I2V)", 32: "WAN Fun", 48: "WAN 2.2 5B (another VAE)", 52: "WAN Fun Control"}


def load_transformer(path: Path | str, dtype: torch.dtype = torch.float32) -> WanTransformer3DModel:
    """Load a WAN 2.1 text-to-video transformer on the CPU, frozen, in evaluation mode.

    path: a diffusers folder (a pipeline's or the transformer's own), or one .safetensors in the original or in
        diffusers' layout, fp32, fp16, bf16, fp8 or scaled fp8.
    dtype: of the weights; those that WAN keeps in float32 (modulation tables, time embedder, norms, rotary) stay so.
    """
    path = Path(path)
    model = _from_folder(path, dtype) if path.is_dir() else _from_file(path, dtype)
    return model.eval().requires_grad_(False)


def save_transformer(transformer: WanTransformer3DModel, file: Path | str, dtype: torch.dtype | None = None) -> None:
    """Write a transformer in WAN's original layout, the one ComfyUI's loader for diffusion models opens."""
    write_weights(cast_floats(dit_to_original(transformer.state_dict()), dtype, "The model"), file)


def _refuse(file: Path, variant: str) -> None:
    raise Track2ViewError(f"{file.name} is {variant}, which Track2View cannot condition; {WANTED}.")


def _check_channels(file: Path, channels: int) -> None:
    if channels != LATENT_CHANNELS:
        _refuse(file, _CHANNELS.get(channels, f"a model with {channels} input channels"))


def _from_folder(folder: Path, dtype: torch.dtype) -> WanTransformer3DModel:
    index = folder / "model_index.json"
    if index.is_file() and (read_json(index).get("transformer_2") or [None])[0] is not None:
        _refuse(folder, "WAN 2.2 with two transformers")
    inner = find_part(folder, "transformer", WANTED)
    config = read_json(inner / "config.json")
    name = config.get("_class_name")
    if name != WanTransformer3DModel.__name__:
        _refuse(folder, f"a {name}")
    if config.get("image_dim") is not None or config.get("added_kv_proj_dim") is not None:
        _refuse(folder, "WAN image-to-video (I2V)")
    _check_channels(folder, config.get("in_channels", LATENT_CHANNELS))
    return load_part(WanTransformer3DModel, inner, dtype)


def _without_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The transformer's part of a file; all-in-one files keep text encoder and VAE beside it."""
    for prefix in PREFIXES:
        inner = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
        if inner:
            return inner
    return dict(state)


def _from_file(file: Path, dtype: torch.dtype) -> WanTransformer3DModel:
    state = _without_prefix(unwrapped(read_tensors(file, "The model")[0], f"The model {file.name}"))
    for start, variant in _VARIANTS:
        if any(key.startswith(start) for key in state):
            _refuse(file, variant)
    state = dequantised(state, file)
    if "head.modulation" in state:
        if unknown := [key for key in state if dit_name_from_original(key) is None]:
            raise Track2ViewError(f"{file.name} has the key {unknown[0]}, which plain WAN 2.1 lacks; {WANTED}.")
        state = dit_from_original(state)
    config = _config_from_shapes(state, file)
    return _assembled(config, state, dtype, file)


def _config_from_shapes(state: Mapping[str, Tensor], file: Path) -> dict[str, Any]:
    """The configuration of WanTransformer3DModel that the weights (diffusers' names) were made with."""
    try:
        dim, channels, *patch = state["patch_embedding.weight"].shape
        layers = 1 + max(int(key.split(".")[1]) for key in state if key.startswith("blocks."))
        sizes = {
            "out_channels": state["proj_out.weight"].shape[0] // math.prod(patch),
            "ffn_dim": state["blocks.0.ffn.net.0.proj.weight"].shape[0],
            "text_dim": state["condition_embedder.text_embedder.linear_1.weight"].shape[1],
            "freq_dim": state["condition_embedder.time_embedder.linear_1.weight"].shape[1],
        }
    except (KeyError, ValueError, IndexError) as error:
        raise Track2ViewError(f"{file.name} holds no WAN transformer (missing: {error}); {WANTED}.") from error
    _check_channels(file, channels)
    if dim % HEAD_SIZE or len(patch) != 3:
        raise Track2ViewError(f"{file.name} is {dim} wide, and WAN's heads are {HEAD_SIZE} wide; {WANTED}.")
    return {
        **sizes,
        "patch_size": tuple(patch),
        "num_attention_heads": dim // HEAD_SIZE,
        "attention_head_dim": HEAD_SIZE,
        "in_channels": channels,
        "num_layers": layers,
        "cross_attn_norm": "blocks.0.norm2.weight" in state,
    }


def _assembled(
    config: Mapping[str, Any], state: dict[str, Tensor], dtype: torch.dtype, file: Path
) -> WanTransformer3DModel:
    """The model around the given weights, without ever holding a second, random set of them."""
    with torch.device("meta"):
        model = WanTransformer3DModel(**config)
    what = f"The model {file.name}"
    check_shapes(state, model.state_dict(), what, WANTED)
    for key in list(state):
        state[key] = cast_float(key, state[key], torch.float32 if _keeps_float32(key) else dtype, what)
    model.load_state_dict(state, assign=True)
    rope = model.config  # its tables are buffers that no file holds: built anew, where the rest was only shapes
    model.rope = type(model.rope)(rope["attention_head_dim"], rope["patch_size"], rope["rope_max_seq_len"])
    return model


def _keeps_float32(key: str) -> bool:
    return not set(WanTransformer3DModel._keep_in_fp32_modules).isdisjoint(key.split("."))
