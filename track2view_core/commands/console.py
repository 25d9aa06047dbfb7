"""What a run says: facts on standard output, progress bars on standard error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tqdm import tqdm

from ..notes import Door, Note, report_lines
from ..refilm import Refilm, Report

LABEL_WIDTH = 9


def say(label: str, *sentences: str) -> None:
    """One fact a line, under its label."""
    for sentence in sentences:
        print(f"{label:{LABEL_WIDTH}} {sentence}", flush=True)
        label = ""


class Progress:
    """A progress callback `(done, total, stage)` that draws one bar a stage, on a terminal only."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._stage = ""

    def __call__(self, done: int, total: int, stage: str) -> None:
        if self._bar is None or stage != self._stage:
            self.close()
            self._bar, self._stage = tqdm(total=total, desc=stage, leave=False, disable=None), stage
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Bars that are gone from the screen when the block ends, also when it fails."""
    progress = Progress()
    try:
        yield progress
    finally:
        progress.close()


@contextmanager
def reporting(door: Door) -> Iterator[tuple[Report, Progress]]:
    """What `refilm` calls with the notes of a stage, said in the words of `door`, and its progress as bars."""
    with progress_bars() as progress:

        def report(stage: str, notes: Sequence[Note]) -> None:
            progress.close()  # a line printed under a bar would leave the bar behind
            say(stage, *report_lines(notes, door))

        yield report, progress


def say_weights(settings: Refilm) -> None:
    if settings.chosen_fill() == "geometric":
        say("model", "none: the clip's own pixels, and around them what the scene's geometry says")
        return
    for role in ("model", "vae", "bundle"):
        say(role, str(getattr(settings, role) or "built-in tiny one"))
