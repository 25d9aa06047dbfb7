"""One run of the tracker as a solved piece of the clip, and pieces put together into one world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ....cameras.rotations import slerp
from ....errors import Track2ViewError

FEWEST_SHARED = 8
"""Tracks that two pieces must both see for their worlds to be joined."""
TRIMMING = 3.0
"""Points farther off than this many median distances take no part in the fit."""
OVERLAP_SHARE, LONGEST_OVERLAP = 0.25, 32


@dataclass(frozen=True, eq=False)
class Piece:
    """Tracks and camera of the frames `start`, `start` + 1, ... of the clip, in a world of their own."""

    start: int
    positions: np.ndarray  # [T, N, 3] float64, world; held where not `known`
    pixels: np.ndarray  # [T, N, 2] of the clip, held where not `known`
    known: np.ndarray  # [T, N] bool, the tracker gave a position in front of the camera
    visible: np.ndarray  # [T, N] bool
    confidence: np.ndarray  # [T, N]
    poses: np.ndarray  # [T, 4, 4] world_from_camera
    intrinsics: np.ndarray  # [T, 3, 3] pixels of the clip
    born: np.ndarray  # [N] frame of the clip in which the track starts
    born_xy: np.ndarray  # [N, 2] pixels of the clip

    @property
    def stop(self) -> int:
        return self.start + len(self.poses)


@dataclass(frozen=True)
class Similarity:
    """x -> scale * rotation @ x + translation."""

    scale: float
    rotation: np.ndarray  # [3, 3]
    translation: np.ndarray  # [3]

    def points(self, points: np.ndarray) -> np.ndarray:
        return self.scale * points @ self.rotation.T + self.translation

    def poses(self, poses: np.ndarray) -> np.ndarray:
        moved = poses.copy()
        moved[:, :3, :3] = self.rotation @ poses[:, :3, :3]
        moved[:, :3, 3] = self.points(poses[:, :3, 3])
        return moved


def piece_spans(frames: int, at_once: int) -> list[tuple[int, int]]:
    """(start, stop) of the overlapping pieces of a clip, of about one length, none longer than `at_once`."""
    if frames <= at_once:
        return [(0, frames)]
    overlap = min(LONGEST_OVERLAP, round(OVERLAP_SHARE * at_once))
    count = -(-(frames - overlap) // (at_once - overlap))
    length = -(-(frames + (count - 1) * overlap) // count)
    starts = [min(number * (length - overlap), frames - length) for number in range(count)]
    return [(start, start + length) for start in starts]


def fit_similarity(
    moved: np.ndarray,  # [n, 3]
    fixed: np.ndarray,  # [n, 3]
    weight: np.ndarray,  # [n]
    *,
    scale_only: bool = False,
) -> Similarity:
    """The similarity that brings `moved` onto `fixed` in weighted least squares (Umeyama 1991), outliers left out.

    scale_only: both worlds belong to one camera that stands, so nothing turns or shifts.
    """
    kept = np.ones(len(moved), bool)
    for _ in range(6):
        fit = (_scale if scale_only else _umeyama)(moved[kept], fixed[kept], weight[kept])
        off = np.linalg.norm(fit.points(moved) - fixed, axis=1) * np.sqrt(weight)
        now = off <= TRIMMING * np.median(off[kept]) + 1e-12
        if (now == kept).all():
            break
        kept = now
    return fit


def _umeyama(moved: np.ndarray, fixed: np.ndarray, weight: np.ndarray) -> Similarity:
    share = (weight / weight.sum())[:, None]
    from_, to = (share * moved).sum(0), (share * fixed).sum(0)
    a, b = moved - from_, fixed - to
    u, singular, vt = np.linalg.svd((share * b).T @ a)
    mirror = np.array([1.0, 1.0, np.linalg.det(u) * np.linalg.det(vt)])
    rotation = (u * mirror) @ vt
    scale = float((singular * mirror).sum() / (share * a * a).sum())
    return Similarity(scale, rotation, to - scale * rotation @ from_)


def _scale(moved: np.ndarray, fixed: np.ndarray, weight: np.ndarray) -> Similarity:
    scale = float((weight[:, None] * moved * fixed).sum() / (weight[:, None] * moved * moved).sum())
    return Similarity(scale, np.eye(3), np.zeros(3))


def carried_tracks(piece: Piece, frame: int) -> np.ndarray:
    """Indices of the tracks that the piece sees in frame `frame` of the clip, for the next piece to go on with."""
    return np.flatnonzero((piece.visible & piece.known)[frame - piece.start])


def joined(first: Piece, second: Piece, shared: np.ndarray, *, camera_fixed: bool) -> tuple[Piece, float, float]:
    """Both pieces as one in the first one's world; also the second's scale and how far shared points lie apart (1 / z).

    Args:
        shared: [M] the track of `first` that each of the first M tracks of `second` goes on with.

    Raises:
        Track2ViewError: the two see too few points both.
    """
    overlap = first.stop - second.start
    a, b = slice(len(first.poses) - overlap, None), slice(0, overlap)
    both = (first.visible & first.known)[a][:, shared] & (second.visible & second.known)[b][:, : len(shared)]
    if both.any(0).sum() < FEWEST_SHARED:
        raise Track2ViewError(
            f"Only {int(both.any(0).sum())} points are seen on both sides of frame {second.start}, too few to join the "
            "pieces of this long clip; cut the clip there, or raise points."
        )
    old, new = first.positions[a][:, shared][both], second.positions[b][:, : len(shared)][both]
    depth = _depth(first, first.positions)[a][:, shared][both]
    weight = 1.0 / np.maximum(depth, 1e-6) ** 2  # errors of depth grow with depth
    fit = fit_similarity(new, old, weight, scale_only=camera_fixed)
    gap = float(np.median(np.linalg.norm(fit.points(new) - old, axis=1) * np.sqrt(weight)))
    return _blended(first, second, fit, shared, overlap), fit.scale, gap


def _depth(piece: Piece, positions: np.ndarray) -> np.ndarray:
    along = positions - piece.poses[:, None, :3, 3]
    return np.einsum("tnk,tk->tn", along, piece.poses[:, :3, 2])


def _blended(first: Piece, second: Piece, fit: Similarity, shared: np.ndarray, overlap: int) -> Piece:
    share = (np.arange(overlap) + 1.0) / (overlap + 1.0)  # of the second piece, frame by frame
    poses = fit.poses(second.poses)
    a, b = len(first.poses) - overlap, overlap
    between = poses[:b].copy()
    early, late = (torch.from_numpy(ends[:, :3, :3].copy()) for ends in (first.poses[a:], poses[:b]))
    between[:, :3, :3] = slerp(early, late, torch.from_numpy(share)).numpy()
    between[:, :3, 3] = _mix(first.poses[a:, :3, 3], poses[:b, :3, 3], share[:, None])
    lens = _mix(first.intrinsics[a:], second.intrinsics[:b], share[:, None, None])
    # Columns: the tracks of the first piece, on which the shared ones go on, then the second's own.
    of_second = np.full(first.positions.shape[1], -1)
    of_second[shared] = np.arange(len(shared))
    fresh = np.arange(len(shared), second.positions.shape[1])
    known_early, known_late = first.known[a:, shared], second.known[:b, : len(shared)]
    each = np.where(known_early == known_late, share[:, None], known_late)  # [overlap, M]; whoever knows alone decides

    def table(early: np.ndarray, late: np.ndarray, empty: float, smooth: bool) -> np.ndarray:
        """Both pieces' values [T, N, ...] side by side; `empty` where a track's piece has no such frame."""
        frames, tail = a + len(late), early.shape[2:]
        out = np.full((frames, early.shape[1] + len(fresh), *tail), empty, early.dtype)
        out[: len(early), : early.shape[1]] = early
        out[a:, early.shape[1] :] = late[:, fresh]
        out[len(early) :, shared] = late[b:, of_second[shared]]
        there, here = early[a:, shared], late[:b, of_second[shared]]
        weights = each.reshape(*each.shape, *[1] * len(tail))
        out[a : a + b, shared] = _mix(there, here, weights) if smooth else np.where(weights > 0.5, here, there)
        return out

    known = table(first.known, second.known, False, False)
    moved = fit.points(second.positions)
    return Piece(
        start=first.start,
        positions=held(table(first.positions, moved, 0.0, True), known),
        pixels=held(table(first.pixels, second.pixels, 0.0, True), known),
        known=known,
        visible=table(first.visible, second.visible, False, False),
        confidence=table(first.confidence, second.confidence, 0.0, True),
        poses=np.concatenate([first.poses[:a], between, poses[b:]]),
        intrinsics=np.concatenate([first.intrinsics[:a], lens, second.intrinsics[b:]]),
        born=np.concatenate([first.born, second.born[fresh]]),
        born_xy=np.concatenate([first.born_xy, second.born_xy[fresh]]),
    )


def _mix(early: np.ndarray, late: np.ndarray, share: np.ndarray) -> np.ndarray:
    return (1.0 - share) * early + share * late


def held(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Values [T, N, ...] with the nearest earlier known one, or else the first later one, where not `known` [T, N]."""
    frames = np.arange(len(known))[:, None]
    before = np.maximum.accumulate(np.where(known, frames, -1), axis=0)
    first = np.where(known.any(0), known.argmax(0), 0)
    return values[np.where(before >= 0, before, first), np.arange(known.shape[1])]
