"""Depth maps, whatever their scale: read at the points, brought into line, and heard in the camera solve.

The inverse depth of a map has a scale of its own, often a shift, frame by frame. `align_to_points` fits both to the
points that parallax has placed; `align_to_each_other` makes the maps of a camera that does not travel agree. In the
solve (`depth_rows`) maps tell the scene's shape where parallax alone leaves it open: a few pixels of parallax leave
focal length and depth free to grow together, and the solve would settle anywhere along that valley. Maps err alike over
whole surfaces, so they count little beside good parallax.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .camera_solver import CORRELATED, LEAST_NOISE, Cameras, DepthRows, Observations

# in line with what is known
TRIALS = 200
AGREES = 0.1
"""Measured and expected inverse depth agree when they differ by less than this share."""
FEWEST_ANCHORS = 8
FLAT_SPREAD = 0.15
"""With anchors in so narrow a range of inverse depth (relative) only the scale is fitted."""
NEAR_THE_WHOLE, HOLDS = 0.25, 0.6
"""One fit for the clip holds where this share of its anchors lies within the first of it."""
NEAREST_OF_FARTHEST = 0.02

# in the camera solve
LEAST_SPREAD = 0.02
"""Share of the depth that the best map is taken to err."""
ALIKE = 10.0
"""So many neighbouring points err alike in a map, and a point alike in all its frames."""
OUTLIER = 2.0
DENIED, DEVIATIONS = 0.15, 4.0
"""A point whose parallax depth differs from the maps' by this share and so many deviations moves with the camera."""
NEEDS_SHIFT = 0.6
"""Maps are relative ones, with a shift of their own, when that brings the misfit below this share."""


# --- read at the points -----------------------------------------------------------------------------------------------


def sample_inverse_depth(
    depth: np.ndarray,  # [T, h, w], any resolution; what is not finite or not positive is unknown
    xy: np.ndarray,  # [T, N, 2] pixels of a width x height picture
    seen: np.ndarray,  # [T, N] bool
    width: float,
    height: float,
) -> np.ndarray:
    """The map's inverse depth [T, N], the median of 3 x 3 of its pixels (one of a coarse map); NaN where unknown."""
    _, rows, columns = depth.shape
    column, row = (xy[..., 0] * columns / width).astype(int), (xy[..., 1] * rows / height).astype(int)
    reach = (-1, 0, 1) if columns >= width and rows >= height else (0,)  # a coarse map's neighbours are other things
    around = np.stack([(row + down, column + right) for down in reach for right in reach])  # [9 or 1, 2, T, N]
    value = depth[
        np.arange(len(depth))[:, None],
        np.clip(around[:, 0], 0, rows - 1),
        np.clip(around[:, 1], 0, columns - 1),
    ].astype(np.float64)
    known = seen & np.isfinite(value) & (value > 0)
    inverse = np.where(known, 1 / np.where(known, value, 1), np.nan)
    return nan_median(inverse.reshape(len(inverse), -1)).reshape(seen.shape)


# --- in line with points, and with each other -------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class DepthAlignment:
    """inverse depth = scale * map's inverse depth + shift, frame by frame."""

    scale: np.ndarray  # [T]
    shift: np.ndarray  # [T]

    def inverse(self, measured: np.ndarray) -> np.ndarray:
        """Aligned inverse depth [T, N], kept positive, of the map's inverse depth [T, N]; NaN stays NaN."""
        aligned = self.scale[:, None] * measured + self.shift[:, None]
        known = aligned[np.isfinite(aligned) & (aligned > 0)]
        floor = NEAREST_OF_FARTHEST * float(np.median(known)) if len(known) else 1e-6
        return np.maximum(aligned, floor)


def fit_inverse_depth(measured: np.ndarray, expected: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """(scale, shift) with expected = scale * measured + shift for inverse depths [n], robust to a third of outliers.

    The noise is in the map, so `measured` is regressed on `expected` and the line turned round.
    """
    ratio = float(np.median(expected / measured))
    low, high = np.quantile(expected, [0.1, 0.9])
    if len(measured) < FEWEST_ANCHORS or high - low < FLAT_SPREAD * abs(np.median(expected)):
        return ratio, 0.0
    pairs = np.random.default_rng(seed).integers(0, len(measured), (TRIALS, 2))
    a, b = pairs.T
    run = expected[b] - expected[a]
    apart = np.abs(run) > 0.2 * (high - low)
    slope = (measured[b] - measured[a])[apart] / run[apart]
    start = measured[a][apart] - slope * expected[a][apart]
    slope, start = np.append(slope, 1 / ratio), np.append(start, 0.0)
    agrees = np.abs(slope[:, None] * expected + start[:, None] - measured) < AGREES * measured
    agrees[slope <= 0.1 / ratio] = False
    best = agrees.sum(1).argmax()
    line, inlier = np.array([slope[best], start[best]]), agrees[best]
    design = np.stack([expected, np.ones_like(expected)], 1)
    for _ in range(10):
        error = (design @ line - measured) / measured
        width = max(1.5 * float(np.median(np.abs(error[inlier]))), 1e-9) if inlier.any() else AGREES
        weight = np.sqrt(1 / (1 + (error / width) ** 2)) * (np.abs(error) < 3 * AGREES) / measured
        line = np.linalg.lstsq(design * weight[:, None], measured * weight, rcond=None)[0]
        inlier = np.abs(error) < 2 * AGREES
    if not line[0] > 0.1 / ratio:
        return ratio, 0.0
    return float(1 / line[0]), float(-line[1] / line[0])


def align_to_points(measured: np.ndarray, expected: np.ndarray) -> DepthAlignment:
    """Fits the map's inverse depth [T, N] to that of solved points [T, N]; NaN where either is unknown.

    Frames with too few points take the fit of the frames around them, or that of the clip as a whole.
    """
    frames = len(measured)
    known = np.isfinite(measured) & np.isfinite(expected) & (expected > 0)
    if not (known.sum(1) >= FEWEST_ANCHORS).any():
        fit = fit_inverse_depth(measured[known], expected[known]) if known.any() else (1.0, 0.0)
        return DepthAlignment(np.full(frames, fit[0]), np.full(frames, fit[1]))
    known = _of_one_scene(measured, expected, known)
    solid = np.flatnonzero(known.sum(1) >= FEWEST_ANCHORS)
    fits = np.array([fit_inverse_depth(measured[t, known[t]], expected[t, known[t]]) for t in solid])
    each = np.arange(frames)
    return DepthAlignment(np.interp(each, solid, fits[:, 0]), np.interp(each, solid, fits[:, 1]))


def _of_one_scene(measured: np.ndarray, expected: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The anchors without those that a fit to the whole clip denies, where such a fit holds.

    A thing that moves rigidly may bring most anchors of some frames; it cannot bring those of all.
    """
    scale, shift = fit_inverse_depth(measured[known], expected[known])
    told = np.where(known, scale * measured + shift, 1.0)
    off = np.where(known, np.abs(told / np.where(known, expected, 1.0) - 1), np.inf)
    agrees = off < NEAR_THE_WHOLE
    holds = agrees.sum() > HOLDS * known.sum() and (agrees.sum(1) >= FEWEST_ANCHORS).any()
    return agrees if holds else known


def align_to_each_other(
    measured: np.ndarray, stretch: np.ndarray, standing: np.ndarray
) -> tuple[DepthAlignment, np.ndarray]:
    """Makes the maps of a camera that does not travel agree about the standing points.

    Args:
        measured: the maps' inverse depth [T, N], NaN where unknown.
        stretch: length of the viewing ray with z = 1, [T, N]: distance = stretch / inverse depth.
        standing: [N] bool.

    Returns:
        the alignment, in units of the first frame's map, and the points' inverse distance [N], NaN where never known.
    """
    alignment = DepthAlignment(np.ones(len(measured)), np.zeros(len(measured)))
    anchors = np.where(standing, measured, np.nan)
    for _ in range(3):
        distance = nan_median(alignment.inverse(anchors) / stretch)
        alignment = align_to_points(anchors, distance * stretch)
        alignment = DepthAlignment(alignment.scale / alignment.scale[0], alignment.shift / alignment.scale[0])
    return alignment, robust_mean(alignment.inverse(measured) / stretch)


# --- in the camera solve ----------------------------------------------------------------------------------------------


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


def without_shift(cameras: Cameras, points: np.ndarray, seen: Observations, inverse: np.ndarray) -> DepthAlignment:
    """How relative maps [C, N] lose the shift they have, as the present solution asks; nothing changes other maps."""
    depth = np.full(inverse.shape, np.nan)
    depth[seen.camera, seen.point] = cameras.to_camera(seen.camera, points[seen.point])[:, 2]
    expected = np.where(depth > 0, 1 / np.where(depth > 0, depth, 1), np.nan)
    fitted = align_to_points(inverse, expected)
    before, after = (map_misfit(cameras, points, seen, maps) for maps in (inverse, fitted.inverse(inverse)))
    unchanged = DepthAlignment(np.ones(len(inverse)), np.zeros(len(inverse)))
    return fitted if after < NEEDS_SHIFT * before else unchanged


def _off(cameras: Cameras, points: np.ndarray, seen: Observations, inverse: np.ndarray) -> np.ndarray:
    """Log depth of points over that of the maps [M], NaN where either is unknown."""
    told = inverse[seen.camera, seen.point]
    depth = cameras.to_camera(seen.camera, points[seen.point])[:, 2]
    known = np.isfinite(told) & (told > 0) & (depth > 0)
    return np.where(known, np.log(np.where(known, depth * np.where(known, told, 1), 1)), np.nan)


def _centred(off: np.ndarray, known: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """Values [M] less the median of what is known of their camera."""
    out = off.copy()
    for c in np.unique(camera[known]):
        here = camera == c
        out[here] -= np.median(off[here & known])
    return out


# --- over time -----------------------------------------------------------------------------------------------------


def smoothed(inverse: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Inverse depth [T, N] of moving points, gaps filled along time and noise averaged over five frames."""
    out = inverse.copy()
    for n in range(inverse.shape[1]):
        frames = np.flatnonzero(known[:, n])
        valid = frames[np.isfinite(inverse[frames, n])]
        if not len(valid):
            continue
        values = np.interp(frames, valid, inverse[valid, n])
        if len(values) >= 5:
            windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, 2, mode="edge"), 5)
            values = np.median(windows, axis=1)
            values = np.lib.stride_tricks.sliding_window_view(np.pad(values, 2, mode="edge"), 5).mean(1)
        out[frames, n] = values
    return out


def nan_median(values: np.ndarray) -> np.ndarray:
    """Median over the first axis of what is known; NaN where nothing is, without a warning."""
    known = np.isfinite(values).any(0)
    out = np.full(values.shape[1], np.nan)
    out[known] = np.nanmedian(values[:, known], axis=0)
    return out


def robust_mean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what lies within three standard deviations of the median; NaN where nothing is known.

    The deviation is read off the median one. Against noise it needs two thirds of the frames that a median needs.
    """
    off = np.abs(values - nan_median(values))
    near = off <= 3 * 1.4826 * nan_median(off)
    count = near.sum(0)
    return np.where(count > 0, np.where(near, values, 0.0).sum(0) / np.maximum(count, 1), np.nan)
