"""Laws of the patched MODEL: what it must not change, what twice must not double, and what a path edit runs."""

from __future__ import annotations

import pytest
import torch

PLAIN = {"positive": ["positive", 0], "negative": ["negative", 0]}
SHARED, PLAIN_JOIN = "probe_shared_zero.safetensors", "probe_consecutive_same.safetensors"


@pytest.fixture(scope="module")
def graph(native):
    return native.native(bundle=SHARED)


@pytest.fixture(scope="module")
def expected(native, graph):
    return native.latent(native.ksampler(graph))


def test_without_our_conditioning_the_model_is_the_base_to_the_bit(native, graph):
    base = native.latent(native.ksampler(graph, model=["lora", 0], **PLAIN))
    assert torch.equal(native.latent(native.ksampler(graph, **PLAIN)), base)


def test_the_tracks_change_the_result(native, graph, expected, gap):
    still = native.latent(native.ksampler(native.native(bundle=SHARED, strength=0.0)))
    assert gap(still, expected) > 0.05


def test_strength_0_is_cores_own_concatenation_to_the_bit(native):
    graph = native.native(bundle=PLAIN_JOIN, strength=0.0)
    source = graph[native.condition]["inputs"]["source_latent"]
    for side in ("positive", "negative"):
        graph[f"{side}_frames"] = native.node("Probe_Frames", conditioning=[side, 0], latent=source)
    ours = native.latent(native.ksampler(graph))
    cores = {"model": ["lora", 0], "positive": ["positive_frames", 0], "negative": ["negative_frames", 0]}
    assert torch.equal(ours, native.latent(native.ksampler(graph, **cores)))


def test_cores_extra_frames_may_follow_ours(native, graph, expected, gap):
    """Phantom-like conditions append frames; the tracks still reach target and source."""
    source = graph[native.condition]["inputs"]["source_latent"]
    graph = {**graph, "more": native.node("Probe_Frames", conditioning=["apply", 1], latent=source)}
    found = native.latent(native.ksampler(graph, cfg=1.0, positive=["more", 0]))
    assert found.isfinite().all() and gap(found, native.latent(native.ksampler(graph, cfg=1.0))) > 1e-3


def test_applied_twice_is_applied_once(native, graph, expected):
    again = native.node(
        "Track2View_ApplyToModel",
        model=["apply", 0],
        positive=["apply", 1],
        negative=["apply", 2],
        condition=[native.condition, 0],
    )
    links = {"model": ["again", 0], "positive": ["again", 1], "negative": ["again", 2]}
    twice = native.with_facts(native.ksampler({**graph, "again": again}, **links), ["again", 0])
    assert torch.equal(native.latent(twice), expected)
    once = native.facts(native.with_facts(native.ksampler(graph)))
    assert native.facts(twice)["wrapper_count"] == once["wrapper_count"] == 5
    assert once["additional"] == ["track2view"]


def test_lora_before_or_after_apply_is_the_same(native, graph, expected):
    swapped = {**graph, "lora": native.with_inputs(graph["lora"], model=["apply", 0])}
    swapped["apply"] = native.with_inputs(graph["apply"], model=["shift", 0])
    assert torch.equal(native.latent(native.ksampler(swapped, model=["lora", 0])), expected)


def test_a_second_lora_is_refused_before_and_after_apply(native, graph):
    for link in ("lora", "apply"):
        second = {**graph, "second": native.with_inputs(graph["lora"], model=[link, 0])}
        assert "already carries a Track2View LoRA" in native.message(native.ksampler(second, model=["second", 0]))


def test_cores_own_lora_loader_may_stand_before_and_after(native, graph, server, tiny_bundle_file, expected, gap):
    """The bundle's LoRA part as a stock file, once more, in front of ours or behind Apply: the same weights."""
    from safetensors.torch import load_file, save_file

    folder = server.base / "models/loras"
    folder.mkdir(parents=True, exist_ok=True)
    lora = {key: value for key, value in load_file(tiny_bundle_file).items() if key.startswith("diffusion_model.")}
    save_file(lora, folder / "stock.safetensors")
    stock = {"lora_name": "stock.safetensors", "strength_model": 0.5}
    before = {**graph, "stock": native.node("LoraLoaderModelOnly", model=["shift", 0], **stock)}
    before["lora"] = native.with_inputs(graph["lora"], model=["stock", 0])
    after = {**graph, "stock": native.node("LoraLoaderModelOnly", model=["apply", 0], **stock)}
    first, second = native.latent(native.ksampler(before)), native.latent(native.ksampler(after, model=["stock", 0]))
    assert gap(first, second) < 1e-4 and gap(first, expected) > 1e-3


def test_after_a_path_edit_the_weights_stay_patched(native, driver, graph):
    """Only what depends on the path runs, and the MODEL's patches keep their uuid, so that core reloads nothing."""
    first = native.with_facts(native.ksampler(graph, seed=6))
    edited = driver.graph.changed(first, "Track2View_CameraPreset", amount=0.3)
    before, after = native.facts(first), native.facts(edited)
    assert before["uuid"] == after["uuid"] == after["loaded_uuid"]
    assert set(driver.graph.classes(edited, native.run(edited).executed)) == {
        "Track2View_CameraPreset",
        "Track2View_PairTracks",
        "Track2View_ConditionOnTracks",
        "Track2View_ApplyToModel",
        "KSampler",
        "SaveLatent",
        "Probe_Facts",
    }


@pytest.mark.parametrize(("unbatched", "cfg"), [(False, 3.0), (True, 3.0), (False, 1.0)])
def test_the_conditioner_runs_once_a_run(native, graph, unbatched, cfg, gap):
    """Whatever the steps; guidance in two forwards brings the same tracks, and finds them computed."""
    counted = {**graph, "count": native.node("Probe_Count", model=["apply", 0], number=int(unbatched))}
    if unbatched:
        counted["large"] = native.node("Probe_Unbatched", model=["count", 0])
    model = ["large" if unbatched else "count", 0]
    run = native.with_facts(native.ksampler(counted, steps=4, cfg=cfg, model=model))
    assert native.facts(run)["conditioner"] == 1
    assert gap(native.latent(run), native.latent(native.ksampler(graph, steps=4, cfg=cfg))) < 1e-4
