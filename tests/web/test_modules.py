"""The browser's modules by themselves: their own tests in Node, and the rules that keep them readable."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

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


def test_files_stay_readable_and_load_nothing_from_elsewhere() -> None:
    wrong = []
    for file in MODULES:
        text = file.read_text(encoding="utf-8")
        if len(text.splitlines()) > 800:
            wrong.append(f"{file.name} has more than 800 lines")
        wrong += [f"{file.name} loads {name}" for name in imported(text) if not name.startswith((".", "/scripts/"))]
    assert MODULES and not wrong, "\n".join(wrong)


def test_the_mathematics_knows_neither_comfyui_nor_the_page() -> None:
    wrong = []
    for file in MATH:
        text = file.read_text(encoding="utf-8")
        wrong += [f"{file.name} loads {name}" for name in imported(text) if not name.startswith("./")]
        page = re.findall(r"\b(?:window|document\.(?:createElement|body|addEventListener)|localStorage|fetch)\b", text)
        wrong += [f"{file.name} uses {name}" for name in page]
    assert MATH and not wrong, "\n".join(wrong)
