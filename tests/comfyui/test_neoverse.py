"""NeoVerse converted and conditioned on core's VACE class, against its published forward (a probe), on the tiny WAN."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

PUBLISHED, CONVERTED = "probe_neoverse.safetensors", "probe_neoverse_converted.safetensors"
EMBEDDING = "probe_neoverse_converted_camera_embedding.safetensors"
SCENE_DEPTH, STRENGTH = 1.5, 0.8


def with_control(tiny: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tiny WAN with two random control blocks under NeoVerse's names, and the embedding of its camera."""
    from track2view_core.wan.neoverse import CameraEmbedding

    draw = torch.Generator().manual_seed(8)
    width = len(tiny["patch_embedding.bias"])
    extra = {"control_patch_embedding.weight": torch.randn(width, 96, 1, 2, 2, generator=draw) * 0.1,
             "control_patch_embedding.bias": torch.randn(width, generator=draw) * 0.1}  # fmt: skip
    for number, block in enumerate((1, 3)):
        own = {key.split(".", 2)[2]: weight for key, weight in tiny.items() if key.startswith(f"blocks.{block}.")}
        projections = ("after_proj", *["before_proj"] * (number == 0))
        own |= {f"{part}.weight": torch.randn(width, width, generator=draw) * 0.1 for part in projections}
        own |= {f"{part}.bias": torch.randn(width, generator=draw) * 0.1 for part in projections}
        extra |= {f"control_blocks.{number}.{key}": weight.clone() for key, weight in own.items()}
    torch.manual_seed(8)
    embedding = CameraEmbedding().layers.state_dict()
    embedding["1.weight"], embedding["1.bias"] = torch.randn(64, generator=draw), torch.randn(64, generator=draw)
    return {**tiny, **extra, **{f"control_mask_cam_embedding.{name}": value for name, value in embedding.items()}}


@pytest.fixture(scope="module")
def graph(native, server, tiny_dit_file, tmp_path_factory):
    """Clip, tracks, path and prompts of the native graphs, with NeoVerse Conditioning."""
    from track2view_core.wan.convert_neoverse import convert_neoverse

    folder = server.base / "models/diffusion_models"
    folder.mkdir(parents=True, exist_ok=True)
    download = tmp_path_factory.mktemp("NeoVerse")
    save_file(with_control(load_file(tiny_dit_file)), folder / PUBLISHED)
    (download / PUBLISHED).symlink_to(folder / PUBLISHED)
    convert_neoverse(download, folder / CONVERTED)
    graph = native.native(dit=CONVERTED)
    told = graph[native.condition]["inputs"]
    encode = graph[told["source_latent"][0]]["inputs"]
    settings = {"embedding": EMBEDDING, "strength": STRENGTH, "keep_render": False, "scene_depth": SCENE_DEPTH}
    graph["control"] = native.node(
        "Track2View_NeoVerseConditioning", positive=["positive", 0], negative=["negative", 0], vae=encode["vae"],
        paired_tracks=told["paired_tracks"], image=encode["pixels"], depth_is="near is bright", **settings,
    )  # fmt: skip
    return {name: node for name, node in graph.items() if name not in ("lora", "apply", native.condition)}


CONTROLLED = {"model": ["shift", 0], "positive": ["control", 0], "negative": ["control", 1], "latent": ["control", 2]}


def sampled(native, graph, **links):
    return native.latent(native.ksampler(graph, **{**CONTROLLED, **links}))


@pytest.fixture(scope="module")
def found(native, graph):
    return sampled(native, graph)


def test_it_is_the_published_control(native, graph, found, gap):
    told = graph["control"]["inputs"]
    with_oracle = {
        **graph,
        "plain": native.node("UNETLoader", unet_name="track2view_tiny_dit.safetensors", weight_dtype="default"),
        "plain_shift": native.node("ModelSamplingSD3", model=["plain", 0], shift=5.0),
        "shown": native.node("VAEEncode", pixels=["control", 3], vae=told["vae"]),
        "depth": native.node("VAEEncode", pixels=["control", 4], vae=told["vae"]),
        "published": native.node(
            "Probe_NeoVerseForward", model=["plain_shift", 0], file=PUBLISHED, paired_tracks=told["paired_tracks"],
            shown=["shown", 0], shown_depth=["depth", 0], scene_depth=SCENE_DEPTH, strength=STRENGTH),
    }  # fmt: skip
    prompts = {"positive": ["positive", 0], "negative": ["negative", 0]}
    expected = sampled(native, with_oracle, model=["published", 0], **prompts)
    without = sampled(native, with_oracle, model=["plain_shift", 0], **prompts)
    assert gap(found, expected) <= 2e-5 < 1e-2 < gap(without, expected)


def test_at_strength_0_it_is_the_plain_model(native, graph, gap):
    off = {**graph, "control": native.with_inputs(graph["control"], strength=0.0)}
    off["plain"] = native.node("UNETLoader", unet_name="track2view_tiny_dit.safetensors", weight_dtype="default")
    off["plain_shift"] = native.node("ModelSamplingSD3", model=["plain", 0], shift=5.0)
    prompts = {"positive": ["positive", 0], "negative": ["negative", 0]}
    assert gap(sampled(native, off), sampled(native, off, model=["plain_shift", 0], **prompts)) <= 2e-5


def test_what_is_known_counts(native, graph, found, gap):
    kept = {**graph, "control": native.with_inputs(graph["control"], keep_render=True)}
    assert gap(sampled(native, kept), found) > 1e-3


def test_its_menu_has_the_files_that_the_converter_writes_and_no_model(server, graph):
    node = server.get("/object_info/Track2View_NeoVerseConditioning")["Track2View_NeoVerseConditioning"]
    menu = node["input"]["required"]["embedding"][1]["options"]
    assert EMBEDDING in menu and not {CONVERTED, PUBLISHED} & set(menu)


def test_what_it_cannot_take_is_refused_in_a_sentence(native, graph):
    vae = native.with_inputs(graph["control"], embedding=PUBLISHED)
    message = native.message(native.ksampler({**graph, "control": vae}, **CONTROLLED))
    assert "`track2view convert-model neoverse` wrote" in message and message.endswith(".")
