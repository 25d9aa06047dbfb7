"""The look of a point's surroundings, found again under an affine change (inverse compositional Lucas-Kanade).

Plain Lucas-Kanade shifts a window rigidly, so on a slanted or approaching surface it follows whatever edge in the
window is strongest, a little off the point, and the errors add up from frame to frame. Comparing with the first look,
sheared and scaled as needed, does not drift.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

RADIUS = 10
ROUNDS = 5
STIFFNESS = 0.03
"""How strongly the warp is pulled towards none, beside a picture of variance 1; decides where texture is poor."""
CONVERGED = 0.01

_SIDE = 2 * RADIUS + 1
_GRID = (
    np.stack(np.meshgrid(np.arange(-RADIUS, RADIUS + 1), np.arange(-RADIUS, RADIUS + 1)), -1)
    .reshape(-1, 2)
    .astype(np.float32)
)
_WEIGHT = np.exp(-(_GRID**2).sum(1) / (2 * (0.6 * RADIUS) ** 2)).astype(np.float32)
_WEIGHT /= _WEIGHT.sum()


@dataclass(frozen=True, eq=False)
class Patches:
    template: np.ndarray  # [n, P] float32, weighted mean 0, weighted variance 1
    steepest: np.ndarray  # [n, P, 6] change of the template with the warp (shift x, y; 2 x 2 matrix), times the weight
    solver: np.ndarray  # [n, 6, 6] inverse normal matrix

    @staticmethod
    def empty() -> Patches:
        size = len(_GRID)
        return Patches(
            np.zeros((0, size), np.float32), np.zeros((0, size, 6), np.float32), np.zeros((0, 6, 6), np.float32)
        )

    @staticmethod
    def at(gray: np.ndarray, position: np.ndarray) -> Patches:
        """Patches of `gray` [H, W] around positions [n, 2] in OpenCV pixels."""
        unit = np.broadcast_to(np.eye(2, dtype=np.float32), (len(position), 2, 2))
        raw = _sampled(gray, position, unit)
        mean, deviation = _moments(raw)
        template = (raw - mean) / deviation
        square = template.reshape(-1, _SIDE, _SIDE)
        down, across = np.gradient(square, axis=(1, 2)) if len(square) else (square, square)
        gradient = np.stack([across, down], -1).reshape(-1, len(_GRID), 2)
        spread = (gradient[:, :, :, None] * _GRID[None, :, None, :]).reshape(len(template), len(_GRID), 4)
        steepest = np.concatenate([gradient, spread], 2).astype(np.float32)
        weighted = steepest * _WEIGHT[None, :, None]
        normal = weighted.transpose(0, 2, 1) @ steepest
        shift = np.trace(normal[:, :2, :2], axis1=1, axis2=2) / 2
        held = np.zeros((len(template), 6, 6), np.float32)
        held[:, range(2), range(2)] = 1e-3 * shift[:, None] + 1e-6
        held[:, range(2, 6), range(2, 6)] = STIFFNESS
        return Patches(template, weighted, np.linalg.inv(normal + held))

    def select(self, index: np.ndarray) -> Patches:
        return Patches(self.template[index], self.steepest[index], self.solver[index])

    def joined(self, other: Patches) -> Patches:
        return Patches(
            np.concatenate([self.template, other.template]),
            np.concatenate([self.steepest, other.steepest]),
            np.concatenate([self.solver, other.solver]),
        )

    def replaced(self, index: np.ndarray, other: Patches) -> Patches:
        """These patches with those at `index` renewed."""
        for mine, new in (
            (self.template, other.template),
            (self.steepest, other.steepest),
            (self.solver, other.solver),
        ):
            mine[index] = new
        return self


def find_again(
    gray: np.ndarray,  # [H, W]
    patches: Patches,
    position: np.ndarray,  # [n, 2] OpenCV pixels, where to begin
    warp: np.ndarray,  # [n, 2, 2] where to begin
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions [n, 2], warps [n, 2, 2] and the correlation with the template [n]."""
    position, warp = position.astype(np.float32), warp.astype(np.float32)
    active = np.arange(len(position))
    agreement = np.zeros(len(position), np.float32)
    for step in range(ROUNDS + 1):
        if not len(active):
            break
        raw = _sampled(gray, position[active], warp[active])
        mean, deviation = _moments(raw)
        difference = (raw - mean) / deviation - patches.template[active]
        agreement[active] = 1 - 0.5 * (difference**2 @ _WEIGHT)
        if step == ROUNDS:
            break
        right = (difference[:, None] @ patches.steepest[active])[:, 0]
        right[:, 2:] += STIFFNESS * (warp[active] - np.eye(2, dtype=np.float32)).reshape(-1, 4)
        change = np.einsum("nij,nj->ni", patches.solver[active], right)
        inverse = np.linalg.inv(np.eye(2) + np.clip(change[:, 2:], -0.2, 0.2).reshape(-1, 2, 2)).astype(np.float32)
        shift = np.clip(change[:, :2], -2, 2)
        warp[active] = warp[active] @ inverse
        moved = np.einsum("nij,nj->ni", warp[active], shift)
        position[active] -= moved
        active = active[np.abs(moved).max(1) > CONVERGED]
    return position, warp, agreement


def _sampled(gray: np.ndarray, position: np.ndarray, warp: np.ndarray) -> np.ndarray:
    """Grey values [n, P] at the warped grid around each position; whole grey levels would cost a tenth of a pixel."""
    gray = gray.astype(np.float32)
    if not len(position):
        return np.zeros((0, len(_GRID)), np.float32)
    at = position[:, None].astype(np.float32) + _GRID @ warp.transpose(0, 2, 1)
    rows = []
    for block in np.array_split(at, max(1, len(at) // 8192 + 1)):  # remap takes at most 32767 rows
        rows.append(cv2.remap(gray, block, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    return np.concatenate(rows).astype(np.float32)


def _moments(raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and standard deviation [n, 1]; at least one grey level, so that noise is not blown up."""
    mean = (raw @ _WEIGHT)[:, None]
    return mean, np.sqrt(np.maximum(((raw - mean) ** 2 @ _WEIGHT)[:, None], 1.0))
