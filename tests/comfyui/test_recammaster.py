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
