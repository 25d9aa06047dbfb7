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
FIRMLY_STILL = 0.3
FIRM_SHARE, FIRM_SPREAD = 0.2, 0.1
"""Movers may fill most of the picture: this share of points is enough where they keep within FIRMLY_STILL of the limit
and span this share of the picture. A travelling camera leaves no such group but a small one around its goal."""
LASTING, STEADY = 6, 0.5
"""A point followed for so many frames that never leaves its place by more than this share of the limit stands firm."""
LASTING_SHARE, LASTING_SPREAD = 0.1, 0.12
"""At every time so many of the lasting points must stand firm and span so much of the picture: before a standing camera
that is the background between large movers. Between two frames, where chance plays a part, more is asked."""
HOMOGRAPHY_SHARE = 0.75
HOMOGRAPHY_SAMPLE = 400
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
    still, firm, spread, homography = [], [], [], []
    for late in sorted({frames // 4, frames // 2, 3 * frames // 4, frames - 1} - {0}):
        early = _partner(flow.seen, late)
        shared = flow.seen[early] & flow.seen[late]
        if shared.sum() < FEWEST_SHARED:
            continue
        start, end = flow.xy[early, shared], flow.xy[late, shared]
        way = np.linalg.norm(end - start, axis=1)
        firmly = way < FIRMLY_STILL * limit
        still.append(float((way < limit).mean()))
        firm.append(float(firmly.mean()))
        spread.append(spanned(start[firmly], width, height))
        some = np.random.default_rng(0).permutation(len(start))[:HOMOGRAPHY_SAMPLE]
        found, inlier = cv2.findHomography(start[some], end[some], cv2.RANSAC, limit, maxIters=1000)
        homography.append(float(inlier.mean()) if found is not None else 0.0)
    if not still:
        return MotionEvidence("static", 1.0, 1.0, 0)
    stands = min(still) > STILL_SHARE or (min(firm) > FIRM_SHARE and min(spread) > FIRM_SPREAD)
    stands = stands or _background_stands(flow, width, height)
    turns = min(homography) > HOMOGRAPHY_SHARE
    motion: Motion = "static" if stands else "rotation" if turns else "general"
    return MotionEvidence(motion, min(still), min(homography), len(still))


def _background_stands(flow: PixelTracks, width: float, height: float) -> bool:
    """Whether in every frame a wide part of the lasting points keeps its place for as long as it is followed."""
    life = flow.seen.sum(0)
    mean = (flow.xy * flow.seen[..., None]).sum(0) / np.maximum(life, 1)[:, None]
    off = np.where(flow.seen, np.linalg.norm(flow.xy - mean, axis=2), 0).max(0)
    lasting = life >= min(LASTING, len(flow.xy))
    firm = lasting & (off < STEADY * still_limit(width))
    for xy, seen in zip(flow.xy, flow.seen, strict=True):
        here = seen & firm
        if here.sum() < LASTING_SHARE * (seen & lasting).sum() or spanned(xy[here], width, height) < LASTING_SPREAD:
            return False
    return True


def _partner(seen: np.ndarray, late: int) -> int:
    """Frame 0 where it shares enough points with frame `late`, else one a third of the clip before."""
    if (seen[0] & seen[late]).sum() > ENOUGH_SHARED:
        return 0
    return max(0, late - max(1, len(seen) // 3))


def spanned(xy: np.ndarray, width: float, height: float) -> float:
    """The share of the picture that the points [n, 2] span (their convex hull)."""
    if len(xy) < 3:
        return 0.0
    return float(cv2.contourArea(cv2.convexHull(xy.astype(np.float32)))) / (width * height)
