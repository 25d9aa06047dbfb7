"""The workflows on public models: each names the files it misses, and runs with small random ones in their place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

CLIP = "your_clip.mp4"
FEW_STEPS = {"KSampler": {"steps": 2}, "KSamplerAdvanced": {"steps": 4}}


def as_vace(tiny: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """With two control blocks beside the first and the fifth of eight."""
    draw = torch.Generator().manual_seed(3)
    width = tiny["patch_embedding.bias"].shape[0]
    extra = {"vace_patch_embedding.weight": torch.randn(width, 96, 1, 2, 2, generator=draw) * 0.02,
             "vace_patch_embedding.bias": torch.zeros(width)}  # fmt: skip
    for number, block in enumerate((0, 4)):
        name = f"vace_blocks.{number}."
        extra |= {name + key.split(".", 2)[2]: weight.clone() for key, weight in tiny.items()
                  if key.startswith(f"blocks.{block}.")}  # fmt: skip
        for part in ("after_proj", *["before_proj"] * (number == 0)):
            extra[f"{name}{part}.weight"] = torch.randn(width, width, generator=draw) * 0.02
            extra[f"{name}{part}.bias"] = torch.zeros(width)
    return {**tiny, **extra}


def as_image_to_video(tiny: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """With 20 more channels in: the start's mask and latents."""
    weight = tiny["patch_embedding.weight"]
    more = torch.randn(len(weight), 20, 1, 2, 2, generator=torch.Generator().manual_seed(4)) * 0.02
    return {**tiny, "patch_embedding.weight": torch.cat([weight, more.to(weight)], 1)}


def as_neoverse(tiny: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """VACE's branch under NeoVerse's names, and the embedding of its camera."""
    from track2view_core.wan.neoverse import CameraEmbedding

    torch.manual_seed(5)
    embedding = CameraEmbedding().layers.state_dict()
    renamed = {key.replace("vace_", "control_"): weight for key, weight in as_vace(tiny).items()}
    return {**renamed, **{f"control_mask_cam_embedding.{name}": weight for name, weight in embedding.items()}}


def small_lora(tiny: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    rows, columns = tiny["blocks.0.self_attn.q.weight"].shape
    name = "diffusion_model.blocks.0.self_attn.q"
    return {f"{name}.lora_down.weight": torch.ones(2, columns) * 0.01, f"{name}.lora_up.weight": torch.ones(rows, 2)}


def as_recammaster(tiny: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """With two camera layers a block, which ComfyUI leaves in the file."""
    draw, width = torch.Generator().manual_seed(5), tiny["patch_embedding.bias"].shape[0]
    shapes = {"cam_encoder.weight": (width, 12), "cam_encoder.bias": (width,), "projector.weight": (width, width),
              "projector.bias": (width,)}  # fmt: skip
    blocks = {key.split(".")[1] for key in tiny if key.startswith("blocks.")}
    extra = {f"blocks.{block}.{key}": torch.randn(shape, generator=draw) * 0.05
             for block in sorted(blocks) for key, shape in shapes.items()}  # fmt: skip
    return {**tiny, **extra}


def as_ati(tiny: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Image-to-video of WAN 2.1, which also looks at the start through CLIP."""
    draw, width = torch.Generator().manual_seed(6), tiny["patch_embedding.bias"].shape[0]
    extra = {}
    for name, size_in, size_out in (("1", 1280, 1280), ("3", 1280, width)):
        extra[f"img_emb.proj.{name}.weight"] = torch.randn(size_out, size_in, generator=draw) * 0.02
        extra[f"img_emb.proj.{name}.bias"] = torch.zeros(size_out)
    for name, size in (("0", 1280), ("4", width)):
        extra |= {f"img_emb.proj.{name}.weight": torch.ones(size), f"img_emb.proj.{name}.bias": torch.zeros(size)}
    for key in [key for key in tiny if ".cross_attn." in key]:
        block, part = key.split(".cross_attn.")
        layer, kind = part.split(".")
        if layer in ("k", "v", "norm_k"):
            extra[f"{block}.cross_attn.{layer}_img.{kind}"] = tiny[key].clone()
    return {**as_image_to_video(tiny), **extra}


NUMBERS = ("04", "05", "07", "08", "09", "20")
KINDS = {"vace": as_vace, "ATI": as_ati, "i2v": as_image_to_video, "recammaster": as_recammaster}
"""By what the name of a file holds; the first that fits."""
MADE_BY_THE_USER = ("neoverse_14B.safetensors", "neoverse_14B_camera_embedding.safetensors")
"""Files that a command of ours makes of downloads."""
BACK_ENDS = ["source", "own pixels", "VACE", "Time-to-Move", "NeoVerse", "ReCamMaster"]


@pytest.fixture(scope="module", params=NUMBERS)
def number(request):
    return request.param


@pytest.fixture(scope="module")
def saved(workflow, number):
    """As it was saved; the folded back-ends of 20, which come bypassed, all switched on."""
    graph = workflow(number)
    for node in graph["nodes"]:
        if number == "20" and node["flags"].get("collapsed"):
            node["mode"] = 0
    return graph


@pytest.fixture(scope="module")
def chosen(saved):
    """The files of weights that its loaders ask for."""
    return {value for node in saved["nodes"] for value in node["widgets_values"] if str(value).endswith("tensors")}


@pytest.fixture(scope="module")
def links(saved):
    """file -> folder, as the loaders' download links say."""
    told = [link for node in saved["nodes"] for link in node["properties"].get("models", [])]
    assert all(link["url"].startswith("https://huggingface.co/") and link["url"].endswith("/" + link["name"])
               for link in told)  # fmt: skip
    return {link["name"]: link["directory"] for link in told}


@pytest.fixture(scope="module")
def files(server, driver, chosen, links, tiny_dit_file, tmp_path_factory):
    """Small files under the real ones' names, and a clip, for this module alone."""
    from track2view_core.scenes import shipped_clip

    made = {name: server.base / "models/diffusion_models" / name for name in MADE_BY_THE_USER if name in chosen}
    places = {name: server.base / "models" / folder / name for name, folder in links.items()}
    for file in places.values():
        file.parent.mkdir(parents=True, exist_ok=True)
    own_vae = server.base / "models/vae" / driver.weights.NAMES[1]
    tiny = load_file(tiny_dit_file)
    for name, folder in links.items():
        if folder == "diffusion_models":
            kind = next(kind for part, kind in KINDS.items() if part in name)
            save_file(kind(tiny), places[name])
        elif folder == "vae":
            shutil.copy(own_vae if own_vae.is_file() else driver.weights.SHIPPED[1], places[name])
        elif folder == "text_encoders":
            driver.text_encoder.write_text_encoder(places[name])
        elif folder == "loras":
            save_file(small_lora(tiny), places[name])
        elif folder == "clip_vision":
            driver.clip_vision.write_clip_vision(places[name])
    if made:
        convert(as_neoverse(tiny), tmp_path_factory.mktemp("NeoVerse"), next(iter(made.values())))
    clip = server.base / "input" / CLIP
    shutil.copy(shipped_clip("shapes").file, clip)
    yield
    for file in (*places.values(), *made.values(), clip):
        file.unlink(missing_ok=True)


def convert(state: dict[str, torch.Tensor], folder: Path, model: Path) -> None:
    """NeoVerse as it is published, two shards and their index, through the command."""
    from track2view_core.cli import main

    shard = {
        key: f"diffusion_pytorch_model-0000{1 + place % 2}-of-00002.safetensors" for place, key in enumerate(state)
    }
    for name in set(shard.values()):
        save_file({key: weight for key, weight in state.items() if shard[key] == name}, folder / name)
    index = folder / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": shard}), encoding="utf-8")
    assert main(["convert-model", "neoverse", str(folder), str(model)]) == 0


def test_without_its_files_it_is_refused_by_the_name_of_each_and_for_nothing_else(server, driver, saved, object_info):
    prompt = driver.graph.to_prompt(saved, object_info)
    names = [value for node in prompt.values() for value in node["inputs"].values()
             if str(value).endswith(("tensors", ".mp4"))]  # fmt: skip
    errors = [error["details"] for node in server.refusal(prompt)["node_errors"].values() for error in node["errors"]]
    assert len(errors) == len(names) and all(any(name in error for error in errors) for name in names), errors


def test_every_file_that_is_not_made_by_the_user_has_its_download_link(chosen, links):
    assert chosen <= {*links, *MADE_BY_THE_USER}


def test_with_small_files_in_their_places_it_ends_with_a_video_of_the_clips_size(
    server, driver, number, saved, object_info, files
):
    from track2view_core.scenes import shipped_clip
    from track2view_core.video import read_clip

    graph = driver.graph.to_prompt(saved, object_info)
    graph = driver.graph.changed(graph, "Track2View_PrepareClip", width=128, height=128, max_frames=9)
    for kind, changes in FEW_STEPS.items():
        if any(node["class_type"] == kind for node in graph.values()):
            graph = driver.graph.changed(graph, kind, **changes)
    if number == "05":
        first, second = (n for n in graph.values() if n["class_type"] == "KSamplerAdvanced")
        first["inputs"]["end_at_step"] = second["inputs"]["start_at_step"] = 2
    done = server.run(graph, seconds=900)
    assert done.error is None, f"{done.message}\n{server.log_end()}"
    frames, rate = driver.videos.frames_and_rate(driver.videos.saved_video(server, graph, done))
    if number == "20":
        shown = done.outputs[driver.graph.node_id(graph, "Track2View_CompareVideos")]["track2view_comparison"]
        assert [cell["label"] for cell in json.loads(shown[0])["cells"]] == BACK_ENDS and len(frames) == 17
        return
    clip = read_clip(shipped_clip("shapes").file)
    assert frames.shape[1:] == tuple(clip.frames.shape[1:]) and len(frames) == 9 and rate == clip.fps
    assert np.ptp(frames) > 50


def test_the_comparison_runs_with_the_clip_alone_and_takes_each_back_end_that_is_switched_on(
    server, driver, workflow, object_info
):
    from track2view_core.scenes import shipped_clip

    graph = driver.graph.to_prompt(workflow("20"), object_info)
    graph = driver.graph.changed(graph, "Track2View_PrepareClip", width=128, height=128, max_frames=5)
    shutil.copy(shipped_clip("shapes").file, server.base / "input" / CLIP)
    done = server.run(graph, seconds=300)
    (server.base / "input" / CLIP).unlink()
    assert done.error is None, done.message
    compare = driver.graph.node_id(graph, "Track2View_CompareVideos")
    cells = json.loads(done.outputs[compare]["track2view_comparison"][0])["cells"]
    assert [cell["label"] for cell in cells] == BACK_ENDS[:2]
    (seed,) = [node for node in workflow("20")["nodes"] if node["type"] == "PrimitiveNode"]
    samplers = [node for node in workflow("20")["nodes"] if node["type"].startswith("KSampler")]
    assert len(seed["outputs"][0]["links"]) == len(samplers) == 4
