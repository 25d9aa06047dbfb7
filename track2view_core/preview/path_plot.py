"""Both camera paths from above and from the side, with the scene's points."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ..cameras import CameraPath
from ..tracks import PairedTracks
from .drawing import (
    FAINT,
    GRID,
    GROUND,
    PANEL,
    SOURCE,
    TARGET,
    TEXT,
    Color,
    draw_dot,
    draw_line,
    draw_ring,
    fill_shape,
    text_size,
    write_text,
)

_FRUSTA = 5
_DRAWN_POINTS = 1500


def path_plot(
    source: CameraPath,
    target: CameraPath,
    points: Tensor | None = None,  # [N, 3] or [T, N, 3] world; of a clip, frame 0 is drawn
    *,
    width: int = 900,
    height: int = 450,
    labels: tuple[str, str] = ("source camera", "target camera"),
) -> Tensor:
    """Both paths from above (x, z) and from the right (z, y), one scale everywhere. Returns [height, width, 3] uint8.

    Frusta stand at evenly spaced frames, the first one filled; a ring marks the last frame.
    """
    picture = np.full((height, width, 3), GROUND, np.uint8)
    cloud = _cloud(points)
    header, margin, gap = 34, 46, 24
    panel_width = (width - 2 * margin - gap + 20) // 2
    panel_height = height - header - margin
    reach = _frustum_reach(source, target, cloud)
    bounds = _bounds(source, target, cloud, reach)
    scale = min(
        panel_width / (bounds[1][0] - bounds[0][0]),
        panel_width / (bounds[1][2] - bounds[0][2]),
        panel_height / (bounds[1][2] - bounds[0][2]),
        panel_height / (bounds[1][1] - bounds[0][1]),
    )
    middle = (bounds[0] + bounds[1]) / 2
    panels = (
        _Panel(picture, (margin, header), (panel_width, panel_height), "seen from above", ("x right", "z forward"),
               axes=(0, 2), signs=(1, -1), middle=middle, scale=scale),
        _Panel(picture, (margin + panel_width + gap, header), (panel_width, panel_height), "seen from the right",
               ("z forward", "y down"), axes=(2, 1), signs=(1, 1), middle=middle, scale=scale),
    )  # fmt: skip
    for panel in panels:
        panel.draw_grid()
        panel.draw_points(cloud)
        panel.draw_path(source, SOURCE, reach, 3)
        panel.draw_path(target, TARGET, reach, 1)
        panel.finish()
    _draw_legend(picture, margin, labels, cloud is not None)
    return torch.from_numpy(picture)


def world_points(tracks: PairedTracks) -> Tensor:
    """The tracks' points in the world, [T, N, 3] float64; NaN where a point is not inside the source view."""
    camera = tracks.source_camera
    xy1 = torch.cat([tracks.source.xy.double(), torch.ones_like(tracks.source.depth)[..., None].double()], dim=-1).cpu()
    rays = torch.einsum("tij,tnj->tni", torch.linalg.inv(camera.intrinsics.cpu()), xy1)
    local = rays * tracks.source.depth.cpu().double()[..., None]
    pose = camera.world_from_camera.cpu()
    world = torch.einsum("tij,tnj->tni", pose[:, :3, :3], local) + pose[:, None, :3, 3]
    return torch.where(tracks.source.inside.cpu()[..., None], world, torch.nan)


def _cloud(points: Tensor | None) -> np.ndarray | None:
    """A fixed choice of the finite points, [P, 3]."""
    if points is None:
        return None
    cloud = (points if points.ndim == 2 else points[0]).detach().cpu().double().numpy()
    cloud = cloud[np.isfinite(cloud).all(axis=1)]
    if len(cloud) == 0:
        return None
    return np.random.default_rng(0).permutation(cloud)[:_DRAWN_POINTS]


def _positions(path: CameraPath) -> np.ndarray:
    return path.world_from_camera[:, :3, 3].cpu().numpy()


def _frustum_reach(source: CameraPath, target: CameraPath, cloud: np.ndarray | None) -> float:
    """How deep the drawn frusta are, in world units: seen at any scale, never hiding the path."""
    places = np.concatenate([_positions(source), _positions(target)])
    extent = float(np.ptp(places, axis=0).max())
    depth = 0.0 if cloud is None else float(np.median(np.linalg.norm(cloud - places[0], axis=1)))
    return max(0.3 * extent, 0.18 * depth) or 1.0


def _bounds(
    source: CameraPath, target: CameraPath, cloud: np.ndarray | None, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Corners of the world box to show: all cameras and their frusta, and the bulk of the points."""
    corners = [_frustum(path, t, reach) for path in (source, target) for t in (0, len(path) // 2, len(path) - 1)]
    places = np.concatenate([_positions(source), _positions(target), *corners])
    low, high = places.min(axis=0), places.max(axis=0)
    if cloud is not None:
        near, far = np.percentile(cloud, (4, 96), axis=0)
        # A far background must not shrink the cameras to dots.
        limit = 6 * max(float((high - low).max()), reach)
        low = np.maximum(np.minimum(low, near), low - limit)
        high = np.minimum(np.maximum(high, far), high + limit)
    pad = 0.08 * float((high - low).max()) + 1e-9
    return low - pad, high + pad


def _frustum(path: CameraPath, t: int, reach: float) -> np.ndarray:
    """The camera's centre and the four corners of its view at depth `reach`, [5, 3] world."""
    pose = path.world_from_camera[t].cpu().numpy()
    inverse = np.linalg.inv(path.intrinsics[t].cpu().numpy())
    corners = np.array([(0, 0, 1), (path.width, 0, 1), (path.width, path.height, 1), (0, path.height, 1)]) @ inverse.T
    local = np.concatenate([np.zeros((1, 3)), corners * reach])
    return local @ pose[:3, :3].T + pose[:3, 3]


class _Panel:
    """One flat view of the world: world axis `axes[0]` runs right, `axes[1]` runs down (times `signs`)."""

    def __init__(
        self,
        picture: np.ndarray,  # [H, W, 3] uint8, drawn on in place
        corner: tuple[int, int],  # left, top px
        size: tuple[int, int],  # width, height px
        title: str,
        names: tuple[str, str],  # of the axes, right and down
        *,
        axes: tuple[int, int],
        signs: tuple[int, int],
        middle: np.ndarray,  # [3] world, shown in the panel's middle
        scale: float,  # px a world unit
    ) -> None:
        left, top = corner
        self.canvas = picture[top : top + size[1], left : left + size[0]]
        self.picture, self.corner, self.size = picture, corner, size
        self.title, self.names = title, names
        self.axes, self.signs, self.scale = list(axes), np.array(signs), scale
        self.middle = middle[self.axes]
        self.canvas[:] = PANEL

    def pixels(self, world: np.ndarray) -> np.ndarray:
        return (world[..., self.axes] - self.middle) * self.signs * self.scale + np.array(self.size) / 2

    def draw_grid(self) -> None:
        step = _round_step(70 / self.scale)
        left, top = self.corner
        for side, length in enumerate(self.size):
            reach = length / 2 / self.scale
            first = math.ceil((self.middle[side] - reach) / step)
            for index in range(first, math.floor((self.middle[side] + reach) / step) + 1):
                place = (index * step - self.middle[side]) * self.signs[side] * self.scale + length / 2
                words = f"{index * step:.4g}"
                if side == 0:
                    self.canvas[:, min(int(place), length - 1)] = GRID
                    write_text(self.picture, words, (left + place, top + self.size[1] + 14), 8, FAINT, "center")
                else:
                    self.canvas[min(int(place), length - 1)] = GRID
                    write_text(self.picture, words, (left - 4, top + place + 4), 8, FAINT, "right")

    def draw_points(self, cloud: np.ndarray | None) -> None:
        if cloud is not None:
            for at in self.pixels(cloud):
                draw_dot(self.canvas, at, 1.2, (112, 118, 130))

    def draw_path(self, path: CameraPath, color: Color, reach: float, weight: int) -> None:
        """`weight`: line width; the path below is the wider one, so that it shows where both are the same."""
        chosen = np.unique(np.linspace(0, len(path) - 1, min(_FRUSTA, len(path))).round().astype(int))
        red, green, blue = (int(value * 0.62) for value in color)
        for t in chosen[::-1]:
            corners = self.pixels(_frustum(path, int(t), reach))
            if t == 0:
                self._tint(corners, color)
            edge, width = (color, weight) if t == 0 else ((red, green, blue), 1)
            for corner in corners[1:]:
                draw_line(self.canvas, np.stack([corners[0], corner]), edge, width)
            draw_line(self.canvas, corners[1:], edge, width, closed=True)
        places = self.pixels(_positions(path))
        draw_line(self.canvas, places, color, weight + 1)
        for place in places:
            draw_dot(self.canvas, place, 1 + 0.7 * weight, color)
        draw_dot(self.canvas, places[0], 3 + weight, color)
        draw_ring(self.canvas, places[-1], 4.5 + 1.2 * weight, color, 2)

    def _tint(self, corners: np.ndarray, color: Color) -> None:
        tinted = self.canvas.copy()
        for side in range(4):
            fill_shape(tinted, corners[[0, 1 + side, 1 + (side + 1) % 4]], color)
        self.canvas[:] = (self.canvas * 0.75 + tinted * 0.25).astype(np.uint8)

    def finish(self) -> None:
        left, top = self.corner
        write_text(self.canvas, self.title, (10, 18), 10, TEXT)
        below = (left + self.size[0] / 2, top + self.size[1] + 32)
        write_text(self.picture, f"{self.names[0]} (world units)", below, 9, TEXT, "center")
        write_text(self.canvas, self.names[1], (10, self.size[1] - 10), 9, TEXT)


def _round_step(least: float) -> float:
    """The least of 1, 2, 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def _draw_legend(picture: np.ndarray, left: int, labels: tuple[str, str], has_points: bool) -> None:
    at = float(left)
    entries = list(zip(labels, (SOURCE, TARGET), strict=True))
    if has_points:
        entries.append(("tracked points", FAINT))
    for words, color in entries:
        draw_line(picture, np.array([[at, 18], [at + 20, 18]]), color, 2)
        write_text(picture, words, (at + 27, 22), 10, TEXT)
        at += 27 + text_size(words, 10)[0] + 26
    write_text(picture, "filled = first frame   ring = last frame", (picture.shape[1] - 16, 22), 9, FAINT, "right")
