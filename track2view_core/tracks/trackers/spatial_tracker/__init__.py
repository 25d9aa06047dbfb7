"""SpatialTrackerV2 as the user's own install, in a process of its own: see docs/TRACKERS.md."""

from .profiles import TrackerProfile, chosen_profile, read_profiles

__all__ = ["TrackerProfile", "chosen_profile", "read_profiles"]
