"""docs/CAMERA_PATHS.md says what the code does: its example parses, its table is the registry."""

from __future__ import annotations

from pathlib import Path

from track2view_core.cameras import OPERATIONS, parse_document, sample_document
from track2view_core.cameras.keyframes.documents import (
    BASES,
    ORIENTATION_INTERPOLATIONS,
    POSITION_INTERPOLATIONS,
)
from track2view_core.cameras.operations.operation import Operation, Parameter

from .camera_paths import still

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "CAMERA_PATHS.md").read_text(encoding="utf-8")
INPUT_WORDS = {"other": "second path", "point": "point", "scene_scale": "scene scale"}


def setting(name: str, parameter: Parameter) -> str:
    if parameter.kind == "choice":
        rest = " / ".join(f"**{c}**" if c == parameter.default else c for c in parameter.choices)
    elif parameter.kind == "switch":
        rest = "**on** / off" if parameter.default else "on / **off**"
    elif parameter.kind == "curve":
        rest = f"curve of {parameter.least:g}..{parameter.most:g}"
    else:
        unit = f" {parameter.unit}" if parameter.unit else ""
        rest = f"**{parameter.default:g}**, {parameter.least:.10g}..{parameter.most:.10g}{unit}"
    return f"`{name}` {rest}: {parameter.description}"


def row(operation: Operation) -> str:
    settings = "; ".join(setting(name, parameter) for name, parameter in operation.parameters.items()) or "-"
    inputs = ", ".join(
        [INPUT_WORDS[name] for name in operation.needs] + [f"({INPUT_WORDS[n]})" for n in operation.takes]
    )
    acts = "move" if operation.on_move else "path"
    return f"| `{operation.name}` | {operation.description} | {settings} | {inputs or '-'} | {acts} |"


def test_the_table_is_the_registry() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `") and line.count("|") == 6]
    assert sorted(rows) == sorted(row(operation) for operation in OPERATIONS.values())


def test_the_example_is_a_document() -> None:
    for part in PAGE.split("```json")[1:]:
        document = parse_document(part.split("```")[0])
        assert len(sample_document(document, still(document.frames), scene_scale=2.0)) == document.frames


def test_the_words_a_field_may_have_are_named() -> None:
    for word in (*BASES, *POSITION_INTERPOLATIONS, *ORIENTATION_INTERPOLATIONS):
        assert f"`{word}`" in PAGE
