"""Where a clip comes from: a path, or a file that is open for reading in binary."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO

import av

ClipFile = str | os.PathLike[str] | BinaryIO


def opened(file: ClipFile) -> Any:
    """PyAV's container of a path or an open file, for reading; tags that are no UTF-8 are no reason to refuse it."""
    return av.open(openable(file), metadata_errors="replace")


def openable(file: ClipFile) -> str | BinaryIO:
    """What PyAV opens: the path as text, or the open file set back to its start."""
    if isinstance(file, str | os.PathLike):
        return plain_path(file)
    file.seek(0)
    return file


def plain_path(file: str | os.PathLike[str]) -> str:
    """The path as FFmpeg takes it for a file whatever its name: a relative `10:30.mp4` would be a protocol to it."""
    return os.path.abspath(os.fspath(file))  # noqa: PTH100 - Path.absolute keeps `..` and is no text


def second_movie(file: ClipFile) -> float:
    """The share of an MP4 or MOV that a second one takes up behind the first, which FFmpeg does not read; 0.0: none.

    By the boxes of ISO 14496-12 at the top level: a movie has one `moov`.
    """
    if isinstance(file, str | os.PathLike):
        with Path(file).open("rb") as content:
            return _second_movie(content)
    share = _second_movie(file)
    file.seek(0)
    return share


def _second_movie(content: BinaryIO) -> float:
    whole, at, begun, movies = content.seek(0, os.SEEK_END), 0, 0, 0
    while at + 8 <= whole:
        content.seek(at)
        head = content.read(16)
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        size = int.from_bytes(head[8:16], "big") if size == 1 else size or whole - at
        if size < 8:
            break
        if kind == b"ftyp":
            begun = at
        movies += kind == b"moov"
        if movies == 2:
            return 1 - (begun or at) / whole
        at += size
    return 0.0
