"""What moves, seen from the tracks alone: which do not move after all, which belong together, how far an object is.

A point that moves shows no parallax of its own, so nothing but its surroundings tells its distance: an object stands on
something, and what it hides is farther. `resting_inverse_depth` reads this off the standing points around it; the room
`render` does it again, finer, once every pixel has a depth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

if TYPE_CHECKING:
    from .trackers.camera_solver import Cameras

# which stand after all
DEPTHS = np.concatenate([[0.0], np.geomspace(0.03, 4.0, 60)])
"""Inverse depths that a point is asked about, in those of a typical one; 0 is infinitely far."""
FINER = 17
"""So many between the two neighbours of the best one."""
ASKED_FRAMES = 13
RAYS = (0.25, 0.5, 0.75)
"""Through a track's place at these shares of its frames; in one of them its window may have slipped."""
SHORTEST = 6
"""A point of fewer frames is not asked: in so short a time everything stands."""
MOST_FRAMES = 0.8
"""Share of its frames that one standing point has to explain; a window that slips now and then spoils the others."""
EXPLAINED = 1.2
"""Within so many limits of a good track: pixels at a width of 832."""

# which belong together
STEPS, EVERY = (3, 6), 2
"""Frames over which motion is compared, since many a track is short, and between two comparisons."""
NEAR = 0.06
"""Share of the width within which two tracks may be of one object."""
ALIKE, ALIKE_SHARE = 1 / 5000, 0.2
"""Difference of their motions: this share of the width a frame, and of the faster one's motion against what stands."""
AGREED, AGREED_SHARE = 2, 0.6
"""So many comparisons, and this share of all, must find two tracks alike."""
SMALLEST = 10
"""Tracks; fewer are no object."""
COMPANY, AMID = 8, 0.45
"""A standing track of whose so many neighbours this share moves, over its frames, is not believed to stand."""

# how far they are
LEAST_WIDE = 0.02
"""Share of the width that a few tracks of an object are taken to span at least."""
CUT_BY = 0.03
"""An object that reaches into this lowest share of the picture stands below it."""
BESIDE, LOW, AROUND = 0.12, 0.12, 0.05
"""The ground is looked for so far (share of the width) beside an object and so far (of the height) from its lower end;
what stands around it, so far above and below (of the height)."""
FEWEST_AROUND = 8
"""Standing places; with fewer nothing is told."""
HIDES = 0.6
"""An object is at least as near as this quantile of what stands around it: what it hides is farther, yet a thing
beside it may be nearer."""
NO_FEET = 1.3
"""An object whose feet the picture cuts is at least so many times as near: it stands in front of what is seen."""
UPRIGHT, DEEPEST, MOST_BEYOND = 2.2, 0.6, 2.0
"""Feet that the picture cuts are looked for where a thing so many times as high as wide has them, at most so much of
the height below the picture; it is then at most so many times as near as what is around it."""
GROUND_ROUNDS = 5
LEAST_SPREAD = 8.0
"""Pixels that the tracks of an object reach up and down, for its growth to be read off them."""
MOST_GROWTH = 0.1
"""In one frame."""
STEADY = (13, 5.0)
"""Frames of the median, and standard deviation in frames of the mean, over what an object's depth is apart from its
growth."""


# --- which stand after all --------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class StandingAgain:
    stands: np.ndarray  # [N] bool
    points: np.ndarray  # [N, 3] world; of those that do not stand the best that was found
    error: np.ndarray  # [N] pixels, within which MOST_FRAMES of the frames lie; infinite where it was not asked


def standing_again(
    xy: np.ndarray,  # [T, N, 2] pixels
    seen: np.ndarray,  # [T, N] bool
    cameras: Cameras,
    *,
    typical: float,  # depth of an average point, world units
    limit: float,  # pixels that a well followed point may err
) -> StandingAgain:
    """Which tracks one fixed point of the world explains, even one infinitely far away, and which point.

    Asked are the depths along the rays of three of a track's frames: leaves in the wind, blurred lights and far things
    are found to move by a solver that wants every frame explained, yet they stand. What is infinitely far is put a
    thousand typical depths away.
    """
    views, count = seen.sum(0), seen.shape[1]
    asked = np.flatnonzero(views >= SHORTEST)
    error, points = np.full(count, np.inf), np.zeros((count, 3))
    if len(asked):
        order = np.argsort(~seen[:, asked], axis=0, kind="stable")  # a track's frames first, in their order
        place = np.linspace(0, views[asked] - 1, ASKED_FRAMES).round().astype(int)
        frames = np.take_along_axis(order, place, 0).T  # [n, S]
        for ray in RAYS:
            first = order[(ray * views[asked]).astype(int), np.arange(len(asked))]
            found, off = _along_ray(xy[:, asked], first, frames, cameras, typical)
            better = off < error[asked]
            error[asked[better]], points[asked[better]] = off[better], found[better]
    return StandingAgain(error < EXPLAINED * limit, points, error)


def _along_ray(
    xy: np.ndarray,  # [T, n, 2]
    first: np.ndarray,  # [n] the frame whose ray it is
    frames: np.ndarray,  # [n, S] the frames that have to agree
    cameras: Cameras,
    typical: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The points [n, 3] on the rays that explain the tracks best, and what they are off, pixels [n]."""
    each = np.arange(len(first))
    across = np.einsum("nji,nj->ni", cameras.rotation[first], cameras.rays(first, xy[first, each]))  # for depth 1
    origin = cameras.centers()[first]
    towards = np.einsum("nsij,nj->nsi", cameras.rotation[frames], across)
    offset = np.einsum("nsij,nj->nsi", cameras.rotation[frames], origin) + cameras.translation[frames]
    wanted = xy[frames, each[:, None]]  # [n, S, 2]

    def misses(inverse: np.ndarray) -> np.ndarray:
        """Pixels [n, K] that inverse depths [n, K] are off."""
        local = towards[:, :, None] + inverse[:, None, :, None] * offset[:, :, None]  # [n, S, K, 3]
        depth = np.maximum(local[..., 2], 1e-9)
        placed = cameras.focal[frames][:, :, None, None] * local[..., :2] / depth[..., None] + cameras.center
        off = np.linalg.norm(placed - wanted[:, :, None], axis=3)
        return np.quantile(np.where(local[..., 2] > 0, off, np.inf), MOST_FRAMES, axis=1, method="lower")

    best = misses(np.broadcast_to(DEPTHS / typical, (len(each), len(DEPTHS)))).argmin(1)
    low, high = (DEPTHS[np.clip(best + side, 0, len(DEPTHS) - 1)] / typical for side in (-1, 1))
    fine = np.linspace(low, high, FINER).T
    off = misses(fine)
    best = off.argmin(1)
    return origin + across / np.maximum(fine[each, best], 1e-3 / typical)[:, None], off[each, best]


# --- which belong together --------------------------------------------------------------------------------------------


def moving_objects(
    xy: np.ndarray,  # [T, N, 2] pixels
    seen: np.ndarray,  # [T, N] bool
    moving: np.ndarray,  # [N] bool
    width: float,  # of the picture, pixels
) -> np.ndarray:
    """The object of each track [N], numbered from 0; -1 where it stands, or moves with hardly any other.

    Two tracks are joined where they come near each other and mostly move alike.
    """
    frames, count = seen.shape
    pairs, alike = [np.zeros(0, int)], [np.zeros(0, bool)]
    compared = [(t, step) for step in STEPS for t in range(0, frames - step, EVERY)]
    for t, step in compared:
        both = seen[t] & seen[t + step]
        here = np.flatnonzero(both & moving)
        if len(here) < 2:
            continue
        motion = xy[t + step] - xy[t]
        still = both & ~moving
        speed = np.linalg.norm(motion - (np.median(motion[still], 0) if still.any() else 0.0), axis=1)
        near = here[KDTree(xy[t, here]).query_pairs(NEAR * width, output_type="ndarray")].reshape(-1, 2)
        one, other = near.T
        apart = np.linalg.norm(motion[one] - motion[other], axis=1)
        pairs.append(one * count + other)
        alike.append(apart < ALIKE * width * step + ALIKE_SHARE * np.maximum(speed[one], speed[other]))
    found, which = np.unique(np.concatenate(pairs), return_inverse=True)
    asked = np.bincount(which, minlength=len(found))
    agreed = np.bincount(which, np.concatenate(alike), minlength=len(found))
    joined = found[(agreed >= AGREED) & (agreed >= AGREED_SHARE * asked)]
    graph = coo_matrix((np.ones(len(joined)), (joined // max(count, 1), joined % max(count, 1))), shape=(count, count))
    group = np.asarray(connected_components(graph, directed=False)[1])
    large = moving & (np.bincount(group, moving, minlength=count)[group] >= SMALLEST)
    labels = np.full(count, -1)
    labels[large] = np.unique(group[large], return_inverse=True)[1]
    return labels


def amid_movers(
    xy: np.ndarray,  # [T, N, 2] pixels
    seen: np.ndarray,  # [T, N] bool
    moving: np.ndarray,  # [N] bool
) -> np.ndarray:
    """Which tracks [N] stand among tracks that move: by chance a fixed point explains a mover's way as well, and its
    distance is then far from the truth."""
    share, asked = np.zeros(len(moving)), np.zeros(len(moving))
    for t in range(0, len(seen), EVERY):
        here = np.flatnonzero(seen[t])
        if len(here) > COMPANY:
            around = np.asarray(KDTree(xy[t, here]).query(xy[t, here], k=COMPANY + 1)[1])[:, 1:]
            share[here] += moving[here][around].mean(1)
            asked[here] += 1
    return ~moving & (share >= AMID * np.maximum(asked, 1)) & (asked > 0)


# --- how far they are -------------------------------------------------------------------------------------------------


def contact_inverse_depth(
    xy: np.ndarray,  # [n, 2] pixels of one object in one frame
    standing_xy: np.ndarray,  # [m, 2] pixels of what stands
    standing_inverse: np.ndarray,  # [m]
    width: float,
    height: float,
) -> float:
    """The inverse depth of an upright object where it touches what stands; NaN with too little around it.

    Of a plane, inverse depth is affine in the picture, so the ground beside the object's lower end tells the ground
    under it, also where the picture ends above its feet: these are then looked for below the picture, where an upright
    thing of this width has them. What stands behind the object bounds the answer: an object hides what is farther.
    """
    left, right = np.quantile(xy[:, 0], (0.03, 0.97))
    top, foot = np.quantile(xy[:, 1], (0.02, 0.98))
    wide = max(right - left, LEAST_WIDE * width)
    cut = foot > height * (1 - CUT_BY)
    beside = np.abs(standing_xy[:, 0] - (left + right) / 2) < 0.5 * wide + BESIDE * width
    low = np.abs(standing_xy[:, 1] - foot) < LOW * height
    around = beside & (standing_xy[:, 1] > top - AROUND * height) & (standing_xy[:, 1] < foot + AROUND * height)
    if around.sum() < FEWEST_AROUND:
        return np.nan
    bound = float(np.quantile(standing_inverse[around], HIDES)) * (NO_FEET if cut else 1.0)
    ground = beside & low
    if ground.sum() < FEWEST_AROUND:
        return bound
    feet = max(foot, min(top + UPRIGHT * wide, (1 + DEEPEST) * height)) if cut else foot
    found = _ground_at(standing_xy[ground], standing_inverse[ground], (left + right) / 2, feet, height)
    return float(
        np.clip(found, bound, MOST_BEYOND * bound / NO_FEET if cut else max(bound, standing_inverse[ground].max()))
    )


def _ground_at(xy: np.ndarray, inverse: np.ndarray, column: float, row: float, height: float) -> float:
    """What a robust fit, affine in the picture, of the ground's inverse depth tells of a pixel."""
    flat = np.stack([np.ones(len(xy)), (xy[:, 0] - column) / height, (xy[:, 1] - row) / height], 1)
    weight = np.ones(len(xy))
    held = 1e-3 * len(xy) * np.diag([0.0, 1.0, 0.1])
    plane = np.zeros(3)
    for _ in range(GROUND_ROUNDS):
        plane = np.linalg.solve((flat * weight[:, None]).T @ flat + held, (flat * weight[:, None]).T @ inverse)
        off = np.abs(flat @ plane - inverse)
        weight = 1 / (1 + (off / (1e-9 + 2 * np.median(off))) ** 2)
    return float(plane[0])


def growth(xy: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The logarithm [T] of an object's size in the picture, 0 in frame 0, of its tracks xy [T, n, 2], seen [T, n].

    A rigid thing grows as its inverse depth does. Heights alone are compared: they do not change as it turns.
    """
    steps = np.zeros(len(xy))
    for t in range(1, len(xy)):
        both = np.flatnonzero(seen[t - 1] & seen[t])
        if len(both) < 3:
            continue
        before, after = (xy[u, both, 1] - xy[u, both, 1].mean() for u in (t - 1, t))
        far = np.abs(before) > 0.5 * np.abs(before).max()
        if far.sum() >= 3 and np.abs(before).max() > LEAST_SPREAD:
            steps[t] = np.log(np.clip(np.median(after[far] / before[far]), 1 - MOST_GROWTH, 1 + MOST_GROWTH))
    return np.cumsum(steps)


def steady(inverse: np.ndarray, grown: np.ndarray | None = None) -> np.ndarray:
    """The inverse depths [T] of one object without noise, gaps filled, along its `growth` where that is known.

    Raises:
        ValueError: no frame has one.
    """
    known = np.flatnonzero(np.isfinite(inverse) & (inverse > 0))
    if not len(known):
        raise ValueError("no frame tells the object's depth")
    size = np.zeros(len(inverse)) if grown is None else grown
    left = np.interp(np.arange(len(inverse)), known, np.log(inverse[known]) - size[known])
    left = gaussian_filter1d(median_filter(left, STEADY[0], mode="nearest"), STEADY[1], mode="nearest")
    return np.exp(left + size)


def resting_inverse_depth(
    xy: np.ndarray,  # [T, N, 2] pixels
    seen: np.ndarray,  # [T, N] bool
    moving: np.ndarray,  # [N] bool
    inverse: np.ndarray,  # [T, N] of standing tracks, NaN where unknown
    width: float,
    height: float,
) -> np.ndarray:
    """Inverse depth [T, N] of the moving tracks where they are seen, NaN elsewhere: one an object and frame.

    A track that belongs to no object goes with the nearest one that does, or rests on its own surroundings.
    """
    frames, count = seen.shape
    labels = moving_objects(xy, seen, moving, width)
    known = seen & ~moving & ~amid_movers(xy, seen, moving) & np.isfinite(inverse)
    out = np.full((frames, count), np.nan)
    for label in range(labels.max(initial=-1) + 1):
        mine = labels == label
        found = np.full(frames, np.nan)
        for t in np.flatnonzero((seen[:, mine]).sum(1) >= 3):
            found[t] = contact_inverse_depth(
                xy[t, seen[t] & mine], xy[t, known[t]], inverse[t, known[t]], width, height
            )
        if np.isfinite(found).any():
            told = steady(found, growth(xy[:, mine], seen[:, mine]))
            out[:, mine] = np.where(seen[:, mine], told[:, None], np.nan)
    for t in range(frames):
        alone = np.flatnonzero(seen[t] & moving & np.isnan(out[t]))
        placed, stand = np.flatnonzero(np.isfinite(out[t])), np.flatnonzero(known[t])
        if len(alone) and len(stand):
            near = min(FEWEST_AROUND, len(stand))
            around = KDTree(xy[t, stand]).query(xy[t, alone], k=near)[1].reshape(-1, near)
            out[t, alone] = np.quantile(inverse[t, stand][around], HIDES, axis=1)
        if len(alone) and len(placed):
            distance, which = KDTree(xy[t, placed]).query(xy[t, alone])
            out[t, alone] = np.where(distance < 2 * NEAR * width, out[t, placed[which]], out[t, alone])
    return out
