"""Files of weights, read whole or refused: .safetensors, the scaled fp8 of ComfyUI, a folder of diffusers."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import Track2ViewError

if TYPE_CHECKING:
    from diffusers import ModelMixin


def _opened(file: Path, what: str):
    if not file.is_file():
        raise Track2ViewError(f"{what} {file} does not exist or is no file; give the path of a .safetensors file.")
    if file.suffix.lower() == ".gguf":
        raise Track2ViewError(
            f"{what} {file.name} is a GGUF file; give a .safetensors file here, or load it by ComfyUI's own loaders."
        )
    if file.stat().st_size == 0:
        raise Track2ViewError(f"{what} {file.name} is empty; download or copy it again.")
    try:
        return safe_open(str(file), framework="pt")
    except (SafetensorError, OSError, ValueError) as error:
        raise Track2ViewError(
            f"{what} {file.name} is no complete .safetensors file ({error}); get it again, or give another file."
        ) from error


def read_tensors(file: Path | str, what: str = "The file") -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a .safetensors file on the CPU, and its metadata. `what` opens the sentence of an error."""
    file = Path(file)
    with _opened(file, what) as handle:
        state = {name: handle.get_tensor(name) for name in handle.keys()}
        return state, dict(handle.metadata() or {})


def write_tensors(state: Mapping[str, Tensor], file: Path | str, metadata: Mapping[str, str] | None = None) -> None:
    """Write next to the target under a temporary name, then replace: readers see the old file or the whole new one."""
    file = Path(file)
    if not file.parent.is_dir():
        raise Track2ViewError(f"The folder {file.parent} does not exist; create it or name another file to write.")
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        tensors = {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}
        save_file(tensors, name, dict(metadata or {}))
        temporary.chmod(0o644)  # mkstemp's 0600 would hide the file from other users
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def cast_floats(state: Mapping[str, Tensor], dtype: torch.dtype | None) -> dict[str, Tensor]:
    """The same tensors with every floating one in `dtype` (None: unchanged)."""
    return {k: v.to(dtype) if dtype is not None and v.is_floating_point() else v for k, v in state.items()}


def check_shapes(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], what: str, remedy: str) -> None:
    """Refuse weights whose names or shapes are not those of the model that is to hold them."""
    for key in [*wanted, *(key for key in found if key not in wanted)]:
        came, asked = (_shape(state.get(key)) for state in (found, wanted))
        if came != asked:
            raise Track2ViewError(f"{what} has {key} {came}, but {asked} is needed; {remedy}.")


def _shape(tensor: Tensor | None) -> str:
    return "absent" if tensor is None else f"of shape {list(tensor.shape)}"


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


Model = TypeVar("Model", bound="ModelMixin")


def read_json(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Track2ViewError(f"{file} is no JSON file ({error}); copy the folder again.") from error


def find_part(folder: Path, name: str, remedy: str) -> Path:
    """The folder of a model: `folder` itself, or the part called `name` of a pipeline's folder."""
    inner = folder if (folder / "config.json").is_file() else folder / name
    if not (inner / "config.json").is_file():
        raise Track2ViewError(
            f"The folder {folder} holds no diffusers {name} (neither config.json nor {name}/config.json); {remedy}."
        )
    return inner


def load_part(model_class: type[Model], inner: Path, dtype: torch.dtype) -> Model:
    """The model in `inner`; weights that are missing or left over are refused, where diffusers would only warn."""
    try:
        # With output_loading_info it gives two things, which its annotation does not say.
        model, found = model_class.from_pretrained(  # pyright: ignore[reportGeneralTypeIssues]
            inner, torch_dtype=dtype, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # whatever diffusers finds wrong with the user's folder is one sentence to them
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise Track2ViewError(f"diffusers cannot load {inner} ({reason}); copy the folder again.") from error
    for problem in ("missing_keys", "unexpected_keys"):
        if found[problem]:
            word = problem.removesuffix("_keys")
            raise Track2ViewError(
                f"The weight {sorted(found[problem])[0]} is {word} in {inner}; copy the folder again."
            )
    return model
