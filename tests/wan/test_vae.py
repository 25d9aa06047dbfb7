"""The VAE's door: WAN's fixed normalisation, files in both layouts, progress and refusals."""

from __future__ import annotations

import re

import pytest
import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import save_file

from track2view_core.errors import Track2ViewError
from track2view_core.wan.original_layout import vae_to_original
from track2view_core.wan.vae import decode, encode, load_vae, save_vae

MEAN = [-0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508]
MEAN += [0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921]
STD = [2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743]
STD += [3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160]


def clip(frames: int = 5, width: int = 32, height: int = 16) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (frames, height, width, 3), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("frames", [1, 5])
def test_encode_and_decode_normalise_with_wans_statistics(vae, frames):
    video = clip(frames)
    mean, std = (torch.tensor(values).view(1, 16, 1, 1, 1) for values in (MEAN, STD))
    pixels = (video.permute(3, 0, 1, 2)[None] / 255.0) * 2 - 1
    raw = vae.encode(pixels).latent_dist.mean
    latent = encode(vae, video)
    assert latent.shape == (1, 16, 1 + frames // 4, 2, 4) and latent.dtype == torch.float32
    torch.testing.assert_close(latent, (raw - mean) / std, rtol=1e-4, atol=1e-5)
    expected = (vae.decode(raw).sample[0].permute(1, 2, 3, 0) + 1) / 2 * 255
    found = decode(vae, latent)
    assert found.dtype == torch.uint8 and found.shape == video.shape
    assert float((found - expected).abs().max()) < 0.51


def test_a_file_in_either_layout_and_a_folder_load_the_same(vae, tmp_path):
    save_vae(vae, tmp_path / "original.safetensors")
    vae.save_pretrained(tmp_path / "pipeline" / "vae")
    expected = vae.state_dict()
    for path in (
        "original.safetensors",
        "pipeline",
        "pipeline/vae",
        "pipeline/vae/diffusion_pytorch_model.safetensors",
    ):
        found = load_vae(tmp_path / path)
        assert found.config.base_dim == 8
        assert all(torch.equal(value, expected[key]) for key, value in found.state_dict().items())
        assert not any(weight.requires_grad for weight in found.parameters())


def test_a_wrapped_vae_loads_and_one_that_is_not_finite_is_named(vae, tmp_path):
    state = vae_to_original(vae.state_dict())
    save_file({f"_orig_mod.{key}": value.contiguous() for key, value in state.items()}, tmp_path / "vae.safetensors")
    found = load_vae(tmp_path / "vae.safetensors").state_dict()
    assert all(torch.equal(found[key], value) for key, value in vae.state_dict().items())
    state["conv2.bias"] = torch.full_like(state["conv2.bias"], float("nan"))
    save_file({key: value.contiguous() for key, value in state.items()}, tmp_path / "vae.safetensors")
    with pytest.raises(Track2ViewError, match=r"The VAE vae\.safetensors has conv2\.bias, which holds NaN or infinity"):
        load_vae(tmp_path / "vae.safetensors")


@pytest.mark.parametrize("stage", ["encode", "decode"])
def test_progress_counts_latent_frames_and_an_interrupt_leaves_nothing(vae, stage):
    work = {"encode": lambda **kw: encode(vae, clip(), **kw), "decode": lambda **kw: decode(vae, latent, **kw)}[stage]
    latent = torch.zeros(1, 16, 2, 2, 4)
    seen = []
    expected = work(progress=lambda *step: seen.append(step))
    assert seen == [(0, 2, stage), (1, 2, stage), (2, 2, stage)]

    def interrupt(done: int, _total: int, _stage: str) -> None:
        if done == 1:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        work(progress=interrupt)
    assert not any(module._forward_pre_hooks for module in vae.modules())
    assert torch.equal(work(), expected)


@pytest.mark.parametrize(
    ("video", "told"),
    [
        (clip(4), "4 frames of 32 x 16"),
        (clip(5, width=40), "multiples of 16"),
        (clip().float(), "must be uint8"),
        (clip()[..., :2], "must be uint8"),
    ],
)
def test_a_clip_that_is_not_prepared_is_refused(vae, video, told):
    with pytest.raises(Track2ViewError, match=told):
        encode(vae, video)


def without(state: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in state.items() if key != name}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda state: {"weight": torch.zeros(1)}, "holds no WAN VAE"),
        (lambda state: {**state, "post_quant_conv.weight": torch.zeros(48, 48, 1, 1, 1)}, "48 latent channels"),
        (lambda state: without(state, "decoder.conv_out.bias"), "decoder.conv_out.bias absent"),
        (lambda state: {**state, "surprise": torch.zeros(1)}, "surprise of shape"),
    ],
)
def test_a_file_that_holds_no_vae_of_wan_2_1_is_refused(vae, tmp_path, change, told):
    save_file(change(without(vae.state_dict(), "nothing")), tmp_path / "vae.safetensors")
    with pytest.raises(Track2ViewError, match=re.escape(told)):
        load_vae(tmp_path / "vae.safetensors")


def test_a_folder_that_holds_no_vae_of_wan_2_1_is_refused(vae, transformer, tmp_path):
    with pytest.raises(Track2ViewError, match="holds no diffusers vae"):
        load_vae(tmp_path)
    transformer.save_pretrained(tmp_path / "vae")
    with pytest.raises(Track2ViewError, match="is a WanTransformer3DModel"):
        load_vae(tmp_path)
    small = AutoencoderKLWan(base_dim=8, z_dim=4, latents_mean=[0.0] * 4, latents_std=[1.0] * 4)
    small.save_pretrained(tmp_path / "small")
    with pytest.raises(Track2ViewError, match="4 latent channels"):
        load_vae(tmp_path / "small")


def test_a_folder_that_lacks_a_weight_is_refused(vae, tmp_path):
    vae.save_pretrained(tmp_path)
    partial = without(vae.state_dict(), "decoder.conv_out.bias")
    save_file(partial, tmp_path / "diffusion_pytorch_model.safetensors")
    with pytest.raises(Track2ViewError, match=r"decoder\.conv_out\.bias is missing"):
        load_vae(tmp_path)
