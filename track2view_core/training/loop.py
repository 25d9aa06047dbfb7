"""The one training loop: any objective, one process or many, to be stopped and gone on with at any step."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from ..errors import Track2ViewError
from ..progress import Progress
from .batches import BatchSource, Feed, generator_for, seed_for
from .optimisers import make_optimisers, rate_factor
from .run_log import Meter, RunLog, Samples
from .run_state import Checkpoints, RunIdentity, RunState
from .settings import TrainSettings

Validate = Callable[[int], Mapping[str, float | Samples]]
"""Called with the step, in every process, while the averaged weights are in the module; returns figures and samples."""


class Objective(Protocol):
    """What is trained: a module, some of whose parameters require gradients, and its loss on a batch."""

    module: nn.Module

    def loss(self, batch: Any, generator: torch.Generator) -> Tensor:
        """A scalar. `generator` is freshly seeded for this step and process, on the CPU or where `run.noise` says."""
        ...


class Stopped(KeyboardInterrupt):
    """The run was asked to stop, and has saved where it is."""


SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """While the block runs, the first signal is remembered in `came` and the second one interrupts at once."""

    def __init__(self) -> None:
        self.came = False

    def __enter__(self) -> StopRequest:
        self._before = {}
        if threading.current_thread() is threading.main_thread():  # elsewhere nobody may listen
            self._before = {number: signal.signal(number, self._remember) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, _number: int, _frame: FrameType | None) -> None:
        if self.came:
            raise KeyboardInterrupt
        self.came = True


def train(
    objective: Objective,
    data: BatchSource,
    settings: TrainSettings,
    folder: Path | str,
    *,
    validate: Validate | None = None,
    progress: Progress | None = None,
    identity: Mapping[str, Any] | None = None,
) -> dict[str, Tensor]:
    """Train, or go on from the newest checkpoint in `folder`; returns the averaged weights that were trained.

    The names are those of `objective.module.named_parameters()`; the module itself holds the last weights. In `folder`:
    `checkpoints/`, `log.jsonl`, `samples/` and `tensorboard/`.

    identity: more settings that must not change between two parts of one run.
    progress: called after each step in the first process; what it raises ends the run once everything is saved.

    Raises:
        Track2ViewError: the folder holds a run of other settings, or the loss stays infinite.
        Stopped: Ctrl-C or a termination request came; everything is saved.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    run = _Run(objective, settings, folder, dict(identity or {}))
    run.resume()
    try:
        run.go(data, validate, progress)
    finally:
        run.log.close()
    return {name: run.state.whole(value) for name, value in run.state.average.items()}


class _Run:
    def __init__(self, objective: Objective, settings: TrainSettings, folder: Path, identity: dict[str, Any]) -> None:
        self.settings, self.folder = settings, folder
        self.accelerator = make_accelerator(settings)
        trainable = {name: p for name, p in objective.module.named_parameters() if p.requires_grad}
        if not trainable:
            raise Track2ViewError("Nothing of the model requires gradients; choose what is to be trained.")
        optimisers = make_optimisers(trainable, settings.optimiser)
        inner = _Step(objective, settings.precision == "bf16")
        self.autocast = inner.autocast
        self.step, *prepared = self.accelerator.prepare(inner, *optimisers)
        self.module = objective.module
        self.state = RunState(self.module, prepared, RunIdentity.of(settings, identity), settings.ema)
        self.rates = [[group["lr"] for group in optimiser.param_groups] for optimiser in prepared]
        self.checkpoints = Checkpoints(folder, settings.keep_checkpoints)
        self.meter = Meter()
        self.done = 0
        self.in_a_row = 0
        self.began = time.monotonic()

    @property
    def seconds(self) -> float:
        """On the clock, since the run began; the time between a stop and going on is not counted."""
        return time.monotonic() - self.began

    @property
    def total(self) -> int:
        """How many steps the run will have: as set, or as many as its minutes allow at the pace so far."""
        steps, minutes = self.settings.steps, self.settings.minutes
        if minutes is None or not self.done:
            return steps
        return max(self.done, min(steps, round(self.done * minutes * 60 / self.seconds)))

    @property
    def main(self) -> bool:
        return bool(self.accelerator.is_main_process)

    def resume(self) -> None:
        if self.main:
            self.checkpoints.clear_unfinished()
        saved = self.checkpoints.load()
        self.done = 0 if saved is None else saved.step
        if self.done > self.settings.steps:
            raise Track2ViewError(
                f"{self.folder} holds a run of {self.done} steps, and steps is {self.settings.steps}; raise steps, or "
                "name another folder."
            )
        if saved is not None:
            self.state.restore(saved.tensors, saved.state, self.folder)
            self.began -= saved.state.get("seconds", 0.0)
            self.meter = Meter.from_dict(saved.state["meter"])
        self.log = RunLog(self.folder, self.done, tensorboard=self.settings.tensorboard, write=self.main)
        for sentence in () if saved is None else saved.passed_over:
            self.log.event(self.done, "checkpoint_passed_over", sentence)

    def go(self, data: BatchSource, validate: Validate | None, progress: Progress | None) -> None:
        settings = self.settings
        feed = Feed(
            data,
            start=self.done,
            steps=settings.steps,
            total=lambda: self.total,
            accumulation=settings.accumulation,
            seed=settings.seed,
            process=self.accelerator.process_index,
            ahead=settings.prefetch,
        )
        with StopRequest() as stop, feed:
            while self.done < settings.steps:
                began = time.monotonic()
                self._advance(feed)
                self.meter.seconds += time.monotonic() - began
                over = settings.minutes is not None and self.seconds >= settings.minutes * 60
                last = self.done == settings.steps or self._any_process(over)
                if last or self.done % settings.log_every == 0:
                    self._write_figures()
                every = settings.validate_every
                if validate is not None and (last or (every and self.done % every == 0)):
                    self._validate(validate)
                interruption = self._tell(progress)
                stopping = self._any_process(stop.came or interruption is not None)
                if last or stopping or self.done % settings.checkpoint_every == 0:
                    self.save()
                if interruption is not None:
                    raise interruption
                if stopping and not last:
                    raise Stopped
                if last:
                    return

    def _tell(self, progress: Progress | None) -> BaseException | None:
        """Report a step; what that raises is kept until every process has saved, which they can only do together."""
        if progress is None or not self.main:
            return None
        try:
            progress(self.done, self.total, "training")
        except BaseException as interruption:
            return interruption
        return None

    def _advance(self, feed: Feed) -> None:
        """One step of the optimiser, or a skipped one."""
        settings, state = self.settings, self.state
        factor = rate_factor(self.done, self.total, settings.optimiser)
        torch.manual_seed(seed_for(settings.seed, self.done, self.accelerator.process_index, "global"))
        finite = self._gradients(feed)
        norm = 0.0
        if finite:
            norm = float(state.whole(self.accelerator.clip_grad_norm_(state.trainable.values(), settings.clip_norm)))
        finite = finite and math.isfinite(norm)
        if finite:
            for optimiser, rates in zip(state.optimisers, self.rates, strict=True):
                for group, rate in zip(optimiser.param_groups, rates, strict=True):
                    group["lr"] = rate * factor
                optimiser.step()
            state.update_average(self.done)
        for parameter in state.trainable.values():
            parameter.grad = None
        self.done += 1
        self.meter.step(self.rates[0][0] * factor, norm, finite)
        self._count_skipped(finite)

    def _gradients(self, feed: Feed) -> bool:
        """The mean of the gradients of the step's batches; returns whether all losses were finite, in all processes."""
        parts, finite = self.settings.accumulation, True
        for part in range(parts):
            batch = feed.take()
            if not finite:  # lost with its step: the next one begins with its own batches
                continue
            for sentence in batch.replaced:
                self.meter.broken += 1
                self.log.event(self.done + 1, "broken_sample", sentence)
            place = self.accelerator.device if self.settings.noise == "device" else "cpu"
            purpose = (self.settings.seed, self.done, self.accelerator.process_index, part, "noise")
            generator = generator_for(*purpose, device=place)
            last = part == parts - 1
            with nullcontext() if last else self.accelerator.no_sync(self.step):
                loss = self.step(batch.to(self.accelerator.device), generator)
                value = float(loss.detach())
                finite = not self._any_process(not math.isfinite(value))
                if finite:
                    self.accelerator.backward(loss / parts)
                    self.meter.loss(batch.name, value, len(batch))
        return finite

    def _any_process(self, flag: bool) -> bool:
        """Whether the flag is up in any process: all skip a step together, and stop after the same one."""
        if self.accelerator.num_processes == 1:
            return flag
        up = torch.tensor(float(flag), device=self.accelerator.device)
        return bool(self.accelerator.reduce(up, "sum") > 0)

    def _count_skipped(self, finite: bool) -> None:
        self.in_a_row = 0 if finite else self.in_a_row + 1
        if finite:
            return
        self.log.event(self.done, "skipped_step", f"Step {self.done} had a loss or gradient that is not finite.")
        if self.in_a_row >= self.settings.max_skipped:
            raise Track2ViewError(
                f"The loss or its gradient was not finite for {self.in_a_row} steps in a row, up to step {self.done}; "
                "lower optimiser.rate, or go on from an earlier checkpoint of the folder by removing the later ones."
            )

    def _write_figures(self) -> None:
        processes = self.accelerator.num_processes
        self.log.figures(self.done, {**self.meter.figures(processes), "failed_writes": self.log.lost})
        self.meter.start_line()

    def _validate(self, validate: Validate) -> None:
        with self.state.averaged_weights(), torch.no_grad(), self.autocast():
            found = validate(self.done)
        self.log.figures(self.done, {name: value for name, value in found.items() if not isinstance(value, Samples)})
        for name, value in found.items():
            if isinstance(value, Samples):
                self.log.samples(self.done, name, value)

    def save(self) -> None:
        """A checkpoint; one that cannot be written is counted and named, and the run goes on."""
        tensors, state = self.state.collected()
        if not self.main:
            return
        try:
            self.checkpoints.save(self.done, tensors, {**state, "meter": self.meter.to_dict(), "seconds": self.seconds})
        except (OSError, SafetensorError) as error:
            self.log.lost += 1
            self.log.event(self.done, "failed_write", f"The checkpoint of step {self.done} was not written: {error}.")


class _Step(nn.Module):
    """The loss as a module's forward, so that whatever accelerate wraps around the module sees it called."""

    def __init__(self, objective: Objective, half: bool) -> None:
        super().__init__()
        self.module, self.in_half = objective.module, half
        self._objective = (objective,)  # in a tuple: not a submodule, should it be one

    def forward(self, batch: Any, generator: torch.Generator) -> Tensor:
        with self.autocast():
            return self._objective[0].loss(batch, generator)

    def autocast(self) -> torch.autocast:
        device = next(self.module.parameters()).device.type
        return torch.autocast(device, torch.bfloat16, enabled=self.in_half)


def make_accelerator(settings: TrainSettings) -> Any:
    """accelerate's view of the machine, which its own config and `accelerate launch` decide."""
    try:
        from accelerate import Accelerator
        from accelerate.utils import DistributedDataParallelKwargs
    except ImportError as error:
        raise Track2ViewError("Training needs accelerate; pip install 'track2view[train]'.") from error
    accelerator = Accelerator(
        cpu=settings.device == "cpu",
        mixed_precision="no",  # the step's own autocast: accelerate would fix one precision for the whole process
        # A batch without any visible track leaves the transformer over time without gradients.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    kind = str(accelerator.distributed_type.value)
    if kind in ("DEEPSPEED", "MEGATRON_LM") or (kind == "FSDP" and not getattr(accelerator, "is_fsdp2", False)):
        raise Track2ViewError(
            f"accelerate is set to {kind}, which would cast or cut the frozen base beside the float32 weights that are "
            "trained; run `accelerate config` again and choose several GPUs, or FSDP with fsdp_version 2."
        )
    return accelerator
