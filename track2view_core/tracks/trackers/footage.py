"""What is wrong with the pictures of a clip before any point is followed: fades, flashes, dissolves, combs, black bars.

A fade or a flash takes the contrast from pictures of a scene that stays, and points are lost in them. They are followed
in pictures brought to the contrast of their neighbours, and across those that show next to nothing, which are left out
(`Footage.shown`); `filled_in` gives these a place again between their neighbours. Where one scene dissolves into
another two cameras are seen at once, so a shot ends amid the mixed pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from scipy.ndimage import binary_dilation, median_filter

from ...cameras import project
from ...cameras.path import path_between
from ...notes import Note
from ..point_tracks import PointTracks
from .flow import PixelTracks

THUMBNAIL = (64, 36)
PARTS = 4
"""Contrast is compared in PARTS x PARTS parts: what comes into view changes some of them, a fade all alike."""
LEAST_CONTRAST = 0.4
"""Grey levels; less is a plain colour."""

# fades and flashes
DIM, BRIGHT = 0.8, 1.3
"""Share of the usual contrast below and above which a picture fades or flares."""
SLIGHTLY_DIM, BESIDE = 0.05, 2
"""So many pictures beside these belong to the fade, if their share is off by so much."""
NOTHING_SHOWN = 0.12
"""Share of the usual contrast below which noise is left of a picture."""
FADE_FRAMES = 60
"""So far around a picture its usual contrast is looked for."""
FLARE_FRAMES = 9
SHORT_INSERT, SAME, OTHER = 3, 0.8, 0.5
"""So many pictures between two that correlate by the second, and with both of them by less than the third, are another
picture cut in."""

# dissolves
COARSE = (16, 12)
DISSOLVE_FRAMES = (3, 50)
"""Steps from the last picture of one scene to the first of the next."""
UNLIKE = 0.75
"""Correlation above which both ends are one scene."""
MIXED = 0.3
"""What mixing both ends may leave unexplained of a picture between, as a share of what the ends differ."""
OUTLIVES = 0.15
"""A larger share of the points is followed from one end of a mere likeness to the other."""
SLOWEST, FASTEST = 0.15, 3.5
"""The share of the second scene grows by so many times an even step at least, and at most."""

# combs and bars
COMBED_PARTS, COMB_RATIO, COMB_STEP = 0.1, 1.25, 4.0
"""In this share of the parts with texture, neighbouring lines differ so many times as much as lines two apart do, and
by so many grey levels: of one moment they differ less."""
COMB_PART = 16
LOOKED_AT = 9
"""Frames in which combs and bars are looked for."""
BAR_LEVEL, BAR_SPREAD = 30, 2.5
"""Grey levels: a bar is at most so bright, and so even."""
LEAST_BAR, MOST_BARS = 0.01, 0.6
"""Share of the side: of a bar at least, of both together at most."""
BAR_MARGIN = 2
"""Pixels beside a bar into which coding smears it."""


@dataclass(frozen=True)
class Mixture:
    """Frames of the clip that show two scenes at once."""

    before: int  # the last of the first scene alone
    after: int  # the first of the second scene alone
    cut: int  # from here on there is more of the second

    def overlaps(self, first: int, last: int) -> bool:
        return first < self.after and last > self.before


@dataclass(frozen=True, eq=False)
class Footage:
    """What to know of a clip's pictures to follow points in them."""

    shown: np.ndarray  # [n] the frames that show a scene, in their order
    gain: np.ndarray  # [T] what the contrast of each is to be multiplied by
    level: np.ndarray  # [T, 2] grey level of each, and the one it is to be brought to
    fades: tuple[tuple[int, int], ...]  # first and last frame of each, whose contrast was evened out
    mixtures: tuple[Mixture, ...]  # where the pictures alone look like a dissolve, the likeliest first
    combed: bool
    rows: slice  # of the clip's pictures, without black bars
    columns: slice
    notes: tuple[Note, ...]  # on all but fades and dissolves

    def all_shown(self) -> Footage:
        return replace(self, shown=np.arange(len(self.gain)))


def looked_through(frames: np.ndarray) -> Footage:
    """What the pictures [T, H, W, 3] uint8 suffer from."""
    small = np.stack([_thumbnail(frame) for frame in frames])
    contrast, level = _exposures(small)
    share = contrast / _usual(contrast)
    blind = np.asarray(share < NOTHING_SHOWN) | _inserted(small)
    if blind.sum() > len(frames) - 2:
        blind[:] = False
    odd = (share < DIM) | (share > BRIGHT)
    slightly = odd | blind | (np.abs(share - 1) > SLIGHTLY_DIM)
    dim = np.asarray(binary_dilation(odd | blind, iterations=BESIDE, mask=slightly), bool) & ~blind
    rows, columns = _without_bars(frames)
    combed = _combed(frames)
    notes = [Note.of("blind_frames", span=run) for run in _runs(blind)]
    if combed:
        notes.append(Note.of("combs_followed"))
    height, width = frames.shape[1:3]
    bars = [max(0, bar - BAR_MARGIN) for bar in (rows.start, height - rows.stop, columns.start, width - columns.stop)]
    if any(bars):
        notes.append(Note.of("bars", **dict(zip(("above", "below", "left", "right"), bars, strict=True))))
    gain, levels = np.where(dim, 1 / share, 1.0), np.stack([level, _usual_level(level, dim | blind)], 1)
    fades, mixtures = tuple(_runs(dim)), _mixtures(small, blind)
    return Footage(np.flatnonzero(~blind), gain, levels, fades, mixtures, combed, rows, columns, tuple(notes))


def gray_frames(frames: np.ndarray, scale: float, footage: Footage | None = None) -> Callable[[int], np.ndarray]:
    """Frame number -> grey picture [H, W] uint8 at `scale` times the size of `frames` [T, H, W, 3].

    Of `footage` the number is the place among the frames shown, and pictures are cut to what is between bars.
    """
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC

    def gray(t: int) -> np.ndarray:
        if footage is None:
            picture = cv2.cvtColor(frames[t], cv2.COLOR_RGB2GRAY)
        else:
            t = int(footage.shown[t])
            picture = cv2.cvtColor(np.ascontiguousarray(frames[t, footage.rows, footage.columns]), cv2.COLOR_RGB2GRAY)
            if footage.combed:
                picture = _one_field(picture, footage.rows.start % 2)
            if footage.gain[t] != 1:
                was, becomes = footage.level[t]
                picture = (footage.gain[t] * (picture - was) + becomes).clip(0, 255).round().astype(np.uint8)
        # Told the scale and not a rounded size, OpenCV keeps the scale exact up to the right and lower edges.
        return picture if scale == 1 else cv2.resize(picture, None, fx=scale, fy=scale, interpolation=method)

    return gray


def filled_in(tracks: PointTracks, footage: Footage, starts: tuple[int, ...]) -> PointTracks:
    """Tracks of the frames shown as tracks of the whole clip, in `starts` those with which shots begin.

    Between two frames of one shot cameras and points are on their way from one to the other, and a point is taken to be
    seen that both see; before a shot and after the last frame all waits. Nothing is seen on a bar.
    """
    total, shown = len(footage.gain), footage.shown
    x, y = project(tracks.camera, tracks.positions).xy.unbind(-1)
    beside = (x < footage.columns.start) | (x >= footage.columns.stop) | (y < footage.rows.start)
    tracks = replace(tracks, visible=tracks.visible & ~beside & (y < footage.rows.stop))
    if len(shown) == total:
        return tracks
    every = np.arange(total)
    after = np.searchsorted(shown, every).clip(0, len(shown) - 1)
    before = (np.searchsorted(shown, every, side="right") - 1).clip(0)
    after = np.where(np.isin(after, starts) & (shown[after] != every), before, after)
    gap = shown[after] - shown[before]
    share = torch.from_numpy(np.where(gap > 0, (every - shown[before]) / np.maximum(gap, 1), 0.0))
    first, second = tracks.with_frames(before.tolist()), tracks.with_frames(after.tolist())
    own = torch.from_numpy(np.isin(every, shown))[:, None]
    both = first.visible & second.visible
    return replace(
        first,
        positions=torch.lerp(first.positions, second.positions, share[:, None, None].float()),
        visible=both,
        confidence=torch.minimum(first.confidence, second.confidence) * torch.where(own, 1.0, 0.5),
        camera=path_between(first.camera, second.camera, share),
    )


def _thumbnail(frame: np.ndarray) -> np.ndarray:
    small = cv2.resize(frame, THUMBNAIL, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small.astype(np.float32), cv2.COLOR_RGB2GRAY)


def _runs(which: np.ndarray) -> Iterator[tuple[int, int]]:
    """First and last frame of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], which, [False]]).astype(int)))
    for first, end in edges.reshape(-1, 2):
        yield int(first), int(end) - 1


# --- contrast ---------------------------------------------------------------------------------------------------------


def _exposures(small: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much contrast each picture has, in that of the first, and its grey level [T].

    Between pictures of two scenes contrast is not compared.
    """
    frames, height, width = small.shape
    parts = small.reshape(frames, PARTS, height // PARTS, PARTS, width // PARTS).transpose(0, 1, 3, 2, 4)
    parts = parts.reshape(frames, PARTS**2, -1)
    spread = np.log(np.maximum(parts.std(2), LEAST_CONTRAST))
    steps = np.median(np.diff(spread, axis=0), axis=1)
    unit, shows = _centred(_coarse(small)), np.median(spread, axis=1) > np.log(4 * LEAST_CONTRAST)
    steps[((unit[:-1] * unit[1:]).sum(1) < OTHER) & shows[:-1] & shows[1:]] = 0
    return np.exp(np.concatenate([[0.0], np.cumsum(steps)])), np.median(parts.mean(2), axis=1)


def _usual(contrast: np.ndarray) -> np.ndarray:
    """The contrast [T] that each picture would have without a fade or a flash.

    That of the pictures around, wherever both sides have more; before the first and after the last there is as much as
    the clip comes to have, if they have much less.
    """
    out = contrast.copy()
    for t in range(len(contrast)):
        before, after = contrast[max(0, t - FADE_FRAMES) : t + 1], contrast[t : t + FADE_FRAMES + 1]
        sides = [before.max(), after.max()]
        if t < FADE_FRAMES and contrast[0] < 0.5 * sides[1]:
            sides[0] = sides[1]
        if t + FADE_FRAMES >= len(contrast) and contrast[-1] < 0.5 * sides[0]:
            sides[1] = sides[0]
        out[t] = min(sides)
    return np.minimum(out, np.maximum(median_filter(out, FLARE_FRAMES, mode="nearest"), 1e-9))


def _usual_level(level: np.ndarray, odd: np.ndarray) -> np.ndarray:
    """Grey levels [T], of odd pictures that of their neighbours."""
    known = np.flatnonzero(~odd)
    return np.interp(np.arange(len(level)), known, level[known]) if len(known) else level


def _inserted(small: np.ndarray) -> np.ndarray:
    """Which pictures [T] are unlike those around them, which are alike: a card cut in, a lens covered."""
    flat = _centred(_coarse(small))
    alike = flat @ flat.T
    out = np.zeros(len(small), bool)
    for t in range(1, len(small) - 1):
        for length in range(1, SHORT_INSERT + 1):
            end = t + length
            if end >= len(small) or alike[t - 1, end] < SAME:
                continue
            if alike[t - 1, t:end].max() < OTHER and alike[end, t:end].max() < OTHER:
                out[t:end] = True
    return out


def _centred(flat: np.ndarray) -> np.ndarray:
    flat = flat - flat.mean(1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), LEAST_CONTRAST * np.sqrt(flat.shape[1]))


# --- two scenes at once -----------------------------------------------------------------------------------------------


def with_dissolves(flow: PixelTracks, footage: Footage) -> tuple[PixelTracks, list[Note]]:
    """The tracks with a cut amid every dissolve, and all that is to be told of the pictures.

    A dissolve is a mixture over which hardly a point could be followed; that it takes contrast makes it no fade.
    """
    found: list[Mixture] = []
    for mixture in footage.mixtures:
        before, after = np.searchsorted(footage.shown, [mixture.before, mixture.after])
        share = (flow.seen[before] & flow.seen[after]).sum() / max(flow.seen[before].sum(), 1)
        if share < OUTLIVES and all(mixture.after < other.before or mixture.before > other.after for other in found):
            found.append(mixture)
    known = {cut for cut in flow.cuts if not any(m.before < footage.shown[cut] <= m.after for m in found)}
    cuts = known | {int(np.searchsorted(footage.shown, mixture.cut)) for mixture in found}
    fades = [fade for fade in footage.fades if not any(mixture.overlaps(*fade) for mixture in found)]
    notes = [*footage.notes, *(Note.of("fade", span=fade) for fade in fades)]
    notes += [
        Note.of("dissolve", span=(mixture.before + 1, mixture.after - 1), frame=mixture.cut)
        for mixture in sorted(found, key=lambda mixture: mixture.cut)
    ]
    return replace(flow, cuts=tuple(sorted(cuts))), notes


def _mixtures(small: np.ndarray, blind: np.ndarray) -> tuple[Mixture, ...]:
    """Where every picture between two is a mixture of both, the same all over; of a moving camera hardly one is."""
    flat = _coarse(small)
    products = flat @ flat.T
    unit = _centred(flat)
    alike = unit @ unit.T
    found = []
    for start in range(len(flat)):
        for end in range(start + DISSOLVE_FRAMES[0], min(len(flat), start + DISSOLVE_FRAMES[1] + 1)):
            if alike[start, end] > UNLIKE or blind[start : end + 1].any():
                continue
            apart = max(products[start, start] - 2 * products[start, end] + products[end, end], 1e-9)
            between = np.arange(start + 1, end)
            along = (
                products[between, end] - products[between, start] - products[start, end] + products[start, start]
            ) / apart
            away = products[between, between] - 2 * products[between, start] + products[start, start]
            left = np.sqrt(np.maximum(away - along**2 * apart, 0) / apart)
            steps = np.diff(np.concatenate([[0.0], along, [1.0]])) * (end - start)
            if left.max() < MIXED and steps.min() > SLOWEST and steps.max() < FASTEST:
                cut = int(between[(along > 0.5).argmax()]) if (along > 0.5).any() else end
                found.append((apart * (1 - left.max()), Mixture(start, end, cut)))
    found.sort(key=lambda likely: -likely[0])
    return tuple(mixture for _, mixture in found)


def _coarse(small: np.ndarray) -> np.ndarray:
    coarse = [cv2.resize(picture, COARSE, interpolation=cv2.INTER_AREA).ravel() for picture in small]
    return np.stack(coarse).astype(np.float64)


# --- combs and bars ---------------------------------------------------------------------------------------------------


def _looked_at(frames: np.ndarray) -> np.ndarray:
    return np.unique(np.linspace(0, len(frames) - 1, LOOKED_AT).round().astype(int))


def _combed(frames: np.ndarray) -> bool:
    """Whether most pictures are two half pictures of different moments, woven line by line."""
    shares = []
    for t in _looked_at(frames):
        lines = cv2.cvtColor(frames[t], cv2.COLOR_RGB2GRAY).astype(np.float32)
        lines = lines[: len(lines) // COMB_PART * COMB_PART, : lines.shape[1] // COMB_PART * COMB_PART]
        if not lines.size:
            return False
        size = (lines.shape[1] // COMB_PART, len(lines) // COMB_PART)
        one = cv2.resize(np.abs(lines[1:-1] - lines[:-2]), size, interpolation=cv2.INTER_AREA)
        two = cv2.resize(np.abs(lines[2:] - lines[:-2]), size, interpolation=cv2.INTER_AREA)
        textured = one > COMB_STEP
        shares.append(float((textured & (one > COMB_RATIO * two)).sum() / max(textured.sum(), 1)))
    return float(np.median(shares)) > COMBED_PARTS


def _one_field(picture: np.ndarray, first: int) -> np.ndarray:
    """The lines of one moment, `first` or the one after and every second; those between from their neighbours."""
    kept = np.arange(len(picture))[first::2]
    out = picture.astype(np.float32)
    between = np.arange(first + 1, len(picture) - 1, 2)
    out[between] = (out[between - 1] + out[between + 1]) / 2
    if first:
        out[0] = out[1]
    if kept[-1] != len(picture) - 1:
        out[-1] = out[-2]
    return out.round().astype(np.uint8)


def _without_bars(frames: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns between black bars."""
    looked = [cv2.cvtColor(frames[t], cv2.COLOR_RGB2GRAY) for t in _looked_at(frames)]
    spans = []
    for axis in (1, 0):
        bright = np.max([picture.mean(axis) for picture in looked], 0)
        spread = np.max([picture.std(axis) for picture in looked], 0)
        picture = np.flatnonzero((bright > BAR_LEVEL) | (spread > BAR_SPREAD))
        side = len(bright)
        first, end = (int(picture[0]), int(picture[-1]) + 1) if len(picture) else (0, side)
        if side - (end - first) > MOST_BARS * side:
            first, end = 0, side
        first = first + BAR_MARGIN if first >= max(2, LEAST_BAR * side) else 0
        end = end - BAR_MARGIN if side - end >= max(2, LEAST_BAR * side) else side
        spans.append(slice(first, end))
    return spans[0], spans[1]
