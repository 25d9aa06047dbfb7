"""The native route: Track2View on ComfyUI's own MODEL, at eight of core's extension points."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...track2view_core.errors import Track2ViewError
from .block_replacements import before_first_block
from .kept_source import KEPT, KeptSources, forward_own
from .two_views import VIEWS, claimed, counted_twice, forward_both, frames_shown, wrap

if TYPE_CHECKING:
    from ...track2view_core.wan.bundle import Bundle
    from ...track2view_core.wan.bundle_config import BaseConfig
    from ...track2view_core.wan.condition import TrackCondition


SEAMS = "track2view"  # our key among a MODEL's wrappers and additional models, and among a condition's model_conds
LORA = "track2view_lora"
# Our keys among transformer_options: the deltas of the sampling run, and whether this call adds them.
RUN, ACTIVE = "track2view_run", "track2view_active"
WANTED = "Track2View takes WAN 2.1 text-to-video, or the experts of WAN 2.2 14B text-to-video"
_WRAPPED: ContextVar[bool] = ContextVar("track2view_wrapped", default=False)  # conds are prepared for a MODEL of ours
_OTHER_WANS = {
    "WAN21_Vace": "VACE",
    "WAN21_Camera": "Fun Camera",
    "WAN21_HuMo": "HuMo",
    "WAN22_S2V": "2.2 S2V",
    "WAN22_Animate": "2.2 Animate",
    "WAN22": "2.2 5B",
}


def base_of(model: Any, wanted: str = WANTED) -> BaseConfig:
    """What kind of WAN a MODEL is; refuses, by name, what Track2View cannot ride on, and says what is `wanted`."""
    from ...track2view_core.wan.bundle_config import BaseConfig

    kind = type(model.model).__name__
    if kind != "WAN21":
        other = _OTHER_WANS.get(kind)
        came = f"WAN {other}" if other else f"{kind}, which is no WAN 2.1"
        raise Track2ViewError(f"The MODEL is {came}; {wanted}: load such a file.")
    dit = model.model.diffusion_model
    if dit.in_dim != dit.out_dim or dit.ref_conv is not None or dit.img_emb is not None:
        raise Track2ViewError(
            f"The MODEL is a WAN with {dit.in_dim} input channels, for image-to-video or another control; {wanted}, "
            "with 16: load such a file."
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


def schedule_shift(model: Any) -> float | None:
    """The shift of a MODEL's noise schedule, where it has one."""
    return getattr(model.get_model_object("model_sampling"), "shift", None)


def with_condition(conditioning: list[Any], condition: TrackCondition) -> list[Any]:
    """A CONDITIONING whose every prompt brings the condition; one that was there before is replaced."""
    from comfy.conds import CONDConstant

    class Condition(CONDConstant):
        """Never cast or cut by core: it is no tensor. Its size makes core count the source's tokens as the target's."""

        def size(self) -> list[int]:
            return list(self.cond.source_latent.shape)

        def process_cond(self, *args: Any, **kwargs: Any) -> Any:
            if not _WRAPPED.get():  # a MODEL from before Apply would film on without a word
                raise Track2ViewError(
                    "The prompts come from Apply Track2View and the MODEL does not (or a node calls it without its "
                    "wrappers), so the tracks would be ignored; link MODEL, positive and negative of one Apply "
                    "Track2View to KSampler, SamplerCustomAdvanced or another node that uses ComfyUI's guiders."
                )
            return super().process_cond(*args, **kwargs)

    changed = []
    for text, options in conditioning:
        conds = {**options.get("model_conds", {}), SEAMS: Condition(condition)}
        changed.append([text, {**options, "model_conds": conds}])
    return changed


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
    patched = claimed(model, "Track2View")
    wrappers = {
        WrappersMP.OUTER_SAMPLE: seams.around_sampling,
        WrappersMP.PREPARE_SAMPLING: seams.around_preparing,
        WrappersMP.CALC_COND_BATCH: seams.around_prompts,
        WrappersMP.APPLY_MODEL: seams.around_model,
        WrappersMP.DIFFUSION_MODEL: seams.around_forward,
    }
    wrap(patched, SEAMS, wrappers)
    for name, replaced_by in (("rope_encode", _two_views_rope_encode), ("_forward", _guarded_forward)):
        original = patched.get_model_object(f"diffusion_model.{name}")
        original = getattr(original, "before_track2view", original)
        patched.add_object_patch(f"diffusion_model.{name}", replaced_by(original))
    counted = patched.get_model_object("memory_usage_factor_conds")
    patched.add_object_patch("memory_usage_factor_conds", tuple({*counted, SEAMS}))
    patched.set_additional_models(SEAMS, [conditioner])
    return patched


class _Seams:
    """What stands around a MODEL's sampling, around its forward and before its first block.

    It holds nothing but the bundle. What belongs to one sampling run lives in the run's own transformer_options: clones
    of the MODEL share these seams, runs may overlap in threads, and some nodes call the model outside any run.
    """

    def __init__(self, bundle: Bundle):
        self._bundle = bundle

    def around_sampling(self, executor: Any, noise: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Refuse a latent that is not of the clip before anything is loaded, and give this run what it keeps."""
        from ...track2view_core.wan.host_seams import RunCache, check_latent

        guider = executor.class_obj
        conds = [cond for conds in guider.conds.values() for cond in conds]
        for cond in conds:
            if SEAMS in cond.get("model_conds", {}):
                check_latent(cond["model_conds"][SEAMS].cond, noise.shape)
                self._check_lora(guider.model_patcher)
        options = guider.model_options.setdefault("transformer_options", {})  # core's copy for this run
        options[RUN], kept = RunCache(), KeptSources()
        # Hooks change the weights from step to step.
        if self._bundle.config.sampling.source_attention == "own" and not any(cond.get("hooks") for cond in conds):
            options[KEPT] = kept
        try:
            return executor(noise, *args, **kwargs)
        finally:
            options.pop(RUN, None)
            options.pop(KEPT, None)
            kept.clear()  # some nodes hold copies of the options

    def _check_lora(self, model: Any) -> None:
        """Not in Apply, since the LoRA may stand behind it."""
        if self._bundle.lora and model.get_attachment(LORA) is None:
            raise Track2ViewError(
                "The MODEL lacks the bundle's LoRA, without which it does not heed the tracks as trained; put "
                "Track2View LoRA between the model's loader and Apply Track2View (strength 0 where it is merged in)."
            )

    def around_prompts(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """Let the prompts with tracks know that they are in a MODEL that heeds them."""
        before = _WRAPPED.set(True)
        try:
            return executor(*args, **kwargs)
        finally:
            _WRAPPED.reset(before)

    def around_preparing(self, executor: Any, model: Any, noise_shape: Any, conds: Any, *args: Any, **kwargs: Any):
        tracked = [cond for group in conds.values() for cond in group if SEAMS in cond.get("model_conds", {})]
        if tracked:
            told = kwargs.get("model_options") or {}
            kept = told.get("transformer_options", {}).get(KEPT)
            if kept is None:
                noise_shape = counted_twice(noise_shape)
            else:
                frames = tracked[0]["model_conds"][SEAMS].cond.source_latent.shape[2]
                sources = len(tracked) if self._bundle.source_text is None else 1
                noise_shape = kept.settle(model, noise_shape, frames, sources, told.get("context_handler"))
        return executor(model, noise_shape, conds, *args, **kwargs)

    def around_model(
        self,
        executor: Any,
        x: Tensor,  # [B, 16, F', h8, w8]
        sigma: Tensor,  # [B]
        c_concat: Tensor | None = None,
        c_crossattn: Tensor | None = None,
        control: Any = None,
        transformer_options: dict[str, Any] | None = None,
        **conds: Any,
    ) -> Tensor:
        """Where the schedule is known, and torch.compile is not yet: decide whether this call adds the deltas."""
        from ...track2view_core.wan.host_seams import check_latent

        options = transformer_options or {}
        condition = conds.get(SEAMS)
        if condition is not None:
            if condition.bundle is not self._bundle:
                raise Track2ViewError(
                    "A prompt brings the tracks of another bundle than the MODEL's; link MODEL, positive and negative "
                    "from one Apply Track2View."
                )
            if "context_window" not in options:  # else x holds the window's frames alone
                check_latent(condition, x.shape)
            active = condition.active(float(sigma.flatten()[0]), executor.class_obj.model_sampling.percent_to_sigma)
            options = {"sigmas": sigma, **options, ACTIVE: active}
        return executor(x, sigma, c_concat, c_crossattn, control, options, **conds)

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
        """WAN's forward over [target, source], cropped to the target."""
        options = transformer_options or {}
        if SEAMS not in conds or ACTIVE not in options:  # no tracks, or past around_model: see _guarded_forward
            return executor(x, timestep, context, clip_fea, time_dim_concat, options, **conds)
        condition = conds.pop(SEAMS)
        sampling = self._bundle.config.sampling
        index = frames_shown(options, condition.source_latent.shape[2])
        source = condition.source_latent[:, :, list(index)]

        def deltas(tokens: Tensor) -> Tensor:
            # torch annotates its decorator as one that is called first.
            return _deltas(tokens, condition, index, options)  # pyright: ignore[reportCallIssue]

        if sampling.source_attention == "own":
            return forward_own(
                executor, x, timestep, context, clip_fea, time_dim_concat, options, source=source,
                rotary=sampling.rotary, deltas=deltas if options[ACTIVE] else None, clip=condition, window=index,
                source_text=self._bundle.source_text, **conds,
            )  # fmt: skip
        told = {**options, VIEWS: (x.shape[2], sampling.rotary, "both")}
        if options[ACTIVE]:
            view = len(index) * (x.shape[3] // 2) * (x.shape[4] // 2)
            told = before_first_block(told, lambda tokens: deltas(tokens[:1, view : 2 * view]))
        return forward_both(
            executor, x, timestep, context, clip_fea, time_dim_concat, told,
            source=source, source_timestep=sampling.source_timestep, **conds,
        )  # fmt: skip


@torch.compiler.disable
def _deltas(
    tokens: Tensor,  # [1, F' h w, D] of the source after patch embedding
    condition: TrackCondition,
    index: tuple[int, ...],  # F' latent frames of the clip
    options: dict[str, Any],
) -> Tensor:  # [1, 2 F' h w, D]
    """The deltas of this call: those of the run, else computed anew, since nothing says how long they would hold."""
    from comfy.model_management import unet_offload_device

    from ...track2view_core.wan.host_seams import token_deltas

    # One window's at a time on the device.
    home = unet_offload_device() if "context_window" in options else tokens.device

    def compute() -> Tensor:
        return token_deltas(condition, tokens, index).to(home)

    run = options.get(RUN)
    if run is None:
        return compute().to(tokens)
    return run.get((condition, index), float(options["sigmas"].flatten()[0]), compute).to(tokens)


def _two_views_rope_encode(original: Any) -> Any:
    """WAN's rotary table; inside a forward with tracks that of its views."""

    def encode(t: int, h: int, w: int, *args: Any, transformer_options: Any = None, **kwargs: Any) -> Tensor:
        from ...track2view_core.wan.host_seams import sequence_rotary

        options = transformer_options or {}

        def table_of(frames: int) -> Tensor:
            return original(frames, h, w, *args, transformer_options=options, **kwargs)

        if VIEWS not in options:
            return table_of(t)
        return sequence_rotary(table_of, t, *options[VIEWS])

    encode.before_track2view = original
    return encode


def _guarded_forward(original: Any) -> Any:
    """WAN's forward inside its wrappers, which core calls with a condition only where it left the wrappers out."""

    def forward(*args: Any, **kwargs: Any) -> Tensor:
        if SEAMS in kwargs:
            raise Track2ViewError(
                "The node that samples calls the MODEL without its wrappers, where the tracks cannot reach it; sample "
                "with KSampler, SamplerCustomAdvanced or another node that uses ComfyUI's guiders."
            )
        return original(*args, **kwargs)

    forward.before_track2view = original
    return forward
