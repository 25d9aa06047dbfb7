"""DatasetInfo: what all shards of a data set share, kept in its `dataset.json`; and how its JSON files are kept."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import Track2ViewError

FORMAT, VERSION = "track2view-dataset", 1
INFO_FILE = "dataset.json"
LATENT_STRIDE = 8
FRAMES_PER_LATENT = 4
MOST_BYTES = 64 * 2**20  # of a JSON file


@dataclass(frozen=True)
class VaeIdentity:
    """Which VAE made the latents: they mean nothing to another one."""

    name: str
    sha256: str  # of its weights


@dataclass(frozen=True)
class DatasetInfo:
    width: int
    height: int
    frames: int  # T, video frames of every clip, 4n + 1
    fps: float
    source: str  # what it was made from: render, multicamvideo, ...
    tracker: str
    vae: VaeIdentity | None = None  # None: frames alone, no latents
    latent_channels: int = 16
    has_frames: bool = False  # the pictures are kept
    has_text: bool = False  # captions are embedded
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the making; equal settings make equal data

    def __post_init__(self) -> None:
        if self.frames < 1 or self.frames % FRAMES_PER_LATENT != 1:
            raise Track2ViewError(f"frames is {self.frames}; a data set's clips have 4n + 1 frames, such as 17 or 81.")
        if self.width < 16 or self.height < 16 or self.width % 16 or self.height % 16:
            raise Track2ViewError(
                f"The size is {self.width} x {self.height}; the sides of a data set's clips are multiples of 16."
            )
        if self.vae is None and not self.has_frames:
            raise Track2ViewError("The data set would hold neither latents nor frames; give a VAE or keep the frames.")
        if not 0 < self.fps < 1e4:
            raise Track2ViewError(f"fps is {self.fps}; it must be above 0.")

    @property
    def latent_shape(self) -> tuple[int, int, int, int]:
        """[16, F, h, w] of one clip."""
        latent_frames = (self.frames - 1) // FRAMES_PER_LATENT + 1
        return (self.latent_channels, latent_frames, self.height // LATENT_STRIDE, self.width // LATENT_STRIDE)

    def write(self, folder: Path) -> None:
        write_json({"format": FORMAT, "version": VERSION, **asdict(self)}, folder / INFO_FILE)

    @classmethod
    def read(cls, folder: Path) -> DatasetInfo:
        file = folder / INFO_FILE
        if not file.is_file():
            raise Track2ViewError(
                f"{folder} holds no {INFO_FILE}; give the folder of a data set made by track2view curate."
            )
        document = read_json(file)
        if document.get("format") != FORMAT:
            raise Track2ViewError(f"{file} is no data set of Track2View; give a folder made by track2view curate.")
        if document.get("version") != VERSION:
            raise Track2ViewError(
                f"{file} has version {document.get('version')}, and {VERSION} can be read; make the data set again."
            )
        try:
            given = {entry.name: document[entry.name] for entry in fields(cls)}
            given["vae"] = None if given["vae"] is None else VaeIdentity(**given["vae"])
            return cls(**given)
        except (KeyError, TypeError) as error:
            raise Track2ViewError(f"{file} is damaged ({error}); make the data set again.") from error


def start_dataset(folder: Path, info: DatasetInfo) -> None:
    """Make the folder, or go on with one that was begun with exactly these settings."""
    if not (folder / INFO_FILE).exists():
        folder.mkdir(parents=True, exist_ok=True)
        info.write(folder)
        return
    begun, wanted = (_flat(told) for told in (DatasetInfo.read(folder), info))
    for name in sorted(begun.keys() | wanted.keys()):
        if begun.get(name) != wanted.get(name):
            raise Track2ViewError(
                f"The data set in {folder} was begun with {name} {begun.get(name)}, and now it is {wanted.get(name)}; "
                "give the settings it was begun with, or another folder."
            )


def _flat(info: DatasetInfo) -> dict[str, Any]:
    told = asdict(info)
    settings = told.pop("settings")
    # Lists and tuples are one thing in JSON.
    return {name: list(v) if isinstance(v, tuple) else v for name, v in {**told, **settings}.items()}


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
