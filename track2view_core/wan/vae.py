"""WAN 2.1's VAE: loading, and clips of pixels <-> normalised model latents."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor, nn

from ..errors import Track2ViewError
from ..progress import Progress
from .diffusers_folder import find_part, load_part, read_json
from .original_layout import vae_from_original, vae_to_original
from .tensor_files import cast_floats, check_shapes, read_tensors, write_tensors

LATENT_CHANNELS = 16
SPATIAL_STRIDE = 8
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
    return vae.to(device).eval().requires_grad_(False)


def save_vae(vae: AutoencoderKLWan, file: Path | str, dtype: torch.dtype | None = None) -> None:
    """Write a VAE in the original layout, the one ComfyUI's VAE loader opens."""
    write_tensors(cast_floats(vae_to_original(vae.state_dict()), dtype), file)


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
    state = read_tensors(file, "The VAE")[0]
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
    check_shapes(state, vae.state_dict(), f"The VAE {file.name}", WANTED)
    vae.load_state_dict({key: value.to(dtype) for key, value in state.items()}, assign=True)
    return vae


def latent_statistics(vae: AutoencoderKLWan) -> tuple[Tensor, Tensor]:
    """WAN's fixed mean and standard deviation of the raw latent, each [1, 16, 1, 1, 1] float32 on the CPU."""
    values = (vae.config.latents_mean, vae.config.latents_std)
    mean, std = (torch.tensor(value, dtype=torch.float32).view(1, -1, 1, 1, 1) for value in values)
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
    pixels = frames.to(vae.device).permute(3, 0, 1, 2)[None].to(vae.dtype) / 127.5 - 1.0
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
    return frames.permute(1, 2, 3, 0).contiguous().cpu()
