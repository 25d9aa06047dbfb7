"""Where a clip comes from: a path, or a file that is open for reading in binary."""

from __future__ import annotations

import os
from typing import BinaryIO

ClipFile = str | os.PathLike[str] | BinaryIO


def openable(file: ClipFile) -> str | BinaryIO:
    """What PyAV opens: the path as text, or the open file set back to its start."""
    if isinstance(file, str | os.PathLike):
        return os.fspath(file)
    file.seek(0)
    return file
