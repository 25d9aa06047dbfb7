"""The nodes of the clip's own pixels on a real server, each run on the demo clip, and graphs saved before they grew."""

import json

import numpy as np
import pytest
from PIL import Image

FRAMES = 17


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


@pytest.fixture(scope="module")
def paired():
    """Clip, tracks and pairs of an orbit: 1 demo, 2 prepared (160 x 160), 3 tracks, 4 path, 5 pairs."""
    prepare = {"width": 160, "height": 160, "max_frames": 0, "fps": 16.0}
    track = {"points": 400, "motion": "auto", "field_of_view": 0.0, "depth_is": "near is bright"}
    preset = {"preset": "orbit_left", "amount": 0.3, "ease": "smooth", "relative_to": "source"}
    return {
        "1": node("Track2View_DemoClip"),
        "2": node("Track2View_PrepareClip", video=["1", 0], **prepare),
        "3": node("Track2View_TrackPoints", image=["2", 0], clip_info=["2", 1], **track),
        "4": node("Track2View_CameraPreset", point_tracks=["3", 0], **preset),
        "5": node("Track2View_PairTracks", point_tracks=["3", 0], camera_path=["4", 0], clip_info=["2", 1]),
    }


def rendered(**inputs):
    """Render Target View as version 0.2.0 saved it, with what is given beside."""
    saved = {"reach": 0, "remember": True, "latent_holes": True, "depth_is": "near is bright"}
    return node("Track2View_RenderTargetView", **{"paired_tracks": ["5", 0], "image": ["2", 0], **saved, **inputs})


def shown(name, link, kind="image"):
    """Nodes that save an IMAGE or a MASK."""
    if kind == "image":
        return {name: node("SaveImage", images=link, filename_prefix=f"own/{name}")}
    return {f"{name}m": node("MaskToImage", mask=link), **shown(name, [f"{name}m", 0])}


def pictures(server, run, name):
    """[T, H, W, 3] int of what `shown` saved."""
    files = [server.base / "output" / entry["subfolder"] / entry["filename"] for entry in run.outputs[name]["images"]]
    return np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files]).astype(int)


def told(run, name):
    return next(text for node, text in run.texts if node == name and ("%" in text or "depth runs" in text))


@pytest.fixture(scope="module")
def run(server, paired):
    graph = {
        **paired,
        "6": rendered(),
        "7": rendered(hole_colour="filled", latent_holes=False),
        "8": rendered(hole_colour="black", growth=4, edge_cut=3),
        "9": rendered(reach=1),
        "10": node("Track2View_DepthFromTracks", point_tracks=["3", 0], image=["2", 0], clip_info=["2", 1]),
        **shown("grey", ["6", 0]),
        **shown("holes", ["6", 1], "mask"),
        **shown("vace", ["6", 3], "mask"),
        **shown("far", ["6", 4]),
        **shown("filled", ["7", 0]),
        **shown("raw", ["7", 1], "mask"),
        **shown("black", ["8", 0]),
        **shown("grown", ["8", 1], "mask"),
        **shown("points", ["9", 0]),
        **shown("pointsfar", ["9", 4]),
        **shown("depth", ["10", 0]),
        **shown("moving", ["10", 1], "mask"),
    }
    done = server.run(graph, seconds=900)
    assert done.error is None, done.error and done.message
    return done


def test_holes_are_grey_black_or_filled_and_the_rest_is_the_same(server, run):
    grey, filled, black = (pictures(server, run, name) for name in ("grey", "filled", "black"))
    holes, raw = (pictures(server, run, name)[..., 0] > 0 for name in ("holes", "raw"))
    assert grey.shape == (FRAMES, 160, 160, 3) and 0.01 < raw.mean() < 0.6
    assert (abs(grey[holes] - 127) <= 1).all() and (grey[~holes] == filled[~holes]).all()
    assert (holes[-1] == holes[-4]).all() and (holes | ~raw).all(), "latent frames share their holes"
    dark = (black == 0).all(-1)
    assert (dark | ~holes).all() and (holes[-1].sum() < dark[-1].sum()), "a rim of known pixels goes, too"
    larger = pictures(server, run, "grown")[..., 0] > 0
    assert (larger | ~dark).all() and larger.sum() > dark.sum(), "the masks grow beyond what is black"


def test_the_mask_for_vace_holds_the_holes_of_every_latent_frame_where_core_looks(server, run):
    import torch

    raw, vace = (torch.from_numpy(pictures(server, run, name)[..., 0] > 0) for name in ("raw", "vace"))
    taken = torch.nn.functional.interpolate(torch.arange(FRAMES).float()[None, None], 5, mode="nearest-exact")[0, 0]
    for latent, frame in enumerate(taken.long().tolist()):
        frames = [0] if latent == 0 else range(4 * latent - 3, 4 * latent + 1)
        assert torch.equal(vace[frame], raw[list(frames)].any(0))


def test_core_packs_picture_and_mask_for_vace_as_diffusers_does(server, driver, paired):
    """The 96 channels: what is kept and what is painted as latents, the mask's 8 x 8 pixels."""
    import torch
    from diffusers import WanVACEPipeline
    from safetensors.torch import load_file

    from track2view_core.wan.vae import load_vae

    text = node("Track2View_EmptyPrompt")
    vace = {"width": 160, "height": 160, "length": FRAMES, "batch_size": 1, "strength": 1.0}
    links = {"positive": ["7", 0], "negative": ["7", 0], "control_video": ["6", 0], "control_masks": ["6", 3]}
    graph = {
        **paired, "6": rendered(), "7": text, "8": node("VAELoader", vae_name=driver.weights.NAMES[1]),
        "9": node("WanVaceToVideo", vae=["8", 0], **links, **vace), "10": node("Probe_Control", conditioning=["9", 0]),
        **shown("grey", ["6", 0]), **shown("vace", ["6", 3], "mask"),
        **shown("holes", ["6", 1], "mask"),
    }  # fmt: skip
    done = server.run(graph, seconds=300)
    assert done.error is None, done.message
    packed = load_file(server.base / "output/control.safetensors")
    mask = torch.from_numpy(pictures(server, done, "vace")[..., 0] > 0)
    video = torch.from_numpy(pictures(server, done, "grey")) / 255
    video[torch.from_numpy(pictures(server, done, "holes")[..., 0] > 0)] = 0.5  # files of 8 bits have no half
    own_vae = server.base / "models/vae" / driver.weights.NAMES[1]
    vae = load_vae(own_vae if own_vae.is_file() else driver.weights.SHIPPED[1])

    class Shapes:
        vae_scale_factor_temporal, vae_scale_factor_spatial = 4, 8
        transformer = type("Dit", (), {"config": type("Config", (), {"patch_size": (1, 2, 2)})})

    Shapes.vae = vae
    masks = mask.float()[None, None]
    expected = WanVACEPipeline.prepare_masks(Shapes, masks, [[]])
    assert torch.equal(packed["vace_mask"], expected) and 0 < expected.mean() < 1
    with torch.no_grad():
        latents = WanVACEPipeline.prepare_video_latents(
            Shapes, (video * 2 - 1).permute(3, 0, 1, 2)[None], masks, [[]], device="cpu"
        )
    mean, std = (torch.tensor(values)[None, :, None, None, None].repeat(1, 2, 1, 1, 1)
                 for values in (vae.config.latents_mean, vae.config.latents_std))  # fmt: skip
    gap = (packed["vace_frames"] - (latents * std + mean)).abs().max()
    assert gap < 1e-3 * packed["vace_frames"].std()


def test_depth_is_near_bright_of_the_new_view_and_of_the_clip(server, run):
    far, depth = (pictures(server, run, name)[..., 0] for name in ("far", "depth"))
    holes = pictures(server, run, "holes")[..., 0] > 0
    assert (far[pictures(server, run, "raw")[..., 0] > 0] == 0).all() and far[~holes].mean() > 40
    assert depth.min() == 0 and depth.max() == 255 and depth.std() > 10
    assert "in the tracks' units" in told(run, "10") and "in the tracks' units" in told(run, "6")
    assert (pictures(server, run, "pointsfar") == 0).all()


def test_graphs_that_drew_points_still_do(server, run):
    points, dense = (pictures(server, run, name) for name in ("points", "grey"))
    assert ((abs(points - 127) <= 1).all(-1)).mean() > 0.9 > ((abs(dense - 127) <= 1).all(-1)).mean()


def test_a_mask_of_the_movers_takes_the_place_of_what_is_found(server, paired):
    block = {"x": 10, "y": 30, "operation": "add"}
    graph = {
        **paired,
        "6": node("SolidMask", value=0.0, width=80, height=80),
        "7": node("SolidMask", value=1.0, width=30, height=20),
        "8": node("MaskComposite", destination=["6", 0], source=["7", 0], **block),
        "9": node("Track2View_DepthFromTracks", point_tracks=["3", 0], image=["2", 0], movers=["8", 0]),
        **shown("moving", ["9", 1], "mask"),
    }
    done = server.run(graph, seconds=900)
    assert done.error is None, done.error and done.message
    moving = pictures(server, done, "moving")[..., 0] > 0
    assert moving[:, 64:96, 24:76].all() and not moving[:, :56].any() and not moving[:, 104:].any()
    assert not moving[:, :, :16].any() and not moving[:, :, 84:].any()


def kept(**inputs):
    fixed = {"paired_tracks": ["5", 0], "clip": ["2", 0], "depth_is": "near is bright", "feather": 2.0}
    return node("Track2View_KeepKnownPixels", **fixed, **inputs)


def test_known_pixels_stand_over_the_models_picture_at_the_clips_size(server, paired):
    graph = {
        **paired,
        "6": node("EmptyImage", width=64, height=64, batch_size=FRAMES, color=0x2040C0),
        "7": kept(image=["6", 0], strength=1.0),
        "8": kept(image=["6", 0], strength=0.0),
        "9": rendered(hole_colour="filled", latent_holes=False),
        "10": node("Track2View_RestoreClip", image=["7", 0], clip_info=["2", 1], size="original"),
        **shown("kept", ["7", 0]),
        **shown("known", ["7", 1], "mask"),
        **shown("model", ["8", 0]),
        **shown("view", ["9", 0]),
        **shown("restored", ["10", 1]),
    }
    done = server.run(graph, seconds=900)
    assert done.error is None, done.error and done.message
    model, picture, view = (pictures(server, done, name) for name in ("model", "kept", "view"))
    known = pictures(server, done, "known")[..., 0] > 0
    assert (model == [0x20, 0x40, 0xC0]).all() and picture.shape == (FRAMES, 160, 160, 3)
    assert (picture == view).all(-1)[known].mean() > 0.8, "but for the soft rim they are the clip's own"
    assert (picture != view).any(-1)[~known].mean() > 0.8, "the fill is the model's"
    assert pictures(server, done, "restored").shape == (FRAMES, 256, 256, 3)
    assert "clip's own pixels" in told(done, "7")


def test_the_model_may_have_another_prepared_clip_with_other_padding(server):
    """An odd shape: 90 x 50 px of 6 frames, padded to 96 x 64 for the model and to 192 x 112 for the clip."""
    source = node("EmptyImage", width=90, height=50, batch_size=6, color=0x808080)
    size = {"max_frames": 0, "fps": 16.0}
    track = {"points": 60, "motion": "static", "field_of_view": 60.0, "depth_is": "near is bright"}
    preset = {"preset": "truck_right", "amount": 0.1, "ease": "smooth", "relative_to": "source"}
    graph = {
        "1": source,
        "2": node("Track2View_PrepareClip", image=["1", 0], width=96, height=96, **size),
        "12": node("Track2View_PrepareClip", image=["1", 0], width=192, height=192, **size),
        "3": node("Track2View_TrackPoints", image=["12", 0], clip_info=["12", 1], **track),
        "4": node("Track2View_CameraPreset", point_tracks=["3", 0], **preset),
        "5": node("Track2View_PairTracks", point_tracks=["3", 0], camera_path=["4", 0], clip_info=["2", 1]),
        "7": kept(image=["2", 0], strength=1.0, clip_info=["12", 1], model_clip_info=["2", 1]),
        "8": node("Track2View_RestoreClip", image=["7", 0], clip_info=["12", 1], size="original"),
        **shown("odd", ["8", 1]),
        **shown("padded", ["7", 0]),
    }
    graph["7"]["inputs"]["clip"] = ["12", 0]
    done = server.run(graph, seconds=900)
    assert done.error is None, done.error and done.message
    assert pictures(server, done, "odd").shape == (6, 50, 90, 3)
    assert pictures(server, done, "padded").shape == (9, 112, 192, 3)
    wrong = {**graph, "7": kept(image=["2", 0], strength=1.0)}
    wrong["7"]["inputs"]["clip"] = ["12", 0]
    assert "link clip_info" in server.run(wrong, seconds=900).message


def test_the_workflow_without_a_model_films_the_demo_clip_again(server, driver, object_info, workflow):
    graph = driver.graph.to_prompt(workflow("00"), object_info)
    assert not [node for node in graph.values() if "Load" in node["class_type"]], "it needs no file and no model"
    assert "randomize" not in json.dumps(graph)
    done = server.run(graph, seconds=900)
    assert done.error is None, done.error and done.message
    frames, rate = driver.videos.frames_and_rate(driver.videos.saved_video(server, graph, done))
    assert (frames.shape, rate) == ((25, 272, 480, 3), 12)
    edited = driver.graph.changed(graph, "Track2View_CameraPreset", amount=0.1)
    again = server.run(edited, seconds=900)
    after = {"CameraPreset", "PairTracks", "RenderTargetView", "RestoreClip"}
    ran = {name.removeprefix("Track2View_") for name in driver.graph.classes(edited, again.executed)}
    assert again.error is None and ran == after | {"SaveVideo", "CompareVideos"}
    assert not [
        step for step in again.progress if driver.graph.classes(edited, [step[0]]) == ["Track2View_TrackPoints"]
    ]
