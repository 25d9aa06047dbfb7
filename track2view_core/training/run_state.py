"""What a run carries from step to step and into its checkpoints: weights, their average, optimisers, settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import Track2ViewError
from ..wan.tensor_files import check_shapes
from .checkpoints import laid_out, optimiser_tensors, restore_optimiser
from .settings import FREE_TO_CHANGE, TrainSettings


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
