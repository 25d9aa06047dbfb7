"""Settings of an operation as text: they read back as written, and what is wrong is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from track2view_core.cameras import OPERATIONS
from track2view_core.cameras.operations.operation import chosen_settings, read_settings, settings_text
from track2view_core.errors import Track2ViewError


def test_the_defaults_read_back_as_they_are_written(subtests: pytest.Subtests) -> None:
    for name in OPERATIONS:
        with subtests.test(name=name):
            operation = OPERATIONS[name]
            values = read_settings(settings_text(operation, {}), name)
            assert set(values) == set(operation.parameters)
            for key, parameter in operation.parameters.items():
                assert values[key] == parameter.default, key
                assert isinstance(values[key], bool) == isinstance(parameter.default, bool)


@given(st.integers(-3600, 3600), st.sampled_from([" ", "", "\t"]))
def test_spaces_and_empty_parts_do_not_matter(degrees: int, space: str) -> None:
    text = f";{space}degrees{space}={space}{degrees}{space}; ;rise=10;"
    assert read_settings(text, "orbit") == {"degrees": degrees, "rise": 10}


def test_fields_of_the_node_go_to_the_operations_that_have_them() -> None:
    fields = {"amount": 0.5, "ease": "linear", "seed": 7}
    assert chosen_settings("mirror", "", **fields) == {}
    assert chosen_settings("orbit", "degrees=5", **fields) == {"degrees": 5, "ease": "linear"}
    assert chosen_settings("handheld", "", **fields) == {"amount": 0.5, "seed": 7}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("orbit", "degrees", "'degrees' came; it must be name=value"),
        ("orbit", "degrees=", "it must be name=value"),
        ("mirror", "left", "such as an empty field, since this operation has no settings"),
        ("orbit", "degress=3", "orbit has no setting 'degress'; perhaps 'degrees' is meant"),
        ("mirror", "x=3", "mirror has no setting 'x'; it has none"),
        ("orbit", "rise=1; rise=2", "rise is given twice"),
        ("orbit", "rise=high", "rise: 'high' came; it must be a number"),
        ("orbit", "rise=nan", "it must be a number"),
        ("loop", "closed=perhaps", "closed: 'perhaps' came; it must be true or false"),
        ("retime", "curve=0:0, 1", "curve: '1' came; it must be pairs"),
        ("orbit", "ease=linear", "ease has a field of its own"),
    ],
)
def test_what_is_wrong_is_named(name: str, text: str, words: str) -> None:
    with pytest.raises(Track2ViewError) as caught:
        chosen_settings(name, text, ease="smooth")
    assert words in str(caught.value) and str(caught.value).endswith(".")
