"""How the clip's pictures lie in the pictures that the tracker gets, and where tracks start in them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

TRACKER_SIDE, TRACKER_MULTIPLE = 518, 14
"""The tracker's width. It would cut what is taller than this off at the top and bottom."""
PADDING = 255
"""White, as the tracker's own padding is."""
MARGIN = 1 / 64
"""Share of the picture's width along its edges in which no track starts."""
SPREAD = (0.7548776662466927, 0.5698402909980532)
"""Steps of the plane's most even additive sequence: any number of its first points is evenly spread."""


@dataclass(frozen=True)
class Placement:
    """A clip of `clip_width` x `clip_height` as a content of `content_width` x `height`, `left` px from the left edge.

    Pixels of the clip are continuous (the first one's centre is 0.5); the tracker counts whole-number centres.
    """

    clip_width: int
    clip_height: int
    content_width: int
    height: int
    left: int
    width: int = TRACKER_SIDE

    @classmethod
    def of(cls, width: int, height: int) -> Placement:
        """Wide pictures fill the tracker's width; tall ones, which it would crop, get white at their sides."""
        if height > width:
            content = max(1, round(width * TRACKER_SIDE / height))
            return cls(width, height, content, TRACKER_SIDE, (TRACKER_SIDE - content) // 2)
        rows = max(1, round(height * TRACKER_SIDE / width / TRACKER_MULTIPLE)) * TRACKER_MULTIPLE
        return cls(width, height, TRACKER_SIDE, rows, 0)

    def picture(self, frame: np.ndarray) -> np.ndarray:
        """A frame `[H, W, 3]` uint8 as the tracker's `[height, width, 3]`."""
        method = cv2.INTER_AREA if self.content_width < self.clip_width else cv2.INTER_CUBIC
        out = np.full((self.height, self.width, 3), PADDING, np.uint8)
        size = (self.content_width, self.height)
        out[:, self.left : self.left + self.content_width] = cv2.resize(frame, size, interpolation=method)
        return out

    @property
    def _scale(self) -> np.ndarray:
        return np.array([self.clip_width / self.content_width, self.clip_height / self.height])

    @property
    def _offset(self) -> np.ndarray:
        return np.array([0.5 - self.left, 0.5])

    def to_tracker(self, xy: np.ndarray) -> np.ndarray:
        """Pixels `[..., 2]` of the clip -> the tracker's."""
        return xy / self._scale - self._offset

    def to_clip(self, xy: np.ndarray) -> np.ndarray:
        """The tracker's pixels `[..., 2]` -> pixels of the clip."""
        return (xy + self._offset) * self._scale

    def intrinsics_of_clip(self, intrinsics: np.ndarray) -> np.ndarray:
        """Intrinsics `[T, 3, 3]` of the tracker's pictures -> of the clip's."""
        moved = np.array(intrinsics, np.float64)
        moved[:, :2, 2] += self._offset
        moved[:, :2] *= self._scale[:, None]
        moved[:, 1, 0] = 0.0
        moved[:, 2] = (0.0, 0.0, 1.0)
        return moved


def start_points(count: int, frames: list[int], width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Frame numbers `[count]` and pixels `[count, 2]` where tracks start: in turn in each of `frames`, evenly spread.

    However many of them are taken from the front, they stay spread over the picture and over the frames.
    """
    turn = np.arange(count)
    spread = (0.5 + (turn // len(frames))[:, None] * SPREAD + (turn % len(frames))[:, None] / len(frames)) % 1.0
    margin = MARGIN * width
    return np.array(frames)[turn % len(frames)], margin + spread * (np.array([width, height]) - 2 * margin)
