"""Stage trajectory: camera paths from and to other programs' files and other packs' sockets."""

from __future__ import annotations

from comfy_api.latest import io

from ..track2view_core.cameras.formats import FORMATS
from ..track2view_core.errors import Track2ViewError
from ..track2view_core.notes import Door
from .bridge.folders import below_output, is_kept, kept_file, kept_names, output_file
from .bridge.host import offering_upload, schema
from .reports import report_at
from .sockets import (
    CAMERA_PATH,
    CAMERACTRL_POSES,
    CAMERAPOSES,
    DA3_GEOMETRY,
    EXTRINSICS,
    INTRINSICS,
    LOAD3D_CAMERA,
    POINT_TRACKS,
    one_of,
)

CATEGORY = "Track2View/trajectory"
WRITABLE = tuple(name for name, told in FORMATS.items() if told.write is not None)
ENDINGS = tuple(sorted({ending for told in FORMATS.values() for ending in told.endings}))
FOLDER_SIGNS = ("images.txt", "images.bin")  # a COLMAP model, the one format that is a folder
MISSING_FRAMES = ("refuse", "fill", "join")
QUATERNION_ORDERS = ("auto", "xyzw", "wxyz")
READING = Door(
    "Track2View_ImportCamera",
    {
        "size": "width and height",
        "fov_degrees": "field_of_view",
        "fps": "fps",
        "format": "file_format",
        "camera": "camera_name",
        "missing_frames": "missing_frames",
        "quaternion_order": "quaternion_order",
    },
)
"""What Import Camera calls what can be said of a camera file."""
SIZES = {"width": "Width", "height": "Height"}


class ImportCamera(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_ImportCamera",
            display_name="Import Camera",
            category=CATEGORY,
            description="Read a camera path of Blender, COLMAP, After Effects, Nuke, glTF and others.",
            search_aliases=["load camera", "blender", "colmap", "nuke", "gltf"],
            inputs=_import_inputs(),
            outputs=[
                CAMERA_PATH.Output(
                    "camera_path",
                    display_name="camera path",
                    tooltip="The path in the file's own world and units; Compose Paths brings it to the clip's.",
                ),
                io.String.Output("report", display_name="report", tooltip="What was read."),
            ],
        )

    @classmethod
    def validate_inputs(cls, file=None) -> bool | str:
        return is_kept(file)

    @classmethod
    def fingerprint_inputs(cls, file=None, **_) -> str:
        if is_kept(file) is not True or file is None:
            return ""
        path = kept_file(file)
        parts = sorted(path.iterdir()) if path.is_dir() else [path]
        return str([(part.name, part.stat().st_mtime_ns, part.stat().st_size) for part in parts])

    @classmethod
    def execute(
        cls, file, file_format, width, height, field_of_view, fps, camera_name, point_tracks=None,
        missing_frames="refuse", quaternion_order="auto",
    ) -> io.NodeOutput:  # fmt: skip
        from ..track2view_core.cameras.formats.reading_and_writing import read_for_clip

        path, notes = read_for_clip(
            kept_file(file),
            clip=point_tracks and point_tracks.camera,
            format=None if file_format == "auto" else file_format,
            width=width or None,
            height=height or None,
            fov_degrees=field_of_view or None,
            fps=fps or None,
            camera=camera_name.strip() or None,
            missing_frames=one_of(MISSING_FRAMES, missing_frames, "missing_frames"),
            quaternion_order=None if quaternion_order == "auto" else quaternion_order,
            door=READING,
        )
        report = report_at("Track2View_ImportCamera", notes, figures=f"{len(path)} frames")
        return io.NodeOutput(path, report.text, ui=report.ui)


def _import_inputs() -> list[io.Input]:
    told = "; ".join(f"{name}: {told.title}" for name, told in FORMATS.items())
    return [
        offering_upload(
            io.Combo.Input(
                "file",
                options=kept_names(ENDINGS, FOLDER_SIGNS),
                tooltip="A camera file in ComfyUI's input or output folder, or the folder of a COLMAP model there; "
                "upload it, or put it there and press R to refresh the list.",
            ),
            (*ENDINGS, ".txt", ".bin"),
        ),
        io.Combo.Input(
            "file_format",
            options=["auto", *FORMATS],
            default="auto",
            tooltip=f"auto tells it from the file's ending and content. {told}.",
        ),
        io.Int.Input(
            "width",
            default=0,
            min=0,
            max=16_384,
            tooltip="Width of the picture in pixels; 0 takes that of the tracks, or the file's own.",
        ),
        io.Int.Input(
            "height",
            default=0,
            min=0,
            max=16_384,
            tooltip="Height of the picture in pixels; 0 takes that of the tracks, or the file's own.",
        ),
        io.Float.Input(
            "field_of_view",
            default=0.0,
            min=0.0,
            max=170.0,
            step=0.1,
            tooltip="Horizontal field of view in degrees, for files without a lens or to replace theirs; 0 "
            "takes the file's.",
        ),
        io.Float.Input(
            "fps",
            default=0.0,
            min=0.0,
            max=1000.0,
            step=0.01,
            tooltip="Frames a second, for files without; 0 takes the file's.",
        ),
        io.String.Input(
            "camera_name",
            default="",
            tooltip="Which camera of a file that holds several; empty for the only one.",
        ),
        POINT_TRACKS.Input(
            "point_tracks",
            optional=True,
            tooltip="The tracks of the clip it is for: the path gets their size, number of frames and fps.",
        ),
        io.Combo.Input(
            "missing_frames",
            options=list(MISSING_FRAMES),
            default="refuse",
            optional=True,
            tooltip="Where the file lacks frames of its clip, as COLMAP could not place them: refuse it, fill them in "
            "between the others, or join these as if they were all.",
        ),
        io.Combo.Input(
            "quaternion_order",
            options=list(QUATERNION_ORDERS),
            default="auto",
            optional=True,
            tooltip="Whether w stands last (xyzw) or first (wxyz) in a TUM file; auto: as its comments say, else last.",
        ),
    ]


class ExportCamera(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        told = "; ".join(f"{name}: {FORMATS[name].title}" for name in WRITABLE)
        return schema(
            node_id="Track2View_ExportCamera",
            display_name="Export Camera",
            category=CATEGORY,
            description="Write a camera path for Blender, COLMAP, After Effects, Nuke, glTF and others.",
            search_aliases=["save camera", "blender", "colmap", "nuke", "gltf"],
            inputs=[
                CAMERA_PATH.Input("camera_path", tooltip="The path to write."),
                io.String.Input(
                    "filename_prefix",
                    default="track2view/camera",
                    tooltip="Name of the file below the output folder, with subfolders if you like; a number is added.",
                ),
                io.Combo.Input(
                    "file_format",
                    options=list(WRITABLE),
                    default="track2view_camera",
                    tooltip=f"What to write. {told}.",
                ),
            ],
            outputs=[
                io.String.Output(
                    "file", display_name="file", tooltip="Where the path was written, below the output folder."
                )
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, camera_path, filename_prefix, file_format) -> io.NodeOutput:
        from ..track2view_core.cameras.formats import write_path

        chosen = FORMATS[one_of(WRITABLE, file_format, "file_format")]
        file = output_file(filename_prefix, next(iter(chosen.endings), ""))
        write_path(camera_path, file, format=file_format)
        saved = below_output(file)
        told = report_at("Track2View_ExportCamera", figures=f"Saved {len(camera_path)} frames as output/{saved}")
        return io.NodeOutput(saved, ui={"text": (saved,), **told.ui})


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
        from ..track2view_core.cameras.path_quality import lens_notes

        clip = point_tracks and point_tracks.camera
        width, height = width or (clip and clip.width), height or (clip and clip.height)
        if not width or not height:
            raise Track2ViewError("width and height are 0 and no point_tracks are linked; set both, or link tracks.")
        kind, path = _path_of(poses, clip, width, height, field_of_view or None, fps or (clip.fps if clip else 16.0))
        frames = frames or (len(clip) if clip else len(path))
        read = f"{len(path)} frames of {kind}"
        if frames != len(path):
            read += f", brought to {frames}"
            path = path.resampled(frames)
        report = report_at("Track2View_CameraFromPoses", lens_notes(path), figures=read, table=read)
        return io.NodeOutput(path, report.text, ui=report.ui)


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


def _path_of(poses, clip, width, height, fov_degrees, fps):
    """(name of the socket, its path) of the one source among `poses` that is linked."""
    from ..track2view_core.cameras import formats
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
        return name, formats.path_from_cameractrl(value, **size)
    if name == "extrinsics":
        return name, path_from_matrices(value, linked["intrinsics"], **size)
    if name == "da3_geometry":
        if not isinstance(value, dict) or value.get("extrinsics") is None or value.get("intrinsics") is None:
            raise Track2ViewError("da3_geometry holds no cameras; run Depth Anything 3 on several views at once.")
        return name, path_from_matrices(value["extrinsics"], value["intrinsics"], **size, name="DA3_GEOMETRY")
    if name == "load3d_camera":
        return name, formats.path_from_load3d(value, **size, fov_degrees=fov_degrees or _fov_of(clip))
    fov_degrees = fov_degrees or _fov_of(clip)
    if fov_degrees is None:
        raise Track2ViewError("CAMERAPOSES have no lens; set field_of_view, or link point_tracks of the clip.")
    return name, formats.path_from_cameraposes(value, **size, fov_degrees=fov_degrees)


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
        from ..track2view_core.cameras import formats

        if frame >= len(camera_path):
            raise Track2ViewError(f"frame is {frame}; the camera path has frames 0 to {len(camera_path) - 1}.")
        return io.NodeOutput(
            formats.cameractrl_from_path(camera_path),
            formats.cameraposes_from_path(camera_path),
            formats.load3d_from_path(camera_path, frame, target_distance=target_distance),
            camera_path.camera_from_world.float(),
            camera_path.intrinsics.float(),
        )


NODES = (ImportCamera, ExportCamera, CameraFromPoses, CameraToPoses)
