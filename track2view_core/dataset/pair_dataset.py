"""PairDataset: the pairs of a data set by number, each checked when it is read."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import torch
from torch import Tensor

from ..cameras import CameraPath
from ..errors import Track2ViewError
from ..tracks import PointTracks
from .dataset_info import DatasetInfo
from .shard import ShardReader, read_report, shard_files


class BrokenSample(Track2ViewError):
    """One pair cannot be used; the others can. The message names the shard, the pair and what is wrong."""


@dataclass(frozen=True, eq=False)
class DatasetClip:
    latent: Tensor  # [16, F, h, w] float32, normalised as WAN's
    camera: CameraPath  # T video frames
    caption: str
    text: Tensor | None  # [L, 4096] bfloat16, up to the last token
    name: str
    number: int = 0  # in the data set, as clip_frames takes it


@dataclass(frozen=True, eq=False)
class ClipPair:
    """Two clips of one scene, and the tracks that the source shows; the world is frame 0 of both cameras."""

    source: DatasetClip
    target: DatasetClip
    tracks: PointTracks  # at video frames; its camera is the source's
    target_positions: Tensor | None  # [T, N, 3] float32 world, where a tracker measured the target view
    name: str


class PairDataset:
    """The pairs of all shards in a folder, numbered shard after shard.

    A shard that cannot be opened keeps the numbers that the report gives it (one where the report knows it not), and
    each of them raises BrokenSample: the others keep theirs, and the loss is named when it is met.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.info = DatasetInfo.read(self.folder)
        self._shards = [ShardReader(file) for file in shard_files(self.folder)]
        if not self._shards:
            raise Track2ViewError(f"The data set {self.folder} holds no shard; run track2view curate to its end.")
        self._broken: dict[int, str] = {}
        expected = read_report(self.folder)["shards"]
        counts = [self._counted(i, expected.get(shard.file.name, {})) for i, shard in enumerate(self._shards)]
        self._pair_ends, self._clip_ends = (list(accumulate(column)) for column in zip(*counts, strict=True))

    def _counted(self, index: int, expected: dict[str, int]) -> tuple[int, int]:
        shard = self._shards[index]
        try:
            shard.check(self.info)
            return shard.pair_count, shard.clip_count
        except Track2ViewError as error:
            self._broken[index] = str(error)
            return int(expected.get("pairs", 1)), int(expected.get("clips", 1))

    def __len__(self) -> int:
        """The number of pairs."""
        return self._pair_ends[-1]

    @property
    def clip_count(self) -> int:
        return self._clip_ends[-1]

    def __getitem__(self, index: int) -> ClipPair:
        """Pair `index`.

        Raises:
            BrokenSample: something of it is damaged.
            Track2ViewError: the data set holds frames alone.
        """
        if self.info.vae is None:
            raise Track2ViewError(
                f"The data set {self.folder} holds frames and no latents; encode it with a VAE first."
            )
        return self.pair(index)

    def pair(self, index: int) -> ClipPair:
        """Pair `index`, with empty latents where the data set holds frames alone."""
        number, pair = _located(index, self._pair_ends, "pair")
        name = f"{self._shards[number].file.stem} pair {pair}"
        try:
            self._check_whole(number)
            return self._pair(number, pair, name)
        except (Track2ViewError, OSError, IndexError, ValueError) as error:
            raise _broken(name, error) from error

    def clip_frames(self, index: int) -> Tensor:
        """The pictures uint8 [T, H, W, 3] of clip `index`, where they were kept."""
        number, clip = _located(index, self._clip_ends, "clip")
        shard = self._shards[number]
        try:
            self._check_whole(number)
            if shard.has("frames"):
                return shard.row("frames", clip)
        except (Track2ViewError, OSError) as error:
            raise _broken(f"{shard.file.stem} clip {clip}", error) from error
        raise Track2ViewError(f"The data set {self.folder} was made without frames; make it again and keep them.")

    def _check_whole(self, number: int) -> None:
        if number in self._broken:
            raise Track2ViewError(self._broken[number])

    def _pair(self, number: int, pair: int, name: str) -> ClipPair:
        shard = self._shards[number]
        source_clip, target_clip, tracked = shard.row("pairs", pair).tolist()
        source, target = (self._clip(number, clip) for clip in (source_clip, target_clip))
        count = int(shard.row("track_counts", tracked))
        visible = shard.row("visible", tracked)[:, :count]
        confidence = torch.ones(visible.shape)
        if shard.has("confidence"):
            confidence = shard.row("confidence", tracked)[:, :count]
        measured = None
        if shard.has("target_positions"):
            measured = shard.row("target_positions", tracked)[:, :count]
        return ClipPair(
            source=source,
            target=target,
            tracks=PointTracks(shard.row("positions", tracked)[:, :count], visible, confidence, source.camera),
            target_positions=measured,
            name=f"{name}: {source.name} -> {target.name}",
        )

    def _clip(self, number: int, clip: int) -> DatasetClip:
        shard = self._shards[number]
        before = self._clip_ends[number - 1] if number else 0
        camera = CameraPath(
            shard.row("world_from_camera", clip),
            shard.row("intrinsics", clip),
            self.info.width,
            self.info.height,
            self.info.fps,
        )
        latent = torch.zeros(0) if self.info.vae is None else shard.row("latents", clip).float()
        return DatasetClip(latent, camera, shard.caption(clip), shard.text(clip), shard.name(clip), before + clip)


def _broken(name: str, error: Exception) -> BrokenSample:
    return BrokenSample(f"The sample {name} is broken ({str(error).rstrip('.')}); make its shard again.")


def _located(index: int, ends: list[int], what: str) -> tuple[int, int]:
    """Which shard, and which of its rows, a number stands for."""
    if not 0 <= index < ends[-1]:
        raise IndexError(f"{what} {index} of {ends[-1]}")
    number = bisect_right(ends, index)
    return number, index - (ends[number - 1] if number else 0)
