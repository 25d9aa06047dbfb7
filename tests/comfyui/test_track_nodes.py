"""The nodes that bring tracks, cameras and depth in and out, each run once on the server."""

import pytest

TRACK, LOAD = "Track2View_TrackPoints", "Track2View_LoadTracks"


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


@pytest.fixture(scope="module")
def failed(server):
    def run_and_read(graph, kind):
        run = server.run(graph)
        assert run.error is not None and run.error["node_type"] == kind, run.error
        assert run.error["exception_type"].endswith("Track2ViewError") and "\n" not in run.message
        return run.message

    return run_and_read


@pytest.fixture(scope="module")
def tracked(recamera, driver):
    """The part of the workflow that ends in tracks, and where its tracks and its frames come from."""
    name = driver.graph.node_id(recamera, TRACK)
    keep, todo = {}, [name]
    while todo:
        key = todo.pop()
        keep[key] = recamera[key]
        todo += [value[0] for value in recamera[key]["inputs"].values() if isinstance(value, list)]
    return keep, [name, 0], recamera[name]["inputs"]["image"]


@pytest.fixture(scope="module")
def saved(server, tracked):
    """The name of a track file in the output folder, as Load Tracks lists it."""
    graph, tracks, _ = tracked
    save = node("Track2View_SaveTracks", point_tracks=tracks, filename_prefix="nodes/tracks", file_format="safetensors")
    run = server.run({**graph, "100": save})
    assert run.error is None, run.error
    return run.outputs["100"]["text"][0]


def test_saved_tracks_are_loaded_from_the_output_folder(server, saved):
    load = node(LOAD, file=f"{saved} [output]", width=0, height=0)
    again = node("Track2View_SaveTracks", point_tracks=["1", 0], filename_prefix="nodes/again", file_format="npz")
    run = server.run({"1": load, "2": again})
    assert run.error is None, run.error
    assert any("17 frames" in text for _, text in run.texts)
    kind, *options = server.get(f"/object_info/{LOAD}")[LOAD]["input"]["required"]["file"]
    assert f"{saved} [output]" in (kind if isinstance(kind, list) else options[0]["options"])


@pytest.mark.parametrize(
    "name", ["../../secret.npz", "../output/x.npz", "gone.npz", "/etc/passwd", "notes.txt [output]"]
)
def test_load_tracks_reads_nothing_but_track_files_of_the_two_folders(server, name):
    answer = server.refusal({"1": node(LOAD, file=name, width=0, height=0), "2": node("PreviewAny", source=["1", 2])})
    (error,) = answer["node_errors"]["1"]["errors"]
    assert "folder" in error["details"]


def test_the_same_clip_is_not_tracked_twice(server, tracked, saved):
    """After the server forgot its own results the tracks come from disk, equal to the last bit."""
    from track2view_core.tracks import load_tracks

    graph, tracks, _ = tracked
    files = list((server.base / "user/__track2view/tracks").glob("*.safetensors"))
    before = {file: file.stat().st_mtime_ns for file in files}
    server.post("/free", {"unload_models": True, "free_memory": True})
    save = node("Track2View_SaveTracks", point_tracks=tracks, filename_prefix="nodes/cached", file_format="safetensors")
    run = server.run({**graph, "100": save})
    assert run.error is None, run.error
    after = {file: file.stat().st_mtime_ns for file in (server.base / "user/__track2view/tracks").glob("*.safetensors")}
    assert after.keys() == before.keys() and any(after[file] > before[file] for file in after)
    first, second = (load_tracks(server.base / "output" / name) for name in (saved, run.outputs["100"]["text"][0]))
    assert (first.positions == second.positions).all() and first.notes == second.notes
