"""WAN 2.1's VAE: loading, clips of pixels <-> normalised model latents, and a whole clip at once for training.

`encode` and `decode` are the job of a generation: diffusers' own forward, chunk by chunk. `encode_whole_clip` and
`decode_whole_clip` run the same weights over all frames at once, as two-dimensional convolutions where time does not
matter: equal to the chunked forward (a test holds it), several times faster to train on a CPU, and without the cache
that keeps the chunked one from being differentiated cheaply.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanResample
from einops import rearrange
from torch import Tensor, nn

from ..errors import Track2ViewError
from ..progress import Progress
from .bundle_config import LATENT_CHANNELS
from .original_layout import vae_from_original, vae_to_original
from .tensor_files import (
    cast_floats,
    check_shapes,
    find_part,
    load_part,
    read_json,
    read_tensors,
    unwrapped,
    write_weights,
)

Part = Any  # a block of diffusers' VAE: torch tells the checker of its parts no more than "tensor or module"
WANTED = "give the VAE of WAN 2.1"
_PREFIXES = ("first_stage_model.", "vae.")


def load_vae(
    path: Path | str, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> AutoencoderKLWan:
    """Load WAN 2.1's VAE, frozen, from a diffusers folder (a pipeline's or its own) or from one .safetensors file.

    A file's base width is read from its weights, so that small VAEs of the same make load too.
    """
    path = Path(path)
    vae = _from_folder(path, dtype) if path.is_dir() else _from_file(path, dtype)
    vae = vae.to(device)  # pyright: ignore[reportArgumentType]: diffusers wraps torch's `to` and loses its types
    return vae.eval().requires_grad_(False)


def save_vae(vae: AutoencoderKLWan, file: Path | str, dtype: torch.dtype | None = None) -> None:
    """Write a VAE in the original layout, the one ComfyUI's VAE loader opens."""
    write_weights(cast_floats(vae_to_original(vae.state_dict()), dtype, "The VAE"), file)


def _from_folder(folder: Path, dtype: torch.dtype) -> AutoencoderKLWan:
    inner = find_part(folder, "vae", WANTED)
    config = read_json(inner / "config.json")
    if config.get("_class_name") != AutoencoderKLWan.__name__:
        raise Track2ViewError(f"{folder.name} is a {config.get('_class_name')}, no VAE of WAN; {WANTED}.")
    _check_channels(config.get("z_dim", LATENT_CHANNELS), folder)
    return load_part(AutoencoderKLWan, inner, dtype)


def _check_channels(channels: int, path: Path) -> None:
    if channels != LATENT_CHANNELS:
        raise Track2ViewError(
            f"{path.name} is a VAE with {channels} latent channels, and WAN 2.1's has {LATENT_CHANNELS}; {WANTED}."
        )


def _from_file(file: Path, dtype: torch.dtype) -> AutoencoderKLWan:
    what = f"The VAE {file.name}"
    state = unwrapped(read_tensors(file, "The VAE")[0], what)
    for prefix in _PREFIXES:
        if any(key.startswith(prefix) for key in state):
            state = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
    if "decoder.head.0.gamma" in state:
        state = vae_from_original(state)
    if "decoder.norm_out.gamma" not in state or "post_quant_conv.weight" not in state:
        raise Track2ViewError(
            f"{file.name} holds no WAN VAE (it lacks decoder.head.0.gamma or conv2.weight); {WANTED}."
        )
    _check_channels(state["post_quant_conv.weight"].shape[0], file)
    with torch.device("meta"):
        vae = AutoencoderKLWan(base_dim=state["decoder.norm_out.gamma"].shape[0])
    check_shapes(state, vae.state_dict(), what, WANTED)
    vae.load_state_dict(cast_floats(state, dtype, what), assign=True)
    return vae


def latent_statistics(vae: AutoencoderKLWan) -> tuple[Tensor, Tensor]:
    """WAN's fixed mean and standard deviation of the raw latent, each [1, 16, 1, 1, 1] float32 on the CPU."""
    values = (vae.config["latents_mean"], vae.config["latents_std"])
    mean, std = (rearrange(torch.tensor(value, dtype=torch.float32), "c -> 1 c 1 1 1") for value in values)
    return mean, std


@contextmanager
def _counted(
    vae: AutoencoderKLWan, module: nn.Module, total: int, stage: str, progress: Progress | None
) -> Iterator[None]:
    """Report before each chunk `module` works on, where a raise interrupts; no hook and no cache are left behind."""
    done = 0

    def before(*_: object) -> None:
        nonlocal done
        if progress is not None:
            progress(min(done, total), total, stage)
        done += 1

    handle = module.register_forward_pre_hook(before)
    try:
        yield
    finally:
        handle.remove()
        vae.clear_cache()
    if progress is not None:
        progress(total, total, stage)


@torch.no_grad()
def encode(vae: AutoencoderKLWan, frames: Tensor, *, progress: Progress | None = None) -> Tensor:
    """Frames uint8 [T, H, W, 3], T = 4n + 1, sides multiples of 16 -> normalised latent [1, 16, F, H/8, W/8] float32.

    The latent is the mean of the posterior, (mu - mean) / std with WAN's fixed statistics, on the VAE's device.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != torch.uint8:
        raise Track2ViewError(f"The clip is {frames.dtype} {list(frames.shape)}; it must be uint8 [T, H, W, 3].")
    count, height, width, _ = frames.shape
    if count % 4 != 1 or height % 16 or width % 16:
        raise Track2ViewError(
            f"The clip is {count} frames of {width} x {height}; WAN takes 4n + 1 frames and sides that are multiples "
            "of 16: prepare the clip first."
        )
    pixels = rearrange(frames.to(vae.device), "t h w c -> 1 c t h w").to(vae.dtype) / 127.5 - 1.0
    with _counted(vae, vae.encoder, 1 + count // 4, "encode", progress):
        raw = vae.encode(pixels, return_dict=False)[0].mode().float()
    mean, std = latent_statistics(vae)
    return (raw - mean.to(raw)) / std.to(raw)


@torch.no_grad()
def decode(vae: AutoencoderKLWan, latent: Tensor, *, progress: Progress | None = None) -> Tensor:
    """Normalised model latent [1, 16, F, H/8, W/8] -> frames uint8 [4 (F - 1) + 1, H, W, 3] on the CPU."""
    mean, std = latent_statistics(vae)
    raw = latent.to(vae.device, torch.float32) * std.to(vae.device) + mean.to(vae.device)
    with _counted(vae, vae.decoder, latent.shape[2], "decode", progress):
        pixels = vae.decode(raw.to(vae.dtype), return_dict=False)[0]
    frames = pixels[0].float().add_(1.0).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
    return rearrange(frames, "c t h w -> t h w c").contiguous().cpu()


def encode_whole_clip(vae: AutoencoderKLWan, clip: Tensor) -> Tensor:
    """[B, T, 3, H, W] in -1..1 -> posterior mean [B, F, z, H/8, W/8] (not yet normalised)."""
    batch, frames = clip.shape[:2]
    encoder: Part = vae.encoder
    x = rearrange(clip, "b t c h w -> (b t) c h w").contiguous(memory_format=torch.channels_last)
    x = _causal(x, encoder.conv_in, frames)
    for block in encoder.down_blocks:
        if isinstance(block, WanResample):
            x, frames = _resample(x, block, frames)
        else:
            x = _residual(x, block, frames)
    x = _middle(x, encoder.mid_block, frames)
    x = _causal(F.silu(_norm(x, encoder.norm_out)), encoder.conv_out, frames)
    x = _pointwise(x, vae.quant_conv)
    return rearrange(x, "(b f) z h w -> b f z h w", b=batch)[:, :, : vae.config["z_dim"]]


def decode_whole_clip(vae: AutoencoderKLWan, latent: Tensor) -> Tensor:
    """[B, F, z, h, w] -> [B, T, 3, 8h, 8w] around -1..1, not clamped."""
    batch, frames = latent.shape[:2]
    decoder: Part = vae.decoder
    x = rearrange(latent, "b f z h w -> (b f) z h w").contiguous(memory_format=torch.channels_last)
    x = _causal(_pointwise(x, vae.post_quant_conv), decoder.conv_in, frames)
    x = _middle(x, decoder.mid_block, frames)
    for block in decoder.up_blocks:
        for residual in block.resnets:
            x = _residual(x, residual, frames)
        if block.upsamplers is not None:
            x, frames = _resample(x, block.upsamplers[0], frames)
    x = _causal(F.silu(_norm(x, decoder.norm_out)), decoder.conv_out, frames)
    return rearrange(x, "(b t) c h w -> b t c h w", b=batch)


def _norm(x: Tensor, norm: Part) -> Tensor:
    if x.is_cuda:  # there the fused kernel takes one row a block, and rows are a few channels here
        scale = torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-12)
        return x * scale * norm.gamma.reshape(1, -1, 1, 1).to(x.dtype)
    normed = F.rms_norm(rearrange(x, "n c h w -> n h w c"), (x.shape[1],), norm.gamma.flatten(), eps=1e-12)
    return rearrange(normed, "n h w c -> n c h w")


def _pointwise(x: Tensor, conv: nn.Conv3d) -> Tensor:
    return F.conv2d(x, conv.weight[:, :, 0], conv.bias)


def _causal(x: Tensor, conv: nn.Conv3d, frames: int) -> Tensor:
    weight = conv.weight
    if weight.shape[2] == 1:
        return _pointwise(x, conv)
    if frames == 1:  # the two earlier taps see zeros
        return F.conv2d(x, weight[:, :, 2], conv.bias, padding=1)
    taps = F.conv2d(x, torch.cat(weight.unbind(2), 0), padding=1)
    *earlier, now = rearrange(taps, "(b t) (tap c) h w -> tap b t c h w", t=frames, tap=3)
    two_back, one_back = (
        F.pad(tap[:, :-lag], (0, 0, 0, 0, 0, 0, lag, 0)) for lag, tap in zip((2, 1), earlier, strict=True)
    )
    assert conv.bias is not None
    return rearrange(now + one_back + two_back + conv.bias[:, None, None], "b t c h w -> (b t) c h w")


def _residual(x: Tensor, block: Part, frames: int) -> Tensor:
    shortcut = x if isinstance(block.conv_shortcut, nn.Identity) else _pointwise(x, block.conv_shortcut)
    y = _causal(F.silu(_norm(x, block.norm1)), block.conv1, frames)
    return _causal(F.silu(_norm(y, block.norm2)), block.conv2, frames) + shortcut


def _attention(x: Tensor, block: Part) -> Tensor:
    qkv = F.conv2d(_norm(x, block.norm), block.to_qkv.weight, block.to_qkv.bias)
    q, k, v = rearrange(qkv, "n (qkv c) h w -> qkv n 1 (h w) c", qkv=3)  # one head
    out = rearrange(F.scaled_dot_product_attention(q, k, v), "n 1 (h w) c -> n c h w", h=x.shape[2])
    return F.conv2d(out, block.proj.weight, block.proj.bias) + x


def _middle(x: Tensor, block: Part, frames: int) -> Tensor:
    x = _attention(_residual(x, block.resnets[0], frames), block.attentions[0])
    return _residual(x, block.resnets[1], frames)


def _time_taps(taps: list[Tensor], conv: nn.Conv3d) -> Tensor:
    """A (3, 1, 1) convolution whose three taps [B, T, C, H, W] were gathered by the caller -> [B*T, C', H, W]."""
    kernel = torch.cat(conv.weight[..., 0, 0].unbind(2), 1)[..., None, None]
    return F.conv2d(rearrange(torch.cat(taps, 2), "b t c h w -> (b t) c h w"), kernel, conv.bias)


def _resample(x: Tensor, block: WanResample, frames: int) -> tuple[Tensor, int]:
    if block.mode == "upsample3d" and frames > 1:  # every frame but the first becomes two
        clip = rearrange(x, "(b t) c h w -> b t c h w", t=frames)
        later = clip[:, 1:]
        padded = F.pad(later, (0, 0, 0, 0, 0, 0, 2, 0))
        taps = _time_taps([padded[:, :-2], padded[:, 1:-1], later], block.time_conv)
        doubled = rearrange(taps, "(b t) (two c) h w -> b (t two) c h w", b=len(clip), two=2)
        x, frames = rearrange(torch.cat([clip[:, :1], doubled], 1), "b t c h w -> (b t) c h w"), 2 * frames - 1
    resample: Part = block.resample
    conv = resample[1]
    if block.mode.startswith("up"):
        x = F.conv2d(F.interpolate(x, scale_factor=2.0, mode="nearest-exact"), conv.weight, conv.bias, padding=1)
    else:
        x = F.conv2d(F.pad(x, (0, 1, 0, 1)), conv.weight, conv.bias, stride=2)
    if block.mode == "downsample3d" and frames > 1:  # frame 0 alone, then pairs
        clip = rearrange(x, "(b t) c h w -> b t c h w", t=frames)
        pairs = _time_taps([clip[:, 0:-1:2], clip[:, 1::2], clip[:, 2::2]], block.time_conv)
        pairs = rearrange(pairs, "(b t) c h w -> b t c h w", b=len(clip))
        x, frames = rearrange(torch.cat([clip[:, :1], pairs], 1), "b t c h w -> (b t) c h w"), (frames + 1) // 2
    return x, frames
