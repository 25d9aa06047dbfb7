"""Training pairs from cached latents and tracks: any two cameras of a scene, tracks that err, windows of a clip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from ..tracks import TrackBatch
from .latents import Size
from .shards import Shard
from .tracker_errors import TrackerErrors, perturb


@dataclass(frozen=True, eq=False)
class PairBatch:
    source: Tensor  # [B, 16, F, h, w] model latents
    target: Tensor  # [B, 16, F, h, w]
    tracks: TrackBatch


@dataclass(frozen=True)
class PairDraw:
    """How a batch is drawn."""

    batch: int
    tracks: tuple[int, int]  # least and most tracks a batch
    identity: float = 0.1  # share of pairs whose target is the source itself
    late_window: float = 0.25  # share of batches cut to a window that does not start at frame 0
    errors: TrackerErrors | None = TrackerErrors()  # noqa: RUF009 - frozen


class RenderedPairs:
    """The shards of one size in memory, latents in half precision."""

    def __init__(self, shards: list[Path], latents: Path, size: Size) -> None:
        loaded = [Shard.load(file) for file in shards]
        self.latents = torch.cat([load_file(latents / file.name)["latents"] for file in shards])
        self.world_from_camera = torch.cat([shard.world_from_camera for shard in loaded])
        self.positions = torch.cat([shard.positions for shard in loaded])
        self.visible = torch.cat([shard.visible for shard in loaded])
        scale = 0.5 if size == "half" else 1.0
        self.intrinsics = torch.cat([shard.intrinsics for shard in loaded]) * torch.tensor([scale, scale, 1.0])[:, None]
        self.size = int(loaded[0].frames.shape[-2] * scale)

    def __len__(self) -> int:
        return len(self.intrinsics)

    def draw(self, how: PairDraw, generator: torch.Generator) -> PairBatch:
        """One batch; the same generator state gives the same batch."""
        cameras = self.positions.shape[1]
        scene = torch.randint(len(self), (how.batch,), generator=generator)
        source = torch.randint(cameras, (how.batch,), generator=generator)
        other = (source + torch.randint(1, cameras, (how.batch,), generator=generator)) % cameras
        same = torch.rand(how.batch, generator=generator) < how.identity
        target = torch.where(same, source, other)
        tracks = self._tracks(scene, source, target, how, generator)
        pair = PairBatch(self.latents[scene, source].float(), self.latents[scene, target].float(), tracks)
        if float(torch.rand((), generator=generator)) < how.late_window:
            window = list(range(1, pair.source.shape[2]))
            pair = PairBatch(pair.source[:, :, window], pair.target[:, :, window], tracks.window(window))
        return pair

    def _tracks(
        self, scene: Tensor, source: Tensor, target: Tensor, how: PairDraw, generator: torch.Generator
    ) -> TrackBatch:
        low, high = how.tracks
        count = int(torch.randint(low, high + 1, (1,), generator=generator))
        kept = torch.randperm(self.positions.shape[3], generator=generator)[:count]
        intrinsics = self.intrinsics[scene]
        seen_from, filmed_from = self.world_from_camera[scene, source], self.world_from_camera[scene, target]
        points = _into(seen_from, self.positions[scene, source][:, :, kept])
        visible = self.visible[scene, source][:, :, kept]
        if how.errors is not None:
            points, visible = perturb(points, visible, intrinsics[:, 0, 0], self.size, how.errors, generator)
        world = points @ seen_from[..., :3, :3].transpose(-1, -2) + seen_from[..., None, :3, 3]
        return _paired(points, _into(filmed_from, world), visible, intrinsics, self.size)


def _into(world_from_camera: Tensor, world: Tensor) -> Tensor:
    """World points [B, F, N, 3] in the axes of cameras [B, F, 4, 4]."""
    return (world - world_from_camera[..., None, :3, 3]) @ world_from_camera[..., :3, :3]


def _paired(source: Tensor, target: Tensor, visible: Tensor, intrinsics: Tensor, size: int) -> TrackBatch:
    """TrackBatch of points given in both cameras' axes, normalised as tracks.collate_tracks does."""
    views: dict[str, Tensor] = {}
    for name, points in (("source", source), ("target", target)):
        depth = points[..., 2]
        pixel = points @ intrinsics[:, None].transpose(-1, -2)
        xy = pixel[..., :2] / depth.clamp_min(1e-3)[..., None]
        inside = (depth > 1e-3) & (xy >= 0).all(-1) & (xy < size).all(-1)
        views |= {f"{name}_xy": xy, f"{name}_depth": depth, f"{name}_inside": inside}
    counted = (visible & views["source_inside"]).any(1, keepdim=True)
    disparity = {name: 1 / views[f"{name}_depth"].clamp_min(1e-3) for name in ("source", "target")}
    both = torch.stack(
        [torch.where(views[f"{name}_inside"] & counted, disparity[name], torch.nan) for name in ("source", "target")], 1
    ).flatten(1)
    low, high = torch.nanquantile(both, torch.tensor([0.01, 0.99]), dim=1).nan_to_num(0.0)[:, :, None, None]
    for name in ("source", "target"):
        scaled = ((disparity[name] - low) / (high - low).clamp_min(1e-3)).clamp(0, 1)
        views[f"{name}_disparity"] = torch.where(views[f"{name}_inside"], scaled, 0.0)
    return TrackBatch(**views, visible=visible & views["source_inside"], image_size=(size, size))
