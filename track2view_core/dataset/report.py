"""`report.json`: what was kept, and what was refused by reason and by name, over all shards that are there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from ..errors import Track2ViewError
from .json_files import read_json, write_json
from .shard_reader import ShardReader, shard_files

FILE = "report.json"


def write_report(folder: Path) -> dict[str, int]:
    """Sum the counts that every shard carries, write the report, and return the sums.

    A damaged shard is named, and keeps the numbers that the report gave it before.
    """
    total: Counter[str] = Counter()
    shards, refused = {}, {}
    known = read_report(folder)["shards"]
    for file in shard_files(folder):
        reader = ShardReader(file)
        try:
            total.update(reader.counts)
            refused.update(reader.refused)
            shards[file.name] = {"clips": reader.clip_count, "pairs": reader.pair_count}
        except Track2ViewError as error:
            total["shards damaged"] += 1
            refused[file.name] = f"{str(error).rstrip('.')}; delete it and run the same command again."
            shards[file.name] = known.get(file.name, {"clips": 1, "pairs": 1})
    counts = dict(sorted(total.items()))
    write_json({"counts": counts, "refused": refused, "shards": shards}, folder / FILE)
    return counts


def read_report(folder: Path) -> dict[str, Any]:
    """The report, or an empty one where there is none yet."""
    file = folder / FILE
    return read_json(file) if file.is_file() else {"counts": {}, "refused": {}, "shards": {}}
