"""Notes: every code at every door in that door's words alone, no dead codes, and JSON without loss."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from track2view_core.cli import main
from track2view_core.commands import door as command_line
from track2view_core.errors import Track2ViewError
from track2view_core.headlines import BRIEFS, MOST_DOUBTS, headline
from track2view_core.notes import KINDS, LIBRARY, Door, Note, Severity, facts_in, report_lines
from track2view_core.refilm import Refilm, refilm
from track2view_core.tracks.trackers import KltTracker
from track2view_core.tracks.tracks_2d import lift_tracks
from track2view_core.wan.memory import first_that_fits

ROOT = Path(__file__).resolve().parents[1]
NOWHERE = Door("nowhere", {})
NAMES = re.compile(r"--\w[\w-]*|\b\w+_\w+\b")  # an option, or a name as only programs have it
SAMPLES = {"span": (3, 5), "more": 2, "bytes": 3 << 30, "time": 90.0, "": "some"}


@pytest.fixture
def node_doors(pack) -> dict[str, Door]:
    return pack("nodes.doors").DOORS


@pytest.fixture
def doors(node_doors) -> list[Door]:
    return [LIBRARY, *command_line.DOORS.values(), *node_doors.values()]


def sample(code: str) -> Note:
    """A note with facts of the type that each place of the template asks for."""
    fields = [(name, spec) for _, name, spec, _ in Formatter().parse(KINDS[code].text) if name]
    return Note.of(code, **{name: SAMPLES.get(spec, 3 if spec.startswith("#") else 0.25) for name, spec in fields})


def calls_in_the_core() -> Iterator[tuple[str, list[str], set[str], bool]]:
    """Of every `Note.of`: where it stands, the codes it may have, its named facts, and whether these are all."""
    for file in sorted((ROOT / "track2view_core").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Note.of":
                codes = [part.value for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant)]
                facts = {keyword.arg for keyword in node.keywords if keyword.arg}
                whole = all(keyword.arg for keyword in node.keywords)
                yield f"{file.relative_to(ROOT)}:{node.lineno}", codes, facts, whole


def test_no_note_names_a_setting_of_itself():
    """What is found is worded without options, arguments, inputs and nodes: those are the doors' to say."""
    nodes = {
        name
        for file in (ROOT / "nodes").rglob("*.py")
        for name in re.findall(r'node_id="\w+",\s*display_name="([^"]+)"', file.read_text(encoding="utf-8"))
    }
    assert len(nodes) > 20
    told = {code: sample(code).text(NOWHERE) for code in KINDS}
    assert {code: NAMES.findall(text) for code, text in told.items() if NAMES.search(text)} == {}
    assert [code for code, text in told.items() for name in nodes if name in text] == []


def test_every_note_speaks_the_words_of_its_door(doors):
    """The remedies that the door has, each in its word, and no name, option or input of another door."""
    every = {word for door in doors for word in door.words.values() if NAMES.search(word)}
    for door in doors:
        own = set(door.words.values())
        for code, kind in KINDS.items():
            found, text = sample(code).text(NOWHERE), sample(code).text(door)
            cures = [kind.advice[name].format(door.words[name]) for name in kind.advice if name in door.words]
            advice = f"{found.rstrip('.')}; {', or '.join(cures)}" + "." * found.endswith(".")
            assert text == (advice if cures else found), f"{code} at {door.name}"
            names = set(NAMES.findall(text)) - {part for word in own for part in word.split()}
            assert not names, f"{code} at {door.name} names {names}"
            assert not [word for word in every - own if word in text], f"{code} at {door.name}: {text}"


def test_advice_names_its_setting_once_and_only_by_the_door(doors):
    for code, kind in KINDS.items():
        for setting, advice in kind.advice.items():
            assert advice.count("{}") == 1 and not NAMES.search(advice.replace("{}", "")), (code, setting)
            assert setting in LIBRARY.words, f"{code}: the library does not know {setting}"
    advised = {setting for kind in KINDS.values() for setting in kind.advice}
    assert [(door.name, setting) for door in doors for setting in door.words if setting not in advised] == []


def test_the_doors_name_what_is_there(capsys, node_doors):
    """Arguments of the library, inputs of that very node, options of that very verb."""
    functions = KltTracker.track, lift_tracks, first_that_fits, refilm, Refilm
    arguments = {name for function in functions for name in inspect.signature(function).parameters}
    assert {word.split()[-1] for word in LIBRARY.words.values()} <= arguments
    for node, door in node_doors.items():  # by its help page, which a server's test holds to the node itself
        page = (ROOT / f"web/docs/{node}.md").read_text(encoding="utf-8").partition("## Outputs")[0]
        assert set(door.words.values()) <= set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)), node
    for verb, door in command_line.DOORS.items():
        with pytest.raises(SystemExit):
            main([*verb.split(), "--help"])
        options = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
        assert {word.split()[0] for word in door.words.values()} <= options, verb


def test_every_code_is_used_and_every_call_gives_the_facts_of_its_text():
    told = list(calls_in_the_core())
    assert len(told) > 60
    for where, codes, facts, whole in told:
        for code in codes:
            needed = facts_in(KINDS[code].text) if code in KINDS else None
            assert needed is not None, f"{where}: there is no note {code!r}"
            assert facts == needed if whole else facts <= needed, f"{where}: {code} needs {sorted(needed)}"
    texts = {
        part.value
        for file in (ROOT / "track2view_core").rglob("*.py")
        if file.name != "notes.py"
        for part in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }
    assert set(KINDS) - texts - {"text"} == set()


facts = st.dictionaries(
    st.text(min_size=1),
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.lists(st.integers(0, 500) | st.text()).map(tuple),
)
notes = st.builds(
    Note,
    st.text() | st.sampled_from(sorted(KINDS)),
    st.sampled_from(Severity),
    facts,
    st.lists(st.text()).map(tuple),
    st.none() | st.integers(0, 500),
)


@given(notes)
def test_json_keeps_every_note(note: Note):
    again = Note.from_data(json.loads(json.dumps(note.data(), allow_nan=False)))
    assert again == note and type(again.severity) is Severity
    assert {name: type(value) for name, value in again.facts.items()} == {n: type(v) for n, v in note.facts.items()}
    assert again.text(LIBRARY) == note.text(LIBRARY)  # also of a code, or facts, that another version wrote


@pytest.mark.parametrize(
    "sentence", ["motion static (found)", "WARNING: a: b", "shot at frame 25: WARNING: a; b", "shot at frame x: c"]
)
def test_a_sentence_of_an_older_file_reads_the_same(sentence: str):
    note = Note.from_data(sentence)
    (line,) = report_lines([note])
    assert sorted(line.split(": ")) == sorted(sentence.split(": ")) and line.count("WARNING") == (note.severity > 0)
    assert note.shot == (25 if "25" in sentence else None)


def test_every_doubt_has_its_place_in_a_headline():
    doubts = {code for code, kind in KINDS.items() if kind.severity > Severity.INFO}
    assert doubts - BRIEFS.keys() == set() and BRIEFS.keys() - KINDS.keys() == set()
    for code, brief in BRIEFS.items():
        assert facts_in(brief) <= facts_in(KINDS[code].text), code
        told = headline([sample(code)])
        assert told and len(told) <= 60 and not told.endswith("."), f"{code}: {told}"


def test_a_headline_tells_the_worst_doubt_first_and_then_the_figures():
    told = [Note.of("fov_assumed", degrees=60.0), Note.of("none_visible"), Note.of("fov_assumed", degrees=60.0)]
    told.insert(1, Note.of("tracks_left", count=3, given=9))
    assert headline(told) == "No track visible · field of view assumed · 3 of 9 tracks kept"
    assert headline(told, "17 frames") == "No track visible · field of view assumed · 17 frames"
    doubts = [sample(code) for code, kind in KINDS.items() if kind.severity > Severity.INFO]
    assert f"{len({BRIEFS[note.code] for note in doubts}) - MOST_DOUBTS} more" in headline(doubts)
    assert headline([Note("of another version", Severity.WARNING)]) == "To be looked at" and headline([]) == ""


@pytest.mark.parametrize("data", [7, None, {}, {"code": "fits", "severity": "purple", "facts": {}}, ["fits"]])
def test_what_is_no_note_is_refused(data):
    with pytest.raises(Track2ViewError, match="A note is"):
        Note.from_data(data)


def test_a_note_holds_plain_numbers_and_says_what_is_not_known():
    import numpy as np
    import torch

    note = Note.of("camera_solved", points=np.int64(40), error=torch.tensor(float("nan")))
    assert note.facts == {"points": 40, "error": None} and note.text() == (
        "camera solved from 40 points, median error unknown px"
    )
    with pytest.raises(TypeError, match="camera_solved"):
        Note.of("camera_solved", points=40)


def test_what_is_given_already_is_not_advised():
    note = Note.of("short_travel", share=0.01)
    assert note.without(depth=object()).text().endswith("uncertain; give fov_degrees")
    assert note.without(depth=0, fov_degrees=50.0).text().endswith("uncertain")
    assert note.without(depth=None, motion="auto") == note


def test_the_worst_of_a_report_is_its_largest_severity():
    told = [Note.of("depth_aligned"), Note.of("fov_assumed", degrees=60.0), Note.of("none_visible")]
    assert [note.severity for note in told] == sorted(Severity) and max(n.severity for n in told) is Severity.WARNING
    assert [line.startswith("WARNING: ") for line in report_lines(told)] == [False, True, True]
