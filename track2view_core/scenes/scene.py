"""A batch of procedural scenes: a textured room holding moving ellipsoids and boxes, all in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

import torch
from torch import Tensor

from ..cameras.rotations import rotation_exponential
from ..errors import Track2ViewError

WAVES = 5  # plane waves mixed into one solid texture
Texture = Literal["smooth", "detailed"]


@dataclass(frozen=True, eq=False)
class Scene:
    """B scenes. Slot 0 of every texture tensor is the room, slots 1..K are the objects.

    World axes are OpenCV's (x right, y down, z forward), the room is centred on the origin, lengths are metres.
    Time runs from 0 (first frame) to 1 (last frame).
    """

    room: Tensor  # [B, 3] half extents
    centre: Tensor  # [B, K, 3] at time 0
    size: Tensor  # [B, K, 3] half axes
    is_ellipsoid: Tensor  # [B, K] bool; the others are boxes
    velocity: Tensor  # [B, K, 3] world units per unit of time
    sway: Tensor  # [B, K, 3] amplitude of a sine on top of the velocity
    sway_phase: Tensor  # [B, K, 3] radians
    rotation: Tensor  # [B, K, 3, 3] world from object at time 0
    spin: Tensor  # [B, K, 3] axis-angle per unit of time, in the object's frame
    wave: Tensor  # [B, K+1, WAVES, 3] angular wave vectors of the solid texture
    wave_phase: Tensor  # [B, K+1, WAVES]
    colour: Tensor  # [B, K+1, 4, 3] 0..1
    sharpness: Tensor  # [B, K+1, 2]
    mix: Tensor  # [B, K+1, 2]
    wall_tint: Tensor  # [B, 6, 3] one factor a wall
    light: Tensor  # [B, 3] unit direction

    def __len__(self) -> int:
        return len(self.room)

    def __getitem__(self, index: slice | Tensor | list[int]) -> Scene:
        """Some of the scenes, still as a batch."""
        return Scene(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def to(self, device: torch.device | str) -> Scene:
        return Scene(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})

    def object_poses(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Poses of the objects at some times.

        Args:
            time: [B, T] in 0..1.

        Returns:
            centre [B, T, K, 3] and world_from_object rotation [B, T, K, 3, 3].
        """
        t = time[:, :, None, None]
        phase = self.sway_phase[:, None]
        sway = self.sway[:, None] * (torch.sin(2 * math.pi * t + phase) - torch.sin(phase))
        centre = self.centre[:, None] + self.velocity[:, None] * t + sway
        return centre, self.rotation[:, None] @ rotation_exponential(self.spin[:, None] * t)


def random_scenes(
    count: int,
    *,
    seed: int,
    texture: Texture = "smooth",
    dynamic: float = 0.6,
    objects: int = 6,
    device: torch.device | str = "cpu",
) -> Scene:
    """Draw `count` scenes; the same seed gives the same scenes on every device.

    Args:
        texture: "smooth" suits small models, "detailed" gives a tracker corners to hold on to.
        dynamic: share of scenes in which objects move.
    """
    if texture not in ("smooth", "detailed"):
        raise Track2ViewError(f"texture is {texture!r}; it must be 'smooth' or 'detailed'.")
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator) * (high - low) + low

    def normal(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=generator)

    size = uniform(0.22, 0.62, objects, 3)
    centre = torch.stack([uniform(-1.7, 1.7, objects), uniform(-1.0, 1.1, objects), uniform(-0.6, 2.6, objects)], -1)
    absent = uniform(0, 1, objects) < 0.2
    absent[:, :2] = False
    centre = torch.where(absent[..., None], torch.full_like(centre, 50.0), centre)  # far outside the room's walls
    moves = ((uniform(0, 1, 1) < dynamic) & (uniform(0, 1, objects) < 0.7) & ~absent)[..., None].float()
    direction = torch.nn.functional.normalize(normal(objects + 1, WAVES, 3), dim=-1)
    wavelength = uniform(0.7, 2.2, objects + 1, WAVES)
    wavelength[:, 1:] *= 0.45  # objects are small
    sharpness, mix = torch.exp(uniform(-0.2, 2.2, objects + 1, 2)), uniform(0.2, 1.0, objects + 1, 2)
    if texture == "smooth":
        wavelength, sharpness = wavelength * 2.5, sharpness.clamp(max=3.0) * 0.45
        mix = mix * torch.tensor([0.6, 0.5])
    else:
        wavelength = wavelength * torch.tensor([1.0, 0.8, 0.55, 0.45, 0.3])
    return Scene(
        room=torch.stack([uniform(2.6, 4.0), uniform(1.5, 2.2), uniform(3.2, 4.2)], -1),
        centre=centre,
        size=0.5 * size + 0.5 * size.mean(-1, keepdim=True),
        is_ellipsoid=uniform(0, 1, objects) < 0.5,
        velocity=uniform(-0.9, 0.9, objects, 3) * moves * torch.tensor([1.0, 0.5, 1.0]),
        sway=uniform(-0.2, 0.2, objects, 3) * moves,
        sway_phase=uniform(0, 2 * math.pi, objects, 3),
        rotation=rotation_exponential(normal(objects, 3)),
        spin=normal(objects, 3) * 0.9 * moves,
        wave=direction * (2 * math.pi / wavelength)[..., None],
        wave_phase=uniform(0, 2 * math.pi, objects + 1, WAVES),
        colour=uniform(0.03, 0.97, objects + 1, 4, 3),
        sharpness=sharpness,
        mix=mix,
        wall_tint=uniform(0.55, 1.0, 6, 3),
        light=torch.nn.functional.normalize(normal(3), dim=-1),
    ).to(device)
