"""Points on the surfaces of the scenes: queried as a tracker would, followed exactly, with exact visibility."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

from ..cameras import CameraPath
from ..tracks import PointTracks
from .ray_casting import View, cast, first_distance, of_surface, surface_frames
from .scene import Scene

_SURFACE_TOLERANCE = 4e-3  # a point counts as the first surface when it is not deeper than this share behind it


def follow_points(scene: Scene, surface: Tensor, local: Tensor, time: Tensor) -> Tensor:
    """World positions [B, T, N, 3] of surface points through time.

    Args:
        surface: [B, N] int64, which surface each point sits on.
        local: [B, N, 3] in that surface's frame.
        time: [B, T].
    """
    centre, rotation = surface_frames(scene, time)
    index = surface[:, None]
    turned = (of_surface(rotation, index) * local[:, None, :, None, :]).sum(-1)
    return turned + of_surface(centre, index)


def visible_points(
    scene: Scene, points: Tensor, world_from_camera: Tensor, intrinsics: Tensor, time: Tensor, width: int, height: int
) -> Tensor:
    """Which points [B, T, N, 3] the cameras [B, T, 4, 4] really see: inside the image and not behind a surface."""
    origin = world_from_camera[:, :, None, :3, 3].expand_as(points)
    camera = (points - origin) @ world_from_camera[..., :3, :3]
    pixel = camera @ intrinsics[:, None].transpose(-1, -2)
    depth = pixel[..., 2]
    xy = pixel[..., :2] / depth.clamp_min(1e-6)[..., None]
    inside = (depth > 0.05) & (xy >= 0).all(-1) & (xy[..., 0] < width) & (xy[..., 1] < height)
    reached, _ = first_distance(scene, origin, points - origin, time)
    return inside & (reached > 1 - _SURFACE_TOLERANCE)


def seed_points(view: View, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Random pixels of random frames, as a tracker queries: surface [B, N], local [B, N, 3], uint8 colour [B, N, 3]."""
    flat = rearrange(view.surface, "b t h w -> b (t h w)")
    picked = torch.randint(flat.shape[1], (len(flat), count), generator=generator).to(flat.device)
    at = lambda x: torch.take_along_dim(rearrange(x, "b t h w xyz -> b (t h w) xyz"), picked[..., None], 1)  # noqa: E731
    return torch.gather(flat, 1, picked), at(view.local), (at(view.rgb) * 255).round().to(torch.uint8)


def source_camera(world_from_camera: Tensor, intrinsics: Tensor, width: int, height: int, *, fps: float) -> CameraPath:
    """One scene camera [T, 4, 4] as a path whose world is its own first frame."""
    poses = world_from_camera.double().cpu()
    relative = torch.linalg.inv(poses[0]) @ poses
    return CameraPath(relative, intrinsics.double().cpu().expand(len(poses), 3, 3), width, height, fps)


def exact_tracks(
    scene: Scene,
    view: View,
    world_from_camera: Tensor,
    intrinsics: Tensor,
    time: Tensor,
    *,
    points: int,
    seed: int,
    fps: float = 16.0,
) -> list[PointTracks]:
    """The tracks a perfect tracker would report for each of the B clips.

    Args:
        view: what `render` gave for the same cameras.
        world_from_camera: [B, T, 4, 4] source cameras in the scene's world; the result's world is the first of them.
        intrinsics: [B, 3, 3] pixels of the view.
    """
    generator = torch.Generator().manual_seed(seed)
    height, width = view.surface.shape[2:]
    surface, local, colour = seed_points(view, points, generator)
    positions = follow_points(scene, surface, local, time)
    visible = visible_points(scene, positions, world_from_camera, intrinsics, time, width, height)
    camera_from_world = torch.linalg.inv(world_from_camera[:, :1].double())
    moved = positions.double() @ camera_from_world[..., :3, :3].transpose(-1, -2) + camera_from_world[..., None, :3, 3]
    return [
        PointTracks(
            positions=moved[b].float().cpu(),
            visible=visible[b].cpu(),
            confidence=torch.ones(visible[b].shape),
            camera=source_camera(world_from_camera[b], intrinsics[b], width, height, fps=fps),
            colors=colour[b].cpu(),
        )
        for b in range(len(scene))
    ]


def query_points(
    scene: Scene,
    world_from_camera: Tensor,  # [B, T, 4, 4]
    intrinsics: Tensor,  # [B, 3, 3] pixels
    time: Tensor,  # [B, T]
    width: int,
    height: int,
    count: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Surface [B, N] and local [B, N, 3] of the points at N pixel centres, as `seed_points` draws them from a view.

    Only those rays are cast, so no picture is needed.
    """
    pixels = width * height
    picked = torch.randint(time.shape[1] * pixels, (len(scene), count), generator=generator).to(time.device)
    frame, x, y = picked // pixels, picked % width, picked % pixels // width
    pose = torch.take_along_dim(world_from_camera, frame[..., None, None], 1)
    pixel = torch.stack([x + 0.5, y + 0.5, torch.ones_like(x)], -1).to(world_from_camera.dtype)
    camera_ray = pixel @ torch.linalg.inv(intrinsics.to(pixel.dtype)).transpose(-1, -2)
    direction = (pose[..., :3, :3] @ camera_ray[..., None])[..., 0]
    # Each query is a "frame" of one ray, since each has a time of its own.
    hits = cast(scene, pose[..., None, :3, 3], direction[:, :, None], torch.gather(time, 1, frame))
    return hits.surface[..., 0], hits.local[..., 0, :]
