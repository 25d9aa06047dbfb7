"""Stage trajectory: camera paths from and to other programs' files."""

from __future__ import annotations

from comfy_api.latest import io

from ..track2view_core.cameras.formats import FORMATS
from .comfy_bridge import schema, show_text
from .folders import below_output, input_file, input_names, is_input, output_file
from .sockets import CAMERA_PATH, POINT_TRACKS, one_of

CATEGORY = "Track2View/trajectory"
WRITABLE = tuple(name for name, told in FORMATS.items() if told.write is not None)
ENDINGS = tuple(sorted({ending for told in FORMATS.values() for ending in told.endings}))
FOLDER_SIGNS = ("images.txt", "images.bin")  # a COLMAP model, the one format that is a folder


def _import_inputs() -> list[io.Input]:
    told = "; ".join(f"{name}: {told.title}" for name, told in FORMATS.items())
    return [
        io.Combo.Input(
            "file",
            options=input_names(ENDINGS, FOLDER_SIGNS),
            tooltip="A camera file in ComfyUI's input folder, or the folder of a COLMAP model there; put it "
            "there and press R to refresh the list.",
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
    ]


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
        return is_input(file)

    @classmethod
    def fingerprint_inputs(cls, file=None, **_) -> str:
        if is_input(file) is not True or file is None:
            return ""
        path = input_file(file)
        parts = sorted(path.iterdir()) if path.is_dir() else [path]
        return str([(part.name, part.stat().st_mtime_ns, part.stat().st_size) for part in parts])

    @classmethod
    def execute(
        cls, file, file_format, width, height, field_of_view, fps, camera_name, point_tracks=None
    ) -> io.NodeOutput:
        from ..track2view_core.cameras.formats.reading_and_writing import read_for_clip

        path, report = read_for_clip(
            input_file(file),
            clip=point_tracks and point_tracks.camera,
            format=None if file_format == "auto" else file_format,
            width=width or None,
            height=height or None,
            fov_degrees=field_of_view or None,
            fps=fps or None,
            camera=camera_name.strip() or None,
        )
        show_text(report)
        return io.NodeOutput(path, report)


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
        show_text(f"Saved {len(camera_path)} frames as output/{saved}")
        return io.NodeOutput(saved, ui={"text": (saved,)})


NODES = (ImportCamera, ExportCamera)
