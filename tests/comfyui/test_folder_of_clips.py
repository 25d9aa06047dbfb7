"""Workflow 22 in a real browser: queued three times, it takes three clips of the input folder in turn."""

from __future__ import annotations

import json
import shutil

import pytest

CLIPS = [f"shot_{number}.mp4" for number in (1, 2, 3)]


@pytest.fixture
def folder(frontend):
    from track2view_core.scenes import shipped_clip

    inputs = frontend[1].base / "input"
    for name in (*CLIPS, "another.mp4"):
        shutil.copy(shipped_clip("shapes").file, inputs / name)
    yield inputs
    for name in (*CLIPS, "another.mp4"):
        (inputs / name).unlink()


def test_each_run_takes_the_next_clip_that_the_filter_keeps(folder, browser, nodes, workflow, frontend):
    saved = workflow("22")
    by_type = {node["type"]: node for node in saved["nodes"]}
    by_type["PrimitiveNode"]["widgets_values"] = [CLIPS[0], "increment", "shot_"]
    by_type["Track2View_PrepareClip"]["widgets_values"][:3] = [128, 128, 5]
    browser.evaluate("app.refreshComboInNodes()")  # what the key R does
    browser.evaluate(f"app.loadGraphData({json.dumps(saved)})")
    browser.wait_for(f"app.graph._nodes.length === {len(saved['nodes'])}")
    browser.evaluate("app.queuePrompt(0, 3)")
    films = frontend[1].base / "output/track2view"
    browser.wait_for(
        "fetch('/queue').then(a => a.json()).then(q => !q.queue_running.length && !q.queue_pending.length)"
    )
    assert len(list(films.glob("batch_*.mp4"))) == 3
    ran = frontend[1].get("/history?max_items=3").values()
    graphs = [entry["prompt"][2].values() for entry in sorted(ran, key=lambda entry: entry["prompt"][0])]
    taken = [node["inputs"]["file"] for graph in graphs for node in graph if node["class_type"] == "LoadVideo"]
    assert taken == CLIPS
