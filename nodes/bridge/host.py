"""What the nodes need of the ComfyUI that runs them: schemas, progress and messages, latents, model memory."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from comfy_api.latest import io
from torch import Tensor

from ...track2view_core.errors import Track2ViewError
from ...track2view_core.progress import Progress

SEARCH_WORDS = " | "


def schema(**fields: Any) -> io.Schema:
    """A Schema of the fields that the running core knows.

    An older core knows no search_aliases, and its search sees names alone: there the words stand behind the display
    name, which `web/track2view.js` takes off the nodes again.
    """
    known = getattr(io.Schema, "__dataclass_fields__", fields)
    if "search_aliases" not in known and fields.get("search_aliases"):
        fields["display_name"] += SEARCH_WORDS + ", ".join(fields["search_aliases"])
    return io.Schema(**{name: value for name, value in fields.items() if name in known})


def offering_upload(combo: io.Combo.Input, endings: Collection[str]) -> io.Combo.Input:
    """A combo of files with a button beside it, made by `web/uploads.mjs`: core's own are for pictures and sound."""
    combo.extra_dict = {**combo.extra_dict, "track2view_upload": sorted(set(endings))}
    return combo


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
            show_stage(stage)

    return report


def show_stage(text: str) -> None:
    """What the node that runs is at; what is to stay on it is a report."""
    from comfy_execution.utils import get_executing_context
    from server import PromptServer

    context = get_executing_context()
    if text and context is not None:
        PromptServer.instance.send_progress_text(text, context.node_id)


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


def managed(module: torch.nn.Module) -> Any:
    """A patcher, so that ComfyUI moves `module` on and off the device with its other models."""
    from comfy import model_management
    from comfy.model_patcher import ModelPatcher

    return ModelPatcher(_Managed(module), model_management.get_torch_device(), model_management.unet_offload_device())


class _Managed(torch.nn.Module):
    """ComfyUI writes `device` onto the module it manages, and a diffusers model lets nobody write its own."""

    def __init__(self, module: torch.nn.Module):
        super().__init__()
        self.module = module


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
            "the diffusers sampler holds the whole model; use a smaller size, fewer frames (max_frames in Prepare Clip)"
            " or the native workflow (ComfyUI's own MODEL), which offloads."
        )
    model_management.load_models_gpu(patchers, memory_required=working_memory, force_full_load=True)
    return device


def give_up_device() -> None:
    """Move every model off the device and free its cache: another program is about to need the memory."""
    from comfy import model_management

    model_management.unload_all_models()
    model_management.soft_empty_cache()


def device_memory() -> tuple[torch.device, str, int]:
    """The device that models run on, its name, and the bytes free there once ComfyUI has moved its own models away."""
    from comfy import model_management

    device = model_management.get_torch_device()
    own = [entry for entry in model_management.current_loaded_models if entry.device == device]
    # On the CPU they lie in host memory whether in use or not.
    loaded = 0 if device.type == "cpu" else sum(entry.model_loaded_memory() for entry in own)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"this {device.type.upper()}"
    return device, name, int(model_management.get_free_memory(device) + loaded)


def host_memory() -> int:
    """Bytes of host memory that are free."""
    from comfy import model_management

    return int(model_management.get_free_memory(torch.device("cpu")))


def compute_dtype(name: str) -> torch.dtype:
    """The dtype that a widget names; "auto" is what ComfyUI would take for a diffusion model on this device."""
    from comfy import model_management

    if name != "auto":
        return getattr(torch, name)
    device = model_management.get_torch_device()
    return torch.bfloat16 if model_management.should_use_bf16(device) else torch.float32
