"""What a node reports: the text of its output, and the card that stays on the node in the browser."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..track2view_core.headlines import headline
from ..track2view_core.notes import Note, Severity
from .doors import door_of, told_at

LIGHTS = {Severity.INFO: "green", Severity.CAUTION: "amber", Severity.WARNING: "red"}


@dataclass(frozen=True)
class Report:
    """One node's report. `ui` goes into its NodeOutput, where the browser's `web/report_card` finds it."""

    text: str
    card: str  # JSON, since frontends take an object among outputs for a file

    @property
    def ui(self) -> dict[str, Any]:
        return {"track2view_card": [self.card]}


def report_at(node_id: str, notes: Iterable[Note] = (), *, figures: str = "", table: str = "") -> Report:
    """The report of a node: its light is the worst of the notes, its headline what is doubtful and the figures.

    figures: for the headline, instead of those of the notes.
    table: what stands before the notes, in a fixed pitch.
    """
    notes = tuple(notes)
    door = door_of(node_id)
    card = {
        "node": node_id,
        "light": LIGHTS[max((note.severity for note in notes), default=Severity.INFO)],
        "headline": headline(notes, figures) or "Done",
        "table": table.strip(),
        "lines": [{"light": LIGHTS[note.severity], "text": _sentence(note.text(door))} for note in notes],
    }
    text = "\n".join(filter(None, (table, told_at(node_id, notes))))
    return Report(text, json.dumps(card, ensure_ascii=False))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
