"""The import arrows between the rooms, and the few rules on files that keep them readable, as law.

Each law reads all files and names every offender at once.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "track2view_core"

OPEN_TO_ALL = {"errors", "progress", "notes", "threads"}
TO_WAN = {"video", "cameras", "tracks", "conditioner", "wan"}
TO_DATASET = TO_WAN | {"scenes", "render", "preview", "dataset"}
# room -> the rooms it may import besides those open to all
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "progress": set(),
    "threads": set(),
    "notes": set(),
    "headlines": set(),
    "video": set(),
    "cameras": set(),
    "tracks": {"video", "cameras"},
    "render": {"video", "cameras", "tracks"},
    "conditioner": {"video", "cameras", "tracks"},
    "wan": {"video", "cameras", "tracks", "conditioner"},
    "refilm": TO_WAN | {"render"},
    "preview": {"video", "cameras", "tracks", "render"},
    "scenes": {"video", "cameras", "tracks"},
    "dataset": TO_WAN,
    "training": TO_DATASET,
    "curation": TO_DATASET,
    "evaluation": TO_DATASET,
    "weights": set(),
}
# the library's door and the command line may use every room, and no room may use them
DOORS = {"__init__", "cli", "commands"}
HOST_MODULES = {"nodes", "folder_paths", "server", "execution", "node_helpers", "latent_preview"}
HEAVY = ["diffusers", "peft", "transformers", "cv2", "scipy"]
LONGEST_FILE = 800  # lines
SAME_IN_EACH_ROOM = {
    "__init__",
    *("path", "plan", "presets", "rerender"),  # a verb of the command line, and the file that does its work
    "realcamvid",  # a data set, and the camera files it comes with
}


def python_files(*folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py") if ".cache" not in file.parts)


@cache
def syntax(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def room_of(file: Path) -> str:
    return file.relative_to(CORE).parts[0].removesuffix(".py")


def module_name(file: Path) -> str:
    parts = ["track2view_core", *file.relative_to(CORE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


CORE_FILES = python_files("track2view_core")
MODULES = {module_name(file): file for file in CORE_FILES}


def imported_modules(file: Path) -> Iterator[tuple[str, bool]]:
    """(absolute module name, was it written relative) of every import in the file, also those inside functions."""
    package = list(file.relative_to(ROOT).parent.parts)
    for node in ast.walk(syntax(file)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *(node.module or "").split(".")]).rstrip(".")
            for alias in node.names:
                below = f"{module}.{alias.name}"
                yield (below if below in MODULES else module), node.level > 0


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of modules of which each reaches all others and itself along the imports."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = list(graph.get(start, ()))
        while waiting:
            module = waiting.pop()
            if module not in seen:
                seen.add(module)
                waiting.extend(graph.get(module, ()))
        return seen

    reach = {module: reached(module) for module in graph}
    groups = {tuple(sorted(m for m in reach[module] if module in reach.get(m, ()))) for module in graph}
    return sorted(list(group) for group in groups if group)


def test_rooms_import_one_way() -> None:
    wrong = []
    for name, file in MODULES.items():
        room = room_of(file)
        if room in DOORS:
            continue
        if room not in ARROWS:
            wrong.append(f"{room} is a new room: give it its arrows here")
            continue
        for module, _ in imported_modules(file):
            top, *rest = module.split(".")
            other = rest[0] if rest else "__init__"
            if top == "track2view_core" and other not in {room} | OPEN_TO_ALL | ARROWS[room]:
                wrong.append(f"{name} imports {module}: {room} must not")
    assert not wrong, "\n".join(wrong)


def test_a_circle_of_imports_is_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"d"}, "e": {"a", "torch"}}
    assert circles(graph) == [["b", "c"], ["d"]]


def test_no_imports_run_in_a_circle() -> None:
    """Those inside functions and those for the type checker count, too: a circle of ideas is one, whenever it loads."""
    graph = {name: {module for module, _ in imported_modules(file)} for name, file in MODULES.items()}
    assert not circles(graph), "\n".join(" <-> ".join(circle) for circle in circles(graph))


def test_core_knows_neither_comfyui_nor_its_own_name() -> None:
    """ComfyUI loads the core under the pack's own name, so an absolute import would load a second copy."""
    wrong = []
    for name, file in MODULES.items():
        for module, relative in imported_modules(file):
            top = module.split(".")[0]
            if top.startswith("comfy") or top in HOST_MODULES:
                wrong.append(f"{name} imports {module}")
            if top == "track2view_core" and not relative and file.name != "__main__.py":
                wrong.append(f"{name} imports {module} by its full name")
    assert not wrong, "\n".join(wrong)


def test_only_the_command_line_prints() -> None:
    wrong = [
        f"{file.relative_to(ROOT)}:{node.lineno} prints"
        for file in CORE_FILES
        if room_of(file) not in DOORS
        for node in ast.walk(syntax(file))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not wrong, "\n".join(wrong)


def test_files_stay_readable() -> None:
    """A file is as long as its idea; what is longer than this holds more than one."""
    wrong = []
    for file in python_files("track2view_core", "nodes", "tests", "benchmarks", "extras"):
        lines = len(file.read_text(encoding="utf-8").splitlines())
        if lines > LONGEST_FILE:
            wrong.append(f"{file.relative_to(ROOT)} has {lines} lines; {LONGEST_FILE} are the most")
    assert not wrong, "\n".join(wrong)


def test_names_say_what_they_hold() -> None:
    empty = {"utils", "util", "helpers", "helper", "misc", "common"}
    files = python_files("track2view_core", "nodes", "tests", "benchmarks", "extras")
    wrong = [str(file.relative_to(ROOT)) for file in files if {file.stem, *file.relative_to(ROOT).parts} & empty]
    assert not wrong, "\n".join(wrong)


def test_the_architecture_page_lists_every_file() -> None:
    """docs/ARCHITECTURE.md says of each file what a newcomer finds there, under the heading of its room."""
    page = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8").split("## Reading order")[1]
    listed = {Path(name).name for name in re.findall(r"`([\w/.]+\.(?:py|mjs|js))`", page)}
    ours = {file.name for file in [*python_files("track2view_core", "nodes"), *(ROOT / "web").rglob("*.mjs")]}
    assert not (missing := ours - listed - {"__init__.py"}), f"not on the page: {sorted(missing)}"
    gone = listed - ours - {file.name for file in python_files("benchmarks")} - {"track2view.js"}
    assert not gone, f"on the page, but gone: {sorted(gone)}"


def test_nodes_import_the_core_and_comfyuis_api_alone() -> None:
    """What is internal to ComfyUI stays behind nodes/bridge. The core is reached by relative imports: ComfyUI loads
    it under the pack's own name, so an absolute one would load a second copy."""
    wrong = []
    for file in python_files("nodes"):
        name = file.relative_to(ROOT)
        for module, relative in imported_modules(file):
            top = module.split(".")[0]
            if relative:
                allowed = top in {"nodes", "track2view_core"}
            else:
                allowed = top in {"torch", "comfy_api", *sys.stdlib_module_names}
                if name.parts[1] == "bridge":
                    allowed |= top.startswith("comfy") or top in HOST_MODULES
            if not allowed:
                wrong.append(f"{name} imports {module}")
    assert not wrong, "\n".join(wrong)


def shared_names(files: Iterable[Path]) -> dict[str, list[Path]]:
    """The files of each basename that stands in more than one folder."""
    of_name: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        of_name[file.stem].append(file)
    return {name: those for name, those in of_name.items() if len(those) > 1}


def test_no_two_files_share_a_name_unless_it_means_the_same_in_both() -> None:
    shared = shared_names(python_files("track2view_core", "nodes"))
    wrong = [
        f"{name} is {' and '.join(str(file.relative_to(ROOT)) for file in those)}: name each after what it holds"
        for name, those in shared.items()
        if name not in SAME_IN_EACH_ROOM
    ]
    wrong += [
        f"{name} is shared by no two files any more: take it off the list" for name in SAME_IN_EACH_ROOM - {*shared}
    ]
    assert not wrong, "\n".join(wrong)


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


def test_rooms_import_with_torch_alone():
    statement = (
        "import importlib, sys\n"
        "brought = {}\n"
        "for room in ('video', 'cameras', 'tracks', 'tracks.trackers', 'conditioner', 'preview'):\n"
        "    importlib.import_module(f'track2view_core.{room}')\n"
        f"    brought |= {{name: room for name in {HEAVY} if name in sys.modules and name not in brought}}\n"
        "assert not brought, brought"
    )
    modules_after(statement)


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
