"""The browser's modules by themselves: their own tests in Node, and the rules that keep them readable."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

WEB = Path(__file__).resolve().parents[2] / "web"
MODULES = sorted([*WEB.rglob("*.mjs"), *WEB.rglob("*.js")])
MATH = sorted((WEB / "math").glob("*.mjs"))


def imported(text: str) -> list[str]:
    """What a module imports, at its head or later."""
    heads = re.findall(r"""^(?:import|export)\s+(?:[\w\s{},*$]*?\sfrom\s+)?["']([^"']+)["'];""", text, re.MULTILINE)
    return heads + re.findall(r"""\bimport\(["']([^"']+)""", text)


def test_their_own_tests_pass() -> None:
    tests = sorted(str(file) for file in Path(__file__).parent.glob("*.test.mjs"))
    result = subprocess.run(["node", "--test", *tests], capture_output=True, text=True, encoding="utf-8", check=False)
    assert tests and result.returncode == 0, result.stdout[-4000:]


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.name)
def test_files_stay_short_and_load_nothing_from_elsewhere(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 400
    for name in imported(text):
        assert name.startswith((".", "/scripts/")), f"{file.name} loads {name}"


@pytest.mark.parametrize("file", MATH, ids=lambda file: file.name)
def test_the_mathematics_knows_neither_comfyui_nor_the_page(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert all(name.startswith("./") for name in imported(text))
    assert not re.search(r"\b(window|document\.(createElement|body|addEventListener)|localStorage|fetch)\b", text)
