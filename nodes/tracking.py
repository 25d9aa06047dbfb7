"""Stage tracking: 3D point tracks and the source camera."""

from __future__ import annotations

from dataclasses import replace

from comfy_api.latest import io

from ..track2view_core.errors import Track2ViewError
from . import track_files
from .comfy_bridge import progress_callback, schema, show_text
from .depth_inputs import depth_distances, depth_kind, geometry_sockets, linked_geometry
from .sockets import CAMERA_PATH, CLIP_INFO, POINT_TRACKS, frames_from_image
from .track_files import kept_between_runs

CATEGORY = "Track2View/tracking"


def _tracking_inputs() -> list[io.Input]:
    return [
        io.Image.Input(
            "image",
            tooltip="The frames from Prepare Clip, or the same clip larger: tracks are scaled when they condition.",
        ),
        io.Int.Input(
            "points", default=1024, min=1, max=20_000, tooltip="How many tracks to keep; 500 to 1500 is usual."
        ),
        io.Combo.Input(
            "motion",
            options=["auto", "static", "rotation", "general"],
            default="auto",
            tooltip="How the source camera moves: it stands (static), turns on the spot (rotation) or moves freely "
            "(general). auto decides; the report tells what.",
        ),
        io.Float.Input(
            "field_of_view",
            default=0.0,
            min=0.0,
            max=170.0,
            step=0.1,
            tooltip="Horizontal field of view in degrees, if you know it; 0 estimates it. It helps most on forward "
            "moves.",
        ),
        depth_kind(),
        io.Image.Input(
            "depth",
            optional=True,
            tooltip="Depth images of the same frames, for moving things and standing cameras; their scale is fitted "
            "to the tracks.",
        ),
        CAMERA_PATH.Input(
            "camera",
            optional=True,
            tooltip="The source camera's path, if it is known; it is then not solved for.",
        ),
        CLIP_INFO.Input(
            "clip_info",
            optional=True,
            tooltip="From the Prepare Clip that made the frames: its padding is then cut off before tracking. Give "
            "Pair Tracks the clip info of the frames that the model gets.",
        ),
        *depth_distances(),
        *geometry_sockets(),
    ]


class TrackPoints(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_TrackPoints",
            display_name="Track 3D Points",
            category=CATEGORY,
            description="Follow points through the clip and recover their 3D positions and the camera's path, with "
            "the built-in tracker.",
            search_aliases=["point tracker", "camera solve", "structure from motion"],
            inputs=_tracking_inputs(),
            outputs=tracker_outputs("What the tracker found, assumed or guessed."),
        )

    @classmethod
    def execute(
        cls,
        image,
        points,
        motion,
        field_of_view,
        depth_is,
        depth=None,
        camera=None,
        clip_info=None,
        depth_near=0.0,
        depth_far=0.0,
        da3_geometry=None,
        moge_geometry=None,
    ) -> io.NodeOutput:
        from ..track2view_core.tracks.trackers import KltTracker

        clip = image if clip_info is None else unpadded(image, clip_info)
        geometry = linked_geometry(
            image,
            clip_info,
            depth=depth,
            depth_is=depth_is,
            near=depth_near,
            far=depth_far,
            da3=da3_geometry,
            moge=moge_geometry,
        )
        settings = {
            "video": frames_from_image(clip, "image"),
            "points": points,
            "motion": motion,
            "fov_degrees": field_of_view or None,
            "depth": geometry and geometry.depth,
            "camera": camera,
            "fov_guess": geometry and geometry.fov_degrees,
            "proposed": geometry and geometry.camera,
        }
        progress = progress_callback()
        tracks, _ = kept_between_runs(
            lambda: KltTracker().track(**settings, progress=progress), progress=progress, **settings
        )
        return tracker_output(tracks, clip_info)


def tracker_outputs(report: str) -> list[io.Output]:
    """What every tracker node gives; `report` says what its report holds."""
    return [
        POINT_TRACKS.Output(
            "point_tracks", display_name="point tracks", tooltip="3D points over time and the camera that saw them."
        ),
        CAMERA_PATH.Output("source_path", display_name="source path", tooltip="The source camera's path."),
        io.String.Output("report", display_name="report", tooltip=report),
    ]


def tracker_output(tracks, clip_info) -> io.NodeOutput:
    """Tracks, path and report of a tracker; the clip's rate comes from its info, since frames alone tell none."""
    if clip_info is not None:
        tracks = replace(tracks, camera=replace(tracks.camera, fps=float(clip_info.fps)))
    report = "\n".join(tracks.notes).replace("fov_degrees", "field_of_view")
    show_text(report)
    return io.NodeOutput(tracks, tracks.camera, report)


def unpadded(image, info):
    """The clip's own part of prepared frames `[T', H', W', C]`: no padded edges, no held last frames."""
    if tuple(image.shape[:3]) != (info.prepared_frames, info.prepared_height, info.prepared_width):
        raise Track2ViewError(
            f"image is {image.shape[0]} frames of {image.shape[2]} x {image.shape[1]} and clip_info is of "
            f"{info.prepared_frames} of {info.prepared_width} x {info.prepared_height}; link both from one "
            "Prepare Clip, or leave clip_info open."
        )
    left, top, width, height = info.content
    return image[: info.frames, top : top + height, left : left + width]


NODES = (TrackPoints, *track_files.NODES)
