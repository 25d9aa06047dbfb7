"""Questions to the browser's modules, answered by Node: `ask(("sample", {...}), ...)`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def ask(*questions: tuple[str, dict[str, Any]]) -> list[Any]:
    """What answers.mjs says to each (name, arguments): the value, or `Refused` with the sentence of the error."""
    asked = json.dumps([{"name": name, "given": given} for name, given in questions])
    result = subprocess.run(
        ["node", str(HERE / "answers.mjs")], input=asked, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert result.returncode == 0, result.stderr
    return [Refused(answer["error"]) if "error" in answer else answer["value"] for answer in json.loads(result.stdout)]


class Refused(str):
    """The one sentence of an error."""
