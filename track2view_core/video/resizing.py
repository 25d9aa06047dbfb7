"""Resampling of pictures: antialiased on the way down, cubic on the way up, untouched where the size is the same."""

from __future__ import annotations

import numpy as np


def resize_picture(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """`picture` [H, W, 3] uint8 at `width` x `height`."""
    if picture.shape[:2] == (height, width):
        return picture
    import cv2  # here, so that the room itself loads with torch alone

    smaller = width * height < picture.shape[0] * picture.shape[1]
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
