"""Preset moves as keyframe documents: what the browser's editor puts on the timeline when a preset is chosen.

Sampled on a clip of the document's length, a preset's document is `preset_path` to rounding. Most moves are two keys
with one ease between them. A spiral, and a pan or tilt of half a turn and more, is no curve that two keys could hold:
those have a key a frame. `web/math/presets.mjs` repeats this line by line.
"""

from __future__ import annotations

import math

from ..errors import Track2ViewError
from .easing import eased
from .float_geometry import Quaternion
from .keyframes import FOCAL_RANGE, Keyframe, Orbit, PathDocument
from .presets import RelativeTo, scaled_move

FARTHEST_TURN = 179.0  # degrees that two keys hold: beyond, the shortest way goes round the other side

Subject = tuple[float, float, float]
SUBJECT: Subject = (0.0, 0.0, 1.0)


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


def preset_keys(name: str, amount: float, frames: int, *, ease: str = "smooth") -> tuple[Keyframe, ...]:
    """The keys of `preset_document`; a static move and amount 0 have none. One frame is the end of the move."""
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
        return (_key(move, 0.0, 1.0, ease),)
    if move.spiral or max(abs(move.pan), abs(move.tilt)) > FARTHEST_TURN:
        return tuple(_key(move, float(frame), eased(frame / last, ease), "linear") for frame in range(frames))
    return (_key(move, 0.0, 0.0, ease), _key(move, float(last), 1.0, ease))


def _key(move, frame: float, share: float, ease: str) -> Keyframe:
    """The camera at a share of the move, 0..1."""
    shape = {"roll": move.roll * share, "focal": 1 - move.dolly * share if move.keeps_size else 1.0, "ease": ease}
    if move.orbit:
        # around an axis that rises with the camera, so that the circle stays level
        target = (0.0, -move.rise * share, 1.0)
        around = Orbit(azimuth=move.orbit * share, elevation=0.0, distance=1.0, target=target)
        return Keyframe(frame, orbit=around, look_at=SUBJECT, **shape)
    turn = 2 * math.pi * share
    x = move.truck * share + move.spiral * share * math.sin(turn)
    y = -move.rise * share - move.spiral * share * math.cos(turn)
    position = (x, y, move.dolly * share)
    if move.holds_subject:
        return Keyframe(frame, position=position, look_at=SUBJECT, **shape)
    return Keyframe(frame, position=position, quaternion=_turn(move.pan * share, move.tilt * share), **shape)


def _turn(pan: float, tilt: float) -> Quaternion:
    """The turn about the vertical, then about the camera's own x; degrees, of which one is 0."""
    yaw, pitch = pan * math.pi / 360, tilt * math.pi / 360
    return (
        math.cos(yaw) * math.cos(pitch),
        math.cos(yaw) * math.sin(pitch),
        math.sin(yaw) * math.cos(pitch),
        -math.sin(yaw) * math.sin(pitch),
    )
