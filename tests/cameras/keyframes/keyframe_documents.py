"""Random keyframe documents, for hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from track2view_core.cameras import Keyframe, Orbit, PathDocument
from track2view_core.cameras.keyframes.documents import KEY_EASES
from track2view_core.cameras.keyframes.float_geometry import normalised

eases = st.sampled_from(list(KEY_EASES))
coordinates = st.floats(-5, 5)
vectors = st.tuples(coordinates, coordinates, coordinates)


@st.composite
def quaternions(draw: st.DrawFn) -> tuple[float, ...]:
    parts = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: sum(part * part for part in q) > 1e-2)
    return normalised(draw(parts))


@st.composite
def keyframes(draw: st.DrawFn, frame: float, subject: bool) -> Keyframe:
    targets = st.one_of(vectors, st.just("subject")) if subject else vectors
    values: dict[str, Any] = {"position": draw(vectors)}
    if draw(st.booleans()):
        angles = {"azimuth": draw(st.floats(-720, 720)), "elevation": draw(st.floats(-89, 89))}
        values = {"orbit": Orbit(**angles, distance=draw(st.floats(0.1, 3)), target=draw(targets))}
    if draw(st.booleans()):
        values["quaternion"] = draw(quaternions())
    else:
        # never where the camera can stand
        values["look_at"] = draw(st.one_of(vectors.map(lambda v: (v[0] + 30, v[1], v[2])), targets.filter(is_name)))
    values |= {"roll": draw(st.floats(-400, 400)), "focal": draw(st.floats(0.5, 3)), "ease": draw(eases)}
    return Keyframe(frame, **values)


def is_name(target: object) -> bool:
    return isinstance(target, str)


@st.composite
def documents(draw: st.DrawFn, most_keys: int = 6, with_subject: bool | None = None) -> PathDocument:
    frames = draw(st.integers(1, 30))
    has_subject = draw(st.booleans()) if with_subject is None else with_subject
    subject = tuple((20.0 + draw(coordinates), 0.5 * frame, 20.0) for frame in range(frames)) if has_subject else None
    times = st.one_of(st.integers(0, frames - 1), st.floats(0, frames - 1))
    at = sorted(draw(st.sets(times, max_size=most_keys)))
    return PathDocument(
        frames=frames,
        keys=tuple(draw(keyframes(frame, subject is not None)) for frame in at),
        fps=draw(st.floats(1, 60)),
        aspect=draw(st.one_of(st.none(), st.just((832, 480)))),
        base=draw(st.sampled_from(["source", "first_frame"])),
        position_interpolation=draw(st.sampled_from(["catmull_rom", "linear"])),
        orientation_interpolation=draw(st.sampled_from(["squad", "slerp"])),
        subject=subject,
    )
