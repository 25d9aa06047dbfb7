"""What a run carries from step to step, and its checkpoints.

A checkpoint is one file, written aside, flushed and renamed, so that every one that exists is whole.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import Track2ViewError
from ..wan.tensor_files import check_shapes, read_tensors
from .settings import FREE_TO_CHANGE, TrainSettings


class RunState:
    """Made after accelerate has prepared module and optimisers, whose parameters may be shards from then on."""

    def __init__(self, module: nn.Module, optimisers: Sequence[Any], settings: dict[str, Any], ema: float) -> None:
        self.trainable = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.average = {name: p.detach().clone() for name, p in self.trainable.items()}
        self.optimisers, self.settings, self.ema = list(optimisers), settings, ema

    @torch.no_grad()
    def update_average(self, step: int) -> None:
        decay = min(self.ema, (step + 1) / (step + 10))
        for name, parameter in self.trainable.items():
            self.average[name].lerp_(parameter, 1 - decay)

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """The averaged weights in the module; the last ones come back afterwards."""
        last = {name: parameter.detach().clone() for name, parameter in self.trainable.items()}
        try:
            self._put(self.average)
            yield
        finally:
            self._put(last)

    @torch.no_grad()
    def _put(self, weights: Mapping[str, Tensor]) -> None:
        for name, parameter in self.trainable.items():
            parameter.copy_(weights[name])

    @staticmethod
    def whole(tensor: Tensor) -> Tensor:
        """A tensor that FSDP may have cut into shards, in one piece; every process has to ask for it."""
        return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor

    def collected(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything as tensors by name, and what is no tensor."""
        tensors = {f"model.{name}": self.whole(p.detach()) for name, p in self.trainable.items()}
        tensors |= {f"average.{name}": self.whole(value) for name, value in self.average.items()}
        numbers: dict[str, Any] = {}
        for index, optimiser in enumerate(self.optimisers):
            found, plain = optimiser_tensors(optimiser, f"optimiser.{index}.")
            tensors |= {name: self.whole(value) for name, value in found.items()}
            numbers |= plain
        return tensors, {"settings": self.settings, "numbers": numbers}

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any], folder: Path) -> None:
        """The inverse of `collected`; a run of other settings is refused by the name of the first that differs."""
        begun = state["settings"]
        for name in [*begun, *(name for name in self.settings if name not in begun)]:
            if begun.get(name) != self.settings.get(name):
                raise Track2ViewError(
                    f"The run in {folder} was begun with {name} = {begun.get(name)!r}, and now it is "
                    f"{self.settings.get(name)!r}; put it back, or name another folder."
                )
        for prefix, held in (("model.", self.trainable), ("average.", self.average)):
            found = {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
            check_shapes(found, held, f"The checkpoint in {folder}", "name another folder for this model")
            for name, value in found.items():
                held[name].copy_(laid_out(value, held[name]))
        for index, optimiser in enumerate(self.optimisers):
            restore_optimiser(optimiser, f"optimiser.{index}.", tensors, state["numbers"])


def settings_of(settings: TrainSettings, identity: Mapping[str, Any]) -> dict[str, Any]:
    """What must stay the same for a run to be one run, by dotted name."""
    kept = {name: value for name, value in asdict(settings).items() if name not in FREE_TO_CHANGE}
    return dict(_dotted({**kept, **identity}))


def _dotted(values: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from _dotted(value, f"{name}.{key}" if name else str(key))
    elif isinstance(values, list | tuple) and any(isinstance(value, Mapping | list | tuple) for value in values):
        for index, value in enumerate(values):
            yield from _dotted(value, f"{name}[{index}]")
    else:
        yield name, list(values) if isinstance(values, tuple) else values


def optimiser_tensors(optimiser: torch.optim.Optimizer, prefix: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimiser's state as named tensors, and its plain numbers."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, Any] = {}
    for index, entries in optimiser.state_dict()["state"].items():
        for key, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"{prefix}{index}.{key}"] = value
            else:
                numbers[f"{prefix}{index}.{key}"] = value
    return tensors, numbers


def restore_optimiser(
    optimiser: torch.optim.Optimizer, prefix: str, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]
) -> None:
    """The inverse of `optimiser_tensors`; rates and other settings stay those of `optimiser`."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for name, value in [*tensors.items(), *numbers.items()]:
        if name.startswith(prefix):
            index, _, key = name[len(prefix) :].partition(".")
            same_shape = isinstance(value, Tensor) and value.shape == parameters[int(index)].shape
            state.setdefault(int(index), {})[key] = laid_out(value, parameters[int(index)]) if same_shape else value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})


def laid_out(value: Tensor, like: Tensor) -> Tensor:
    """A whole tensor cut into shards as `like` is, where FSDP has cut that."""
    if not hasattr(like, "full_tensor"):
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)


_NAME = re.compile(r"step_(\d{8,})\.safetensors")


_METADATA = "track2view-training"


@dataclass(frozen=True, eq=False)
class Saved:
    """A checkpoint that was read."""

    step: int
    tensors: dict[str, Tensor]
    state: dict[str, Any]
    passed_over: tuple[str, ...]  # a sentence for every newer file that could not be read


class Checkpoints:
    """The last few checkpoints of a run's folder."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder / "checkpoints", keep

    def clear_unfinished(self) -> None:
        """Remove what a killed process was writing."""
        for file in self.folder.glob(".step_*.tmp"):
            file.unlink(missing_ok=True)

    def newest_first(self) -> list[tuple[int, Path]]:
        found = ((_NAME.fullmatch(file.name), file) for file in self.folder.glob("step_*.safetensors"))
        return sorted(((int(match[1]), file) for match, file in found if match), reverse=True)

    def save(self, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> Path:
        """Write a checkpoint, then remove those that are too old; when writing fails the older ones stay.

        Raises:
            OSError, SafetensorError: it could not be written; nothing of it is left.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / f"step_{step:08d}.safetensors"
        write_durably(tensors, file, {_METADATA: json.dumps({"step": step, **state})})
        for _, old in self.newest_first()[self.keep :]:
            old.unlink(missing_ok=True)
        return file

    def load(self) -> Saved | None:
        """The newest checkpoint that can be read; None when there is none."""
        passed_over: list[str] = []
        files = self.newest_first()
        for _, file in files:
            try:
                tensors, metadata = read_tensors(file, "The checkpoint")
                state = json.loads(metadata[_METADATA])
                return Saved(int(state.pop("step")), tensors, state, tuple(passed_over))
            except (Track2ViewError, KeyError, ValueError) as error:
                passed_over.append(f"{file.name} was passed over: {error}")
        if files:
            raise Track2ViewError(
                f"No checkpoint in {self.folder} can be read ({passed_over[0].rstrip('.')}); "
                "remove the folder to start anew."
            )
        return None


def write_durably(tensors: Mapping[str, Tensor], file: Path, metadata: Mapping[str, str]) -> None:
    """Write aside, flush to the disk, rename: a kill leaves the old file or the whole new one."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        save_file(dict(_apart(tensors)), temporary, dict(metadata))
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.chmod(0o644)
        temporary.replace(file)
        _flush_folder(file.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _apart(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The tensors on the CPU, none sharing memory with another."""
    seen: set[int] = set()
    for name, tensor in tensors.items():
        value = tensor.detach().cpu().contiguous()
        if value.untyped_storage().data_ptr() in seen:
            value = value.clone()
        seen.add(value.untyped_storage().data_ptr())
        yield name, value


def _flush_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there, and renaming is durable
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
