"""What the source camera does: stands still, only turns, or travels. Decided from followed points alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from .flow import PixelTracks

Motion = Literal["static", "rotation", "general"]
MOTIONS: tuple[Motion, ...] = ("static", "rotation", "general")
STILL_SHARE = 0.5
STILL_SPREAD_SHARE = 0.2
"""So few unmoved points are enough where they span the picture (a mover fills much of it)."""
STILL_SPREAD = 0.35
HOMOGRAPHY_SHARE = 0.75
ENOUGH_SHARED = 80
FEWEST_SHARED = 12


@dataclass(frozen=True)
class MotionEvidence:
    motion: Motion
    still: float  # smallest share of points that kept their place, over the compared pairs of frames
    homography: float  # smallest share of points that one homography explains
    compared: int  # how many pairs of frames could be compared


def still_limit(width: float) -> float:
    """How many pixels a standing point may wander."""
    return max(1.0, 0.0018 * width)


def classify(flow: PixelTracks, width: float, height: float) -> MotionEvidence:
    """Compares frames at a quarter, half, three quarters and the end with an early one that shares enough points."""
    frames, limit = len(flow.xy), still_limit(width)
    still, homography, spread = [], [], []
    for late in sorted({frames // 4, frames // 2, 3 * frames // 4, frames - 1} - {0}):
        early = _partner(flow.seen, late)
        shared = flow.seen[early] & flow.seen[late]
        if shared.sum() < FEWEST_SHARED:
            continue
        start, end = flow.xy[early, shared], flow.xy[late, shared]
        unmoved = np.linalg.norm(end - start, axis=1) < limit
        still.append(float(unmoved.mean()))
        spread.append(_spread(start[unmoved], width, height))
        found, inlier = cv2.findHomography(start, end, cv2.RANSAC, limit, maxIters=3000)
        homography.append(float(inlier.mean()) if found is not None else 0.0)
    if not still:
        return MotionEvidence("static", 1.0, 1.0, 0)
    stands = min(still) > STILL_SHARE or (min(still) > STILL_SPREAD_SHARE and min(spread) > STILL_SPREAD)
    turns = min(homography) > HOMOGRAPHY_SHARE
    motion: Motion = "static" if stands else "rotation" if turns else "general"
    return MotionEvidence(motion, min(still), min(homography), len(still))


def _partner(seen: np.ndarray, late: int) -> int:
    """Frame 0 where it shares enough points with frame `late`, else one a third of the clip before."""
    if (seen[0] & seen[late]).sum() > ENOUGH_SHARED:
        return 0
    return max(0, late - max(1, len(seen) // 3))


def _spread(xy: np.ndarray, width: float, height: float) -> float:
    """The share of the picture that the points [n, 2] span (their convex hull)."""
    if len(xy) < 3:
        return 0.0
    return float(cv2.contourArea(cv2.convexHull(xy.astype(np.float32)))) / (width * height)
