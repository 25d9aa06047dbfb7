"""Where each pixel goes from frame to frame, measured in the pictures, and carrying maps along it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from threading import Lock

import cv2
import numpy as np

from ..progress import Progress

DESCENT_STEPS, PATCH_STRIDE = 8, 4
REFINEMENT_STEPS = 3
"""Of the dense inverse search: less than OpenCV's medium preset takes, half as long and no less true."""
HELD = 32
"""Flows over several frames that are kept for the frames that will ask next."""
LOOP_LIMIT, LOOP_SHARE = 0.5, 0.1
"""There and back may miss by this many pixels, and by this share of the way, where the flow is still believed."""


@dataclass(frozen=True, eq=False)
class ClipFlow:
    """Optical flow between neighbouring frames of T pictures [h, w], in their pixels."""

    forward: np.ndarray  # [T - 1, h, w, 2] float32: pixel x of frame t is at x + forward[t] in frame t + 1
    backward: np.ndarray  # [T - 1, h, w, 2] float32: pixel x of frame t + 1 is at x + backward[t] in frame t
    _held: dict[tuple[int, int], np.ndarray] = field(default_factory=dict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def between(self, start: int, end: int) -> np.ndarray:
        """Flow [h, w, 2] from frame `start` to frame `end`, chained over the frames between; zero to itself.

        Not to be written to: the last ones are held, as each is asked for from both of its ends.
        """
        with self._lock:
            if (start, end) not in self._held:
                side = 1 if end > start else -1
                at = next((u for u in range(end, start, -side) if (start, u) in self._held), start)
                flow = self._held[start, at] if at != start else np.zeros(self.forward.shape[1:], np.float32)
                for t in range(at, end, side):
                    flow = flow + carried(self.forward[t] if side > 0 else self.backward[t - 1], flow)
                while len(self._held) >= HELD:
                    del self._held[next(iter(self._held))]
                self._held[start, end] = flow
            return self._held[start, end]


def clip_flow(pictures: np.ndarray, progress: Progress | None = None) -> ClipFlow:
    """Dense inverse search between neighbours of pictures [T, h, w, 3] uint8, both ways."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)
    search.setGradientDescentIterations(DESCENT_STEPS)
    search.setPatchStride(PATCH_STRIDE)
    search.setVariationalRefinementIterations(REFINEMENT_STEPS)
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures]
    flows = np.zeros((2, len(grey) - 1, *grey[0].shape, 2), np.float32)
    for t, (first, second) in enumerate(pairwise(grey)):
        flows[0, t] = search.calc(first, second, flows[0, t])  # from zeros
        flows[1, t] = search.calc(second, first, flows[1, t])
        if progress:
            progress(t + 1, len(grey) - 1, "Measuring the motion of pixels")
    return ClipFlow(flows[0], flows[1])


def carried(
    values: np.ndarray,  # [h, w] or [h, w, C], where the flow leads
    flow: np.ndarray,  # [h, w, 2]
) -> np.ndarray:
    """Values at the ends of the flow, where it begins; the frame's rim goes on outside."""
    column, row = pixel_grid(*flow.shape[:2])
    return cv2.remap(
        values, column + flow[..., 0], row + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def loop_trust(flow: np.ndarray, back: np.ndarray) -> np.ndarray:
    """1 where `flow` there and `back` [h, w, 2] again ends where it began, towards 0 where something was covered."""
    miss = length(flow + carried(back, flow))
    return np.exp(-np.square(miss / (LOOP_LIMIT + LOOP_SHARE * length(flow))))


def length(flow: np.ndarray) -> np.ndarray:
    """[h, w] of [h, w, 2]."""
    return cv2.magnitude(flow[..., 0], flow[..., 1])


@lru_cache(maxsize=4)
def pixel_grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Column and row [h, w] float32 of each pixel, not to be written to."""
    row, column = np.mgrid[:height, :width].astype(np.float32)
    return column, row
