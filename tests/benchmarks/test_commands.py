"""Every benchmark that the documents name starts, and what the native ones ask of the pack by name is there."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
DOCUMENTS = [ROOT / "README.md", BENCHMARKS / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_every_named_benchmark_starts(benchmark_module):
    named = {name for file in DOCUMENTS for name in re.findall(r"python -m benchmarks\.(\w+)", file.read_text("utf-8"))}
    own = {file.stem for file in BENCHMARKS.glob("*.py") if 'if __name__ == "__main__"' in file.read_text("utf-8")}
    assert named == {*own, "claim"}
    for name in sorted(named):
        assert callable(benchmark_module("claim.__main__" if name == "claim" else name).main), name


def asked_of_the_pack(file: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of every `host.core("module").name`, also where the module is kept in a variable first."""
    tree = ast.parse(file.read_text("utf-8"))

    def module(node: ast.AST) -> str | None:
        called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "core"
        return node.args[0].value if called else None

    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        kept: dict[str, str] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.Assign):
                pairs = zip(ast.walk(node.targets[0]), ast.walk(node.value), strict=False)
                kept |= {to.id: name for to, value in pairs if isinstance(to, ast.Name) and (name := module(value))}
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute):
                held = kept.get(node.value.id) if isinstance(node.value, ast.Name) else module(node.value)
                if held is not None:
                    yield held, node.attr


def test_what_the_native_benchmarks_ask_of_the_pack_is_there():
    asked = {(file.name, *what) for file in BENCHMARKS.glob("*.py") for what in asked_of_the_pack(file)}
    assert ("comfyui_host.py", "wan.bundle_config", "SamplingConfig") in asked  # kept in a variable
    assert ("native_windows.py", "wan.sampler", "initial_noise") in asked
    lacking = [
        what for what in sorted(asked) if not hasattr(importlib.import_module(f"track2view_core.{what[1]}"), what[2])
    ]
    assert not lacking
