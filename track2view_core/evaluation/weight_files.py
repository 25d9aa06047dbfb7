"""Weights of the learned metrics, from files that the user names; nothing is ever downloaded."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import Track2ViewError
from ..wan.tensor_files import read_tensors

ENDINGS = (".pth", ".pt", ".safetensors")


def weight_files(path: Path, what: str) -> list[Path]:
    """The weight files of a folder, or the one file that is named; `what` opens the sentence of an error."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise Track2ViewError(f"{what}: there is no file or folder {path}; give the place of the downloaded weights.")
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in ENDINGS)
    if not files:
        raise Track2ViewError(f"{what}: the folder {path} holds no {', '.join(ENDINGS)} file; put the weights there.")
    return files


def read_weights(file: Path, what: str) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or of PyTorch's own, of which nothing but tensors is read."""
    if file.suffix.lower() == ".safetensors":
        return read_tensors(file, what)[0]
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, AttributeError) as error:
        raise Track2ViewError(
            f"{what}: {file.name} is damaged or no file of tensors alone; download it again, or give another file."
        ) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise Track2ViewError(f"{what}: {file.name} holds no named tensors; give the file of weights itself.")
    return state


def fill(module: nn.Module, state: dict[str, Tensor], what: str, file: str) -> nn.Module:
    """Load exactly the tensors the module has, in evaluation mode; what else the file holds is not needed."""
    for name, own in module.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if name not in state:
            raise Track2ViewError(f"{what}: {file} lacks the tensor {name}; it is of another network.")
        if state[name].shape != own.shape:
            raise Track2ViewError(
                f"{what}: {name} of {file} has shape {list(state[name].shape)} and not {list(own.shape)}; "
                "it is of another network."
            )
        if not state[name].isfinite().all():
            raise Track2ViewError(f"{what}: {name} of {file} holds NaN or infinity; download the file again.")
    module.load_state_dict({name: state[name] for name in module.state_dict() if name in state}, strict=False)
    return module.eval().requires_grad_(False)
