"""Inverse depth of what stands by comparing pictures: the depth at which frames before and after show the same colour.

Tracks say little of smooth walls and nothing of which side of an edge a pixel is on; pictures taken from aside do.
A sweep of fronto-parallel planes gives the cost of each of some depths at each pixel (Collins 1996), semi-global
matching the map that is cheapest and changes at edges of colour (Hirschmueller 2008).
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from ..cameras import CameraPath
from .standing_fusion import pixel_to_pixel

DEPTHS = 64
"""Planes of a sweep. Over a range of 1 to 50 they are 6 % apart, and what lies between is interpolated."""
NEARER, FARTHER, FARTHEST = 1.15, 0.6, 0.02
"""The sweep goes beyond what the tracks say: plain things far behind have none."""
GOALS = (6.0, 14.0)
"""Parallax (pixels of the map) of the middle depth at which frames are compared: less is not exact, more hides more."""
FARTHEST_FRAME = 24
LEAST_PARALLAX = 1.0
"""Below this many pixels no frame tells a depth, and a depth that was assumed stays as it was assumed."""
LITTLE_PARALLAX = 3.0
"""Below this many pixels next to nothing is hidden, and frames before and after are asked together, not either."""
BLUR = 0.5
"""Sigma (pixels) that makes interpolated and whole pixels alike blurred; more blurs the edges of things."""
NOISE = 0.25
"""Least noise (grey levels) of a small picture."""
REGISTRATION = 0.15
"""Pixels by which a point may be beside where the camera puts it."""
MOST = 4.0
"""A colour further off than so many deviations is another thing's colour, however far off."""
OUTSIDE = -1e3
"""The colour of what is not shown: what is interpolated with it stays below 0."""
NEUTRAL = 1.0
"""Cost of a depth that no frame shows."""
SLOPE, JUMP, EDGE_JUMP = 0.8, 4.0, 0.25
"""Cost of a change by one depth, of a larger one within a surface, and of one at an edge of colour."""
EDGE = 6.0
"""Step of colour (CIELAB units) at which JUMP has fallen to about a third."""
PRIOR, PRIOR_MOST = 0.5, 3.0
"""Cost of each depth apart from what the tracks' planes say, next to a track; and at how many it ends to rise."""
PRIOR_WAY = 0.5
"""Cost of the way to a track at which the tracks' planes count about a third."""
SPECK, SPECK_RATIO = 120, 1.2
"""Fewer pixels of like depth, each within this ratio of its neighbour, are a chance match unless a track is there."""


def depths_swept(inverse: np.ndarray) -> np.ndarray:
    """Inverse depths [DEPTHS], ascending by equal ratios, for a scene with tracks of inverse depth [N]."""
    high = NEARER * np.quantile(inverse, 0.995)
    low = min(FARTHEST * high, FARTHER * np.quantile(inverse, 0.005))
    return np.geomspace(low, high, DEPTHS)


def frames_to_compare(camera: CameraPath, t: int, inverse: float) -> tuple[list[list[int]], float]:
    """Frames before and frames after t whose view is far enough aside; and the most parallax (pixels) of them.

    None where the camera does not travel.
    """
    sides, most = [], 0.0
    for step in (-1, 1):
        frames = [s for k in range(1, FARTHEST_FRAME + 1) if 0 <= (s := t + step * k) < len(camera)]
        if not frames:
            continue
        parallax = np.array([_parallax(camera, t, s, inverse) for s in frames])
        most = max(most, float(parallax.max()))
        enough = [int(np.argmax(parallax >= goal)) if (parallax >= goal).any() else -1 for goal in GOALS]
        widest = int(np.argmax(parallax))
        sides.append(sorted({frames[k if k >= 0 else widest] for k in enough}))
    return (sides, most) if most > LEAST_PARALLAX else ([], most)


def _parallax(camera: CameraPath, t: int, s: int, inverse: float) -> float:
    """Pixels of frame s between a point of this inverse depth and one at infinity, the median over frame t."""
    away, toward = pixel_to_pixel(camera, t, s)
    y, x = np.mgrid[4 : camera.height : 8, 4 : camera.width : 8]
    far = away @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    near = far + toward[:, None] * inverse
    ahead = (far[2] > 1e-6) & (near[2] > 1e-6)
    if not ahead.any():
        return 0.0
    apart = near[:2, ahead] / near[2, ahead] - far[:2, ahead] / far[2, ahead]
    return float(np.median(np.linalg.norm(apart, axis=0)))


def swept_costs(
    pictures: np.ndarray,  # [T, h, w, 3] float32, grey levels
    camera: CameraPath,  # T frames, of h x w pixels
    t: int,
    depths: np.ndarray,  # [D] inverse depth
    sides: list[list[int]],  # frames to compare with
    together: bool,  # of the sides the mean; else the better one, as the other may be hidden
    noise: float,  # grey levels
    moving: np.ndarray | None = None,  # [T, h, w] bool: pixels that show nothing of what stands
) -> np.ndarray:
    """Cost [h, w, D] float32 of each depth at each pixel of frame t: how badly the colours match, 0 to `MOST`."""
    h, w = pictures.shape[1:3]
    own = pictures[t]
    gradient = np.abs(cv2.Sobel(own, -1, 1, 0, scale=0.125)) + np.abs(cv2.Sobel(own, -1, 0, 1, scale=0.125))
    sharpness = (1 / (noise + REGISTRATION * gradient)).astype(np.float32)
    centre = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    mean = np.full((1, 3), 1 / 3, np.float32)
    shown = {s: pictures[s] if moving is None else np.where(moving[s, ..., None], np.float32(OUTSIDE), pictures[s])
             for frames in sides for s in frames}  # fmt: skip
    ways = {s: pixel_to_pixel(camera, t, s) for frames in sides for s in frames}
    costs = np.empty((len(depths), h, w), np.float32)
    for k, inverse in enumerate(depths):
        said = []
        for frames in sides:
            total, count = np.zeros((h, w), np.float32), np.zeros((h, w), np.float32)
            for s in frames:
                away, toward = ways[s]
                view = away.astype(np.float64)
                view[:, 2] += toward * inverse
                view = np.linalg.inv(centre) @ view @ centre
                seen = cv2.warpPerspective(
                    shown[s], view, (w, h), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderValue=(OUTSIDE,) * 3
                )
                inside = seen[..., 0] >= 0
                off = cv2.absdiff(seen, own)
                cv2.threshold(np.multiply(off, sharpness, out=off), MOST, 0, cv2.THRESH_TRUNC, dst=off)
                total += cv2.transform(off, mean) * inside
                count += inside
            with np.errstate(invalid="ignore"):
                said.append(total / count)  # not a number where no frame shows it
        cost = np.fmin(said[0], said[-1])  # where one side shows nothing, what the other says
        if len(said) == 2 and together:
            cost = (cost + np.fmax(*said)) / 2
        cost[np.isnan(cost)] = NEUTRAL
        costs[k] = cv2.blur(cost, (3, 3))
    return np.ascontiguousarray(costs.transpose(1, 2, 0))


def prior_costs(planes: np.ndarray, way: np.ndarray, depths: np.ndarray) -> np.ndarray:
    """Cost [h, w, D] of leaving the tracks' planes [h, w], each as far (cost of the way) from its track."""
    place = np.log(np.maximum(planes, 1e-12) / depths[0]) / np.log(depths[1] / depths[0])
    apart = np.minimum(np.abs(np.arange(len(depths)) - place[..., None]), PRIOR_MOST)
    return (PRIOR * np.exp(-way / PRIOR_WAY)[..., None] * apart).astype(np.float32)


def cheapest_map(costs: np.ndarray, lab: np.ndarray, depths: np.ndarray) -> np.ndarray:
    """Inverse depth [h, w] of least cost [h, w, D], changes counted along four ways; colours [h, w, 3] CIELAB."""
    turned = (1, 0, 2)
    total = _over_rows(costs, lab)
    total += _over_rows(np.ascontiguousarray(costs.transpose(turned)), lab.transpose(turned)).transpose(turned)
    return _between(total, depths)


def _over_rows(cost: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Least cost [h, w, D] of the ways down to and up to each pixel; all in place, in memory that lies in a row."""
    step = np.linalg.norm(colour[1:] - colour[:-1], axis=-1)
    jump = (EDGE_JUMP + (JUMP - EDGE_JUMP) * np.exp(-step / EDGE)).astype(np.float32)[..., None]
    total, rows = np.zeros_like(cost), range(len(cost))
    before, way = np.empty(cost.shape[1:], np.float32), np.empty(cost.shape[1:], np.float32)
    least = torch.from_numpy(way)  # numpy takes four times as long for the least of a short row
    for order, back in ((rows, -1), (rows[::-1], 0)):
        for r in order:
            if r == order[0]:
                way[:] = cost[r]
            else:
                np.minimum(before.ravel()[:-2], before.ravel()[2:], out=way.ravel()[1:-1])
                way[:, 0], way[:, -1] = before[:, 1], before[:, -2]
                way += np.float32(SLOPE)
                np.minimum(way, before, out=way)
                np.minimum(way, jump[r + back], out=way)
                way += cost[r]
            total[r] += way
            np.subtract(way, least.amin(1, keepdim=True).numpy(), out=before)
    return total


def without_specks(inverse: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The map [h, w] with specks as far as what is beside them, but those with a known pixel (indices [K])."""
    scale = 2000.0  # steps of the logarithm, in 16 bits
    level = np.log(inverse / inverse.min()) * scale / np.log(SPECK_RATIO)
    step = max(1.0, float(level.max()) / 30_000)
    coarse = (level / step).astype(np.int16)
    cv2.filterSpeckles(coarse, -1, SPECK, scale / step)
    speck = (coarse < 0).astype(np.uint8)
    _, part = cv2.connectedComponents(speck, connectivity=4)
    kept = np.unique(part.ravel()[known])
    removed = (speck > 0) & ~np.isin(part, kept[kept > 0])
    if not removed.any():
        return inverse
    index = np.asarray(distance_transform_edt(removed, return_distances=False, return_indices=True))
    return inverse[index[0], index[1]]


def _between(total: np.ndarray, depths: np.ndarray) -> np.ndarray:
    """The depth of least total cost, between two planes where a parabola through three says so."""
    least = total.argmin(-1)
    middle = np.clip(least, 1, len(depths) - 2)
    a, b, c = (np.take_along_axis(total, (middle + k)[..., None], -1)[..., 0] for k in (-1, 0, 1))
    bend = a - 2 * b + c
    shift = np.where((middle == least) & (bend > 1e-6), (a - c) / (2 * np.maximum(bend, 1e-6)), 0).clip(-0.5, 0.5)
    return depths[0] * (depths[1] / depths[0]) ** (least + shift)
