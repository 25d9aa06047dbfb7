"""Small JSON files of a data set: read within bounds, written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import Track2ViewError

MOST_BYTES = 64 * 2**20


def read_json(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise Track2ViewError(f"{file} has more than {MOST_BYTES >> 20} MiB; it is no file of a data set.")
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, Track2ViewError):
            raise
        raise Track2ViewError(f"{file} cannot be read as JSON ({error}); make the data set again.") from error
    if not isinstance(document, dict):
        raise Track2ViewError(f"{file} holds no JSON object; make the data set again.")
    return document


def write_json(document: Mapping[str, Any], file: Path) -> None:
    """Written aside, then put in place: readers see the old file or the whole new one."""
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(document, stream, indent=1)
        temporary.chmod(0o644)
        temporary.replace(file)
    except OSError as error:
        raise Track2ViewError(
            f"{file} could not be written ({error.strerror or error}); free some disk and run again."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
