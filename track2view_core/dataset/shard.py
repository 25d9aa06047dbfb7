"""Shard: M clips, K sets of tracks and P pairs, in one .safetensors file that is whole or absent.

ShardReader reads rows of one by memory map: shapes are known from the header, and a row is read when it is asked for.
`report.json` sums over all shards that are there what was kept, and what was refused by reason and by name.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import Track2ViewError
from ..wan.tensor_files import write_tensors
from .dataset_info import DatasetInfo, read_json, write_json

PATTERN = "shard_*.safetensors"
REPORT_FILE = "report.json"
ALWAYS = ("world_from_camera", "intrinsics", "positions", "visible", "track_counts", "pairs")
OPTIONAL = ("latents", "frames", "confidence", "target_positions")


@dataclass(frozen=True, eq=False)
class Shard:
    """T video frames, N the most tracks of a set; shorter sets are padded with zeros, and `track_counts` says so.

    The world of a scene is the camera of frame 0, which all its clips share. A pair names its source clip, its target
    clip and its set of tracks; a set belongs to one source clip and may serve several pairs.
    """

    world_from_camera: Tensor  # [M, T, 4, 4] float64
    intrinsics: Tensor  # [M, T, 3, 3] float64, pixels
    positions: Tensor  # [K, T, N, 3] float32, world
    visible: Tensor  # [K, T, N] bool, in the source view
    track_counts: Tensor  # [K] int64
    pairs: Tensor  # [P, 3] int64: source clip, target clip, set of tracks
    names: tuple[str, ...]  # [M] such as scene12/cam01
    captions: tuple[str, ...]  # [M]
    latents: Tensor | None = None  # [M, 16, F, h, w] float16, normalised as WAN's
    frames: Tensor | None = None  # [M, T, H, W, 3] uint8, for training a VAE
    confidence: Tensor | None = None  # [K, T, N] float32
    target_positions: Tensor | None = None  # [K, T, N, 3] float32, where a tracker measured the target view
    text: tuple[Tensor | None, ...] = ()  # [M] of [L, 4096] bfloat16, or empty
    counts: Mapping[str, int] = field(default_factory=dict)  # what was kept and refused, by reason
    refused: Mapping[str, str] = field(default_factory=dict)  # pair -> the sentence that says why

    def check(self, info: DatasetInfo) -> None:
        """Refuse a shard that does not hold together, before it costs a reader anything."""
        clips, sets, tracks = len(self.world_from_camera), len(self.positions), self.positions.shape[2]
        wanted = {
            "world_from_camera": (clips, info.frames, 4, 4),
            "intrinsics": (clips, info.frames, 3, 3),
            "positions": (sets, info.frames, tracks, 3),
            "visible": (sets, info.frames, tracks),
            "track_counts": (sets,),
            "pairs": (len(self.pairs), 3),
            "latents": (clips, *info.latent_shape),
            "frames": (clips, info.frames, info.height, info.width, 3),
            "confidence": (sets, info.frames, tracks),
            "target_positions": (sets, info.frames, tracks, 3),
        }
        for name, shape in wanted.items():
            found = getattr(self, name)
            if found is not None and tuple(found.shape) != shape:
                raise Track2ViewError(f"Shard.{name} has shape {list(found.shape)}; it must be {list(shape)}.")
        if not len(self.names) == len(self.captions) == clips or len(self.text) not in (0, clips):
            raise Track2ViewError(f"Shard.names, captions and text must each have an entry for the {clips} clips.")
        if (self.latents is None) != (info.vae is None) or (self.frames is None) == info.has_frames:
            raise Track2ViewError("Shard.latents and frames must be what DatasetInfo.vae and has_frames announce.")
        ends = torch.tensor([clips, clips, sets])
        if ((self.pairs < 0) | (self.pairs >= ends)).any() or ((self.track_counts < 0).any()):
            raise Track2ViewError("Shard.pairs names a clip or a set of tracks that the shard does not hold.")
        if (self.track_counts > tracks).any():
            raise Track2ViewError("Shard.track_counts counts more tracks than the positions hold.")


def shard_file(folder: Path, number: int) -> Path:
    return folder / f"shard_{number:06d}.safetensors"


def checksum(row: Tensor) -> int:
    """CRC-32 of the bytes of one clip or one set of tracks."""
    return zlib.crc32(row.contiguous().flatten().view(torch.uint8).numpy().data)


def write_shard(shard: Shard, folder: Path, number: int, info: DatasetInfo) -> Path:
    """Write shard `number`; earlier shards stay as they are whatever happens.

    Every clip and every set of tracks gets a checksum, so that a bit lost on a disk costs one sample.
    """
    shard.check(info)
    file = shard_file(folder, number)
    given = {name: getattr(shard, name) for name in (*ALWAYS, *OPTIONAL)}
    tensors = {name: value.cpu().contiguous() for name, value in given.items() if value is not None}
    checksums: dict[str, list[int]] = {name: [checksum(row) for row in value] for name, value in tensors.items()}
    for clip, embedding in enumerate(shard.text):
        if embedding is not None:
            tensors[f"text.{clip}"] = embedding.cpu().contiguous()
            checksums[f"text.{clip}"] = [checksum(tensors[f"text.{clip}"])]
    told = {
        "names": shard.names,
        "captions": shard.captions,
        "counts": dict(shard.counts),
        "refused": dict(shard.refused),
        "checksums": checksums,
    }
    try:
        write_tensors(tensors, file, {name: json.dumps(value) for name, value in told.items()})
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Track2ViewError(
            f"{file} could not be written ({reason}); free some disk and run the same command again, which goes on "
            "after the finished shards."
        ) from error
    return file


def shard_files(folder: Path) -> list[Path]:
    return sorted(folder.glob(PATTERN))


class ShardReader:
    """Opened on use, and opened again in another process.

    Raises:
        Track2ViewError: the file is cut short, no shard, or a row is not what was written.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def __getstate__(self) -> dict[str, Any]:
        return {"file": self.file}  # a map of memory does not travel

    @cached_property
    def _handle(self) -> Any:
        try:
            handle = safe_open(str(self.file), framework="pt")
        except (SafetensorError, OSError, ValueError) as error:
            raise Track2ViewError(f"{self.file.name} cannot be opened ({error}).") from error
        missing = set(ALWAYS) - set(handle.keys())
        if missing:
            raise Track2ViewError(f"{self.file.name} lacks {', '.join(sorted(missing))}.")
        return handle

    @cached_property
    def _told(self) -> dict[str, Any]:
        try:
            metadata = self._handle.metadata() or {}
            told = {name: json.loads(metadata[name]) for name in ("names", "captions", "checksums")}
            return told | {name: json.loads(metadata.get(name, "{}")) for name in ("counts", "refused")}
        except (KeyError, ValueError, RecursionError) as error:
            raise Track2ViewError(f"{self.file.name} has no readable list of its clips ({error}).") from error

    @cached_property
    def _shapes(self) -> dict[str, list[int]]:
        return {name: list(self._handle.get_slice(name).get_shape()) for name in self._handle.keys()}

    @property
    def counts(self) -> dict[str, int]:
        return self._told["counts"]

    @property
    def refused(self) -> dict[str, str]:
        return self._told["refused"]

    @property
    def clip_count(self) -> int:
        return self._shapes["world_from_camera"][0]

    @property
    def pair_count(self) -> int:
        return self._shapes["pairs"][0]

    def name(self, clip: int) -> str:
        return str(self._told["names"][clip])

    def caption(self, clip: int) -> str:
        return str(self._told["captions"][clip])

    def has(self, name: str) -> bool:
        return name in self._shapes

    def check(self, info: DatasetInfo) -> None:
        """Refuse a shard whose header alone shows that it belongs to another data set or is damaged."""
        frames, size = [info.frames], [info.height, info.width, 3]
        rows = {
            "world_from_camera": [*frames, 4, 4], "intrinsics": [*frames, 3, 3], "pairs": [3],
            "latents": list(info.latent_shape), "frames": [*frames, *size],
        }  # fmt: skip
        for name, row in rows.items():
            if self.has(name) and self._shapes[name][1:] != row:
                raise Track2ViewError(
                    f"{self.file.name} has {name} of shape {self._shapes[name][1:]} a row, and {row} is right."
                )
        for name in (*ALWAYS, *OPTIONAL):
            if self.has(name) and len(self._told["checksums"].get(name, ())) != self._shapes[name][0]:
                raise Track2ViewError(f"{self.file.name} lacks the checksums of {name}.")

    def row(self, name: str, index: int) -> Tensor:
        """One clip's or one set's tensor, a copy, compared with its checksum."""
        return self._sound(self._handle.get_slice(name)[index : index + 1][0], name, index)

    def text(self, clip: int) -> Tensor | None:
        name = f"text.{clip}"
        return self._sound(self._handle.get_tensor(name), name, 0) if self.has(name) else None

    def whole(self) -> Shard:
        """Everything the shard holds, checked."""
        tensors = {name: self._all(name) for name in (*ALWAYS, *OPTIONAL) if self.has(name)}
        names, captions = (tuple(self._told[name]) for name in ("names", "captions"))
        text = tuple(self.text(clip) for clip in range(len(names)))
        embedded = any(embedding is not None for embedding in text)
        return Shard(
            **tensors,
            names=names,
            captions=captions,
            text=text if embedded else (),
            counts=self.counts,
            refused=self.refused,
        )

    def _all(self, name: str) -> Tensor:
        tensor = self._handle.get_tensor(name)
        for index, row in enumerate(tensor):
            self._sound(row, name, index)
        return tensor

    def _sound(self, row: Tensor, name: str, index: int) -> Tensor:
        if checksum(row) != self._told["checksums"][name][index]:
            raise Track2ViewError(f"{name} {index} of {self.file.name} is not what was written.")
        if row.is_floating_point() and not torch.isfinite(row).all():
            raise Track2ViewError(f"{name} {index} of {self.file.name} holds NaN or infinity.")
        return row


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
    write_json({"counts": counts, "refused": refused, "shards": shards}, folder / REPORT_FILE)
    return counts


def read_report(folder: Path) -> dict[str, Any]:
    """The report, or an empty one where there is none yet."""
    file = folder / REPORT_FILE
    return read_json(file) if file.is_file() else {"counts": {}, "refused": {}, "shards": {}}
