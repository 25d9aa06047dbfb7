"""Values spread over a picture up to its colour edges."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.linalg import get_lapack_funcs

REACH = 40.0
"""Pixels that values go without an edge in the way."""
EDGE = 4.0
"""Difference of neighbours in Lab that weakens their bond to 1 / e."""
ROUNDS = 3
"""Along the rows and along the columns, in turn; each reaches half as far as the one before."""


def edge_aware_sum(
    values: np.ndarray,  # [h, w, C]
    picture: np.ndarray,  # [h, w, 3] uint8
) -> np.ndarray:
    """[h, w, C] float64: least squares of (x - values)^2 and of differences of neighbours of like colour.

    Solved exactly along rows and along columns in turn, each a tridiagonal system (Min et al. 2014, Fast Global
    Image Smoothing). Sums are kept, so that weighted values over spread weights are the mean of what is known.
    """
    lab = cv2.cvtColor(cv2.bilateralFilter(picture, 5, 20, 2), cv2.COLOR_RGB2LAB).astype(np.float32)
    across = np.exp(-np.linalg.norm(np.diff(lab, axis=1), axis=-1) / EDGE)
    down = np.exp(-np.linalg.norm(np.diff(lab, axis=0), axis=-1) / EDGE).T
    spread = values.astype(np.float64)
    for done in range(ROUNDS):
        strength = REACH**2 * 1.5 * 4.0 ** (ROUNDS - 1 - done) / (4.0**ROUNDS - 1)
        spread = _along_rows(spread, strength * across)
        spread = _along_rows(spread.transpose(1, 0, 2), strength * down).transpose(1, 0, 2)
    return spread


def _along_rows(values: np.ndarray, bond: np.ndarray) -> np.ndarray:
    """Solves (1 + L) x = values [h, w, C], L the Laplacian of each row with bonds [h, w - 1] between neighbours."""
    height, width, channels = values.shape
    right = np.pad(bond, ((0, 0), (0, 1)))  # no bond from the end of a row to the next
    diagonal = 1 + right + np.pad(bond, ((0, 0), (1, 0)))
    factored, solved = get_lapack_funcs(("pttrf", "pttrs"), dtype=np.float64)
    pivots, lower, _ = factored(diagonal.ravel(), -right.ravel()[:-1])
    return solved(pivots, lower, np.asfortranarray(values.reshape(-1, channels)))[0].reshape(height, width, channels)
