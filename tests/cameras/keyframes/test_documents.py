"""The keyframe document as text: round trips, sentences that name key and field, and nothing but such sentences."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from track2view_core.cameras import Keyframe, PathDocument, parse_document, to_json
from track2view_core.cameras.keyframes.documents import MIGRATIONS, VERSION
from track2view_core.errors import Track2ViewError

from .keyframe_documents import documents

laws = settings(deadline=None, max_examples=60)
PLAIN = {
    "format": "track2view.camera_path",
    "version": 2,
    "frames": 41,
    "keys": [
        {"frame": 0, "position": [0, 0, 0]},
        {"frame": 20, "position": [0.5, 0, 0], "look_at": [0, 0, 1], "ease": "smooth"},
        {"frame": 40, "orbit": {"azimuth": 30, "elevation": 0, "distance": 1, "target": [0, 0, 1]}},
    ],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """PLAIN with one field changed; `path` such as 'keys.1.position'."""
    document = json.loads(json.dumps(PLAIN))
    *way, name = [int(part) if part.isdigit() else part for part in path.split(".")]
    place = document
    for part in way:
        place = place[part]
    place[name] = value
    return document


@laws
@given(documents())
def test_a_document_survives_its_text(document: PathDocument) -> None:
    text = to_json(document)
    assert parse_document(text) == document
    assert to_json(parse_document(text)) == text
    assert parse_document(json.dumps(json.loads(text), indent=2)) == document
    assert parse_document(json.loads(text)) == document


def test_what_a_person_leaves_out_has_the_stated_defaults() -> None:
    document = parse_document(PLAIN)
    assert document == parse_document(json.dumps(PLAIN))
    assert (document.fps, document.base, document.unit, document.aspect) == (16.0, "source", "scene_scale", None)
    first, _, last = document.keys
    assert first.quaternion == (1.0, 0.0, 0.0, 0.0)
    assert last.look_at == last.orbit.target == (0, 0, 1)
    assert (first.roll, first.focal, first.ease) == (0.0, 1.0, "smooth")


def test_the_text_is_what_a_browser_writes() -> None:
    text = to_json(parse_document(PLAIN))
    assert text.startswith('{"format":"track2view.camera_path","version":2,"frames":41,"fps":16,"aspect":null,')
    assert '{"frame":20,"position":[0.5,0,0],"look_at":[0,0,1],"roll":0,"focal":1,"ease":"smooth"}' in text
    assert ".0" not in text


def test_whole_numbers_written_as_floats_are_whole() -> None:
    document = parse_document(changed("frames", 41.0) | {"aspect": [832.0, 480]})
    assert document == parse_document(PLAIN | {"aspect": [832, 480]})
    assert isinstance(document.frames, int) and isinstance(document.aspect[0], int)


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("keys.1.position", [0, 1], "Key 2, field position: [0, 1] came; it must be three finite numbers."),
        ("keys.1.position", [0, 1, math.nan], "Key 2, field position: [0, 1, NaN] came; it must be three finite"),
        ("keys.1.position", [0, "1", 2], 'Key 2, field position: [0, "1", 2] came'),
        ("keys.1.position", [0, True, 2], "Key 2, field position: [0, true, 2] came"),
        ("keys.1.position", [0, 0, 1e7], "finite numbers of at most 1e+06"),
        ("keys.1.position", None, "Key 2, field position: neither position nor orbit came; give exactly one"),
        ("keys.1.quaternion", [1, 0, 0, 0], "Key 2, field look_at: look_at and quaternion both came; give exactly one"),
        ("keys.0.quaternion", [1, 1, 0, 0], "Key 1, field quaternion: [1, 1, 0, 0] came; it must be w, x, y, z of len"),
        ("keys.0.quaternion", [1, 0, 0], "Key 1, field quaternion: [1, 0, 0] came; it must be four finite numbers."),
        ("keys.1.look_at", [0.5, 0, 0], "Key 2, field look_at: [0.5, 0, 0] came; it must be another point than"),
        ("keys.2.look_at", [0.5, 0, 1 - math.sqrt(0.75)], "Key 3, field look_at"),
        ("keys.1.look_at", "sky", "Key 2, field look_at: \"sky\" came; it must be three finite numbers or 'subject'."),
        ("keys.1.look_at", "subject", 'field look_at: "subject" came; it needs the document\'s field subject'),
        ("keys.1.frame", 41, "Key 2, field frame: 41 came; it must be a frame of the document, a number from 0 to 40."),
        ("keys.1.frame", 40, "Key 3, field frame: 40 came; it must be after frame 40 of key 2; sort the keys"),
        ("keys.1.roll", "0", 'Key 2, field roll: "0" came; it must be degrees, a number from -100000 to 100000.'),
        ("keys.1.focal", 0, "Key 2, field focal: 0 came; it must be a factor on the base camera's focal length, a"),
        ("keys.1.ease", "bounce", "Key 2, field ease: \"bounce\" came; it must be 'smooth' or 'linear' or"),
        ("keys.2.orbit.elevation", 90, "Key 3, field orbit.elevation: 90 came; it must be degrees, a number from -89"),
        ("keys.2.orbit.distance", 0, "Key 3, field orbit.distance: 0 came"),
        ("keys.2.orbit.target", [1], "Key 3, field orbit.target: [1] came; it must be three finite numbers."),
        ("keys.2.orbit.turns", 3, 'Key 3, field orbit has no field "turns"; it may have azimuth, elevation'),
        ("keys.2.orbit", {"azimuth": 3}, "Key 3, field orbit lacks the field 'elevation'; it must be given."),
        ("keys.2.orbit", 30, "Key 3, field orbit: 30 came; it must be an object with azimuth"),
        ("keys.1.positon", [0, 0, 0], "Key 2 has no field \"positon\"; perhaps 'position' is meant."),
        ("keys.1", 7, "Key 2: 7 came; it must be an object with the fields of a key."),
        ("keys.1", {"position": [0, 0, 0]}, "Key 2 lacks the field 'frame'; it must be given."),
        ("keys", {}, "Field keys: {} came; it must be a list of at most 10000 keys."),
        ("keys", [0] * 10_001, "Field keys: a list of 10001 entries came; it must be a list of at most 10000 keys."),
        ("frames", 0, "Field frames: 0 came; it must be a whole number from 1 to 100000."),
        ("frames", 1e400, "Field frames: Infinity came"),
        ("frames", 10**5000, "Field frames: a number of thousands of digits came"),
        ("fps", -1, "Field fps: -1 came; it must be a number from 0.01 to 1000."),
        ("aspect", [16], "Field aspect: [16] came; it must be null or [width, height] in whole pixels."),
        ("unit", "metre", "Field unit: \"metre\" came; it must be 'scene_scale'."),
        ("base", "world", "Field base: \"world\" came; it must be 'source' or 'first_frame'."),
        ("position_interpolation", "spline", "Field position_interpolation: \"spline\" came; it must be 'catmull_rom'"),
        ("subject", [[0, 0, 1]], "Field subject: [[0, 0, 1]] came; it must be null or a list of 41 points"),
        ("subject", [[0, 0, 1]] * 40 + [[0, 1]], "Field subject at frame 40: [0, 1] came; it must be three finite"),
        ("format", "path", "Field format: \"path\" came; it must be 'track2view.camera_path'."),
        ("version", 3, "Field version: 3 came; this release reads up to 2, so update Track2View."),
        ("version", "1", 'Field version: "1" came; it must be a number from 1 to 2.'),
        ("speed", 2, 'The camera path document has no field "speed"; it may have frames, keys'),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else type(value).__name__,
)
def test_a_mistake_is_named_by_key_and_field(path: str, value: Any, sentence: str) -> None:
    with pytest.raises(Track2ViewError) as caught:
        parse_document(changed(path, value))
    words = str(caught.value)
    assert sentence in words
    assert words[0].isupper() and words.endswith(".") and "\n" not in words and len(words) < 400


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("  \n", "is empty"),
        ("{", "is no JSON: Expecting .* at line 1, column 2"),
        ("[1, 2]", r"must be a JSON object.*\[1, 2\] came"),
        ("__import__('os').getcwd()", "is no JSON"),
        ('{"format": 1, "format": 2}', 'Field "format" is given twice'),
        ("[" * 100_000, "too deep"),
        ("9" * 5000, "too long a number"),
        ('{"format": "track2view.camera_path"}', "Field version: null came"),
        ('{"format": "track2view.camera_path", "version": 1}', "lacks the field 'frames'"),
        (" " * 16_000_001, "has 16000001 characters"),
    ],
    ids=lambda value: value[:20],
)
def test_text_that_is_no_document_is_refused_in_one_sentence(text: str, words: str) -> None:
    with pytest.raises(Track2ViewError, match=words) as caught:
        parse_document(text)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_a_document_made_in_code_is_checked_the_same() -> None:
    with pytest.raises(Track2ViewError, match="Key 1, field position: neither position nor orbit came"):
        PathDocument(frames=9, keys=(Keyframe(0, look_at=(0, 0, 1)),))
    with pytest.raises(Track2ViewError, match="Field frames"):
        replace(parse_document(PLAIN), frames=10.5)


def test_migrations_lead_from_every_older_version_to_this_one() -> None:
    assert set(MIGRATIONS) == set(range(1, VERSION))


def test_an_ease_of_version_1_is_that_of_its_segment_and_of_two_keys_that_of_the_whole_path() -> None:
    old = PLAIN | {"version": 1}
    assert [key.ease for key in parse_document(old).keys] == ["segment_linear", "segment_smooth", "segment_linear"]
    assert [key.ease for key in parse_document(old | {"keys": PLAIN["keys"][1:]}).keys] == ["smooth", "linear"]
    assert old["keys"] == PLAIN["keys"]  # what came is not changed
    assert parse_document(changed("keys.1.ease", "hold")).keys[1].ease == "hold"


words = st.sampled_from(
    ["format", "version", "frames", "keys", "frame", "position", "orbit", "look_at", "quaternion", "subject", "target"]
)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), words),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(words, inner, max_size=5)),
    max_leaves=12,
)


def parses_or_says_why(document: Any) -> None:
    try:
        parsed = parse_document(document)
    except Track2ViewError as error:
        sentence = str(error)
        assert sentence.endswith(".") and "\n" not in sentence and len(sentence) < 500
    else:
        assert parse_document(to_json(parsed)) == parsed


@settings(deadline=None, max_examples=150)
@given(st.text())
def test_any_text_parses_or_is_refused(text: str) -> None:
    parses_or_says_why(text)


@settings(deadline=None, max_examples=150)
@given(json_values)
def test_any_json_parses_or_is_refused(content: Any) -> None:
    parses_or_says_why(content)
    parses_or_says_why(json.dumps(content))


PLACES = ("keys.1", "keys.2.orbit", "keys.0.position", "keys.1.frame", "keys.1.look_at", "keys.0.quaternion")


@settings(deadline=None, max_examples=200)
@given(st.sampled_from((*PLACES, "keys.2.orbit.target", "keys", "frames", "aspect", "subject", "version")), json_values)
def test_anything_in_any_place_parses_or_is_refused(place: str, value: Any) -> None:
    parses_or_says_why(changed(place, value))


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damaged_text_parses_or_is_refused(data: st.DataObject) -> None:
    text = json.dumps(PLAIN)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 9)))
    parses_or_says_why(text[:start] + data.draw(st.text(max_size=4)) + text[end:])
