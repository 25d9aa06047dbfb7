"""Maps of what stands, made steady: every frame's map asks what its neighbours, re-projected, say."""

from __future__ import annotations

import cv2
import numpy as np

from ..cameras import CameraPath

REACH = 4
"""Frames before and after that have a say: more cost time, and see the pixel from too far aside."""
ROUNDS = 2
"""Rounds of the median; after two, most pixels of the neighbours say the same."""


def fused(maps: np.ndarray, camera: CameraPath) -> np.ndarray:
    """Inverse depth [T, h, w] of each frame, from the maps of all; T frames of a camera at any size."""
    frames, h, w = maps.shape
    camera = camera.resized(w, h)
    for _ in range(ROUNDS):
        new = np.empty_like(maps)
        for t in range(frames):
            said = [maps[t], maps[t]]  # its own counts twice
            for s in range(max(0, t - REACH), min(frames, t + REACH + 1)):
                if s != t:
                    said.append(_asked(maps[t], maps[s], camera, t, s))
            new[t] = np.median(np.stack(said), 0)
        maps = new
    return maps


def _asked(own: np.ndarray, other: np.ndarray, camera: CameraPath, t: int, s: int) -> np.ndarray:
    """What map s [h, w] says of the pixels of frame t, found where t's own map [h, w] puts them."""
    h, w = own.shape
    y, x = np.mgrid[:h, :w].astype(np.float32) + np.float32(0.5)
    # A point at pixel p with inverse depth i is seen from s at  away @ (p, 1) + toward * i,  times 1 / i.
    away, toward = _pixel_to_pixel(camera, t, s)
    seen = [away[r, 0] * x + away[r, 1] * y + away[r, 2] + toward[r] * own for r in range(3)]
    z = np.maximum(seen[2], 1e-6)
    u, v = seen[0] / z, seen[1] / z
    there = cv2.remap(other, u - 0.5, v - 0.5, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    back, offset = _pixel_to_pixel(camera, s, t)
    z = back[2, 0] * u + back[2, 1] * v + back[2, 2] + offset[2] * there  # of t's z, times the inverse depth
    return np.where(z > 1e-6, there / np.maximum(z, 1e-6), there)


def _pixel_to_pixel(camera: CameraPath, t: int, s: int) -> tuple[np.ndarray, np.ndarray]:
    """[3, 3] and [3] float32: homogeneous pixel of s = the first @ homogeneous pixel of t + the second * inverse."""
    pose = camera.world_from_camera.numpy()
    lens = camera.intrinsics.numpy()
    move = np.linalg.inv(pose[s]) @ pose[t]
    away = lens[s] @ move[:3, :3] @ np.linalg.inv(lens[t])
    return away.astype(np.float32), (lens[s] @ move[:3, 3]).astype(np.float32)
