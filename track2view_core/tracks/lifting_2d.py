"""2D tracks of any tracker lifted to 3D by a camera path and depth, with the built-in tracker's own mathematics."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..cameras import CameraPath, project
from ..errors import Track2ViewError
from .exchange_2d import FlatTracks
from .trackers.bundle_adjustment import Cameras
from .trackers.depth import sample_inverse_depth
from .trackers.flow import PixelTracks
from .trackers.lifting import Lifted, lift_travelling, lift_turning
from .trackers.visibility import sample_colours
from .types import PointTracks

STANDS_STILL = 1e-6
"""World units that the camera may wander and still be one that stands or only turns."""


def lift_tracks(
    tracks: FlatTracks,
    *,
    camera: CameraPath,
    depth: Tensor | np.ndarray | None = None,  # [T, h, w]
    video: Tensor | np.ndarray | None = None,  # [T, H, W, 3] uint8
) -> PointTracks:
    """3D tracks of 2D ones, in their order, without those that fit neither a standing nor a moving point.

    Parallax places standing points before a travelling camera; depth, fitted to them frame by frame in inverse depth,
    places the others. Before a camera that stands or only turns all depth is the maps', or without maps a ground ramp,
    which the notes say. Moving points keep their 2D places exactly, standing ones within the tracker's error.

    Args:
        camera: the source camera at the size whose pixels the tracks are in.
        depth: one map a frame, any resolution and scale, NaN where unknown.
        video: the frames, for the points' colours.

    Raises:
        Track2ViewError: tracks, camera, depth and video are of different lengths, or no track could be placed.
    """
    frames = len(tracks)
    for name, value in (("camera", camera), ("depth", depth), ("video", video)):
        if value is not None and len(value) != frames:
            raise Track2ViewError(
                f"The 2D tracks have {frames} frames and {name} has {len(value)}; give both of the same clip."
            )
    camera = camera.relative_to_first().to("cpu")
    flow, cameras = _ideal(tracks, camera)
    lifted = _lifted(flow, cameras, depth, tracks.xy, camera.width, camera.height)
    kept = np.flatnonzero(lifted.kept)
    if not len(kept):
        raise Track2ViewError(
            f"None of the {flow.seen.shape[1]} 2D tracks could be placed in space; check that camera and tracks belong "
            "to one clip, and that tracks are visible in at least two frames."
        )
    lifted, index = lifted.select(kept), torch.from_numpy(kept)
    positions = torch.from_numpy(lifted.positions).float()
    visible = torch.from_numpy(flow.seen[:, kept])
    quality = torch.from_numpy(np.exp(-0.5 * lifted.error) * np.where(lifted.guessed, 0.5, 1.0)).float()
    return PointTracks(
        positions,
        visible & project(camera, positions).inside,
        (quality * torch.where(visible, 1.0, 0.5)).clamp(0, 1),
        camera,
        None if video is None else _colours(video, tracks.xy[:, index], flow.seen[:, kept], camera),
        _notes(lifted, flow.seen.shape[1], depth is not None),
    )


def _ideal(tracks: FlatTracks, camera: CameraPath) -> tuple[PixelTracks, Cameras]:
    """The tracks as a camera with square pixels and a centred principal point would have seen them, and that camera."""
    lens, pose = camera.intrinsics.numpy(), camera.camera_from_world.numpy()
    focal = np.stack([lens[:, 0, 0], lens[:, 1, 1]], 1)[:, None]
    offset = np.stack([lens[:, 0, 2], lens[:, 1, 2]], 1)[:, None]
    center = np.array([camera.width / 2, camera.height / 2])
    xy = tracks.xy.to("cpu", torch.float64).numpy()
    inside = (xy >= 0).all(-1) & (xy[..., 0] < camera.width) & (xy[..., 1] < camera.height)
    one_focal = focal.mean(2, keepdims=True)
    flow = PixelTracks((xy - offset) / focal * one_focal + center, tracks.visible.cpu().numpy() & inside)
    return flow, Cameras(pose[:, :3, :3].copy(), pose[:, :3, 3].copy(), one_focal[:, 0, 0], center)


def _lifted(
    flow: PixelTracks, cameras: Cameras, depth: Tensor | np.ndarray | None, xy: Tensor, width: int, height: int
) -> Lifted:
    measured = None
    if depth is not None:
        maps = np.asarray(torch.as_tensor(depth).cpu(), np.float32)
        measured = sample_inverse_depth(maps, xy.cpu().numpy(), flow.seen, width, height)
        if flow.seen.any() and not np.isfinite(measured).any():
            raise Track2ViewError("The depth maps hold no positive finite depth at any 2D track; give other depth.")
    limit = max(1.0, 0.0012 * max(width, height))
    centers = cameras.centers()
    if np.abs(centers - centers[0]).max() <= STANDS_STILL:
        return lift_turning(flow, cameras, measured, limit=limit, height=height)
    everywhere = np.ones(len(flow.seen), bool)
    return lift_travelling(flow, cameras, everywhere, measured, limit=limit, height=height)


def _colours(video: Tensor | np.ndarray, xy: Tensor, seen: np.ndarray, camera: CameraPath) -> Tensor:
    frames = torch.as_tensor(video).cpu().numpy()
    born = seen.argmax(0)
    scale = np.array([frames.shape[2] / camera.width, frames.shape[1] / camera.height])
    places = xy.numpy()[born, np.arange(len(born))] * scale
    return torch.from_numpy(sample_colours(frames, places, born).round().clip(0, 255).astype(np.uint8))


def _notes(lifted: Lifted, given: int, by_maps: bool) -> tuple[str, ...]:
    kept = len(lifted.kept)
    notes = [f"{kept} of {given} 2D tracks lifted, {int(lifted.moving.sum())} of them moving"]
    if lifted.guessed.any():
        notes.append(
            f"WARNING: the depth of {int(lifted.guessed.sum())} tracks is only a ground ramp (far at the top, near at "
            "the bottom); give depth for their true depth"
        )
    elif by_maps:
        notes.append("depth maps aligned in inverse depth")
    return tuple(notes)
