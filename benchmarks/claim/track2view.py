"""Track2View as the product trains it, at both levels, and what is left of it when one part is taken away."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from diffusers import WanTransformer3DModel
from torch import nn

from benchmarks.claim.arm import Arm
from track2view_core.conditioner import ConditionerConfig, TrackConditioner
from track2view_core.tracks import TrackBatch
from track2view_core.training.batches import PairBatch
from track2view_core.wan.seams import Deltas


class TokenLevel(Arm):
    """The paper's: features are gathered from tokens along the tracks and scattered into the tokens of both views."""

    settings: ClassVar[dict[str, str]] = {}

    def __init__(self, transformer: WanTransformer3DModel, rank: int) -> None:
        dim = transformer.config.num_attention_heads * transformer.config.attention_head_dim
        config = ConditionerConfig(dim=dim, width=64, layers=8, heads=2, **self.settings)
        super().__init__(transformer, rank, TrackConditioner(config))

    def deltas(self, pair: PairBatch) -> Deltas:
        return self.seams.deltas(pair.source, self.tracks(pair))

    def tracks(self, pair: PairBatch) -> TrackBatch:
        return pair.tracks


class LatentLevel(TokenLevel):
    """In addition the source latents, warped along the tracks at latent resolution."""

    settings: ClassVar[dict[str, str]] = {"scatter_level": "latent"}


class NoTemporalTransformer(TokenLevel):
    """Each latent frame speaks for itself: a point that is hidden there brings the mask token."""

    def __init__(self, transformer: WanTransformer3DModel, rank: int) -> None:
        super().__init__(transformer, rank)
        self.conditioner.blocks = nn.ModuleList()


class NoSourceScatter(TokenLevel):
    """Only the target's tokens are told of the tracks."""

    def deltas(self, pair: PairBatch) -> Deltas:
        both = super().deltas(pair)
        return Deltas(torch.zeros_like(both.source), both.target)


class NoDepth(TokenLevel):
    """Screen positions alone: no depth embedding to learn from, no z-buffer."""

    def tracks(self, pair: PairBatch) -> TrackBatch:
        nothing, one = torch.zeros_like(pair.tracks.source_depth), torch.ones_like(pair.tracks.source_depth)
        return replace(
            pair.tracks, source_depth=one, target_depth=one, source_disparity=nothing, target_disparity=nothing
        )


class ScatterMax1(TokenLevel):
    settings: ClassVar[dict[str, str]] = {"scatter_norm": "max1"}


class AnchorMean(TokenLevel):
    anchor = "mean"
    settings: ClassVar[dict[str, str]] = {"frame_anchor": "mean"}


class RotaryConsecutive(TokenLevel):
    rotary = "consecutive"


class SourceTimestepSame(TokenLevel):
    source_timestep = "same"
