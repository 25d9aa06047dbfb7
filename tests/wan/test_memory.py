"""The memory plan: its formulas against measured peaks, its laws, and the first setting that fits."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from track2view_core.conditioner import ConditionerConfig, TrackConditioner
from track2view_core.errors import Track2ViewError
from track2view_core.tracks import TrackBatch
from track2view_core.wan.bundle import load_bundle
from track2view_core.wan.bundle_config import BaseConfig
from track2view_core.wan.memory import (
    BASES,
    Request,
    WanBase,
    estimate_time,
    first_that_fits,
    home_of_states,
    known_base,
    matrix_rate,
    plan_memory,
    plan_table,
    source_states,
)
from track2view_core.wan.memory.plan import (
    cached_deltas,
    conditioner_parameters,
    dit_on_card,
    dit_parameters,
    lora_parameters,
    states_on_card,
    vae_parameters,
)
from track2view_core.wan.memory.time_estimate import (
    DECODE_OPERATIONS,
    ENCODE_OPERATIONS,
    conditioner_operations,
    dit_operations,
    source_operations,
    step_operations,
)
from track2view_core.wan.models import TINY_BUNDLE, TINY_TRANSFORMER, TINY_VAE
from track2view_core.wan.seams import attach_seams

GIB = 2**30


@pytest.fixture(scope="module")
def measured(benchmark_module):
    return benchmark_module("memory_estimates")


def assert_in_band(estimate: int, peak: int) -> None:
    assert peak <= estimate <= 1.6 * peak, f"{estimate / peak:.2f} times what was measured"


# Against measurement: (frames, height, width, dtype), one of them of an odd aspect

CLIPS = [(17, 64, 80, "fp32"), (9, 48, 176, "bf16"), (13, 96, 64, "fp32")]
WIDE = replace(BASES["1.3B"], layers=2, text_dim=64)


@pytest.mark.parametrize("clip", CLIPS, ids=str)
def test_every_stage_of_the_tiny_model_on_the_cpu(measured, clip):
    request = Request(known_base("tiny"), *clip, "diffusers", tracks=300, lora_rank=32, guidance=False)
    for stage in measured.measured_stages(request, "cpu"):
        assert_in_band(stage.estimate, stage.measured)


@pytest.mark.parametrize("changes", [{"source_timestep": "same"}, {"tracks": 20}, {"guidance": True}], ids=str)
def test_other_settings_of_the_tiny_model(measured, changes):
    request = Request(known_base("tiny"), 9, 48, 64, "fp32", "diffusers", tracks=300, lora_rank=32, guidance=False)
    for stage in measured.measured_stages(replace(request, **changes), "cpu"):
        assert_in_band(stage.estimate, stage.measured)


def test_two_blocks_of_real_width_on_the_cpu(measured):
    request = Request(WIDE, 13, 48, 112, "fp32", "diffusers", tracks=40, guidance=False)
    assert_in_band(*measured.dit_step(request, "cpu"))


@pytest.mark.parametrize("base", ["1.3B", "14B"])
@pytest.mark.parametrize("clip", [(81, 480, 832), (25, 480, 832), (49, 832, 480)], ids=str)
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("source_timestep", ["zero", "same"])
def test_blocks_of_full_size_by_shapes_alone(measured, base, clip, dtype, source_timestep):
    sizes = replace(BASES[base], layers=1, text_dim=64)
    request = Request(sizes, *clip, dtype, "diffusers", source_timestep=source_timestep)
    assert_in_band(*measured.dit_step(request, "meta"))


# A source that attends to itself alone

OWN = Request(replace(BASES["1.3B"], layers=2, text_dim=64), 9, 48, 112, "bf16", "diffusers", source_attention="own")


@pytest.mark.parametrize("source_text", ["prompt", "empty"])
@pytest.mark.parametrize("base", ["1.3B", "14B"])
@pytest.mark.parametrize("home", ["card", "nowhere"])
def test_a_step_beside_kept_states_by_shapes_alone(measured, base, home, source_text):
    sizes = replace(BASES[base], layers=6, text_dim=64)
    guided = {"guidance": source_text == "empty", "batched": True}  # whose states serve both prompts
    request = Request(
        sizes, 25, route="diffusers", source_attention="own", source_states=home, source_text=source_text, **guided
    )  # fmt: skip
    estimate, peak = measured.dit_step(request, "meta")
    assert peak <= estimate <= 1.1 * peak


@pytest.mark.parametrize("home", ["card", "host"])
def test_the_states_of_a_source_are_what_is_kept_of_it(measured, home):
    request = replace(OWN, source_states=home, guidance=False)
    with attach_seams(measured._transformer(request, "cpu"), None, source_attention="own") as seams, torch.no_grad():
        latent, text = torch.zeros(1, 16, 3, 6, 14), torch.zeros(1, 1, 64)
        states = seams.source_states(latent, text, in_host_memory=home == "host")
    assert states.bytes == source_states(request)
    assert source_states(replace(request, guidance=True, frames=17, window=9)) == 2 * 2 * states.bytes
    assert source_states(replace(request, guidance=True, source_text="empty")) == states.bytes
    assert source_states(replace(request, source_states="nowhere")) == 0
    full, kept = plan_memory(replace(request, source_attention="full")), plan_memory(request)
    waiting = kept["kept in host memory"].peak - full["kept in host memory"].peak
    assert waiting == (states.bytes if home == "host" else 0)
    assert states_on_card(request) == states.bytes  # two blocks: the one that computes and the next


def test_where_the_states_of_a_source_are_kept():
    fits = {"card": 111, "host": 20}
    assert home_of_states(10, 90, **fits) == "card" and home_of_states(10, 90, **fits, windows=2) == "host"
    assert home_of_states(10, 91, **fits) == "host" and home_of_states(11, 90, **fits) == "nowhere"


def test_states_that_do_not_fit_on_the_card_go_to_host_memory_first():
    request = Request(BASES["14B"], source_attention="own")
    fit = first_that_fits(request, plan_memory(request).needed - 1)
    assert fit.changes == ("the source's states in host memory",)
    assert "source kept in host memory" in plan_table(fit.plan)
    assert plan_memory(replace(request, frames=161)).request.home == "host"  # of several windows


@pytest.mark.parametrize("base", ["1.3B", "14B"])
@pytest.mark.parametrize("frames", [25, 49, 81])
def test_a_step_beside_kept_states_has_half_the_operations(base, frames):
    full, own = (Request(BASES[base], frames, source_attention=attention) for attention in ("full", "own"))
    assert step_operations(own) / step_operations(full) < 0.52
    assert 0.5 * step_operations(own) < source_operations(own) < step_operations(own)
    assert 2 * source_operations(replace(own, source_text="empty")) == source_operations(own)  # for both prompts


@pytest.mark.parametrize("base", ["1.3B", "14B"])
@pytest.mark.parametrize("tracks", [50, 1000, 4000])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_conditioners_of_full_size_by_shapes_alone(measured, base, tracks, dtype):
    assert_in_band(*measured.conditioner(Request(BASES[base], dtype=dtype, route="diffusers", tracks=tracks), "meta"))


@pytest.mark.parametrize("clip", [(21, 480, 832), (5, 240, 432)], ids=str)
def test_the_vae_of_full_size_by_shapes_alone(measured, clip):
    request = Request(BASES["1.3B"], *clip, route="diffusers")
    assert_in_band(*measured.vae_encode(request, "meta"))
    assert_in_band(*measured.vae_decode(request, "meta"))


def test_the_tracker():
    from track2view_core.tracks.trackers import KltTracker

    noise = torch.rand(1, 1, 60, 90, generator=torch.Generator().manual_seed(0)) * 255
    wall = torch.nn.functional.interpolate(noise, (240, 360), mode="bicubic")[0, 0].clamp(0, 255).to(torch.uint8)
    video = torch.stack([wall[t : t + 192, 2 * t : 2 * t + 320] for t in range(7)])[..., None].repeat(1, 1, 1, 3)
    tracemalloc.start()
    KltTracker().track(video.numpy(), points=300)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    request = Request(known_base("tiny"), 9, 192, 320, tracks=300)
    assert_in_band(plan_memory(request)["tracker"].peak, peak + video.numel())


def test_the_meter_counts_what_lives_at_once(measured):
    with measured.LivePeak() as peak:
        first = torch.ones(1000)
        second = first + 1  # two at once
        del first
        third = second.view(10, 100) * 2  # a view is free, and the first is gone
        del second, third
        torch.ones(500)
    assert peak.bytes == 8000


# Weights: exact where the architecture says it


@pytest.mark.parametrize("name", BASES)
def test_parameters_of_the_dit(name):
    base = BASES[name]
    with torch.device("meta"):
        model = WanTransformer3DModel(
            num_attention_heads=base.dim // 128, attention_head_dim=128, ffn_dim=base.ffn_dim, num_layers=base.layers
        )
    assert dit_parameters(base) == sum(p.numel() for p in model.parameters())
    assert WanBase.of(BaseConfig.of(model), uses_text=base.uses_text) == base


@pytest.mark.parametrize(
    "config",
    [ConditionerConfig(), ConditionerConfig(dim=5120), ConditionerConfig(dim=128, width=64, heads=2, layers=3),
     ConditionerConfig(scatter_level="latent")],
    ids=str,
)  # fmt: skip
def test_parameters_of_the_conditioner(config):
    with torch.device("meta"):
        module = TrackConditioner(config)
    assert conditioner_parameters(config) == sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("width", [8, 16, 96])
def test_parameters_of_the_vae(width):
    with torch.device("meta"):
        module = AutoencoderKLWan(base_dim=width)
    assert 1.0 <= vae_parameters(width) / sum(p.numel() for p in module.parameters()) <= 1.1


def test_the_tiny_base_is_the_one_that_is_shipped():
    bundle = load_bundle(TINY_BUNDLE)
    request = Request(known_base("tiny"), lora_rank=32)
    assert WanBase.of(bundle.config.base, uses_text=bundle.config.sampling.uses_text) == request.base
    assert request.tracker_config == bundle.config.conditioner
    factors = [value for key, value in bundle.lora.items() if key.endswith(".weight")]
    assert lora_parameters(request) == sum(value.numel() for value in factors)
    assert vae_parameters(8) * 2 == pytest.approx(TINY_VAE.stat().st_size, rel=0.1)
    assert dit_parameters(request.base) * 2 == pytest.approx(TINY_TRANSFORMER.stat().st_size, rel=0.01)


@pytest.mark.parametrize(("base", "size"), [("1.3B", 201.3e6), ("14B", 671.0e6)])
def test_the_deltas_of_81_frames(base, size):
    assert cached_deltas(Request(BASES[base])) == pytest.approx(size, rel=1e-3)


# Laws

CLIP_REQUESTS = st.builds(
    Request,
    st.sampled_from(list(BASES.values())),
    st.integers(0, 30).map(lambda n: 4 * n + 1),
    st.integers(4, 60).map(lambda n: 16 * n),
    st.integers(4, 60).map(lambda n: 16 * n),
    st.sampled_from(["fp32", "bf16", "fp16"]),
    st.sampled_from(["native", "diffusers"]),
    guidance=st.booleans(),
    batched=st.booleans(),
    tracks=st.integers(1, 4000),
    window=st.sampled_from([25, 49, 81]),
    source_timestep=st.sampled_from(["zero", "same"]),
)


@given(CLIP_REQUESTS, st.sampled_from(["frames", "height", "width", "tracks", "window"]))
@settings(max_examples=150, deadline=None)
def test_more_never_takes_less(request, name):
    step = {"frames": 4, "window": 4, "tracks": 7}.get(name, 16)
    larger = replace(request, **{name: getattr(request, name) + step})
    kept = "kept in host memory" if name == "window" else None  # longer windows leave fewer deltas waiting
    for before, after in zip(plan_memory(request).stages, plan_memory(larger).stages, strict=True):
        assert after.peak >= before.peak or before.name == kept, before.name


@given(CLIP_REQUESTS)
@settings(max_examples=60, deadline=None)
def test_halves_of_bytes_where_the_numbers_are_halved(request):
    whole, half = (dit_on_card(replace(request, dtype=dtype)) for dtype in ("fp32", "bf16"))
    kept = 1.03 if request.route == "diffusers" else 1.0  # what diffusers leaves in fp32
    assert whole / 2 <= half <= kept * whole / 2
    assert dit_on_card(replace(request, dtype="fp16")) == half
    assert (
        plan_memory(replace(request, dtype="bf16")).card_peak <= plan_memory(replace(request, dtype="fp32")).card_peak
    )


@given(CLIP_REQUESTS, st.integers(2**28, 2**37))
@settings(max_examples=150, deadline=None)
def test_the_first_setting_that_fits(request, free):
    asked = plan_memory(request)
    fit = first_that_fits(request, free)
    if asked.fits(free):
        assert fit.plan == asked and not fit.changes and not fit.missing
    elif fit.plan is not None:
        assert fit.changes and fit.plan.fits(free)
    else:
        assert fit.missing > 0 and fit.note.facts["missing"] == fit.missing
    assert fit.note.text().endswith(".")


def test_more_memory_never_gives_a_smaller_picture_or_window():
    request = Request(BASES["14B"], 161, route="diffusers")
    fits = [first_that_fits(request, gib * GIB) for gib in range(2, 120, 2)]
    found = [(fit.plan.request.height, fit.plan.request.window) for fit in fits if fit.plan is not None]
    assert found == sorted(found) and len(set(found)) > 3
    assert not fits[-1].changes and len(fits[0].changes) >= 4


def test_the_order_of_changes():
    request = Request(BASES["14B"])
    made, needed = {}, []
    for change in ({"batched": False}, {"dtype": "fp8"}, {"offload": True}):
        made |= change
        needed.append(plan_memory(replace(request, **made)).needed)
    unbatched, fp8, offload = needed
    assert first_that_fits(request, unbatched).changes == ("the two prompts run one after the other",)
    assert first_that_fits(request, unbatched - 1).changes[-1] == "fp8 weights"
    assert first_that_fits(request, fp8 - 1).changes[-1] == "weights offloaded to host memory"
    below = first_that_fits(request, offload - 1).plan
    assert below is not None and below.request.window == 49 and below.request.height == 480
    tight = first_that_fits(request, 3 * GIB).plan
    assert tight is not None and tight.request.window == 25 and tight.request.height < 480
    assert tight.request.width / tight.request.height == pytest.approx(832 / 480, rel=0.1)


def test_long_clips_take_the_card_memory_of_one_window():
    short, long = (plan_memory(Request(BASES["1.3B"], frames)) for frames in (81, 161))
    assert long["DiT step"] == short["DiT step"] and long["conditioner"] == short["conditioner"]
    assert long["kept in host memory"].working > short["kept in host memory"].working + 3 * 201e6


@pytest.mark.parametrize(
    ("fields", "word"),
    [({"frames": 80}, "frames"), ({"window": 3}, "window"), ({"width": 100}, "100 x 480"), ({"height": 0}, "multiples"),
     ({"dtype": "int4"}, "dtype"), ({"route": "tpu"}, "route"), ({"tracks": 0}, "tracks"),
     ({"source_timestep": "one"}, "source_timestep"), ({"route": "diffusers", "offload": True}, "native route"),
     ({"route": "diffusers", "dtype": "fp8"}, "native route")],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_planned_is_named(fields, word):
    with pytest.raises(Track2ViewError, match=word):
        Request(BASES["1.3B"], **fields)


def test_unknown_bases_are_refused():
    with pytest.raises(Track2ViewError, match=r"5B.*1\.3B, 14B, tiny"):
        known_base("5B")


# Operations and time


def counted(function) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        function()
    return counter.get_total_flops()


@pytest.mark.parametrize(("name", "tera"), [("1.3B", 961), ("14B", 5113)])
@pytest.mark.parametrize("clip", [(81, 480, 832), (25, 240, 432)], ids=str)
def test_operations_of_the_dit(name, tera, clip):
    request = Request(BASES[name], *clip)
    shape = (1, 16, 2 * request.latent_frames, request.height // 8, request.width // 8)
    with torch.device("meta"):  # two blocks: the others are the same
        model = WanTransformer3DModel(
            num_attention_heads=request.base.dim // 128, attention_head_dim=128, ffn_dim=request.base.ffn_dim,
            num_layers=2,
        )  # fmt: skip
        latents, text, timestep = torch.empty(shape), torch.empty(1, 512, 4096), torch.empty(1)
    found = counted(lambda: model(latents, timestep, text))
    assert dit_operations(replace(request.base, layers=2), request.cells, 512) == pytest.approx(found, rel=1e-3)
    if clip[0] == 81:
        assert dit_operations(request.base, request.cells, 512) / 1e12 == pytest.approx(tera, abs=1)


@pytest.mark.parametrize("config", [ConditionerConfig(), ConditionerConfig(dim=5120)], ids=str)
def test_operations_of_the_conditioner(config):
    request = Request(BASES["1.3B"], tracks=1000, conditioner=config)
    frames, rows, columns = request.latent_frames, 30, 52
    with torch.device("meta"):
        module, tokens = TrackConditioner(config), torch.empty(1, config.dim, frames, rows, columns)
        numbers, mask = torch.empty(1, frames, 1000), torch.empty(1, frames, 1000, dtype=torch.bool)
        xy = torch.empty(1, frames, 1000, 2)
    batch = TrackBatch(xy, xy, numbers, numbers, numbers, numbers, mask, mask, mask, (480, 832))
    found = counted(lambda: module(tokens, batch))
    assert conditioner_operations(request) == pytest.approx(found, rel=1e-3)
    assert found / 1e12 == pytest.approx(10, abs=1.5)


def test_operations_of_the_vae():
    with torch.device("meta"):
        vae, clip, latent = AutoencoderKLWan(), torch.empty(1, 3, 17, 240, 416), torch.empty(1, 16, 5, 30, 52)
    per_pixel = 18 * 240 * 416 * 96**2
    assert per_pixel * ENCODE_OPERATIONS == pytest.approx(counted(lambda: vae.encode(clip)), rel=0.1)
    assert per_pixel * DECODE_OPERATIONS == pytest.approx(counted(lambda: vae.decode(latent)), rel=0.1)


def test_time_grows_with_the_work_and_falls_with_the_rate():
    request = Request(BASES["1.3B"])
    estimate = estimate_time(request, 1e14)
    assert estimate_time(request, 2e14).total == pytest.approx(estimate.total / 2)
    assert estimate_time(replace(request, guidance=False), 1e14).step == pytest.approx(estimate.step / 2)
    assert estimate.total_range[0] < estimate.total < estimate.total_range[1]
    windows = replace(request, frames=161)
    assert estimate_time(windows, 1e14).step == pytest.approx(estimate.step * windows.windows)
    assert 50 * step_operations(request) / 590 == pytest.approx(163e12, rel=0.01)  # what an A100 is said to reach


def test_the_probe_finds_a_rate():
    assert 1e8 < matrix_rate("cpu", torch.float32) < 1e16
