"""Shard after shard, each made by itself: what is finished stays, and the same command goes on from there.

In this process, or spread over processes, GPUs and machines by Ray Data: one function makes a shard in either.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from ..dataset import DatasetInfo, Shard, shard_file, start_dataset, write_report, write_shard
from ..errors import Track2ViewError
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


class _ShardWorker:
    """Lives as long as its process, so that models are loaded once."""

    def __init__(self, maker: ShardMaker, folder: str) -> None:
        self.maker, self.folder = maker, Path(folder)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        make_shard(self.maker, self.folder, int(row["shard"]))
        return row


def curate_with_ray(
    maker: ShardMaker,
    folder: Path,
    *,
    device: str = "cpu",
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, int]:
    """`curate` on a Ray cluster, or on this machine's processes where none is running.

    `folder`, the clips and the models must be reachable under the same paths from all machines.

    Args:
        device: a worker takes one GPU each where this is a CUDA device, else one CPU.
        workers: how many at once (default: as many as the cluster has GPUs, or CPUs).
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise Track2ViewError(
            "Spreading shards over processes needs Ray Data: pip install 'track2view[curation]', or make them in one."
        ) from error
    start_dataset(folder, maker.info())
    numbers = missing_shards(maker, folder)
    if numbers:
        if not ray.is_initialized():
            ray.init(include_dashboard=False, log_to_driver=False)
        ray.data.DataContext.get_current().enable_progress_bars = False
        kind = "GPU" if device.startswith("cuda") else "CPU"
        at_once = min(len(numbers), workers or max(1, int(ray.cluster_resources().get(kind, 1))))
        rows = ray.data.from_items([{"shard": number} for number in numbers], override_num_blocks=len(numbers))
        made = rows.map(
            _ShardWorker,
            fn_constructor_args=(maker, str(folder.resolve())),
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=at_once),
            **({"num_gpus": 1} if kind == "GPU" else {"num_cpus": 1}),
        )
        try:
            for done, _ in enumerate(made.iter_rows(), len(maker) - len(numbers) + 1):
                if progress is not None:
                    progress(done, len(maker), "shards")
        finally:
            write_report(folder)
    return write_report(folder)
