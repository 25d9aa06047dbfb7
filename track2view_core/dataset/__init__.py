"""The data set on disk that curation writes and training reads: cached latents, cameras and one-to-one tracks."""

from .info import DatasetInfo, VaeIdentity, start_dataset
from .reading import BrokenSample, ClipPair, DatasetClip, PairDataset
from .report import read_report, write_report
from .shard import Shard, shard_file, write_shard

__all__ = [
    "BrokenSample",
    "ClipPair",
    "DatasetClip",
    "DatasetInfo",
    "PairDataset",
    "Shard",
    "VaeIdentity",
    "read_report",
    "shard_file",
    "start_dataset",
    "write_report",
    "write_shard",
]
