"""Stage loading: bundle, base model, and a prompt for models that know no text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from comfy_api.latest import io

from ..track2view_core.errors import Track2ViewError
from .bridge.folders import BUNDLE_FOLDER, diffusers_folder, diffusers_folders, is_there, model_file, model_files
from .bridge.host import compute_dtype, managed, schema
from .bridge.native import with_lora
from .reports import report_at
from .sockets import BUNDLE, WAN

CATEGORY = "Track2View/loading"
TINY_DIT, TINY_BUNDLE = "track2view_tiny_dit.safetensors", "track2view_tiny_bundle.safetensors"
DIFFUSERS_PREFIX = "diffusers/"
TEXT_TOKENS, TEXT_WIDTH = 512, 4096


@dataclass(frozen=True, eq=False)
class LoadedBundle:
    """What travels on a BUNDLE wire: the bundle, and the patcher by which ComfyUI moves its conditioner."""

    bundle: Any  # track2view_core.wan.bundle.Bundle
    patcher: Any


@dataclass(frozen=True, eq=False)
class LoadedWan:
    """What travels on a WAN wire: the transformer, and the patcher by which ComfyUI moves it."""

    transformer: Any  # diffusers.WanTransformer3DModel
    patcher: Any


class LoadBundle(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_LoadBundle",
            display_name="Load Track2View",
            category=CATEGORY,
            description="Load a Track2View bundle: the track conditioner and the LoRA of one WAN base.",
            search_aliases=["track2view loader"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=model_files(BUNDLE_FOLDER),
                    default=TINY_BUNDLE,
                    tooltip="A bundle in models/track2view; track2view_tiny_bundle is shipped and goes with "
                    "track2view_tiny_dit and _vae.",
                ),
            ],
            outputs=[
                BUNDLE.Output("bundle", display_name="bundle", tooltip="For Condition on Tracks and Track2View LoRA."),
                io.String.Output(
                    "report", display_name="report", tooltip="What the bundle is and the settings it recommends."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, file=None) -> bool | str:
        return is_there(BUNDLE_FOLDER, file)

    @classmethod
    def execute(cls, file) -> io.NodeOutput:
        from ..track2view_core.wan.bundle import load_bundle

        with torch.inference_mode(False):  # weights that outlive this run must not be inference tensors
            bundle = load_bundle(model_file(BUNDLE_FOLDER, file), dtype=compute_dtype("auto"))
        sampling = bundle.config.sampling
        told = (
            f"{file}: for a WAN {bundle.config.base}; {sampling.frames} frames of {sampling.width} x "
            f"{sampling.height}, "
            f"{sampling.steps} steps, guidance {sampling.guidance:g}, shift {sampling.shift:g}, {sampling.scheduler}, "
            + ("with a text prompt" if sampling.uses_text else "without text: use Empty Prompt")
        )
        size = f"{sampling.frames} frames, {sampling.width} x {sampling.height}, {sampling.steps} steps"
        report = report_at("Track2View_LoadBundle", figures=size, table=told)
        return io.NodeOutput(LoadedBundle(bundle, managed(bundle.conditioner)), report.text, ui=report.ui)


class ApplyLoRA(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_ApplyLoRA",
            display_name="Track2View LoRA",
            category=CATEGORY,
            description="Put the bundle's LoRA on a WAN MODEL, once, before anything that a camera path changes.",
            inputs=[
                io.Model.Input("model", tooltip="The base the bundle was made for, from a WAN loader of any kind."),
                BUNDLE.Input("bundle", tooltip="From Load Track2View."),
                io.Float.Input(
                    "strength", default=1.0, min=-4.0, max=4.0, step=0.05, tooltip="Strength of the LoRA; 1 as trained."
                ),
            ],
            outputs=[io.Model.Output("patched_model", display_name="MODEL", tooltip="For Apply Track2View.")],
        )

    @classmethod
    def execute(cls, model, bundle, strength) -> io.NodeOutput:
        return io.NodeOutput(with_lora(model, bundle.bundle, strength))


class LoadWanDiffusers(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        folders = [DIFFUSERS_PREFIX + name for name in diffusers_folders()]
        return schema(
            node_id="Track2View_LoadWanDiffusers",
            display_name="Load WAN (diffusers)",
            category=CATEGORY,
            description="Load a WAN 2.1 text-to-video transformer for the Track2View Sampler (diffusers).",
            search_aliases=["wan loader"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=model_files("diffusion_models") + folders,
                    default=TINY_DIT,
                    tooltip="A WAN 2.1 T2V file of models/diffusion_models, or a folder of models/diffusers.",
                ),
                io.Combo.Input(
                    "dtype",
                    options=["auto", "bfloat16", "float16", "float32"],
                    default="auto",
                    tooltip="Precision of the weights; auto takes bfloat16 where the device is fast at it.",
                ),
            ],
            outputs=[WAN.Output("wan", display_name="WAN", tooltip="For the Track2View Sampler (diffusers).")],
        )

    @classmethod
    def validate_inputs(cls, file=None) -> bool | str:
        if file is None or not file.startswith(DIFFUSERS_PREFIX):
            return is_there("diffusion_models", file)
        try:
            diffusers_folder(file.removeprefix(DIFFUSERS_PREFIX))
        except Track2ViewError as error:
            return str(error)
        return True

    @classmethod
    def execute(cls, file, dtype) -> io.NodeOutput:
        from ..track2view_core.wan.checkpoints import load_transformer

        if file.startswith(DIFFUSERS_PREFIX):
            path = diffusers_folder(file.removeprefix(DIFFUSERS_PREFIX))
        else:
            path = model_file("diffusion_models", file)
        with torch.inference_mode(False):
            transformer = load_transformer(path, compute_dtype(dtype))
        return io.NodeOutput(LoadedWan(transformer, managed(transformer)))


class EmptyPrompt(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_EmptyPrompt",
            display_name="Empty Prompt (no text encoder)",
            category=CATEGORY,
            description="A prompt of zeros in the shape of WAN's text encoder, for models trained without text, such "
            "as the tiny one.",
            inputs=[],
            outputs=[
                io.Conditioning.Output("conditioning", display_name="conditioning", tooltip="512 text tokens of zeros.")
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput([[torch.zeros(1, TEXT_TOKENS, TEXT_WIDTH), {}]])


NODES = (LoadBundle, ApplyLoRA, LoadWanDiffusers, EmptyPrompt)
