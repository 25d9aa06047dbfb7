"""Stage back-ends: what other video models take of the tracks, and the clip's own pixels where they are."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..track2view_core.errors import Track2ViewError
from .bridge.host import progress_callback, schema
from .dense_inputs import (
    RenderedView,
    analysed_clip,
    dense_view,
    linked_depth,
    linked_movers,
    movers_socket,
    rendering_device,
)
from .depth_inputs import depth_distances, depth_kind, geometry_sockets
from .reports import report_at
from .sockets import (
    CLIP_INFO,
    PAIRED_TRACKS,
    POINT_TRACKS,
    TRACKS,
    frames_from_image,
    image_from_frames,
    one_of,
    unpadded,
)

CATEGORY = "Track2View/back-ends"
GREY, FILLED = "grey", "filled"
HOLE_COLOURS = {GREY: 0.5, "black": 0.0, FILLED: None}
ONE_A_FRAME, FOR_ATI = "one a frame", "121 (ATI)"
ALL_FRAMES, FIRST_FRAMES = "all frames show it", "the first frame shows it"


class RenderTargetView(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_RenderTargetView",
            display_name="Render Target View",
            category=CATEGORY,
            description="Show the clip's own pixels from the new camera, with masks of the holes and the new view's "
            "depth, without any model.",
            search_aliases=["VACE", "reproject", "warp", "splat", "point cloud render"],
            inputs=_view_inputs(),
            outputs=_view_outputs(),
        )

    @classmethod
    def execute(
        cls,
        paired_tracks,
        image,
        reach,
        remember,
        latent_holes,
        hole_colour=GREY,
        growth=0,
        edge_cut=0,
        movers=None,
        **depth_fields,
    ) -> io.NodeOutput:
        from ..track2view_core.render.depth_pictures import near_is_bright
        from ..track2view_core.render.hole_masks import grown, over_latent_frames, vace_mask
        from ..track2view_core.render.view_notes import known_notes, length_notes, shares

        one_of(HOLE_COLOURS, hole_colour, "hole_colour")
        distances = linked_depth(image, paired_tracks, **depth_fields)
        video, moving = frames_from_image(image, "image"), linked_movers(movers, image)
        if reach:
            view = _points_alone(video, paired_tracks, distances, reach, remember, hole_colour)
        else:
            view = dense_view(video, paired_tracks, depth=distances, movers=moving, remember=remember)
        cut = grown(view.holes, edge_cut)
        holes = over_latent_frames(cut) if latent_holes else cut
        picture = image_from_frames(view.frames)
        if hole_colour != FILLED:
            picture[holes] = HOLE_COLOURS[hole_colour]
        masked, unfit = grown(cut, growth), length_notes(len(cut))
        vace = masked if unfit else vace_mask(masked)
        far = near_is_bright(view.inverse if hole_colour == FILLED else torch.where(cut, 0.0, view.inverse))
        covered = known_notes(shares(~cut), "surroundings" if hole_colour == FILLED else None)
        report = report_at("Track2View_RenderTargetView", (*covered, *far.notes, *unfit, *view.notes))
        depths = far.pictures[..., None].repeat(1, 1, 1, 3)
        return io.NodeOutput(picture, grown(holes, growth).float(), report.text, vace.float(), depths, ui=report.ui)


def _view_inputs() -> list[io.Input]:
    return [
        PAIRED_TRACKS.Input("paired_tracks", tooltip="From Pair Tracks."),
        io.Image.Input("image", tooltip="The frames that the tracks were paired for, from Prepare Clip."),
        io.Int.Input(
            "reach",
            default=0,
            min=0,
            max=256,
            tooltip="0 gives every pixel a depth of its own. Above, pixels around a tracked point take that point's "
            "depth, as far as this, and 1 draws the points alone.",
        ),
        io.Boolean.Input(
            "remember",
            default=True,
            tooltip="Fill holes with what the source shows of the same place at another time.",
        ),
        io.Boolean.Input(
            "latent_holes",
            default=True,
            tooltip="A hole in one of the four frames of a latent frame is a hole in all four: VACE takes the mask of "
            "only one of them.",
        ),
        depth_kind(),
        io.Image.Input(
            "depth",
            optional=True,
            tooltip="Depth images of the same frames, fitted to the tracks, instead of depth found from the tracks.",
        ),
        *depth_distances(),
        *geometry_sockets(),
        io.Combo.Input(
            "hole_colour",
            options=list(HOLE_COLOURS),
            default=GREY,
            optional=True,
            tooltip="What holes show: grey for VACE and Uni3C, black for NeoVerse and EX-4D, filled with what lies "
            "around and behind them for a film without any model.",
        ),
        io.Int.Input(
            "growth",
            optional=True,
            default=0,
            min=0,
            max=128,
            tooltip="Pixels by which the masks are larger than the holes; the picture keeps its pixels there. Models "
            "hide seams better with a few.",
        ),
        io.Int.Input(
            "edge_cut",
            optional=True,
            default=0,
            min=0,
            max=128,
            tooltip="Pixels of the known rim around holes that become holes themselves, where the rim is smeared.",
        ),
        movers_socket(),
    ]


def _view_outputs() -> list[io.Output]:
    return [
        io.Image.Output(
            "target_view",
            display_name="target view",
            tooltip="The clip from the new camera; holes are grey (0.5) unless hole_colour says otherwise.",
        ),
        io.Mask.Output("holes", display_name="holes", tooltip="1 where nothing is known: what VACE shall fill."),
        io.String.Output(
            "report",
            display_name="report",
            tooltip="How much of the new view is covered, and what its depth rests on.",
        ),
        io.Mask.Output(
            "vace_mask",
            display_name="vace mask",
            tooltip="The holes so that core's WanVaceToVideo, which takes the mask of one frame in four, misses none "
            "of them at any length.",
        ),
        io.Image.Output(
            "target_depth",
            display_name="target depth",
            tooltip="Depth of the new view, near is bright: from the clip's farthest (0) to its nearest (1), evenly "
            "in 1 / depth, the same for all frames; 0 in holes that are not filled, all black where reach is above 0. "
            "The report has the two distances.",
        ),
    ]


def _points_alone(video, paired_tracks, depth, reach, remember, hole_colour) -> RenderedView:
    """The picture of reach above 0; it has no depth."""
    from ..track2view_core.render.splat import render_target_view
    from ..track2view_core.render.view_notes import doubts

    if hole_colour == FILLED:
        raise Track2ViewError("hole_colour is filled, which takes a depth for every pixel; set reach to 0.")
    settings = {"reach": reach, "remember": remember, "device": rendering_device()}
    view = render_target_view(video, paired_tracks, depth=depth, **settings, progress=progress_callback())
    return RenderedView(view.frames, view.holes, torch.zeros(view.holes.shape), doubts(paired_tracks))


class DepthFromTracks(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_DepthFromTracks",
            display_name="Depth from Tracks",
            category=CATEGORY,
            description="Give every pixel of the clip a depth and tell what moves, from the tracks and the pictures, "
            "without any model.",
            search_aliases=["depth map", "depth estimation", "segment movers", "motion mask"],
            inputs=[
                POINT_TRACKS.Input("point_tracks", tooltip="The tracks of the clip, from Track 3D Points or another."),
                io.Image.Input("image", tooltip="The frames that were tracked, at any size."),
                movers_socket(),
                CLIP_INFO.Input(
                    "clip_info",
                    optional=True,
                    tooltip="From the Prepare Clip that made the frames, where it was linked to Track 3D Points too: "
                    "depth and mask are then padded as the frames are.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "depth",
                    display_name="depth",
                    tooltip="Near is bright: from the clip's farthest (0) to its nearest (1), evenly in 1 / depth, the "
                    "same for all frames. The report has the two distances, in the tracks' units.",
                ),
                io.Mask.Output("moving", display_name="movers", tooltip="1 on what moves by itself."),
                io.String.Output(
                    "report", display_name="report", tooltip="The distances of white and black, and what is uncertain."
                ),
            ],
        )

    @classmethod
    def execute(cls, point_tracks, image, movers=None, clip_info=None) -> io.NodeOutput:
        from ..track2view_core.render.depth_pictures import near_is_bright, source_depth
        from ..track2view_core.render.view_notes import doubts, movers_note
        from ..track2view_core.video.preparation import pad_as_prepared

        clip, moving = image, linked_movers(movers, image)
        if clip_info is not None:
            clip = unpadded(image, clip_info)
            moving = None if moving is None else unpadded(moving, clip_info)
        video = frames_from_image(clip, "image")
        progress = progress_callback()
        geometry = analysed_clip(video, point_tracks, movers=moving, progress=progress)
        inverse, silhouettes = source_depth(video, geometry, progress=progress)
        if clip_info is not None:
            height, width = image.shape[1:3]
            inverse, silhouettes = (
                pad_as_prepared(part, clip_info, width=width, height=height) for part in (inverse, silhouettes)
            )
        far = near_is_bright(inverse)
        notes = (*far.notes, movers_note(silhouettes), *doubts(point_tracks, geometry))
        report = report_at("Track2View_DepthFromTracks", notes)
        depths = far.pictures[..., None].repeat(1, 1, 1, 3)
        return io.NodeOutput(depths, silhouettes.float(), report.text, ui=report.ui)


class TracksTo2D(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_TracksTo2D",
            display_name="Tracks to 2D",
            category=CATEGORY,
            description="Hand the tracks of one view to Wan-Move, ATI and other models that follow 2D tracks.",
            search_aliases=["Wan-Move", "ATI", "TRACKS", "motion tracks"],
            inputs=[
                PAIRED_TRACKS.Input("paired_tracks", tooltip="From Pair Tracks; Edit Tracks before it keeps fewer."),
                io.Combo.Input(
                    "view",
                    options=["target", "source"],
                    default="target",
                    tooltip="The new camera's view, for models that shall follow it, or the source's own.",
                ),
                io.Combo.Input(
                    "samples",
                    options=[ONE_A_FRAME, FOR_ATI],
                    default=ONE_A_FRAME,
                    tooltip="Points a track in the JSON: one a frame, or 121 as ATI wants them whatever the length.",
                ),
            ],
            outputs=[
                TRACKS.Output("tracks", display_name="tracks", tooltip="TRACKS of core, with visibility, one a frame."),
                io.String.Output("tracks_json", display_name="tracks json", tooltip="JSON of the tracks in pixels."),
            ],
        )

    @classmethod
    def execute(cls, paired_tracks, view, samples) -> io.NodeOutput:
        from ..track2view_core.tracks import tracks_2d

        flat = tracks_2d.tracks_of_view(paired_tracks, view)
        text = tracks_2d.json_from_tracks(flat, samples=tracks_2d.ATI_SAMPLES if samples == FOR_ATI else None)
        return io.NodeOutput(tracks_2d.core_from_tracks(flat), text)


class TimeToMove(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_TimeToMove",
            display_name="Time-to-Move",
            category=CATEGORY,
            description="Let any WAN image-to-video model follow the render, without other weights: what is "
            "known of the new view holds for the first steps of the sampling, then the model is free.",
            search_aliases=["TTM", "training-free camera control", "cut and drag", "motion control"],
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="A WAN 2.1 image-to-video MODEL, or the high-noise expert of WAN 2.2 14B, after LoRA and "
                    "shift.",
                ),
                io.Latent.Input(
                    "target_latent",
                    tooltip="VAE Encode of Render Target View's picture with hole_colour filled: every pixel of it is "
                    "where the sampling starts from.",
                ),
                io.Mask.Input("holes", tooltip="The holes of that Render Target View."),
                io.Float.Input(
                    "hold_until",
                    default=0.1,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Share of all steps for which the known pixels hold: more follows the render closer and "
                    "keeps its flaws. Start the sampler a few steps in (2 of 50), where the noise leaves the "
                    "render's large shapes.",
                ),
                io.Combo.Input(
                    "known_where",
                    options=[ALL_FRAMES, FIRST_FRAMES],
                    default=ALL_FRAMES,
                    tooltip="Four frames share a latent: it is known where all of them are, or, as the method was "
                    "published, where the first of them is.",
                ),
                io.Model.Input(
                    "low_noise_model",
                    optional=True,
                    tooltip="The low-noise expert of WAN 2.2 14B. It must go through here, too, or it would paste the "
                    "render in at the end.",
                ),
            ],
            outputs=[
                io.Model.Output("held_model", display_name="model", tooltip="For the sampler, or the first of two."),
                io.Model.Output(
                    "held_low_noise_model", display_name="low noise model", tooltip="For the second of two samplers."
                ),
                io.Latent.Output(
                    "held_latent",
                    display_name="latent",
                    tooltip="For KSampler Advanced, starting a few steps in, with noise added.",
                ),
            ],
        )

    @classmethod
    def execute(cls, model, target_latent, holes, hold_until, known_where, low_noise_model=None) -> io.NodeOutput:
        from ..track2view_core.render.hole_masks import latent_holes
        from .bridge.time_to_move import holding

        one_of((ALL_FRAMES, FIRST_FRAMES), known_where, "known_where")
        samples = target_latent["samples"]
        free = latent_holes(holes > 0.5, first_frames=known_where == FIRST_FRAMES)
        if samples.ndim != 5 or samples.shape[2:] != free.shape:
            raise Track2ViewError(
                f"target_latent is of shape {list(samples.shape)} and holes, in latent frames, {list(free.shape)}; "
                "link VAE Encode of the same Render Target View's picture, with WAN's VAE."
            )
        latent = {**target_latent, "noise_mask": free[None, None].float()}  # core blurs masks of fewer axes
        held = holding(model, hold_until)
        return io.NodeOutput(held, held if low_noise_model is None else holding(low_noise_model, hold_until), latent)


NODES = (RenderTargetView, DepthFromTracks, TracksTo2D, TimeToMove)
