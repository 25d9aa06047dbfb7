"""What a run carries from step to step, and its checkpoints.

A checkpoint is one file, written aside, flushed and renamed, so that every one that exists is whole.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import Track2ViewError
from ..wan.tensor_files import check_shapes, read_tensors
from .settings import FREE_TO_CHANGE, TrainSettings

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


class RunState:
    """Made after accelerate has prepared module and optimisers, whose parameters may be shards from then on."""

    def __init__(self, module: nn.Module, optimisers: Sequence[Any], identity: RunIdentity, ema: float) -> None:
        self.trainable = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.average = {name: p.detach().clone() for name, p in self.trainable.items()}
        self.optimisers, self.identity, self.ema = list(optimisers), identity, ema

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
        shards = _in_shards(tensor)
        return tensor if shards is None else shards.full_tensor()

    def collected(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything as tensors by name, and what is no tensor."""
        tensors = {f"model.{name}": self.whole(p.detach()) for name, p in self.trainable.items()}
        tensors |= {f"average.{name}": self.whole(value) for name, value in self.average.items()}
        numbers: dict[str, Any] = {}
        for index, optimiser in enumerate(self.optimisers):
            found, plain = optimiser_tensors(optimiser, f"optimiser.{index}.")
            tensors |= {name: self.whole(value) for name, value in found.items()}
            numbers |= plain
        return tensors, {"settings": self.identity.values, "numbers": numbers}

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any], folder: Path) -> None:
        """The inverse of `collected`; a run of other settings is refused."""
        self.identity.check(state["settings"], folder)
        for prefix, held in (("model.", self.trainable), ("average.", self.average)):
            found = {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
            check_shapes(found, held, f"The checkpoint in {folder}", "name another folder for this model")
            for name, value in found.items():
                held[name].copy_(laid_out(value, held[name]))
        for index, optimiser in enumerate(self.optimisers):
            restore_optimiser(optimiser, f"optimiser.{index}.", tensors, state["numbers"])


@dataclass(frozen=True, eq=False)
class RunIdentity:
    """What must stay the same for a run to be one run, by dotted name."""

    values: dict[str, Any]
    defaults: dict[str, Any]  # of the fields that have one

    @classmethod
    def of(cls, settings: TrainSettings, more: Mapping[str, Any]) -> RunIdentity:
        """The loop's settings and `more`, both of them values, tables or dataclasses in each other."""
        leaves = [leaf for leaf in _leaves(settings) if leaf[0].partition(".")[0] not in FREE_TO_CHANGE] + list(
            _leaves(more)
        )
        values = {name: value for name, value, _ in leaves}
        return cls(values, {name: default for name, _, default in leaves if default is not MISSING})

    def check(self, begun: Mapping[str, Any], folder: Path) -> None:
        """Compare with what the run in `folder` was begun with.

        A field that did not exist then had its default: so a run outlives the fields that the package gains.

        Raises:
            Track2ViewError: a setting differs; the first is named.
        """
        for name in dict.fromkeys([*begun, *self.values]):
            before = begun.get(name, self.defaults.get(name, MISSING))
            now = self.values.get(name, MISSING)
            if before is MISSING or now is MISSING or before != now:
                before, now = ("unset" if value is MISSING else repr(value) for value in (before, now))
                raise Track2ViewError(
                    f"The run in {folder} was begun with {name} = {before}, and now it is {now}; put it back, or name "
                    "another folder."
                )


def _leaves(value: Any, default: Any = MISSING, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(dotted name, value as JSON keeps it, default or MISSING) of everything in a nested value."""
    if is_dataclass(value):
        for one in fields(value):
            yield from _leaves(getattr(value, one.name), _default_of(one, default), _joined(name, one.name))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, MISSING, _joined(name, str(key)))
    elif isinstance(value, list | tuple) and any(_is_nested(inner) for inner in value):
        for index, inner in enumerate(value):  # without defaults: a list that grew is another list
            yield from _leaves(inner, MISSING, f"{name}[{index}]")
    else:
        yield name, _as_json(value), _as_json(default)


def _as_json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _is_nested(value: Any) -> bool:
    return is_dataclass(value) or isinstance(value, Mapping | list | tuple)


def _joined(name: str, field: str) -> str:
    return f"{name}.{field}" if name else field


def _default_of(one: Field[Any], owner: Any) -> Any:
    """A field's default: its owner's where that has one itself, else its class's."""
    if is_dataclass(owner):
        return getattr(owner, one.name, MISSING)
    return one.default if one.default_factory is MISSING else one.default_factory()


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
    shards = _in_shards(like)
    if shards is None:
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(like.device), shards.device_mesh, shards.placements)


def _in_shards(tensor: Tensor) -> DTensor | None:
    """The tensor as what FSDP made of it, or None where nobody has cut it; loads torch's part of it only then."""
    if not hasattr(tensor, "full_tensor"):
        return None
    from torch.distributed.tensor import DTensor

    assert isinstance(tensor, DTensor)
    return tensor


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
