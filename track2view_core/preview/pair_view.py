"""Both views of a clip with the same coloured tracks: what the model will be told, before it runs."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import Track2ViewError
from ..progress import Progress
from ..tracks import PairedTracks
from .drawing import (
    FAINT,
    GAP,
    GOOD,
    GRID,
    GROUND,
    PANEL,
    POOR,
    TEXT,
    Color,
    caption,
    draw_dots,
    draw_line,
    draw_ring,
    pane,
    pane_size,
    write_text,
)

_DRAWN_TRACKS = 320  # more of them only hide the picture
_TAIL = 8  # frames
_BAND_HEIGHT = 56
_SPLAT_LIGHT = 0.62
_RIM: Color = (12, 14, 18)  # around dots, so that they stand out from any picture


def pair_view(
    frames: Tensor,  # [T, H, W, 3] uint8, the clip, at any size of the tracks' shape
    tracks: PairedTracks,
    *,
    only: Sequence[int] | None = None,  # the frames to draw; None draws all
    coverage: Tensor | None = None,  # [T] as the model will see it; None takes that of the size the tracks are given at
    progress: Progress | None = None,
) -> Tensor:
    """The clip with its tracks on the left, the target view with the same tracks on the right, coverage below.

    A track has one colour in both views, given by where it starts. Solid with a tail: the tracker sees the point in the
    source view. A ring: it is hidden there. The target view shows each point in the colour the clip has there.

    Returns [T or len(only), h, w, 3] uint8, even sides, at least 512 px a view however small the clip is.
    """
    if len(frames) != len(tracks):
        raise Track2ViewError(
            f"The clip has {len(frames)} frames and the tracks have {len(tracks)}; give the frames that were tracked."
        )
    source_size = pane_size(tracks.source_camera.width, tracks.source_camera.height)
    target_size = pane_size(tracks.target_camera.width, tracks.target_camera.height)
    height = max(source_size[1], target_size[1])
    width = source_size[0] + GAP + target_size[0]
    source = _View(tracks, "source", source_size)
    target = _View(tracks, "target", target_size)
    shown = _shown_tracks(tracks)
    colors = track_colors(tracks)
    painted = _point_colors(frames, tracks)
    shares = tracks.coverage() if coverage is None else coverage
    drawn = range(len(frames)) if only is None else only
    pictures = torch.empty((len(drawn), height + GAP + _BAND_HEIGHT, width, 3), dtype=torch.uint8)
    canvas = pictures.numpy()
    canvas[:] = GROUND
    for number, t in enumerate(drawn):
        left = pane(frames[t], source_size)
        _draw_tracks(left, source, t, shown, colors)
        caption(left, "source")
        canvas[number, : source_size[1], : source_size[0]] = left
        right = _splatted(target, t, painted[t])
        _draw_tracks(right, target, t, shown, colors)
        caption(right, f"target   {shares[t] * 100:.0f} % covered")
        canvas[number, : target_size[1], source_size[0] + GAP :] = right
        canvas[number, height + GAP :] = coverage_band(shares, width=width, height=_BAND_HEIGHT, frame=t).numpy()
        if progress is not None:
            progress(number + 1, len(drawn), "Drawing both views")
    return pictures


def points_view(frames: Tensor, tracks: PairedTracks) -> Tensor:
    """What is known of the target view before anything is painted: the tracks alone, as `pair_view` draws them there.

    Returns [T, h, w, 3] uint8.
    """
    size = pane_size(tracks.target_camera.width, tracks.target_camera.height)
    view, shown, colors = _View(tracks, "target", size), _shown_tracks(tracks), track_colors(tracks)
    painted = _point_colors(frames, tracks)
    pictures = torch.empty((len(frames), size[1], size[0], 3), dtype=torch.uint8)
    for t in range(len(frames)):
        picture = _splatted(view, t, painted[t])
        _draw_tracks(picture, view, t, shown, colors)
        pictures.numpy()[t] = picture
    return pictures


class _View:
    """One view's tracks in the pixels of its pane."""

    def __init__(self, tracks: PairedTracks, name: str, size: tuple[int, int]) -> None:
        view, camera = getattr(tracks, name), getattr(tracks, f"{name}_camera")
        self.size = size
        self.xy = view.xy.cpu().double().numpy() * (size[0] / camera.width, size[1] / camera.height)
        self.depth = view.depth.cpu().numpy()
        self.inside = view.inside.cpu().numpy()
        self.visible = tracks.visible.cpu().numpy()


def _shown_tracks(tracks: PairedTracks) -> np.ndarray:
    """Up to `_DRAWN_TRACKS` tracks spread evenly over those the source ever shows."""
    seen = tracks.seen.cpu().nonzero()[:, 0].numpy()
    if len(seen) <= _DRAWN_TRACKS:
        return seen
    # Trackers hand out points row by row; a fixed shuffle keeps the choice from falling on columns.
    return np.sort(np.random.default_rng(0).permutation(seen)[:_DRAWN_TRACKS])


def track_colors(tracks: PairedTracks) -> list[Color]:
    """Hue from left to right, paler from top to bottom, by each track's first visible place."""
    seen = (tracks.visible & tracks.source.inside).cpu()
    first = seen.int().argmax(dim=0)
    xy = tracks.source.xy.cpu()[first, torch.arange(seen.shape[1])]
    x = (xy[:, 0] / tracks.source_camera.width).clamp(0, 1).tolist()
    y = (xy[:, 1] / tracks.source_camera.height).clamp(0, 1).tolist()
    colors = []
    for across, down in zip(x, y, strict=True):
        red, green, blue = colorsys.hsv_to_rgb(0.86 * across, 1.0 - 0.5 * down, 1.0)
        colors.append((round(255 * red), round(255 * green), round(255 * blue)))
    return colors


def _point_colors(frames: Tensor, tracks: PairedTracks) -> np.ndarray:
    """The clip's colour at every point, [T, N, 3] uint8; where it is hidden, the one it was last seen with."""
    height, width = frames.shape[1:3]
    xy = tracks.source.xy.cpu()
    column = (xy[..., 0] * width / tracks.source_camera.width).long().clamp(0, width - 1)
    row = (xy[..., 1] * height / tracks.source_camera.height).long().clamp(0, height - 1)
    sampled = frames.cpu()[torch.arange(len(frames))[:, None], row, column]
    seen = (tracks.visible & tracks.source.inside).cpu()
    time = torch.arange(len(frames))[:, None].expand_as(seen)
    latest = torch.where(seen, time, -1).cummax(dim=0).values
    latest = torch.where(latest < 0, seen.int().argmax(dim=0), latest)  # before the first sight, the colour of it
    return sampled.gather(0, latest[..., None].expand(-1, -1, 3)).numpy()


def _splatted(view: _View, t: int, colors: np.ndarray) -> np.ndarray:
    """The points as discs in their own colours, far ones first, on dark ground."""
    width, height = view.size
    picture = np.full((height, width, 3), GROUND, np.uint8)
    drawn = np.flatnonzero(view.inside[t] & view.visible.any(axis=0))
    if len(drawn) == 0:
        return picture
    depth = view.depth[t, drawn]
    radius = min(0.8 * np.sqrt(width * height / view.xy.shape[1]), min(width, height) / 16)
    radii = np.clip(radius * np.median(depth) / depth, 0.5 * radius, 2 * radius)
    order = np.argsort(-depth)
    shades = (_SPLAT_LIGHT * colors[drawn[order]]).astype(int).tolist()
    draw_dots(picture, view.xy[t, drawn[order]], radii[order], shades)
    return picture


def _draw_tracks(picture: np.ndarray, view: _View, t: int, shown: np.ndarray, colors: list[Color]) -> None:
    inside = view.inside[t, shown]
    seen = view.visible[t, shown]
    size = max(2.2, min(view.size) / 150)
    start = max(0, t - min(_TAIL, max(2, len(view.inside) // 8)))
    for point in shown[inside & ~seen]:
        red, green, blue = colors[point]
        draw_ring(picture, view.xy[t, point], size + 0.6, (red * 3 // 4, green * 3 // 4, blue * 3 // 4))
    dots = shown[inside & seen]
    for point in dots:
        lasting = view.inside[start : t + 1, point] & view.visible[start : t + 1, point]
        gaps = np.flatnonzero(~lasting)
        first = start + (gaps[-1] + 1 if len(gaps) else 0)
        if first < t:
            draw_line(picture, view.xy[first : t + 1, point], colors[point], 1)
    rims_and_discs = [color for point in dots for color in (_RIM, colors[point])]
    draw_dots(picture, view.xy[t, dots.repeat(2)], np.tile([size + 0.8, size], len(dots)), rims_and_discs)


LOW_COVERAGE = 0.2  # below this the model has little to hold on to


def coverage_band(
    coverage: Tensor,  # [T] 0..1
    *,
    width: int = 900,
    height: int = 56,
    frame: int | None = None,
) -> Tensor:
    """One bar a frame, as high as its share; red below 20 %. `frame` is marked. Returns [height, width, 3] uint8."""
    shares = np.nan_to_num(coverage.detach().cpu().double().numpy()).clip(0, 1)
    band = np.full((height, width, 3), GROUND, np.uint8)
    left, right = min(64, width // 6), width - min(10, width // 20)
    top, bottom = 6, height - 6
    band[top:bottom, left:right] = PANEL
    limit = round(bottom - (bottom - top) * LOW_COVERAGE)
    edges = np.linspace(left, right, len(shares) + 1).round().astype(int)
    gap = 1 if (right - left) / len(shares) >= 4 else 0
    for index, share in enumerate(shares):
        tall = max(2, round((bottom - top) * share))
        color = np.array(POOR if share < LOW_COVERAGE else GOOD)
        if frame is not None and index != frame:
            color = (color * 0.6).astype(int)
        first, last = edges[index], max(edges[index] + 1, edges[index + 1] - gap)
        if share < LOW_COVERAGE:
            band[top:bottom, first:last] = (np.array(PANEL) + np.array(POOR)) // 3
        band[bottom - tall : bottom, first:last] = color
        if index == frame:
            band[top - 4 : top - 1, first:last] = band[bottom + 1 : bottom + 4, first:last] = TEXT
    band[limit, left:right][::6] = band[limit, left:right][1::6] = FAINT
    for share in (0.0, 1.0):
        row = round(bottom - (bottom - top) * share)
        band[row, left - 5 : left] = GRID
    write_text(band, "100 %", (left - 8, top + 9), 8, FAINT, "right")
    write_text(band, "20 %", (left - 8, limit + 2), 8, FAINT, "right")
    return torch.from_numpy(band)
