"""How far what moves is, for every pixel of it: silhouettes divided into objects, and a depth for each.

Where the tracks know the depth of what moves (depth maps, another tracker), it is spread over the object. Where it was
only assumed, an object stands on what is under its lower end, one depth an object and frame, so that nothing leans.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import KDTree

from ..threads import each
from ..tracks.moving_objects import contact_inverse_depth, growth, moving_objects, steady
from ..tracks.trackers.camera_solver import Cameras
from ..tracks.trackers.triangulation import BACKDROP
from .geodesic_planes import PixelGraph
from .source_tracks import SourceTracks
from .standing_depth import map_size

ASSUMED = "mover_depth_assumed"
"""The note of tracks whose movers were only placed by what is around them."""

# which object a pixel is of
FARTHEST_VOTER = 0.08
"""A pixel is of the object of its nearest track if there is one within this share of the width."""
SMALLEST_SHARE = 0.3
"""An object that holds less of a connected part belongs to the largest one there: no head without a body."""
SMALLEST_STANDING = 0.12
"""The same of objects that are put where they stand: one that rests on another belongs to it whatever its size."""
FEET = 0.8
"""An object's lower end begins at this quantile of its rows."""
APART = 0.1
"""Share by which two objects of one part differ in known inverse depth to be two whatever they hold of it: one passes
behind the other."""
CARRIED_ON = 0.3
"""A part without tracks is what it overlaps by so much in the frame before."""

# how far an object is
RIM = 5
"""Pixels around a silhouette that are neither the mover's nor surely what stands behind it."""
MOST_PIXELS = 3000
"""Of an object and of what stands that are looked at in a frame; more tell nothing new."""
FEWEST_TRACKS, FEWEST_ON_PLANE = 3, 12
"""Tracks of an object in a frame that tell its depth, and its slope."""
SLOPE_STEADY, DEPTH_STEADY = 3.0, 1.0
"""Standard deviations in frames over which a measured slope and depth are averaged."""
BEYOND = 0.1
"""Share by which a slope may leave the range of the tracks' own inverse depth."""
RELIEF_TRACKS, RELIEF_STEADY, BLUNT = 6, 3.0, 2.0
"""Tracks around a pixel that say how far it is off its object's plane, frames over which each is averaged, and pixels
within which a track's word does not grow any more."""


def mover_inverse_depth(
    tracks: SourceTracks,
    silhouettes: np.ndarray,  # [T, h2, w2] bool
    standing: np.ndarray,  # [T, h, w] inverse depth of what stands
    codes: frozenset[str] = frozenset(),  # of the notes of the tracks
    video: np.ndarray | None = None,  # [T, H, W, 3] uint8; without it objects part halfway between their tracks
) -> np.ndarray:
    """Inverse depth [T, h2, w2] float32, > 0 within the silhouettes and 0 elsewhere."""
    frames, height, width = silhouettes.shape
    scale = np.array([width / tracks.camera.width, height / tracks.camera.height])
    xy = tracks.xy * scale
    objects = moving_objects(xy, tracks.seen, tracks.moving, width)
    by_contact = stand_by_contact(tracks, codes)
    if not by_contact:
        objects = _joined_by_depth(objects, tracks, xy)
    labels = object_labels(silhouettes, xy, tracks.seen, objects, None if by_contact else tracks.inverse, video)
    out = np.zeros(silhouettes.shape, np.float32)
    for label in np.unique(labels[labels >= 0]):
        mine = objects == label
        measured = None
        if not by_contact:
            measured = _measured(xy[:, mine], tracks.inverse[:, mine], tracks.seen[:, mine])
        where = [np.argwhere(labels[t] == label) for t in range(frames)]
        if measured is None and not by_contact:
            measured = _of_all_movers(tracks, standing, codes)
        if measured is None:
            found = np.array([_contact(where[t], silhouettes[t], standing[t]) for t in range(frames)])
            bare = float(np.median(standing))
            told = steady(found, growth(xy[:, mine], tracks.seen[:, mine])) if np.isfinite(found).any() else None
            for t, (rows, columns) in enumerate(at.T for at in where):
                out[t, rows, columns] = bare if told is None else told[t]
        else:
            for t, (rows, columns) in enumerate(at.T for at in where):
                out[t, rows, columns] = measured(t, columns + 0.5, rows + 0.5)
    return out


def stand_by_contact(tracks: SourceTracks, codes: frozenset[str]) -> bool:
    """Whether what moves is as far as what it stands on, and the tracks' own depth of it is not read: it was assumed.

    Of a clip in several shots: before a camera that stands, movers have the depth that its backdrop is assumed by.
    """
    return ASSUMED in codes and Cameras.of_path(tracks.camera, np.zeros(2)).travels


# --- which object a pixel is of ---------------------------------------------------------------------------------------


def object_labels(
    silhouettes: np.ndarray,  # [T, h, w] bool
    xy: np.ndarray,  # [T, N, 2] in their pixels
    seen: np.ndarray,  # [T, N] bool
    objects: np.ndarray,  # [N] as `moving_objects` numbers them
    inverse: np.ndarray | None = None,  # [T, N] where it is known
    video: np.ndarray | None = None,  # [T, H, W, 3] uint8
) -> np.ndarray:
    """The object of every pixel [T, h, w], -1 outside the silhouettes.

    Parts of the silhouettes with hardly a track are objects of their own, numbered on, and keep their number from frame
    to frame as long as they overlap.
    """
    frames = len(silhouettes)
    graph = None if video is None else PixelGraph(*map_size(*video.shape[1:3]))

    def votes_of(t: int) -> tuple[np.ndarray, np.ndarray]:
        near = np.flatnonzero(seen[t] & (objects >= 0))
        return _votes(silhouettes[t], xy[t, near], objects[near], None if video is None else video[t], graph)

    # By each frame, what a pixel is of by its nearest track, and by the nearest one along its colours.
    votes = list(each(votes_of, range(frames)))
    if inverse is None and objects.max(initial=-1) >= 0:
        lower = _what_is_below([guessed for _, guessed in votes], int(objects.max(initial=-1)) + 1)
        votes = [(np.where(own < 0, own, lower[own]), np.where(far < 0, far, lower[far])) for own, far in votes]
    labels = np.full(silhouettes.shape, -1)
    new = int(objects.max(initial=-1)) + 1
    for t, (own_of, guessed) in enumerate(votes):
        labels[t] = own_of
        near = np.flatnonzero(seen[t] & (objects >= 0))
        count, parts = cv2.connectedComponents(silhouettes[t].astype(np.uint8))
        for part in range(1, count):
            here = parts == part
            own = labels[t][here]
            if (own >= 0).mean() > SMALLEST_SHARE:
                sizes = np.bincount(own[own >= 0], minlength=int(objects.max()) + 1)
                if inverse is None:
                    joins = sizes < SMALLEST_STANDING * len(own)
                else:
                    depth = _middles(inverse[t, near], objects[near], len(sizes))
                    joins = sizes < SMALLEST_SHARE * len(own)
                    joins &= ~(np.abs(np.log(depth / depth[sizes.argmax()])) > APART)
                far = (own < 0) & (guessed[here] >= 0)
                own = np.where(far & (sizes[guessed[here]] > 0), guessed[here], own)  # of an object of this part
                labels[t][here] = np.where((own < 0) | joins[np.maximum(own, 0)], sizes.argmax(), own)
                continue
            before = labels[t - 1][here] if t else np.full(len(own), -1)
            kept = np.bincount(before[before >= 0]) if (before >= 0).any() else np.zeros(1)
            if kept.max() > CARRIED_ON * len(own):
                labels[t][here] = kept.argmax()
            else:
                labels[t][here], new = new, new + 1
    return labels


def _votes(
    silhouette: np.ndarray,  # [h, w] bool
    xy: np.ndarray,  # [n, 2] tracks in its pixels
    of: np.ndarray,  # [n] their objects
    picture: np.ndarray | None,  # [H, W, 3] uint8
    graph: PixelGraph | None,
) -> tuple[np.ndarray, np.ndarray]:
    """The object [h, w] that a pixel's nearest track is of, -1 if none is near; and the one it is of however far."""
    height, width = silhouette.shape
    own, far = np.full((2, height, width), -1)
    rows, columns = np.nonzero(silhouette)
    if not len(rows) or not len(of):
        return own, far
    distance, nearest = KDTree(xy).query(np.stack([columns, rows], 1) + 0.5)
    chosen = of[nearest]
    if graph is not None and picture is not None and np.ptp(of) > 0:
        chosen = of[_nearest_by_colour(picture, xy / (width, height), (height, width), graph)[rows, columns]]
    own[rows, columns] = np.where(distance < FARTHEST_VOTER * width, chosen, -1)
    far[rows, columns] = chosen
    return own, far


def _what_is_below(guessed: list[np.ndarray], count: int) -> np.ndarray:
    """Of each of `count` objects itself, or the object [count] that it mostly rests on, in maps [h, w] of all frames.

    A body is as far as its legs are, and what stands behind a mover that hides its feet is told by nothing nearer.
    """
    below = np.zeros((count, count + 1))  # columns: on which object, the last: on none
    for labels in guessed:
        for label in np.unique(labels[labels >= 0]):
            rows, columns = np.nonzero(labels == label)
            foot = rows >= np.quantile(rows, FEET)
            lowest = np.full(labels.shape[1], -1)
            np.maximum.at(lowest, columns[foot], rows[foot])
            at = np.flatnonzero(lowest >= 0)
            under = labels[np.minimum(lowest[at] + 1, len(labels) - 1), at]
            below[label] += np.bincount(
                np.where((under == label) | (under < 0), count, under), minlength=count + 1
            ) / len(at)
    np.fill_diagonal(below, 0)
    lower = np.where(below[:, :count].max(1, initial=0) > below[:, count], below[:, :count].argmax(1), np.arange(count))
    for _ in range(count):  # to the lowest of a pile
        lower = lower[lower]
    return lower


def _nearest_by_colour(picture: np.ndarray, places: np.ndarray, size: tuple[int, int], graph: PixelGraph) -> np.ndarray:
    """Which of the tracks at places [n, 2] (share of width and height) is nearest to each pixel, along a way over the
    picture [H, W, 3] that crosses no colour edge; of a map of `size`, found on the pixels of `graph`."""
    h, w = graph.size
    small = cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA)
    _, nearest = graph.ways(graph.costs(small), graph.pixels(places * (w, h)))
    row, column = ((np.arange(n) + 0.5) * m / n for n, m in zip(size, (h, w), strict=True))
    return nearest.reshape(h, w)[row.astype(int)[:, None], column.astype(int)]


def _joined_by_depth(objects: np.ndarray, tracks: SourceTracks, xy: np.ndarray) -> np.ndarray:
    """Objects [N] that lone moving tracks join, too, if they are as far: the nearest of those."""
    out = objects.copy()
    for n in np.flatnonzero(tracks.moving & (objects < 0) & tracks.seen.any(0)):
        times = np.flatnonzero(tracks.seen[:, n])
        t = times[len(times) // 2]
        alike = tracks.seen[t] & (objects >= 0) & (np.abs(np.log(tracks.inverse[t] / tracks.inverse[t, n])) < APART)
        if alike.any():
            index = np.flatnonzero(alike)
            out[n] = objects[index[np.linalg.norm(xy[t, index] - xy[t, n], axis=1).argmin()]]
    return out


def _middles(values: np.ndarray, of: np.ndarray, count: int) -> np.ndarray:
    """The median of the values [n] of each of `count` objects, NaN where it has none."""
    return np.array([np.median(values[of == k]) if (of == k).any() else np.nan for k in range(count)])


# --- how far an object is ---------------------------------------------------------------------------------------------


def _contact(where: np.ndarray, silhouette: np.ndarray, standing: np.ndarray) -> float:
    """What an object with pixels `where` [n, 2] (row, column) of a silhouette [h2, w2] rests on, of what stands [h, w];
    NaN where nothing tells.
    """
    if not len(where):
        return np.nan
    (high, wide), (h, w) = silhouette.shape, standing.shape
    thin = max(1, round((h * w / MOST_PIXELS) ** 0.5))
    y, x = np.mgrid[thin // 2 : h : thin, thin // 2 : w : thin].reshape(2, -1)
    place = np.stack([(x + 0.5) * wide / w, (y + 0.5) * high / h], 1)
    rim = cv2.dilate(silhouette.astype(np.uint8), np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)) > 0
    bare = ~rim[place[:, 1].astype(int), place[:, 0].astype(int)]
    pixels = where[:: max(1, len(where) // MOST_PIXELS), ::-1] + 0.5
    return contact_inverse_depth(pixels, place[bare], standing[y, x][bare], wide, high)


Plane = Callable[[int, np.ndarray, np.ndarray], np.ndarray]
"""Inverse depth in a frame at columns and rows."""


def _measured(xy: np.ndarray, inverse: np.ndarray, seen: np.ndarray) -> Plane | None:
    """The depth of one object, of its tracks [T, n]: a plane, steady in time, and the tracks' relief over it; None
    without tracks."""
    frames = len(xy)
    depth, slope, centre = np.full(frames, np.nan), np.full((frames, 2), np.nan), np.full((frames, 2), np.nan)
    low, high = np.full(frames, np.nan), np.full(frames, np.nan)
    for t in np.flatnonzero(seen.sum(1) >= FEWEST_TRACKS):
        places, values = xy[t, seen[t]], inverse[t, seen[t]].astype(float)
        centre[t] = places.mean(0)
        depth[t], slope[t] = _plane(places - centre[t], values)
        low[t], high[t] = (1 - BEYOND) * values.min(), (1 + BEYOND) * values.max()
    known = np.flatnonzero(np.isfinite(depth))
    if not len(known):
        return None
    each = np.arange(frames)

    def over_time(values: np.ndarray, deviation: float) -> np.ndarray:
        return gaussian_filter1d(np.interp(each, known, values[known]), deviation, mode="nearest")

    depth = np.exp(over_time(np.log(np.maximum(depth, 1e-9)), DEPTH_STEADY))
    across, down = (over_time(slope[:, axis], SLOPE_STEADY) for axis in (0, 1))
    middle_x, middle_y = (np.interp(each, known, centre[known, axis]) for axis in (0, 1))
    least, most = (np.interp(each, known, side[known]) for side in (low, high))

    def plane(t: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.clip(depth[t] + across[t] * (x - middle_x[t]) + down[t] * (y - middle_y[t]), least[t], most[t])

    off = np.stack([inverse[t] / plane(t, *xy[t].T) - 1 for t in range(frames)])
    heard = gaussian_filter1d(seen.astype(float), RELIEF_STEADY, axis=0, mode="nearest")
    relief = gaussian_filter1d(np.where(seen, off, 0.0), RELIEF_STEADY, axis=0, mode="nearest") / np.maximum(
        heard, 1e-9
    )

    def at(t: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        flat, here = plane(t, x, y), np.flatnonzero(seen[t])
        if len(here) < RELIEF_TRACKS or not len(x):
            return flat
        distance, near = KDTree(xy[t, here]).query(np.stack([x, y], 1), k=RELIEF_TRACKS)
        word = 1 / (distance**2 + BLUNT**2)
        return flat * (1 + (relief[t, here][near] * word).sum(1) / word.sum(1))

    return at


def _plane(places: np.ndarray, values: np.ndarray) -> tuple[float, np.ndarray]:
    """Value at the centre and slope [2] of a robust affine fit; of few tracks the median, and level."""
    middle = float(np.median(values))
    if len(values) < FEWEST_ON_PLANE:
        return middle, np.zeros(2)
    flat = np.concatenate([np.ones((len(places), 1)), places], 1)
    held = 0.02 * len(places) * np.diag([0.0, *np.full(2, places.var() + 1e-9)])
    weight, plane = np.ones(len(values)), np.zeros(3)
    for _ in range(4):
        plane = np.linalg.solve((flat * weight[:, None]).T @ flat + held, (flat * weight[:, None]).T @ values)
        off = np.abs(flat @ plane - values)
        weight = 1 / (1 + (off / (2 * np.median(off) + 1e-6 * middle)) ** 2)
    return float(plane[0]), plane[1:]


def _of_all_movers(tracks: SourceTracks, standing: np.ndarray, codes: frozenset[str]) -> Plane | None:
    """The depth of a silhouette without tracks of its own, where the tracks know depth: that of all that moves."""
    known = tracks.seen & tracks.moving
    if known.any():
        depth = float(np.median(tracks.inverse[known]))
    elif "depth_assumed" in codes:
        depth = float(np.median(standing)) / BACKDROP
    else:
        return None
    return lambda t, x, y: np.full(len(x), depth)
