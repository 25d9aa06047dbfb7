"""Every arm by name, in the order in which they run and stand in the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import WanTransformer3DModel

from benchmarks.claim import peers, track2view
from benchmarks.claim.arm import Arm
from track2view_core.wan.checkpoints import load_transformer

REFERENCE = "track2view"


@dataclass(frozen=True)
class ArmKind:
    label: str
    make: Callable[[WanTransformer3DModel, int], Arm]


MAIN: dict[str, ArmKind] = {
    REFERENCE: ArmKind("Track2View, token level", track2view.TokenLevel),
    "track2view_latent": ArmKind("Track2View, latent level", track2view.LatentLevel),
    "pose": ArmKind("camera pose embedding", peers.PoseEmbedding),
    "render": ArmKind("point render concatenated", peers.PointRender),
    "trajectory": ArmKind("trajectory attention", peers.TrajectoryAttention),
    "none": ArmKind("no camera", Arm),
}
ABLATIONS: dict[str, ArmKind] = {
    "no_temporal": ArmKind("no temporal transformer", track2view.NoTemporalTransformer),
    "no_source": ArmKind("no source scatter", track2view.NoSourceScatter),
    "no_depth": ArmKind("no depth", track2view.NoDepth),
    "max1": ArmKind("scatter_norm max1", track2view.ScatterMax1),
    "mean": ArmKind("frame_anchor mean", track2view.AnchorMean),
    "consecutive": ArmKind("rotary consecutive", track2view.RotaryConsecutive),
    "same": ArmKind("source_timestep same", track2view.SourceTimestepSame),
}
ARMS = MAIN | ABLATIONS


def build(name: str, transformer: Path, *, rank: int, seed: int) -> Arm:
    """A fresh arm on a backbone of its own. With one seed every arm starts from the same LoRA."""
    backbone = load_transformer(transformer)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return ARMS[name].make(backbone, rank)
