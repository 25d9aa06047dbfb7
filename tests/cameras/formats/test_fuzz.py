"""Damaged files of every format: a path or one sentence, and nothing else. `benchmarks/fuzz_formats.py` runs more."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from track2view_core.cameras.formats import FORMATS

EXAMPLES = 200


@pytest.fixture(scope="module")
def fuzzing(benchmark_module) -> ModuleType:
    return benchmark_module("fuzz_formats")


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_damaged_files(name: str, fuzzing: ModuleType) -> None:
    counts = fuzzing.fuzz(name, EXAMPLES)
    assert counts.keys() <= {"path", "refused"}
    assert counts["refused"] > EXAMPLES / 4, "the damage is hardly any"


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"colmap"}))
def test_noise(name: str, fuzzing: ModuleType, tmp_path: Path) -> None:
    """Any bytes and any text, whose failures hypothesis makes small."""
    file = tmp_path / f"noise{FORMATS[name].endings[0]}"

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.binary(max_size=200) | st.text(max_size=80).map(lambda text: text.encode("utf-8", "replace")), st.booleans()
    )
    def law(content: bytes, told: bool) -> None:
        fuzzing.outcome(name, {file.name: content}, tmp_path, told=told, given_fields=True)

    law()


def test_the_sound_files_are_sound(fuzzing: ModuleType, tmp_path: Path) -> None:
    for name in FORMATS:
        for number, files in enumerate(fuzzing.valid_files(name)):
            folder = tmp_path / f"{name}{number}"
            folder.mkdir()
            assert fuzzing.outcome(name, files, folder, told=True, given_fields=True) == "path"
