"""Tracking results kept on disk between runs, found again by the clip and the settings they were made from."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..cameras import CameraPath
from ..errors import Track2ViewError
from .point_tracks import PointTracks
from .storage import load_tracks, save_tracks

MOST_BYTES = 2**30
ENDING = ".safetensors"
STALE_PART_SECONDS = 3600  # a temporary file this old belongs to no write that is still under way


@dataclass(frozen=True)
class TrackCache:
    """Tracks in a folder by key, at most `most_bytes` together; the least recently used go first.

    Several processes may share the folder: files appear whole under their names, the time of a file is its last use,
    and one that another process took away is simply not there. A cache never fails a run: what cannot be read or
    written is a miss.
    """

    folder: Path
    most_bytes: int = MOST_BYTES

    def get(self, key: str) -> PointTracks | None:
        """The tracks that were put under `key`, or None."""
        file = self._file(key)
        try:
            tracks = load_tracks(file)
        except Track2ViewError:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)  # damaged, or never there
            return None
        with contextlib.suppress(OSError):
            os.utime(file)
        return tracks

    def put(self, key: str, tracks: PointTracks) -> None:
        """Keep `tracks` under `key`, and drop the least recently used beyond the limit."""
        with contextlib.suppress(OSError, Track2ViewError):
            self.folder.mkdir(parents=True, exist_ok=True)
            save_tracks(tracks, self._file(key))
        self._make_room()

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}{ENDING}"

    def _make_room(self) -> None:
        entries = []
        with contextlib.suppress(OSError):
            for file in self.folder.iterdir():
                with contextlib.suppress(OSError):
                    facts = file.stat()
                    if file.suffix == ENDING:
                        entries.append((facts.st_mtime, facts.st_size, file))
                    elif file.suffix == ".part" and facts.st_mtime < time.time() - STALE_PART_SECONDS:
                        file.unlink()
        used = sum(size for _, size, _ in entries)
        for _, size, file in sorted(entries, key=lambda entry: entry[0]):
            if used <= self.most_bytes:
                return
            with contextlib.suppress(OSError):  # another process reads it (Windows) or was quicker
                file.unlink()
                used -= size


def cache_key(**inputs: Any) -> str:
    """A name for what was tracked: the digest of every input, by value.

    Inputs are tensors, arrays, CameraPaths, mappings and plain values of them; a change of any gives another key.
    """
    digest = hashlib.sha256()
    _feed(digest, inputs)
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        value = value.detach().cpu().contiguous()
        # bfloat16 has no NumPy type; bytes are bytes.
        _feed(digest, (str(value.dtype), tuple(value.shape)))
        digest.update(value.flatten().view(torch.uint8).numpy().data)
    elif isinstance(value, np.ndarray):
        _feed(digest, (str(value.dtype), value.shape))
        digest.update(np.ascontiguousarray(value).data)
    elif isinstance(value, CameraPath):
        facts = (value.world_from_camera, value.intrinsics, value.width, value.height, value.fps)
        _feed(digest, facts)
    elif isinstance(value, Mapping):
        _feed(digest, [(name, value[name]) for name in sorted(value)])
    elif isinstance(value, (tuple, list)):
        digest.update(f"[{len(value)}]".encode())
        for entry in value:
            _feed(digest, entry)
    else:
        digest.update(f"<{type(value).__name__} {value!r}>".encode())


def library_versions() -> dict[str, str]:
    """Of the libraries whose arithmetic decides what the built-in tracker finds."""
    import cv2

    return {"opencv": cv2.__version__, "numpy": np.__version__}


def code_version(folder: Path) -> str:
    """The digest of the Python files in `folder`: results of older code are not taken for those of today's.

    Environments within the folder (of venv, conda) are not its code and are left out.
    """
    digest = hashlib.sha256()
    for file in sorted(_python_files(folder)):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def install_version(checkout: Path, weights: Iterable[str | Path]) -> str:
    """The digest of a checkout's code, edits included, and of the names, sizes and times of its weights' folders.

    Weights are gigabytes, so they are not read.
    """
    facts = []
    for folder in map(Path, weights):
        for file in sorted(folder.iterdir()):
            stat = file.stat()
            facts.append((str(file), stat.st_size, stat.st_mtime_ns))
    return cache_key(code=code_version(checkout), weights=facts)


def _python_files(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _is_environment(Path(parent, name))]
        yield from (Path(parent, name) for name in files if name.endswith(".py"))


def _is_environment(folder: Path) -> bool:
    return folder.name in (".git", "__pycache__") or any(
        (folder / mark).exists() for mark in ("pyvenv.cfg", "conda-meta")
    )
