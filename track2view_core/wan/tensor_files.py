"""Reading and writing .safetensors: a wrong file is one sentence, and nothing half-written is left behind."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import Track2ViewError


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
