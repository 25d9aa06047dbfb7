"""One scene made by hand, to look at: a room with things that stand in it, and a figure that walks across the floor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..cameras.rotations import rotation_exponential
from .scene import WAVES, Scene

Vector = tuple[float, float, float]

ROOM: Vector = (3.4, 1.6, 3.6)
"""Half extents in metres; the floor is at y = 1.6."""
WALK: Vector = (1.55, 0.0, -0.5)
"""What the figure walks from the first frame to the last, in metres."""


@dataclass(frozen=True)
class _Look:
    """A solid texture: two plane waves mix the first two colours, two more cross them with the third, one dots it."""

    colours: tuple[Vector, Vector, Vector, Vector]
    wavelengths: tuple[float, float, float, float, float]  # metres
    directions: tuple[Vector, Vector, Vector, Vector, Vector]
    sharpness: tuple[float, float]
    mix: tuple[float, float]


@dataclass(frozen=True)
class _Thing:
    size: Vector  # half axes in metres
    place: tuple[float, float]  # x and z of its centre
    above: float  # metres of its lowest point over the floor
    look: _Look
    round: bool = False
    turned: float = 0.0  # degrees about the vertical
    walks: bool = False


_GRID = ((1.0, 0.0, 0.15), (0.1, 1.0, 0.1), (0.7, 0.1, 0.7), (-0.6, 0.3, 0.75), (0.5, 0.8, -0.3))
_PAPER = ((1.0, 0.0, 0.55), (0.0, 1.0, 0.25), (0.8, 0.5, 0.3), (0.5, -0.8, 0.4), (0.7, 0.6, 0.5))
_BANDS = ((0.0, 1.0, 0.0), (0.2, 1.0, 0.1), (1.0, 0.2, 0.3), (-0.3, 0.2, 1.0), (0.6, 0.5, 0.6))
_CHECKS = ((1.0, 0.3, 0.0), (0.0, 0.3, 1.0), (0.7, 0.7, 0.0), (0.0, 0.7, 0.7), (0.4, -0.6, 0.7))

_WALLS = _Look(
    ((0.84, 0.78, 0.67), (0.66, 0.55, 0.43), (0.47, 0.36, 0.28), (0.30, 0.43, 0.45)),
    (0.62, 0.50, 0.21, 0.17, 0.74), _PAPER, (3.4, 2.2), (0.55, 0.7),
)  # fmt: skip
_COAT = _Look(
    ((0.78, 0.24, 0.17), (0.52, 0.10, 0.12), (0.94, 0.72, 0.30), (0.96, 0.90, 0.78)),
    (0.30, 0.21, 0.14, 0.12, 0.17), _BANDS, (2.2, 1.4), (0.7, 0.6),
)  # fmt: skip
_SKIN = _Look(
    ((0.93, 0.76, 0.62), (0.80, 0.58, 0.44), (0.35, 0.22, 0.16), (0.25, 0.16, 0.12)),
    (0.26, 0.22, 0.13, 0.12, 0.15), _CHECKS, (1.2, 1.2), (0.6, 0.7),
)  # fmt: skip
_WOOD = _Look(
    ((0.55, 0.37, 0.22), (0.38, 0.24, 0.14), (0.70, 0.53, 0.34), (0.22, 0.14, 0.09)),
    (0.26, 0.60, 0.34, 0.22, 0.37), _BANDS, (3.2, 1.6), (0.6, 0.55),
)  # fmt: skip
_TILE = _Look(
    ((0.16, 0.40, 0.46), (0.82, 0.86, 0.80), (0.10, 0.24, 0.33), (0.90, 0.66, 0.28)),
    (0.36, 0.36, 0.18, 0.16, 0.22), _CHECKS, (4.0, 1.6), (0.6, 0.6),
)  # fmt: skip
_BALL = _Look(
    ((0.92, 0.70, 0.22), (0.24, 0.30, 0.52), (0.95, 0.92, 0.84), (0.70, 0.22, 0.20)),
    (0.34, 0.27, 0.19, 0.17, 0.21), _GRID, (4.0, 1.5), (0.55, 0.7),
)  # fmt: skip

THINGS = (
    _Thing((0.26, 0.52, 0.17), (-1.15, 0.9), 0.0, _COAT, walks=True),
    _Thing((0.17, 0.21, 0.17), (-1.15, 0.9), 1.02, _SKIN, round=True, walks=True),
    _Thing((0.62, 0.85, 0.32), (-1.75, 2.35), 0.0, _WOOD, turned=-18.0),
    _Thing((0.55, 0.27, 0.40), (1.45, 0.25), 0.0, _TILE, turned=24.0),
    _Thing((0.40, 0.40, 0.40), (0.55, 2.1), 0.0, _BALL, round=True),
    _Thing((0.20, 1.60, 0.20), (1.75, 1.75), 0.0, _WOOD, turned=12.0),
)


def furnished_room() -> Scene:
    """The scene, as a batch of one."""
    looks = [_WALLS, *(thing.look for thing in THINGS)]
    directions = torch.nn.functional.normalize(torch.tensor([look.directions for look in looks]), dim=-1)
    wavelengths = torch.tensor([look.wavelengths for look in looks])
    generator = torch.Generator().manual_seed(1)
    still = torch.zeros(1, len(THINGS), 3)
    turned = torch.tensor([[0.0, math.radians(thing.turned), 0.0] for thing in THINGS])
    centres = [(thing.place[0], ROOM[1] - thing.above - thing.size[1], thing.place[1]) for thing in THINGS]
    return Scene(
        room=torch.tensor([ROOM]),
        centre=torch.tensor([centres]),
        size=torch.tensor([[thing.size for thing in THINGS]]),
        is_ellipsoid=torch.tensor([[thing.round for thing in THINGS]]),
        velocity=torch.tensor([[WALK if thing.walks else (0.0, 0.0, 0.0) for thing in THINGS]]),
        sway=still,
        sway_phase=still,
        rotation=rotation_exponential(turned)[None],
        spin=still,
        wave=(directions * (2 * math.pi / wavelengths)[..., None])[None],
        wave_phase=torch.rand(1, len(looks), WAVES, generator=generator) * 2 * math.pi,
        colour=torch.tensor([[look.colours for look in looks]]),
        sharpness=torch.tensor([[look.sharpness for look in looks]]),
        mix=torch.tensor([[look.mix for look in looks]]),
        wall_tint=torch.tensor([[0.92, 0.84, 0.72, 1.0, 0.80, 0.97]])[..., None].expand(1, 6, 3).clone(),
        light=torch.nn.functional.normalize(torch.tensor([[-0.4, -0.8, -0.45]]), dim=-1),
    )
