"""File nodes read and write inside ComfyUI's folders alone, whatever a workflow from somewhere names."""

from __future__ import annotations

import json

import pytest

OUTSIDE = (
    "/etc/passwd", "../../secret.json", "..\\..\\secret.json", "\\\\server\\share\\secret.json", "C:\\secret.json",
    "file:///etc/passwd", "nul\0byte.json", "link_out.json", "link_out/secret.json", "../input/own.json [output]",
    "gone.json", "gone.json [output]", "notes.txt [output]", "", ".",
)  # fmt: skip
READERS = {
    "Track2View_ImportCamera": "{}",
    "Track2View_LoadTracks": "{}",
    "Track2View_LoadBundle": "{}",
    "Track2View_LoadWanDiffusers": "{}",
    "Track2View_LoadWanDiffusers, a folder": "diffusers/{}",
}


@pytest.fixture(scope="module")
def secret(server, tmp_path_factory):
    """A folder beside ComfyUI's, and links in these that lead there."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "secret.json").write_text("{}", encoding="utf-8")
    places = [server.base / name for name in ("input", "output", "models/diffusers", "models/track2view")]
    links = [place / name for place in places for name in ("link_out", "link_out.json")]
    for link in links:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(folder / "secret.json" if link.suffix else folder)
    yield folder
    for link in links:
        link.unlink()


@pytest.mark.parametrize("reader", READERS)
def test_what_lies_outside_is_refused_in_one_sentence_before_anything_runs(server, driver, object_info, secret, reader):
    kind = reader.split(",")[0]
    defaults = {name: options.get("default", "") for name, options in driver.graph.widgets(object_info[kind]).items()}
    for name in OUTSIDE:
        inputs = {**defaults, "file": READERS[reader].format(name)}
        graph = {"1": {"class_type": kind, "inputs": inputs},
                 "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}}}  # fmt: skip
        (error,) = server.refusal(graph)["node_errors"]["1"]["errors"]
        assert "ComfyUI's" in error["details"] and "folder" in error["details"], (name, error)
        assert "Traceback" not in json.dumps(error) and "byte" not in error["details"].replace(name, ""), (name, error)


def saving(node: str, prefix: str) -> dict:
    inputs = {
        "Track2View_ExportCamera": {"file_format": "track2view_camera"},
        "Track2View_SaveTracks": {"file_format": "npz"},
    }
    return {"class_type": node, "inputs": {**inputs[node], "filename_prefix": prefix}}


@pytest.fixture(scope="module")
def made(recamera, driver):
    """A graph that makes tracks and a path, and where they come from: {node that saves: its link}."""
    tracks = driver.graph.node_id(recamera, "Track2View_TrackPoints")
    graph, todo = {}, [tracks]
    while todo:
        name = todo.pop()
        graph[name] = recamera[name]
        todo += [value[0] for value in recamera[name]["inputs"].values() if isinstance(value, list)]
    return graph, {"Track2View_SaveTracks": {"point_tracks": [tracks, 0]},
                   "Track2View_ExportCamera": {"camera_path": [tracks, 1]}}  # fmt: skip


@pytest.mark.parametrize("node", ["Track2View_SaveTracks", "Track2View_ExportCamera"])
def test_nothing_is_written_outside_the_output_folder(server, secret, made, node):
    graph, links = made
    before = sorted(secret.rglob("*"))
    for prefix in ("../outside", "..\\outside", "/", "a/../../outside", "", "link_out/x", "link_out/deeper/x", "."):
        saver = saving(node, prefix)
        run = server.run({**graph, "100": {**saver, "inputs": {**saver["inputs"], **links[node]}}})
        assert run.error is not None and "filename_prefix" in run.message and "\n" not in run.message, prefix
    for prefix in ("/etc/kept", "\\\\server\\share\\kept", "nul\0byte", "C:\\kept", "file:///etc/kept"):
        saver = saving(node, prefix)
        run = server.run({**graph, "100": {**saver, "inputs": {**saver["inputs"], **links[node]}}})
        assert run.error is None, (prefix, run.error)
        (name,) = run.outputs["100"]["text"]
        assert (server.base / "output" / name).is_file(), prefix
    assert sorted(secret.rglob("*")) == before
