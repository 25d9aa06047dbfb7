"""The arms: a frozen backbone with a LoRA, source and noised target side by side, each told the camera in its own way.

First what all share, then Track2View at both levels and with one part taken away, then the other ways of telling a
video model its camera, each in the smallest form that keeps its idea; last all by name, in the order of the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from diffusers import WanTransformer3DModel
from einops import rearrange
from torch import Tensor, nn

from track2view_core.conditioner import ConditionerConfig, TrackConditioner, sample_along_tracks, scatter_to_grid
from track2view_core.conditioner.gather_scatter import warp_latents
from track2view_core.conditioner.temporal import rotary_table, rotate
from track2view_core.tracks import TrackBatch
from track2view_core.tracks.pairing import FrameAnchor
from track2view_core.training.batches import CameraBatch, PairBatch
from track2view_core.training.objectives import drawn_levels, noised
from track2view_core.wan.checkpoints import load_transformer
from track2view_core.wan.lora import add_lora
from track2view_core.wan.sampler import TRAIN_TIMESTEPS, initial_noise, make_scheduler
from track2view_core.wan.seams import Deltas, Rotary, SourceAttention, SourceTimestep, attach_seams


class Arm(nn.Module):
    """No camera at all: the model sees the source and has to guess. The other arms add to this one.

    Every addition starts at zero, so that all arms begin as this one does.
    """

    rotary: Rotary = "shared"
    source_timestep: SourceTimestep = "zero"
    source_attention: SourceAttention = "full"
    anchor: FrameAnchor = "last"

    def __init__(self, transformer: WanTransformer3DModel, rank: int, conditioner: TrackConditioner | None = None):
        super().__init__()
        transformer.requires_grad_(False)
        add_lora(transformer, rank, rank)
        self.transformer, self.conditioner = transformer, conditioner
        self.seams = attach_seams(
            transformer,
            conditioner,
            rotary=self.rotary,
            source_timestep=self.source_timestep,
            source_attention=self.source_attention,
        )

    def deltas(self, pair: PairBatch) -> Deltas | None:
        """What is added to the tokens of both views; it knows neither timestep nor noise."""
        return None

    @contextmanager
    def inside_blocks(self, pair: PairBatch) -> Iterator[None]:
        """For arms whose blocks must know the pair while a forward runs."""
        yield

    def velocity(self, noised: Tensor, timestep: Tensor, pair: PairBatch, deltas: Deltas | None) -> Tensor:
        with self.inside_blocks(pair):
            return self.seams(noised, pair.source, timestep, pair.text, deltas=deltas)

    def trainable(self) -> dict[str, nn.Parameter]:
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}


class FlowMatching:
    """What is minimised, the same for every arm: the target's velocity at a random noise level."""

    def __init__(self, arm: Arm, shift: float) -> None:
        self.module, self.shift = arm, shift

    def loss(self, batch: PairBatch, generator: torch.Generator) -> Tensor:
        noisy = noised(batch.target, drawn_levels(len(batch), self.shift, generator), generator)
        velocity = self.module.velocity(noisy.latent, noisy.timestep, batch, self.module.deltas(batch))
        return (velocity.float() - noisy.velocity).square().mean()


@torch.no_grad()
def generate(arm: Arm, pair: PairBatch, *, steps: int, shift: float, seed: int) -> Tensor:
    """Sample the target view with Euler steps: [1, 16, F, h, w]. A seed means the same noise to every arm."""
    schedule = make_scheduler("euler", steps, shift)
    latent, deltas = initial_noise(pair.source, seed), arm.deltas(pair)
    for sigma, timestep in zip(schedule.sigmas, schedule.timesteps, strict=False):
        velocity = arm.velocity(latent, sigma[None] * TRAIN_TIMESTEPS, pair, deltas)
        latent = schedule.step(velocity, timestep, latent, return_dict=False)[0]
    return latent


@torch.no_grad()
def velocity_error(arm: Arm, pair: PairBatch, levels: Sequence[float], seed: int) -> float:
    """Mean squared error of the velocity at set noise levels, under set noise: the loss without its luck."""
    deltas, errors = arm.deltas(pair), []
    for level in levels:
        noisy = noised(pair.target, torch.tensor([level]), torch.Generator().manual_seed(seed))
        velocity = arm.velocity(noisy.latent, noisy.timestep, pair, deltas)
        errors.append((velocity - noisy.velocity).square().mean())
    return float(torch.stack(errors).mean())


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


class OwnSource(TokenLevel):
    """The source's tokens attend to the source alone, so that sampling computes them once: half of every step."""

    source_attention = "own"


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


POSE_NUMBERS = 13  # the upper three rows of the pose, and the focal length over the picture's width


def width_of(transformer: WanTransformer3DModel) -> int:
    return transformer.config.num_attention_heads * transformer.config.attention_head_dim


def pose_numbers(camera: CameraBatch, first: Tensor, width: int) -> Tensor:
    """[B, F, 13] of every latent frame, the pose relative to `first` [B, 4, 4]."""
    relative = torch.linalg.inv(first)[:, None] @ camera.world_from_camera
    rows = rearrange(relative[..., :3, :], "b f i j -> b f (i j)")
    return torch.cat([rows, camera.intrinsics[..., :1, 0] / width], -1)


class PoseEmbedding(Arm):
    """ReCamMaster's way: each block adds a linear of the frame's extrinsics to its tokens before self-attention.

    More is told than there: the source's tokens get the source's own cameras, and every frame its focal length.
    """

    def __init__(self, transformer: WanTransformer3DModel, rank: int) -> None:
        super().__init__(transformer, rank)
        dim = width_of(transformer)
        self.encoders = nn.ModuleList(nn.Linear(POSE_NUMBERS, dim) for _ in transformer.blocks)
        for encoder, block in zip(self.encoders, transformer.blocks, strict=True):
            nn.init.zeros_(encoder.weight)
            nn.init.zeros_(encoder.bias)
            block.attn1.register_forward_pre_hook(partial(self._before_attention, encoder))
        self._poses: Tensor | None = None  # [B, 2F, 13] target, then source

    @contextmanager
    def inside_blocks(self, pair: PairBatch) -> Iterator[None]:
        first, width = pair.source_camera.world_from_camera[:, 0], pair.tracks.image_size[1]
        views = (pair.target_camera, pair.source_camera)
        self._poses = torch.cat([pose_numbers(camera, first, width) for camera in views], 1)
        try:
            yield
        finally:
            self._poses = None

    def _before_attention(self, encoder: nn.Linear, _module: nn.Module, inputs: tuple) -> tuple | None:
        if self._poses is None:
            return None
        tokens, *others = inputs
        added = encoder(self._poses).repeat_interleave(tokens.shape[1] // self._poses.shape[1], 1)
        return tokens + added, *others


class PointRender(Arm):
    """TrajectoryCrafter's and GEN3C's way: a render of the points in the target view, and its holes, come beside it.

    The render is one of latents, as the points are too few for pixels. What the input gains in channels goes through
    a patch embedding of its own, which is what widening the input's own one would be.
    """

    def __init__(self, transformer: WanTransformer3DModel, rank: int) -> None:
        super().__init__(transformer, rank)
        channels = transformer.config.in_channels + 1
        self.render_patch = nn.Conv3d(channels, width_of(transformer), (1, 2, 2), (1, 2, 2), bias=False)
        nn.init.zeros_(self.render_patch.weight)

    def deltas(self, pair: PairBatch) -> Deltas:
        seen = pair.tracks.visible & pair.tracks.source_inside
        target = self.render_patch(warp_latents(pair.source, pair.tracks, seen, beta=10.0, norm="mean_coverage"))
        return Deltas(torch.zeros_like(target), target)


@dataclass(frozen=True, eq=False)
class _Routes:
    """Where the tracks pass in [target, source]: as the sequence runs."""

    xy: Tensor  # [B, 2F, N, 2]
    depth: Tensor  # [B, 2F, N]
    reach: Tensor  # [B, 2F, N] bool
    image_size: tuple[int, int]
    grid: tuple[int, int]  # of tokens

    @classmethod
    def of(cls, tracks: TrackBatch, grid: tuple[int, int]) -> _Routes:
        visible = tracks.visible & tracks.source_inside
        reach = torch.cat([tracks.target_inside & visible.any(1, keepdim=True), visible], 1)
        xy = torch.cat([tracks.target_xy, tracks.source_xy], 1)
        return cls(xy, torch.cat([tracks.target_depth, tracks.source_depth], 1), reach, tracks.image_size, grid)


class AlongTracks(nn.Module):
    """Attention over the tokens that one track meets, in both views and at all times."""

    def __init__(self, dim: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.input = nn.Linear(dim, width)
        self.view = nn.Parameter(0.02 * torch.randn(2, 1, 1, width))
        self.qkv = nn.Linear(width, 3 * width)

    def forward(self, values: Tensor, reach: Tensor) -> Tensor:
        """values [B, 2F, N, D], reach [B, 2F, N] -> [B, 2F, N, width]; what is not reached is not listened to."""
        frames, tracks = values.shape[1] // 2, values.shape[2]
        x = rearrange(self.input(self.norm(values)), "b (view f) n d -> b view f n d", view=2) + self.view
        rows = rearrange(x, "b view f n d -> (b n) (view f) d")
        keys = rearrange(reach, "b t n -> (b n) t")
        keys = keys | ~keys.any(1, keepdim=True)  # a track without any is scattered nowhere, but must stay finite
        q, k, v = rearrange(self.qkv(rows), "row t (part head d) -> part row t head d", part=3, head=self.heads)
        table = rotary_table(frames, q.shape[-1], rows.device).repeat(2, 1, 1)
        q, k, v = (rearrange(part, "row t head d -> row head t d") for part in (rotate(q, table), rotate(k, table), v))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=keys[:, None, None])
        return rearrange(mixed, "(b n) head t d -> b t n (head d)", n=tracks)


class TrajectoryAttention(Arm):
    """Trajectory Attention's way: each block has a second attention, along the tracks, whose output starts at zero.

    There a track runs through one view; here through both, or the source would not be reached.
    """

    def __init__(self, transformer: WanTransformer3DModel, rank: int, width: int = 64, heads: int = 2) -> None:
        super().__init__(transformer, rank)
        dim = width_of(transformer)
        self.attention = nn.ModuleDict(
            {"blocks": nn.ModuleList(AlongTracks(dim, width, heads) for _ in transformer.blocks)}
        )
        self.outputs = nn.ModuleList(nn.Linear(width, dim, bias=False) for _ in transformer.blocks)
        for number, block in enumerate(transformer.blocks):
            nn.init.zeros_(self.outputs[number].weight)
            block.register_forward_hook(partial(self._after_block, number))
        self._routes: _Routes | None = None

    @contextmanager
    def inside_blocks(self, pair: PairBatch) -> Iterator[None]:
        rows, columns = pair.source.shape[-2:]
        self._routes = _Routes.of(pair.tracks, (rows // 2, columns // 2))
        try:
            yield
        finally:
            self._routes = None

    def _after_block(self, number: int, _module: nn.Module, _inputs: tuple, tokens: Tensor) -> Tensor | None:
        routes = self._routes
        if routes is None:
            return None
        height, width = routes.grid
        grid = rearrange(tokens, "b (t h w) d -> b d t h w", h=height, w=width)
        values = sample_along_tracks(grid, routes.xy, routes.image_size)
        mixed = self.attention["blocks"][number](values, routes.reach)
        mean, _ = scatter_to_grid(mixed, routes.xy, routes.depth, routes.reach, routes.grid, routes.image_size)
        return tokens + self.outputs[number](rearrange(mean, "b d t h w -> b (t h w) d"))


REFERENCE = "track2view"


@dataclass(frozen=True)
class ArmKind:
    label: str
    make: Callable[[WanTransformer3DModel, int], Arm]


MAIN: dict[str, ArmKind] = {
    REFERENCE: ArmKind("Track2View, token level", TokenLevel),
    "own": ArmKind("Track2View, source once", OwnSource),
    "track2view_latent": ArmKind("Track2View, latent level", LatentLevel),
    "pose": ArmKind("camera pose embedding", PoseEmbedding),
    "render": ArmKind("point render concatenated", PointRender),
    "trajectory": ArmKind("trajectory attention", TrajectoryAttention),
    "none": ArmKind("no camera", Arm),
}
ABLATIONS: dict[str, ArmKind] = {
    "no_temporal": ArmKind("no temporal transformer", NoTemporalTransformer),
    "no_source": ArmKind("no source scatter", NoSourceScatter),
    "no_depth": ArmKind("no depth", NoDepth),
    "max1": ArmKind("scatter_norm max1", ScatterMax1),
    "mean": ArmKind("frame_anchor mean", AnchorMean),
    "consecutive": ArmKind("rotary consecutive", RotaryConsecutive),
    "same": ArmKind("source_timestep same", SourceTimestepSame),
}
ARMS = MAIN | ABLATIONS


def build(name: str, transformer: Path, *, rank: int, seed: int) -> Arm:
    """A fresh arm on a backbone of its own. With one seed every arm starts from the same LoRA."""
    backbone = load_transformer(transformer)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return ARMS[name].make(backbone, rank)
