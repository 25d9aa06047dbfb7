"""Stage tracking: 2D tracks of other nodes lifted to 3D, and tracks edited."""

from __future__ import annotations

import math

import torch
from comfy_api.latest import io

from ..track2view_core.errors import Track2ViewError
from ..track2view_core.tracks.selection import MASK_RULES, MOTION_CLASSES
from .comfy_bridge import schema, show_text
from .depth_inputs import depth_distances, depth_kind, geometry_sockets, linked_geometry
from .other_sockets import TRACKS
from .sockets import CAMERA_PATH, POINT_TRACKS, frames_from_image

CATEGORY = "Track2View/tracking"
USUAL_FOV = 60.0


class LiftTracks(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_LiftTracks",
            display_name="Lift 2D Tracks",
            category=CATEGORY,
            description="Bring 2D tracks of any tracker or hand-drawn splines into space, by a camera path and depth.",
            search_aliases=["CoTracker", "Wan-Move", "ATI", "spline", "2D to 3D tracks"],
            inputs=[
                io.Image.Input("image", tooltip="The frames that were tracked; the tracks are in their pixels."),
                io.Float.Input(
                    "field_of_view",
                    default=0.0,
                    min=0.0,
                    max=170.0,
                    step=0.1,
                    tooltip="Horizontal field of view in degrees, where no camera is linked; 0 takes that of the "
                    f"geometry, else {USUAL_FOV:g}.",
                ),
                depth_kind(),
                TRACKS.Input("tracks", optional=True, tooltip="TRACKS of core's Wan-Move nodes and others."),
                io.String.Input(
                    "tracks_json",
                    optional=True,
                    force_input=True,
                    tooltip="JSON of tracks in pixels, of CoTracker nodes, KJNodes' spline editor or ATI; tracks of "
                    "121 points are read by ATI's rule.",
                ),
                CAMERA_PATH.Input(
                    "camera", optional=True, tooltip="The source camera's path; without it the camera stands still."
                ),
                io.Image.Input("depth", optional=True, tooltip="Depth images of the same frames."),
                *depth_distances(),
                *geometry_sockets(),
            ],
            outputs=[
                POINT_TRACKS.Output(
                    "point_tracks",
                    display_name="point tracks",
                    tooltip="The tracks in space, those left out that fit neither a standing nor a moving point.",
                ),
                CAMERA_PATH.Output("source_path", display_name="source path", tooltip="The source camera's path."),
                io.String.Output("report", display_name="report", tooltip="How many were lifted, and how."),
            ],
        )

    @classmethod
    def execute(
        cls,
        image,
        field_of_view,
        depth_is,
        tracks=None,
        tracks_json=None,
        camera=None,
        depth=None,
        depth_near=0.0,
        depth_far=0.0,
        da3_geometry=None,
        moge_geometry=None,
    ) -> io.NodeOutput:
        from ..track2view_core.tracks.tracks_2d import lift_tracks, tracks_from_core, tracks_from_json

        if (tracks is None) == (tracks_json is None):
            raise Track2ViewError("Link exactly one of tracks and tracks_json.")
        video = frames_from_image(image, "image")
        frames, height, width = video.shape[:3]
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
        lines = []
        if tracks is not None:
            flat = tracks_from_core(tracks)
        else:
            flat, told = tracks_from_json(tracks_json, frames=frames)
            lines.append(told)
        path = camera and camera.resized(width, height)
        if path is None and geometry is not None:
            path = geometry.camera
        if path is None:
            fov = field_of_view or (geometry and geometry.fov_degrees) or USUAL_FOV
            lines.append(f"no camera path: the camera stands still and sees {fov:.0f} degrees")
            path = _standing(frames, width, height, fov)
        lifted = lift_tracks(flat, camera=path, depth=geometry and geometry.depth, video=video)
        report = "\n".join([*lines, *lifted.notes])
        show_text(report)
        return io.NodeOutput(lifted, lifted.camera, report)


def _standing(frames, width, height, fov_degrees):
    from ..track2view_core.cameras import CameraPath

    focal = 0.5 * width / math.tan(math.radians(fov_degrees) / 2)
    lens = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float64)
    return CameraPath(torch.eye(4, dtype=torch.float64).repeat(frames, 1, 1), lens.repeat(frames, 1, 1), width, height)


class EditTracks(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_EditTracks",
            display_name="Edit Tracks",
            category=CATEGORY,
            description="Keep some of the tracks: by a mask, by confidence, by whether they move, or the best spread.",
            search_aliases=["filter tracks", "mask tracks"],
            inputs=[
                POINT_TRACKS.Input("point_tracks", tooltip="The tracks to choose from."),
                io.Combo.Input(
                    "motion",
                    options=list(MOTION_CLASSES),
                    default="all",
                    tooltip="Which tracks to keep: all, those of standing points, or those of moving ones.",
                ),
                io.Float.Input(
                    "least_confidence",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Drop tracks whose mean confidence, over the frames that show them, is below this.",
                ),
                io.Int.Input(
                    "most_tracks",
                    default=0,
                    min=0,
                    max=100_000,
                    tooltip="Of what is left keep this many, spread over the picture and over time; 0 keeps all.",
                ),
                io.Combo.Input(
                    "mask_rule",
                    options=list(MASK_RULES),
                    default=MASK_RULES[0],
                    tooltip="What the mask does with the tracks that are inside it most of the time they are seen.",
                ),
                io.Mask.Input(
                    "mask", optional=True, tooltip="One mask a frame, or one for all, of the tracked frames."
                ),
            ],
            outputs=[
                POINT_TRACKS.Output("edited_tracks", display_name="edited tracks", tooltip="The tracks that are left."),
                io.String.Output("report", display_name="report", tooltip="How many each rule took away."),
            ],
        )

    @classmethod
    def execute(cls, point_tracks, motion, least_confidence, most_tracks, mask_rule, mask=None) -> io.NodeOutput:
        from ..track2view_core.tracks.selection import edit_tracks

        edited, report = edit_tracks(
            point_tracks,
            mask=mask,
            mask_rule=mask_rule,
            least_confidence=least_confidence,
            motion=motion,
            most=most_tracks,
        )
        show_text(report)
        return io.NodeOutput(edited, report)


NODES = (LiftTracks, EditTracks)
