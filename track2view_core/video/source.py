"""Where a clip comes from: a path, or a file that is open for reading in binary."""

from __future__ import annotations

import os
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
