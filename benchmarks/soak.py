"""A hundred graphs on one real ComfyUI, with interrupts, bad inputs and edits: what breaks, what grows, what stays.

    python -m benchmarks.soak
    python -m benchmarks.soak --runs 20 --seed 7

The server is that of the tests (`tests/comfyui/driver`), on the CPU; the clip is the shipped one, small. Ends with 1 if
a run ended otherwise than it should, if the server's memory grew by 5 % or more, or if unfinished files are left.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[1]
SIDE, FRAMES = 128, 9
MOST_GROWTH = 0.05
PRESETS = ("orbit_left", "arc_right", "dolly_in", "truck_left", "crane_up", "static")
GRAPHS = {"no model": "00", "diffusers": "01", "ComfyUI's MODEL": "02"}
BAD = {  # what is set at which node
    "a clip without frames": ("Track2View_PrepareClip", {"video": None}),
    "a path that is no path": ("Track2View_CameraPreset", {"subject": "-5,7"}),
    "an unknown choice": ("Track2View_RestoreClip", {"size": "larger"}),
}


@dataclass(frozen=True)
class Ended:
    """How one run ended."""

    kind: str
    planned: str  # "finish", "fail" or "interrupt"
    seen: str  # "finished", "failed" or "interrupted"
    seconds: float
    memory: float  # MiB of the server afterwards

    @property
    def as_planned(self) -> bool:
        """An interrupt may come when all is done."""
        wanted = {"finish": {"finished"}, "fail": {"failed"}, "interrupt": {"interrupted", "finished"}}
        return self.seen in wanted[self.planned]


def main() -> int:
    asked = _arguments()
    driver, chance = _driver(), random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        driver.weights.provide_tiny_models(base / "models")
        with driver.server.running_server(base) as server:
            (process,) = [child for child in psutil.Process().children() if "start.py" in " ".join(child.cmdline())]
            graphs = _graphs(driver, server)
            ended = []
            for number in range(1, asked.runs + 1):
                ended.append(_one(driver, server, process, graphs, chance))
                print(f"{number:4d}  {ended[-1].kind:18s} {ended[-1].planned:10s} {ended[-1].seen:12s}"
                      f" {ended[-1].seconds:6.1f} s  {ended[-1].memory:7.0f} MiB", flush=True)  # fmt: skip
        unfinished = [file.relative_to(base) for file in base.rglob("*") if ".part" in file.name]
    return _told(ended, unfinished)


def _one(
    driver: ModuleType, server: Any, process: psutil.Process, graphs: dict[str, Any], chance: random.Random
) -> Ended:
    kind = chance.choice([*GRAPHS, "preview"])
    graph = graphs["ComfyUI's MODEL" if kind == "preview" else kind]
    graph = _edited(driver, graph, chance)
    planned = chance.choices(("finish", "fail", "interrupt"), (6, 2, 2))[0]
    if planned == "fail":
        kind, (node, inputs) = chance.choice(list(BAD.items()))
        graph = driver.graph.changed(_edited(driver, graphs["no model"], chance), node, **inputs)
    targets = [driver.graph.node_id(graph, "Track2View_PreviewRecamera")] if kind == "preview" else None
    begun = time.monotonic()
    seen = _run(server, graph, targets, chance.uniform(0, 4) if planned == "interrupt" else None)
    assert process.is_running(), f"the server ended:\n{server.log_end()}"
    return Ended(kind, planned, seen, time.monotonic() - begun, process.memory_info().rss / 2**20)


def _run(server: Any, graph: dict[str, Any], targets: list[str] | None, interrupt_after: float | None) -> str:
    timer = threading.Timer(interrupt_after or 0, server.post, ["/interrupt"])
    if interrupt_after is not None:
        timer.start()
    run = server.run(graph, targets=targets, seconds=600)
    timer.cancel()
    return "interrupted" if run.interrupted else "finished" if run.error is None else "failed"


def _graphs(driver: ModuleType, server: Any) -> dict[str, dict[str, Any]]:
    """The shipped workflows as prompts, small."""
    info = server.get("/object_info")
    saved = {kind: driver.graph.load_workflow(driver.graph.workflow_file(number)) for kind, number in GRAPHS.items()}
    return {kind: driver.graph.to_prompt(graph, info) for kind, graph in saved.items()}


def _edited(driver: ModuleType, graph: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Now and then another size or other tracks; often another path, which leaves the tracks as they are."""
    side, points = chance.choice((SIDE, SIDE, SIDE, SIDE + 32)), chance.choice((300, 300, 300, 200))
    graph = driver.graph.changed(graph, "Track2View_DemoClip", scene="shapes")
    graph = driver.graph.changed(graph, "Track2View_PrepareClip", width=side, height=side, max_frames=FRAMES)
    graph = driver.graph.changed(graph, "Track2View_TrackPoints", points=points)
    for sampler in ("KSampler", "Track2View_SampleDiffusers"):
        graph = driver.graph.changed(graph, sampler, steps=2, seed=chance.randrange(3))
    move = {"preset": chance.choice(PRESETS), "amount": chance.choice((0.1, 0.2, 0.3))}
    graph = driver.graph.changed(graph, "Track2View_CameraPreset", **move)
    for node in graph.values():
        if node["class_type"] == "Track2View_CameraEditor":
            node["inputs"]["document"] = _drawn(node["inputs"]["document"], chance)
    return graph


def _drawn(document: str, chance: random.Random) -> str:
    """The path that was drawn, its last key dragged to another place and to the end of the clip."""
    path = json.loads(document)
    path["frames"] = FRAMES
    path["keys"][-1]["frame"] = FRAMES - 1
    path["keys"][-1]["orbit"]["azimuth"] = chance.choice((-20, -10, 10, 20))
    return json.dumps(path)


def _told(ended: list[Ended], unfinished: list[Path]) -> int:
    """Print what happened; 1 if something of it should not have."""
    counts = Counter((run.kind, run.planned, run.seen) for run in ended)
    print("\n| graph | planned | ended | runs |\n|---|---|---|---|")
    for (kind, planned, seen), count in sorted(counts.items()):
        print(f"| {kind} | {planned} | {seen} | {count} |")
    wrong = [run for run in ended if not run.as_planned]
    quarter = max(1, len(ended) // 4)
    before, after = (
        float(np.median([run.memory for run in part])) for part in (ended[quarter : 2 * quarter], ended[-quarter:])
    )
    growth = after / before - 1
    grown = f"{before:.0f} MiB in the second quarter, {after:.0f} in the last ({100 * growth:+.1f} %)"
    print(f"\n{len(ended)} runs, {len(wrong)} of them ended otherwise than planned")
    print(f"memory of the server: {grown}")
    print(f"unfinished files left: {len(unfinished)}")
    return int(bool(wrong) or growth >= MOST_GROWTH or bool(unfinished))


def _driver() -> ModuleType:
    """The tests' driver, by path: it is no part of the package."""
    name, folder = "track2view_comfyui_driver", ROOT / "tests/comfyui/driver"
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    sys.modules[name] = driver = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(driver)
    for part in ("install", "server", "graph", "weights"):
        importlib.import_module(f"{name}.{part}")
    return driver


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
