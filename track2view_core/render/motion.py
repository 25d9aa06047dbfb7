"""Which pixels move: what the pictures do against what they would do if everything stood."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import KDTree

from ..progress import Progress
from ..threads import each
from .edge_aware import edge_aware_sum
from .optical_flow import ClipFlow, carried, clip_flow, length, loop_trust, pixel_grid
from .source_tracks import SourceTracks

FINE = 2
"""Pixels of the pictures for one of the maps of motion."""
STEPS = (2, 6)
"""Frames between which motion is looked for: near ones for what is fast and soon covered, far ones for what is slow."""
LEAST_MISS, MOST_MISS, LEAST_DENIAL = 0.1, 1.0, 0.5
"""Pixels of the maps and grey levels: no clip is taken for less noisy, nor for more, or nothing would move in it."""
NOISE_FRAMES = 12
"""Frames spread over the clip whose standing tracks tell the noise."""
WINDOW = 5
"""Pixels across over which colours are compared."""
TEXTURE, CORNERS, SLOPES = 6.0, 200.0, 0.2
"""Texture at which a thing that stands is seen to stand half as well as at best; how much of it corners make, and how
little grey levels a pixel do: a straight edge that moves along itself seems to stand."""
ALONE, DOUBT_RATE, MOST_DOUBT = 0.03, 20.0, 0.7
"""Beyond this share of the width from any track the standing depth is doubted, by so much more a width, at most so
much: any depth from (1 - doubt) to 1 / (1 - doubt) of it will do."""
MOVING_WORD, STANDING_WORD, MOVING_TRACK, STANDING_TRACK = 1.0, 3.5, 6.0, 2.0
"""What a pixel, and a track over it, says at most. Flow spreads motion over its rim: standing has the louder word."""
SILENCE = 0.01
"""Weight of the word for standing where nothing else speaks."""
KEPT = 0.8
"""Share of what was known that is still believed a frame later."""
SAME_COLOUR = 12.0
"""Grey levels between a pixel and where its flow leads at which it is believed to 1 / e."""
NEIGHBOURS = 8
LONE, AMID = 0.35, 0.75
"""Below this share of movers among its neighbours a moving track has no word; above this one, a standing one."""
AROUND = 0.05
"""Share of the width: so far around moving tracks, unless standing ones are nearer, a pixel that seems to stand has no
word; what has moved may pause. The word comes back over as far again."""


@dataclass(frozen=True, eq=False)
class PixelMotion:
    """What moves in T frames, at 1 / FINE of the pictures' size."""

    probability: np.ndarray  # [T, h2, w2] float32, 0..1
    flow: ClipFlow  # of pictures of that size
    noise: float  # pixels of the pictures: how far flow and standing depth disagree where things stand, 70th percentile


def moving_probability(
    video: np.ndarray,  # [T, H, W, 3] uint8
    tracks: SourceTracks,
    standing: np.ndarray,  # [T, h, w] float32 > 0, inverse depth of what stands
    progress: Progress | None = None,
) -> PixelMotion:
    """How likely each pixel is to show something that moves.

    Optical flow is held against the flow that the camera gives to what stands. A pixel is said to move where the two
    differ by more than they do at standing tracks, and where the standing flow explains the colours of other frames
    worse than the measured one does: a flow that is guessed over a bare wall speaks for nothing. What is said is
    summed along the flow over time and spread over the picture up to its colour edges.
    """
    frames, height, width = video.shape[:3]
    size = (width // FINE, height // FINE)
    pictures = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in video])
    flow = clip_flow(pictures, progress)
    seeds = _Seeds.of(tracks, size)
    clip = _Clip(pictures, flow, standing, seeds, *_camera(tracks, size))
    tried = np.unique(np.linspace(0, frames - 1, NOISE_FRAMES).astype(int)).tolist()
    looked = dict(zip(tried, each(clip.against_standing, tried), strict=True))
    noise = {step: _noise([(looked[t], seeds.standing[t]) for t in looked], step) for step in STEPS}

    def said_of(t: int) -> np.ndarray:
        return _said(looked[t] if t in looked else clip.against_standing(t), pictures[t], noise, seeds, t)

    said = np.stack(list(each(said_of, range(frames))))
    _sum_over_time(said, pictures, flow)
    probability = np.stack(list(each(lambda t: _likely(said[t], pictures[t]), range(frames))))
    return PixelMotion(probability, flow, float(noise[STEPS[0]][0]) * FINE)


def _likely(said: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Probability [h, w] float32 from what is said for and against [h, w, 2], spread over the picture [h, w, 3]."""
    spread = edge_aware_sum(said, picture)
    return (spread[..., 0] / (spread.sum(-1) + SILENCE)).astype(np.float32)


@dataclass(frozen=True)
class _Look:
    """One frame held against another."""

    step: int
    miss: np.ndarray  # [h, w] pixels between the measured flow and the nearest that standing things may have
    denial: np.ndarray  # [h, w] grey levels by which the standing flow explains the other frame worse
    trust: np.ndarray  # [h, w] 0..1: inside both frames, and seen in both


@dataclass(frozen=True, eq=False)
class _Clip:
    pictures: np.ndarray  # [T, h, w, 3] uint8
    flow: ClipFlow
    standing: np.ndarray  # [T, h', w']
    seeds: _Seeds
    intrinsics: np.ndarray  # [T, 3, 3], pixels of the maps
    world_from_camera: np.ndarray  # [T, 4, 4]

    def against_standing(self, t: int) -> list[_Look]:
        """Frame t held against those STEPS before and after it."""
        others = [(step, u) for step in STEPS for u in (t - step, t + step) if 0 <= u < len(self.pictures)]
        return [self._look(step, t, u) for step, u in others]

    def _look(self, step: int, t: int, u: int) -> _Look:
        measured = self.flow.between(t, u)
        # At a step of depth either side may be on the wrong pixel: any depth of the neighbourhood will do.
        window, inverse = np.ones((3, 3), np.uint8), self.standing[t]
        sure = 1 - cv2.resize(self.seeds.doubt(t), inverse.shape[::-1])
        near = (cv2.erode(inverse, window) * sure, inverse, cv2.dilate(inverse, window) / sure)
        low, middle, high = (self.standing_flow(guess, t, u) for guess in near)
        span, off = high - low, measured - low
        along = _dot(off, span) / np.maximum(_dot(span, span), 1e-9)
        miss = length(off - np.clip(along, 0, 1)[..., None] * span)
        denial = np.minimum.reduce([self._unlike(t, u, flow) for flow in (low, middle, high)])
        denial -= self._unlike(t, u, measured)
        trust = loop_trust(measured, self.flow.between(u, t)) * _inside(measured) * _inside(middle)
        return _Look(step, miss, denial, trust)

    def standing_flow(self, inverse: np.ndarray, t: int, u: int) -> np.ndarray:
        """Flow [h, w, 2] from frame t to u of standing things with inverse depth [h', w'] in frame t."""
        height, width = self.pictures.shape[1:3]
        column, row = pixel_grid(*inverse.shape)
        x, y = (column + 0.5) * (width / inverse.shape[1]), (row + 0.5) * (height / inverse.shape[0])
        here, there = self.intrinsics[t], self.intrinsics[u]
        ray = ((x - here[0, 2]) / here[0, 0], (y - here[1, 2]) / here[1, 1])
        move = np.linalg.inv(self.world_from_camera[u]) @ self.world_from_camera[t]
        local = [row[0] * ray[0] + row[1] * ray[1] + row[2] + row[3] * inverse for row in move[:3]]
        depth = np.maximum(local[2], 1e-6)
        target = (
            there[0, 0] * local[0] / depth + there[0, 2] - x,
            there[1, 1] * local[1] / depth + there[1, 2] - y,
        )
        return cv2.resize(np.stack(target, -1).astype(np.float32), (width, height))

    def _unlike(self, t: int, u: int, flow: np.ndarray) -> np.ndarray:
        """Grey levels [h, w] between frame t and frame u brought to it along the flow."""
        return cv2.blur(_colour_distance(self.pictures[t], carried(self.pictures[u], flow)), (WINDOW, WINDOW))


def _colour_distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Grey levels [h, w] float32 between pictures [h, w, 3] uint8, mean of the channels."""
    return cv2.transform(cv2.absdiff(one, other).astype(np.float32), np.full((1, 3), 1 / 3, np.float32))


def _dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return one[..., 0] * other[..., 0] + one[..., 1] * other[..., 1]


def _inside(flow: np.ndarray) -> np.ndarray:
    height, width = flow.shape[:2]
    column, row = pixel_grid(height, width)
    x, y = column + flow[..., 0], row + flow[..., 1]
    return (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)


def _camera(tracks: SourceTracks, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    camera = tracks.camera.resized(*size)
    return camera.intrinsics.numpy(), camera.world_from_camera.numpy()


@dataclass(frozen=True, eq=False)
class _Seeds:
    """Pixels [n, 2] of the maps, column and row, under tracks, frame by frame."""

    standing: list[np.ndarray]  # tracks whose word counts
    moving: list[np.ndarray]
    every: list[np.ndarray]  # those without a word, too
    size: tuple[int, int]  # w, h

    @classmethod
    def of(cls, tracks: SourceTracks, size: tuple[int, int]) -> _Seeds:
        scale = np.array([size[0] / tracks.camera.width, size[1] / tracks.camera.height])
        pixel = np.clip((tracks.xy * scale).astype(int), 0, np.array(size) - 1)
        among = _movers_around(tracks)
        kinds = ~tracks.moving & (among <= AMID), tracks.moving & (among >= LONE), np.ones_like(tracks.moving)
        standing, moving, every = ([pixel[t, seen & kind] for t, seen in enumerate(tracks.seen)] for kind in kinds)
        return cls(standing, moving, every, size)

    def doubt(self, t: int) -> np.ndarray:
        """[h, w] 0..MOST_DOUBT: how little the standing depth is known for want of tracks."""
        return np.clip((self._distance(self.every[t]) - ALONE) * DOUBT_RATE, 0, MOST_DOUBT)

    def around_moving(self, t: int) -> np.ndarray:
        """[h, w] 0..1: 1 where moving tracks are near and standing ones are not nearer."""
        moving = self._distance(self.moving[t])
        return np.where(moving < self._distance(self.standing[t]), np.clip(2 - moving / AROUND, 0, 1), 0)

    def _distance(self, pixel: np.ndarray) -> np.ndarray:
        """[h, w] float32 to the nearest of pixels [n, 2], in widths; infinite where there are none."""
        width, height = self.size
        if not len(pixel):
            return np.full((height, width), np.inf, np.float32)
        free = np.ones((height, width), np.uint8)
        free[pixel[:, 1], pixel[:, 0]] = 0
        return cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_3) / np.float32(width)


def _movers_around(tracks: SourceTracks) -> np.ndarray:
    """Share [N] of moving tracks among the nearest ones, mean over time."""
    total, count = np.zeros(len(tracks.moving)), np.zeros(len(tracks.moving))
    for t in range(0, len(tracks.xy), 4):
        seen = np.flatnonzero(tracks.seen[t])
        if len(seen) > NEIGHBOURS:
            near = np.asarray(KDTree(tracks.xy[t, seen]).query(tracks.xy[t, seen], k=NEIGHBOURS + 1)[1])
            total[seen] += tracks.moving[seen][near[:, 1:]].mean(1)
            count[seen] += 1
    return np.where(count > 0, total / np.maximum(count, 1), tracks.moving)


def _noise(looked: list[tuple[list[_Look], np.ndarray]], step: int) -> tuple[float, float]:
    """Miss in pixels and denial in grey levels at standing tracks, 70th percentile."""
    miss, denial = [np.zeros(0)], [np.zeros(0)]
    for looks, pixel in looked:
        index = (pixel[:, 1], pixel[:, 0])
        for look in looks:
            if look.step == step:
                known = look.trust[index] > 0.5
                miss.append(look.miss[index][known])
                denial.append(look.denial[index][known])
    misses, denials = np.concatenate(miss), np.concatenate(denial)
    if not len(misses):
        return LEAST_MISS, LEAST_DENIAL
    miss_noise = float(np.clip(np.quantile(misses, 0.7), LEAST_MISS, MOST_MISS))
    return miss_noise, max(float(np.quantile(denials, 0.7)), LEAST_DENIAL)


def _said(
    looks: list[_Look], picture: np.ndarray, noise: dict[int, tuple[float, float]], seeds: _Seeds, t: int
) -> np.ndarray:
    """[h, w, 2] float32: the weight of what speaks for motion, and of all that speaks."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    slope = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=0.125))
    corner = np.sqrt(np.maximum(cv2.cornerMinEigenVal(grey, WINDOW), 0))
    texture = SLOPES * cv2.blur(slope, (WINDOW, WINDOW)) + CORNERS * corner
    texture /= texture + TEXTURE
    moving, standing = np.zeros(grey.shape, np.float32), np.full(grey.shape, np.inf, np.float32)
    for step in STEPS:
        miss_noise, denial_noise = noise[step]
        moves, stands, known = np.full(grey.shape, np.inf), np.zeros(grey.shape), np.zeros(grey.shape)
        for look in looks:
            if look.step == step:
                missed = np.clip(look.miss / miss_noise / 4 - 0.5, 0, 1)  # from 2 to 6 times the noise
                denied = np.clip(look.denial / denial_noise / 4 - 0.375, 0, 1)  # from 1.5 to 5.5 times
                held = np.clip(1.5 - look.miss / miss_noise / 2, 0, 1) * texture  # from 3 times down to once
                # The smaller of before and after: what is uncovered between two frames has no flow, but does not move.
                moves = np.where(look.trust > 0.1, np.minimum(moves, missed * denied * look.trust), moves)
                stands, known = np.maximum(stands, held * look.trust), np.maximum(known, look.trust)
        moving = np.maximum(moving, np.where(np.isfinite(moves), moves, 0))
        # The smaller of near and far: what moves slowly seems to stand at first.
        standing = np.where(known > 0.3, np.minimum(standing, stands), standing)
    standing = np.where(np.isfinite(standing), standing, 0) * (1 - moving)
    standing *= 1 - seeds.around_moving(t)
    said = np.stack([MOVING_WORD * moving, STANDING_WORD * standing], -1)
    stand, move = (tuple(pixel[t].T[::-1]) for pixel in (seeds.standing, seeds.moving))
    said[(*stand, 1)] += STANDING_TRACK * (1 - moving[stand])
    said[(*move, 0)] += MOVING_TRACK
    return said.astype(np.float32)


def _sum_over_time(said: np.ndarray, pictures: np.ndarray, flow: ClipFlow) -> None:
    """Adds to what is said [T, h, w, C], in place, what earlier and later frames said of the same thing."""
    own = said.copy()
    frames = len(said)
    for order, there, back in (
        (range(1, frames), flow.backward, flow.forward),
        (range(frames - 2, -1, -1), flow.forward, flow.backward),
    ):
        memory = np.zeros_like(own[0])
        for t in order:
            other = t - 1 if there is flow.backward else t + 1
            index = min(t, other)
            colour = _colour_distance(pictures[t], carried(pictures[other], there[index]))
            trust = KEPT * loop_trust(there[index], back[index]) * np.exp(-np.square(colour / SAME_COLOUR))
            memory = carried(own[other] + memory, there[index]) * trust[..., None].astype(np.float32)
            said[t] += memory
