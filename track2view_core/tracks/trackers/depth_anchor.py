"""What depth maps add to the camera solve: the scene's shape, where parallax alone leaves it open.

A few pixels of parallax leave focal length and depth free to grow together, and the solve would settle anywhere along
that valley. A map, whatever its scale, tells which depths go together. Maps err alike over whole surfaces, so they
count little beside good parallax.
"""

from __future__ import annotations

import numpy as np

from .bundle_adjustment import CORRELATED, LEAST_NOISE, Cameras, DepthRows, Observations
from .depth import DepthAlignment, align_to_points

LEAST_SPREAD = 0.02
"""Share of the depth that the best map is taken to err."""
ALIKE = 10.0
"""So many neighbouring points err alike in a map, and a point alike in all its frames."""
OUTLIER = 2.0
DENIED, DEVIATIONS = 0.15, 4.0
"""A point whose parallax depth differs from the maps' by this share and so many deviations moves with the camera."""
NEEDS_SHIFT = 0.6
"""Maps are relative ones, with a shift of their own, when that brings the misfit below this share."""


def depth_rows(
    cameras: Cameras,
    points: np.ndarray,  # [N, 3]
    seen: Observations,
    inverse: np.ndarray,  # [C, N] the maps' inverse depth, NaN where unknown
    pixel_noise: float,
) -> DepthRows:
    """The maps' word on the observations, weighted by how well they agree with the present solution."""
    off = _off(cameras, points, seen, inverse)
    known = np.isfinite(off)
    log_depth = -np.log(np.where(known, inverse[seen.camera, seen.point], 1))
    centred = _centred(off, known, seen.camera)[known]
    spread = max(LEAST_SPREAD, 1.4826 * float(np.median(np.abs(centred)))) if known.any() else 1.0
    views = np.bincount(seen.point[known], minlength=len(points))[seen.point]
    noise = CORRELATED * max(pixel_noise, LEAST_NOISE)
    weight = np.where(known, noise / (spread * np.sqrt(ALIKE * np.maximum(views, 1))), 0.0)
    return DepthRows(log_depth, weight, OUTLIER * spread * weight)


def map_misfit(cameras: Cameras, points: np.ndarray, seen: Observations, inverse: np.ndarray) -> float:
    """Median share by which the depths of points and maps differ, every map at its best scale."""
    off = _off(cameras, points, seen, inverse)
    known = np.isfinite(off)
    return float(np.median(np.abs(_centred(off, known, seen.camera)[known]))) if known.any() else float("inf")


def map_spread(seen: Observations, inverse: np.ndarray) -> float:
    """The same of a scene without any depth: the maps' own spread."""
    told = inverse[seen.camera, seen.point]
    known = np.isfinite(told) & (told > 0)
    off = np.log(np.where(known, told, 1))
    return float(np.median(np.abs(_centred(off, known, seen.camera)[known]))) if known.any() else 0.0


def drifts(cameras: Cameras, points: np.ndarray, seen: Observations, inverse: np.ndarray) -> tuple[float, float]:
    """How much the maps' scale would wander from frame to frame if the camera travels so, and if it does not travel.

    A travel towards a flat wall looks like a zoom; but the wall comes nearer, which maps of one scale show.
    """
    travelling = _off(cameras, points, seen, inverse)
    known = np.isfinite(travelling)
    resting = np.where(known, np.log(np.where(known, inverse[seen.camera, seen.point], 1)), np.nan)
    count = np.bincount(seen.point[known], minlength=len(points))
    mean = np.bincount(seen.point[known], resting[known], minlength=len(points)) / np.maximum(count, 1)
    resting = resting - mean[seen.point]
    told = np.unique(seen.camera[known])
    if len(told) < 2:
        return 0.0, 0.0
    middle = [[np.median(off[known & (seen.camera == c)]) for c in told] for off in (travelling, resting)]
    return float(np.std(middle[0])), float(np.std(middle[1]))


def denied(
    cameras: Cameras, points: np.ndarray, seen: Observations, inverse: np.ndarray, standing: np.ndarray
) -> np.ndarray:
    """Which points [N] the maps see at another depth than parallax does; `standing` [N] set the maps' scales."""
    off = _off(cameras, points, seen, inverse)
    known = np.isfinite(off)
    off = _centred(off, known & standing[seen.point], seen.camera)
    middle = np.zeros(len(points))
    order = np.lexsort((off, seen.point))
    order = order[known[order]]
    index, start, count = np.unique(seen.point[order], return_index=True, return_counts=True)
    middle[index] = off[order[start + count // 2]]
    told = standing & np.isin(np.arange(len(points)), index)
    if not told.any():
        return np.zeros(len(points), bool)
    spread = 1.4826 * float(np.median(np.abs(middle[told])))
    return np.abs(middle) > max(DENIED, DEVIATIONS * spread)


def _off(cameras: Cameras, points: np.ndarray, seen: Observations, inverse: np.ndarray) -> np.ndarray:
    """Log depth of points over that of the maps [M], NaN where either is unknown."""
    told = inverse[seen.camera, seen.point]
    depth = cameras.to_camera(seen.camera, points[seen.point])[:, 2]
    known = np.isfinite(told) & (told > 0) & (depth > 0)
    return np.where(known, np.log(np.where(known, depth * np.where(known, told, 1), 1)), np.nan)


def without_shift(cameras: Cameras, points: np.ndarray, seen: Observations, inverse: np.ndarray) -> DepthAlignment:
    """How relative maps [C, N] lose the shift they have, as the present solution asks; nothing changes other maps."""
    depth = np.full(inverse.shape, np.nan)
    depth[seen.camera, seen.point] = cameras.to_camera(seen.camera, points[seen.point])[:, 2]
    expected = np.where(depth > 0, 1 / np.where(depth > 0, depth, 1), np.nan)
    fitted = align_to_points(inverse, expected)
    before, after = (map_misfit(cameras, points, seen, maps) for maps in (inverse, fitted.inverse(inverse)))
    unchanged = DepthAlignment(np.ones(len(inverse)), np.zeros(len(inverse)))
    return fitted if after < NEEDS_SHIFT * before else unchanged


def _centred(off: np.ndarray, known: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """Values [M] less the median of what is known of their camera."""
    out = off.copy()
    for c in np.unique(camera[known]):
        here = camera == c
        out[here] -= np.median(off[here & known])
    return out
