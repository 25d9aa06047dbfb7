"""One of two processes that train together on a CPU; `test_two_processes` starts them. Arguments: a folder.

They train with equal weights, as on several GPUs, and with weights cut into shards by FSDP 2. Saving is a collective
there, since every process has to bring its shards, and is made one here without shards, too: a process that saves alone
waits in vain.
"""

import json
import math
import os
import signal
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed.fsdp
from accelerate import PartialState
from torch.distributed.device_mesh import init_device_mesh

from track2view_core.training import OptimiserSettings, Stopped, TrainSettings, loop, train
from track2view_core.training.run_state import Checkpoints, RunState

RANK = int(os.environ.get("RANK", 0))
KINDS = {"equal weights": False, "shards": True}  # whether the weights are cut
if not hasattr(torch.distributed.fsdp, "fully_shard"):  # torch before 2.6
    del KINDS["shards"]
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

    def __init__(self, sharded, not_finite=None):
        torch.manual_seed(0)
        self.module = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Linear(6, 1))
        if sharded:
            torch.distributed.fsdp.fully_shard(self.module, mesh=init_device_mesh("cpu", (2,)))
        self.not_finite, self.noise, self.dropout = not_finite, [], []

    def loss(self, batch, generator):
        self.noise.append(generator.initial_seed())
        self.dropout.append(torch.initial_seed())  # what the modules themselves draw from
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
        torch.distributed.monitored_barrier(timeout=timedelta(seconds=60))
        return collected(self)

    return collected_together


make_accelerator = loop.make_accelerator


def leaving_shards(settings):
    """An accelerator that takes a module as it is: on a CPU, accelerate itself cuts none into shards."""
    accelerator = make_accelerator(settings)
    accelerator.prepare = lambda *prepared: prepared
    return accelerator


def part(folder, steps, *, sharded=False, ends=None, not_finite=None):
    """A run, or a part of one: how it ended, at which step, its seeds, and its weights."""
    loop.make_accelerator = leaving_shards if sharded else make_accelerator
    objective, source = Line(sharded, not_finite), Source()
    settings = TrainSettings(steps=steps, optimiser=OptimiserSettings(rate=0.05, warmup=0), **SETTINGS)
    ended = "done"
    try:
        train(objective, source, settings, folder, progress=ends)
    except (Stopped, KeyboardInterrupt) as error:
        ended = type(error).__name__
    torch.distributed.barrier()  # the first process writes the file
    weights = torch.cat([RunState.whole(weight.detach()).flatten() for weight in objective.module.parameters()])
    seeds = {"noise": objective.noise, "dropout": objective.dropout, "data": source.data}
    saved = Checkpoints(folder, 3).newest_first()[0][0]
    return {"ended": ended, "saved": saved, "seeds": seeds, "weights": weights.tolist()}


def cancelled(done, total, stage):
    """What a progress bar's owner does, in the first process alone."""
    if done == 2:
        raise KeyboardInterrupt


def told_to_end(done, total, stage):
    if done == 3:
        os.kill(os.getpid(), signal.SIGTERM)  # of the first process alone


def main(folder):
    meeting = f"file://{folder / 'meeting'}"  # rather than a port, which another program could take
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=RANK, world_size=2)
    PartialState(cpu=True)
    RunState.collected = together(RunState.collected)
    lost = 2 if RANK == 1 else None  # a loss of the first step, in the second process alone
    report = {}
    for kind, sharded in KINDS.items():
        whole, parts = folder / kind / "whole", folder / kind / "parts"
        report[kind] = {
            "whole": part(whole, 5, sharded=sharded, not_finite=lost),
            "cancelled": part(parts, 5, sharded=sharded, ends=cancelled, not_finite=lost),
            "told to end": part(parts, 5, sharded=sharded, ends=told_to_end),
            "resumed": part(parts, 5, sharded=sharded),
        }
    (folder / f"rank_{RANK}.json").write_text(json.dumps(report), encoding="utf-8")
    until = time.monotonic() + 60
    while not (folder / f"rank_{1 - RANK}.json").exists() and time.monotonic() < until:
        time.sleep(0.05)  # to end before the other has what was sent to it would cut it off


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    os._exit(0)  # gloo's threads may abort an interpreter that takes itself down
