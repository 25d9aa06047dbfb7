"""Rows of one shard, by memory map: shapes are known from the header, and a row is read when it is asked for."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import Track2ViewError
from .info import DatasetInfo
from .shard import ALWAYS, OPTIONAL, PATTERN, Shard, checksum


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
