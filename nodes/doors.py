"""What each node calls the settings that a note advises to change: inputs of that very node, by their names."""

from __future__ import annotations

from collections.abc import Iterable

from ..track2view_core.notes import Door, Note, report_lines

DOORS = {
    door.name: door
    for door in (
        Door(
            "Track2View_TrackPoints",
            {
                "camera": "camera",
                "depth": "depth",
                "fov_degrees": "field_of_view",
                "motion": "motion",
                "points": "points",
            },
        ),
        Door(
            "Track2View_LiftTracks",
            {"camera": "camera", "depth": "depth", "fov_degrees": "field_of_view", "motion": "motion"},
        ),
        Door("Track2View_RenderTargetView", {"depth": "depth"}),
        Door("Track2View_KeepKnownPixels", {"depth": "depth"}),
        Door("Track2View_NeoVerseConditioning", {"depth": "depth"}),
        Door("Track2View_ImportCamera", {"fov_degrees": "field_of_view", "quaternion_order": "quaternion_order"}),
        Door("Track2View_CameraPreset", {"subject": "subject"}),
        Door("Track2View_MemoryPlan", {"memory": "card_memory"}),
    )
}
"""The nodes whose inputs cure something, by id; at every other node a note says what was found and no more."""


def door_of(node_id: str) -> Door:
    """Where a user of that node stands."""
    return DOORS.get(node_id, Door(node_id, {}))


def told_at(node_id: str, notes: Iterable[Note]) -> str:
    """The report of a node: its notes, a line each, with the remedies that are inputs of its own."""
    return "\n".join(report_lines(notes, door_of(node_id)))
