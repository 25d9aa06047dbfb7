"""One of two processes that train together on a CPU; `test_two_processes` starts them. Arguments: a folder.

Saving is made a collective here, as it is under FSDP, where every process has to bring its shards: a process that saves
alone waits in vain.
"""

import json
import math
import os
import signal
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed

from track2view_core.training import OptimiserSettings, Stopped, TrainSettings, train
from track2view_core.training.checkpoints import Checkpoints, RunState

RANK = int(os.environ["RANK"])
SETTINGS = {"device": "cpu", "prefetch": 0, "tensorboard": False, "log_every": 1, "accumulation": 2, "ema": 0.5}


@dataclass(frozen=True, eq=False)
class Rows:
    x: torch.Tensor  # [B, 4]
    name: str = ""
    replaced: tuple = ()

    def __len__(self):
        return len(self.x)

    def to(self, device):
        return self


class Line:
    """A linear fit; a call of this process may come out not finite."""

    def __init__(self, not_finite=None):
        torch.manual_seed(0)
        self.module, self.not_finite, self.noise = torch.nn.Linear(4, 1), not_finite, []

    def loss(self, batch, generator):
        self.noise.append(generator.initial_seed())
        loss = (self.module(batch.x) - batch.x.sum(1, keepdim=True)).square().mean()
        return loss * (math.nan if len(self.noise) == self.not_finite else 1.0)


class Source:
    def __init__(self):
        self.data = []

    def draw(self, step, steps, generator):
        self.data.append(generator.initial_seed())
        return Rows(torch.randn(2, 4, generator=generator))


def together(collected):
    def collected_together(self):
        torch.distributed.monitored_barrier(timeout=timedelta(seconds=20))
        return collected(self)

    return collected_together


def part(folder, steps, *, ends=None, not_finite=None):
    """A run, or a part of one: how it ended, at which step, its seeds, and a sum of its weights."""
    objective, source = Line(not_finite), Source()
    settings = TrainSettings(steps=steps, optimiser=OptimiserSettings(rate=0.05, warmup=0), **SETTINGS)
    ended = "done"
    try:
        train(objective, source, settings, folder, progress=ends)
    except (Stopped, KeyboardInterrupt) as error:
        ended = type(error).__name__
    torch.distributed.barrier()  # the first process writes the file
    weights = sum(parameter.double().sum().item() for parameter in objective.module.parameters())
    saved = Checkpoints(folder, 3).newest_first()[0][0]
    return {"ended": ended, "saved": saved, "noise": objective.noise, "data": source.data, "weights": weights}


def cancelled(done, total, stage):
    """What a progress bar's owner does, in the first process alone."""
    if done == 2:
        raise KeyboardInterrupt


def told_to_end(done, total, stage):
    if done == 3:
        os.kill(os.getpid(), signal.SIGTERM)  # of the first process alone


def main(folder):
    RunState.collected = together(RunState.collected)
    lost = 2 if RANK == 1 else None  # a loss of the first step, in the second process alone
    report = {
        "whole": part(folder / "whole", 5, not_finite=lost),
        "cancelled": part(folder / "parts", 5, ends=cancelled, not_finite=lost),
        "told to end": part(folder / "parts", 5, ends=told_to_end),
        "resumed": part(folder / "parts", 5),
    }
    (folder / f"rank_{RANK}.json").write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
