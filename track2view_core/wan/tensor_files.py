"""Files of weights, read whole and finite or refused: .safetensors, scaled fp8 of ComfyUI, a folder of diffusers."""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import Track2ViewError
from ..progress import Progress

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


def read_tensors(
    file: Path | str, what: str = "The file", *, wanted: Callable[[str], object] | None = None
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a .safetensors file on the CPU, and its metadata. `what` opens the sentence of an error.

    Args:
        wanted: whether the tensor of a key is read; None reads all.

    Raises:
        Track2ViewError: there is no such file, it is damaged, or a tensor that is read is not finite.
    """
    file = Path(file)
    with _opened(file, what) as handle:
        state = {name: handle.get_tensor(name) for name in handle.keys() if wanted is None or wanted(name)}
        check_finite(state, f"{what} {file.name}")
        return state, dict(handle.metadata() or {})


# The bits of the largest finite number, without its sign, where torch has no minimum and maximum.
_LARGEST_BITS = {torch.float8_e4m3fn: 0x7E, torch.float8_e5m2: 0x7B}


def is_finite(value: Tensor) -> bool:
    """Whether no number is NaN or infinite; by the extremes, which costs a fortieth of `isfinite` and no memory."""
    if not value.is_floating_point() or not value.numel():
        return True
    if value.dtype in _LARGEST_BITS:
        return int((value.view(torch.uint8) & 0x7F).max()) <= _LARGEST_BITS[value.dtype]
    if value.dtype.itemsize == 1:  # formats of scales and of packed halves, which nothing here reads
        return True
    return all(math.isfinite(float(extreme)) for extreme in torch.aminmax(value))


def check_finite(state: Mapping[str, Tensor], what: str, remedy: str = "get the file again, or another one") -> None:
    """Refuse weights with NaN or infinity, by key: a model with one of them shows nothing but black."""
    for key, value in state.items():
        if not is_finite(value):
            raise Track2ViewError(f"{what} has {key}, which holds NaN or infinity; {remedy}.")


def write_tensors(state: Mapping[str, Tensor], file: Path | str, metadata: Mapping[str, str] | None = None) -> None:
    """Write a file that readers see whole or not at all."""
    with replacing(Path(file)) as temporary:
        tensors = {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}
        save_file(tensors, temporary, dict(metadata or {}))


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Where to write what shall become `file`: next to it, under a temporary name; a block that ends well replaces it,
    so that readers see the old file or the whole new one."""
    if not file.parent.is_dir():
        raise Track2ViewError(f"The folder {file.parent} does not exist; create it or name another file to write.")
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)  # mkstemp's 0600 would hide the file from other users
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


Place = tuple[Path, str]
"""A .safetensors file, and the name of a tensor in it."""


def tensor_shapes(file: Path) -> dict[str, list[int]]:
    """The sizes of every tensor of a .safetensors file, by name, without reading any numbers."""
    with _opened(file, "The file") as handle:
        return {name: handle.get_slice(name).get_shape() for name in handle.keys()}


def copy_tensors(places: Mapping[str, Place], file: Path, progress: Progress | None = None) -> None:
    """Write tensors of other files, name here -> place there, bit by bit, with one of them in memory at a time.

    Raises:
        Track2ViewError: a file or a tensor of it is missing, damaged, or not finite.
    """
    with ExitStack() as stack, file.open("wb") as out:
        sources = {source for source, _ in places.values()}
        handles = {source: stack.enter_context(_opened(source, "The file")) for source in sources}
        entries = {source: _entries(source) for source in sources}
        for source, name in places.values():
            if name not in entries[source]:
                raise Track2ViewError(f"The file {source.name} lacks {name}; download or copy it again.")
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        end = 0
        for key, (source, name) in places.items():
            first, last = entries[source][name]["data_offsets"]
            header[key] = {**entries[source][name], "data_offsets": [end, end + last - first]}
            end += last - first
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        out.write(len(text).to_bytes(8, "little") + text)
        for done, (source, name) in enumerate(places.values(), 1):
            value = handles[source].get_tensor(name)
            check_finite({name: value}, f"The file {source.name}")
            out.write(value.contiguous().flatten().view(torch.uint8).numpy())
            if progress:
                progress(done, len(places), "copying weights")


def _entries(file: Path) -> dict[str, Any]:
    """What the header of a whole .safetensors file says: dtype, shape and place of each tensor, by name."""
    with file.open("rb") as opened:
        return json.loads(opened.read(int.from_bytes(opened.read(8), "little")))


def write_weights(state: Mapping[str, Tensor], file: Path | str, metadata: Mapping[str, str] | None = None) -> None:
    """`write_tensors` of what a model computes with; NaN and infinity are refused before anything is written."""
    check_finite(state, f"What is to be written to {Path(file).name}", "give sound weights")
    write_tensors(state, file, metadata)


def cast_floats(state: Mapping[str, Tensor], dtype: torch.dtype | None, what: str) -> dict[str, Tensor]:
    """The same tensors with every floating one in `dtype` (None: unchanged)."""
    return {k: v if dtype is None else cast_float(k, v, dtype, what) for k, v in state.items()}


def cast_float(key: str, value: Tensor, dtype: torch.dtype, what: str) -> Tensor:
    """`value` in `dtype` where it is floating; refused where that makes infinity of a number too large for it."""
    if not value.is_floating_point() or value.dtype == dtype:
        return value
    cast = value.to(dtype)
    # bfloat16 reaches as far as float32; where the value was broken before, another check has told or will tell
    if torch.finfo(dtype).max < torch.finfo(value.dtype).max and not is_finite(cast) and is_finite(value):
        kind = str(dtype).removeprefix("torch.")
        raise Track2ViewError(
            f"{what} has {key} with numbers larger than {kind} holds ({torch.finfo(dtype).max:g}); "
            "take bfloat16 or float32 for it."
        )
    return cast


# What stands in a name for each wrapper of a module: torch.compile, both kinds of FSDP, activation checkpointing, data
# parallel and averaged models, Lightning and DeepSpeed. Flattened names have underscores for dots.
_WRAPPERS = re.compile(
    r"(?:^|(?<=[._^(|*]))(?:_orig_mod|_fsdp_wrapped_module|_fpw_module|_checkpoint_wrapped_module|_forward_module|module)"
    r"(?:\\?\.|_)(?=\w)|(?<=\.)base_model\.model\."
)


def without_wrappers(name: str) -> str:
    """The name of a weight or module, or a pattern of such names, as it is in the plain model.

    blocks.0._checkpoint_wrapped_module.ffn.0.weight -> blocks.0.ffn.0.weight
    """
    return _WRAPPERS.sub("", name)


def unwrapped(state: Mapping[str, Tensor], what: str) -> dict[str, Tensor]:
    """A model's weights under the names of the plain model, in the same order; two of one name are refused."""
    out: dict[str, Tensor] = {}
    for key, value in state.items():
        if (name := without_wrappers(key)) in out:
            raise Track2ViewError(f"{what} has {name} twice, once as {key}; give a file with one set of weights.")
        out[name] = value
    return out


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
    check_finite(
        model.state_dict(), str(inner), "copy the folder again, or take bfloat16 or float32 where it is float16"
    )
    return model
