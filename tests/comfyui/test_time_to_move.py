"""Time-to-Move on core's noise mask, against the published loop by its formula (a probe), on the tiny WAN."""

from __future__ import annotations

import pytest
import torch

STEPS, START, SHIFT = 10, 2, 5.0


def sigma(step: float) -> float:
    """WAN's noise level after a share of an even schedule."""
    left = 1 - step / STEPS
    return SHIFT * left / (1 + (SHIFT - 1) * left)


@pytest.fixture(scope="module")
def graph(native):
    """A render with its holes filled, its latent, and WAN without any tracks."""
    node = native.node
    prepare = {"width": 128, "height": 128, "max_frames": 0, "fps": 16.0}
    track = {"points": 300, "motion": "auto", "field_of_view": 0.0, "depth_is": "near is bright"}
    preset = {"preset": "orbit_left", "amount": 0.3, "ease": "smooth", "relative_to": "source"}
    view = {"reach": 0, "remember": True, "latent_holes": False, "depth_is": "near is bright", "hole_colour": "filled"}
    levels = " ".join(repr(sigma(step)) for step in range(START, STEPS + 1))
    return {
        "clip": node("Track2View_DemoClip"),
        "prepared": node("Track2View_PrepareClip", video=["clip", 0], **prepare),
        "tracks": node("Track2View_TrackPoints", image=["prepared", 0], clip_info=["prepared", 1], **track),
        "path": node("Track2View_CameraPreset", point_tracks=["tracks", 0], **preset),
        "pairs": node("Track2View_PairTracks", point_tracks=["tracks", 0], camera_path=["path", 0],
                      clip_info=["prepared", 1]),
        "view": node("Track2View_RenderTargetView", paired_tracks=["pairs", 0], image=["prepared", 0], **view),
        "vae": node("VAELoader", vae_name="track2view_tiny_vae.safetensors"),
        "render": node("VAEEncode", pixels=["view", 0], vae=["vae", 0]),
        "base": node("UNETLoader", unet_name="track2view_tiny_dit.safetensors", weight_dtype="default"),
        "shift": node("ModelSamplingSD3", model=["base", 0], shift=SHIFT),
        "positive": node("Probe_Text", seed=1),
        "negative": node("Probe_Text", seed=2),
        "levels": node("Probe_Sigmas", values=levels),
        "noise": node("RandomNoise", noise_seed=7),
        "euler": node("KSamplerSelect", sampler_name="euler"),
    }  # fmt: skip


def sampled(native, graph, model, latent, sampler="euler"):
    node = native.node
    links = {"noise": ["noise", 0], "guider": ["guider", 0], "sampler": [sampler, 0], "sigmas": ["levels", 0]}
    guider = node("CFGGuider", model=model, cfg=3.0, positive=["positive", 0], negative=["negative", 0])
    sampling = node("SamplerCustomAdvanced", **links, latent_image=latent)
    return native.latent(native.saving({**graph, "guider": guider, "sampler": sampling}))


def held(native, graph, hold_until: float, known_where: str = "all frames show it"):
    settings = {"hold_until": hold_until, "known_where": known_where}
    links = {"model": ["shift", 0], "target_latent": ["render", 0], "holes": ["view", 1]}
    move = native.node("Track2View_TimeToMove", **links, **settings)
    return sampled(native, {**graph, "move": move}, ["move", 0], ["move", 2])


@pytest.fixture(scope="module")
def free(native, graph):
    return sampled(native, graph, ["shift", 0], ["render", 0])


def test_it_is_the_published_loop(native, graph, free, gap):
    loop = native.node("Probe_TimeToMoveLoop", render=["render", 0], holes=["view", 1], until_sigma=sigma(6) + 1e-6)
    by_formula = sampled(native, {**graph, "loop": loop}, ["shift", 0], ["render", 0], "loop")
    found = held(native, graph, 0.6)
    assert gap(found, by_formula) < 1e-4 < gap(found, free)


def test_held_to_the_end_the_render_stands_where_it_is_known(native, graph, free):
    everything = held(native, graph, 1.0)
    render = native.latent(native.saving({**graph, "sampler": graph["render"]}))
    same = ((everything - render).abs() < 1e-4).all(1)[0]
    assert 0.2 < same.float().mean() < 1 and ((free - render).abs() < 1e-4).float().mean() < 0.01
    looser = held(native, graph, 1.0, "the first frame shows it")
    more = ((looser - render).abs() < 1e-4).all(1)[0]
    assert (same & ~more).sum() == 0, "what all frames show, the first of them shows"


def test_let_go_before_the_first_step_it_is_the_plain_model(native, graph, free):
    assert torch.equal(held(native, graph, START / STEPS), free)


def test_another_pictures_latent_is_refused(native, graph):
    half = {"model": ["shift", 0], "target_latent": ["small", 0], "holes": ["view", 1]}
    graph = {
        **graph,
        "small": native.node("LatentUpscale", samples=["render", 0], upscale_method="bislerp", width=64, height=64,
                             crop="disabled"),
        "move": native.node("Track2View_TimeToMove", **half, hold_until=0.1, known_where="all frames show it"),
        "sampler": native.node("LatentMultiply", samples=["move", 2], multiplier=1.0),
    }  # fmt: skip
    assert "same Render Target View" in native.message(native.saving(graph))
