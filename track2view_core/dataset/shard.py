"""Shard: M clips, K sets of tracks and P pairs, in one .safetensors file that is whole or absent."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from ..errors import Track2ViewError
from ..wan.tensor_files import write_tensors
from .info import DatasetInfo

PATTERN = "shard_*.safetensors"
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
    return zlib.crc32(row.contiguous().flatten().view(torch.uint8).numpy())


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
