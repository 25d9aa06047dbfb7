"""The browser takes the documents that Python takes, number for number, and refuses those that Python refuses."""

from __future__ import annotations

import json
import re
from random import Random
from typing import Any

from track2view_core.cameras import Keyframe, PathDocument, parse_document, to_json
from track2view_core.errors import Track2ViewError

from .node_answers import Refused, ask
from .random_documents import random_document

DOCUMENTS = [random_document(Random(seed)) for seed in range(100)]
PLAIN: dict[str, Any] = {
    "format": "track2view.camera_path",
    "version": 2,
    "frames": 41,
    "keys": [
        {"frame": 0, "position": [0, 0, 0]},
        {"frame": 20, "position": [0.5, 0, 0], "look_at": [0, 0, 1], "ease": "smooth"},
        {"frame": 40, "orbit": {"azimuth": 30, "elevation": 0, "distance": 1, "target": [0, 0, 1]}},
    ],
}
WHOLE = json.dumps(PLAIN)


def python_takes(document: Any) -> PathDocument | str:
    """The document, or the sentence of the refusal."""
    try:
        return parse_document(document)
    except Track2ViewError as error:
        return str(error)


def assert_same_verdicts(documents: list[Any]) -> None:
    """The browser takes what Python takes, to the bit, and refuses what it refuses, naming the same key and field."""
    for document, answer in zip(documents, ask(*[("written", {"document": it}) for it in documents]), strict=True):
        python = python_takes(document)
        if isinstance(python, PathDocument):
            assert not isinstance(answer, Refused), f"{answer} of {str(document)[:300]}"
            assert parse_document(answer) == python, str(document)[:300]
        else:
            assert isinstance(answer, Refused), f"the browser takes {str(document)[:300]}, and Python says: {python}"
            assert answer.endswith(".") and "\n" not in answer
            # NaN, Infinity and numbers of thousands of digits are JSON for one of the two alone
            if "no JSON" not in answer and place_of(python):
                assert place_of(answer) == place_of(python), f"{answer!r} of the browser, {python!r} of Python"


def place_of(sentence: str) -> list[str]:
    """The keys and fields by name that the sentence of a refusal is about."""
    return re.findall(r"[Kk]ey \d+|[Ff]ield [\w.]+", sentence.split(": ")[0])


def test_a_document_survives_the_browser_to_the_bit() -> None:
    assert_same_verdicts([to_json(document) for document in DOCUMENTS])
    assert_same_verdicts([json.loads(to_json(document)) for document in DOCUMENTS])


def test_documents_of_version_1_become_the_same() -> None:
    old = PLAIN | {"version": 1}
    places = [place for place in PLACES if place and place[0] in ("keys", "version")]
    cases = [json.loads(json.dumps(changed(place, value))) | {"version": 1} for place in places for value in VALUES]
    assert_same_verdicts([old, old | {"keys": PLAIN["keys"][:2]}, old | {"keys": PLAIN["keys"][:1]}, *cases])


def test_numbers_survive_both_ways_to_the_bit() -> None:
    random = Random(1)
    values = [random.gauss(0, 1) * 10 ** random.randint(-300, 5) for _ in range(2000)]
    values += [0.1, 1e-5, 1.5e-7, 0.0001, 123456.5, 1e6, 999999.5, 5e-324, 1 / 3, -0.0, 0.30000000000000004]
    keys = tuple(Keyframe(frame, position=(v, 0.5, -v), quaternion=(1, 0, 0, 0)) for frame, v in enumerate(values))
    document = PathDocument(len(keys), keys)
    (answer,) = ask(("written", {"document": to_json(document)}))
    assert parse_document(answer) == document
    assert ask(("written", {"document": answer})) == [answer]


def test_what_is_left_out_has_the_same_defaults() -> None:
    written, fresh = ask(("written", {"document": json.dumps(PLAIN)}), ("fresh", {"frames": 81, "fps": 24}))
    assert parse_document(written) == parse_document(PLAIN)
    assert parse_document(fresh) == PathDocument(81, fps=24.0)
    (parsed,) = ask(("parse", {"document": PLAIN}))
    assert set(parsed["keys"][0]) == {"frame", "position", "orbit", "look_at", "quaternion", "roll", "focal", "ease"}


PLACES = [
    (), ("frames",), ("fps",), ("aspect",), ("unit",), ("base",), ("subject",), ("keys",), ("version",), ("format",),
    ("position_interpolation",), ("speed",), ("keys", 1), ("keys", 0, "position"), ("keys", 1, "frame"),
    ("keys", 1, "look_at"), ("keys", 0, "quaternion"), ("keys", 1, "quaternion"), ("keys", 2, "orbit"),
    ("keys", 2, "orbit", "target"), ("keys", 2, "orbit", "azimuth"), ("keys", 2, "orbit", "elevation"),
    ("keys", 2, "orbit", "distance"), ("keys", 2, "orbit", "turns"), ("keys", 2, "orbit", "distanse"),
    ("keys", 1, "ease"), ("keys", 1, "roll"), ("keys", 1, "focal"), ("keys", 1, "positon"), ("keys", 1, "orbit"),
]  # fmt: skip
VALUES = [
    None, True, 1, 7, -1, 0, 0.5, 41, 90, 100_001, 10**30, "subject", "sky", "smooth", "linear", "hold",
    "segment_ease_in", "ease_in", "first_frame", "",
    "\u00e9\u4e2d\U0001f600",
    [], [1], [0, 0, 1], [0.5, 0, 0], [0, "1", 2], [0, True, 2], [0, 0, 10_000_000], [1, 0, 0, 0], [1, 1, 0, 0],
    [[1, 2], {}],
    {}, {"azimuth": 3}, {"a": [1, 2.5, None]}, list(range(9)), ["text that goes on and on"] * 5, {"__proto__": 1},
    {"frame": 1, "frmae": 2}, [832, 480], [0, 480], [[0, 0, 1]] * 41, [[0, 0, 1]] * 40 + [[0, 1]],
]  # fmt: skip


def changed(place: tuple[str | int, ...], value: Any) -> Any:
    if not place:
        return value
    document = json.loads(json.dumps(PLAIN))
    inner = document
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    return document


def test_anything_in_any_place_is_taken_or_refused_alike() -> None:
    assert_same_verdicts([json.dumps(changed(place, value)) for place in PLACES for value in VALUES])


def test_mistakes_in_the_order_of_keys_and_their_fields() -> None:
    cases = []
    for frames in ([0, 0], [3, 2], [0.5, 0.25], [40, 40]):
        cases.append(PLAIN | {"keys": [{"frame": frame, "position": [0, 0, 0]} for frame in frames]})
    cases.append({name: value for name, value in PLAIN.items() if name != "frames"})
    cases.append(PLAIN | {"keys": [{"position": [0, 0, 0]}]})
    cases.append(PLAIN | {"keys": [{"frame": 0}]})
    cases.append(PLAIN | {"keys": [{"frame": 0, "position": [0, 0, 0], "orbit": PLAIN["keys"][2]["orbit"]}]})
    cases.append(PLAIN | {"keys": [0] * 10_001})
    assert_same_verdicts(cases)


TEXTS = [
    "", "  \n", "{", '{"a"', '{"a":', '{"a":1', "[1 2]", '"ab', '"a\x01b"', '"\\q"', '"\\u12"', "1 2",
    '{"a" 1}', "tru",
    "-", "[1,\n 2,\n x]", '"\\', "{1:2}", "[", "01", "1.", "nul", "{'a':1}", "[,1]", "[1, 2]", "__import__('os')",
    '{"format": 1, "format": 2}', '{"a": {"b": 1, "b": 2, "c": [}', "[" * 100_000, "9" * 5000, '{"fps": 1e999}',
    '{"format": "track2view.camera_path", "version": 3}', '{"format": "track2view.camera_path", "version": NaN}',
    '{"format": "track2view.camera_path", "version": -Infinity}', " " * 16_000_001, "\ufeff{}",
    '"' + "a" * 15_000_000 + '"', '{"fps": ' + "[" * 100_000 + "]" * 100_000 + "}",
]  # fmt: skip
TEXTS += [WHOLE.replace("0.5", number) for number in ("NaN", "-Infinity", "1e999", "9" * 5000, "-0", "5e-1", "05")]
TEXTS += [
    WHOLE.replace('"frame": 20', '"frame": 20, "frame": 20'),
    WHOLE.replace('"frame"', '"fr\\u0061me": 0, "frame"', 1),
]


def test_text_that_is_no_document_is_refused_alike() -> None:
    assert_same_verdicts(TEXTS)


def test_damaged_text_is_taken_or_refused_alike() -> None:
    random = Random(9)
    texts = []
    for _ in range(600):
        start = random.randrange(len(WHOLE))
        piece = "".join(random.choice('{}[]",:\\u0123e.-+ntfNI \n\x01\u00e9a') for _ in range(random.randrange(4)))
        texts.append(WHOLE[:start] + piece + WHOLE[start + random.randrange(9) :])
    assert_same_verdicts(texts)
