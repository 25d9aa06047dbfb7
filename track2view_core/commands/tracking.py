"""The trackers of the command line: the built-in one, or an install of SpatialTrackerV2 by the name of its profile."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from ..errors import Track2ViewError
from ..progress import Progress
from ..tracks import PointTracks
from ..tracks.trackers import KltTracker, SpatialTrackerV2
from ..tracks.trackers.spatial_tracker import TrackerProfile, chosen_profile
from ..video import VideoClip

BUILT_IN = "klt"
DEFAULT_VARIANT = "offline"
FILE_VARIABLE = "TRACK2VIEW_TRACKERS"


def profile_file(environment: Mapping[str, str]) -> Path:
    """Where profiles are read from: the file that TRACK2VIEW_TRACKERS names, or the one in the home folder."""
    named = environment.get(FILE_VARIABLE)
    return Path(named).expanduser() if named else Path.home() / ".track2view" / "trackers.json"


def check_tracker(arguments: argparse.Namespace) -> None:
    """Refuse, before any work is done, an install that is not whole and options of the other tracker."""
    if arguments.tracker == BUILT_IN:
        for option, value in (("--profile", arguments.profile), ("--variant", arguments.variant)):
            if value is not None:
                raise Track2ViewError(
                    f"{option} is {value} and the tracker is the built-in one; add --tracker spatial_tracker_v2, or "
                    f"leave out {option}."
                )
        return
    if arguments.fov is not None:
        raise Track2ViewError(
            "--fov is of the built-in tracker; SpatialTrackerV2 finds the lens itself, so leave it out."
        )
    if arguments.motion not in ("auto", "static"):
        raise Track2ViewError(
            f"--motion is {arguments.motion}, which is of the built-in tracker; SpatialTrackerV2 takes static for a "
            "camera that stands, and auto."
        )
    _profile(arguments).check(arguments.variant or DEFAULT_VARIANT, os.environ)


def find_tracks(clip: VideoClip, arguments: argparse.Namespace, progress: Progress) -> PointTracks:
    """The tracks of the chosen tracker, at the clip's own rate."""
    if arguments.tracker == BUILT_IN:
        return KltTracker().track(
            clip.frames, points=arguments.points, motion=arguments.motion, fov_degrees=arguments.fov, progress=progress
        )
    return SpatialTrackerV2(_profile(arguments)).track(
        clip.frames,
        points=arguments.points,
        variant=arguments.variant or DEFAULT_VARIANT,
        camera_fixed=arguments.motion == "static",
        progress=progress,
    )


def _profile(arguments: argparse.Namespace) -> TrackerProfile:
    return chosen_profile(
        profile_file(os.environ), os.environ, arguments.profile, option="--profile", instead="use --tracker klt"
    )
