"""Seeded random documents and clips, among them the awkward ones: repeated places, turns of half a circle and more."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import torch

from track2view_core.cameras import CameraPath, Keyframe, Orbit, PathDocument
from track2view_core.cameras.keyframes.documents import KEY_EASES
from track2view_core.cameras.rotations import matrix_from_axis_angle, rigid

EASES = ["smooth", *KEY_EASES]  # smooth twice as often, that smooth segments meet

Vector = tuple[float, float, float]


def random_document(random: Random) -> PathDocument:
    frames = random.choice([1, 2, 5, 17, 81, 121])
    count = min(random.randrange(8), frames)
    subject = None
    if random.random() < 0.4:
        subject = tuple((20 + random.uniform(-1, 1), 0.3 * frame, 20.0) for frame in range(frames))
    times = sorted(random.sample(range(frames), count))
    # some keys between frames; the order stays
    times = [time + random.choice([0, 0, 0.37]) if time < frames - 1 else time for time in times]
    keys: list[Keyframe] = []
    for time in times:
        keys.append(_key(random, time, subject is not None, keys[-1] if keys else None))
    return PathDocument(
        frames,
        tuple(keys),
        fps=random.choice([16.0, 24.0, 23.976, 29.97]),
        aspect=random.choice([None, (832, 480), (480, 832)]),
        base=random.choice(["source", "first_frame"]),
        position_interpolation=random.choice(["catmull_rom", "linear"]),
        orientation_interpolation=random.choice(["squad", "slerp"]),
        subject=subject,
    )


def _key(random: Random, time: float, subject: bool, before: Keyframe | None) -> Keyframe:
    values: dict[str, Any] = {}
    if random.random() < 0.4:
        values["orbit"] = Orbit(
            azimuth=random.uniform(-500, 500),
            elevation=random.uniform(-89, 89),
            distance=random.choice([1.0, random.uniform(1e-3, 5)]),
            target="subject" if subject and random.random() < 0.5 else _vector(random),
        )
    elif before is not None and before.position is not None and random.random() < 0.2:
        values["position"] = before.position
    else:
        values["position"] = _vector(random)
    if random.random() < 0.5:
        values["quaternion"] = _quaternion(random, before)
    else:
        x, y, z = _vector(random)
        values["look_at"] = "subject" if subject and random.random() < 0.5 else (x + 30, y, z)
    roll = random.choice([0.0, random.uniform(-400, 400)])
    return Keyframe(time, **values, roll=roll, focal=random.uniform(0.3, 4), ease=random.choice(EASES))


def _vector(random: Random) -> Vector:
    return (random.uniform(-3, 3), random.choice([0.0, random.uniform(-3, 3)]), random.uniform(-3, 3) * 1e-5)


def _quaternion(random: Random, before: Keyframe | None) -> tuple[float, float, float, float]:
    if before is not None and before.quaternion is not None and random.random() < 0.3:
        w, x, y, z = before.quaternion
        return random.choice([(w, x, y, z), (-w, -x, -y, -z), (-x, w, -z, y)])  # none, none, half a turn
    parts = [random.gauss(0, 1) for _ in range(4)]
    length = math.sqrt(sum(part * part for part in parts))
    return (parts[0] / length, parts[1] / length, parts[2] / length, parts[3] / length)


def random_source(seed: int, frames: int) -> CameraPath:
    """A camera that moves, turns and zooms through the clip."""
    steps = torch.randn(frames, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).cumsum(0) * 0.1
    lens = torch.tensor([[700.0, 0.5, 410], [0, 712.0, 238], [0, 0, 1]], dtype=torch.float64).repeat(frames, 1, 1)
    lens[:, :2, :2] *= torch.linspace(1, 1.5, frames, dtype=torch.float64)[:, None, None]
    return CameraPath(rigid(matrix_from_axis_angle(steps[:, :3]), steps[:, 3:]), lens, 832, 480, fps=24.0)


def as_browser_source(camera: CameraPath) -> dict[str, Any]:
    return {
        "frames": len(camera),
        "width": camera.width,
        "height": camera.height,
        "fps": camera.fps,
        "worldFromCamera": camera.world_from_camera.flatten().tolist(),
        "intrinsics": camera.intrinsics.flatten().tolist(),
    }
