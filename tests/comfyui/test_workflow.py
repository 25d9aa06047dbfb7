"""Workflow 01 on a real server: from an empty input folder to a finished video, and what a second run repeats."""

from fractions import Fraction

import av
import pytest

SECONDS = 900  # a stuck server must not hang the run; what it takes is measured elsewhere
LOADERS = {"Track2View_LoadBundle", "Track2View_LoadWanDiffusers", "VAELoader"}


@pytest.fixture(scope="module")
def first_run(server, recamera):
    """The graph brings its own clip, so that an empty input folder is enough."""
    assert not {node["class_type"] for node in recamera.values()} & {"LoadImage", "LoadVideo", "LoadAudio"}
    return server.run(recamera, seconds=SECONDS)


def video_of(server, recamera, driver, run):
    (saved,) = run.outputs[driver.graph.node_id(recamera, "SaveVideo")]["images"]
    return server.base / "output" / saved["subfolder"] / saved["filename"]


def test_it_ends_with_a_playable_video_of_the_clips_own_size_length_and_rate(server, recamera, driver, first_run):
    assert first_run.error is None, first_run.error and first_run.message
    with av.open(str(video_of(server, recamera, driver, first_run))) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert (len(frames), frames[0].shape, stream.average_rate) == (17, (256, 256, 3), Fraction(8))


def test_progress_is_seen_in_tracker_and_sampler(recamera, driver, first_run):
    for node in ("Track2View_TrackPoints", "Track2View_SampleDiffusers"):
        steps = [
            (value, total) for name, value, total in first_run.progress if name == driver.graph.node_id(recamera, node)
        ]
        assert len(steps) >= 2 and steps[-1][0] == steps[-1][1], node


def test_reports_reach_the_user_as_progress_text(recamera, driver, first_run):
    said = {driver.graph.classes(recamera, [node])[0]: text for node, text in first_run.texts}
    assert "degrees" in said["Track2View_CameraPreset"]
    assert "tracks reach" in said["Track2View_PairTracks"]
    assert "256 x 256" in said["Track2View_PrepareClip"]


def test_the_preview_shows_one_video_and_both_paths(server, recamera, driver, first_run):
    shown = first_run.outputs[driver.graph.node_id(recamera, "Track2View_PreviewRecamera")]
    (clip,), (plot,) = shown["images"], shown["track2view_paths"]
    with av.open(str(server.base / "temp" / clip["filename"])) as container:
        assert sum(1 for _ in container.decode(video=0)) == 17
    assert (server.base / "temp" / plot["filename"]).read_bytes().startswith(b"\x89PNG")
    assert shown["animated"] == [True] and "Coverage per frame" in shown["text"][0]


def test_the_same_graph_again_runs_nothing(server, recamera, first_run):
    assert server.run(recamera).executed == []


def test_after_a_path_edit_only_the_path_and_what_follows_runs(server, recamera, driver, first_run):
    edited = driver.graph.changed(recamera, "Track2View_CameraPreset", amount=0.25)
    run = server.run(edited, seconds=SECONDS)
    assert run.error is None
    assert set(driver.graph.classes(edited, run.executed)) == {
        "Track2View_CameraPreset",
        "Track2View_PairTracks",
        "Track2View_PreviewRecamera",
        "Track2View_ConditionOnTracks",
        "Track2View_SampleDiffusers",
        "VAEDecode",
        "Track2View_RestoreClip",
        "SaveVideo",
    }


def test_the_preview_alone_runs_no_loader(server, recamera, driver, first_run):
    edited = driver.graph.changed(recamera, "Track2View_PrepareClip", max_frames=9)  # so that nothing is cached
    run = server.run(edited, targets=[driver.graph.node_id(recamera, "Track2View_PreviewRecamera")])
    ran = set(driver.graph.classes(edited, run.executed))
    assert "Track2View_PreviewRecamera" in ran and not ran & (LOADERS | {"VAEEncode", "Track2View_SampleDiffusers"})


def test_an_interrupt_while_sampling_leaves_the_server_able_to_run_again(server, recamera, driver, first_run):
    sampler = driver.graph.node_id(recamera, "Track2View_SampleDiffusers")
    long = driver.graph.changed(recamera, "Track2View_SampleDiffusers", steps=500, seed=11)
    run = driver.server.Run(server.queue(long))
    for event in server.events(run, SECONDS):
        if event == "progress" and run.progress[-1][0] == sampler and run.progress[-1][1] == 2:
            server.post("/interrupt")
    assert run.interrupted and run.error is None
    # the model came out clean: the first graph's sampler gives the very same frames again
    again = driver.graph.changed(recamera, "Track2View_SampleDiffusers", steps=2, seed=12)
    rerun = server.run(again, seconds=SECONDS)
    assert rerun.error is None and sampler in rerun.executed


def test_the_same_seed_gives_the_same_video_before_and_after_an_interrupted_run(server, recamera, driver, first_run):
    before = video_of(server, recamera, driver, first_run)
    other = server.run(driver.graph.changed(recamera, "Track2View_SampleDiffusers", seed=99, steps=1), seconds=SECONDS)
    assert other.error is None
    back = server.run(recamera, seconds=SECONDS)
    assert back.error is None
    assert frames_of(before) == frames_of(video_of(server, recamera, driver, back))


def frames_of(file):
    with av.open(str(file)) as container:
        return [frame.to_ndarray(format="rgb24").tobytes() for frame in container.decode(video=0)]
