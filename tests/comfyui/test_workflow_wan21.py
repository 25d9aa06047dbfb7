"""Workflow 10: it names the files it misses, and runs with small random ones under their names."""

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

NAME = "10"
CLIP = "your_clip.mp4"
BUNDLE = "track2view_wan21_1.3b.safetensors"
LORA, WINDOWS, SAMPLER = "LoraLoaderModelOnly", "WanContextWindowsManual", "KSampler"
SMALL = {"width": 128, "height": 128}  # the tiny model's size


@pytest.fixture(scope="module")
def saved(workflow):
    return workflow(NAME)


@pytest.fixture(scope="module")
def prompt(driver, object_info, saved):
    return driver.graph.to_prompt(saved, object_info)


def linked_files(saved):
    """file -> folder, as the loaders' download links say."""
    links = [link for node in saved["nodes"] for link in node["properties"].get("models", [])]
    assert all(link["url"].startswith("https://huggingface.co/") for link in links)
    assert all(link["url"].endswith("/" + link["name"]) for link in links)
    return {link["name"]: link["directory"] for link in links}


def test_every_file_of_a_loader_has_its_download_link_but_the_bundle(saved):
    told = linked_files(saved)
    chosen = [value for node in saved["nodes"] for value in node["widgets_values"] if str(value).endswith("tensors")]
    assert {*told, BUNDLE} == set(chosen)
    note = next(node for node in saved["nodes"] if node["type"] == "MarkdownNote")["widgets_values"][0]
    assert "no public one exists" in note


def test_without_its_files_the_graph_is_refused_by_the_name_of_each_and_for_nothing_else(server, saved, prompt):
    lora = next(node for node in saved["nodes"] if node["type"] == LORA)["widgets_values"][0]
    wanted = {CLIP, BUNDLE, *linked_files(saved)} - {lora}  # its loader is bypassed
    errors = [error["details"] for node in server.refusal(prompt)["node_errors"].values() for error in node["errors"]]
    assert len(errors) == len(wanted)
    assert {name for name in wanted if any(name in error for error in errors)} == wanted, errors


@pytest.fixture(scope="module")
def files(server, driver, saved, tiny_dit_file, tiny_bundle_file):
    """Small files under the real ones' names, for this module alone."""
    from track2view_core.scenes import shipped_clip
    from track2view_core.wan.bundle import load_bundle

    places = {folder: server.base / "models" / folder / name for name, folder in linked_files(saved).items()}
    places |= {"track2view": server.base / "models/track2view" / BUNDLE, "input": server.base / "input" / CLIP}
    for file in places.values():
        file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(tiny_dit_file, places["diffusion_models"])
    own_vae = server.base / "models/vae" / driver.weights.NAMES[1]
    shutil.copy(own_vae if own_vae.is_file() else driver.weights.SHIPPED[1], places["vae"])
    driver.weights.write_variant(tiny_bundle_file, places["track2view"])
    driver.text_encoder.write_text_encoder(places["text_encoders"])
    torch.manual_seed(1)
    lora = load_bundle(tiny_bundle_file).lora
    save_file({key: torch.randn_like(weight) * 0.05 for key, weight in lora.items() if weight.ndim}, places["loras"])
    shutil.copy(shipped_clip("shapes").file, places["input"])
    yield places
    for file in places.values():
        file.unlink()


@pytest.fixture(scope="module")
def frames(server, driver, object_info, saved, files):
    """The video of workflow 10 at a small size and two steps, with nodes of `switched_on` run that stand bypassed."""

    def run(*switched_on, **sampling):
        graph = driver.graph.to_prompt(driver.graph.switched_on(saved, *switched_on), object_info)
        graph = driver.graph.changed(graph, "Track2View_PrepareClip", **SMALL)
        graph = driver.graph.changed(graph, SAMPLER, **{"steps": 2, **sampling})
        if WINDOWS in switched_on:
            graph = driver.graph.changed(graph, WINDOWS, context_length=9, context_overlap=5)
        done = server.run(graph, seconds=900)
        assert done.error is None, f"{done.message}\n{server.log_end()}"
        return driver.videos.frames_and_rate(driver.videos.saved_video(server, graph, done))[0]

    return run


@pytest.fixture(scope="module")
def plain(frames):
    return frames()


def test_with_files_in_their_places_it_ends_with_a_video_of_the_clips_size(plain):
    assert plain.shape == (17, 256, 256, 3) and plain.std() > 1


@pytest.mark.parametrize(
    ("switched_on", "sampling"), [((LORA,), {"cfg": 1.0, "steps": 4}), ((WINDOWS,), {})], ids=["few_steps", "windows"]
)
def test_the_bypassed_nodes_run_when_they_are_switched_on(frames, plain, switched_on, sampling):
    changed = frames(*switched_on, **sampling)
    assert changed.shape == plain.shape and not np.array_equal(changed, plain)


def test_a_bypassed_node_hands_on_what_comes_in(driver, prompt):
    for node in (SAMPLER, "ModelSamplingSD3"):
        source = driver.graph.source_of(prompt, node, "model")
        assert prompt[source]["class_type"] == {SAMPLER: "Track2View_ApplyToModel"}.get(node, "UNETLoader")


def test_without_model_files_the_preview_runs_all_the_same(server, driver, prompt, files):
    small = driver.graph.changed(prompt, "Track2View_PrepareClip", **SMALL, max_frames=5)
    broken = driver.graph.changed(small, "Track2View_LoadBundle", file="missing.safetensors")
    run = server.run(broken, targets=[driver.graph.node_id(prompt, "Track2View_PreviewRecamera")])
    assert run.error is None and "Track2View_PreviewRecamera" in driver.graph.classes(prompt, run.executed)
