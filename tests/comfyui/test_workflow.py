"""Workflows 01 and 02 on a real server: from no input at all to a finished video, and what a second run repeats."""

import json
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from track2view_core.cameras import to_json
from track2view_core.cameras.presets import preset_document

SECONDS = 900  # a stuck server must not hang the run; what it takes is measured elsewhere
STAGE = "depth of what stands"  # of the analysis that tracker and render share
LOADERS = {"Track2View_LoadBundle", "Track2View_LoadWanDiffusers", "UNETLoader", "Track2View_ApplyLoRA", "VAELoader"}
AFTER_THE_PATH = {
    "Track2View_PairTracks",
    "Track2View_PreviewRecamera",
    "Track2View_ConditionOnTracks",
    "VAEDecode",
    "Track2View_KeepKnownPixels",
    "Track2View_RestoreClip",
    "SaveVideo",
    "Track2View_CompareVideos",
}


@dataclass(frozen=True)
class Workflow:
    prompt: dict[str, Any]
    own: frozenset[str]  # the nodes of this route alone that hear of the path, the sampler among them
    sampler: str
    path: str  # the node that makes it
    edit: dict[str, Any]  # of that node


MOVED = preset_document("orbit_left", 0.25, 17, fps=8.0)
ROUTES = {
    "01": (
        frozenset({"Track2View_SampleDiffusers", "Track2View_CameraReport", "PreviewImage"}),
        "Track2View_SampleDiffusers",
        "Track2View_CameraPreset",
        {"amount": 0.25},
    ),
    "02": (
        frozenset({"Track2View_ApplyToModel", "KSampler"}),
        "KSampler",
        "Track2View_CameraEditor",
        {"document": to_json(MOVED)},
    ),
}


@pytest.fixture(scope="module", params=ROUTES)
def route(driver, object_info, workflow, request):
    return Workflow(driver.graph.to_prompt(workflow(request.param), object_info), *ROUTES[request.param])


@pytest.fixture(scope="module")
def first_run(server, route):
    """The graph brings its own clip, so that an empty input folder is enough."""
    assert not {node["class_type"] for node in route.prompt.values()} & {"LoadImage", "LoadVideo", "LoadAudio"}
    blank = {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}}
    server.run({"1": blank, "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}})  # empties the cache
    return server.run(route.prompt, seconds=SECONDS)


def test_it_ends_with_a_playable_video_of_the_clips_own_size_length_and_rate(server, route, driver, first_run):
    assert first_run.error is None, first_run.error and first_run.message
    frames, rate = driver.videos.frames_and_rate(driver.videos.saved_video(server, route.prompt, first_run))
    assert (frames.shape, rate) == ((17, 256, 256, 3), Fraction(8))


def test_progress_is_seen_in_tracker_and_sampler(route, driver, first_run):
    for node in ("Track2View_TrackPoints", route.sampler):
        name = driver.graph.node_id(route.prompt, node)
        steps = [(value, total) for told, value, total in first_run.progress if told == name]
        assert len(steps) >= 2 and steps[-1][0] == steps[-1][1], node


def test_the_render_takes_over_the_trackers_analysis_of_the_clip(route, driver, first_run):
    """Or makes its own, where the tracks of this clip lay on the disk; never both."""
    busy = {driver.graph.classes(route.prompt, [node])[0] for node, text in first_run.texts if text == STAGE}
    assert len(busy) <= 1


def test_reports_stay_on_their_nodes(route, driver, first_run):
    said = {driver.graph.classes(route.prompt, [node])[0]: text for node, text in first_run.texts}
    assert "degrees" in said[route.path]
    assert "lie among the" in said["Track2View_PairTracks"]
    assert "256 x 256" in said["Track2View_PrepareClip"]


def test_the_settings_are_those_the_bundle_was_trained_with(route, first_run):
    said = " ".join(text for _, text in first_run.texts)
    assert "samples well with" in said or route.sampler != "KSampler"
    assert "set it with" not in said and "far from the trained" not in said


def test_the_preview_shows_one_video_and_both_paths(server, route, driver, first_run):
    shown = first_run.outputs[driver.graph.node_id(route.prompt, "Track2View_PreviewRecamera")]
    (clip,), (plot,) = shown["images"], shown["track2view_paths"]
    with av.open(str(server.base / "temp" / clip["filename"])) as container:
        assert sum(1 for _ in container.decode(video=0)) == 17
    assert (server.base / "temp" / plot["filename"]).read_bytes().startswith(b"\x89PNG")
    assert shown["animated"] == [True] and "Coverage per frame" in shown["text"][0]


def test_the_comparison_shows_source_and_result_in_step(server, route, driver, first_run):
    shown = first_run.outputs[driver.graph.node_id(route.prompt, "Track2View_CompareVideos")]
    made = json.loads(shown["track2view_comparison"][0])
    frames, rate = driver.videos.frames_and_rate(server.base / "temp" / made["video"]["filename"])
    assert len(frames) == 17 and rate == Fraction(8)
    source, result = (
        frames[:, cell["y"] : cell["y"] + cell["height"], cell["x"] : cell["x"] + cell["width"]].astype(float)
        for cell in made["cells"]
    )
    assert [cell["label"] for cell in made["cells"]] == ["source", "result"]
    apart = np.abs(source - result).mean(axis=(1, 2, 3))
    assert apart[0] < apart[-1] / 2  # the move starts from the clip's own picture


def test_the_same_graph_again_runs_nothing(server, route, first_run):
    assert server.run(route.prompt).executed == []


def test_after_a_path_edit_only_the_path_and_what_follows_runs(server, route, driver, first_run):
    edited = driver.graph.changed(route.prompt, route.path, **route.edit)
    run = server.run(edited, seconds=SECONDS)
    assert run.error is None
    assert set(driver.graph.classes(edited, run.executed)) == AFTER_THE_PATH | {route.path} | route.own


def test_the_preview_alone_runs_no_loader(server, route, driver, first_run):
    edited = driver.graph.changed(route.prompt, "Track2View_PrepareClip", max_frames=9)  # so that nothing is cached
    run = server.run(edited, targets=[driver.graph.node_id(route.prompt, "Track2View_PreviewRecamera")])
    ran = set(driver.graph.classes(edited, run.executed))
    assert "Track2View_PreviewRecamera" in ran and not ran & (LOADERS | {"VAEEncode"} | route.own)


def test_an_interrupt_while_sampling_leaves_the_server_able_to_run_again(server, route, driver, first_run):
    sampler = driver.graph.node_id(route.prompt, route.sampler)
    long = driver.graph.changed(route.prompt, route.sampler, steps=500, seed=11)
    run = driver.server.Run(server.queue(long))
    for event in server.events(run, SECONDS):
        if event == "progress" and run.progress[-1][0] == sampler and run.progress[-1][1] == 2:
            server.post("/interrupt")
    assert run.interrupted and run.error is None
    # the model came out clean: the first graph's sampler gives the very same frames again
    again = driver.graph.changed(route.prompt, route.sampler, steps=2, seed=12)
    rerun = server.run(again, seconds=SECONDS)
    assert rerun.error is None and sampler in rerun.executed


def test_the_same_seed_gives_the_same_video_before_and_after_an_interrupted_run(server, route, driver, first_run):
    before = driver.videos.saved_video(server, route.prompt, first_run)
    other = server.run(driver.graph.changed(route.prompt, route.sampler, seed=99, steps=1), seconds=SECONDS)
    assert other.error is None
    back = server.run(route.prompt, seconds=SECONDS)
    assert back.error is None
    again = driver.videos.saved_video(server, route.prompt, back)
    first, second = (driver.videos.frames_and_rate(video)[0].astype(float) for video in (before, again))
    assert np.abs(first - second).mean() < 1  # not bit for bit: x264 does not code a clip the same way every time
