"""The path nodes on a real server: drawn over the API, edited, joined, exported and read again."""

from __future__ import annotations

import copy
import json
from typing import Any

import av
import pytest
import requests
import torch

from track2view_core.cameras import edit_path, parse_document, sample_document, to_json
from track2view_core.cameras.formats import read_path, write_path
from track2view_core.cameras.presets import preset_document

TRACK, EDITOR, PREVIEW = "Track2View_TrackPoints", "Track2View_CameraEditor", "Track2View_PreviewRecamera"
FRAMES = 17
DOCUMENT = to_json(preset_document("orbit_left", 0.4, FRAMES))


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": f"Track2View_{kind}", "inputs": inputs}


@pytest.fixture
def clip(recamera, driver):
    """The tracked demo clip, and where its tracks, its camera and its frames come from."""
    track = driver.graph.node_id(recamera, TRACK)
    keep, todo = {}, [track]
    while todo:
        name = todo.pop()
        keep[name] = copy.deepcopy(recamera[name])
        todo += [value[0] for value in recamera[name]["inputs"].values() if isinstance(value, list)]
    return keep, [track, 0], [track, 1], recamera[track]["inputs"]["image"]


@pytest.fixture
def exported(server):
    """Runs a graph with Export Camera behind each of `paths` and reads what it wrote."""

    def run(graph: dict[str, Any], *paths: list[Any]):
        ends = {f"e{number}": _export(path, f"probe_{number}") for number, path in enumerate(paths)}
        done = server.run({**graph, **ends})
        assert done.error is None, done.message
        files = [server.base / "output" / done.outputs[name]["text"][0] for name in ends]
        return done, [read_path(file) for file in files]

    return run


def _export(path: list[Any], name: str, file_format: str = "track2view_camera") -> dict[str, Any]:
    return node("ExportCamera", camera_path=path, filename_prefix=f"paths/{name}", file_format=file_format)


@pytest.fixture
def refused(server):
    def run(graph: dict[str, Any], kind: str) -> str:
        done = server.run(graph)
        assert done.error is not None, "the graph ran without an error"
        assert done.error["node_type"] == f"Track2View_{kind}"
        assert done.error["exception_type"] == "track2view_core.errors.Track2ViewError", done.error
        assert "\n" not in done.message and done.message.endswith("."), done.message
        return done.message

    return run


def same(one, two, tolerance: float = 1e-9) -> None:
    assert (len(one), one.width, one.height, one.fps) == (len(two), two.width, two.height, two.fps)
    torch.testing.assert_close(one.world_from_camera, two.world_from_camera, atol=tolerance, rtol=0)
    torch.testing.assert_close(one.intrinsics, two.intrinsics, atol=tolerance * 1000, rtol=0)


def points_header(server, entry: dict[str, str]) -> dict[str, Any]:
    """What the browser gets of the points, through the server's own route."""
    answer = requests.get(f"{server.url}/view", params=entry, timeout=10)
    assert answer.ok and answer.content[:4] == b"T2VP"
    return json.loads(answer.content[8 : 8 + int.from_bytes(answer.content[4:8], "little")])


def test_a_document_over_the_api_gives_the_path_that_was_drawn(server, clip, exported):
    graph, tracks, source, image = clip
    editor = node("CameraEditor", document=DOCUMENT, point_tracks=tracks, image=image)
    done, (path, camera) = exported({**graph, "p": editor}, ["p", 0], source)
    shown = done.outputs["p"]
    header = points_header(server, shown["track2view_points"][0])
    assert header["frames"] == FRAMES and header["counts"]["points"] > 100
    same(path, sample_document(parse_document(DOCUMENT), camera, scene_scale=header["scene_scale"]))
    (coverage,) = shown["track2view_coverage"]
    assert len(coverage) == FRAMES and all(0 <= share <= 1 for share in coverage)
    assert "The camera moves at most" in shown["text"][0] and "track2view_seed" not in shown
    film = server.base / "temp" / shown["track2view_frames"][0]["filename"]
    with av.open(str(film)) as container:
        assert sum(1 for _ in container.decode(video=0)) == FRAMES


def test_after_a_change_of_the_drawing_only_the_editor_and_what_follows_run(server, clip):
    graph, tracks, _, image = clip
    editor = node("CameraEditor", document=DOCUMENT, point_tracks=tracks, image=image)
    graph = {**graph, "p": editor, "e": _export(["p", 0], "again")}
    first = server.run(graph)
    other = to_json(preset_document("arc_right", 0.4, FRAMES))
    second = server.run({**graph, "p": {**editor, "inputs": {**editor["inputs"], "document": other}}})
    assert first.error is None and second.error is None
    assert set(second.executed) == {"p", "e"}
    for kept in ("track2view_points", "track2view_frames"):
        assert second.outputs["p"][kept] == first.outputs["p"][kept]
    assert second.outputs["p"]["track2view_coverage"] != first.outputs["p"]["track2view_coverage"]
    third = server.run({**graph, "p": {**editor, "inputs": {**editor["inputs"], "document": other}}})
    assert not third.executed


def test_the_editor_runs_alone_for_its_points(server, clip):
    graph, tracks, *_ = clip
    graph = {**graph, "p": node("CameraEditor", document="", point_tracks=tracks), "e": _export(["p", 0], "not_run")}
    done = server.run(graph, targets=["p"])
    assert done.error is None and "e" not in done.executed
    assert "track2view_points" in done.outputs["p"] and "Nothing is drawn yet" in done.outputs["p"]["text"][0]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("{", "is no JSON"),
        (DOCUMENT.replace('"look_at"', '"look"'), "Key 1 has no field"),
        (DOCUMENT.replace('"frames":17', '"frames":9'), "Key 2, field frame"),
    ],
    ids=["no JSON", "unknown field", "key after the end"],
)
def test_a_bad_document_is_one_sentence(clip, refused, document, words):
    graph, tracks, *_ = clip
    assert words in refused(
        {**graph, "p": node("CameraEditor", document=document, point_tracks=tracks)}, "CameraEditor"
    )


def test_a_linked_path_is_what_is_there_until_something_is_drawn(server, clip, exported):
    graph, tracks, source, _ = clip
    preset = {"preset": "crane_up", "amount": 0.5, "ease": "smooth", "relative_to": "source"}
    graph |= {"s": node("CameraPreset", point_tracks=tracks, **preset)}
    linked = {"point_tracks": tracks, "start_path": ["s", 0]}
    graph |= {"p": node("CameraEditor", document="", **linked), "q": node("CameraEditor", document=DOCUMENT, **linked)}
    graph |= {"r": node("CameraEditor", document=DOCUMENT, point_tracks=tracks)}
    done, (start, empty, drawn, alone, camera) = exported(graph, ["s", 0], ["p", 0], ["q", 0], ["r", 0], source)
    same(empty, start)
    same(drawn, alone, 0)
    assert "The linked camera path is not used" in done.outputs["q"]["text"][0]
    (seed,) = done.outputs["p"]["track2view_seed"]
    assert 2 <= len(parse_document(seed).keys) < FRAMES
    scale = points_header(server, done.outputs["p"]["track2view_points"][0])["scene_scale"]
    same(sample_document(parse_document(seed), camera, scene_scale=scale), start, 5e-3 * scale)


def test_a_preset_measures_by_the_subject_and_by_the_median_in_graphs_that_know_none(clip, exported):
    graph, tracks, *_ = clip
    preset = {"point_tracks": tracks, "preset": "truck_left", "amount": 0.5, "ease": "smooth", "relative_to": "source"}
    given = {"old": {}, "median": {"subject": "median"}, "auto": {"subject": "auto"}}
    graph |= {name: node("CameraPreset", **preset, **subject) for name, subject in given.items()}
    graph |= {f"said_{name}": {"class_type": "PreviewAny", "inputs": {"source": [name, 1]}} for name in given}
    done, (old, median, _) = exported(graph, *([name, 0] for name in given))
    same(old, median, 0)
    said = {name: done.outputs[f"said_{name}"]["text"][0] for name in given}
    assert said["old"] == said["median"] and "median depth of the points" in said["old"]
    assert "the subject is what" in said["auto"] and "point subject at something else" in said["auto"]


def test_drawn_on_another_length_the_report_says_so(clip, exported):
    graph, tracks, *_ = clip
    text = to_json(preset_document("orbit_left", 0.4, 33))
    done, (path,) = exported({**graph, "p": node("CameraEditor", document=text, point_tracks=tracks)}, ["p", 0])
    assert len(path) == FRAMES and "drawn on 33 frames and the clip has 17" in done.outputs["p"]["text"][0]


def test_a_drawing_without_a_clip_stands_on_its_own(exported):
    done, (path,) = exported({"p": node("CameraEditor", document=DOCUMENT)}, ["p", 0])
    assert (len(path), path.width, path.height) == (FRAMES, 832, 480)
    assert "Neither point tracks nor a camera path" in done.outputs["p"]["text"][0]


def edit(path: list[Any], operation: str, settings: str = "", amount: float = 1.0, **links: Any) -> dict[str, Any]:
    fields = {"amount": amount, "ease": "smooth", "seed": 3, "settings": settings}
    return node("EditPath", path=path, operation=operation, **fields, **links)


def test_operations_over_the_api_are_those_of_the_library(server, clip, exported):
    graph, tracks, source, _ = clip
    graph |= {"p": node("CameraEditor", document=DOCUMENT, point_tracks=tracks)}
    graph |= {
        "f": node("FollowPoint", point_tracks=tracks, frame=4, x=0.6, y=0.5),
        "a": edit(["p", 0], "reverse"),
        "b": edit(["p", 0], "retime", "curve=0:0, 0.5:0.8, 1:1"),
        "c": edit(["p", 0], "scale", amount=0.5, point_tracks=tracks),
        "d": edit(["p", 0], "look_at", target=["f", 0], point_tracks=tracks),
        "h": edit(["p", 0], "handheld", "degrees=1", amount=0.5, point_tracks=tracks),
        "i": edit(["p", 0], "handheld", amount=0.5, point_tracks=tracks, handheld_degrees=1.0, stabilise_zoom=True),
        "j": edit(["p", 0], "retime", retime_curve="0:0, 0.5:0.8, 1:1"),
    }
    ends = [[name, 0] for name in "pabcdhij"]
    done, (path, reverse, retimed, half, held, shaken, by_field, by_curve, camera) = exported(graph, *ends, source)
    same(reverse, edit_path(path, "reverse"))
    same(retimed, edit_path(path, "retime", {"curve": ((0, 0), (0.5, 0.8), (1, 1))}))
    same(by_curve, retimed)
    same(by_field, shaken)
    same(half, edit_path(path, "scale", {"amount": 0.5}, source=camera))
    scale = points_header(server, done.outputs["p"]["track2view_points"][0])["scene_scale"]
    same(shaken, edit_path(path, "handheld", {"degrees": 1.0, "amount": 0.5, "seed": 3}, scene_scale=scale))
    forward = held.world_from_camera[:, :3, 2]
    assert not torch.equal(forward, path.world_from_camera[:, :3, 2])
    texts = [text for name, text in done.texts if name == "h"]
    assert any("seed=3; amount=0.5; degrees=1" in text and "The camera moves" in text for text in texts)
    assert any("seen in" in text for name, text in done.texts if name == "f")


def test_what_an_operation_lacks_is_said_in_one_sentence(clip, refused):
    graph, tracks, source, _ = clip
    for operation, settings, words in (
        ("look_at", "", "link Follow Point to target"),
        ("handheld", "", "link the clip's tracks to point_tracks"),
        ("hold", "frist=3", "perhaps 'first' is meant"),
        ("hold", "first", "must be name=value"),
        ("hold", "first=3; first=4", "given twice"),
        ("hold", "first=-1", "field first: -1 came"),
        ("scale", "amount=2", "has a field of its own"),
        ("retime", "curve=0:0, 1", "must be pairs"),
        ("smooth", "turns=maybe", "must be true or false"),
    ):
        assert words in refused(
            {**graph, "a": edit(source, operation, settings), "e": _export(["a", 0], "no")}, "EditPath"
        )
    late = node("FollowPoint", point_tracks=tracks, frame=99, x=0.5, y=0.5)
    graph |= {"f": late, "a": edit(source, "look_at", target=["f", 0]), "e": _export(["a", 0], "no")}
    assert "frame is 99; the tracks have frames 0 to 16" in refused(graph, "FollowPoint")


def test_paths_are_composed_and_joined(clip, exported, refused):
    graph, tracks, source, _ = clip
    graph |= {"p": node("CameraEditor", document=DOCUMENT, point_tracks=tracks)}
    places = ("on_top", "instead", "continue", "cut")
    for place in places:
        graph[place] = node("ComposePaths", path=source, other_path=["p", 0], place=place, other_scale=0.0)
    sized = {"point_tracks": tracks, "other_tracks": tracks}
    graph["sized"] = node("ComposePaths", path=source, other_path=["p", 0], place="instead", other_scale=0.0, **sized)
    _, (camera, path, on_top, instead, longer, cut, same_scene) = exported(
        graph, source, ["p", 0], *[[place, 0] for place in places], ["sized", 0]
    )
    same(on_top, edit_path(camera, "compose", other=path))
    same(instead, edit_path(camera, "compose", {"place": "instead"}, other=path))
    same(same_scene, instead)
    assert (len(longer), len(cut)) == (2 * FRAMES - 1, 2 * FRAMES)
    graph["bad"] = {
        "class_type": "Track2View_ComposePaths",
        "inputs": {**graph["on_top"]["inputs"], "other_scale": 2.0},
    }
    assert "link the tracks of path's clip" in refused({**graph, "e": _export(["bad", 0], "no")}, "ComposePaths")


@pytest.mark.parametrize("file_format", ["track2view_camera", "blender", "nerfstudio", "colmap"])
def test_an_exported_path_is_imported_again(server, clip, exported, file_format):
    graph, tracks, source, _ = clip
    written = server.run({**graph, "e": _export(source, f"out_{file_format}", file_format)})
    assert written.error is None, written.error
    name = written.outputs["e"]["text"][0]
    target = server.base / "input" / "cameras" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        (server.base / "output" / name).rename(target)
    listed = server.get("/object_info/Track2View_ImportCamera")["Track2View_ImportCamera"]["input"]["required"]["file"]
    file = f"cameras/{name}"
    assert file in listed[1]["options"]
    read = import_node(file, point_tracks=tracks, fps=0.0 if file_format == "track2view_camera" else 8.0)
    _, (path, camera) = exported({**graph, "i": read}, ["i", 0], source)
    same(path, camera, 1e-6)


def import_node(file: str, **inputs: Any) -> dict[str, Any]:
    values = {"file_format": "auto", "width": 0, "height": 0, "field_of_view": 0.0, "fps": 0.0, "camera_name": ""}
    return node("ImportCamera", file=file, **{**values, **inputs})


def test_a_file_of_another_length_is_resampled_and_a_bad_one_refused(server, clip, exported, refused):
    graph, tracks, source, _ = clip
    _, (camera,) = exported(graph, source)
    write_path(camera.resampled(5), server.base / "input/five.json", format="track2view_camera")
    done, (path,) = exported({**graph, "i": import_node("five.json", point_tracks=tracks)}, ["i", 0])
    assert len(path) == FRAMES and path.fps == camera.fps
    assert any("resampled in time to the clip's 17 frames" in text.lower() for _, text in done.texts)
    (server.base / "input/broken.json").write_text('{"camera_angle_x": 1, "frames": [', encoding="utf-8")
    assert "broken.json" in refused({"i": import_node("broken.json"), "e": _export(["i", 0], "no")}, "ImportCamera")


def test_what_was_exported_is_offered_for_import_and_nothing_at_all_is_one_sentence(server, exported, clip):
    graph, _, source, _ = clip
    _, (camera,) = exported(graph, source)
    file = sorted((server.base / "output").rglob("*.json"))[-1].relative_to(server.base / "output").as_posix()
    offered = server.get("/object_info/Track2View_ImportCamera")["Track2View_ImportCamera"]["input"]["required"]["file"]
    assert f"{file} [output]" in offered[1].get("options", offered[0])
    _, (again,) = exported({"i": import_node(f"{file} [output]")}, ["i", 0])
    assert len(again) == len(camera)
    answer = server.refusal({"i": import_node("no file yet"), "e": _export(["i", 0], "no")})
    assert "upload one on the node" in json.dumps(answer)


def test_the_preview_tells_what_the_checks_found(server, recamera, driver):
    done = server.run(recamera, targets=[driver.graph.node_id(recamera, PREVIEW)])
    assert done.error is None, done.error
    (report,) = done.outputs[driver.graph.node_id(recamera, PREVIEW)]["text"]
    assert "The camera moves at most" in report and "of the view has tracks" in report
