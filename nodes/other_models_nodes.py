"""Stage back-ends: what other video models take of the paired tracks."""

from __future__ import annotations

from comfy_api.latest import io

from .bridge.host import device_memory, progress_callback, schema, show_text
from .depth_inputs import depth_distances, depth_kind, geometry_sockets, linked_geometry
from .sockets import PAIRED_TRACKS, TRACKS, frames_from_image, image_from_frames

CATEGORY = "Track2View/back-ends"
ONE_A_FRAME, FOR_ATI = "one a frame", "121 (ATI)"


class RenderTargetView(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_RenderTargetView",
            display_name="Render Target View",
            category=CATEGORY,
            description="Show the source from the new camera by points and depth alone, with a mask of the holes.",
            search_aliases=["VACE", "point cloud render", "warp", "splat"],
            inputs=[
                PAIRED_TRACKS.Input("paired_tracks", tooltip="From Pair Tracks."),
                io.Image.Input("image", tooltip="The frames that the tracks were paired for, from Prepare Clip."),
                io.Int.Input(
                    "reach",
                    default=0,
                    min=0,
                    max=256,
                    tooltip="Without depth: pixels around a point that take its depth; 0 joins neighbouring points, 1 "
                    "draws the points alone.",
                ),
                io.Boolean.Input(
                    "remember",
                    default=True,
                    tooltip="Fill holes with points that the source shows at another time.",
                ),
                io.Boolean.Input(
                    "latent_holes",
                    default=True,
                    tooltip="A hole in one of the four frames of a latent frame is a hole in all four: VACE takes the "
                    "mask of only one of them.",
                ),
                depth_kind(),
                io.Image.Input(
                    "depth", optional=True, tooltip="Depth images of the same frames, fitted to the tracks."
                ),
                *depth_distances(),
                *geometry_sockets(),
            ],
            outputs=[
                io.Image.Output("target_view", display_name="target view", tooltip="The new view, holes grey (0.5)."),
                io.Mask.Output(
                    "holes", display_name="holes", tooltip="1 where nothing is known: what VACE shall fill."
                ),
                io.String.Output("report", display_name="report", tooltip="How much of the new view is covered."),
            ],
        )

    @classmethod
    def execute(
        cls,
        paired_tracks,
        image,
        reach,
        remember,
        latent_holes,
        depth_is,
        depth=None,
        depth_near=0.0,
        depth_far=0.0,
        da3_geometry=None,
        moge_geometry=None,
    ) -> io.NodeOutput:
        from ..track2view_core.render.splat import render_target_view
        from ..track2view_core.tracks.world_depth import aligned_depth

        video = frames_from_image(image, "image")
        geometry = linked_geometry(
            image,
            None,
            depth=depth,
            depth_is=depth_is,
            near=depth_near,
            far=depth_far,
            da3=da3_geometry,
            moge=moge_geometry,
        )
        device, _, _ = device_memory()
        view = render_target_view(
            video,
            paired_tracks,
            depth=None if geometry is None else aligned_depth(geometry.depth, paired_tracks),
            reach=reach,
            remember=remember,
            latent_holes=latent_holes,
            device=device if device.type == "cuda" else "cpu",
            progress=progress_callback(),
        )
        picture = image_from_frames(view.frames)
        picture[view.holes] = 0.5
        covered = 1 - view.holes.float().mean(dim=(1, 2))
        worst = int(covered.argmin())
        report = (
            f"{100 * float(covered.mean()):.0f} % of the new view is covered on average, least in frame {worst}: "
            f"{100 * float(covered[worst]):.0f} %"
        )
        show_text(report)
        return io.NodeOutput(picture, view.holes.float(), report)


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


NODES = (RenderTargetView, TracksTo2D)
