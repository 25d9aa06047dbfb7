"""From a keyframe document to a camera path: the rule for every frame, written so that it can be ported line by line.

`sample_move` is plain arithmetic of 64-bit floats; the browser's editor repeats it. The functions named in `code` are
those of `float_geometry.py` and `easing.py`.

Given: a document of D frames with K keys, a clip of T frames, and, where the document has a subject, its position
`subject[t]` in the base camera's axes at each clip frame (see 7).

1.  Time. Clip frame t stands at document time u = t (D - 1) / (T - 1), multiplied first; u = 0 where T = 1. A document
    time f stands at clip frame floor(f (T - 1) / (D - 1) + 0.5), which is 0 where D = 1; below: clip(f).

2.  What each key i at frame f_i is, before any interpolation:
    - goal_i: its look_at, or subject[clip(f_i)] where that is "subject"; none where it has a quaternion.
    - stand_i: its position; or, of an orbit, target + `orbit_offset`(azimuth pi / 180, elevation pi / 180, distance),
      where the target is the orbit's or subject[clip(f_i)].
    - aim_i: `normalised`(quaternion), or `aim`(stand_i, goal_i). Where that has no answer, sampling fails.
    Then, from the second key on, aim_i is `negated` where `dot`(aim_(i-1), aim_i) < 0.
    - inner_i: `inner_quaternion`(aim_(i-1), aim_i, aim_(i+1)); of the first and the last key, aim_i itself.

3.  On a key. Where u equals f_i: position = stand_i, q = `rolled`(aim_i, roll_i), focal = focal_i. Before the first key
    this holds of the first key, after the last of the last; but there, in both places, a key whose orbit's target or
    look_at is "subject" goes on following it: stand and aim are computed as in 2 from subject[t] instead, and where
    `aim` has no answer aim_i stands. Without keys: position 0, q = 1, focal 1.

4.  Between keys i and j = i + 1, f_i < u < f_j, with s = (u - f_i) / (f_j - f_i), by the ease of key i:

    hold      As in 3 on key i, and there, too, following the subject.
    segment_x The segment by itself, as version 1 had it: e = `eased`(s, x), which is s for linear, s s (3 - 2 s) for
              smooth, s s for ease_in, s (2 - s) for ease_out.
    linear    As segment_linear with position_interpolation linear and orientation_interpolation slerp.
    smooth    Cubics with slopes, rule 5, in place of the curves of segment_x.

    - Position. Where both keys are orbits: C_k = (azimuth pi / 180, elevation pi / 180, distance); c = curve(C_i, C_j);
      target = line(target of i, target of j), where "subject" now means subject[t]; position = target +
      `orbit_offset`(c_0, c_1, max(c_2, 1e-6)). Otherwise: curve(stand_i, stand_j).
    - curve(p_i, p_j) is `blend_vectors`(p_i, p_j, e) where position_interpolation is linear, and otherwise
      `catmull_rom`(p_(i-1), p_i, p_j, p_(j+1), e). A neighbour is none outside the document, and for C also where the
      neighbouring key is no orbit. line(p_i, p_j) is `blend_vectors`(p_i, p_j, e). Of a smooth segment both are
      `hermite`(p_i, p_j, slopes, s).
    - Orientation before roll. Where both keys look at something: goal = line(look_at of i, look_at of j), where
      "subject" now means subject[t], and `aim`(position, goal); so a point that both keys look at stays in the
      middle. Otherwise, and where that has no answer: slerp is `great_arc`(aim_i, aim_j, e), squad is `squad`(aim_i,
      aim_j, inner_i, inner_j, e), and of a smooth segment `turning`(aim_i, aim_j, slopes, s).
    - q = `rolled`(orientation, `blend`(roll_i, roll_j, e)); focal = `blend`(focal_i, focal_j, e); of a smooth segment
      both are `hermite`.

5.  Slopes, `passing_keys.py`. Each of stand, C, target, goal, aim, roll and focal has its own, per share of the
    segment. Their gains are differences, of aims `logarithm`(aim_i* aim_j); those of targets and goals are taken at the
    time of the key whose slope is asked, so that what moves with the subject counts as standing. At the first and the
    last key slopes are 0. Between two smooth segments they are `passing`(gain before, gain after, times). Where one of
    the two is not smooth, `joining` takes over its speed: factor 1 for linear and segment_linear, 2 for the fast end
    of segment_ease_in and segment_ease_out, and otherwise 0. Where C, target or goal end at a key, 0; but
    - C goes on as the stand does: `orbit_slope` of the stand's slope, at most 3 |gain|;
    - aim goes on as a smooth neighbour that looks at something turns there: the turn from 0.001 before to 0.001 after,
      in shares of that segment and along its slopes, divided by 0.002, as many times longer as this segment is, at most
      3 |gain|.

6.  The camera of frame t, with base[t] the base camera's pose and lens at frame t (frame 0's where base is
    first_frame), R(q) the rotation matrix of q and S the scene scale in world units:

        world_from_camera[t] = base[t] @ [R(q) | S position]        intrinsics[t] = base's, first two rows and columns
                                                                                     times focal

7.  The subject in the base camera's axes. The document holds P[0 .. D-1] in scene scales in the axes of the source's
    first camera. With k = min(floor(u), D - 1), n = min(k + 1, D - 1): P(u) = `blend_vectors`(P[k], P[n], u - k), then
    subject[t] = inverse(base[t]) @ (source[0] @ (S P(u))) / S.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import floor, pi
from typing import NamedTuple

import torch
from torch import Tensor

from ...errors import Track2ViewError
from ...notes import Note
from ..easing import eased
from ..path import CameraPath, checked_scene_scale
from ..rotations import matrix_from_quaternion, rigid, rigid_inverse
from .documents import NEAREST, SEGMENT, SUBJECT, Keyframe, Orbit, PathDocument, Target, key_position
from .float_geometry import (
    IDENTITY,
    Quaternion,
    Vector,
    aim,
    blend,
    blend_vectors,
    catmull_rom,
    dot,
    great_arc,
    hermite,
    inner_quaternion,
    negated,
    normalised,
    orbit_offset,
    rolled,
    squad,
    turning,
)
from .passing_keys import Passing, Slopes, slopes


class MovedCamera(NamedTuple):
    """One frame of a move, in the base camera's axes."""

    position: Vector  # scene scales
    quaternion: Quaternion  # base_from_camera
    focal: float  # times the base camera's


def sample_document(document: PathDocument, source: CameraPath, *, scene_scale: float) -> CameraPath:
    """The camera path of a document on the clip that `source` filmed: the same length, image size and fps.

    On a clip of another length the keys are rescaled in time; `document_notes` says so.

    Args:
        document: a checked document; without keys the result is its base camera exactly.
        source: the clip's own camera.
        scene_scale: the subject's distance in world units, `PointTracks.scene_scale`.

    Raises:
        Track2ViewError: a scene scale that is not a finite number above 0, or a key that looks at the subject from
            where the subject stands.
    """
    scale = checked_scene_scale(scene_scale)
    base = source if document.base == "source" else source.with_frames([0] * len(source))
    subject = None
    if document.subject is not None:
        subject = _subject_in_base(document, document.subject, source, base, scale)
    moved = sample_move(document, len(source), subject)
    positions, quaternions, focals = (
        torch.tensor(column, dtype=torch.float64, device=source.device) for column in zip(*moved, strict=True)
    )
    zoom = torch.ones(len(source), 3, 3, dtype=torch.float64, device=source.device)
    zoom[:, :2, :2] = focals[:, None, None]
    return replace(
        base,
        world_from_camera=base.world_from_camera @ rigid(matrix_from_quaternion(quaternions), scale * positions),
        intrinsics=base.intrinsics * zoom,
    )


def document_notes(document: PathDocument, source: CameraPath) -> tuple[Note, ...]:
    """What differs between the clip a document was drawn on and this one, for the user."""
    notes = []
    if document.keys and document.frames != len(source):
        notes.append(Note.of("keys_rescaled", frames=document.frames, clip=len(source)))
    if document.keys and document.aspect is not None:
        width, height = document.aspect
        if abs(width / height * source.height / source.width - 1) > 0.01:
            clip = {"clip_width": source.width, "clip_height": source.height}
            notes.append(Note.of("other_aspect", width=width, height=height, **clip))
    return tuple(notes)


def sample_move(document: PathDocument, frames: int, subject: Sequence[Vector] | None = None) -> list[MovedCamera]:
    """The move of a document at each of `frames` clip frames, in the base camera's axes: rules 1 to 5 above.

    Args:
        subject: the document's subject in the base camera's axes at each clip frame; needed where it has one.

    Raises:
        Track2ViewError: a key looks at the subject from where the subject stands.
    """
    if not document.keys:
        return [MovedCamera((0.0, 0.0, 0.0), IDENTITY, 1.0)] * frames
    keys = _resolved(document, frames, subject)
    passed = slopes(_passing(keys, document, frames, subject))
    starts = [key.given.frame for key in keys]
    moved = []
    for t in range(frames):
        time = document_time(t, frames, document.frames)
        here = subject[t] if subject is not None else None
        before = bisect_right(starts, time) - 1
        if before < 0 or before == len(keys) - 1:
            moved.append(_held(keys[max(before, 0)], here))
        elif starts[before] == time:
            moved.append(_camera(keys[before].given, keys[before].stand, keys[before].aim))
        elif keys[before].given.ease == "hold":
            moved.append(_held(keys[before], here))
        else:
            moved.append(_between(document, keys, passed, before, time, here))
    return moved


def document_time(frame: int, frames: int, document_frames: int) -> float:
    """The document's time of a clip frame: rule 1."""
    return frame * (document_frames - 1) / (frames - 1) if frames > 1 else 0.0


@dataclass(frozen=True)
class _Key:
    """A key with everything about it that does not depend on the frame that is sampled: rule 2."""

    given: Keyframe
    stand: Vector
    aim: Quaternion
    inner: Quaternion


def _camera(key: Keyframe, stand: Vector, turned: Quaternion) -> MovedCamera:
    return MovedCamera(stand, rolled(turned, key.roll), key.focal)


def _held(key: _Key, here: Vector | None) -> MovedCamera:
    """The first or the last key at a frame that lies on it or beyond: rule 3."""
    follows = SUBJECT in (key.given.look_at, key.given.orbit and key.given.orbit.target)
    if not follows:
        return _camera(key.given, key.stand, key.aim)
    stand = key_position(key.given, here) or key.stand
    turned = None if key.given.look_at is None else aim(stand, _resolve(key.given.look_at, here))
    return _camera(key.given, stand, turned or key.aim)


def _resolved(document: PathDocument, frames: int, subject: Sequence[Vector] | None) -> list[_Key]:
    stands: list[Vector] = []
    aims: list[Quaternion] = []
    for number, key in enumerate(document.keys, start=1):
        there = _subject_at(key, document, frames, subject)
        stand = key_position(key, there)
        if stand is None:
            raise Track2ViewError(f"Key {number} goes around the subject; sample_move needs the subject's positions.")
        if key.quaternion is not None:
            turned = normalised(key.quaternion)
        else:
            turned = aim(stand, _resolve(key.look_at, there))
        if turned is None:
            raise Track2ViewError(
                f"Key {number}, field look_at: at frame {key.frame:g} the camera stands where it should look; move "
                "the key or give it another look_at."
            )
        if aims and dot(aims[-1], turned) < 0:
            turned = negated(turned)
        stands.append(stand)
        aims.append(turned)
    ends = (0, len(aims) - 1)
    inner = [a if i in ends else inner_quaternion(aims[i - 1], a, aims[i + 1]) for i, a in enumerate(aims)]
    return [_Key(*parts) for parts in zip(document.keys, stands, aims, inner, strict=True)]


def _subject_at(key: Keyframe, document: PathDocument, frames: int, subject: Sequence[Vector] | None) -> Vector | None:
    if subject is None:
        return None
    return subject[floor(key.frame * (frames - 1) / (document.frames - 1) + 0.5) if document.frames > 1 else 0]


def _passing(keys: list[_Key], document: PathDocument, frames: int, subject: Sequence[Vector] | None) -> list[Passing]:
    """The keys as rule 5 takes them."""
    at = [_subject_at(key.given, document, frames, subject) for key in keys]
    last = len(keys) - 1

    def around(target: Target | None, i: int) -> tuple[Vector, Vector, Vector] | None:
        if target is None:
            return None
        before, here, after = (_resolve(target, at[k]) for k in (max(i - 1, 0), i, min(i + 1, last)))
        return before, here, after

    return [
        Passing(
            key.given.frame,
            key.given.ease,
            key.stand,
            key.aim,
            key.given.orbit and _orbit(key.given.orbit),
            key.given.roll,
            key.given.focal,
            around(key.given.orbit and key.given.orbit.target, i),
            around(key.given.look_at, i),
        )
        for i, key in enumerate(keys)
    ]


def _between(
    document: PathDocument,
    keys: list[_Key],
    passed: list[Slopes | None],
    i: int,
    time: float,
    here: Vector | None,
) -> MovedCamera:
    start, end = keys[i], keys[i + 1]
    one, two = start.given, end.given
    share = (time - one.frame) / (two.frame - one.frame)
    smooth = passed[i]
    if smooth is not None:
        return _smoothly(start, end, smooth, share, here)
    before, after = keys[i - 1] if i > 0 else None, keys[i + 2] if i + 2 < len(keys) else None
    even = one.ease == "linear"
    share = share if even else eased(share, one.ease.removeprefix(SEGMENT))
    straight = even or document.position_interpolation == "linear"
    if one.orbit is not None and two.orbit is not None:
        first, last = _orbit(one.orbit), _orbit(two.orbit)
        outer = [_orbit(key.given.orbit) if key and key.given.orbit else None for key in (before, after)]
        coordinates = _curve(straight, outer[0], first, last, outer[1], share)
        target = blend_vectors(_resolve(one.orbit.target, here), _resolve(two.orbit.target, here), share)
        position = _around(target, coordinates)
    else:
        position = _curve(straight, before and before.stand, start.stand, end.stand, after and after.stand, share)
    turned = None
    if one.look_at is not None and two.look_at is not None:
        goal = blend_vectors(_resolve(one.look_at, here), _resolve(two.look_at, here), share)
        turned = aim(position, goal)
    if turned is None and (even or document.orientation_interpolation == "slerp"):
        turned = great_arc(start.aim, end.aim, share)
    elif turned is None:
        turned = squad(start.aim, end.aim, start.inner, end.inner, share)
    roll, focal = blend(one.roll, two.roll, share), blend(one.focal, two.focal, share)
    return MovedCamera(position, rolled(turned, roll), focal)


def _smoothly(start: _Key, end: _Key, passed: Slopes, share: float, here: Vector | None) -> MovedCamera:
    one, two = start.given, end.given
    if one.orbit is not None and two.orbit is not None:
        coordinates = hermite(_orbit(one.orbit), _orbit(two.orbit), *passed.orbit, share)
        targets = _resolve(one.orbit.target, here), _resolve(two.orbit.target, here)
        position = _around(hermite(*targets, *passed.target, share), coordinates)
    else:
        position = hermite(start.stand, end.stand, *passed.stand, share)
    turned = None
    if one.look_at is not None and two.look_at is not None:
        goals = _resolve(one.look_at, here), _resolve(two.look_at, here)
        turned = aim(position, hermite(*goals, *passed.goal, share))
    if turned is None:
        turned = turning(start.aim, end.aim, *passed.turn, share)
    roll = hermite((one.roll, 0.0, 0.0), (two.roll, 0.0, 0.0), *passed.roll, share)[0]
    focal = hermite((one.focal, 0.0, 0.0), (two.focal, 0.0, 0.0), *passed.focal, share)[0]
    return MovedCamera(position, rolled(turned, roll), focal)


def _around(target: Vector, coordinates: Vector) -> Vector:
    azimuth, elevation, reach = coordinates
    offset = orbit_offset(azimuth, elevation, max(reach, NEAREST))
    return (target[0] + offset[0], target[1] + offset[1], target[2] + offset[2])


def _orbit(orbit: Orbit) -> Vector:
    return (orbit.azimuth * pi / 180, orbit.elevation * pi / 180, orbit.distance)


def _curve(
    straight: bool, before: Vector | None, start: Vector, end: Vector, after: Vector | None, share: float
) -> Vector:
    return blend_vectors(start, end, share) if straight else catmull_rom(before, start, end, after, share)


def _resolve(target: Target | None, subject: Vector | None) -> Vector:
    """The point a target names; the document's checks leave no other case than these two."""
    point = subject if isinstance(target, str) else target
    if point is None:
        raise Track2ViewError("A key follows the subject; sample_move needs the subject's positions.")
    return point


def _subject_in_base(
    document: PathDocument, subject: Sequence[Vector], source: CameraPath, base: CameraPath, scale: float
) -> list[Vector]:
    """The subject at each clip frame, in scene scales in the base camera's axes: rule 7."""
    points = []
    for t in range(len(source)):
        time = document_time(t, len(source), document.frames)
        k = min(floor(time), document.frames - 1)
        n = min(k + 1, document.frames - 1)
        points.append(blend_vectors(subject[k], subject[n], time - k))
    first: Tensor = source.world_from_camera[0]
    local = scale * torch.tensor(points, dtype=torch.float64, device=source.device)
    world = local @ first[:3, :3].mT + first[:3, 3]
    base_from_world = rigid_inverse(base.world_from_camera)
    inside = (base_from_world[:, :3, :3] @ world[..., None])[..., 0] + base_from_world[:, :3, 3]
    return [(x, y, z) for x, y, z in (inside / scale).tolist()]
