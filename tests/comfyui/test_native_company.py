"""The native route among what users put beside it: other samplers, precisions, patches, windows and caches."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

SHARED = "probe_shared_zero.safetensors"
FP8 = torch.float8_e4m3fn


@pytest.fixture(scope="module")
def graph(native):
    return native.native(bundle=SHARED)


@pytest.fixture(scope="module")
def expected(native, graph):
    return native.latent(native.ksampler(graph))


def test_a_negative_prompt_without_tracks_is_the_base_model(native, graph, gap):
    """One step is linear in its two branches, so that each can be run alone and put together by hand."""
    mixed = native.latent(native.euler(graph, steps=1, cfg=3.0, negative=["negative", 0]))
    positive = native.latent(native.euler(graph, steps=1, cfg=1.0))
    alone = {"positive": ["negative", 0], "negative": ["negative", 0]}
    negative = native.latent(native.euler(graph, steps=1, cfg=1.0, **alone))
    assert gap(mixed, negative + 3.0 * (positive - negative)) < 1e-4


def test_every_clip_of_a_batch_gets_the_tracks(native, graph, expected, gap):
    twice = {**graph, "two": native.node("RepeatLatentBatch", samples=["apply", 3], amount=2)}
    found = native.latent(native.ksampler(twice, latent=["two", 0]))
    assert len(found) == 2 and gap(found[:1], expected) < 1e-4
    assert gap(found[1:], expected) > 0.05  # its own noise


def test_uni_pc_and_an_ancestral_sampler_run(native, graph):
    for sampler in ("uni_pc", "euler_ancestral", "dpmpp_2m"):
        assert native.latent(native.ksampler(graph, steps=3, sampler=sampler)).isfinite().all()


def test_fp8_weights_stay_near_the_full_precision(native, expected):
    found = native.latent(native.ksampler(native.native(bundle=SHARED, weight_dtype="fp8_e4m3fn")))
    assert float((found - expected).norm() / expected.norm()) < 0.15


def test_scaled_fp8_files_err_no_more_than_the_base_alone(native, server, tiny_dit_file):
    folder = server.base / "models/diffusion_models"
    scaled, plain = {}, {}
    for key, value in load_file(tiny_dit_file).items():
        scaled[key] = plain[key] = value.float()
        if key.startswith("blocks.") and key.endswith(".weight") and value.ndim == 2:
            scale = value.float().abs().max() / 448
            scaled[key] = (value.float() / scale).to(FP8)
            plain[key] = scaled[key].float() * scale
            scaled[key.replace(".weight", ".scale_weight")] = scale
    scaled["scaled_fp8"] = torch.zeros(0, dtype=FP8)
    save_file(scaled, folder / "scaled.safetensors")
    save_file(plain, folder / "dequantised.safetensors")

    def error(**links) -> float:
        """Core computes such files in bfloat16, and rounds weights that a LoRA patched to fp8 again."""
        found, expected = (
            native.latent(native.ksampler(native.native(bundle=SHARED, dit=f"{name}.safetensors"), **links))
            for name in ("scaled", "dequantised")
        )
        return float((found - expected).norm() / expected.norm())

    base = error(model=["shift", 0], positive=["positive", 0], negative=["negative", 0])
    assert error() < 2 * base < 0.2


@pytest.mark.parametrize("after_apply", [True, False])
def test_a_compiled_model_gives_the_same(native, graph, expected, after_apply, gap):
    """Traced by torch.compile and run eagerly: the tracing is where foreign hooks break."""
    found = native.latent(_with_patch(native, graph, after_apply, "Probe_Compiled", backend="aot_eager"))
    assert gap(found, expected) < 1e-3


@pytest.mark.parametrize("after_apply", [True, False])
def test_another_packs_first_block_still_runs(native, graph, expected, after_apply):
    same = _with_patch(native, graph, after_apply, "Probe_ForeignBlock", scale=1.0)
    assert torch.equal(native.latent(same), expected)
    scaled = native.latent(_with_patch(native, graph, after_apply, "Probe_ForeignBlock", scale=1.5))
    assert not torch.equal(scaled, expected)


@pytest.mark.parametrize("after_apply", [True, False])
def test_easy_cache_runs_and_at_threshold_0_changes_nothing(native, graph, after_apply, gap):
    limits = {"start_percent": 0.15, "end_percent": 0.95, "verbose": False}
    full = native.latent(native.ksampler(graph, steps=6))
    for threshold in (0.0, 1.0):
        run = _with_patch(native, graph, after_apply, "EasyCache", steps=6, reuse_threshold=threshold, **limits)
        difference = gap(native.latent(run), full)
        assert difference == 0.0 if threshold == 0.0 else difference > 0.0


def test_a_node_that_samples_around_cores_guider_gets_the_same_tracks(native, gap):
    """Also for a part of the steps, which needs the schedule."""
    graph = native.native(bundle=SHARED, start=0.25, end=0.75)
    links = {"model": ["apply", 0], "positive": ["apply", 1], "negative": ["apply", 2]}
    core = native.euler(graph, steps=4, cfg=3.0)
    bare = {**core, "guider": native.node("Probe_BareGuider", **links, cfg=3.0, wrapped=True)}
    assert gap(native.latent(bare), native.latent(core)) < 1e-5


def test_two_experts_share_the_steps_of_one_run(native, graph, gap):
    """WAN 2.2 14B: a MODEL for high noise and one for low, each with the LoRA and Apply; here both are the same."""
    low = native.native(bundle=SHARED)
    both = {**graph, **{f"low_{name}": low[name] for name in ("base", "shift", "lora", "apply")}}
    for name, before in (("shift", "base"), ("lora", "shift"), ("apply", "lora")):
        both[f"low_{name}"] = native.with_inputs(low[name], model=[f"low_{before}", 0])
    shared = {"noise_seed": 5, "steps": 4, "cfg": 3.0, "sampler_name": "euler", "scheduler": "simple"}
    prompts = {"positive": ["apply", 1], "negative": ["apply", 2]}
    both["high"] = native.node(
        "KSamplerAdvanced", model=["apply", 0], latent_image=["apply", 3], add_noise="enable", start_at_step=0,
        end_at_step=2, return_with_leftover_noise="enable", **shared, **prompts,
    )  # fmt: skip
    both["sampler"] = native.node(
        "KSamplerAdvanced", model=["low_apply", 0], latent_image=["high", 0], add_noise="disable", start_at_step=2,
        end_at_step=4, return_with_leftover_noise="disable", **shared, **prompts,
    )  # fmt: skip
    one = native.ksampler(graph, steps=4)
    assert gap(native.latent({**both, "saved": one["saved"]}), native.latent(one)) < 1e-4


@pytest.mark.parametrize("schedule", ["standard_static", "standard_uniform", "looped_uniform", "batched"])
def test_context_windows_of_every_schedule_run(native, graph, schedule):
    found = native.latent(_with_patch(native, graph, True, "WanContextWindowsManual", **_windows(9, schedule)))
    assert found.isfinite().all()


def test_context_windows_are_the_same_before_and_after_apply(native, graph, expected, gap):
    runs = [_with_patch(native, graph, side, "WanContextWindowsManual", **_windows(9)) for side in (True, False)]
    after, before = map(native.latent, runs)
    assert torch.equal(after, before) and gap(after, expected) > 1e-3


def test_a_window_as_long_as_the_clip_changes_nothing(native, graph, expected):
    found = native.latent(_with_patch(native, graph, True, "WanContextWindowsManual", **_windows(17)))
    assert torch.equal(found, expected)


def test_the_conditioner_runs_once_a_window(native, graph):
    windowed = {**graph, "windows": native.node("WanContextWindowsManual", model=["apply", 0], **_windows(9))}
    windowed["count"] = native.node("Probe_Count", model=["windows", 0], number=9)
    run = native.with_facts(native.ksampler(windowed, steps=4, model=["count", 0]))
    assert native.facts(run)["conditioner"] == 2  # 5 latent frames in windows of 3 that share 1


def test_161_frames_run_in_windows_of_81(native, server, driver):
    """The clip there and back, again and again; windows of 21 latent frames that share 8, over 41."""
    from track2view_core.scenes import shipped_clip
    from track2view_core.video import VideoClip, read_clip, write_clip

    clip = read_clip(shipped_clip("shapes").file)
    there_and_back = [*range(16), *range(16, 0, -1)] * 6
    write_clip(VideoClip(clip.frames[there_and_back[:161]], clip.fps), server.base / "input/long.mp4")
    graph = native.native(bundle=SHARED)
    (demo,) = [name for name, node in graph.items() if node["class_type"] == "Track2View_DemoClip"]
    graph[demo] = {"class_type": "LoadVideo", "inputs": {"file": "long.mp4"}}
    graph = driver.graph.changed(graph, "Track2View_PrepareClip", width=64, height=64)
    graph = driver.graph.changed(graph, "Track2View_TrackPoints", points=100, motion="static")
    windows = {**_windows(81), "context_overlap": 30}
    graph["windows"] = native.node("WanContextWindowsManual", model=["apply", 0], **windows)
    graph["count"] = native.node("Probe_Count", model=["windows", 0], number=161)
    run = native.with_facts(native.ksampler(graph, steps=2, model=["count", 0]))
    assert native.latent(run).shape[2] == 41
    assert native.facts(run)["conditioner"] == 3


def test_a_clip_of_odd_shape_runs(native, driver, gap):
    """7 x 7 tokens, in no whole ratio to the trained size."""
    size = {"width": 112, "height": 112}
    wide = driver.graph.changed(native.native(bundle=SHARED), "Track2View_PrepareClip", **size)
    euler, reference = native.euler(wide, steps=2, cfg=3.0), native.diffusers(steps=2, cfg=3.0, bundle=SHARED)
    expected = native.latent(driver.graph.changed(reference, "Track2View_PrepareClip", **size))
    assert expected.shape[-2:] == (14, 14)
    assert gap(native.latent(euler), expected) < 1e-3


def _with_patch(native, graph, after_apply: bool, node: str, *, steps: int = 2, **inputs):
    """The graph with a MODEL node between Apply and the sampler, or between the LoRA and Apply."""
    if after_apply:
        patched = {**graph, "patch": native.node(node, model=["apply", 0], **inputs)}
        return native.ksampler(patched, steps=steps, model=["patch", 0])
    patched = {**graph, "patch": native.node(node, model=["lora", 0], **inputs)}
    patched["apply"] = native.with_inputs(graph["apply"], model=["patch", 0])
    return native.ksampler(patched, steps=steps)


def _windows(length: int, schedule: str = "standard_static") -> dict:
    return {
        "context_length": length,
        "context_overlap": 4,
        "context_schedule": schedule,
        "context_stride": 1,
        "closed_loop": False,
        "fuse_method": "pyramid",
    }
