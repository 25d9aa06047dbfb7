"""A camera path that a depth model proposes: how well the followed points agree with it, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...cameras import CameraPath
from .bundle_adjustment import Cameras, Observations
from .flow import PixelTracks
from .structure import refine_points, triangulate

AGREES = 0.5
"""Share of the followed points that must stand still before the proposed camera; the others may move."""
NEAR = 2.0
"""In limits: within it a point agrees."""
SHORTEST = 3


@dataclass(frozen=True)
class Agreement:
    share: float  # of the points followed for at least three frames
    error: float  # their median, pixels


def agreement(flow: PixelTracks, cameras: Cameras, limit: float) -> Agreement:
    """How well standing points explain the followed pixels before `cameras`."""
    chosen = np.flatnonzero(flow.seen.sum(0) >= SHORTEST)
    if not len(chosen):
        return Agreement(0.0, float("inf"))
    seen = Observations.of(flow.xy[:, chosen], flow.seen[:, chosen])
    found = refine_points(cameras, triangulate(cameras, seen, len(chosen)), seen, huber=0.5 * limit)
    return Agreement(float((found.middle < NEAR * limit).mean()), float(np.median(found.middle)))


def proposed_notes(flow: PixelTracks, proposed: Cameras, limit: float, *, used: bool, travels: bool) -> list[str]:
    """What became of a path that a depth model proposes: it is one of the beginnings from which the solve chooses."""
    if not travels:
        return ["the depth model's camera path was left aside, since the tracks show a camera that does not travel"]
    judged = agreement(flow, proposed, limit)
    told = f"{100 * judged.share:.0f} % of the points agree with it, median error {judged.error:.2f} px"
    if used:
        return [f"the depth model's camera path was used and refined; before, {told}"]
    if judged.share < AGREES:
        return [f"WARNING: the depth model's camera path was not used: only {told}; it was solved from the tracks"]
    return [f"the depth model's camera path was not needed: the tracks' own solution is as good; {told}"]


def in_pixels(proposed: CameraPath, width: float, height: float) -> Cameras:
    """The path's cameras with the origin at frame 0 and their lens in pixels of this size, its centre in the middle."""
    resized = proposed.relative_to_first().resized(max(1, round(width)), max(1, round(height)))
    pose, lens = resized.camera_from_world.cpu().numpy(), resized.intrinsics.cpu().numpy()
    focal = 0.5 * (lens[:, 0, 0] + lens[:, 1, 1])
    return Cameras(pose[:, :3, :3].copy(), pose[:, :3, 3].copy(), focal, np.array([width / 2, height / 2]))
