"""Print what the project, and the extras named, ask for at the stated lower bound: `name>=1.2` becomes `name==1.2`.

python .ci/lower_bounds.py train test > constraints.txt
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

# The only build for CPUs alone that continuous integration has at hand.
NOT_LOWERED = {"torch"}


def lower_bounds(pyproject: str, *extras: str) -> list[str]:
    """`name==version` lines of what `pyproject`, the file's text, asks for, less what is not lowered."""
    project = tomllib.loads(pyproject)["project"]
    asked = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    bounds = {}
    for line in asked:
        match = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:\[\w+\])?(>=|==)([0-9.]+)", line)
        if match is None:
            raise SystemExit(f"{line!r} states no lower bound: write name>=version in pyproject.toml.")
        name, _, version = match.groups()
        if name not in NOT_LOWERED:
            bounds[name] = version
    return [f"{name}=={version}" for name, version in sorted(bounds.items())]


if __name__ == "__main__":
    text = (Path(__file__).resolve().parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    sys.stdout.write("\n".join(lower_bounds(text, *sys.argv[1:])) + "\n")
