"""When the camera is where: operations on the time of a path. The way through space stays, and so does the length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ...errors import Track2ViewError
from ..easing import EASES, eased, eased_progress
from ..path import CameraPath, checked_scene_scale, path_between
from ..rotations import axis_angle_from_matrix, rigid_inverse, transform_from_twist, twist_from_transform
from .operation import choice, curve, number, operation, switch, whole

Pairs = Sequence[tuple[float, float]]


def sampled_at(
    path: CameraPath,
    times: Tensor,  # [any] float64, in frames of the path, 0 .. T - 1
) -> CameraPath:
    """The path at any times: slerp and straight lines between neighbouring frames, whole times exactly."""
    if len(path) == 1:
        return path.with_frames(torch.zeros(len(times), dtype=torch.long))
    times = times.to(path.device).to(torch.float64).clamp(0, len(path) - 1)
    before = times.floor().long().clamp(max=len(path) - 2)
    share = times - before
    return path_between(path.with_frames(before), path.with_frames(before + 1), share)


def _retimed(path: CameraPath, progress: Tensor) -> CameraPath:
    """The path at shares `[T]` 0..1 of its own time."""
    return sampled_at(path, progress * (len(path) - 1))


@operation(
    "Run through the path along a curve of time: how far along the path the camera is at which moment of the clip.",
    on_move=True,
    curve=curve(0, 1, "share of the path at a share of the clip; smooth between the pairs, held outside them"),
)
def retime(path: CameraPath, *, curve: Pairs = ((0, 0), (1, 1))) -> CameraPath:
    """The path at `curve` (share of the clip, share of the path); falling values run backwards.

    Between the pairs the curve is the monotone cubic of Fritsch and Carlson: it never overshoots a pair.
    """
    if all(pair[0] == pair[1] for pair in curve) and {curve[0][0], curve[-1][0]} == {0, 1}:
        return path
    times = eased_progress(len(path), "linear").numpy()
    at, values = np.array(curve, dtype=np.float64).T
    if len(at) == 1:
        return _retimed(path, torch.full((len(path),), values[0], dtype=torch.float64))
    from scipy.interpolate import PchipInterpolator

    return _retimed(path, torch.from_numpy(PchipInterpolator(at, values)(times.clip(at[0], at[-1]))))


@operation(
    "Give the camera another speed in parts of the clip; the path's beginning and end stay where they are.",
    on_move=True,
    speeds=curve(0, 100, "speed at a share of the clip, any unit: only the proportions count"),
)
def change_speed(path: CameraPath, *, speeds: Pairs = ((0, 1), (1, 1))) -> CameraPath:
    """The path with a speed that is `speeds` (share of the clip, speed), straight between pairs, times a constant.

    Raises:
        Track2ViewError: all speeds are 0.
    """
    at, values = np.array(speeds, dtype=np.float64).T
    if (values == values[0]).all() and values[0] > 0:
        return path
    if (values == 0).all():
        raise Track2ViewError("Operation change_speed, field speeds: all are 0; at least one must be above 0.")
    times = eased_progress(len(path), "linear").numpy()
    knots = np.unique(np.concatenate([at, [0.0, 1.0]]))
    speed = np.interp(knots, at, values)
    reached = np.concatenate([[0.0], np.cumsum(np.diff(knots) * (speed[1:] + speed[:-1]) / 2)])
    part = (np.searchsorted(knots, times, side="right") - 1).clip(0, len(knots) - 2)
    since = times - knots[part]
    slope = np.diff(speed)[part] / np.diff(knots)[part]
    progress = (reached[part] + speed[part] * since + slope * since**2 / 2) / reached[-1]
    progress[-1] = 1.0
    return _retimed(path, torch.from_numpy(progress.clip(0, 1)))


@operation(
    "Start and stop softly: the path's time is eased.",
    on_move=True,
    ease=choice(tuple(EASES), "how speed grows and falls over the clip"),
)
def ease(path: CameraPath, *, ease: str = "smooth") -> CameraPath:
    """The path with eased time; linear changes nothing."""
    return path if ease == "linear" else _retimed(path, eased_progress(len(path), ease))


@operation("Run the path backwards.", on_move=True)
def reverse(path: CameraPath) -> CameraPath:
    """The frames in reverse order; twice is the path itself."""
    return path.with_frames(range(len(path) - 1, -1, -1))


@operation(
    "Go along the path and back again, so that the last frame is the first.",
    on_move=True,
    times=whole(1, 100, "how often there and back"),
)
def ping_pong(path: CameraPath, *, times: int = 1) -> CameraPath:
    """There and back `times` times in the same number of frames: frames are skipped, none is made up."""
    last = len(path) - 1
    if last == 0:
        return path
    phases = [2 * int(times) * t % (2 * last) for t in range(len(path))]
    return path.with_frames([min(phase, 2 * last - phase) for phase in phases])


@operation(
    "Run the path several times, or bend it so that its end meets its beginning and the clip loops.",
    on_move=True,
    times=whole(1, 100, "how often the path is run within the clip"),
    closed=switch("bend the path so that its end meets its beginning"),
)
def loop(path: CameraPath, *, times: int = 1, closed: bool = True) -> CameraPath:
    """The path `times` times within the same number of frames; frames are skipped, none is made up.

    Closed, what is missing at the end to the first pose and lens is added along the way, a smooth share at each
    frame, so that the last frame is the first exactly. Open, the camera jumps back between two runs.
    """
    last = len(path) - 1
    if last == 0:
        return path
    if closed:
        share = eased_progress(len(path), "smooth").to(path.device)
        missing = twist_from_transform(rigid_inverse(path.world_from_camera[-1]) @ path.world_from_camera[0])
        poses = path.world_from_camera @ transform_from_twist(share[:, None] * missing)
        intrinsics = path.intrinsics + share[:, None, None] * (path.intrinsics[0] - path.intrinsics[-1])
        poses[-1], intrinsics[-1] = poses[0], intrinsics[0]
        path = replace(path, world_from_camera=poses, intrinsics=intrinsics)
    if times == 1:
        return path
    frames = [int(times) * t % last for t in range(last)]
    return path.with_frames([*frames, last])


@operation(
    "Stand still at the beginning or at the end; the path is run in the time between.",
    on_move=True,
    first=whole(0, 100_000, "still frames at the beginning", "frames"),
    last=whole(0, 100_000, "still frames at the end", "frames"),
)
def hold(path: CameraPath, *, first: int = 0, last: int = 0) -> CameraPath:
    """The path with `first` and `last` more still frames, run faster in between.

    Raises:
        Track2ViewError: fewer than two frames are left for the movement.
    """
    if first == last == 0:
        return path
    moving = len(path) - 1 - first - last
    if moving < 1:
        raise Track2ViewError(
            f"Operation hold: {first} and {last} still frames leave nothing of {len(path)} for the movement; together "
            f"they must be at most {max(0, len(path) - 2)}."
        )
    steps = (torch.arange(len(path), dtype=torch.float64) - first).clamp(0, moving)
    return sampled_at(path, steps * (len(path) - 1) / moving)


@operation(
    "Run the path in the first part of the clip, then go straight back to where it began.",
    on_move=True,
    share=number(0.05, 0.95, "share of the clip for the way back"),
    ease=choice(tuple(EASES), "how the way back starts and ends"),
)
def return_to_start(path: CameraPath, *, share: float = 0.5, ease: str = "smooth") -> CameraPath:
    """The path, sped up, and the shortest way from its end to its first pose and lens; the last frame is the first."""
    last = len(path) - 1
    if last == 0:
        return path
    turning = min(max(round(last * (1 - share)), 1), max(last - 1, 1))
    frames = torch.arange(len(path), dtype=torch.float64)
    out = sampled_at(path, (frames * last / turning).clamp(max=last))
    if turning == last:  # two frames: there is no way back to show
        return out.with_frames([0] * len(path))
    back = eased(((frames - turning) / (last - turning)).clamp(0, 1), ease).to(path.device)
    return path_between(out, path.with_frames([0] * len(path)), back)


@operation(
    "Slow down where the camera is too fast and make up for it elsewhere.",
    speed=number(0, 1000, "most speed; 0 sets no limit", "scene scales a second"),
    turn=number(0, 36_000, "most turning; 0 sets no limit", "degrees a second"),
)
def limit_speed(path: CameraPath, *, scene_scale: float, speed: float = 0.5, turn: float = 45.0) -> CameraPath:
    """The same way from the first to the last frame in the same time, nowhere faster than the limits.

    A path within the limits comes back as it is. Otherwise each step that is too fast gets the time it needs, and
    the others share what is left.

    Raises:
        Track2ViewError: the whole way is too long for the clip at these limits.
    """
    scale = checked_scene_scale(scene_scale)
    poses = path.world_from_camera.cpu()
    needed = torch.zeros(len(path) - 1, dtype=torch.float64)  # frames that each step takes at the limit
    if speed > 0:
        needed = torch.maximum(needed, poses[:, :3, 3].diff(dim=0).norm(dim=-1) * path.fps / (speed * scale))
    if turn > 0:
        steps = poses[:-1, :3, :3].mT @ poses[1:, :3, :3]
        needed = torch.maximum(needed, torch.rad2deg(axis_angle_from_matrix(steps).norm(dim=-1)) * path.fps / turn)
    if len(path) == 1 or needed.max() <= 1:
        return path
    if needed.sum() > len(path) - 1:
        over = float(needed.sum()) / (len(path) - 1)
        raise Track2ViewError(
            f"Operation limit_speed: the whole way takes {over:.2f} times the clip's time at these limits; raise speed "
            f"and turn {over:.2f} times, or shorten the move with scale."
        )
    low, high = 0.0, 1.0
    for _ in range(60):  # the time of the steps that are slow enough, so that the sum is the clip's
        middle = (low + high) / 2
        low, high = (low, middle) if needed.clamp(min=middle).sum() > len(path) - 1 else (middle, high)
    arrival = np.concatenate([[0.0], needed.clamp(min=low).cumsum(0).numpy()])
    arrival *= (len(path) - 1) / arrival[-1]
    frames = np.arange(len(path), dtype=np.float64)
    return sampled_at(path, torch.from_numpy(np.interp(frames, arrival, frames)))
