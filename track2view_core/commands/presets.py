"""`track2view presets`: the preset camera moves and what amount 1.0 means for each."""

from __future__ import annotations

from ..cameras import PRESETS


def run() -> None:
    width = max(map(len, PRESETS))
    for name, nominal in PRESETS.items():
        print(f"{name:{width}}  {nominal}")
