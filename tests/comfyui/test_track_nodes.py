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
        assert run.error["exception_type"] == "track2view_core.errors.Track2ViewError" and "\n" not in run.message
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
    assert [step[1:] for step in run.progress if step[0] == tracks[0]][-1] == (1, 1)
    after = {file: file.stat().st_mtime_ns for file in (server.base / "user/__track2view/tracks").glob("*.safetensors")}
    assert after.keys() == before.keys() and any(after[file] > before[file] for file in after)
    first, second = (load_tracks(server.base / "output" / name) for name in (saved, run.outputs["100"]["text"][0]))
    assert (first.positions == second.positions).all() and first.notes == second.notes


@pytest.fixture(scope="module")
def loaded(saved):
    """Nodes that load the tracks again, keep few of them and pair them with an orbit; ids 1 to 4."""
    return {
        "1": node(LOAD, file=f"{saved} [output]", width=0, height=0),
        "2": node(
            "Track2View_EditTracks",
            point_tracks=["1", 0],
            motion="all",
            least_confidence=0.1,
            most_tracks=60,
            mask_rule="drop inside",
        ),
        "3": node(
            "Track2View_CameraPreset",
            point_tracks=["1", 0],
            preset="orbit_left",
            amount=0.3,
            ease="smooth",
            relative_to="source",
        ),
        "4": node("Track2View_PairTracks", point_tracks=["2", 0], camera_path=["3", 0]),
    }


def test_tracks_go_out_as_2d_and_come_back_in_space(server, loaded, tracked):
    from track2view_core.cameras import project
    from track2view_core.tracks import load_tracks

    graph, _, image = tracked
    out = node("Track2View_TracksTo2D", paired_tracks=["4", 0], view="source", samples="one a frame")
    lift = {"image": image, "field_of_view": 0.0, "depth_is": "near is bright", "camera": ["1", 1]}
    run = server.run(
        {
            **{name: graph[name] for name in graph if name != tracked[1][0]},
            **{f"t{name}": relinked(part) for name, part in loaded.items()},
            "t5": relinked(out),
            "t6": node("Track2View_LiftTracks", **relinked_inputs(lift), tracks=["t5", 0]),
            "t7": node("Track2View_LiftTracks", **relinked_inputs(lift), tracks_json=["t5", 1]),
            "t8": keep("few", ["t2", 0]),
            "t9": keep("lifted", ["t6", 0]),
            "t10": keep("from_json", ["t7", 0]),
        }
    )
    assert run.error is None, run.error
    few, lifted, from_json = (
        load_tracks(server.base / "output" / run.outputs[name]["text"][0]) for name in ("t8", "t9", "t10")
    )
    assert few.positions.shape[1] == 60 and 20 < lifted.positions.shape[1] <= 60 and len(from_json) == len(few)
    given, back = (project(tracks.camera, tracks.positions).xy[0] for tracks in (few, lifted))
    apart = (given[:, None] - back).norm(dim=-1).amin(0)[lifted.visible[0]]
    assert float(apart.median()) < 1.5


def test_the_camera_of_2d_tracks_is_solved_but_stands_in_graphs_that_know_no_motion(server, loaded, tracked):
    """The latter were saved by 0.1.0, and their frames stay as they were."""
    graph, _, image = tracked
    lift = {"image": image, "field_of_view": 0.0, "depth_is": "near is bright", "tracks": ["t5", 0]}
    run = server.run(
        {
            **{name: graph[name] for name in graph if name != tracked[1][0]},
            **{f"t{name}": relinked(part) for name, part in loaded.items()},
            "t5": relinked(node("Track2View_TracksTo2D", paired_tracks=["4", 0], view="source", samples="one a frame")),
            "t6": node("Track2View_LiftTracks", **lift, motion="auto"),
            "t7": node("Track2View_LiftTracks", **lift),
            "t8": node("PreviewAny", source=["t6", 2]),
            "t9": node("PreviewAny", source=["t7", 2]),
        }
    )
    assert run.error is None, run.error
    solved, standing = (run.outputs[name]["text"][0] for name in ("t8", "t9"))
    assert "motion" in solved and "(found)" in solved and "taken to stand still" not in solved
    assert "the camera was taken to stand still" in standing


def relinked(part):
    return {**part, "inputs": relinked_inputs(part["inputs"])}


def relinked_inputs(inputs):
    """Links among the nodes 1 to 9 here, beside a workflow that has such ids of its own."""
    ours = {str(number) for number in range(1, 10)}
    held = inputs.get("image")
    return {
        name: [f"t{value[0]}", value[1]]
        if isinstance(value, list) and value[0] in ours and value is not held
        else value
        for name, value in inputs.items()
    }


def keep(name, tracks):
    return node("Track2View_SaveTracks", point_tracks=tracks, filename_prefix=f"nodes/{name}", file_format="npz")


def test_the_target_view_is_rendered_with_its_holes_and_the_points_as_a_cloud(server, loaded, tracked):
    graph, _, image = tracked
    render = {"paired_tracks": ["t4", 0], "image": image, "reach": 0, "remember": True, "latent_holes": True}
    cloud = {"filename_prefix": "nodes/cloud", "file_format": "ply", "frame": 3}
    run = server.run(
        {
            **{name: graph[name] for name in graph if name != tracked[1][0]},
            **{f"t{name}": relinked(part) for name, part in loaded.items()},
            "t5": node("Track2View_RenderTargetView", **render, depth_is="near is bright"),
            "t6": node("SaveImage", images=["t5", 0], filename_prefix="nodes/view"),
            "t7": node("MaskToImage", mask=["t5", 1]),
            "t8": node("SaveImage", images=["t7", 0], filename_prefix="nodes/holes"),
            "t9": node("Track2View_SaveTracks", point_tracks=["t2", 0], **cloud),
            "t10": node("Probe_Geometry", image=image),
            "t11": node("Track2View_RenderTargetView", **render, depth_is="near is bright", da3_geometry=["t10", 0]),
            "t12": node("PreviewAny", source=["t11", 2]),
        }
    )
    assert run.error is None, run.error
    assert len(run.outputs["t6"]["images"]) == len(run.outputs["t8"]["images"]) == 17
    assert {name for name, text in run.texts if "% of the new view is covered" in text} == {"t5", "t11"}
    (name,) = run.outputs["t9"]["text"]
    assert (server.base / "output" / name).read_bytes().startswith(b"ply\nformat binary_little_endian 1.0\n")
    import numpy as np
    from PIL import Image

    view, holes = (
        [
            np.asarray(Image.open(server.base / "output/nodes" / entry["filename"]))
            for entry in run.outputs[key]["images"]
        ]
        for key in ("t6", "t8")
    )
    assert (np.abs(view[-1][holes[-1] > 0].astype(int) - 127) <= 1).all()
    assert (holes[-1] == holes[-4]).all(), "the four frames of a latent frame share their holes"


@pytest.mark.parametrize(
    "socket", [{"cameractrl_poses": 0}, {"cameraposes": 1}, {"extrinsics": 3, "intrinsics": 4}, {"load3d_camera": 2}]
)
def test_poses_go_out_and_come_back_as_the_same_path(server, loaded, socket):
    import torch

    from track2view_core.cameras.formats import read_path

    numbers = {"width": 0, "height": 0, "field_of_view": 0.0, "fps": 0.0, "frames": 0}
    export = {"filename_prefix": "nodes/path", "file_format": "track2view_camera"}
    run = server.run(
        {
            "1": loaded["1"],
            "3": loaded["3"],
            "5": node("Track2View_CameraToPoses", camera_path=["3", 0], frame=16, target_distance=1.0),
            "6": node(
                "Track2View_CameraFromPoses",
                **numbers,
                point_tracks=["1", 0],
                **{name: ["5", output] for name, output in socket.items()},
            ),
            "7": node("Track2View_ExportCamera", camera_path=["3", 0], **export),
            "8": node("Track2View_ExportCamera", camera_path=["6", 0], **export),
        }
    )
    assert run.error is None, run.error
    ours, theirs = (read_path(server.base / "output" / run.outputs[name]["text"][0]) for name in ("7", "8"))
    assert len(theirs) == len(ours) == 17 and (theirs.width, theirs.height) == (ours.width, ours.height)
    if "load3d_camera" in socket:
        ours = ours.with_frames([16] * 17)
    at = slice(None, None, 4) if "cameraposes" in socket else slice(None)
    torch.testing.assert_close(theirs.world_from_camera[at], ours.world_from_camera[at], atol=1e-4, rtol=0)
    torch.testing.assert_close(theirs.intrinsics[:, 0, 0], ours.intrinsics[:, 0, 0], rtol=1e-3, atol=0)


def test_what_must_be_linked_is_said(server, loaded, failed, tracked):
    numbers = {"width": 64, "height": 64, "field_of_view": 0.0, "fps": 0.0, "frames": 0}
    poses = {"1": node("Track2View_CameraFromPoses", **numbers), "2": node("PreviewAny", source=["1", 1])}
    assert "link exactly one of" in failed(poses, "Track2View_CameraFromPoses")
    blank = node("EmptyImage", width=64, height=64, batch_size=5, color=0)
    lift = node("Track2View_LiftTracks", image=["1", 0], field_of_view=0.0, depth_is="near is bright")
    graph = {"1": blank, "2": lift, "3": node("PreviewAny", source=["2", 2])}
    assert "exactly one of tracks and tracks_json" in failed(graph, "Track2View_LiftTracks")


@pytest.mark.parametrize("socket", ["da3_geometry", "moge_geometry"])
def test_a_depth_models_geometry_gives_depth_and_field_of_view(server, tracked, socket):
    import math

    from track2view_core.tracks import load_tracks

    graph, (name, _), image = tracked
    found = with_geometry(graph, name, image, {socket: ["t1", socket == "moge_geometry"]})
    run = server.run({**found, "t2": keep(socket, [name, 0]), "t3": node("PreviewAny", source=[name, 2])})
    assert run.error is None, run.error
    tracks = load_tracks(server.base / "output" / run.outputs["t2"]["text"][0])
    assert "depth_aligned" in {note.code for note in tracks.notes}
    lens = tracks.camera.intrinsics[0]
    fov = 2 * math.degrees(math.atan(0.5 * tracks.camera.width / float(lens[0, 0])))
    assert fov == pytest.approx(2 * math.degrees(math.atan(0.5 / 0.8)), abs=0.1)


def test_two_sources_of_depth_are_refused(tracked, failed):
    graph, (name, _), image = tracked
    both = with_geometry(graph, name, image, {"da3_geometry": ["t1", 0], "moge_geometry": ["t1", 1]})
    message = failed({**both, "t3": node("PreviewAny", source=[name, 2])}, TRACK)
    assert "da3_geometry and moge_geometry are both linked" in message


def with_geometry(graph, name, image, links):
    inputs = {**graph[name]["inputs"], "points": 60, "motion": "static"}
    links = {socket: [origin, int(output)] for socket, (origin, output) in links.items()}
    return {**graph, "t1": node("Probe_Geometry", image=image), name: node(TRACK, **inputs | links)}
