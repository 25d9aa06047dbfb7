"""Stage sampling: the new view, on ComfyUI's own MODEL or by the diffusers route, and what it will take of the card."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..track2view_core.errors import Track2ViewError
from ..track2view_core.notes import Note, doubtful
from .bridge.host import (
    compute_dtype,
    device_memory,
    host_memory,
    load_whole,
    progress_callback,
    raw_latent,
    schema,
)
from .bridge.kept_source import source_notes
from .bridge.native import schedule_shift, with_condition, with_seams
from .reports import report_at
from .sockets import BUNDLE, CONDITION, WAN

CATEGORY = "Track2View/sampling"
BUNDLES_OWN = "bundle"
GIB = 2**30


class ApplyToModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_ApplyToModel",
            display_name="Apply Track2View",
            category=CATEGORY,
            description="Let ComfyUI's own samplers film the clip again from the new camera.",
            search_aliases=["wan camera control", "recamera"],
            inputs=[
                io.Model.Input(
                    "model", tooltip="WAN 2.1 text-to-video (or an expert of 2.2 14B), after Track2View LoRA."
                ),
                io.Conditioning.Input(
                    "positive", tooltip="A caption of the clip from WAN's text encoder, or Empty Prompt."
                ),
                io.Conditioning.Input(
                    "negative", tooltip="What to stay away from, used with cfg above 1; else link the positive one."
                ),
                CONDITION.Input("condition", tooltip="From Condition on Tracks."),
            ],
            outputs=[
                io.Model.Output("patched_model", display_name="MODEL", tooltip="For the sampler."),
                io.Conditioning.Output(
                    "positive_with_tracks", display_name="positive", tooltip="For the sampler, with the tracks."
                ),
                io.Conditioning.Output(
                    "negative_with_tracks", display_name="negative", tooltip="For the sampler, with the tracks."
                ),
                io.Latent.Output(
                    "latent", display_name="latent", tooltip="An empty latent of the clip's size and length."
                ),
                io.String.Output(
                    "report", display_name="report", tooltip="The settings of the sampler that the bundle goes with."
                ),
            ],
        )

    @classmethod
    def execute(cls, model, positive, negative, condition) -> io.NodeOutput:
        from ..track2view_core.wan.trained_for import schedule_notes

        track_condition = condition.condition
        patched = with_seams(model, track_condition, condition.patcher)
        notes = schedule_notes(track_condition.bundle.config.sampling, schedule_shift(model))
        kept = source_notes(model, track_condition)
        report = report_at("Track2View_ApplyToModel", (*notes, *kept, *doubtful(track_condition.tracks.notes)))
        return io.NodeOutput(
            patched,
            with_condition(positive, track_condition),
            with_condition(negative, track_condition),
            {"samples": torch.zeros_like(track_condition.source_latent)},
            report.text,
            ui=report.ui,
        )


class SampleDiffusers(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_SampleDiffusers",
            display_name="Track2View Sampler (diffusers)",
            category=CATEGORY,
            description="Film the clip again from the new camera, with the whole model on the device (no offloading).",
            search_aliases=["wan sampler"],
            inputs=_sampling_inputs(),
            outputs=[
                io.Latent.Output("latent", display_name="latent", tooltip="The new view, for core's VAE Decode."),
                io.String.Output("report", display_name="report", tooltip="What it was sampled with."),
            ],
        )

    @classmethod
    def execute(
        cls, wan, bundle, positive, condition, seed, steps, cfg, shift, scheduler, negative=None
    ) -> io.NodeOutput:
        from ..track2view_core.wan.memory import diffusers_request, sampling_memory, with_home
        from ..track2view_core.wan.models import empty_text
        from ..track2view_core.wan.sampler import sample

        condition = condition.condition
        if bundle.bundle is not condition.bundle:
            raise Track2ViewError(
                "The sampler's bundle and the condition's come from two Load Track2View nodes; link both from one."
            )
        bundle.bundle.check_fits(wan.transformer)
        trained = bundle.bundle.config.sampling
        text = _embedding(positive, "positive")
        without = _embedding(negative, "negative") if negative is not None else empty_text(wan.transformer)
        guidance = (cfg or trained.guidance) if trained.uses_text else 1.0
        steps, shift = steps or trained.steps, shift or trained.shift
        notes = [_sampled(condition, steps=steps, guidance=guidance, shift=shift, seed=seed)]
        if not trained.uses_text and text.any():
            notes.append(Note.of("prompt_unused"))
            text = torch.zeros_like(text)
        if not trained.uses_text and cfg not in (0.0, 1.0):
            notes.append(Note.of("guidance_unused"))
        patchers = [wan.patcher, bundle.patcher]
        _, _, frames, height, width = condition.source_latent.shape
        request = diffusers_request(
            bundle.bundle.config,
            frames=4 * (frames - 1) + 1,
            height=8 * height,
            width=8 * width,
            tracks=condition.tracks.visible.shape[1],
            dtype=wan.transformer.patch_embedding.weight.dtype,
            guided=guidance != 1.0,
        )
        if trained.source_attention == "own":
            weights = sum(patcher.model_size() for patcher in patchers)
            request, kept = with_home(request, weights=weights, card=device_memory()[2], host=host_memory())
            notes.append(kept)
        report = report_at("Track2View_SampleDiffusers", (*notes, *doubtful(condition.tracks.notes)))
        load_whole(patchers, sampling_memory(request))
        latent = sample(
            wan.transformer,
            condition,
            positive=text,
            negative=without if guidance != 1.0 else None,
            steps=steps,
            guidance=guidance,
            shift=shift,
            seed=seed,
            scheduler=trained.scheduler if scheduler == BUNDLES_OWN else scheduler,
            source_states=request.home,
            progress=progress_callback(),
        )
        return io.NodeOutput(raw_latent(latent), report.text, ui=report.ui)


def _sampled(condition: Any, **settings: Any) -> Note:
    _, _, frames, height, width = condition.source_latent.shape
    return Note.of("sampling", frames=4 * (frames - 1) + 1, width=8 * width, height=8 * height, **settings)


def _sampling_inputs() -> list[io.Input]:
    return [
        WAN.Input("wan", tooltip="The base the bundle was made for, from Load WAN (diffusers)."),
        BUNDLE.Input("bundle", tooltip="The same bundle that Condition on Tracks got; it brings the LoRA."),
        io.Conditioning.Input("positive", tooltip="A caption of the clip from WAN's text encoder, or Empty Prompt."),
        CONDITION.Input("condition", tooltip="From Condition on Tracks."),
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=0xFFFF_FFFF_FFFF_FFFF,
            control_after_generate=True,
            tooltip="The noise; the same seed gives the same video.",
        ),
        io.Int.Input(
            "steps", default=0, min=0, max=1000, tooltip="Denoising steps; 0 takes what the bundle recommends."
        ),
        io.Float.Input(
            "cfg",
            default=0.0,
            min=0.0,
            max=30.0,
            step=0.1,
            tooltip="Text guidance; 1 is none and twice as fast, 0 takes what the bundle recommends.",
        ),
        io.Float.Input(
            "shift",
            default=0.0,
            min=0.0,
            max=100.0,
            step=0.1,
            tooltip="Shift of the noise schedule; 0 takes what the bundle was trained with.",
        ),
        io.Combo.Input(
            "scheduler",
            options=[BUNDLES_OWN, "euler", "unipc"],
            default=BUNDLES_OWN,
            tooltip="bundle takes what the bundle recommends.",
        ),
        io.Conditioning.Input(
            "negative", optional=True, tooltip="What to stay away from, used with cfg above 1; none is zeros."
        ),
    ]


def _embedding(conditioning, name: str) -> torch.Tensor:
    """The text `[1, L, width]` of a CONDITIONING with one prompt."""
    if not isinstance(conditioning, list) or len(conditioning) != 1:
        raise Track2ViewError(
            f"{name} holds {len(conditioning)} prompts; this sampler takes one: link CLIP Text Encode or Empty "
            f"Prompt directly."
        )
    return conditioning[0][0].float()


class MemoryPlan(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_MemoryPlan",
            display_name="Memory Plan",
            category=CATEGORY,
            description="Estimate memory and time of a generation before anything is loaded, and find the first "
            "setting that fits the card.",
            search_aliases=["VRAM", "out of memory", "estimate"],
            inputs=_plan_inputs(),
            outputs=[
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip="Memory by stage, whether it fits, what to change if not, and the time.",
                )
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls, base, width, height, frames, dtype, route, offload, guidance, points, window, steps, card_memory,
        bundle=None,
    ) -> io.NodeOutput:  # fmt: skip
        from ..track2view_core.wan import memory

        known: dict[str, Any] = {"base": memory.known_base(base)}
        if bundle is not None:
            said = memory.bundle_settings(bundle.bundle.config)
            trained = "base", "conditioner", "source_timestep", "source_attention", "source_text"
            known = {name: said[name] for name in trained}
            guidance = guidance and said["base"].uses_text
        request = memory.Request(
            **known, frames=frames, height=height, width=width, dtype=dtype, route=route, offload=offload,
            guidance=guidance, batched=route == "native", tracks=points, window=window, steps=steps,
        )  # fmt: skip
        device, name, free = device_memory()
        if card_memory:
            free = round(card_memory * GIB)
        fit = memory.first_that_fits(request, free)
        rate = memory.matrix_rate(device, compute_dtype("auto"))
        time = memory.estimate_time(request, rate)
        plan = memory.plan_memory(request)
        notes = memory.plan_notes(plan, free, fit, time, rate, name)
        report = report_at("Track2View_MemoryPlan", notes, table=memory.plan_table(plan))
        return io.NodeOutput(report.text, ui={"text": (report.text,), **report.ui})


def _plan_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "base",
            options=["1.3B", "14B", "tiny"],
            default="1.3B",
            tooltip="The WAN to plan for; a linked bundle knows its own and overrides this.",
        ),
        io.Int.Input("width", default=832, min=16, max=8192, step=16, tooltip="Width of the clip the model works on."),
        io.Int.Input("height", default=480, min=16, max=8192, step=16, tooltip="Height of the clip."),
        io.Int.Input("frames", default=81, min=1, max=4001, step=4, tooltip="Length of the clip, 4n + 1 frames."),
        io.Combo.Input(
            "dtype",
            options=["bf16", "fp16", "fp32", "fp8"],
            default="bf16",
            tooltip="Precision of the DiT's weights; fp8 weights are computed with in bf16.",
        ),
        io.Combo.Input(
            "route",
            options=["native", "diffusers"],
            default="native",
            tooltip="native is ComfyUI's own MODEL with Apply Track2View; diffusers is the Track2View Sampler "
            "(diffusers).",
        ),
        io.Boolean.Input(
            "offload",
            default=False,
            tooltip="Count the DiT's weights in host memory, passing through the card block by block; ComfyUI does so "
            "by itself where the card is short.",
        ),
        io.Boolean.Input("guidance", default=True, tooltip="Whether cfg is above 1: a second prompt, twice the time."),
        io.Int.Input("points", default=1024, min=1, max=20_000, tooltip="How many tracks condition the clip."),
        io.Int.Input(
            "window",
            default=81,
            min=1,
            max=4001,
            step=4,
            tooltip="Frames that are denoised at once; longer clips run in overlapping windows.",
        ),
        io.Int.Input("steps", default=50, min=1, max=1000, tooltip="Sampling steps, for the time."),
        io.Float.Input(
            "card_memory",
            default=0.0,
            min=0.0,
            max=1024.0,
            step=0.5,
            tooltip="Free memory of another card in GiB; 0 asks this one, counting what ComfyUI can take off it.",
        ),
        BUNDLE.Input(
            "bundle", optional=True, tooltip="From Load Track2View: base, conditioner and source timestep come from it."
        ),
    ]


NODES = (ApplyToModel, SampleDiffusers, MemoryPlan)
