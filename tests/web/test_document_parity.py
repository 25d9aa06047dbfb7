"""The browser reads, refuses and writes the same documents as Python, in the same words."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from track2view_core.cameras import PathDocument, parse_document, to_json
from track2view_core.errors import Track2ViewError

from .node_answers import ask
from .random_documents import random_document

DOCUMENTS = [random_document(Random(seed)) for seed in range(100)]
PLAIN: dict[str, Any] = {
    "format": "track2view.camera_path",
    "version": 1,
    "frames": 41,
    "keys": [
        {"frame": 0, "position": [0, 0, 0]},
        {"frame": 20, "position": [0.5, 0, 0], "look_at": [0, 0, 1], "ease": "smooth"},
        {"frame": 40, "orbit": {"azimuth": 30, "elevation": 0, "distance": 1, "target": [0, 0, 1]}},
    ],
}


def python_says(document: Any) -> str:
    """Canonical JSON, or the sentence of the refusal."""
    try:
        return to_json(parse_document(document))
    except Track2ViewError as error:
        return str(error)


def test_canonical_text_is_the_same_to_the_byte() -> None:
    texts = [to_json(document) for document in DOCUMENTS]
    assert ask(*[("canonical", {"document": text}) for text in texts]) == texts
    assert ask(*[("canonical", {"document": json.loads(text)}) for text in texts]) == texts


def test_what_is_left_out_has_the_same_defaults() -> None:
    canonical, fresh = ask(("canonical", {"document": json.dumps(PLAIN)}), ("fresh", {"frames": 81, "fps": 24}))
    assert canonical == to_json(parse_document(PLAIN))
    assert fresh == to_json(PathDocument(81, fps=24.0))
    (parsed,) = ask(("parse", {"document": PLAIN}))
    assert set(parsed["keys"][0]) == {"frame", "position", "orbit", "look_at", "quaternion", "roll", "focal", "ease"}


def test_numbers_are_written_as_python_writes_them() -> None:
    random = Random(1)
    values = [random.gauss(0, 1) * 10 ** random.randint(-20, 18) for _ in range(2000)]
    values += [0.1, 1e-5, 1.5e-7, 0.0001, 123456.5, 1e6, 999999.5, 1e16, 2.0**53, 1 / 3]
    written = [number for number, _ in ask(("numbers", {"values": values}))[0]]
    assert written == [repr(int(v) if v.is_integer() and abs(v) < 2**53 else v) for v in values]
    limits = [0.01, 1e6, 1e5, 1e-6, 100.0, 40.0, 12345.678, -89.0, 0.00012345678]
    assert [short for _, short in ask(("numbers", {"values": limits}))[0]] == [f"{value:g}" for value in limits]


PLACES = [
    (), ("frames",), ("fps",), ("aspect",), ("unit",), ("base",), ("subject",), ("keys",), ("version",), ("format",),
    ("position_interpolation",), ("speed",), ("keys", 1), ("keys", 0, "position"), ("keys", 1, "frame"),
    ("keys", 1, "look_at"), ("keys", 0, "quaternion"), ("keys", 1, "quaternion"), ("keys", 2, "orbit"),
    ("keys", 2, "orbit", "target"), ("keys", 2, "orbit", "azimuth"), ("keys", 2, "orbit", "elevation"),
    ("keys", 2, "orbit", "distance"), ("keys", 2, "orbit", "turns"), ("keys", 2, "orbit", "distanse"),
    ("keys", 1, "ease"), ("keys", 1, "roll"), ("keys", 1, "focal"), ("keys", 1, "positon"), ("keys", 1, "orbit"),
]  # fmt: skip
VALUES = [
    None, True, 7, -1, 0, 0.5, 41, 90, 100_001, 10**30, "subject", "sky", "smooth", "first_frame", "",
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


def test_anything_in_any_place_is_taken_or_refused_in_the_same_words() -> None:
    texts = [json.dumps(changed(place, value)) for place in PLACES for value in VALUES]
    for text, answer in zip(texts, ask(*[("canonical", {"document": text}) for text in texts]), strict=True):
        assert answer == python_says(text), text


def test_mistakes_in_the_order_of_keys_and_their_fields() -> None:
    cases = []
    for frames in ([0, 0], [3, 2], [0.5, 0.25], [40, 40]):
        cases.append(PLAIN | {"keys": [{"frame": frame, "position": [0, 0, 0]} for frame in frames]})
    cases.append({name: value for name, value in PLAIN.items() if name != "frames"})
    cases.append(PLAIN | {"keys": [{"position": [0, 0, 0]}]})
    cases.append(PLAIN | {"keys": [{"frame": 0}]})
    cases.append(PLAIN | {"keys": [{"frame": 0, "position": [0, 0, 0], "orbit": PLAIN["keys"][2]["orbit"]}]})
    cases.append(PLAIN | {"keys": [0] * 10_001})
    answers = ask(*[("canonical", {"document": case}) for case in cases])
    assert answers == [python_says(case) for case in cases]


@pytest.mark.parametrize(
    "text",
    [
        "", "  \n", "{", '{"a"', '{"a":', '{"a":1', "[1 2]", '"ab', '"a\x01b"', '"\\q"', '"\\u12"', "1 2",
        '{"a" 1}', "tru",
        "-", "[1,\n 2,\n x]", '"\\', "{1:2}", "[", "01", "1.", "nul", "{'a':1}", "[,1]", "[1, 2]", "__import__('os')",
        '{"format": 1, "format": 2}', '{"a": {"b": 1, "b": 2, "c": [}', "[" * 100_000, "9" * 5000, '{"fps": 1e999}',
        '{"format": "track2view.camera_path", "version": 2}', '{"format": "track2view.camera_path", "version": NaN}',
        '{"format": "track2view.camera_path", "version": -Infinity}', " " * 16_000_001, "\ufeff{}",
    ],
    ids=lambda text: repr(text[:20]),
)  # fmt: skip
def test_text_that_is_no_document_is_refused_in_the_same_words(text: str) -> None:
    (answer,) = ask(("canonical", {"document": text}))
    assert answer == python_says(text)


def test_the_nearest_name_is_python_s() -> None:
    from difflib import get_close_matches

    random = Random(5)
    known = ["frame", "position", "orbit", "look_at", "quaternion", "roll", "focal", "ease"]
    names = ["".join(random.sample(name, random.randint(2, len(name)))) for name in known * 20]
    wanted = [next(iter(get_close_matches(name, known, n=1)), None) for name in names]
    assert ask(*[("close", {"name": name, "known": known}) for name in names]) == wanted


def test_damaged_text_is_refused_in_the_same_words() -> None:
    random = Random(9)
    whole = json.dumps(PLAIN)
    texts = []
    for _ in range(600):
        start = random.randrange(len(whole))
        piece = "".join(random.choice('{}[]",:\\u0123e.-+ntfNI \n\x01\u00e9a') for _ in range(random.randrange(4)))
        texts.append(whole[:start] + piece + whole[start + random.randrange(9) :])
    for text, answer in zip(texts, ask(*[("canonical", {"document": text}) for text in texts]), strict=True):
        assert answer == python_says(text), text
