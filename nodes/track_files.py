"""Stage tracking: point tracks from and to files in ComfyUI's own folders, and results kept between runs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import folder_paths
from comfy_api.latest import io

from ..track2view_core.errors import Track2ViewError
from ..track2view_core.progress import Progress
from .comfy_bridge import schema, show_text
from .folders import below_output, output_file
from .sockets import CAMERA_PATH, POINT_TRACKS

CATEGORY = "Track2View/tracking"
ENDINGS = (".npz", ".safetensors")
OUTPUT_MARK = " [output]"  # core's own way to say that a file lies in the output folder


def track_file_names() -> list[str]:
    """The track files in ComfyUI's input folder, then those in its output folder, marked as core marks them."""
    names = []
    for folder, mark in ((folder_paths.get_input_directory(), ""), (folder_paths.get_output_directory(), OUTPUT_MARK)):
        files = (file for file in Path(folder).rglob("*") if file.suffix.lower() in ENDINGS and file.is_file())
        names += sorted(file.relative_to(folder).as_posix() + mark for file in files)
    return names


def track_file(name: str) -> Path:
    """The file that `track_file_names` called `name`; nothing outside the two folders."""
    in_output = name.endswith(OUTPUT_MARK)
    folder = folder_paths.get_output_directory() if in_output else folder_paths.get_input_directory()
    root = Path(folder).resolve()
    file = (root / name.removesuffix(OUTPUT_MARK)).resolve()
    if not file.is_relative_to(root) or file.suffix.lower() not in ENDINGS:
        raise Track2ViewError(
            f'file is "{name}"; it must be a .npz or .safetensors inside ComfyUI\'s input or output folder.'
        )
    if not file.is_file():
        raise Track2ViewError(f'"{name}" is not in ComfyUI\'s folder any more; choose another file, or put it back.')
    return file


def kept_between_runs(track: Callable[[], Any], progress: Progress | None = None, **inputs: Any) -> tuple[Any, bool]:
    """What `track()` gives, or what it gave for the same inputs by value before, and whether it is of before.

    The results lie under ComfyUI's user folder, at most 1 GiB of them; the folder may be deleted at any time.
    """
    from ..track2view_core.tracks import cache

    folder = Path(folder_paths.get_user_directory()) / "__track2view" / "tracks"
    store = cache.TrackCache(folder)
    key = cache.cache_key(code=_trackers_version(), libraries=cache.library_versions(), **inputs)
    found = store.get(key)
    if found is not None:
        for done in (0, 1) if progress else ():
            progress(done, 1, "tracks of an earlier run")
        return found, True
    tracks = track()
    store.put(key, tracks)
    return tracks, False


@functools.cache
def _trackers_version() -> str:
    """Of the code that this server runs, whatever becomes of its files meanwhile."""
    from ..track2view_core.tracks import cache, trackers

    return cache.code_version(Path(trackers.__file__).parent)


class LoadTracks(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_LoadTracks",
            display_name="Load Tracks",
            category=CATEGORY,
            description="Read point tracks and their camera from a file of Save Tracks, TAPIP3D or SpatialTrackerV2.",
            search_aliases=["import tracks", "TAPIP3D", "SpatialTrackerV2"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=track_file_names(),
                    tooltip="A .npz or .safetensors in ComfyUI's input or output folder; put it there and press R to "
                    "refresh the list.",
                ),
                io.Int.Input(
                    "width",
                    default=0,
                    min=0,
                    max=16_384,
                    tooltip="Width in pixels of the picture that was tracked, for a .npz that does not say it; 0 "
                    "takes it from the file.",
                ),
                io.Int.Input(
                    "height",
                    default=0,
                    min=0,
                    max=16_384,
                    tooltip="Height in pixels of the picture that was tracked, for a .npz that does not say it; 0 "
                    "takes it from the file.",
                ),
            ],
            outputs=[
                POINT_TRACKS.Output("point_tracks", display_name="point tracks", tooltip="The tracks of the file."),
                CAMERA_PATH.Output(
                    "source_path", display_name="source path", tooltip="The path of the camera that saw them."
                ),
                io.String.Output(
                    "report", display_name="report", tooltip="What was read, and the tracker's own notes."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, file) -> bool | str:
        if file is not None:  # else linked, and known only when it runs
            try:
                track_file(file)
            except Track2ViewError as error:
                return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, file, **_) -> str:
        facts = track_file(file).stat()
        return f"{file} {facts.st_mtime_ns} {facts.st_size}"

    @classmethod
    def execute(cls, file, width, height) -> io.NodeOutput:
        from ..track2view_core.tracks import load_tracks

        if bool(width) != bool(height):
            raise Track2ViewError(f"width is {width} and height {height}; set both, or leave both at 0.")
        tracks = load_tracks(track_file(file), image_size=(height, width) if width else None)
        camera = tracks.camera
        lines = [
            f"{tracks.positions.shape[1]} tracks of {len(tracks)} frames, {camera.width} x {camera.height}, "
            f"{camera.fps:g} fps",
            *tracks.notes,
        ]
        show_text(lines[0])
        return io.NodeOutput(tracks, camera, "\n".join(lines))


class SaveTracks(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_SaveTracks",
            display_name="Save Tracks",
            category=CATEGORY,
            description="Write point tracks and their camera to a file in ComfyUI's output folder.",
            search_aliases=["export tracks", "TAPIP3D"],
            inputs=[
                POINT_TRACKS.Input("point_tracks", tooltip="The tracks to save."),
                io.String.Input(
                    "filename_prefix",
                    default="track2view/tracks",
                    tooltip="Name of the file below the output folder, with subfolders if you like; a number is added.",
                ),
                io.Combo.Input(
                    "file_format",
                    options=["npz", "safetensors", "ply"],
                    default="npz",
                    tooltip="npz has the layout of TAPIP3D and SpatialTrackerV2; safetensors keeps every field; ply is "
                    "a coloured point cloud of one frame, for Blender and others.",
                ),
                io.Int.Input(
                    "frame",
                    optional=True,
                    default=0,
                    min=0,
                    max=100_000,
                    tooltip="Which frame's points a ply holds; the other formats hold all frames.",
                ),
            ],
            outputs=[
                io.String.Output(
                    "file", display_name="file", tooltip="Where the tracks were written, below the output folder."
                )
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, point_tracks, filename_prefix, file_format, frame=0) -> io.NodeOutput:
        from ..track2view_core.tracks import save_tracks
        from ..track2view_core.tracks.storage import write_point_cloud

        file = output_file(filename_prefix, f".{file_format}")
        what = f"{point_tracks.positions.shape[1]} tracks of {len(point_tracks)} frames"
        if file_format == "ply":
            write_point_cloud(point_tracks, file, frame=frame)
            what = f"{point_tracks.positions.shape[1]} points of frame {frame}"
        else:
            save_tracks(point_tracks, file)
        saved = below_output(file)
        show_text(f"Saved {what} as output/{saved}")
        return io.NodeOutput(saved, ui={"text": (saved,)})


NODES = (SaveTracks, LoadTracks)
