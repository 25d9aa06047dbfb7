"""What each verb of the command line calls the settings that a note advises to change: options of that very verb."""

from __future__ import annotations

from ..notes import Door

DEMO = Door("demo", {})
PATH = Door("path convert", {"fov_degrees": "--fov", "quaternion_order": "--quaternion-order"})
PLAN = Door("plan", {"memory": "--memory"})
RERENDER = Door(
    "rerender",
    {
        "fov_degrees": "--fov",
        "motion": "--motion",
        "points": "--points",
        "quaternion_order": "--quaternion-order",
        "size": "--size",
        "subject": "--subject X,Y",
        "tracker": "--tracker spatial_tracker_v2",
        "tracks": "--tracks",
    },
)
BATCH = Door("batch", {name: option for name, option in RERENDER.words.items() if name != "tracks"})
DOORS = {door.name: door for door in (DEMO, PATH, PLAN, RERENDER, BATCH)}
"""The verbs that tell notes, by name."""
