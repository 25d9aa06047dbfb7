"""`track2view batch FOLDER OUT`: every clip of a folder along one move, each as `rerender` does it.

A clip that fails is told and left out, and the others go on. What was finished by the same command stays, so a batch
that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..errors import Track2ViewError
from ..notes import Severity
from ..preview import write_picture
from ..preview.drawing import GAP, GROUND, PANEL, pane, pane_size, write_text
from ..refilm import Refilmed, models_of, refilm
from ..video import read_clip
from .console import progress_bars, say, say_weights
from .door import BATCH
from .rerender import Job
from .results import COMPARED, beside, write_results
from .staging import Staging

if TYPE_CHECKING:
    from ..wan.models import Models

ENDINGS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mpg", ".mpeg", ".wmv", ".mxf", ".gif")
SHEET, RECORD = "contact_sheet.png", "_batch.json"
MOST_WIDTH = 480  # of a picture of the contact sheet
TITLE_HEIGHT = 28  # px, of a clip's name above its row


def run(*, folder: Path, output: Path, **chosen: Any) -> None:
    """`chosen` are what `Job.of` takes.

    Raises:
        Track2ViewError: FOLDER or OUT do not fit, or clips failed; all others are done then.
    """
    clips = dict(_named(_clips(folder)))
    if output.resolve() == folder.resolve():
        raise Track2ViewError(f"OUT is {output}, the folder of the clips; name another, or a re-film is taken for one.")
    job = Job.of(**chosen)
    say("reading", f"{len(clips)} {'clip' if len(clips) == 1 else 'clips'} of {folder}")
    say_weights(job.settings)
    models = models_of(job.settings) if job.settings.chosen_fill() == "model" else None
    output.mkdir(parents=True, exist_ok=True)
    try:
        failed = sum(not _filmed(job, models, clip, output / f"{name}.mp4") for name, clip in clips.items())
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            "Interrupted; finished clips stay, and the same command goes on with the others."
        ) from None
    rows = {name: output / f"{name}.mp4" for name in clips if (output / f"{name}.mp4").exists()}
    if rows:
        write_picture(_contact_sheet(rows), output / SHEET)
        say("wrote", str(output / SHEET))
    if failed:
        raise Track2ViewError(
            f"{failed} of {len(clips)} clips failed, as said above; mend or remove them and give the same command "
            "again: finished ones stay."
        )


def _clips(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise Track2ViewError(f"FOLDER is {folder}, which is no folder; name one that holds clips.")
    found = sorted(file for file in folder.iterdir() if file.is_file() and file.suffix.lower() in ENDINGS)
    if not found:
        raise Track2ViewError(f"The folder {folder} holds no clip ({', '.join(ENDINGS)}); name another.")
    return found


def _named(clips: list[Path]) -> Iterator[tuple[str, Path]]:
    """Clips under names of their own: without the ending where no other one has the same name."""
    stems = [clip.stem.lower() for clip in clips]
    for clip in clips:
        yield (clip.stem if stems.count(clip.stem.lower()) == 1 else clip.name), clip


def _filmed(job: Job, models: Models | None, clip: Path, output: Path) -> bool:
    """One clip and its line; whether it is there now."""
    record, made_by = beside(output, RECORD), _made_by(job, clip)
    if output.exists() and record.exists() and json.loads(record.read_text(encoding="utf-8")) == made_by:
        say("done", f"{clip.name}: finished before")
        return True
    began = time.monotonic()
    try:
        with Staging() as staging:
            with progress_bars() as progress:
                made = refilm(clip, job.move, job.settings, tracker=job.tracker, models=models, progress=progress)
            write_results(made, output, staging)
            staging.path(record).write_text(json.dumps(made_by), encoding="utf-8")
    except (Track2ViewError, OSError) as error:
        say("FAILED", f"{clip.name}: {error}")
        return False
    say("done", f"{clip.name}: {_line(made)}, {time.monotonic() - began:.0f} s")
    return True


def _made_by(job: Job, clip: Path) -> dict[str, Any]:
    """What a result depends on: the clip as it is, the move and the settings."""
    moves = job.move if isinstance(job.move, str) else hashlib.sha256(job.move.read_bytes()).hexdigest()
    about = clip.stat()
    settings = {name: str(value) for name, value in asdict(job.settings).items()}
    return {
        "clip": clip.name, "bytes": about.st_size, "modified": about.st_mtime_ns, "move": moves,
        "tracker": repr(job.tracker), "settings": settings,
    }  # fmt: skip


def _line(made: Refilmed) -> str:
    notes = [note for told in made.report.values() for note in told]
    doubts = [note.text(BATCH) for note in notes if note.severity > Severity.INFO]
    known = "" if made.known is None else f", {made.known.float().mean():.0%} of it the clip's own pixels"
    more = f" (and {len(doubts) - 1} more)" if len(doubts) > 1 else ""
    return f"{len(made.clip)} frames{known}" + (f"; WARNING {doubts[0]}{more}" if doubts else "")


def _contact_sheet(results: Mapping[str, Path]) -> Tensor:
    """[H, W, 3] uint8: a row a clip below its name, source and re-film side by side, first, middle and last frame."""
    rows = []
    for name, result in results.items():
        film = read_clip(beside(result, COMPARED), box=(MOST_WIDTH, MOST_WIDTH)).frames
        size = pane_size(film.shape[2], film.shape[1])
        row = [pane(film[t], size) for t in (0, len(film) // 2, len(film) - 1)]
        title = np.full((TITLE_HEIGHT, 3 * size[0], 3), PANEL, np.uint8)
        write_text(title, name, (10, 0.7 * TITLE_HEIGHT))
        rows.append(np.concatenate([title, np.concatenate(row, 1)]))
    sheet = np.full((sum(len(row) + GAP for row in rows), max(row.shape[1] for row in rows), 3), GROUND, np.uint8)
    top = 0
    for row in rows:
        sheet[top : top + len(row), : row.shape[1]] = row
        top += len(row) + GAP
    return torch.from_numpy(sheet)
