"""fp8 files with scales, as ComfyUI writes them: weight = stored value x scale. Read without, they would be wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..errors import Track2ViewError

_WEIGHT_SCALES = (".scale_weight", ".weight_scale")  # older and newer ComfyUI
_UNUSED = (".scale_input", ".input_scale")  # for fp8 matrix products only
_DESCRIPTION = ".comfy_quant"
_MARKER = "scaled_fp8"
_FORMATS = ("float8_e4m3fn", "float8_e5m2")
_REMEDY = "give the fp16, bf16 or fp8 file of the model"


def dequantised(state: Mapping[str, Tensor], file: Path) -> dict[str, Tensor]:
    """The weights with every scale multiplied in, the scales gone; a quantisation that is not fp8 is refused."""
    for key, value in state.items():
        if key.endswith(_DESCRIPTION):
            _check_format(key, value, file)
    skipped = (*_WEIGHT_SCALES, *_UNUSED, _DESCRIPTION)
    out = {key: value for key, value in state.items() if key != _MARKER and not key.endswith(skipped)}
    for key, scale in state.items():
        for suffix in _WEIGHT_SCALES:
            if key.endswith(suffix):
                name = key.removesuffix(suffix) + ".weight"
                out[name] = _scaled(out.get(name), scale, name, file)
    if odd := [key for key, value in out.items() if not value.is_floating_point()]:
        kind = str(out[odd[0]].dtype).removeprefix("torch.")
        raise Track2ViewError(f"{file.name} stores {odd[0]} as {kind}, which is not read here; {_REMEDY}.")
    return out


def _check_format(key: str, value: Tensor, file: Path) -> None:
    try:
        name = json.loads(bytes(value.flatten().to(torch.uint8).tolist()).decode())["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise Track2ViewError(f"{file.name} has an unreadable quantisation entry {key}; {_REMEDY}.") from error
    if name not in _FORMATS:
        raise Track2ViewError(f"{file.name} is quantised to {name}; {_REMEDY}.")


def _scaled(weight: Tensor | None, scale: Tensor, name: str, file: Path) -> Tensor:
    if weight is None:
        raise Track2ViewError(f"{file.name} has a scale for {name}, but no such weight; {_REMEDY}.")
    rows = weight.shape[0]
    if scale.numel() not in (1, rows):
        raise Track2ViewError(
            f"{file.name} has scales {list(scale.shape)} for {name}, not one or one a row; {_REMEDY}."
        )
    shape = (-1, *[1] * (weight.ndim - 1)) if scale.numel() == rows else ()
    # bf16 would add a rounding of its own before the cast to the working type
    return weight.to(torch.float32) * scale.to(torch.float32).reshape(shape)
