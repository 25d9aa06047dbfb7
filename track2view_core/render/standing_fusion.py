"""What maps of other frames say of a frame: carried into it, and the median that makes all maps steady."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt

from ..cameras import CameraPath
from ..threads import each
from .optical_flow import pixel_grid

REACH = 4
"""Frames before and after that have a say: more cost time, and see the pixel from too far aside."""
ROUNDS = 2
"""Rounds of the median; after two, most pixels of the neighbours say the same."""


def fused(maps: np.ndarray, camera: CameraPath) -> np.ndarray:
    """Inverse depth [T, h, w] of each frame, from the maps of all; T frames of a camera of h x w pixels."""
    for _ in range(ROUNDS):
        maps = np.stack(list(each(partial(_agreed, maps, camera), range(len(maps)))))
    return maps


def _agreed(maps: np.ndarray, camera: CameraPath, t: int) -> np.ndarray:
    """The median [h, w] of what the maps [T, h, w] near frame t say of it."""
    said = [maps[t]] * 2  # its own counts twice
    said += [asked(maps[t], maps[s], camera, t, s)[0] for s in range(t - REACH, t + REACH + 1)
             if s != t and 0 <= s < len(maps)]  # fmt: skip
    return _middle(said)


def _middle(maps: list[np.ndarray]) -> np.ndarray:
    """Median [h, w] of maps [h, w]: neighbours that are out of order change places, which takes maps whole and so a
    tenth of np.median's time."""
    maps = list(maps)
    for done in range(len(maps)):
        for k in range(done % 2, len(maps) - 1, 2):
            maps[k], maps[k + 1] = np.minimum(maps[k], maps[k + 1]), np.maximum(maps[k], maps[k + 1])
    return (maps[(len(maps) - 1) // 2] + maps[len(maps) // 2]) / 2


def asked(
    own: np.ndarray, other: np.ndarray, camera: CameraPath, t: int, s: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What map s [h, w] says of the pixels of frame t, found where t's own map [h, w] puts them; and x, y there."""
    x, y = (a + np.float32(0.5) for a in pixel_grid(*own.shape))
    u, v, _ = _seen_from(x, y, own, camera, t, s)
    there = cv2.remap(other, u - 0.5, v - 0.5, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return _inverse_from(u, v, there, *pixel_to_pixel(camera, s, t))[0], u, v


def carried(
    maps: list[np.ndarray],  # [h, w] inverse depth each
    frames: list[int],  # their frames
    pictures: np.ndarray,  # [T, h, w, 3] float32
    camera: CameraPath,  # of h x w pixels
    t: int,
) -> np.ndarray:
    """Inverse depth [h, w] of frame t from maps of other frames: nearer hides farther, the map whose colour fits wins.

    What none of them shows is as far as the farther things beside it.
    """
    h, w = maps[0].shape
    x, y = (a.ravel() + np.float32(0.5) for a in pixel_grid(h, w))
    best, fit = np.zeros((h, w), np.float32), np.full((h, w), np.float32(np.inf))
    for map_, s in zip(maps, frames, strict=True):
        u, v, inverse = _seen_from(x, y, map_.ravel(), camera, s, t)
        column, row = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
        shown = np.flatnonzero((column >= 0) & (column < w) & (row >= 0) & (row < h))
        shown = shown[np.argsort(inverse[shown], kind="stable")]  # the nearest is written last
        source = np.full(h * w, -1)
        source[row[shown] * w + column[shown]] = shown
        known = source >= 0
        off = np.where(known, np.abs(pictures[s].reshape(-1, 3)[source] - pictures[t].reshape(-1, 3)).sum(-1), np.inf)
        better = off.reshape(h, w) < fit
        best = np.where(better, inverse[source].reshape(h, w), best)
        fit = np.minimum(fit, off.reshape(h, w))
    missing = ~np.isfinite(fit)
    if missing.any():
        index = np.asarray(distance_transform_edt(missing, return_distances=False, return_indices=True))
        filled = best[index[0], index[1]]
        lowest = cv2.erode(filled, np.ones((5, 5), np.uint8))
        wide = cv2.morphologyEx(missing.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
        best = np.where(missing, np.where(wide, lowest, filled), best)
    return best


def _seen_from(
    x: np.ndarray, y: np.ndarray, inverse: np.ndarray, camera: CameraPath, t: int, s: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where frame s sees points of frame t, and their inverse depth in s (as it was for points behind the camera)."""
    away, toward = pixel_to_pixel(camera, t, s)
    seen, z = _inverse_from(x, y, inverse, away, toward)
    u, v = (away[r, 0] * x + away[r, 1] * y + away[r, 2] + toward[r] * inverse for r in range(2))
    return u / z, v / z, seen


def _inverse_from(
    x: np.ndarray, y: np.ndarray, inverse: np.ndarray, away: np.ndarray, toward: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Inverse depth in another frame (as it was for points behind the camera), and what it was divided by."""
    z = away[2, 0] * x + away[2, 1] * y + away[2, 2] + toward[2] * inverse
    ahead = z > 1e-6
    z = np.maximum(z, np.float32(1e-6))
    return np.where(ahead, inverse / z, inverse), z


def pixel_to_pixel(camera: CameraPath, t: int, s: int) -> tuple[np.ndarray, np.ndarray]:
    """[3, 3] and [3] float32: homogeneous pixel of s = the first @ homogeneous pixel of t + the second * inverse."""
    here, there = camera.world_from_camera[t].numpy(), camera.world_from_camera[s].numpy()
    lens = camera.intrinsics[s].numpy() @ there[:3, :3].T
    away = lens @ here[:3, :3] @ np.linalg.inv(camera.intrinsics[t].numpy())
    return away.astype(np.float32), (lens @ (here[:3, 3] - there[:3, 3])).astype(np.float32)
