"""What does not fit is answered by one sentence that names the field or node to change."""

import copy

import pytest
import torch

PREPARE, TRACK, PRESET = "Track2View_PrepareClip", "Track2View_TrackPoints", "Track2View_CameraPreset"
CONDITION, RESTORE, SAMPLE = "Track2View_ConditionOnTracks", "Track2View_RestoreClip", "Track2View_SampleDiffusers"
LOAD = "Track2View_LoadBundle"


@pytest.fixture(scope="module")
def edit(driver):
    return driver.graph.changed


@pytest.fixture(scope="module")
def failed(server):
    def run_and_read(graph, node):
        run = server.run(graph)
        assert run.error is not None, "the graph ran without an error"
        assert run.error["node_type"] == node, run.error
        assert run.error["exception_type"] == "track2view_core.errors.Track2ViewError", run.error
        assert "\n" not in run.message and len(run.message) < 400, run.message
        return run.message

    return run_and_read


def blank(width, height, frames):
    inputs = {"width": width, "height": height, "batch_size": frames, "color": 0x808080}
    return {"class_type": "EmptyImage", "inputs": inputs}


def part(graph, name):
    """The sub-graph that the node `name` needs."""
    keep, todo = {}, [name]
    while todo:
        name = todo.pop()
        keep[name] = copy.deepcopy(graph[name])
        todo += [value[0] for value in graph[name]["inputs"].values() if isinstance(value, list)]
    return keep


def test_prepare_clip_without_a_clip(recamera, edit, failed):
    assert "link one of the two" in failed(edit(recamera, PREPARE, video=None), PREPARE)


def test_clip_info_of_other_frames(recamera, driver, edit, failed):
    model = driver.graph.source_of(recamera, "VAEEncode", "pixels")
    assert "128 x 128" in failed(edit(recamera, TRACK, clip_info=[model, 1]), TRACK)


def test_tracks_and_path_of_different_lengths(recamera, driver, edit, failed):
    shorter = copy.deepcopy(recamera[driver.graph.source_of(recamera, TRACK, "image")])
    shorter["inputs"]["max_frames"] = 5
    tracks = copy.deepcopy(recamera[driver.graph.node_id(recamera, TRACK)])
    tracks["inputs"] |= {"image": ["101", 0], "clip_info": ["101", 1]}
    graph = {**edit(recamera, PRESET, point_tracks=["102", 0]), "101": shorter, "102": tracks}
    message = failed(graph, "Track2View_PairTracks")
    assert "17" in message and "5" in message


def test_tracks_of_another_shape_than_the_latent(recamera, driver, edit, failed):
    wide = copy.deepcopy(recamera[driver.graph.source_of(recamera, "VAEEncode", "pixels")])
    wide["inputs"] = {**wide["inputs"], "image": ["100", 0], "width": 128, "height": 64}
    del wide["inputs"]["video"]
    graph = {**edit(recamera, "VAEEncode", pixels=["101", 0]), "100": blank(192, 96, 17), "101": wide}
    assert "another shape" in failed(graph, CONDITION)


def test_a_latent_of_another_length_than_the_tracks(recamera, driver, edit, failed):
    shorter = copy.deepcopy(recamera[driver.graph.source_of(recamera, "VAEEncode", "pixels")])
    shorter["inputs"]["max_frames"] = 9
    message = failed({**edit(recamera, "VAEEncode", pixels=["100", 0]), "100": shorter}, CONDITION)
    assert "17" in message and "9" in message


def test_frames_that_restore_clip_cannot_place(recamera, edit, failed):
    assert "17" in failed({**edit(recamera, RESTORE, image=["100", 0]), "100": blank(128, 128, 7)}, RESTORE)


def test_a_clip_without_texture_and_motion_on_auto(recamera, edit, failed):
    graph = {**edit(recamera, TRACK, image=["100", 0], clip_info=None), "100": blank(128, 128, 9)}
    assert "motion" in failed(graph, TRACK)


def test_depth_images_of_another_length(recamera, edit, failed):
    graph = {**edit(recamera, TRACK, depth=["100", 0], clip_info=None), "100": blank(256, 256, 3)}
    assert "one depth image a frame" in failed(graph, TRACK)


@pytest.mark.parametrize("file_format", ["npz", "safetensors"])
def test_save_tracks_writes_what_load_tracks_reads(server, recamera, driver, file_format):
    from track2view_core.tracks.storage import load_tracks

    tracks = driver.graph.node_id(recamera, TRACK)
    prefix = f"clips:of {file_format}/tr<ack>s"  # what Windows forbids in a name becomes an underscore
    inputs = {"point_tracks": [tracks, 0], "filename_prefix": prefix, "file_format": file_format}
    run = server.run({**part(recamera, tracks), "100": {"class_type": "Track2View_SaveTracks", "inputs": inputs}})
    assert run.error is None, run.error
    (saved,) = run.outputs["100"]["text"]
    assert saved == f"clips_of {file_format}/tr_ack_s_00001_.{file_format}"
    assert len(load_tracks(server.base / "output" / saved, image_size=(256, 256))) == 17


def test_a_bundle_for_another_base(server, recamera, driver, edit, failed):
    file = server.base / "models/track2view/wide_bundle.safetensors"
    driver.weights.write_bundle(file, driver.weights.random_transformer(width=256, layers=2))
    assert "bundle" in failed(edit(recamera, LOAD, file=file.name), SAMPLE)


def test_a_lora_with_an_unknown_key(server, recamera, driver, edit, failed):
    file = server.base / "models/track2view/odd_bundle.safetensors"
    odd = "diffusion_model.blocks.0.nonsense"
    driver.weights.write_bundle(file, driver.weights.random_transformer(), unknown_key=f"{odd}.lora_A.weight")
    assert odd in failed(edit(recamera, LOAD, file=file.name), LOAD)


def test_a_truncated_bundle_and_a_file_that_is_no_bundle(server, recamera, driver, edit, failed):
    folder = server.base / "models/track2view"
    driver.weights.write_bundle(folder / "whole.safetensors", driver.weights.random_transformer())
    (folder / "half.safetensors").write_bytes((folder / "whole.safetensors").read_bytes()[:-1000])
    (folder / "words.safetensors").write_text("not a bundle at all", encoding="utf-8")
    for name in ("half.safetensors", "words.safetensors"):
        assert name in failed(edit(recamera, LOAD, file=name), LOAD)


def test_a_model_that_is_no_wan(server, recamera, edit, failed):
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(4)}, server.base / "models/diffusion_models/other.safetensors")
    message = failed(
        edit(recamera, "Track2View_LoadWanDiffusers", file="other.safetensors"), "Track2View_LoadWanDiffusers"
    )
    assert "other.safetensors" in message


def test_bundles_from_two_loaders(server, recamera, driver, edit, failed):
    driver.weights.write_bundle(
        server.base / "models/track2view/second.safetensors", driver.weights.random_transformer()
    )
    second = {"class_type": LOAD, "inputs": {"file": "second.safetensors"}}
    assert "link both from one" in failed({**edit(recamera, SAMPLE, bundle=["100", 0]), "100": second}, SAMPLE)


def test_an_out_of_range_value_is_not_even_queued(server, recamera, driver, edit):
    only = part(recamera, driver.graph.node_id(recamera, "SaveVideo"))  # an output that is sound would be queued
    answer = server.refusal(edit(only, CONDITION, strength=99.0))
    (error,) = answer["node_errors"][driver.graph.node_id(recamera, CONDITION)]["errors"]
    assert error["extra_info"]["input_name"] == "strength"


def test_start_after_end(recamera, edit, failed):
    message = failed(edit(recamera, CONDITION, start=0.8, end=0.2), CONDITION)
    assert "start" in message and "end" in message
