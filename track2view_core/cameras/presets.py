"""Camera moves by name: as a path over a clip, and as keys on a timeline. A move is a row of numbers in `MOVES`.

A move lives in the axes of one camera (x right, y down, z forward) and is measured in degrees and in scene scales:
1.0 scene scale is the subject's distance, and the subject is the point that far straight ahead. `scaled_move` turns an
amount into degrees and scene scales. Orbit, arc and crane all keep the subject in the middle; they differ in where the
camera goes. An orbit stays on a level circle around it, at one distance. An arc is a shorter piece of that circle on
which the camera rises as well and tilts down to hold the subject. A crane goes straight up or down.

`preset_path` is the move itself; `preset_document` is what the browser's editor puts on the timeline, and sampled on a
clip of its length the same path to rounding. Most moves are two keys with one ease between them. A spiral, and a pan or
tilt of half a turn and more, is no curve that two keys could hold: those have a key a frame. `web/math/presets.mjs`
repeats the documents line by line.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from ..errors import Track2ViewError
from ..notes import Note
from .easing import eased, eased_progress
from .keyframes.documents import (
    FOCAL_RANGE,
    KEY_EASES,
    SEGMENT,
    SMOOTH,
    SUBJECT_AHEAD,
    Keyframe,
    Orbit,
    PathDocument,
    key_position,
)
from .keyframes.float_geometry import ZERO, Quaternion, Vector, difference, framed, length
from .path import CameraPath, checked_scene_scale
from .rotations import matrix_from_axis_angle, rigid

RelativeTo = Literal["source", "first_frame"]

FARTHEST_TURN = 179.0  # degrees that two keys hold: beyond, the shortest way goes round the other side


@dataclass(frozen=True)
class Move:
    """Nominal end of a move (amount 1.0): angles in degrees, lengths in scene scales, signs along the camera's axes."""

    pan: float = 0.0  # turn about the vertical, + to the right
    tilt: float = 0.0  # + up
    roll: float = 0.0  # + clockwise as the operator sees it, so the picture turns counter-clockwise
    truck: float = 0.0  # + right
    rise: float = 0.0  # + up, against the y axis
    dolly: float = 0.0  # + forward
    orbit: float = 0.0  # level circle around the subject, + the camera goes to the right
    spiral: float = 0.0  # radius at the end of one widening turn about the axis of view, beginning upwards
    holds_subject: bool = False  # turned at every frame so that the subject stays in the middle
    keeps_size: bool = False  # focal length follows the dolly so that the subject keeps its size


MOVES: Mapping[str, Move] = MappingProxyType(
    {
        "static": Move(),
        "pan_left": Move(pan=-30),
        "pan_right": Move(pan=30),
        "tilt_up": Move(tilt=20),
        "tilt_down": Move(tilt=-20),
        "roll": Move(roll=20),
        "truck_left": Move(truck=-0.5),
        "truck_right": Move(truck=0.5),
        "pedestal_up": Move(rise=0.3),
        "pedestal_down": Move(rise=-0.3),
        "dolly_in": Move(dolly=0.4),
        "dolly_out": Move(dolly=-0.4),
        "orbit_left": Move(orbit=-30, holds_subject=True),
        "orbit_right": Move(orbit=30, holds_subject=True),
        "arc_left": Move(orbit=-20, rise=0.2, holds_subject=True),
        "arc_right": Move(orbit=20, rise=0.2, holds_subject=True),
        "crane_up": Move(rise=0.4, holds_subject=True),
        "crane_down": Move(rise=-0.4, holds_subject=True),
        "spiral": Move(spiral=0.2, dolly=0.3, holds_subject=True),
        "dolly_zoom": Move(dolly=0.4, keeps_size=True),
    }
)


def scaled_move(name: str, amount: float) -> Move:
    """The numbers of the move `name` at `amount`; raises as `preset_path` does for the two."""
    if name not in MOVES:
        near = difflib.get_close_matches(str(name), MOVES, n=1)
        hint = f" (perhaps {near[0]!r} is meant)" if near else ""
        raise Track2ViewError(f"There is no camera preset {name!r}{hint}; it must be one of {', '.join(MOVES)}.")
    if not math.isfinite(amount):
        raise Track2ViewError(f"The preset's amount is {amount}; it must be a finite number, 1.0 for the nominal move.")
    move = MOVES[name]
    numbers = {key: value * amount for key, value in vars(move).items() if not isinstance(value, bool)}
    scaled = replace(move, **numbers)
    if (scaled.keeps_size or scaled.holds_subject) and scaled.dolly >= 1:
        raise Track2ViewError(
            f"{name} with amount {amount:g} would move the camera {scaled.dolly:.2f} scene scales forward and reach "
            f"the subject at 1.0; keep the amount below {1 / move.dolly:g}."
        )
    return scaled


def preset_path(
    name: str,
    source: CameraPath,
    *,
    amount: float,
    scene_scale: float,
    ease: str = "smooth",
    relative_to: RelativeTo = "source",
) -> CameraPath:
    """The target path of the move `name` for a clip filmed by `source`; the same length, image size and fps.

    Args:
        name: one of PRESETS.
        source: the clip's own camera.
        amount: share of the nominal move that PRESETS states; 0 is no move, negative values go the other way.
        scene_scale: the subject's distance in world units, `PointTracks.scene_scale`.
        ease: one of EASES. The last frame reaches the end pose exactly; a clip of one frame is at the end pose.
        relative_to: `source` rides on the moving source camera: frame t is `source[t] @ move(t)` with the intrinsics
            of source frame t, and amount 0 is the source path exactly. `first_frame` leaves the source's movement
            out: frame t is `source[0] @ move(t)` with the intrinsics of frame 0, and amount 0 is that pose held.

    Raises:
        Track2ViewError: an unknown name, ease or relative_to; an amount or scene scale that is not finite; a scene
            scale not above 0; a dolly_zoom or spiral that would reach the subject.
    """
    move = scaled_move(name, amount)
    scene_scale = checked_scene_scale(scene_scale)
    if relative_to not in ("source", "first_frame"):
        raise Track2ViewError(f"relative_to is {relative_to!r}; it must be 'source' or 'first_frame'.")
    progress = eased_progress(len(source), ease).to(source.device)
    ridden = source if relative_to == "source" else source.with_frames([0] * len(source))
    zoom = torch.ones(len(source), 3, 3, dtype=torch.float64, device=source.device)
    zoom[:, :2, :2] = _focal_factor(move, progress)[:, None, None]
    return replace(
        ridden,
        world_from_camera=ridden.world_from_camera @ _camera_from_moved(move, progress, scene_scale),
        intrinsics=ridden.intrinsics * zoom,
    )


def _camera_from_moved(
    move: Move,
    progress: Tensor,  # [T] 0..1
    scene_scale: float,
) -> Tensor:
    """Poses `[T, 4, 4]` of the moved camera in the axes of the one it starts from; at progress 0 the exact identity."""
    angle = torch.deg2rad(move.orbit * progress)
    turn = 2 * torch.pi * progress
    x = angle.sin() + move.truck * progress + move.spiral * progress * turn.sin()
    y = -move.rise * progress - move.spiral * progress * turn.cos()
    # 1 - cos(angle), written so that small angles keep their digits
    z = 2 * (angle / 2).sin() ** 2 + move.dolly * progress
    zero = torch.zeros_like(progress)
    if move.holds_subject:
        yaw = torch.atan2(-x, 1 - z)
        pitch = torch.atan2(y, torch.hypot(x, 1 - z))
        roll = zero
    else:
        yaw, pitch, roll = (torch.deg2rad(angle * progress) for angle in (move.pan, move.tilt, move.roll))
    rotation = (
        matrix_from_axis_angle(torch.stack([zero, yaw, zero], dim=-1))
        @ matrix_from_axis_angle(torch.stack([pitch, zero, zero], dim=-1))
        @ matrix_from_axis_angle(torch.stack([zero, zero, roll], dim=-1))
    )
    return rigid(rotation, scene_scale * torch.stack([x, y, z], dim=-1))


def _focal_factor(move: Move, progress: Tensor) -> Tensor:
    """Factor `[T]` on the focal length: the subject's share of its first distance, where its size is to be kept."""
    return 1 - move.dolly * progress if move.keeps_size else torch.ones_like(progress)


def describe_move(name: str, amount: float) -> str:
    """What the move `name` does at `amount`, in degrees and scene scales: "30.0 degrees to the left around a point
    1.0 scene scales ahead".

    Raises:
        Track2ViewError: as `preset_path` for the name and the amount.
    """
    return _description(scaled_move(name, amount))


def move_notes(name: str, amount: float, scene_scale: float) -> tuple[Note, ...]:
    """`describe_move`, and what a scene scale is on this clip."""
    made = Note.of("preset_move", preset=name, amount=float(amount), move=describe_move(name, amount))
    return made, Note.of("scene_scale", scale=scene_scale)


def _description(move: Move) -> str:
    def toward(value: float, positive: str, negative: str) -> str:
        return positive if value > 0 else negative

    parts = []
    if move.orbit:
        parts.append(
            f"{abs(move.orbit):.1f} degrees to the {toward(move.orbit, 'right', 'left')} "
            "around a point 1.0 scene scales ahead"
        )
    if move.pan:
        parts.append(f"turns {abs(move.pan):.1f} degrees to the {toward(move.pan, 'right', 'left')}")
    if move.tilt:
        parts.append(f"turns {abs(move.tilt):.1f} degrees {toward(move.tilt, 'up', 'down')}")
    if move.roll:
        parts.append(f"rolls {abs(move.roll):.1f} degrees {toward(move.roll, 'clockwise', 'counter-clockwise')}")
    if move.truck:
        parts.append(f"moves {abs(move.truck):.2f} scene scales to the {toward(move.truck, 'right', 'left')}")
    if move.spiral:
        parts.append(f"circles the axis of view once, out to {abs(move.spiral):.2f} scene scales")
    if move.rise:
        parts.append(f"moves {abs(move.rise):.2f} scene scales {toward(move.rise, 'up', 'down')}")
    if move.dolly:
        parts.append(f"moves {abs(move.dolly):.2f} scene scales {toward(move.dolly, 'forward', 'back')}")
    if not parts:
        return "no movement of its own"
    if move.holds_subject and (move.rise or move.spiral):
        end = _camera_from_moved(move, torch.ones(1, dtype=torch.float64), 1.0)[0]
        down = math.degrees(math.asin(float(end[1, 2])))
        way = "down" if down > 0 else "up"
        held = "it" if move.orbit else "a point 1.0 scene scales ahead"
        parts.append(f"turned {abs(down):.1f} degrees {way} at the end to hold {held} in the middle")
    if move.keeps_size:
        parts.append(f"focal length times {1 - move.dolly:.2f}, so that a point 1.0 scene scales ahead keeps its size")
    return ", ".join(parts)


PRESETS: Mapping[str, str] = MappingProxyType({name: _description(move) for name, move in MOVES.items()})


def preset_document(
    name: str,
    amount: float,
    frames: int,
    *,
    ease: str = "smooth",
    relative_to: RelativeTo = "source",
    fps: float = 16.0,
    aspect: tuple[int, int] | None = None,
) -> PathDocument:
    """The move `name` at `amount` (1.0 is the nominal one) as a document of `frames` frames.

    Raises:
        Track2ViewError: as `preset_path`; also a dolly_zoom whose focal length a document cannot hold.
    """
    keys = preset_keys(name, amount, frames, ease=ease)
    return PathDocument(frames, keys, fps=fps, aspect=aspect, base=relative_to)


def preset_keys(
    name: str, amount: float, frames: int, *, ease: str = "smooth", subject: Vector = SUBJECT_AHEAD
) -> tuple[Keyframe, ...]:
    """The keys of `preset_document`; a static move and amount 0 have none. One frame is the end of the move.

    Args:
        subject: what the move turns around, comes near and measures its lengths by, in scene scales in the base
            camera's axes. The move starts from the base's own picture wherever the subject is in it, and a move that
            holds it holds it there: keys look at one straight ahead, and are turned so that another keeps its pixel.
    """
    move = scaled_move(name, amount)
    eased(0.0, ease)
    if not any(value for value in vars(move).values() if not isinstance(value, bool)):
        return ()
    last = frames - 1
    if move.keeps_size and not FOCAL_RANGE[0] <= 1 - move.dolly <= FOCAL_RANGE[1]:
        raise Track2ViewError(
            f"{name} with amount {amount:g} takes the focal length times {1 - move.dolly:g}; a path document holds "
            f"{FOCAL_RANGE[0]:g} to {FOCAL_RANGE[1]:g}, so bring the amount nearer to 0."
        )
    if last == 0:
        return (_key(move, 0.0, 1.0, subject),)
    turns = max(abs(move.pan), abs(move.tilt), 0 if _is_ahead(subject) else abs(move.orbit))
    if move.spiral or turns > FARTHEST_TURN:
        return tuple(_key(move, float(frame), eased(frame / last, ease), subject) for frame in range(frames))
    of_segment = ease if ease in KEY_EASES else f"{SEGMENT}{ease}"  # of two keys alone smooth and linear say the same
    return (_key(move, 0.0, 0.0, subject, of_segment), _key(move, float(last), 1.0, subject, of_segment))


def _key(move: Move, frame: float, share: float, subject: Vector, ease: str = SMOOTH) -> Keyframe:
    """The camera at a share of the move, 0..1."""
    shape = {"roll": move.roll * share, "focal": 1 - move.dolly * share if move.keeps_size else 1.0, "ease": ease}
    away = length(subject)
    if move.orbit:
        # around an axis that rises with the camera, so that the circle stays level
        target = (subject[0], subject[1] - away * move.rise * share, subject[2])
        azimuth, elevation = _seen_from(subject)
        around = Orbit(azimuth + move.orbit * share, elevation, away, target)
        key = Keyframe(frame, orbit=around, look_at=subject, **shape)
        turn = None if move.rise else _turn(-move.orbit * share, 0.0)
        return key if _is_ahead(subject) else _framing(key, subject, turn)
    turn = 2 * math.pi * share
    x = away * (move.truck * share + move.spiral * share * math.sin(turn))
    y = away * (-move.rise * share - move.spiral * share * math.cos(turn))
    nearer = move.dolly * share
    # along the axis where the lens changes as well: only so does what is beside the middle keep its pixel
    beside = (0.0, 0.0) if move.keeps_size else subject[:2]
    position = (x + nearer * beside[0], y + nearer * beside[1], nearer * subject[2])
    if move.holds_subject:
        key = Keyframe(frame, position=position, look_at=subject, **shape)
        return key if _is_ahead(subject) else _framing(key, subject, None)
    return Keyframe(frame, position=position, quaternion=_turn(move.pan * share, move.tilt * share), **shape)


def _is_ahead(subject: Vector) -> bool:
    return subject[0] == 0 and subject[1] == 0


def _seen_from(subject: Vector) -> tuple[float, float]:
    """Azimuth and elevation in degrees at which the base camera stands, as seen from the subject."""
    x, y, z = subject
    return math.atan2(0 - x, z) * 180 / math.pi, math.atan2(y, math.sqrt(x * x + z * z)) * 180 / math.pi


def _framing(key: Keyframe, subject: Vector, turn: Quaternion | None) -> Keyframe:
    """The key turned so that the subject is where the base camera shows it."""
    if turn is None:
        turn = framed(subject, difference(key_position(key) or ZERO, subject))
    return replace(key, look_at=None, quaternion=turn)


def _turn(pan: float, tilt: float) -> Quaternion:
    """The turn about the vertical, then about the camera's own x; degrees, of which one is 0."""
    yaw, pitch = pan * math.pi / 360, tilt * math.pi / 360
    return (
        math.cos(yaw) * math.cos(pitch),
        math.cos(yaw) * math.sin(pitch),
        math.sin(yaw) * math.cos(pitch),
        -math.sin(yaw) * math.sin(pitch),
    )
