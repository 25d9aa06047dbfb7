"""Shards spread over processes, GPUs and machines by Ray Data: the same function a shard as in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..dataset import start_dataset, write_report
from ..errors import Track2ViewError
from ..progress import Progress
from .making import ShardMaker, make_shard, missing_shards


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
            "--ray needs Ray Data; pip install 'track2view[curation]', or leave --ray out."
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
