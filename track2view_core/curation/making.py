"""Shard after shard, each made by itself: what is finished stays, and the same command goes on from there."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ..dataset import DatasetInfo, Shard, shard_file, start_dataset, write_report, write_shard
from ..progress import Progress


class ShardMaker(Protocol):
    """A source of shards. Travels to other processes; `make` depends on nothing but the maker and the number."""

    def __len__(self) -> int:
        """How many shards there are to make."""
        ...

    def info(self) -> DatasetInfo: ...

    def make(self, number: int, progress: Progress | None = None) -> Shard: ...


def missing_shards(maker: ShardMaker, folder: Path) -> list[int]:
    return [number for number in range(len(maker)) if not shard_file(folder, number).exists()]


def make_shard(maker: ShardMaker, folder: Path, number: int, progress: Progress | None = None) -> None:
    """What one process does for one shard, alone or among many."""
    write_shard(maker.make(number, progress), folder, number, maker.info())


def curate(maker: ShardMaker, folder: Path, *, progress: Progress | None = None) -> dict[str, int]:
    """Make the shards that `folder` lacks; returns the counts by reason over all that are there.

    An interrupt costs the shard that is being made, and no other; the report is written in any case.
    """
    start_dataset(folder, maker.info())
    try:
        for number in missing_shards(maker, folder):
            if progress is not None:
                progress(number, len(maker), "shards")
            make_shard(maker, folder, number, progress)
    finally:
        counts = write_report(folder)
    if progress is not None:
        progress(len(maker), len(maker), "shards")
    return counts
