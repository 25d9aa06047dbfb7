"""Stage tracking: 3D point tracks and the source camera, from a tracker, from 2D tracks or from a file."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from comfy_api.latest import io

from ..track2view_core.cameras.path import USUAL_FOV
from ..track2view_core.errors import Track2ViewError
from ..track2view_core.notes import doubtful
from ..track2view_core.progress import Progress
from ..track2view_core.tracks.selection import MASK_RULES, MOTION_CLASSES
from ..track2view_core.tracks.trackers.spatial_tracker import TrackerProfile, chosen_profile, read_profiles
from .bridge.folders import below_output, is_kept, kept_file, kept_names, output_file, private_folder
from .bridge.host import give_up_device, offering_upload, progress_callback, schema
from .dense_inputs import analysed_clip
from .depth_inputs import depth_distances, depth_kind, geometry_sockets, linked_geometry
from .reports import report_at
from .sockets import CAMERA_PATH, CLIP_INFO, POINT_TRACKS, TRACKS, frames_from_image, unpadded

CATEGORY = "Track2View/tracking"
NO_PROFILE = "no profile found"
TRACK_FILES = (".npz", ".safetensors")


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
            outputs=_tracker_outputs("What the tracker found, assumed or guessed."),
        )

    @classmethod
    def execute(
        cls,
        image,
        points,
        motion,
        field_of_view,
        camera=None,
        clip_info=None,
        **depth_fields,
    ) -> io.NodeOutput:
        from ..track2view_core.render.placed_movers import tracks_placed_in
        from ..track2view_core.tracks.trackers import KltTracker

        clip = image if clip_info is None else unpadded(image, clip_info)
        geometry = linked_geometry(image, clip_info, **depth_fields)
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

        def track():
            tracks = KltTracker().track(**settings, progress=progress)
            return tracks_placed_in(settings["video"], tracks, progress, analysed_clip)

        tracks = _kept_between_runs(track, progress=progress, **settings)
        return _tracker_output("Track2View_TrackPoints", tracks, clip_info)


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


def _tracker_outputs(report: str) -> list[io.Output]:
    """What every tracker node gives; `report` says what its report holds."""
    return [
        POINT_TRACKS.Output(
            "point_tracks", display_name="point tracks", tooltip="3D points over time and the camera that saw them."
        ),
        CAMERA_PATH.Output("source_path", display_name="source path", tooltip="The source camera's path."),
        io.String.Output("report", display_name="report", tooltip=report),
    ]


def _tracker_output(node_id, tracks, clip_info) -> io.NodeOutput:
    """Tracks, path and report of a tracker; the clip's rate comes from its info, since frames alone tell none."""
    if clip_info is not None:
        tracks = replace(tracks, camera=replace(tracks.camera, fps=float(clip_info.fps)))
    report = report_at(node_id, tracks.notes)
    return io.NodeOutput(tracks, tracks.camera, report.text, ui=report.ui)


def _kept_between_runs(track: Callable[[], Any], progress: Progress | None = None, **inputs: Any) -> Any:
    """What `track()` gives, or what it gave for the same inputs by value before.

    The results lie under ComfyUI's user folder, at most 1 GiB of them; the folder may be deleted at any time.
    """
    from ..track2view_core.tracks import cache

    store = cache.TrackCache(private_folder() / "tracks")
    key = cache.cache_key(code=_trackers_version(), libraries=cache.library_versions(), **inputs)
    found = store.get(key)
    if found is not None:
        if progress is not None:
            for done in (0, 1):
                progress(done, 1, "tracks of an earlier run")
        return found
    tracks = track()
    store.put(key, tracks)
    return tracks


@functools.cache
def _trackers_version() -> str:
    """Of the code that this server runs, whatever becomes of its files meanwhile: it follows points and places them."""
    from ..track2view_core.tracks import cache

    core = Path(cache.__file__).parents[1]
    return "".join(cache.code_version(core / room) for room in ("tracks", "render"))


class TrackPointsSpatialTracker(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_TrackPointsSpatialTracker",
            display_name="Track 3D Points (SpatialTrackerV2)",
            category=CATEGORY,
            description="Follow points through the clip and recover their 3D positions and the camera's path, with "
            "your own install of SpatialTrackerV2.",
            search_aliases=["point tracker", "SpaTracker", "camera solve"],
            inputs=_spatial_inputs(),
            outputs=_tracker_outputs("What was tracked, and what to look at."),
        )

    @classmethod
    def validate_inputs(cls, profile=None) -> bool | str:
        if profile is None:
            return True  # linked, and known only when it runs
        try:
            _profile_of(profile)
        except Track2ViewError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, profile=None, variant="offline", **_) -> str:
        try:
            return "" if profile is None else _install_version(_profile_of(profile), variant)
        except Track2ViewError as error:
            return str(error)

    @classmethod
    def execute(
        cls, image, profile, points, variant, camera_fixed, start_frames, support_points, clip_info=None
    ) -> io.NodeOutput:
        from ..track2view_core.tracks.trackers import SpatialTrackerV2

        install = _profile_of(profile)
        clip = image if clip_info is None else unpadded(image, clip_info)
        settings = {
            "video": frames_from_image(clip, "image"),
            "points": points,
            "variant": variant,
            "camera_fixed": camera_fixed,
            "start_frames": start_frames,
            "support_points": support_points,
        }

        def track():
            if install.device != "cpu":
                give_up_device()
            return SpatialTrackerV2(install).track(**settings, progress=progress_callback())

        tracks = _kept_between_runs(track, tracker=_install_version(install, variant), **settings)
        return _tracker_output("Track2View_TrackPointsSpatialTracker", tracks, clip_info)


def _spatial_inputs() -> list[io.Input]:
    profiles = _profile_names()
    return [
        io.Image.Input(
            "image",
            tooltip="The frames from Prepare Clip, or the same clip larger: tracks are scaled when they condition.",
        ),
        io.Combo.Input(
            "profile",
            options=profiles,
            default=profiles[0],
            tooltip="Which install runs: a name from trackers.json in ComfyUI's user/__track2view folder, or the "
            "environment; a workflow cannot say where programs are.",
        ),
        io.Int.Input(
            "points", default=1024, min=1, max=20_000, tooltip="How many tracks to keep; 500 to 1500 is usual."
        ),
        io.Combo.Input(
            "variant",
            options=["offline", "online"],
            default="offline",
            tooltip="offline sees the whole clip at once and follows points both ways; online goes in windows of 20 "
            "frames, onwards only, and needs less memory for tracking.",
        ),
        io.Boolean.Input(
            "camera_fixed",
            default=False,
            tooltip="Switch it on when the source camera stands still: every pose is then exactly the same.",
        ),
        io.Int.Input(
            "start_frames",
            default=3,
            min=1,
            max=64,
            tooltip="In how many frames tracks start, spread evenly, first and last among them; 1 is the first alone.",
        ),
        io.Int.Input(
            "support_points",
            default=756,
            min=16,
            max=4096,
            tooltip="How many further points the tracker follows for itself to find the camera; 756 is its own choice.",
        ),
        CLIP_INFO.Input(
            "clip_info",
            optional=True,
            tooltip="From the Prepare Clip that made the frames: its padding is then cut off before tracking. Give "
            "Pair Tracks the clip info of the frames that the model gets.",
        ),
    ]


def _profile_file() -> Path:
    """The file that names the programs to run."""
    return private_folder() / "trackers.json"


def _profile_names() -> list[str]:
    try:
        return list(read_profiles(_profile_file(), os.environ)) or [NO_PROFILE]
    except Track2ViewError:  # said when the node is used; a schema that raises would drop the whole pack
        return [NO_PROFILE]


def _profile_of(name: str) -> TrackerProfile:
    return chosen_profile(_profile_file(), os.environ, name, option="profile", instead="use Track 3D Points")


def _install_version(install: TrackerProfile, variant: str) -> str:
    """Changes with the profile, the checkout's code and the weights; refuses an install that is not whole."""
    from ..track2view_core.tracks import cache

    weights = install.check(variant, os.environ).values()
    return f"{install!r} {cache.install_version(install.checkout, weights)}"


class LiftTracks(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_LiftTracks",
            display_name="Lift 2D Tracks",
            category=CATEGORY,
            description="Bring 2D tracks of any tracker or hand-drawn splines into space: the camera is solved from "
            "them, or linked.",
            search_aliases=["CoTracker", "Wan-Move", "ATI", "spline", "2D to 3D tracks"],
            inputs=[
                io.Image.Input("image", tooltip="The frames that were tracked; the tracks are in their pixels."),
                io.Float.Input(
                    "field_of_view",
                    default=0.0,
                    min=0.0,
                    max=170.0,
                    step=0.1,
                    tooltip="Horizontal field of view in degrees, where no camera is linked; 0 finds it from the "
                    f"tracks, or takes that of the geometry, else {USUAL_FOV:g}.",
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
                    "camera",
                    optional=True,
                    tooltip="The source camera's path, if you know it; without it it is solved from the tracks.",
                ),
                io.Image.Input("depth", optional=True, tooltip="Depth images of the same frames."),
                *depth_distances(),
                *geometry_sockets(),
                io.Combo.Input(
                    "motion",
                    options=["auto", "static", "rotation", "general"],
                    default="auto",
                    optional=True,
                    tooltip="How the camera moves, where no path is linked: auto finds out; fewer than some 24 tracks "
                    "a frame cannot tell, and the camera is then taken to stand.",
                ),
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
        tracks=None,
        tracks_json=None,
        camera=None,
        motion=None,
        **depth_fields,
    ) -> io.NodeOutput:
        from ..track2view_core.tracks.tracks_2d import lift_tracks, standing_camera, tracks_from_core, tracks_from_json

        if (tracks is None) == (tracks_json is None):
            raise Track2ViewError("Link exactly one of tracks and tracks_json.")
        video = frames_from_image(image, "image")
        frames, height, width = video.shape[:3]
        geometry = linked_geometry(image, None, **depth_fields)
        notes = []
        if tracks_json is None:
            flat = tracks_from_core(tracks)
        else:
            flat, told = tracks_from_json(tracks_json, frames=frames)
            notes.append(told)
        path = camera and camera.resized(width, height)
        proposed, fov = geometry and geometry.camera, geometry and geometry.fov_degrees
        if path is None and motion is None:  # a graph saved before there was a motion to choose: nothing is solved
            path = proposed
            if path is None:
                path, told = standing_camera(frames, width, height, field_of_view or fov)
                notes.append(told)
        lifted = lift_tracks(
            flat,
            camera=path,
            motion=motion or "auto",
            fov_degrees=field_of_view or None,
            fov_guess=fov,
            proposed=proposed,
            depth=geometry and geometry.depth,
            video=video,
            progress=progress_callback(),
        )
        report = report_at("Track2View_LiftTracks", (*notes, *lifted.notes))
        return io.NodeOutput(lifted, lifted.camera, report.text, ui=report.ui)


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

        edited, notes = edit_tracks(
            point_tracks,
            mask=mask,
            mask_rule=mask_rule,
            least_confidence=least_confidence,
            motion=motion,
            most=most_tracks,
        )
        report = report_at("Track2View_EditTracks", (*notes, *doubtful(edited.notes)))
        return io.NodeOutput(edited, report.text, ui=report.ui)


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
        told = report_at("Track2View_SaveTracks", figures=f"Saved {what} as output/{saved}")
        return io.NodeOutput(saved, ui={"text": (saved,), **told.ui})


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
                offering_upload(
                    io.Combo.Input(
                        "file",
                        options=kept_names(TRACK_FILES),
                        tooltip="A .npz or .safetensors in ComfyUI's input or output folder; upload it, or put it "
                        "there and press R to refresh the list.",
                    ),
                    TRACK_FILES,
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
        return is_kept(file, TRACK_FILES)

    @classmethod
    def fingerprint_inputs(cls, file, **_) -> str:
        facts = kept_file(file, TRACK_FILES).stat()
        return f"{file} {facts.st_mtime_ns} {facts.st_size}"

    @classmethod
    def execute(cls, file, width, height) -> io.NodeOutput:
        from ..track2view_core.tracks import load_tracks

        if bool(width) != bool(height):
            raise Track2ViewError(f"width is {width} and height {height}; set both, or leave both at 0.")
        tracks = load_tracks(kept_file(file, TRACK_FILES), image_size=(height, width) if width else None)
        camera = tracks.camera
        read = (
            f"{tracks.positions.shape[1]} tracks of {len(tracks)} frames, {camera.width} x {camera.height}, "
            f"{camera.fps:g} fps"
        )
        report = report_at("Track2View_LoadTracks", tracks.notes, figures=read, table=read)
        return io.NodeOutput(tracks, camera, report.text, ui=report.ui)


NODES = (TrackPoints, SaveTracks, LoadTracks, TrackPointsSpatialTracker, LiftTracks, EditTracks)
