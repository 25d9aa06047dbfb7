"""Inverse depth for every pixel of what stands, from tracks and pictures: the analysis from top to bottom.

At every fourth frame the tracks' planes are spread over the picture (geodesic_planes.py) and the pictures from aside
are compared (plane_sweep.py); the cheapest map of both is carried to the frames between and made steady
(standing_fusion.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import KDTree

from ..errors import Track2ViewError
from ..progress import Progress
from ..threads import each
from .geodesic_planes import PixelGraph, spread_planes
from .plane_sweep import (
    BLUR,
    LITTLE_PARALLAX,
    MOST,
    NOISE,
    cheapest_map,
    depths_swept,
    frames_to_compare,
    prior_costs,
    swept_costs,
    without_specks,
)
from .source_tracks import SourceTracks
from .standing_fusion import asked, carried, fused

MAP_PIXELS = 32_000
"""Pixels of a map, about: 240 x 136. Finer maps cost time and find few more edges."""
KEY = 4
"""Every KEY-th frame is looked at; frames between see nearly the same."""
WITNESSES, AGREEING, AGREEMENT = 11, 3, 0.12
"""A seed needs this many of its nearest seeds within this share of its inverse depth, or it is dropped."""
DOUBTED, DOUBTED_PIXELS = 0.1, 0.7
"""A seed is dropped whose depth the pictures deny: by this share of it, and by this many pixels of parallax."""
AROUND = 4.0
"""Way (in costs) to which the surroundings of a moving track are taken for moving, unless a standing one is nearer."""
GRID = 6
"""Pixels between the places at which the compared pictures lend a depth where no track is near."""
PLAIN = 0.1
"""Share of the pixels, the plainest, that tell the noise."""
QUANTUM = MOST / 255
"""Costs are kept in bytes: a clip has many of them."""

SAME_STEP = 0.75
"""Steps of the sweep within which the tracks' planes say the same as the pictures, and say it more exactly."""


def standing_inverse_depth(
    video: np.ndarray,  # [T, H, W, 3] uint8
    tracks: SourceTracks,  # of the same T frames, in pixels of the video
    *,
    ignored: np.ndarray | None = None,  # [T, h, w] bool, any size: pixels known to move; they lend no depth
    progress: Progress | None = None,
) -> np.ndarray:
    """Inverse camera z [T, h, w] float32 > 0 in the tracks' units; h x w has about `MAP_PIXELS` pixels.

    Raises:
        Track2ViewError: no standing track is visible in any frame.
    """
    return StandingDepth(video, tracks).maps(ignored, progress)


def map_size(height: int, width: int) -> tuple[int, int]:
    """Height and width of the map of a picture."""
    share = min(1.0, (MAP_PIXELS / (height * width)) ** 0.5)
    return max(2, round(height * share)), max(2, round(width * share))


@dataclass(frozen=True, eq=False)
class _Compared:
    """What the pictures from aside say of one frame."""

    costs: np.ndarray  # [h, w, D] uint8, in QUANTUM
    lab: np.ndarray  # [h, w, 3] CIELAB, black where it is known that something moves
    seen: np.ndarray  # [h, w] inverse depth


@dataclass(frozen=True, eq=False)
class _Look:
    """What speaks for the depths of one frame."""

    t: int
    index: np.ndarray  # [K] standing tracks seen in it
    fits: np.ndarray  # [K] bool: the compared pictures do not deny the track's depth
    ties: np.ndarray  # of the pixel graph
    hidden: np.ndarray | None  # [h, w] bool: known to move
    unsure: np.ndarray  # [h, w] bool: not to be compared
    compared: _Compared | None = None  # None: there is next to no parallax


class StandingDepth:
    """Maps of one clip, made again at little cost once it is known what moves."""

    def __init__(
        self,
        video: np.ndarray,  # [T, H, W, 3] uint8
        tracks: SourceTracks,  # of the same T frames, in pixels of the video
    ) -> None:
        height, width = video.shape[1:3]
        h, w = map_size(height, width)
        self._small = np.stack([cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA) for picture in video])
        self._pictures = np.stack([cv2.GaussianBlur(each.astype(np.float32), (0, 0), BLUR) for each in self._small])
        self._camera = tracks.camera.resized(w, h)
        self._graph = PixelGraph(h, w)
        self._seen, self._moving = tracks.seen, tracks.moving
        self._xy, self._inverse = tracks.xy * np.array([w / width, h / height], np.float32), tracks.inverse
        known = tracks.inverse[tracks.seen & ~tracks.moving]
        if not len(known):
            raise Track2ViewError("No standing track is visible in any frame; give other tracks, or more of them.")
        self._depths = depths_swept(known)
        self._confirmed, self._denied = np.zeros((2, len(tracks.moving)), int)  # frames that say so of a track's depth
        self._compared: dict[int, np.ndarray] = {}

    def maps(
        self,
        ignored: np.ndarray | None = None,  # [T, h, w] bool, any size: pixels known to move
        progress: Progress | None = None,
    ) -> np.ndarray:
        """Inverse camera z [T, h, w] float32 > 0; what stands goes on behind what moves.

        Where it is not known what moves, the surroundings of moving tracks are taken for moving.
        """
        frames = len(self._small)
        hidden = None if ignored is None else np.stack([self._hidden(each) for each in ignored])
        stands = ~self._moving if hidden is None else ~self._moving & ~self._mostly_on(hidden)
        keys = sorted({*range(0, frames, KEY), frames - 1})
        looks: list[_Look] = []
        for done, look in enumerate(each(lambda t: self._look(t, stands, hidden), keys), 1):
            if look is not None:
                looks.append(look)
            if progress is not None:
                progress(done, len(keys), "depth of what stands")
        for look in looks:  # all frames have their say of a track before one of them builds on it
            if look.compared is None:
                continue  # without parallax nothing is said
            self._confirmed[look.index[look.fits]] += 1
            self._denied[look.index[~look.fits]] += 1
        trusted = self._confirmed > self._denied
        maps = each(lambda look: self._map(look, stands, trusted), looks)
        found = {look.t: map_ for look, map_ in zip(looks, maps, strict=True) if map_ is not None}
        if not found:  # tracks are seen between the keys alone
            level = np.float32(np.median(self._inverse[self._seen & ~self._moving]))
            return np.full((frames, *self._graph.size), level, np.float32)
        every = np.stack(list(each(lambda t: self._between_keys(t, found), range(frames))))
        return fused(every, self._camera)

    def _between_keys(self, t: int, found: dict[int, np.ndarray]) -> np.ndarray:
        """Inverse depth [h, w] of frame t, from the two nearest of those that have a map."""
        if t in found:
            return found[t]
        near = sorted(found, key=lambda k: abs(k - t))[:2]
        return carried([found[k] for k in near], near, self._pictures, self._camera, t)

    def _look(self, t: int, stands: np.ndarray, moving: np.ndarray | None) -> _Look | None:
        """What the tracks that stand [N] and the compared pictures say of frame t; None where neither says a thing."""
        graph = self._graph
        index = np.flatnonzero(self._seen[t] & stands)
        index = index[_agreeing(self._xy[t, index], self._inverse[t, index])]
        if not len(index):
            return None
        hidden = None if moving is None else moving[t]
        ties = graph.costs(self._small[t], hidden)
        costs, parallax = self._costs(t, index, moving)
        unsure = self._around_moving_tracks(t, index, ties) if hidden is None else hidden
        if hidden is not None:
            index = index[~hidden.ravel()[graph.pixels(self._xy[t, index])]]  # seen there, so not behind it
        if not parallax:
            return _Look(t, index, np.ones(len(index), bool), ties, hidden, unsure)
        lab = cv2.cvtColor(self._pictures[t] / 255, cv2.COLOR_RGB2LAB)
        if hidden is not None:
            lab[hidden] = 0
        seen = cheapest_map(_in_floats(costs, unsure), lab, self._depths)
        fits = self._not_denied(t, index, seen, max(DOUBTED, DOUBTED_PIXELS / parallax))
        return _Look(t, index, fits, ties, hidden, unsure, _Compared(costs, lab, seen))

    def _map(self, look: _Look, stands: np.ndarray, trusted: np.ndarray) -> np.ndarray | None:
        """Inverse depth [h, w] float32 of a frame; None where no track is left.

        trusted: tracks [N] whose depth more frames confirm than deny.
        """
        t, graph, hidden = look.t, self._graph, look.hidden
        index = look.index[look.fits]
        if hidden is not None:
            index = np.union1d(index, self._behind(t, stands & trusted, hidden))
        xy, inverse = self._xy[t, index], self._inverse[t, index]
        compared = look.compared
        if compared is None:
            return spread_planes(xy, inverse, look.ties, graph)[0].astype(np.float32) if len(index) else None
        if hidden is not None:
            more = _far_from(xy, ~hidden)
            lent = cv2.medianBlur(compared.seen.astype(np.float32), 5).ravel()[graph.pixels(more)]
            xy, inverse = np.concatenate([xy, more]), np.concatenate([inverse, lent])
        if not len(xy):
            return compared.seen.astype(np.float32)
        planes, way = spread_planes(xy, inverse, look.ties, graph)
        way[look.unsure] = 0  # nothing but the planes speaks there
        costs = _in_floats(compared.costs, look.unsure) + prior_costs(planes, way, self._depths)
        found = without_specks(cheapest_map(costs, compared.lab, self._depths), graph.pixels(self._xy[t, index]))
        step = self._depths[1] / self._depths[0] - 1
        return np.where(np.abs(planes / found - 1) < SAME_STEP * step, planes, found).astype(np.float32)

    def _costs(self, t: int, index: np.ndarray, moving: np.ndarray | None) -> tuple[np.ndarray, float]:
        """Cost [h, w, D] uint8, in `QUANTUM`, of a depth, and the parallax (pixels) it rests on; next to none is 0."""
        inverse = float(np.median(self._inverse[t, index]))
        sides, parallax = frames_to_compare(self._camera, t, inverse)
        if not sides:
            return np.zeros((0,), np.uint8), 0.0
        others = [s for side in sides for s in side]
        covered = moving is not None and bool(moving[others].any())  # the first look took movers for the scene there
        if covered or t not in self._compared:
            noise = self._noise(t, inverse, sides)
            together = parallax < LITTLE_PARALLAX
            costs = swept_costs(self._pictures, self._camera, t, self._depths, sides, together, noise, moving)
            kept = np.round(costs / QUANTUM).astype(np.uint8)
            if moving is None:
                self._compared[t] = kept
        else:
            kept = self._compared[t]
        return kept, parallax

    def _not_denied(self, t: int, index: np.ndarray, seen: np.ndarray, tolerance: float) -> np.ndarray:
        """Whether the tracks of `index` lie, to a share of their depth, within what the map [h, w] says around them."""
        around, pixels = np.ones((3, 3), np.uint8), self._graph.pixels(self._xy[t, index])
        low, high = cv2.erode(seen, around).ravel()[pixels], cv2.dilate(seen, around).ravel()[pixels]
        inverse = self._inverse[t, index]
        return (inverse > (1 - tolerance) * low) & (inverse < (1 + tolerance) * high)

    def _hidden(self, ignored: np.ndarray) -> np.ndarray:
        """Pixels [h, w] that are known to move."""
        h, w = self._graph.size
        return cv2.resize(ignored.astype(np.uint8) * 255, (w, h), interpolation=cv2.INTER_AREA) > 0

    def _mostly_on(self, moving: np.ndarray) -> np.ndarray:
        """Which tracks [N] are seen on what moves [T, h, w] in most of their frames: by chance they seem to stand."""
        at, track = np.nonzero(self._seen)
        on = moving.reshape(len(moving), -1)[at, self._graph.pixels(self._xy[at, track])]
        return np.bincount(track[on], minlength=len(self._moving)) * 2 > self._seen.sum(0)

    def _behind(self, t: int, stands: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        """Those of the tracks `stands` [N] that other frames see, and that are behind what moves in frame t."""
        h, w = self._graph.size
        x, y = self._xy[t, :, 0], self._xy[t, :, 1]
        inside = (x >= 0) & (x < w) & (y >= 0) & (y < h) & (self._inverse[t] > 0)
        index = np.flatnonzero(inside & stands & ~self._seen[t])
        return index[hidden.ravel()[self._graph.pixels(self._xy[t, index])]]

    def _around_moving_tracks(self, t: int, standing: np.ndarray, ties: np.ndarray) -> np.ndarray:
        """Pixels [h, w] that may move, as they are nearer to a moving track than to a standing one.

        They are not compared: a depth at which something that moves matches by chance would hide that it moves.
        """
        moving = np.flatnonzero(self._seen[t] & self._moving)
        both = np.concatenate([standing, moving])
        way, seed = self._graph.ways(ties, self._graph.pixels(self._xy[t, both]))
        return ((seed >= len(standing)) & (way < AROUND)).reshape(self._graph.size)

    def _noise(self, t: int, inverse: float, sides: list[list[int]]) -> float:
        """Grey levels by which plain pixels differ between frames, where a wrong depth makes no difference."""
        s = min((s for side in sides for s in side), key=lambda s: abs(s - t))
        picture = self._pictures[t]
        planes = np.full(self._graph.size, inverse, np.float32)
        _, u, v = asked(planes, planes, self._camera, t, s)
        there = cv2.remap(self._pictures[s], u - 0.5, v - 0.5, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        slope = np.abs(cv2.Sobel(picture, -1, 1, 0)).sum(-1) + np.abs(cv2.Sobel(picture, -1, 0, 1)).sum(-1)
        slope = cv2.blur(slope, (5, 5))
        plain = slope <= np.quantile(slope, PLAIN)
        return max(NOISE, float(np.median(np.abs(there - picture)[plain])) / 2)


def _in_floats(costs: np.ndarray, unsure: np.ndarray) -> np.ndarray:
    """Costs [h, w, D] float32, none where nothing is compared."""
    floats = costs.astype(np.float32) * np.float32(QUANTUM)
    floats[unsure] = 0
    return floats


def _far_from(xy: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Places [M, 2] of a grid over the free pixels [h, w], off their rim, with none of the places [N, 2] near."""
    h, w = free.shape
    row, column = (a.ravel() for a in np.mgrid[GRID // 2 : h : GRID, GRID // 2 : w : GRID])
    inner = cv2.erode(free.astype(np.uint8), np.ones((3, 3), np.uint8))[row, column] > 0
    places = (np.stack([column, row], 1) + 0.5).astype(np.float32)[inner]
    return places[KDTree(xy).query(places)[0] > GRID] if len(xy) else places


def _agreeing(xy: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Which of the seeds [N, 2] with inverse depth [N] have neighbours that agree."""
    if len(xy) <= WITNESSES:
        return np.ones(len(xy), bool)
    near = np.asarray(KDTree(xy).query(xy, k=WITNESSES + 1)[1])
    off = np.abs(inverse[near[:, 1:]] - inverse[:, None]) / np.maximum(inverse[:, None], 0.25 * np.median(inverse))
    return np.sort(off, 1)[:, AGREEING - 1] < AGREEMENT
