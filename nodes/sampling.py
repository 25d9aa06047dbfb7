"""Stage sampling: the new view, by the diffusers route."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..track2view_core.errors import Track2ViewError
from .comfy_bridge import load_whole, progress_callback, raw_latent, schema, show_text
from .sockets import BUNDLE, CONDITION, WAN

CATEGORY = "Track2View/sampling"
BUNDLES_OWN = "bundle"


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
            outputs=[io.Latent.Output("latent", display_name="latent", tooltip="The new view, for core's VAE Decode.")],
        )

    @classmethod
    def execute(
        cls, wan, bundle, positive, condition, seed, steps, cfg, shift, scheduler, negative=None
    ) -> io.NodeOutput:
        from ..track2view_core.wan.sampler import sample
        from ..track2view_core.wan.text import empty_text

        if bundle.bundle is not condition.bundle:
            raise Track2ViewError(
                "The sampler's bundle and the condition's come from two Load Track2View nodes; link both from one."
            )
        bundle.bundle.check_fits(wan.transformer)
        trained = bundle.bundle.config.sampling
        text = _embedding(positive, "positive")
        without = _embedding(negative, "negative") if negative is not None else empty_text(wan.transformer)
        guidance = (cfg or trained.guidance) if trained.uses_text else 1.0
        if not trained.uses_text and (text.any() or cfg not in (0.0, 1.0)):
            show_text("This bundle was trained without text: prompt and cfg have no effect; use Empty Prompt.")
            text = torch.zeros_like(text)
        load_whole([wan.patcher, bundle.patcher], _working_memory(wan.transformer.config, condition))
        latent = sample(
            wan.transformer,
            condition,
            positive=text,
            negative=without if guidance != 1.0 else None,
            steps=steps or trained.steps,
            guidance=guidance,
            shift=shift or trained.shift,
            seed=seed,
            scheduler=trained.scheduler if scheduler == BUNDLES_OWN else scheduler,
            progress=progress_callback(),
        )
        return io.NodeOutput(raw_latent(latent))


def _embedding(conditioning, name: str) -> torch.Tensor:
    """The text `[1, L, width]` of a CONDITIONING with one prompt."""
    if not isinstance(conditioning, list) or len(conditioning) != 1:
        raise Track2ViewError(
            f"{name} holds {len(conditioning)} prompts; this sampler takes one: link CLIP Text Encode or Empty "
            f"Prompt directly."
        )
    return conditioning[0][0].float()


def _working_memory(config, condition) -> int:
    """Bytes that one forward needs beside the weights: tokens of both views, their per-token timesteps, one block."""
    _, _, frames, height, width = condition.source_latent.shape
    frames = min(frames, 1 + condition.bundle.config.sampling.frames // 4)
    tokens = 2 * frames * (height // 2) * (width // 2)
    dim = config.num_attention_heads * config.attention_head_dim
    modulation, block = 4 * 6 * dim, 2 * (8 * dim + 2 * config.ffn_dim)
    return tokens * (modulation + block)


NODES = (SampleDiffusers,)
