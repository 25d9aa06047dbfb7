"""Ray casting against the closed-form scenes: colour, depth, and which surface point every pixel shows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from torch import Tensor

from .scene import Scene

_NEAREST = 1e-3  # objects closer than this to the camera are not hit


@dataclass(frozen=True, eq=False)
class View:
    """What B cameras see over T frames."""

    rgb: Tensor  # [B, T, H, W, 3] 0..1
    depth: Tensor  # [B, T, H, W] camera z at the pixel's centre
    surface: Tensor  # [B, T, H, W] int64, 0 = room, k = object k
    local: Tensor  # [B, T, H, W, 3] the hit point in the surface's own frame (the world for the room)

    def frames(self, index: int = 0) -> Tensor:
        """Clip `index` as uint8 [T, H, W, 3]."""
        return (self.rgb[index].clamp(0, 1) * 255).round().to(torch.uint8)


@dataclass(frozen=True, eq=False)
class Hits:
    """First surface along every ray; with directions of camera z = 1, `distance` is the depth."""

    distance: Tensor  # [B, T, R]
    surface: Tensor  # [B, T, R] int64
    local: Tensor  # [B, T, R, 3]
    normal: Tensor  # [B, T, R, 3] world


def pixel_rays(
    world_from_camera: Tensor, intrinsics: Tensor, width: int, height: int, supersample: int = 1
) -> tuple[Tensor, Tensor]:
    """Origins and directions [B, T, R, 3] through the centres of all (sub)pixels, row by row; camera z is 1.

    Args:
        world_from_camera: [B, T, 4, 4].
        intrinsics: [B, 3, 3] pixels of width x height.
    """
    device, dtype = world_from_camera.device, world_from_camera.dtype
    ys = (torch.arange(height * supersample, device=device, dtype=dtype) + 0.5) / supersample
    xs = (torch.arange(width * supersample, device=device, dtype=dtype) + 0.5) / supersample
    y, x = torch.meshgrid(ys, xs, indexing="ij")
    pixels = rearrange([x, y, torch.ones_like(x)], "xyz h w -> (h w) xyz")
    camera_rays = pixels @ torch.linalg.inv(intrinsics.to(dtype)).transpose(-1, -2)  # [B, R, 3]
    directions = camera_rays[:, None] @ world_from_camera[..., :3, :3].transpose(-1, -2)
    return world_from_camera[..., None, :3, 3].expand_as(directions), directions


def _nonzero(x: Tensor) -> Tensor:
    return torch.where(x.abs() < 1e-6, torch.full_like(x, 1e-6), x)


def _hit_ellipsoid(origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    a, b = (direction * direction).sum(-1), (origin * direction).sum(-1)
    discriminant = b * b - a * ((origin * origin).sum(-1) - 1)
    distance = (-b - discriminant.clamp_min(1e-12).sqrt()) / a
    return distance, (discriminant > 0) & (distance > _NEAREST)


def _hit_box(origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    inverse = 1.0 / _nonzero(direction)
    enter = ((-direction.sign() - origin) * inverse).amax(-1)
    leave = ((direction.sign() - origin) * inverse).amin(-1)
    return enter, (leave > enter) & (enter > _NEAREST)


def first_distance(scene: Scene, origin: Tensor, direction: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
    """Distance [B, T, R] to the first surface along each ray, and which one it is (0 = room)."""
    centre, rotation = scene.object_poses(time)
    room = scene.room[:, None, None]
    nearest = ((room * direction.sign() - origin) / _nonzero(direction)).amin(-1)
    surface = torch.zeros(nearest.shape, dtype=torch.long, device=nearest.device)
    for k in range(centre.shape[2]):
        to_unit = rotation[:, :, k] / scene.size[:, None, k, None, :]  # rows @ this: world -> the object's unit shape
        o, d = (origin - centre[:, :, None, k]) @ to_unit, direction @ to_unit
        ellipsoid, box = _hit_ellipsoid(o, d), _hit_box(o, d)
        kind = scene.is_ellipsoid[:, k, None, None]
        distance = torch.where(kind, ellipsoid[0], box[0])
        closer = torch.where(kind, ellipsoid[1], box[1]) & (distance < nearest)
        nearest = torch.where(closer, distance, nearest)
        surface = torch.where(closer, k + 1, surface)
    return nearest, surface


def cast(scene: Scene, origin: Tensor, direction: Tensor, time: Tensor) -> Hits:
    """Full hits of rays [B, T, R, 3] at times [B, T]."""
    distance, surface = first_distance(scene, origin, direction, time)
    centre, rotation = surface_frames(scene, time)
    size = F.pad(scene.size, (0, 0, 1, 0), value=1.0)[:, None]
    at = partial(of_surface, surface=surface)
    point, frame = origin + distance[..., None] * direction, at(rotation)
    # One small matrix a ray: products and sums, which a card runs many times faster than millions of matrix products.
    local = ((point - at(centre))[..., None] * frame).sum(-2)
    unit = torch.where((surface == 0)[..., None], point / scene.room[:, None, None], local / at(size))
    facet = F.one_hot(unit.abs().argmax(-1), 3).to(unit.dtype) * unit.sign()
    round_shape = F.pad(scene.is_ellipsoid, (1, 0))[:, None]
    smooth = F.normalize(unit / at(size), dim=-1)
    normal = torch.where(at(round_shape)[..., None], smooth, facet)
    normal = torch.where((surface == 0)[..., None], -facet, (frame * normal[..., None, :]).sum(-1))
    return Hits(distance, surface, local, normal)


def surface_frames(scene: Scene, time: Tensor) -> tuple[Tensor, Tensor]:
    """Origin [B, T, K+1, 3] and world_from_surface rotation [B, T, K+1, 3, 3] of every surface, the room first."""
    centre, rotation = scene.object_poses(time)
    identity = torch.eye(3, device=centre.device).expand(*rotation.shape[:2], 1, 3, 3)
    return torch.cat([torch.zeros_like(centre[:, :, :1]), centre], 2), torch.cat([identity, rotation], 2)


def of_surface(values: Tensor, surface: Tensor) -> Tensor:
    """values [B, T, K+1, ...] of every surface, at surface [B, T, R] -> [B, T, R, ...]; the T of either may be 1."""
    flat = values.reshape(*values.shape[:3], -1)  # gathering along the last but one axis is a third faster
    taken = torch.take_along_dim(flat, surface[..., None], 2)
    return taken.reshape(*taken.shape[:3], *values.shape[3:])


def shade(scene: Scene, hits: Hits) -> Tensor:
    """Colours [B, T, R, 3] of the hits: a solid texture of plane waves, tinted walls, softly lit objects."""
    surface = hits.surface
    at = lambda x: of_surface(x[:, None], surface)  # noqa: E731
    angle = (at(scene.wave) * hits.local[..., None, :]).sum(-1) + at(scene.wave_phase)
    s = torch.sin(angle)
    sharpness, mix, colour = at(scene.sharpness), at(scene.mix), at(scene.colour)
    base = torch.sigmoid(2.5 * sharpness[..., 0] * (0.6 * s[..., 0] + 0.5 * s[..., 1]))[..., None]
    cross = (0.5 + 0.5 * torch.tanh(1.5 * sharpness[..., 1] * s[..., 2] * s[..., 3]))[..., None] * mix[..., :1]
    spots = torch.sigmoid(6 * (s[..., 4] + 0.5 * s[..., 0] - 0.9))[..., None] * mix[..., 1:]
    rgb = torch.lerp(colour[..., 0, :], colour[..., 1, :], base)
    rgb = torch.lerp(torch.lerp(rgb, colour[..., 2, :], cross), colour[..., 3, :], spots)
    axis = hits.normal.abs().argmax(-1, keepdim=True)
    wall = (2 * axis + (torch.gather(hits.normal, -1, axis) > 0)).squeeze(-1).clamp_max(5)
    tint = of_surface(scene.wall_tint[:, None], wall)
    lit = 0.8 + 0.2 * (hits.normal * scene.light[:, None, None]).sum(-1, keepdim=True)
    return (rgb * torch.where((surface == 0)[..., None], tint, lit)).clamp(0, 1)


def render(
    scene: Scene,
    world_from_camera: Tensor,
    intrinsics: Tensor,
    time: Tensor,
    width: int,
    height: int,
    supersample: int = 1,
) -> View:
    """Render B scenes from B camera paths.

    Args:
        world_from_camera: [B, T, 4, 4], OpenCV axes, in the scene's world.
        intrinsics: [B, 3, 3] pixels of width x height.
        time: [B, T] in 0..1.
        supersample: rays a pixel along each axis; colours are averaged, geometry is the pixel centre's.
    """
    on_grid = partial(rearrange, pattern="b t (h w) ... -> b t h w ...", h=height)
    hits = cast(scene, *pixel_rays(world_from_camera, intrinsics, width, height), time)
    if supersample == 1:
        rgb = on_grid(shade(scene, hits))
    else:
        fine = cast(scene, *pixel_rays(world_from_camera, intrinsics, width, height, supersample), time)
        s = supersample
        rgb = reduce(shade(scene, fine), "b t (h i w j) rgb -> b t h w rgb", "mean", h=height, i=s, j=s)
    return View(rgb, on_grid(hits.distance), on_grid(hits.surface), on_grid(hits.local))
