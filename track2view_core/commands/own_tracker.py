"""The user's own install of SpatialTrackerV2, by the name of its profile, as the options of a verb choose it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from ..errors import Track2ViewError
from ..progress import Progress
from ..tracks import PointTracks
from ..tracks.trackers import SpatialTrackerV2
from ..tracks.trackers.spatial_tracker import chosen_profile

BUILT_IN = "klt"
DEFAULT_VARIANT = "offline"
FILE_VARIABLE = "TRACK2VIEW_TRACKERS"


@dataclass(frozen=True)
class OwnTracker:
    """A `PointTracker` of it, with what the options say."""

    tracker: SpatialTrackerV2
    variant: str
    camera_fixed: bool

    def track(self, video: Tensor | np.ndarray, *, points: int, progress: Progress | None = None) -> PointTracks:
        how = {"variant": self.variant, "camera_fixed": self.camera_fixed}
        return self.tracker.track(video, points=points, progress=progress, **how)


def chosen_tracker(
    tracker: str,
    profile: str | None,
    variant: str | None = None,
    *,
    motion: str = "auto",
    fov_degrees: float | None = None,
) -> OwnTracker | None:
    """The tracker that --tracker names, None for the built-in one; refuses, before any work is done, what does not fit.

    Raises:
        Track2ViewError: an option of the other tracker, or an install that is not whole.
    """
    if tracker == BUILT_IN:
        for option, value in (("--profile", profile), ("--variant", variant)):
            if value is not None:
                raise Track2ViewError(
                    f"{option} is {value} and the tracker is the built-in one; add --tracker spatial_tracker_v2, or "
                    f"leave out {option}."
                )
        return None
    if fov_degrees is not None:
        raise Track2ViewError(
            "--fov is of the built-in tracker; SpatialTrackerV2 finds the lens itself, so leave it out."
        )
    if motion not in ("auto", "static"):
        raise Track2ViewError(
            f"--motion is {motion}, which is of the built-in tracker; SpatialTrackerV2 takes static for a "
            "camera that stands, and auto."
        )
    found = chosen_profile(
        profile_file(os.environ), os.environ, profile, option="--profile", instead="use --tracker klt"
    )
    found.check(variant or DEFAULT_VARIANT, os.environ)
    return OwnTracker(SpatialTrackerV2(found), variant or DEFAULT_VARIANT, motion == "static")


def profile_file(environment: Mapping[str, str]) -> Path:
    """Where profiles are read from: the file that TRACK2VIEW_TRACKERS names, or the one in the home folder."""
    named = environment.get(FILE_VARIABLE)
    return Path(named).expanduser() if named else Path.home() / ".track2view" / "trackers.json"
