"""How far away what the picture is about is: the unit of preset moves, and the point that they turn around.

`PointTracks.scene_scale` is the median depth of all points, and one of a background far behind the subject lets the
subject slide out of an orbit. A subject is moving, central or near, or the user points at it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..cameras import project
from ..errors import Track2ViewError
from ..notes import Note
from .point_tracks import PointTracks
from .selection import is_moving

AUTO, MEDIAN = "auto", "median"
CENTRAL = 0.22
"""Standard deviation, in shares of the picture's width and height, of the weight that falls off from the middle."""
NEAR = 0.9
"""In the middle of a frame this quantile of inverse depth counts as near; what is half as near counts a quarter."""
MOVERS_HOLD = 0.06
"""Share of the middle's weight from which on what moves is the subject."""
AS_FAR = 0.25
"""Natural logarithm of the ratio of depths within which points are at the subject's distance."""
EVERY = 4
"""Frames between two that are asked."""
REACH = 0.06
"""Share of the picture's width within which a place that is pointed at needs a tracked point."""


@dataclass(frozen=True)
class Subject:
    """Where to look for it: everywhere, or at a place of the clip."""

    how: str  # AUTO, MEDIAN or "point"
    x: float = 0.0  # pixels of the clip, of a point
    y: float = 0.0
    frame: int = 0


def read_subject(text: str) -> Subject:
    """A subject as users write it: auto, median, or X,Y or X,Y,FRAME.

    Raises:
        Track2ViewError: it is none of them.
    """
    told = text.strip().lower()
    if told in (AUTO, MEDIAN):
        return Subject(told)
    try:
        x, y, *frame = told.split(",")
        place = Subject("point", float(x), float(y), *map(int, frame))
        if not (np.isfinite([place.x, place.y]).all() and len(frame) <= 1 and min(place.x, place.y, place.frame) >= 0):
            raise ValueError
    except (ValueError, TypeError):
        raise Track2ViewError(
            f"subject is {text!r}; it must be auto, median, or X,Y or X,Y,FRAME: a place in pixels of the clip, and "
            "the frame it is in, counted from 0."
        ) from None
    return place


def subject_distance(
    tracks: PointTracks, subject: str = AUTO, *, size: tuple[int, int] | None = None
) -> tuple[float, Note]:
    """The subject's distance in world units, and how it was found.

    Args:
        subject: "auto" weighs the points by how central and near they are, and asks those that move alone where they
            hold enough of the middle; "median" is `PointTracks.scene_scale`; "X,Y" or "X,Y,FRAME" is the tracked point
            nearest to that place.
        size: width and height of the pictures in whose pixels the place is; None: those that were tracked.

    Raises:
        Track2ViewError: a subject of another form, a frame that the clip does not have, no tracked point near the
            place, or no point visible in front of the camera at all.
    """
    wanted = read_subject(subject)
    median = tracks.scene_scale
    if wanted.how == MEDIAN:
        return median, Note.of("subject_median", distance=median)
    if wanted.how == AUTO:
        distance, moving = _salient(tracks)
        what = "what moves in the middle of the picture" if moving else "what is central and near"
        return distance, Note.of("subject_found", distance=distance, ratio=distance / median, what=what)
    distance, away = _pointed_at(tracks, wanted, size)
    return distance, Note.of("subject_given", distance=distance, ratio=distance / median, away=away)


def subject_place(tracks: PointTracks) -> tuple[float, float, float]:
    """Where the subject that "auto" finds is, in the source camera's own axes (x right, y down, z forward), in world
    units: the middle of what is about as far away, over the points and then over the clip.

    Raises:
        Track2ViewError: no point is visible in front of the camera.
    """
    distance, moving = _salient(tracks)
    depth, xy, seen = _seen(tracks)
    lens = tracks.camera.intrinsics.cpu().float()
    size = torch.tensor([tracks.camera.width, tracks.camera.height])
    central = torch.exp(-((xy / size - 0.5) ** 2).sum(-1) / (2 * CENTRAL**2)) * seen
    central = central * ((depth / distance).log().abs() < AS_FAR) * (is_moving(tracks) if moving else 1)
    places = []
    for t in central.any(1).nonzero().flatten().tolist():
        own, weight = xy[t, central[t] > 0], central[t, central[t] > 0]
        x, y = (_quantile(own[:, axis], weight, 0.5) for axis in (0, 1))
        places.append(
            ((x - float(lens[t, 0, 2])) / float(lens[t, 0, 0]), (y - float(lens[t, 1, 2])) / float(lens[t, 1, 1]))
        )
    x, y = np.median(places, axis=0) if places else (0.0, 0.0)
    return float(x) * distance, float(y) * distance, distance


def _salient(tracks: PointTracks) -> tuple[float, bool]:
    """The distance of what stands out, and whether that is what moves."""
    depth, xy, seen = _seen(tracks)
    moving = is_moving(tracks)
    size = torch.tensor([tracks.camera.width, tracks.camera.height])
    central = torch.exp(-((xy / size - 0.5) ** 2).sum(-1) / (2 * CENTRAL**2)) * seen
    movers = central * moving
    frames = [t for t in range(0, len(tracks), EVERY) if seen[t].any()] or seen.any(1).nonzero().flatten().tolist()
    hold = bool(movers[frames].sum() > MOVERS_HOLD * central[frames].sum())
    found = []
    for t in frames:
        inverse = 1 / depth[t, seen[t]]
        weight = (movers if hold else central)[t, seen[t]]
        if weight.sum() == 0:
            continue
        if not hold:
            weight = weight * (inverse / _quantile(inverse, weight, NEAR)).clamp(max=1) ** 2
        found.append(_quantile(inverse, weight, 0.5))
    return float(1 / np.median(found)), hold


def _quantile(values: Tensor, weight: Tensor, share: float) -> float:
    """The value below which this share of the weight lies."""
    order = values.argsort()
    total = weight[order].double().cumsum(0)
    return float(values[order[int(torch.searchsorted(total, share * total[-1]))]])


def _pointed_at(tracks: PointTracks, wanted: Subject, size: tuple[int, int] | None) -> tuple[float, float]:
    """The distance of the tracked point nearest to a place, and how many of the clip's pixels lie between them."""
    width, height = size or (tracks.camera.width, tracks.camera.height)
    if wanted.frame >= len(tracks):
        raise Track2ViewError(
            f"subject names frame {wanted.frame}; the clip has frames 0 to {len(tracks) - 1}, so choose one of them."
        )
    if wanted.x > width or wanted.y > height:
        raise Track2ViewError(
            f"subject is at {wanted.x:g}, {wanted.y:g}, outside the clip's {width} x {height} pixels; give a place "
            "inside."
        )
    depth, xy, seen = _seen(tracks)
    xy = xy[wanted.frame] * torch.tensor([width / tracks.camera.width, height / tracks.camera.height])
    away = (xy - torch.tensor([wanted.x, wanted.y])).norm(dim=-1).masked_fill(~seen[wanted.frame], torch.inf)
    nearest = int(away.argmin())
    if away[nearest] > REACH * width:
        raise Track2ViewError(
            f"No tracked point lies within {REACH * width:.0f} px of {wanted.x:g}, {wanted.y:g} in frame "
            f"{wanted.frame}; point subject at something with more texture, choose another frame, or track more points."
        )
    return float(depth[wanted.frame, nearest]), float(away[nearest])


def _seen(tracks: PointTracks) -> tuple[Tensor, Tensor, Tensor]:
    """Depth [T, N], pixels [T, N, 2] and what is seen in front of the camera [T, N], on the CPU."""
    view = project(tracks.camera, tracks.positions)
    depth = view.depth.cpu()
    return depth, view.xy.cpu(), tracks.visible.cpu() & view.inside.cpu() & (depth > 0)
