"""A remedy that a node's report names must be an input of that very node, by the name that the user sees."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "web/docs"


def inputs_of(node_id: str) -> set[str]:
    """As its help page lists them, which a server's test holds to the node's schema."""
    page = (DOCS / f"{node_id}.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| `(\w+)` \|", page.partition("## Outputs")[0], re.MULTILINE))


def test_every_door_of_a_node_names_its_own_inputs(pack):
    doors = pack("nodes.doors").DOORS
    wrong = [
        f"{name}: {word}" for name, door in doors.items() for word in door.words.values() if word not in inputs_of(name)
    ]
    assert doors and not wrong, wrong


def test_the_library_s_words_reach_no_node(pack):
    """At a node without a door a note says what was found and no more."""
    notes = pack("track2view_core.notes")
    told_at = pack("nodes.doors").told_at
    for code, kind in notes.KINDS.items():
        if kind.advice:
            note = notes.Note(code, kind.severity, dict.fromkeys(notes.facts_in(kind.text), 1), tuple(kind.advice))
            assert told_at("Track2View_PairTracks", [note]).endswith(notes.Note(code, kind.severity, note.facts).text())
