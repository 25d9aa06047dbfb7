"""What does not fit is answered by one sentence that names the field or node to change."""

import copy

import pytest
import torch


def failed(server, graph, driver, node):
    run = server.run(graph)
    assert run.error is not None, "the graph ran without an error"
    assert run.error["exception_type"].endswith("Track2ViewError"), run.error
    assert run.error["node_type"] == node
    assert "\n" not in run.message and len(run.message) < 400, run.message
    return run.message


def only(graph, *nodes):
    """The sub-graph that these nodes need, with the first as something to run."""
    keep, todo = {}, list(nodes)
    while todo:
        name = todo.pop()
        keep[name] = copy.deepcopy(graph[name])
        todo += [value[0] for value in graph[name]["inputs"].values() if isinstance(value, list)]
    return keep


def test_prepare_clip_without_a_clip(server, recamera, driver):
    name = driver.graph.node_id(recamera, "Track2View_PrepareClip")
    graph = copy.deepcopy(recamera)
    del graph[name]["inputs"]["video"]
    assert "link one of the two" in failed(server, graph, driver, "Track2View_PrepareClip")


def test_tracks_and_path_of_different_lengths(server, recamera, driver):
    graph = copy.deepcopy(recamera)
    shorter = copy.deepcopy(graph[driver.graph.node_id(graph, "Track2View_PrepareClip")])
    shorter["inputs"]["max_frames"] = 5
    tracks = copy.deepcopy(graph[driver.graph.node_id(graph, "Track2View_TrackPoints")])
    tracks["inputs"]["image"] = ["101", 0]
    graph |= {"101": shorter, "102": tracks}
    graph[driver.graph.node_id(graph, "Track2View_CameraPreset")]["inputs"]["point_tracks"] = ["102", 0]
    message = failed(server, graph, driver, "Track2View_PairTracks")
    assert "17" in message and "5" in message


def test_tracks_of_another_shape_than_the_latent(server, recamera, driver):
    graph = copy.deepcopy(recamera)
    wide = copy.deepcopy(graph[driver.graph.node_id(graph, "Track2View_PrepareClip")])
    empty = {"class_type": "EmptyImage", "inputs": {"width": 192, "height": 96, "batch_size": 17, "color": 0}}
    wide["inputs"] = {**wide["inputs"], "image": ["100", 0], "width": 128, "height": 64}
    del wide["inputs"]["video"]
    graph |= {"100": empty, "101": wide}
    graph[driver.graph.node_id(graph, "VAEEncode")]["inputs"]["pixels"] = ["101", 0]
    assert "another shape" in failed(server, graph, driver, "Track2View_ConditionOnTracks")


def test_a_latent_of_another_length_than_the_tracks(server, recamera, driver):
    graph = copy.deepcopy(recamera)
    shorter = copy.deepcopy(graph[driver.graph.node_id(graph, "Track2View_PrepareClip")])
    shorter["inputs"]["max_frames"] = 9
    graph["100"] = shorter
    graph[driver.graph.node_id(graph, "VAEEncode")]["inputs"]["pixels"] = ["100", 0]
    message = failed(server, graph, driver, "Track2View_ConditionOnTracks")
    assert "17" in message and "9" in message


def test_frames_that_restore_clip_cannot_place(server, recamera, driver):
    graph = copy.deepcopy(recamera)
    graph["100"] = {"class_type": "EmptyImage", "inputs": {"width": 128, "height": 128, "batch_size": 7, "color": 0}}
    graph[driver.graph.node_id(graph, "Track2View_RestoreClip")]["inputs"]["image"] = ["100", 0]
    assert "17" in failed(server, graph, driver, "Track2View_RestoreClip")


def test_a_clip_without_texture_and_motion_on_auto(server, recamera, driver):
    graph = copy.deepcopy(recamera)
    graph["100"] = {
        "class_type": "EmptyImage",
        "inputs": {"width": 128, "height": 128, "batch_size": 9, "color": 8421504},
    }
    graph[driver.graph.node_id(graph, "Track2View_TrackPoints")]["inputs"]["image"] = ["100", 0]
    assert "motion" in failed(server, graph, driver, "Track2View_TrackPoints")


@pytest.mark.parametrize("prefix", ["../outside", "..\\outside", "/", "a/../../outside", ""])
def test_save_tracks_writes_nowhere_but_below_the_output_folder(server, recamera, driver, prefix):
    graph = copy.deepcopy(recamera)
    tracks = [driver.graph.node_id(graph, "Track2View_TrackPoints"), 0]
    graph = only(graph, tracks[0])
    graph["100"] = {
        "class_type": "Track2View_SaveTracks",
        "inputs": {"point_tracks": tracks, "filename_prefix": prefix, "file_format": "npz"},
    }
    assert "filename_prefix" in failed(server, graph, driver, "Track2View_SaveTracks")


@pytest.mark.parametrize("file_format", ["npz", "safetensors"])
def test_save_tracks_writes_what_load_tracks_reads(server, recamera, driver, file_format):
    from track2view_core.tracks import load_tracks

    tracks = [driver.graph.node_id(recamera, "Track2View_TrackPoints"), 0]
    graph = only(recamera, tracks[0])
    inputs = {"point_tracks": tracks, "filename_prefix": f"clips:of {file_format}/tr<ack>s", "file_format": file_format}
    graph["100"] = {"class_type": "Track2View_SaveTracks", "inputs": inputs}
    run = server.run(graph)
    assert run.error is None, run.error
    (saved,) = run.outputs["100"]["text"]
    assert saved == f"clips_of {file_format}/tr_ack_s_00001_.{file_format}"
    loaded = load_tracks(server.base / "output" / saved, image_size=(128, 128))
    assert len(loaded) == 17


def test_a_bundle_for_another_base(server, recamera, driver):
    file = server.base / "models/track2view/wide_bundle.safetensors"
    driver.weights.write_bundle(file, driver.weights.random_transformer(width=256, layers=2))
    graph = driver.graph.changed(recamera, "Track2View_LoadBundle", file=file.name)
    assert "bundle" in failed(server, graph, driver, "Track2View_SampleDiffusers")


def test_a_lora_with_an_unknown_key(server, recamera, driver):
    file = server.base / "models/track2view/odd_bundle.safetensors"
    odd = "diffusion_model.blocks.0.nonsense.lora_A.weight"
    driver.weights.write_bundle(file, driver.weights.random_transformer(), unknown_key=odd)
    graph = driver.graph.changed(recamera, "Track2View_LoadBundle", file=file.name)
    assert odd.removesuffix(".lora_A.weight") in failed(server, graph, driver, "Track2View_SampleDiffusers")


def test_a_truncated_bundle_and_a_file_that_is_no_bundle(server, recamera, driver):
    folder = server.base / "models/track2view"
    driver.weights.write_bundle(folder / "whole.safetensors", driver.weights.random_transformer())
    (folder / "half.safetensors").write_bytes((folder / "whole.safetensors").read_bytes()[:-1000])
    (folder / "words.safetensors").write_text("not a bundle at all", encoding="utf-8")
    for name in ("half.safetensors", "words.safetensors"):
        message = failed(
            server, driver.graph.changed(recamera, "Track2View_LoadBundle", file=name), driver, "Track2View_LoadBundle"
        )
        assert name in message


def test_a_model_that_is_no_wan(server, recamera, driver):
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(4)}, server.base / "models/diffusion_models/other.safetensors")
    graph = driver.graph.changed(recamera, "Track2View_LoadWanDiffusers", file="other.safetensors")
    assert "other.safetensors" in failed(server, graph, driver, "Track2View_LoadWanDiffusers")


def test_bundles_from_two_loaders(server, recamera, driver):
    graph = copy.deepcopy(recamera)
    graph["100"] = copy.deepcopy(graph[driver.graph.node_id(graph, "Track2View_LoadBundle")])
    folder = server.base / "models/track2view"
    driver.weights.write_bundle(folder / "second.safetensors", driver.weights.random_transformer())
    graph["100"]["inputs"]["file"] = "second.safetensors"
    graph[driver.graph.node_id(graph, "Track2View_SampleDiffusers")]["inputs"]["bundle"] = ["100", 0]
    assert "link both from one" in failed(server, graph, driver, "Track2View_SampleDiffusers")


def test_an_out_of_range_value_is_not_even_queued(server, recamera, driver):
    graph = driver.graph.changed(recamera, "Track2View_ConditionOnTracks", strength=99.0)
    errors = server.refusal(graph)["node_errors"][driver.graph.node_id(graph, "Track2View_ConditionOnTracks")]["errors"]
    assert errors[0]["extra_info"]["input_name"] == "strength"


def test_start_after_end(server, recamera, driver):
    graph = driver.graph.changed(recamera, "Track2View_ConditionOnTracks", start=0.8, end=0.2)
    message = failed(server, graph, driver, "Track2View_ConditionOnTracks")
    assert "start" in message and "end" in message
