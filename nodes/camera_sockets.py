"""Stage trajectory: camera paths from and to the sockets of ComfyUI's core and of other packs."""

from __future__ import annotations

from comfy_api.latest import io

from ..track2view_core.errors import Track2ViewError
from .comfy_bridge import schema, show_text
from .other_sockets import CAMERACTRL_POSES, CAMERAPOSES, DA3_GEOMETRY, EXTRINSICS, INTRINSICS, LOAD3D_CAMERA
from .sockets import CAMERA_PATH, POINT_TRACKS

CATEGORY = "Track2View/trajectory"
SIZES = {"width": "Width", "height": "Height"}


def _poses_inputs() -> list[io.Input]:
    sizes = [
        io.Int.Input(
            name,
            default=0,
            min=0,
            max=16_384,
            tooltip=f"{word} of the clip's picture in pixels; 0 takes that of point_tracks.",
        )
        for name, word in SIZES.items()
    ]
    return [
        *sizes,
        io.Float.Input(
            "field_of_view",
            default=0.0,
            min=0.0,
            max=170.0,
            step=0.1,
            tooltip="Horizontal field of view in degrees, for CAMERAPOSES, which have none; 0 takes that of "
            "point_tracks.",
        ),
        io.Float.Input(
            "fps",
            default=0.0,
            min=0.0,
            max=1000.0,
            step=0.01,
            tooltip="Frames a second; 0 takes that of point_tracks, else 16.",
        ),
        io.Int.Input(
            "frames",
            default=0,
            min=0,
            max=100_000,
            tooltip="How many frames the path shall have, in the same time; 0 takes that of point_tracks, else its "
            "own.",
        ),
        POINT_TRACKS.Input("point_tracks", optional=True, tooltip="The tracks of the clip that the path is for."),
        *_pose_sockets(),
    ]


def _pose_sockets() -> list[io.Input]:
    return [
        CAMERACTRL_POSES.Input(
            "cameractrl_poses", optional=True, tooltip="Rows of RealEstate10K, of AnimateDiff-Evolved and others."
        ),
        CAMERAPOSES.Input(
            "cameraposes",
            optional=True,
            tooltip="WanVideoWrapper's ReCamMaster poses: every fourth frame, Unreal axes.",
        ),
        LOAD3D_CAMERA.Input("load3d_camera", optional=True, tooltip="The camera of core's 3D nodes, held as a still."),
        DA3_GEOMETRY.Input(
            "da3_geometry", optional=True, tooltip="Core's Depth Anything 3 on several views: its camera path."
        ),
        EXTRINSICS.Input(
            "extrinsics", optional=True, tooltip="World-to-camera matrices, one a frame; needs intrinsics."
        ),
        INTRINSICS.Input(
            "intrinsics",
            optional=True,
            tooltip="Lens matrices in pixels, one a frame or one for all; needs extrinsics.",
        ),
    ]


class CameraFromPoses(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_CameraFromPoses",
            display_name="Camera from Poses",
            category=CATEGORY,
            description="Take a camera path from the poses of core's and other packs' nodes.",
            search_aliases=["CAMERACTRL_POSES", "CAMERAPOSES", "extrinsics", "load3d camera"],
            inputs=_poses_inputs(),
            outputs=[
                CAMERA_PATH.Output(
                    "camera_path",
                    display_name="camera path",
                    tooltip="The path in the poses' own world and units; as the source camera of Track 3D Points only "
                    "the points are solved then.",
                ),
                io.String.Output("report", display_name="report", tooltip="What was read."),
            ],
        )

    @classmethod
    def execute(cls, width, height, field_of_view, fps, frames, point_tracks=None, **poses) -> io.NodeOutput:
        clip = point_tracks and point_tracks.camera
        width, height = width or (clip and clip.width), height or (clip and clip.height)
        if not width or not height:
            raise Track2ViewError("width and height are 0 and no point_tracks are linked; set both, or link tracks.")
        kind, path = _path_of(poses, clip, width, height, field_of_view or None, fps or (clip.fps if clip else 16.0))
        frames = frames or (len(clip) if clip else len(path))
        report = f"{len(path)} frames of {kind}"
        if frames != len(path):
            report += f", brought to {frames}"
            path = path.resampled(frames)
        show_text(report)
        return io.NodeOutput(path, report)


def _path_of(poses, clip, width, height, fov_degrees, fps):
    """(name of the socket, its path) of the one source among `poses` that is linked."""
    from ..track2view_core.cameras.formats import sockets
    from ..track2view_core.tracks.model_geometry import path_from_matrices

    linked = {name: value for name, value in poses.items() if value is not None}
    names = set(linked) - {"intrinsics"}
    if len(names) != 1 or ("extrinsics" in linked) != ("intrinsics" in linked):
        raise Track2ViewError(
            f"Linked are {', '.join(sorted(linked)) or 'no poses'}; link exactly one of cameractrl_poses, cameraposes, "
            "load3d_camera, da3_geometry, or extrinsics with intrinsics."
        )
    size = {"width": width, "height": height, "fps": fps}
    (name,) = names
    value = linked[name]
    if name == "cameractrl_poses":
        return name, sockets.path_from_cameractrl(value, **size)
    if name == "extrinsics":
        return name, path_from_matrices(value, linked["intrinsics"], **size)
    if name == "da3_geometry":
        if not isinstance(value, dict) or value.get("extrinsics") is None or value.get("intrinsics") is None:
            raise Track2ViewError("da3_geometry holds no cameras; run Depth Anything 3 on several views at once.")
        return name, path_from_matrices(value["extrinsics"], value["intrinsics"], **size, name="DA3_GEOMETRY")
    if name == "load3d_camera":
        return name, sockets.path_from_load3d(value, **size, fov_degrees=fov_degrees or _fov_of(clip))
    fov_degrees = fov_degrees or _fov_of(clip)
    if fov_degrees is None:
        raise Track2ViewError("CAMERAPOSES have no lens; set field_of_view, or link point_tracks of the clip.")
    return name, sockets.path_from_cameraposes(value, **size, fov_degrees=fov_degrees)


def _fov_of(clip):
    """Horizontal degrees of a path's first frame, None without one."""
    import math

    return clip and 2 * math.degrees(math.atan(0.5 * clip.width / float(clip.intrinsics[0, 0, 0])))


class CameraToPoses(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_CameraToPoses",
            display_name="Camera to Poses",
            category=CATEGORY,
            description="Hand a camera path to nodes of core and of other packs that take poses.",
            search_aliases=["CAMERACTRL_POSES", "CAMERAPOSES", "extrinsics", "load3d camera"],
            inputs=[
                CAMERA_PATH.Input("camera_path", tooltip="The path to hand on."),
                io.Int.Input(
                    "frame", default=0, min=0, max=100_000, tooltip="Which frame's camera load3d camera is to be."
                ),
                io.Float.Input(
                    "target_distance",
                    default=1.0,
                    min=1e-3,
                    max=1e6,
                    step=0.1,
                    tooltip="How far ahead the target of load3d camera lies, in the path's units.",
                ),
            ],
            outputs=[
                CAMERACTRL_POSES.Output(
                    "cameractrl_poses", display_name="cameractrl poses", tooltip="One row of RealEstate10K a frame."
                ),
                CAMERAPOSES.Output(
                    "cameraposes",
                    display_name="cameraposes",
                    tooltip="For WanVideoWrapper's ReCamMaster: every fourth frame, Unreal axes; units are metres.",
                ),
                LOAD3D_CAMERA.Output(
                    "load3d_camera",
                    display_name="load3d camera",
                    tooltip="The camera of one frame for core's 3D nodes.",
                ),
                EXTRINSICS.Output(
                    "extrinsics", display_name="extrinsics", tooltip="World-to-camera matrices [frames, 4, 4]."
                ),
                INTRINSICS.Output(
                    "intrinsics", display_name="intrinsics", tooltip="Lens matrices [frames, 3, 3] in pixels."
                ),
            ],
        )

    @classmethod
    def execute(cls, camera_path, frame, target_distance) -> io.NodeOutput:
        from ..track2view_core.cameras.formats import sockets

        if frame >= len(camera_path):
            raise Track2ViewError(f"frame is {frame}; the camera path has frames 0 to {len(camera_path) - 1}.")
        return io.NodeOutput(
            sockets.cameractrl_from_path(camera_path),
            sockets.cameraposes_from_path(camera_path),
            sockets.load3d_from_path(camera_path, frame, target_distance=target_distance),
            camera_path.camera_from_world.float(),
            camera_path.intrinsics.float(),
        )


NODES = (CameraFromPoses, CameraToPoses)
