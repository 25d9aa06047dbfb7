"""The only file that touches ComfyUI's internals: progress and interrupt, latents, model memory, MODEL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from comfy_api.latest import io
from torch import Tensor

from ..track2view_core.errors import Track2ViewError
from ..track2view_core.progress import Progress

if TYPE_CHECKING:
    from ..track2view_core.wan.bundle import Bundle
    from ..track2view_core.wan.bundle_config import BaseConfig
    from ..track2view_core.wan.condition import TrackCondition


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


def give_up_device() -> None:
    """Move every model off the device and free its cache: another program is about to need the memory."""
    from comfy import model_management

    model_management.unload_all_models()
    model_management.soft_empty_cache()


def compute_dtype(name: str) -> torch.dtype:
    """The dtype that a widget names; "auto" is what ComfyUI would take for a diffusion model on this device."""
    from comfy import model_management

    if name != "auto":
        return getattr(torch, name)
    device = model_management.get_torch_device()
    return torch.bfloat16 if model_management.should_use_bf16(device) else torch.float32


# Track2View on ComfyUI's own MODEL

SEAMS = "track2view"  # our key among a MODEL's wrappers and additional models, and among a condition's model_conds
LORA = "track2view_lora"
_OTHER_WANS = {
    "WAN21_Vace": "VACE",
    "WAN21_Camera": "Fun Camera",
    "WAN21_HuMo": "HuMo",
    "WAN22_S2V": "2.2 S2V",
    "WAN22_Animate": "2.2 Animate",
    "WAN22": "2.2 5B",
}


def base_of(model: Any) -> BaseConfig:
    """What kind of WAN a MODEL is; refuses, by name, what Track2View cannot ride on."""
    from ..track2view_core.wan.bundle_config import BaseConfig

    kind = type(model.model).__name__
    if kind != "WAN21":
        other = _OTHER_WANS.get(kind)
        came = f"WAN {other}" if other else f"{kind}, which is no WAN 2.1"
        raise Track2ViewError(
            f"The MODEL is {came}; Track2View takes WAN 2.1 text-to-video, or the experts of WAN 2.2 14B "
            "text-to-video: load such a file."
        )
    dit = model.model.diffusion_model
    if dit.in_dim != dit.out_dim or dit.ref_conv is not None or dit.img_emb is not None:
        raise Track2ViewError(
            f"The MODEL is a WAN with {dit.in_dim} input channels, for image-to-video or another control; Track2View "
            "takes text-to-video, with 16: load such a file."
        )
    return BaseConfig(dit.dim, dit.num_layers, dit.ffn_dim, dit.in_dim)


def with_lora(model: Any, bundle: Bundle, strength: float) -> Any:
    """A clone of the MODEL with the bundle's LoRA among core's own weight patches; a second one is refused."""
    from comfy.lora import load_lora, model_lora_keys_unet

    bundle.check_base(base_of(model))
    if model.get_attachment(LORA) is not None:
        raise Track2ViewError(
            "The MODEL already carries a Track2View LoRA; take one of the two Track2View LoRA nodes away."
        )
    patches = load_lora(bundle.lora, model_lora_keys_unet(model.model, {}))
    wanted = {key.rsplit(".lora_", 1)[0] for key in bundle.lora if ".lora_" in key}
    patched = model.clone()
    if len(patched.add_patches(patches, strength)) != len(wanted):
        raise Track2ViewError(
            f"Only {len(patches)} of the bundle's {len(wanted)} LoRA modules found their place in the MODEL; load its "
            "weights as WAN publishes them, or through core's loaders."
        )
    patched.set_attachments(LORA, bundle)
    return patched


def with_seams(model: Any, condition: TrackCondition, conditioner: Any) -> Any:
    """A clone of the MODEL that heeds `condition` where a CONDITIONING brings it; applied again, it replaces.

    conditioner: the patcher of the bundle's conditioner, which then travels with the MODEL. No weight is patched.
    """
    from comfy.patcher_extension import WrappersMP

    condition.bundle.check_base(base_of(model))
    if model.get_attachment(LORA) not in (None, condition.bundle):
        raise Track2ViewError(
            "The MODEL carries the LoRA of another bundle than the condition's; link Track2View LoRA and Condition on "
            "Tracks to one Load Track2View."
        )
    seams = _Seams(condition.bundle)
    patched = model.clone()
    for place, wrapper in (
        (WrappersMP.OUTER_SAMPLE, seams.around_sampling),
        (WrappersMP.PREPARE_SAMPLING, seams.around_preparing),
        (WrappersMP.DIFFUSION_MODEL, seams.around_forward),
    ):
        patched.remove_wrappers_with_key(place, SEAMS)
        patched.add_wrapper_with_key(place, SEAMS, wrapper)
    rope_encode = patched.get_model_object("diffusion_model.rope_encode")
    rope_encode = getattr(rope_encode, "before_track2view", rope_encode)
    patched.add_object_patch("diffusion_model.rope_encode", seams.rope_encode(rope_encode))
    counted = patched.get_model_object("memory_usage_factor_conds")
    patched.add_object_patch("memory_usage_factor_conds", tuple({*counted, SEAMS}))
    patched.set_additional_models(SEAMS, [conditioner])
    return patched


def schedule_advice(model: Any, bundle: Bundle) -> str:
    """What the sampler should be set to, where the MODEL's shift is not the one the bundle was trained with."""
    trained = bundle.config.sampling
    advice = f"This bundle samples well with {trained.steps} steps, cfg {trained.guidance:g}, {trained.scheduler}"
    shift = getattr(model.get_model_object("model_sampling"), "shift", None)
    if shift is not None and abs(shift - trained.shift) > 1e-6:
        advice += f"; the MODEL's shift is {shift:g} and the bundle's {trained.shift:g}: set it with ModelSamplingSD3"
    return advice


def with_condition(conditioning: list[Any], condition: TrackCondition) -> list[Any]:
    """A CONDITIONING whose every prompt brings the condition; one that was there before is replaced."""
    from comfy.conds import CONDConstant

    class Condition(CONDConstant):
        """Never cast or cut by core: it is no tensor. Its size makes core count the source's tokens as the target's."""

        def size(self) -> list[int]:
            return list(self.cond.source_latent.shape)

    changed = []
    for text, options in conditioning:
        conds = {**options.get("model_conds", {}), SEAMS: Condition(condition)}
        changed.append([text, {**options, "model_conds": conds}])
    return changed


class _Seams:
    """What stands around a MODEL's sampling, around its forward, before its first block and at its rotary table."""

    def __init__(self, bundle: Bundle):
        from ..track2view_core.wan.host_seams import DeltaCache

        self._bundle = bundle
        self._cache = DeltaCache()
        self._model_sampling: Any = None

    def around_sampling(self, executor: Any, noise: Tensor, *args: Any, **kwargs: Any) -> Any:
        from ..track2view_core.wan.host_seams import check_latent

        guider = executor.class_obj
        for cond in (cond for conds in guider.conds.values() for cond in conds):
            if SEAMS in cond.get("model_conds", {}):
                check_latent(cond["model_conds"][SEAMS].cond, noise.shape)
        self._model_sampling = guider.model_patcher.get_model_object("model_sampling")
        try:
            return executor(noise, *args, **kwargs)
        finally:
            self._cache.clear()

    def around_preparing(self, executor: Any, model: Any, noise_shape: Any, conds: Any, *args: Any, **kwargs: Any):
        if any(SEAMS in cond.get("model_conds", {}) for group in conds.values() for cond in group):
            # Twice the tokens; in the height, since context windows clamp the frames.
            noise_shape = [*noise_shape[:3], 2 * noise_shape[3], *noise_shape[4:]]
        return executor(model, noise_shape, conds, *args, **kwargs)

    def around_forward(
        self,
        executor: Any,
        x: Tensor,  # [B, 16, F', h8, w8]
        timestep: Tensor,  # [B]
        context: Any,
        clip_fea: Any = None,
        time_dim_concat: Tensor | None = None,
        transformer_options: dict[str, Any] | None = None,
        **conds: Any,
    ) -> Tensor:
        from ..track2view_core.wan.host_seams import frame_timesteps

        options = transformer_options or {}
        condition = conds.pop(SEAMS, None)
        if condition is None:
            return executor(x, timestep, context, clip_fea, time_dim_concat, options, **conds)
        if condition.bundle is not self._bundle:
            raise Track2ViewError(
                "A prompt brings the tracks of another bundle than the MODEL's; link MODEL, positive and negative "
                "from one Apply Track2View."
            )
        sampling = self._bundle.config.sampling
        frames = x.shape[2]
        following = 0 if time_dim_concat is None else time_dim_concat.shape[2]
        window = options.get("context_window")
        index = tuple(range(frames) if window is None else window.index_list)
        source = condition.source_latent[:, :, list(index)].to(x).expand(len(x), -1, -1, -1, -1)
        options = {**options, SEAMS: (frames, sampling.rotary)}
        if condition.active(float(options["sigmas"][0]), self._model_sampling.percent_to_sigma):
            options["patches_replace"] = self._with_first_block(options, condition, index, window is not None)
        timestep = frame_timesteps(timestep, frames, sampling.source_timestep, following)
        sequence = torch.cat([x, source], dim=2)
        return executor(sequence, timestep, context, clip_fea, time_dim_concat, options, **conds)[:, :, :frames]

    def _with_first_block(
        self, options: dict[str, Any], condition: TrackCondition, index: tuple[int, ...], is_window: bool
    ) -> dict[str, Any]:
        """The replacements of this call, with the deltas added before the first block and whoever replaced it."""
        place = ("double_block", 0)
        replacements = options.get("patches_replace", {})
        blocks = replacements.get("dit", {})
        step = float(options["sigmas"][0])

        def first_block(args: dict[str, Any], extra: dict[str, Any]) -> Any:
            tokens = args["img"]
            deltas = self._deltas(tokens, condition, index, step, is_window)
            missing = tokens.shape[1] - deltas.shape[1]
            args = {**args, "img": tokens + torch.nn.functional.pad(deltas, (0, 0, 0, missing))}
            return blocks[place](args, extra) if place in blocks else extra["original_block"](args)

        return {**replacements, "dit": {**blocks, place: first_block}}

    @torch.compiler.disable
    def _deltas(
        self, tokens: Tensor, condition: TrackCondition, index: tuple[int, ...], step: float, is_window: bool
    ) -> Tensor:
        from comfy.model_management import unet_offload_device

        from ..track2view_core.wan.host_seams import token_deltas

        rows, columns = (side // 2 for side in condition.source_latent.shape[3:])
        view = len(index) * rows * columns
        home = unet_offload_device() if is_window else tokens.device  # one window's at a time on the device

        def compute() -> Tensor:
            return token_deltas(condition, tokens[:1, view : 2 * view], index).to(home)

        return self._cache.get((condition, index), step, compute).to(tokens)

    def rope_encode(self, original: Any) -> Any:
        """WAN's rotary table; inside a forward with tracks that of two views."""

        def encode(t: int, h: int, w: int, *args: Any, transformer_options: Any = None, **kwargs: Any) -> Tensor:
            from ..track2view_core.wan.host_seams import sequence_rotary

            options = transformer_options or {}

            def table_of(frames: int) -> Tensor:
                return original(frames, h, w, *args, transformer_options=options, **kwargs)

            if SEAMS not in options:
                return table_of(t)
            frames, rotary = options[SEAMS]
            return sequence_rotary(table_of, t, frames, rotary)

        encode.before_track2view = original
        return encode


def device_memory() -> tuple[torch.device, str, int]:
    """The device that models run on, its name, and the bytes free there once ComfyUI has moved its own models away."""
    from comfy import model_management

    device = model_management.get_torch_device()
    own = [entry for entry in model_management.current_loaded_models if entry.device == device]
    # On the CPU they lie in host memory whether in use or not.
    loaded = 0 if device.type == "cpu" else sum(entry.model_loaded_memory() for entry in own)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"this {device.type.upper()}"
    return device, name, int(model_management.get_free_memory(device) + loaded)
