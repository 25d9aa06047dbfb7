"""The only file that touches ComfyUI's internals: progress and interrupt, videos, latents, model memory, MODEL."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import torch
from comfy_api.latest import InputImpl, Types, io
from torch import Tensor

from ..track2view_core.errors import Track2ViewError
from ..track2view_core.progress import Progress
from .folders import temp_file

if TYPE_CHECKING:
    from ..track2view_core.video import VideoClip


# Schemas


def schema(**fields: Any) -> io.Schema:
    """A Schema of the fields that the running core knows; an older core goes without search_aliases and the like."""
    known = getattr(io.Schema, "__dataclass_fields__", fields)
    return io.Schema(**{name: value for name, value in fields.items() if name in known})


# Progress, interrupt, messages


def progress_callback() -> Progress:
    """`(done, total, stage)` -> the node's progress bar and text; raises ComfyUI's interrupt when asked for."""
    from comfy.model_management import throw_exception_if_processing_interrupted
    from comfy.utils import ProgressBar

    bar, shown = None, ""

    def report(done: int, total: int, stage: str) -> None:
        nonlocal bar, shown
        throw_exception_if_processing_interrupted()
        bar = bar or ProgressBar(total)
        bar.update_absolute(done, total)
        if stage != shown:
            shown = stage
            show_text(stage)

    return report


def show_text(text: str) -> None:
    """Progress text above the node that runs."""
    from comfy_execution.utils import get_executing_context
    from server import PromptServer

    context = get_executing_context()
    if text and context is not None:
        PromptServer.instance.send_progress_text(text, context.node_id)


# Videos


def streamable_source(video: Any) -> Any | None:
    """The file behind a VIDEO, to be decoded as a stream; None where there is none or only a part of it is meant."""
    if not isinstance(video, InputImpl.VideoFromFile):
        return None
    source = video.get_stream_source()
    if not isinstance(source, str):
        return source
    # A trimmed VIDEO of a newer core still names the whole file: the durations tell.
    whole = InputImpl.VideoFromFile(source)
    return source if abs(video.get_duration() - whole.get_duration()) < 1e-3 else None


class ExactVideo(InputImpl.VideoFromComponents):
    """A VIDEO that is saved with its exact frame rate, odd sides and sound, which core's own writer does not keep.

    Downstream nodes take the lossless pictures; core's Save Video takes the file.
    """

    def __init__(self, clip: VideoClip, images: Tensor):
        self._clip = clip
        audio = clip.audio and {"waveform": clip.audio.waveform[None], "sample_rate": clip.audio.sample_rate}
        super().__init__(Types.VideoComponents(images=images, audio=audio, frame_rate=clip.fps))

    def get_frame_rate(self) -> Fraction:
        return self._clip.fps

    def save_to(self, path: Any, *args: Any, **options: Any) -> None:
        from ..track2view_core.video import write_clip

        file = temp_file("track2view_video", ".mp4")
        try:
            write_clip(self._clip, file)
            InputImpl.VideoFromFile(str(file)).save_to(path, *args, **options)
        finally:
            file.unlink(missing_ok=True)


# Latents


def model_latent(latent: dict[str, Any], name: str) -> Tensor:
    """A LATENT of WAN's VAE, raw as ComfyUI's VAE nodes give it -> the model's normalised latent `[1, 16, F, h, w]`."""
    samples = latent.get("samples") if isinstance(latent, dict) else None
    if not isinstance(samples, Tensor) or samples.ndim != 5 or samples.shape[:2] != (1, 16):
        came = list(samples.shape) if isinstance(samples, Tensor) else type(latent).__name__
        raise Track2ViewError(
            f"{name} is {came}; it must be one video of a WAN 2.1 VAE, [1, 16, frames, height, width]: use VAE Encode."
        )
    if not samples.isfinite().all():
        raise Track2ViewError(
            f"{name} holds NaN or infinity; encode the clip again, with the VAE in fp32 if it overflows."
        )
    return _latent_format().process_in(samples.to(torch.float32))


def raw_latent(latent: Tensor) -> dict[str, Tensor]:
    """The model's latent -> a LATENT for ComfyUI's VAE Decode."""
    return {"samples": _latent_format().process_out(latent.to(device="cpu", dtype=torch.float32))}


def _latent_format() -> Any:
    from comfy.latent_formats import Wan21

    return Wan21()


# Model memory


class _Managed(torch.nn.Module):
    """ComfyUI writes `device` onto the module it manages, and a diffusers model lets nobody write its own."""

    def __init__(self, module: torch.nn.Module):
        super().__init__()
        self.module = module


def managed(module: torch.nn.Module) -> Any:
    """A patcher, so that ComfyUI moves `module` on and off the device with its other models."""
    from comfy import model_management
    from comfy.model_patcher import ModelPatcher

    return ModelPatcher(_Managed(module), model_management.get_torch_device(), model_management.unet_offload_device())


def load_whole(patchers: list[Any], working_memory: int) -> torch.device:
    """Bring the models onto the device whole, with `working_memory` bytes to spare, or refuse; gives the device.

    ComfyUI streams only modules built with its own layers, and those of diffusers are not.
    """
    from comfy import model_management

    device = patchers[0].load_device
    missing = sum(patcher.model_size() - patcher.loaded_size() for patcher in patchers)
    if device == patchers[0].offload_device:
        missing = 0  # they are there already
    needed = missing + working_memory
    model_management.free_memory(needed, device)
    free = model_management.get_free_memory(device)
    if needed > free:
        raise Track2ViewError(
            f"Sampling needs {needed / 2**30:.1f} GiB on {device} and {free / 2**30:.1f} GiB are free, since "
            f"the diffusers sampler holds "
            "the whole model; use a smaller size, fewer frames or the native workflow (ComfyUI's own MODEL), "
            "which offloads."
        )
    model_management.load_models_gpu(patchers, memory_required=working_memory, force_full_load=True)
    return device


def compute_dtype(name: str) -> torch.dtype:
    """The dtype that a widget names; "auto" is what ComfyUI would take for a diffusion model on this device."""
    from comfy import model_management

    if name != "auto":
        return getattr(torch, name)
    device = model_management.get_torch_device()
    return torch.bfloat16 if model_management.should_use_bf16(device) else torch.float32
