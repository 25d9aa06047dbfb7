"""From any path to a keyframe document: as few keys as hold it, so that a path made elsewhere can be edited by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...errors import Track2ViewError
from ..easing import EASES
from ..path import CameraPath, checked_scene_scale, relative_move
from ..rotations import axis_angle_from_matrix, matrix_from_quaternion, quaternion_from_matrix
from .documents import (
    BASES,
    KEY_EASES,
    MOST_KEYS,
    NEAREST,
    SEGMENT,
    STEEPEST,
    SUBJECT_AHEAD,
    Keyframe,
    Orbit,
    PathDocument,
)
from .sampling import sample_move

MORE_FOR_SMOOTH = 2
"""So many keys more a smooth path may have than one of eased segments: it goes on smoothly when keys are added."""


class FittedDocument(NamedTuple):
    """A document and how far it is from the path it was made from, at the worst frame."""

    document: PathDocument
    position_error: float  # scene scales
    turn_error: float  # degrees


def fit_document(
    path: CameraPath,
    source: CameraPath,
    *,
    scene_scale: float,
    base: str = "source",
    position_tolerance: float = 2e-3,  # scene scales
    turn_tolerance: float = 0.1,  # degrees
    focal_tolerance: float = 1e-3,  # share of the focal length
    most_keys: int = 60,
) -> FittedDocument:
    """The path as keys on `base`: the first and the last frame, then a key where each segment's curve is farthest off,
    until all frames are within the tolerances or there are `most_keys`. It is tried as one smooth path, and with the
    ease for each segment that fits best; a smooth one may have MORE_FOR_SMOOTH keys more.

    A path that looks at the subject (1.0 scene scale ahead of its base) all the time is also tried with keys that say
    so, and in orbit coordinates around it; the fewest keys win. A path that is its base comes back without keys. Of
    the lens, keys hold the focal length's factor in x alone.

    Raises:
        Track2ViewError: path and source differ in length, or a base or number of keys that is not allowed.
    """
    scale = checked_scene_scale(scene_scale)
    if base not in BASES:
        raise Track2ViewError(f"base is {base!r}; it must be {' or '.join(repr(name) for name in BASES)}.")
    if not 2 <= most_keys <= MOST_KEYS:
        raise Track2ViewError(f"most_keys is {most_keys}; it must be 2 to {MOST_KEYS}.")
    move = relative_move(path, source if base == "source" else source.with_frames([0] * len(source)))
    poses = move.world_from_camera.cpu()
    wanted = _Wanted(
        poses[:, :3, 3] / scale,
        poses[:, :3, :3],
        move.intrinsics[:, 0, 0].cpu(),
        torch.tensor([position_tolerance, turn_tolerance, focal_tolerance], dtype=torch.float64),
    )
    empty = PathDocument(len(path), fps=path.fps, aspect=(path.width, path.height), base=base)
    fits: list[tuple[bool, int, FittedDocument]] = []  # whether it misses, its cost in keys
    for keys in _ways_to_say_it(wanted):
        for smooth in (True, False):
            fitted = _fit(empty, keys, wanted, most_keys, smooth)
            count = len(fitted.document.keys)
            misses = fitted.position_error > position_tolerance or fitted.turn_error > turn_tolerance
            if count <= 2 and not misses:
                return fitted
            fits.append((misses, count + (0 if smooth else MORE_FOR_SMOOTH), fitted))
    return min(fits, key=lambda rated: rated[:2])[2]


class _Wanted(NamedTuple):
    """The move to be held, in the base camera's axes, and how closely."""

    places: Tensor  # [T, 3] scene scales
    turns: Tensor  # [T, 3, 3]
    focals: Tensor  # [T]
    tolerances: Tensor  # scene scales, degrees, share


def _ways_to_say_it(wanted: _Wanted) -> Iterator[list[Keyframe]]:
    """A key for every frame: as plain pose, and where it looks at the subject also as position and as orbit."""
    places, focals = wanted.places.tolist(), wanted.focals.tolist()
    plain = [
        Keyframe(frame, position=(p[0], p[1], p[2]), quaternion=(q[0], q[1], q[2], q[3]), focal=focal)
        for frame, (p, q, focal) in enumerate(
            zip(places, quaternion_from_matrix(wanted.turns).tolist(), focals, strict=True)
        )
    ]
    yield plain
    offset = wanted.places - torch.tensor(SUBJECT_AHEAD, dtype=torch.float64)
    distance = offset.norm(dim=-1)
    elevation = torch.asin((-offset[:, 1] / distance.clamp(min=NEAREST)).clamp(-1, 1)).rad2deg()
    if float(distance.min()) <= NEAREST or float(elevation.abs().max()) > STEEPEST:
        return
    looking = [
        Keyframe(frame, position=(p[0], p[1], p[2]), look_at=SUBJECT_AHEAD, focal=focal)
        for frame, (p, focal) in enumerate(zip(places, focals, strict=True))
    ]
    held = PathDocument(len(looking), tuple(looking), position_interpolation="linear")
    if len(looking) > MOST_KEYS or float(_errors(held, wanted)[:, 1].max()) > float(wanted.tolerances[1]):
        return
    yield looking
    # More than half a way around goes on counting instead of jumping to the other sign.
    azimuth = torch.from_numpy(np.unwrap(torch.atan2(offset[:, 0], -offset[:, 2]).numpy())).rad2deg()
    orbits = [
        Keyframe(frame, orbit=Orbit(a, e, d, SUBJECT_AHEAD), look_at=SUBJECT_AHEAD, focal=focal)
        for frame, (a, e, d, focal) in enumerate(
            zip(azimuth.tolist(), elevation.tolist(), distance.tolist(), focals, strict=True)
        )
    ]
    yield orbits


def _fit(empty: PathDocument, keys: list[Keyframe], wanted: _Wanted, most_keys: int, smooth: bool) -> FittedDocument:
    document, chosen = empty, sorted({0, len(keys) - 1})
    while True:
        errors = _errors(document, wanted)
        worst = (errors / wanted.tolerances).amax(dim=1)
        fitted = FittedDocument(document, *errors[:, :2].amax(dim=0).tolist())
        if float(worst.max()) <= 1:
            return fitted
        if document.keys:
            more = _farthest_off(worst, chosen)[: most_keys - len(chosen)]
            if not more:  # enough keys, or off at the keys themselves, by rounding
                return fitted
            chosen = sorted({*chosen, *more})
        document = replace(empty, keys=tuple(keys[frame] for frame in chosen))
        if not smooth:
            document = _with_best_eases(document, wanted)


def _farthest_off(worst: Tensor, chosen: list[int]) -> list[int]:
    """The worst frame strictly between each two keys where it is beyond the tolerance, the very worst first."""
    frames = []
    for first, last in pairwise(chosen):
        if last - first > 1:
            frame = first + 1 + int(worst[first + 1 : last].argmax())
            if float(worst[frame]) > 1:
                frames.append(frame)
    return sorted(frames, key=lambda frame: -float(worst[frame]))


def _with_best_eases(document: PathDocument, wanted: _Wanted) -> PathDocument:
    """The document with, for each segment, the ease that comes nearest; linear where it makes no difference."""
    off = []
    names = [f"{SEGMENT}{ease}" for ease in EASES]
    for ease in names:
        eased = replace(document, keys=tuple(replace(key, ease=ease) for key in document.keys))
        off.append((_errors(eased, wanted) / wanted.tolerances).amax(dim=1))
    keys = list(document.keys)
    for index, (start, end) in enumerate(pairwise(document.keys)):
        costs = [float(costs[int(start.frame) : int(end.frame) + 1].max()) for costs in off]
        best = min(costs)
        ease = next(name for name, cost in zip(names, costs, strict=True) if cost <= best + 1e-6)
        if len(keys) == 2 and ease.removeprefix(SEGMENT) in KEY_EASES:
            ease = ease.removeprefix(SEGMENT)  # of two keys alone the very same path
        keys[index] = replace(start, ease=ease)
    return replace(document, keys=tuple(keys))


def _errors(document: PathDocument, wanted: _Wanted) -> Tensor:
    """Distance, degrees and relative focal error `[T, 3]` of the document at each frame."""
    positions, quaternions, zooms = (
        torch.tensor(column, dtype=torch.float64)
        for column in zip(*sample_move(document, len(wanted.places)), strict=True)
    )
    turned = axis_angle_from_matrix(wanted.turns.mT @ matrix_from_quaternion(quaternions)).norm(dim=-1).rad2deg()
    return torch.stack([(positions - wanted.places).norm(dim=-1), turned, (zooms / wanted.focals - 1).abs()], dim=-1)
