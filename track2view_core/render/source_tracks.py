"""What the dense analysis reads of tracks: where they are in the source view, how far, and which of them move."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch

from ..cameras import CameraPath, project
from ..tracks import PairedTracks, PointTracks

SAME = 1e-5
"""A world point that stays within this share of its depth stands."""
MOST_FRAMES, MISSES = 0.95, 1.2 / 832
"""One that wanders stands as well if a fixed place explains it to this share of the longer side in so many of its
frames: trackers that place every frame by itself tremble."""
NEAREST = 1e-6
_SAME_PIXEL, _SAME_DEPTH, _ROUNDED = 0.02, 1e-3, 1e-3
"""Pixels, share of the depth and share of all sights within which two sets of tracks are one."""


@dataclass(frozen=True, eq=False)
class SourceTracks:
    """N tracks in the source view of T frames, in pixels of the pictures that are analysed."""

    xy: np.ndarray  # [T, N, 2] float32, pixels; the centre of pixel (i, j) is (j + 0.5, i + 0.5)
    inverse: np.ndarray  # [T, N] float32, 1 / camera z in the tracks' units
    seen: np.ndarray  # [T, N] bool, visible, inside and in front of the camera
    moving: np.ndarray  # [N] bool, the world point changes its place
    camera: CameraPath  # the source camera, at the size of the pictures

    @classmethod
    def of(cls, tracks: PointTracks | PairedTracks, width: int, height: int) -> SourceTracks:
        if isinstance(tracks, PairedTracks):
            camera, view, visible = tracks.source_camera, tracks.source, tracks.visible
        else:
            camera, view, visible = tracks.camera, project(tracks.camera, tracks.positions), tracks.visible
        xy = view.xy.cpu() * torch.tensor([width / camera.width, height / camera.height])
        depth = view.depth.cpu()
        camera = camera.resized(width, height).to("cpu")
        seen = visible.cpu() & view.inside.cpu() & (depth > NEAREST)
        world = _world(camera, xy, depth)
        place = _usual(camera, world, seen)
        fixed = project(camera, place.expand_as(world).float())
        off = (world - place).norm(dim=-1) > SAME * depth.abs()
        missed = torch.where(seen, (fixed.xy - xy).norm(dim=-1), torch.nan)
        explained = missed.nanquantile(MOST_FRAMES, dim=0) < MISSES * max(width, height)
        moving = (off & seen).any(0) & ~explained
        depth = torch.where(moving, depth, fixed.depth)
        return cls(
            torch.where(moving[:, None], xy, fixed.xy).numpy(),
            (1 / depth.clamp(min=NEAREST)).numpy(),
            seen.numpy(),
            moving.numpy(),
            camera,
        )._of_a_scene()

    def shots(self) -> tuple[slice, ...]:
        """The frames between cuts, in order, all T of them: no track is seen on both sides of a cut."""
        earlier = np.logical_or.accumulate(self.seen)
        later = np.logical_or.accumulate(self.seen[::-1])[::-1]
        cut = ~(earlier[:-1] & later[1:]).any(1) & earlier[:-1].any(1) & self.seen[1:].any(1)
        edges = [0, *(np.flatnonzero(cut) + 1).tolist(), len(self.seen)]
        return tuple(slice(start, stop) for start, stop in pairwise(edges))

    def agrees(self, other: SourceTracks, *, movers: bool) -> bool:
        """Whether both are the same but for the rounding of a way through another size; `movers`: in their depth, too.

        By that rounding a track at the very edge of the picture may count as seen in one of them.
        """
        if self.xy.shape != other.xy.shape or (self.moving != other.moving).any():
            return False
        both = self.seen & other.seen
        if (self.seen != other.seen).mean() > _ROUNDED or not self._same_camera(other.camera):
            return False
        told = both if movers else both & ~self.moving
        near = np.abs(self.inverse - other.inverse) <= _SAME_DEPTH * self.inverse
        moved = np.abs(self.xy - other.xy).max(axis=-1)
        return bool(near[told].all() and (moved[both] <= _SAME_PIXEL).all())

    def _same_camera(self, other: CameraPath) -> bool:
        pairs = ((self.camera.world_from_camera, other.world_from_camera), (self.camera.intrinsics, other.intrinsics))
        return all(torch.allclose(own, its, rtol=1e-4, atol=1e-6) for own, its in pairs)

    def frames(self, span: slice) -> SourceTracks:
        """Some of the frames, of all tracks."""
        camera = self.camera.with_frames(span)
        part = replace(self, xy=self.xy[span], inverse=self.inverse[span], seen=self.seen[span], camera=camera)
        return part._of_a_scene()

    def _of_a_scene(self) -> SourceTracks:
        """The tracks themselves, or where all that are seen move, with nothing to tell it from: all of them the scene,
        anew in every frame."""
        return self if (self.seen & ~self.moving).any() else replace(self, moving=np.zeros_like(self.moving))


def _usual(camera: CameraPath, world: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """One place [N, 3] for each of the points [T, N, 3]: on its ray in the middle one of the frames that show it, at
    the median of the depths that all of them tell."""
    each = torch.arange(world.shape[1])
    middle = (seen.cumsum(0) * 2 >= seen.sum(0)).byte().argmax(0)
    pose = camera.world_from_camera[middle]  # [N, 4, 4]
    depth = torch.einsum("tni,ni->tn", world - pose[:, :3, 3], pose[:, :3, 2])
    told = torch.where(seen | ~seen.any(0), depth, torch.nan).nanquantile(0.5, dim=0)
    away = world[middle, each] - pose[:, :3, 3]
    return pose[:, :3, 3] + away * (told / depth[middle, each])[:, None]


def _world(camera: CameraPath, xy: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
    """World points [T, N, 3] float64 at pixels [T, N, 2] and depth [T, N]."""
    homogeneous = torch.cat([xy.double(), torch.ones_like(xy[..., :1], dtype=torch.float64)], -1)
    local = homogeneous @ torch.linalg.inv(camera.intrinsics).transpose(-1, -2) * depth[..., None].double()
    pose = camera.world_from_camera
    return local @ pose[:, :3, :3].transpose(-1, -2) + pose[:, None, :3, 3]
