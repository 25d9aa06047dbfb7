"""A camera path that a depth model proposes: taken where the followed points agree with it, then refined by them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...cameras import CameraPath
from .bundle_adjustment import Cameras, Focal, Observations, bundle_adjust
from .flow import PixelTracks
from .motion_class import classify
from .selection import spread_over_picture
from .shots import Setup
from .structure import refine_points, triangulate

AGREES = 0.5
"""Share of the followed points that must stand still before the proposed camera; the others may move."""
NEAR, FAR_OFF = 2.0, 6.0
"""In limits: within the first a point agrees; a path whose median point errs more than the second is not refined."""
SHORTEST = 3
REFINED_POINTS = 300
REACHES = (6.0, 2.0, 1.0)
"""In limits: how far a point may err to take part in the first, second and third refinement."""
FEWEST_A_FRAME = 8
LENS_TRUSTED = 0.08
"""A focal length that moves farther than this share away from the model's is not one that the motion shows."""


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


def with_proposed(
    flow: PixelTracks,  # of one shot, in working pixels
    setup: Setup,
    proposed: CameraPath,  # of the shot, any size of the same shape
) -> tuple[Setup, list[str]]:
    """The setup with the proposed path given, where the points agree with it; and the notes that say so.

    A camera that stands keeps standing: poses of a model tremble, and those of a standing camera are exactly one.
    """
    motion = setup.motion
    if motion == "auto":
        evidence = classify(flow, setup.width, setup.height)
        motion = evidence.motion if evidence.compared else "static"
    if motion == "static" or len(flow.xy) < 2:
        return setup, []
    cameras = _in_pixels(proposed, setup)
    before = agreement(flow, cameras, setup.limit)
    if before.error < FAR_OFF * setup.limit:
        refined = _refined(flow, cameras, setup)
        after = agreement(flow, refined, setup.limit)
        if after.share >= before.share:
            cameras, before = refined, after
    told = f"{100 * before.share:.0f} % of the points agree with it, median error {before.error:.2f} px"
    if before.share < AGREES:
        return setup, [
            f"WARNING: the depth model's camera path was not used, since only {told}; it was solved from the tracks"
        ]
    return replace(setup, given=cameras), [f"the depth model's camera path was used and refined; {told}"]


def _in_pixels(proposed: CameraPath, setup: Setup) -> Cameras:
    resized = proposed.relative_to_first().resized(max(1, round(setup.width)), max(1, round(setup.height)))
    pose, lens = resized.camera_from_world.cpu().numpy(), resized.intrinsics.cpu().numpy()
    focal = 0.5 * (lens[:, 0, 0] + lens[:, 1, 1])
    if setup.focal_known:
        focal = np.full(len(focal), setup.focal)
    return Cameras(pose[:, :3, :3].copy(), pose[:, :3, 3].copy(), focal, setup.center)


def _refined(flow: PixelTracks, cameras: Cameras, setup: Setup) -> Cameras:
    """The cameras adjusted to the points that agree with them best, with one focal length."""
    chosen = np.flatnonzero(flow.seen.sum(0) >= SHORTEST)
    life = flow.seen.mean(0)[chosen]
    best = spread_over_picture(
        flow.xy[:, chosen], flow.seen[:, chosen], life, REFINED_POINTS, setup.width, setup.height
    )
    chosen = chosen[best]
    one_lens = Cameras(
        cameras.rotation, cameras.translation, np.full(len(cameras), np.median(cameras.focal)), cameras.center
    )
    if setup.focal_known:
        return _adjusted(flow, chosen, one_lens, setup, "fixed")
    found = _adjusted(flow, chosen, one_lens, setup, "shared")
    if abs(found.focal[0] / one_lens.focal[0] - 1) > LENS_TRUSTED:
        found = _adjusted(flow, chosen, one_lens, setup, "fixed")  # the motion does not show the lens
    return found


def _adjusted(flow: PixelTracks, chosen: np.ndarray, cameras: Cameras, setup: Setup, focal: Focal) -> Cameras:
    expected = float(cameras.focal[0])
    for reach in REACHES:  # movers fall out as the cameras find their places
        seen = Observations.of(flow.xy[:, chosen], flow.seen[:, chosen])
        start = refine_points(cameras, triangulate(cameras, seen, len(chosen)), seen, huber=0.5 * setup.limit)
        steady = start.middle < reach * setup.limit
        seen = Observations.of(flow.xy[:, chosen[steady]], flow.seen[:, chosen[steady]])
        if np.bincount(seen.camera, minlength=len(cameras)).min() < FEWEST_A_FRAME:
            break
        cameras = bundle_adjust(
            cameras,
            start.points[steady],
            seen,
            focal=focal,
            expected_focal=expected,
            huber=0.3 * setup.limit,
            iterations=20,
        ).cameras
    return cameras
