"""The linter's and the type checker's word counts as a test, so that the one test command is all there is to run."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("ruff", "basedpyright")  # what they find changes with their version


def run_tool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_ruff_finds_nothing():
    result = run_tool("ruff", "check", "--no-cache", "--output-format", "concise", ".")
    assert result.returncode == 0, result.stdout + result.stderr


def test_ruff_would_format_nothing():
    result = run_tool("ruff", "format", "--no-cache", "--check", ".")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_type_checker_finds_nothing():
    result = run_tool("basedpyright", "--pythonpath", sys.executable)
    assert result.returncode == 0, result.stdout + result.stderr


def test_each_tool_is_pinned_once_and_is_the_one_that_runs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = project["optional-dependencies"]["test"]
    assert {line for line in asked if line.startswith(TOOLS)} == {f"{tool}=={version(tool)}" for tool in TOOLS}
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    for tool in TOOLS:
        assert f"python -m {tool}" in hooks  # the installed one
    assert not re.search(rf"(?:{'|'.join(TOOLS)})\S*(?:-pre-commit|==)", hooks), "a hook brings a version of its own"
