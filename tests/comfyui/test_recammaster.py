"""Apply ReCamMaster on core's MODEL, against its forward by the published formula (a probe), on the tiny WAN."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

FILE, PLAIN, SHORT = "recam.safetensors", "recam_plain.safetensors", "recam_short.safetensors"
DISTANCE = 4.0
PROMPTS = {"positive": ["positive", 0], "negative": ["negative", 0], "latent": ["apply", 1]}


def camera_layers(width: int, blocks: int, encoder: float, projector: float) -> dict[str, torch.Tensor]:
    """Random ones, so far from those that change nothing: zero encoders and projectors that are the identity."""
    draw, layers = torch.Generator().manual_seed(9), {}
    for number in range(blocks):
        name = f"blocks.{number}."
        layers |= {f"{name}cam_encoder.weight": encoder * torch.randn(width, 12, generator=draw),
                   f"{name}cam_encoder.bias": encoder * torch.randn(width, generator=draw),
                   f"{name}projector.weight": torch.eye(width) + projector * torch.randn(width, width, generator=draw),
                   f"{name}projector.bias": projector * torch.randn(width, generator=draw)}  # fmt: skip
    return layers


@pytest.fixture(scope="module")
def graph(native, server, tiny_dit_file):
    """Clip, tracks, path and prompts of the native graphs, with Apply ReCamMaster."""
    folder = server.base / "models/diffusion_models"
    folder.mkdir(parents=True, exist_ok=True)
    tiny = load_file(tiny_dit_file)
    width, blocks = (
        len(tiny["patch_embedding.bias"]),
        1 + max(int(key.split(".")[1]) for key in tiny if "blocks" in key),
    )
    save_file({**tiny, **camera_layers(width, blocks, 0.2, 0.05)}, folder / FILE)
    save_file({**tiny, **camera_layers(width, blocks, 0.0, 0.0)}, folder / PLAIN)
    save_file({**tiny, **camera_layers(width, blocks - 1, 0.2, 0.05)}, folder / SHORT)
    graph = native.native(dit=FILE)
    told = graph[native.condition]["inputs"]
    links = {"paired_tracks": told["paired_tracks"], "source_latent": told["source_latent"]}
    apply = native.node(
        "Track2View_ApplyReCamMaster", model=["shift", 0], file=FILE, **links, subject_distance=DISTANCE
    )
    graph = {name: node for name, node in graph.items() if name not in ("lora", native.condition)}
    return {**graph, "apply": apply}


def sampled(native, graph, **options):
    return native.latent(native.ksampler(graph, **{**PROMPTS, **options}))


@pytest.fixture(scope="module")
def found(native, graph):
    return sampled(native, graph)


@pytest.fixture
def refused(native, server):
    def read(graph, **options) -> str:
        run = native.run(native.ksampler(graph, **{**PROMPTS, **options}))
        assert run.error["exception_type"] == "track2view_core.errors.Track2ViewError", run.error
        assert run.message.endswith(".") and "\n" not in run.message and len(run.message) < 400, run.message
        return run.message

    return read


def test_it_is_the_published_forward(native, graph, found, gap):
    links = {name: graph["apply"]["inputs"][name] for name in ("paired_tracks", "source_latent")}
    published = native.node("Probe_ReCamMasterForward", model=["shift", 0], file=FILE, **links,
                            subject_distance=DISTANCE)  # fmt: skip
    expected = sampled(native, {**graph, "published": published}, model=["published", 0])
    assert gap(found, expected) <= 2e-5


def test_layers_that_change_nothing_leave_cores_own_concatenation(native, graph, found, gap):
    plain = {**graph, "base": native.with_inputs(graph["base"], unet_name=PLAIN)}
    plain["apply"] = native.with_inputs(graph["apply"], file=PLAIN)
    source = graph["apply"]["inputs"]["source_latent"]
    sides = {
        side: native.node("Probe_Frames", conditioning=[side, 0], latent=source) for side in ("positive", "negative")
    }
    cores = {**plain, **{f"{side}_frames": node for side, node in sides.items()}}
    links = {"model": ["shift", 0], "positive": ["positive_frames", 0], "negative": ["negative_frames", 0]}
    expected = sampled(native, cores, **links)
    assert gap(sampled(native, plain), expected) <= 2e-5 < gap(found, expected)


def test_applied_twice_is_applied_once(native, graph, found):
    again = {**graph, "again": native.with_inputs(graph["apply"], model=["apply", 0])}
    assert torch.equal(sampled(native, again, model=["again", 0]), found)


def test_a_file_without_camera_layers_or_of_another_base_is_refused(native, graph, refused):
    other = {**graph, "apply": native.with_inputs(graph["apply"], file="track2view_tiny_dit.safetensors")}
    assert "no camera layers" in refused(other)
    short = {**graph, "apply": native.with_inputs(graph["apply"], file=SHORT)}
    assert "8 blocks" in refused(short) and "128 with 7" in refused(short)


def test_a_wan_of_another_kind_is_refused(native, graph, refused, server, tiny_dit_file):
    tiny = load_file(tiny_dit_file)
    more = torch.zeros(len(tiny["patch_embedding.bias"]), 20, 1, 2, 2)
    weight = torch.cat([tiny["patch_embedding.weight"], more.to(tiny["patch_embedding.weight"])], 1)
    save_file({**tiny, "patch_embedding.weight": weight}, server.base / "models/diffusion_models/recam_i2v.safetensors")
    other = {**graph, "base": native.with_inputs(graph["base"], unet_name="recam_i2v.safetensors")}
    assert "36 input channels" in refused(other) and "ReCamMaster is a WAN 2.1 text-to-video" in refused(other)


def test_a_model_of_another_file_runs_and_the_card_says_so(native, graph, server, tiny_dit_file):
    tiny = load_file(tiny_dit_file)
    tiny["blocks.0.self_attn.q.bias"] = tiny["blocks.0.self_attn.q.bias"] + 1
    save_file(tiny, server.base / "models/diffusion_models/recam_other.safetensors")
    for base, told in ((FILE, False), ("recam_other.safetensors", True)):
        changed = {**graph, "base": native.with_inputs(graph["base"], unet_name=base)}
        run = native.run(native.ksampler(changed, **PROMPTS))
        (card,) = run.outputs["apply"]["track2view_card"]
        assert run.error is None and "of 128 x 128; ReCamMaster was trained on 81 of 832 x 480" in card
        assert (f"not those of {FILE}" in card) is told


def test_a_path_that_zooms_is_refused(native, driver, graph, refused):
    assert "zooms" in refused(driver.graph.changed(graph, "Track2View_CameraPreset", preset="dolly_zoom", amount=1.0))


def test_one_model_films_by_one_method(native, graph, refused):
    """Both wrap the forward, and would put two sources behind the target."""
    theirs = native.native(bundle="probe_shared_zero.safetensors", dit=FILE)
    ours = native.with_inputs(graph["apply"], model=["theirs", 0])
    links = {"model": ["apply", 0], "latent": ["apply", 1]}
    assert "comes from Apply Track2View" in refused({**theirs, "theirs": theirs["apply"], "apply": ours}, **links)
    after = native.with_inputs(theirs["apply"], model=["ours", 0])
    merged = {**theirs, "ours": graph["apply"], "apply": after}
    assert "comes from Apply ReCamMaster" in refused(merged, latent=["apply", 3])


def test_a_latent_of_another_size_is_refused(native, graph, refused):
    size = {"width": 128, "height": 128, "length": 9, "batch_size": 1}
    other = {**graph, "latent": native.node("EmptyHunyuanLatentVideo", **size)}
    message = refused(other, latent=["latent", 0])
    assert "17 frames of 128 x 128" in message and "Apply ReCamMaster" in message


def test_a_node_that_leaves_the_wrappers_out_is_refused(native, graph, refused):
    links = {"model": ["apply", 0], "positive": ["positive", 0], "negative": ["negative", 0]}
    bare = native.euler(graph, steps=1, cfg=1.0, **links, latent=["apply", 1])
    bare["guider"] = native.node("Probe_BareGuider", **links, cfg=1.0, wrapped=False)
    assert "without its wrappers" in native.message(bare)
