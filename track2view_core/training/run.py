"""A run from its config: models, data, loop, and the finished file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..errors import Track2ViewError
from ..progress import Progress
from .batches import seed_for
from .loop import train
from .run_state import Checkpoints
from .settings import TrainConfig
from .stages import ConditionerStage, Stage
from .tiny.base_stage import BaseStage
from .tiny.vae_stage import VaeStage


@dataclass(frozen=True)
class Done:
    """What a run has come to."""

    steps: int
    exported: Path | None


def run_config(config: TrainConfig, *, resume: bool = False, progress: Progress | None = None) -> Done:
    """Train to the config's last step and write what `export.file` names.

    Raises:
        Track2ViewError: the folder holds a run already and `resume` is false, or something of the config is wrong.
        Stopped: the run was interrupted, and is saved.
    """
    folder, file = Path(config.folder), _checked_file(config.export.file)
    begun = Checkpoints(folder, config.run.keep_checkpoints).newest_first()
    if begun and not resume:
        raise Track2ViewError(
            f"{folder} holds a run of {begun[0][0]} steps; add --resume to go on with it, or set folder to another."
        )
    stage = make_stage(config)
    average = train(
        stage.objective,
        stage.source,
        config.run,
        folder,
        validate=stage.validate,
        progress=progress,
        identity=config.identity(),
    )
    ended = Checkpoints(folder, config.run.keep_checkpoints).newest_first()
    steps = ended[0][0] if ended else config.run.steps  # a run of set minutes knows only afterwards
    return Done(steps, _export(stage, average, steps, file))


def make_stage(config: TrainConfig) -> Stage:
    """Models and data of a run, before its first step."""
    with torch.random.fork_rng():  # the weights a run starts from depend on its seed alone
        torch.manual_seed(seed_for(config.run.seed, "initial weights"))
        return {"vae": VaeStage, "base": BaseStage, "conditioner": ConditionerStage}[config.stage](config)


def export_run(config: TrainConfig, file: Path) -> Done:
    """Write the averaged weights of the newest checkpoint, without training."""
    _checked_file(str(file))
    saved = Checkpoints(Path(config.folder), config.run.keep_checkpoints).load()
    if saved is None:
        raise Track2ViewError(f"{config.folder} holds no checkpoint to export; train first.")
    start = "average."
    average = {name[len(start) :]: value for name, value in saved.tensors.items() if name.startswith(start)}
    return Done(saved.step, _export(make_stage(config), average, saved.step, file))


def _checked_file(name: str) -> Path | None:
    """Refused before the training, not after it."""
    if name and Path(name).suffix != ".safetensors":
        raise Track2ViewError(f"The file to export is {name}; it must end in .safetensors.")
    return Path(name) if name else None


def _export(stage: Stage, average: Mapping[str, Tensor], step: int, file: Path | None) -> Path | None:
    from accelerate import PartialState

    if file is None or not PartialState().is_main_process:
        return None
    file.parent.mkdir(parents=True, exist_ok=True)
    stage.export(average, file, {"steps": f"{step}"})
    return file
