"""How the pack's error is shown: ComfyUI prints the type by its module, which there is named after a folder."""

from __future__ import annotations

import pickle
from pathlib import Path

from track2view_core.errors import Track2ViewError


def test_the_type_of_an_error_names_no_folder_of_the_machine(pack):
    error = pack("track2view_core.errors").Track2ViewError
    assert error is not Track2ViewError
    assert f"{error.__module__}.{error.__qualname__}" == "track2view_core.errors.Track2ViewError"
    assert str(Path(__file__).parents[2]) not in repr(error)


def test_an_error_still_travels_between_processes():
    error = pickle.loads(pickle.dumps(Track2ViewError("a sentence.")))
    assert type(error) is Track2ViewError and str(error) == "a sentence."
