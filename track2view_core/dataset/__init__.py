"""The data set on disk that curation writes and training reads: cached latents, cameras and one-to-one tracks."""

from .dataset_info import DatasetInfo, VaeIdentity, start_dataset
from .pair_dataset import BrokenSample, ClipPair, DatasetClip, PairDataset
from .shard import Shard, read_report, shard_file, write_report, write_shard

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
