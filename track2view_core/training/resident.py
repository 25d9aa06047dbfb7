"""A data set held whole in a device's memory, and its batches drawn there, all pairs of a batch at once.

`batches.draw_batch` draws pair by pair on the CPU, which thousands of small clips on a fast card would wait for. What
it draws, and how tracks err and are paired, is the same here; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor

from ..cameras.projection import FAR_PIXEL, NEAR_DEPTH
from ..dataset import DatasetInfo, Shard
from ..dataset.shard import ShardReader, shard_files
from ..errors import Track2ViewError
from ..tracks import TrackBatch
from ..tracks.pairing import FRAMES_PER_LATENT
from ..tracks.track_batch import FLAT_RANGE, HIGH_PERCENTILE, LOW_PERCENTILE
from .batches import TEXT_DIM, CameraBatch, PairBatch, perturb
from .settings import BatchDraw

READERS = 4  # threads; checksums let go of Python's lock


def read_shards(folder: Path | str) -> tuple[DatasetInfo, list[Shard]]:
    """A data set's shards, each read whole and checked."""
    folder = Path(folder)
    info = DatasetInfo.read(folder)
    readers = [ShardReader(file) for file in shard_files(folder)]
    if not readers:
        raise Track2ViewError(f"The data set {folder} holds no shard; run track2view curate to its end.")
    for reader in readers:
        reader.check(info)
    with ThreadPoolExecutor(READERS) as pool:
        return info, list(pool.map(ShardReader.whole, readers))


class ResidentClips:
    """The pictures of a data set, on a device."""

    def __init__(self, folder: Path | str, device: torch.device | str) -> None:
        self.info, shards = read_shards(folder)
        if not self.info.has_frames:
            raise Track2ViewError(f"{folder} holds no frames; make it again with --keep-frames.")
        self.frames = torch.cat([shard.frames.to(device) for shard in shards if shard.frames is not None])
        """[clips, T, H, W, 3] uint8."""


@dataclass(frozen=True, eq=False)
class _View:
    """The same points in the cameras of B clips."""

    xy: Tensor  # [B, T, N, 2] pixels
    depth: Tensor  # [B, T, N]
    inside: Tensor  # [B, T, N] bool


class ResidentPairs:
    """Latents, cameras and tracks of a data set without texts, on a device.

    Raises:
        Track2ViewError: a shard is damaged, or holds no latents.
    """

    def __init__(self, folder: Path | str, device: torch.device | str) -> None:
        self.info, shards = read_shards(folder)
        if self.info.vae is None:
            raise Track2ViewError(f"The data set {folder} holds frames and no latents; encode it with a VAE first.")
        self.device = torch.device(device)
        self.latents = self._joined([shard.latents for shard in shards])
        self.poses = self._joined([shard.world_from_camera.float() for shard in shards])
        self.lenses = self._joined([shard.intrinsics.float() for shard in shards])
        self.counts = self._joined([shard.track_counts for shard in shards])
        most = max(shard.positions.shape[2] for shard in shards)
        self.positions = self._joined([_padded(shard.positions, most) for shard in shards])
        self.visible = self._joined([_padded(shard.visible, most) for shard in shards])
        pairs, clips, sets = [], 0, 0
        for shard in shards:
            pairs.append(shard.pairs + torch.tensor([clips, clips, sets]))
            clips, sets = clips + len(shard.names), sets + len(shard.positions)
        self.pairs = self._joined(pairs)

    def _joined(self, parts: Sequence[Tensor | None]) -> Tensor:
        return torch.cat([part.to(self.device) for part in parts if part is not None])

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self.pairs)

    def drawn(self, draw: BatchDraw, generator: torch.Generator, name: str = "") -> PairBatch:
        """What `draw_batch` draws; the same state of a generator on the CPU gives the same batch on one device.

        A track that is dropped stays in its place and is neither visible nor inside.
        """
        low, high = draw.tracks
        count = min(int(torch.randint(low, high + 1, (), generator=generator)), self.positions.shape[2])
        late = float(torch.rand((), generator=generator)) < draw.late_window
        start = int(torch.randint(1 << 30, (), generator=generator))
        own = torch.Generator(self.device).manual_seed(int(torch.randint(1 << 62, (), generator=generator)))

        def uniform(*shape: int) -> Tensor:
            return torch.rand(draw.batch, *shape, generator=own, device=self.device)

        number = torch.randint(len(self), (draw.batch,), generator=own, device=self.device)
        source, target, tracked = self.pairs[number].unbind(1)
        target = torch.where(uniform() < draw.identity, source, target)
        many = self.counts[tracked].clamp(max=count)
        missing = torch.arange(self.positions.shape[2], device=self.device) >= self.counts[tracked][:, None]
        order = (uniform(self.positions.shape[2]) + missing).argsort(1)[:, :count]
        kept = (many * (1 - draw.track_dropout * uniform())).round().clamp(min=1)
        present = torch.arange(count, device=self.device) < kept[:, None]
        batch = self.batch(source, target, tracked, order, present, draw, own)
        frames = batch.source.shape[2]
        if late and frames > 1:
            batch = batch.window(range(1 + start % max(1, frames // 4), frames))
        return PairBatch(**{**batch.__dict__, "name": name})

    def batch(
        self,
        source: Tensor,  # [B] clips
        target: Tensor,  # [B] clips
        tracked: Tensor,  # [B] sets of tracks
        order: Tensor,  # [B, N] which tracks
        present: Tensor,  # [B, N] bool: those that count
        draw: BatchDraw,
        generator: torch.Generator,  # on the device
    ) -> PairBatch:
        positions = rearrange(self.positions[tracked[:, None], :, order], "b n t xyz -> b t n xyz").contiguous()
        visible = rearrange(self.visible[tracked[:, None], :, order], "b n t -> b t n").contiguous()
        if draw.errors is not None:
            rotation, centre = self.poses[source][..., :3, :3], self.poses[source][:, :, None, :3, 3]
            points, focal = (positions - centre) @ rotation, self.lenses[source][:, 0, 0, 0]
            points, visible = perturb(points, visible, focal, self.info.width, draw.errors, generator)
            positions = points @ rotation.mT + centre
        visible = visible & present[:, None]
        views = {"source": self._seen_by(source, positions), "target": self._seen_by(target, positions)}
        views = {side: _View(view.xy, view.depth, view.inside & present[:, None]) for side, view in views.items()}
        at_latents = slice(None, None, FRAMES_PER_LATENT)
        low, high = _disparity_range(views, visible)
        entries = {"visible": visible[:, at_latents]}
        for side, view in views.items():
            depth, inside = view.depth[:, at_latents].contiguous(), view.inside[:, at_latents]
            disparity = (1 / torch.where(inside, depth, 1.0) - low) / (high - low)
            entries[f"{side}_xy"], entries[f"{side}_depth"] = view.xy[:, at_latents], depth
            entries[f"{side}_inside"], entries[f"{side}_disparity"] = (
                inside,
                torch.where(inside, disparity.clamp(0, 1), 0.0),
            )
        return PairBatch(
            source=self.latents[source].float(),
            target=self.latents[target].float(),
            tracks=TrackBatch(**entries, image_size=(self.info.height, self.info.width)),
            text=torch.zeros(len(source), 1, TEXT_DIM, device=self.device),
            source_camera=CameraBatch(self.poses[source][:, at_latents], self.lenses[source][:, at_latents]),
            target_camera=CameraBatch(self.poses[target][:, at_latents], self.lenses[target][:, at_latents]),
        )

    def _seen_by(self, clips: Tensor, points: Tensor) -> _View:
        """`cameras.project` for the cameras of B clips, in float32."""
        poses, lenses = self.poses[clips], self.lenses[clips]
        camera = (points - poses[:, :, None, :3, 3]) @ poses[..., :3, :3]
        depth = camera[..., 2]
        in_front = depth > NEAR_DEPTH
        pixels = camera @ lenses[..., :2, :].mT / torch.where(in_front, depth, 1.0)[..., None]
        size = torch.tensor([self.info.width, self.info.height], dtype=torch.float32, device=self.device)
        xy = torch.where(in_front[..., None], pixels.clamp(-FAR_PIXEL, FAR_PIXEL), -size)
        return _View(xy, depth, in_front & ((xy >= 0) & (xy < size)).all(-1))


def _padded(values: Tensor, tracks: int) -> Tensor:  # [sets, T, tracks, ...]
    """`[sets, T, n, ...]` with zeros (False) for the tracks it lacks."""
    sets, frames, count, *rest = values.shape
    return torch.cat([values, values.new_zeros(sets, frames, tracks - count, *rest)], dim=2)


def _disparity_range(views: dict[str, _View], visible: Tensor) -> tuple[Tensor, Tensor]:
    """1st and 99th percentile of 1 / depth in each clip, both views and all frames, each [B, 1, 1].

    Counted are inside points of tracks that the source shows at least once.
    """
    seen = (visible & views["source"].inside).any(1, keepdim=True)
    found = [torch.where(view.inside & seen, 1 / view.depth, torch.inf).flatten(1) for view in views.values()]
    ordered = torch.cat(found, 1).sort(1).values
    last = (ordered.isfinite().sum(1, keepdim=True) - 1).clamp(min=0)

    def percentile(share: float) -> Tensor:
        place = last * (share / 100)
        below, above = (ordered.gather(1, index.long()) for index in (place.floor(), place.ceil()))
        return torch.lerp(below, above, place - place.floor()).nan_to_num(posinf=1.0)

    low, high = percentile(LOW_PERCENTILE), percentile(HIGH_PERCENTILE)
    return low[..., None], torch.maximum(high, low + FLAT_RANGE * high)[..., None]


@dataclass(frozen=True, eq=False)
class ResidentShare:
    """One resident data set and how it is drawn from."""

    dataset: ResidentPairs
    draw: BatchDraw
    start: float = 0.0  # share of the run from which on it takes part
    name: str = ""

    def __post_init__(self) -> None:
        if self.draw.target_positions != "reprojected" or self.draw.frame_anchor != "last":
            raise Track2ViewError(
                "A resident data set gives reprojected tracks at the last frame of each latent frame; set resident to "
                "false, or draw.target_positions to reprojected and conditioner.frame_anchor to last."
            )

    def batch(self, generator: torch.Generator, empty_text: Tensor | None) -> PairBatch:
        return self.dataset.drawn(self.draw, generator, self.name)
