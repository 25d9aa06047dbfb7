"""What benchmarks keep on disk to go on where they were stopped: results that are whole or absent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def write_json(values: Any, file: Path) -> None:
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(values), encoding="utf-8")
    temporary.replace(file)


def read_json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def every_nth(part: str) -> slice:
    """Of the work that n processes share, what the i-th of them does: `part` is "i/n"."""
    number, parts = (int(word) for word in part.split("/"))
    return slice(number - 1, None, parts)


def weights_fingerprint(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
