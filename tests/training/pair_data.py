"""A data set of a few pairs in memory, and small models to train on it."""

import json
import math
from dataclasses import dataclass

import torch
from diffusers import WanTransformer3DModel

from track2view_core.cameras import CameraPath
from track2view_core.conditioner import ConditionerConfig, TrackConditioner
from track2view_core.dataset import BrokenSample, ClipPair, DatasetClip
from track2view_core.tracks import PointTracks
from track2view_core.training import (
    BatchDraw,
    ConditionerObjective,
    FlowSettings,
    OptimiserSettings,
    PairShare,
    PairSource,
    TrainSettings,
)
from track2view_core.wan.lora import add_lora

FRAMES, SIZE, TRACKS = 9, 64, 40


class PairsInMemory:
    """`count` pairs of random latents; those of `broken` cannot be read."""

    def __init__(self, count=4, *, frames=FRAMES, size=SIZE, broken=(), text=False):
        self.pairs = [made_pair(index, frames, size, text) for index in range(count)]
        self.broken = set(broken)

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        if index in self.broken:
            raise BrokenSample(f"The sample shard_000000 pair {index} is broken (NaN); make its shard again.")
        return self.pairs[index]


def made_pair(seed, frames=FRAMES, size=SIZE, text=False):
    generator = torch.Generator().manual_seed(seed)
    time = torch.linspace(0, 1, frames)
    source, target = (
        clip(name, sign * time, size, generator, text) for name, sign in (("source", 0.3), ("target", -0.8))
    )
    spread, near = torch.tensor([2.0, 2.0, 3.0]), torch.tensor([-1.0, -1.0, 2.0])
    points = torch.rand(TRACKS, 3, generator=generator) * spread + near
    drift = 0.2 * time[:, None, None] * torch.randn(TRACKS, 3, generator=generator)
    visible = torch.rand(frames, TRACKS, generator=generator) < 0.8
    tracks = PointTracks(points + drift, visible, torch.ones(frames, TRACKS), source.camera)
    return ClipPair(source, target, tracks, None, f"shard_000000 pair {seed}")


def clip(name, shift, size, generator, text):
    frames = len(shift)
    poses = torch.eye(4, dtype=torch.float64).repeat(frames, 1, 1)
    angle = 0.2 * shift.double()
    poses[:, 0, 0] = poses[:, 2, 2] = angle.cos()
    poses[:, 0, 2], poses[:, 2, 0] = angle.sin(), -angle.sin()
    poses[:, 0, 3] = shift
    half = size / 2
    lens = torch.tensor([[1.2 * half, 0, half], [0, 1.2 * half, half], [0, 0, 1]], dtype=torch.float64)
    camera = CameraPath(poses, lens.expand(frames, 3, 3), size, size)
    latent = torch.randn(16, (frames - 1) // 4 + 1, size // 8, size // 8, generator=generator)
    embedding = torch.randn(7, 4096, generator=generator) / math.sqrt(4096) if text else None
    return DatasetClip(latent, camera, "a scene", embedding, name)


def tiny_pair_objective(seed=0, level="latent"):
    """LoRA and conditioner on a base of random weights, one block deep."""
    torch.manual_seed(seed)
    transformer = WanTransformer3DModel(
        num_attention_heads=1,
        attention_head_dim=128,
        in_channels=16,
        out_channels=16,
        num_layers=1,
        ffn_dim=128,
        text_dim=4096,
        freq_dim=64,
        rope_max_seq_len=64,
    ).requires_grad_(False)
    add_lora(transformer, 4, 4.0)
    conditioner = TrackConditioner(ConditionerConfig(dim=128, width=32, layers=1, heads=1, scatter_level=level))
    return ConditionerObjective(transformer, conditioner, FlowSettings(shift=3.0))


def small_source(dataset=None, **changes):
    draw = BatchDraw(**{"batch": 2, "tracks": (8, 24), "track_dropout": 0.3, **changes})
    return PairSource([PairShare(PairsInMemory() if dataset is None else dataset, draw, name="pairs")])


def small_settings(steps, **changes):
    kept = {"device": "cpu", "prefetch": 0, "tensorboard": False, "log_every": 1, "checkpoint_every": 2, "ema": 0.9}
    kept["optimiser"] = OptimiserSettings(rate=2e-3, warmup=2, points=((0.0, 1.0),))
    return TrainSettings(steps=steps, **{**kept, **changes})


class Toy:
    """Mean squared error of a line through the origin; what it sees is remembered, and some calls can be NaN."""

    def __init__(self, not_finite=()):
        torch.manual_seed(0)
        self.module = torch.nn.ModuleDict({"blocks": torch.nn.Linear(4, 4, False), "head": torch.nn.Linear(4, 1)})
        self.not_finite, self.seen, self.noise = set(not_finite), [], []

    def loss(self, batch, generator):
        self.seen.append(batch.name)
        self.noise.append(generator.initial_seed())
        error = self.module["head"](self.module["blocks"](batch.x)) - batch.x.sum(1, keepdim=True) - 1
        return error.square().mean() * (math.nan if len(self.seen) in self.not_finite else 1.0)


@dataclass(frozen=True, eq=False)
class Rows:
    x: torch.Tensor  # [B, 4]
    name: str
    replaced: tuple = ()

    def __len__(self):
        return len(self.x)

    def to(self, device):
        return self


class ToySource:
    """Random rows, named by the step they were drawn for."""

    def __init__(self, batch=2):
        self.batch, self.seeds = batch, []

    def draw(self, step, steps, generator):
        self.seeds.append(generator.initial_seed())
        return Rows(torch.randn(self.batch, 4, generator=generator), f"step {step}")


def lines(folder):
    """The lines of a run's log that hold figures of a step."""
    written = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [line for line in map(json.loads, written) if "loss" in line]


def curve(folder):
    """[(step, loss)] of a run's log."""
    return [(line["step"], line["loss"]) for line in lines(folder)]


def events(folder, kind):
    written = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [line for line in map(json.loads, written) if line.get("event") == kind]
