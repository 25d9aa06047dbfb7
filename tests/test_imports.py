"""The import arrows between the rooms, and the few rules on files that keep them readable, as law."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "track2view_core"

# room -> the rooms it may import; errors and progress are open to all
ARROWS = {
    "errors": set(),
    "progress": set(),
    "video": set(),
    "cameras": set(),
    "tracks": {"video", "cameras"},
    "conditioner": {"video", "cameras", "tracks"},
    "wan": {"video", "cameras", "tracks", "conditioner"},
    "preview": {"video", "cameras", "tracks"},
    "scenes": {"video", "cameras", "tracks"},
    "dataset": {"video", "cameras", "tracks", "conditioner", "wan"},
    "training": {"video", "cameras", "tracks", "conditioner", "wan", "scenes", "preview", "dataset"},
    "curation": {"video", "cameras", "tracks", "conditioner", "wan", "scenes", "preview", "dataset"},
    "evaluation": {"video", "cameras", "tracks", "conditioner", "wan", "scenes", "preview", "dataset"},
    "weights": set(),
}
DOORS = {"cli", "commands"}  # the command line may use every room, and no room may use it
HOST_MODULES = {"nodes", "folder_paths", "server", "execution", "node_helpers", "latent_preview"}
HEAVY = ["diffusers", "peft", "transformers", "cv2", "scipy"]


def python_files(*folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py") if ".cache" not in file.parts)


def syntax(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def room_of(file: Path) -> str:
    return file.relative_to(CORE).parts[0].removesuffix(".py")


def imported_modules(file: Path) -> Iterator[tuple[str, bool]]:
    """(absolute module name, was it written relative) of every import in the file, also those inside functions."""
    package = ["track2view_core", *file.relative_to(CORE).parent.parts]
    for node in ast.walk(syntax(file)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or "", False
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1]
            if node.module:
                yield ".".join([*base, node.module]), True
            else:
                yield from ((".".join([*base, alias.name]), True) for alias in node.names)


CORE_FILES = python_files("track2view_core")


@pytest.mark.parametrize("file", CORE_FILES, ids=lambda file: str(file.relative_to(CORE)))
def test_rooms_import_one_way(file: Path):
    room = room_of(file)
    if room in DOORS or room == "__init__":
        return
    assert room in ARROWS, f"{room} is a new room: give it its arrows here"
    for module, _ in imported_modules(file):
        parts = module.split(".")
        if parts[0] == "track2view_core" and len(parts) > 1 and parts[1] not in {room, "errors", "progress"}:
            assert parts[1] in ARROWS[room], f"{room} must not import {parts[1]}"


@pytest.mark.parametrize("file", CORE_FILES, ids=lambda file: str(file.relative_to(CORE)))
def test_core_knows_neither_comfyui_nor_its_own_name(file: Path):
    """ComfyUI loads the core under the pack's own name, so an absolute import would load a second copy."""
    for module, relative in imported_modules(file):
        top = module.split(".")[0]
        assert not top.startswith("comfy") and top not in HOST_MODULES, f"imports {module}"
        assert relative or top != "track2view_core" or file.name == "__main__.py", f"imports {module} by its full name"


@pytest.mark.parametrize("file", CORE_FILES, ids=lambda file: str(file.relative_to(CORE)))
def test_only_the_command_line_prints(file: Path):
    if room_of(file) in DOORS:
        return
    calls = (node.func for node in ast.walk(syntax(file)) if isinstance(node, ast.Call))
    assert not [call for call in calls if isinstance(call, ast.Name) and call.id == "print"]


@pytest.mark.parametrize("file", python_files("track2view_core", "nodes", "tests", "benchmarks"), ids=str)
def test_files_and_functions_stay_short(file: Path):
    assert len(file.read_text(encoding="utf-8").splitlines()) < 400
    for node in ast.walk(syntax(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno + 1 < 60, f"{node.name} is too long"


@pytest.mark.parametrize("file", python_files("track2view_core", "nodes"), ids=str)
def test_names_say_what_they_hold(file: Path):
    assert file.stem not in {"utils", "helpers", "helper", "misc", "common"}


def modules_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after the statement, run in the repository's parent folder."""
    code = f"{statement}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.parent, check=False)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_importing_the_core_loads_nothing_heavy():
    loaded = modules_after("import track2view_core")
    assert not loaded & {*HEAVY, "nodes"}


def test_importing_the_command_line_loads_not_even_torch():
    loaded = modules_after("import track2view_core.cli")
    assert not loaded & {*HEAVY, "torch", "nodes"}


@pytest.mark.parametrize("room", ["video", "cameras", "tracks", "tracks.trackers", "conditioner", "preview"])
def test_rooms_import_with_torch_alone(room: str):
    assert not modules_after(f"import track2view_core.{room}") & set(HEAVY)


def test_the_pack_imports_without_comfyui_and_loads_nothing_heavy():
    """Loaded by path under a name of its own, as ComfyUI does."""
    statement = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('t2v_pack', {str(ROOT / '__init__.py')!r},"
        f" submodule_search_locations=[{str(ROOT)!r}])\n"
        "pack = importlib.util.module_from_spec(spec)\n"
        "sys.modules['t2v_pack'] = pack\n"
        "spec.loader.exec_module(pack)\n"
        "assert callable(pack.comfy_entrypoint) and pack.WEB_DIRECTORY and not hasattr(pack, 'NODE_CLASS_MAPPINGS')"
    )
    assert not modules_after(statement) & {*HEAVY, "nodes", "track2view_core"}


def test_the_nodes_folder_is_no_top_level_module():
    code = "import importlib.util; raise SystemExit(importlib.util.find_spec('nodes') is not None)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT.parent, check=False).returncode == 0
