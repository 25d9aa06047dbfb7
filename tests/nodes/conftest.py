"""The pack as ComfyUI holds it, under the name of the folder it lies in, without a ComfyUI around it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAME = "/a folder of the user/custom_nodes/track2view"


@pytest.fixture(scope="session")
def pack() -> Callable[[str], ModuleType]:
    """A module of the pack by its dotted name, such as `nodes.bridge.native`."""
    spec = importlib.util.spec_from_file_location(NAME, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    sys.modules[NAME] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[NAME])
    return lambda module: importlib.import_module(f"{NAME}.{module}")
