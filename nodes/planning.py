"""Stage sampling: what a generation takes before any model is loaded."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from .comfy_bridge import compute_dtype, device_memory, schema, show_text
from .sockets import BUNDLE

CATEGORY = "Track2View/sampling"
GIB = 2**30


def _inputs() -> list[io.Input]:
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


class MemoryPlan(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_MemoryPlan",
            display_name="Memory Plan",
            category=CATEGORY,
            description="Estimate memory and time of a generation before anything is loaded, and find the first "
            "setting that fits the card.",
            search_aliases=["vram", "out of memory", "estimate"],
            inputs=_inputs(),
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
            known = {name: said[name] for name in ("base", "conditioner", "source_timestep")}
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
        text = memory.report(memory.plan_memory(request), free, fit, time, rate, name)
        show_text(fit.sentence)
        return io.NodeOutput(text, ui={"text": (text,)})


NODES = (MemoryPlan,)
