"""Stage tracking: 3D point tracks of the user's own SpatialTrackerV2, which runs as a program of its own."""

from __future__ import annotations

import os
from pathlib import Path

import folder_paths
from comfy_api.latest import io

from ..track2view_core.errors import Track2ViewError
from ..track2view_core.tracks.trackers.spatial_tracker import TrackerProfile, chosen_profile, read_profiles
from .comfy_bridge import give_up_device, progress_callback, schema
from .sockets import CLIP_INFO, frames_from_image
from .track_files import kept_between_runs
from .tracking import CATEGORY, tracker_output, tracker_outputs, unpadded

NO_PROFILE = "no profile found"


def profile_file() -> Path:
    """The file that names programs to run: in a folder that ComfyUI's own API neither reads nor writes."""
    return Path(folder_paths.get_user_directory()) / "__track2view" / "trackers.json"


def profile_names() -> list[str]:
    try:
        return list(read_profiles(profile_file(), os.environ)) or [NO_PROFILE]
    except Track2ViewError:  # said when the node is used; a schema that raises would drop the whole pack
        return [NO_PROFILE]


def profile_of(name: str) -> TrackerProfile:
    return chosen_profile(profile_file(), os.environ, name, option="profile", instead="use Track 3D Points")


def install_version(install: TrackerProfile, variant: str) -> str:
    """Changes with the profile, the checkout's code and the weights; refuses an install that is not whole."""
    from ..track2view_core.tracks import cache

    weights = install.check(variant, os.environ).values()
    return f"{install!r} {cache.install_version(install.checkout, weights)}"


def _inputs() -> list[io.Input]:
    profiles = profile_names()
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
            inputs=_inputs(),
            outputs=tracker_outputs("What was tracked, and what to look at."),
        )

    @classmethod
    def validate_inputs(cls, profile=None) -> bool | str:
        if profile is None:
            return True  # linked, and known only when it runs
        try:
            profile_of(profile)
        except Track2ViewError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, profile=None, variant="offline", **_) -> str:
        try:
            return "" if profile is None else install_version(profile_of(profile), variant)
        except Track2ViewError as error:
            return str(error)

    @classmethod
    def execute(
        cls, image, profile, points, variant, camera_fixed, start_frames, support_points, clip_info=None
    ) -> io.NodeOutput:
        from ..track2view_core.tracks.trackers import SpatialTrackerV2

        install = profile_of(profile)
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

        tracks, _ = kept_between_runs(track, tracker=install_version(install, variant), **settings)
        return tracker_output(tracks, clip_info)


NODES = (TrackPointsSpatialTracker,)
