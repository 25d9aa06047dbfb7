"""What benchmarks keep on disk to go on where they were stopped: results that are whole or absent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from track2view_core.tracks.cache import cache_key

Row = dict[str, Any]


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


class Rows:
    """Rows kept in a file by what they were made from; without a folder nothing is kept."""

    def __init__(self, file: Path | None) -> None:
        self.file, self.known = file, {}
        if file is not None and file.exists():
            text = file.read_text(encoding="utf-8")
            whole = text[: text.rfind("\n") + 1]
            if whole != text:  # a run was stopped while it wrote
                file.write_text(whole, encoding="utf-8")
            for line in whole.splitlines():
                row = json.loads(line)
                self.known[row["key"]] = row

    def get(self, facts: Row, make: Callable[[], Row]) -> Row:
        """The row of `facts`: read, or made and kept."""
        key = cache_key(**facts)
        if key not in self.known:
            self.known[key] = {"key": key, **facts, **make()}
            if self.file is not None:
                self.file.parent.mkdir(parents=True, exist_ok=True)
                with self.file.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(self.known[key]) + "\n")
        return self.known[key]
