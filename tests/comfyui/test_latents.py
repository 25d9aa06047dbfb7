"""ComfyUI's VAE nodes and the core's VAE mean the same latent, so that either route takes what the other encoded."""

import torch
from safetensors.torch import load_file


def model_file(server, folder, name):
    from track2view_core.wan.models import WEIGHTS

    own = server.base / "models" / folder / name
    return own if own.is_file() else WEIGHTS / folder / name


def test_the_latent_of_vae_encode_is_the_cores_before_normalising(server, recamera, driver):
    from track2view_core.scenes import shipped_clip
    from track2view_core.video import prepare_clip, read_clip
    from track2view_core.wan.vae import encode, latent_statistics, load_vae

    encoded = driver.graph.node_id(recamera, "VAEEncode")
    loader = driver.graph.source_of(recamera, "VAEEncode", "vae")
    clip = driver.graph.source_of(recamera, "VAEEncode", "pixels")
    graph = {name: recamera[name] for name in (encoded, loader, clip, recamera[clip]["inputs"]["video"][0])}
    graph["100"] = {"class_type": "SaveLatent", "inputs": {"samples": [encoded, 0], "filename_prefix": "latents/clip"}}
    run = server.run(graph)
    assert run.error is None, run.error
    (saved,) = (server.base / "output/latents").glob("clip_*.latent")
    raw = load_file(saved)["latent_tensor"]

    frames, _ = prepare_clip(read_clip(shipped_clip("shapes").file), width=128, height=128)
    vae = load_vae(model_file(server, "vae", recamera[loader]["inputs"]["vae_name"]))
    mean, std = latent_statistics(vae)
    ours = encode(vae, frames) * std + mean
    assert raw.shape == ours.shape
    torch.testing.assert_close(raw, ours, rtol=1e-3, atol=1e-3 * float(ours.std()))
