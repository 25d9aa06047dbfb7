"""All results of a run appear together at its end, or none: they are written aside and moved into place."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from ..errors import Track2ViewError


class Staging:
    """Hands out a path to write to for each final path; a block that ends well moves the files into place."""

    def __init__(self) -> None:
        self._folders: dict[
            Path, Path
        ] = {}  # folder of the results -> hidden folder inside it, so that a move is a rename
        self._files: dict[Path, Path] = {}  # final path -> path it is written to
        self._made: list[Path] = []

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                for final, written in self._files.items():
                    written.replace(final)
        finally:
            for folder in self._folders.values():
                shutil.rmtree(folder, ignore_errors=True)
            for folder in self._made:
                if kind is not None and not any(folder.iterdir()):
                    folder.rmdir()

    def path(self, final: Path) -> Path:
        """Where to write the file that shall become `final`."""
        folder = final.parent
        if folder not in self._folders:
            self._folders[folder] = Path(tempfile.mkdtemp(prefix=".track2view-", dir=folder))
        self._files[final] = self._folders[folder] / final.name
        return self._files[final]

    def make_folder(self, folder: Path) -> None:
        """Make `folder` if it is not there; it goes again if the run fails and nothing is in it."""
        if not folder.exists():
            folder.mkdir(parents=True)
            self._made.append(folder)
        elif not folder.is_dir():
            raise Track2ViewError(f"--out {folder} is a file; name a folder.")


def check_writable(option: str, file: Path, endings: Sequence[str]) -> None:
    """Refuse, before any work is done, a file that could not be written at the end."""
    if file.suffix.lower() not in endings:
        raise Track2ViewError(f"{option} is {file.name}; its name must end in {' or '.join(endings)}.")
    if file.is_dir():
        raise Track2ViewError(f"{option} is the folder {file}; name a file.")
    if not file.parent.is_dir():
        raise Track2ViewError(
            f"{option} would go into {file.parent}, which is no folder; make it first or name another."
        )
