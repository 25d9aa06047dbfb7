"""Stage back-ends: what NeoVerse takes of the tracks and the clip's own pixels."""

from __future__ import annotations

import torch
from comfy_api.latest import io
from torch import Tensor

from ..track2view_core.errors import Track2ViewError
from .bridge.folders import is_there, model_file, model_files
from .bridge.host import schema
from .dense_inputs import dense_view, linked_depth, linked_movers, movers_socket
from .depth_inputs import depth_distances, depth_kind, geometry_sockets
from .reports import report_at
from .sockets import PAIRED_TRACKS, frames_from_image, image_from_frames

CATEGORY = "Track2View/back-ends"
MODELS = "diffusion_models"
EMBEDDING_ENDING = "_camera_embedding.safetensors"  # as `track2view convert-model` names it
USUAL_EMBEDDING = f"neoverse_14B{EMBEDDING_ENDING}"


class NeoVerseConditioning(io.ComfyNode):
    """Renders by itself, as Keep Known Pixels does: NeoVerse takes the new view's camera z, evenly, and Render Target
    View's pictures hold 1 / z over a range that is cut at both ends, from which far z would come back wrong."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_NeoVerseConditioning",
            display_name="NeoVerse Conditioning",
            category=CATEGORY,
            description="Show NeoVerse the clip from the new camera, its depth and the camera itself, so that it films "
            "the clip again from there.",
            search_aliases=["NeoVerse", "Pluecker", "camera control", "4D"],
            inputs=_inputs(),
            outputs=[
                io.Conditioning.Output("controlled_positive", display_name="positive", tooltip="For the sampler."),
                io.Conditioning.Output("controlled_negative", display_name="negative", tooltip="For the sampler."),
                io.Latent.Output("latent", display_name="latent", tooltip="Empty, of the clip's size and length."),
                io.Image.Output(
                    "target_view",
                    display_name="target view",
                    tooltip="What the model is shown: the clip from the new camera, holes black.",
                ),
                io.Image.Output(
                    "target_depth",
                    display_name="target depth",
                    tooltip="What the model is shown of its depth: far is bright, evenly in distance, holes black.",
                ),
                io.String.Output(
                    "report", display_name="report", tooltip="How much is covered, and what its depth rests on."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, embedding=None) -> bool | str:
        return is_there(MODELS, embedding)

    @classmethod
    def execute(
        cls,
        positive,
        negative,
        vae,
        paired_tracks,
        image,
        embedding,
        strength,
        keep_render,
        scene_depth,
        movers=None,
        **depth_fields,
    ) -> io.NodeOutput:
        from ..track2view_core.render.view_notes import known_notes, shares
        from ..track2view_core.wan import neoverse
        from .bridge.vace_control import with_control

        module = neoverse.load_camera_embedding(model_file(MODELS, embedding))
        distances = linked_depth(image, paired_tracks, **depth_fields)
        video, moving = frames_from_image(image, "image"), linked_movers(movers, image)
        neoverse.check_pictures(*video.shape[:3])
        view = dense_view(video, paired_tracks, depth=distances, movers=moving)
        shown = neoverse.control_view(
            paired_tracks, video, view.frames, view.holes, view.inverse, keep_render=keep_render
        )
        height, width = video.shape[1:3]
        told = module(shown.known, neoverse.control_camera(paired_tracks, width, height, scene_depth))
        pictures = image_from_frames(shown.pictures)
        depths = shown.depth[..., None].repeat(1, 1, 1, 3)
        latents = torch.cat([_encoded(vae, pictures, told), _encoded(vae, depths, told)], 1)
        conditions = [with_control(prompt, latents, told, strength) for prompt in (positive, negative)]
        empty = {"samples": torch.zeros_like(latents[:, :16])}
        notes = (*known_notes(shares(~view.holes)), *neoverse.start_notes(paired_tracks), *view.notes)
        report = report_at("Track2View_NeoVerseConditioning", notes)
        return io.NodeOutput(*conditions, empty, pictures, depths, report.text, ui=report.ui)


def _encoded(vae, pictures: Tensor, told: Tensor) -> Tensor:
    """Pictures `[T, H, W, 3]` as latents `[1, 16, F, h, w]`, of the embedding's F, h and w."""
    latents = vae.encode(pictures)
    if latents.shape != (1, 16, *told.shape[2:]):
        raise Track2ViewError(
            f"The VAE makes latents of shape {list(latents.shape)} of the clip, and NeoVerse takes "
            f"{[1, 16, *told.shape[2:]]}; link WAN 2.1's VAE."
        )
    return latents


def _inputs() -> list[io.Input]:
    converted = [name for name in model_files(MODELS) if name.endswith(EMBEDDING_ENDING)]
    return [
        io.Conditioning.Input("positive", tooltip="The prompt, from CLIP Text Encode."),
        io.Conditioning.Input("negative", tooltip="What to stay away from; of no effect at cfg 1."),
        io.Vae.Input("vae", tooltip="WAN 2.1's VAE."),
        PAIRED_TRACKS.Input("paired_tracks", tooltip="From Pair Tracks."),
        io.Image.Input("image", tooltip="The frames that the tracks were paired for, from Prepare Clip."),
        io.Combo.Input(
            "embedding",
            options=converted or [USUAL_EMBEDDING],
            default=converted[0] if converted else USUAL_EMBEDDING,
            tooltip="The small file that `track2view convert-model neoverse` wrote beside the model, in "
            "models/diffusion_models.",
        ),
        io.Float.Input(
            "strength",
            default=1.0,
            min=0.0,
            max=10.0,
            step=0.01,
            tooltip="How much the render counts; 1 as trained.",
        ),
        io.Boolean.Input(
            "keep_render",
            default=False,
            tooltip="Tell the model to keep what the render knows. Off, as NeoVerse is published, it repaints all of "
            "it after the render, which mends smeared rims.",
        ),
        io.Float.Input(
            "scene_depth",
            default=1.0,
            min=0.01,
            max=100.0,
            step=0.01,
            tooltip="How far the scene's median depth lies in NeoVerse's own units, by which it reads how far the "
            "camera travels. Nobody has published them: 1 is a start; more makes the same path a longer way.",
        ),
        depth_kind(),
        io.Image.Input(
            "depth",
            optional=True,
            tooltip="Depth images of the same frames, fitted to the tracks, instead of depth found from the tracks.",
        ),
        *depth_distances(),
        *geometry_sockets(),
        movers_socket(),
    ]


NODES = (NeoVerseConditioning,)
