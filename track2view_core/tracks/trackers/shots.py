"""The shots of a clip solved: what the camera does, its path, the points' places, and what to know of it all.

The motion class (`motion_class.py`) says which solver has the word, `rotation_solver.py` or `reconstruction.py`; where
the two do not agree with it, the better explanation wins. `triangulation.py` then places the points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from ...cameras import CameraPath
from ...errors import Track2ViewError
from ...notes import Note
from ...progress import Progress
from .camera_solver import Cameras, Observations, ideal_pixels, pixel_limit
from .depth_maps import sample_inverse_depth
from .flow import PixelTracks
from .motion_class import Motion, classify, still_limit
from .reconstruction import FEW_EXPLAINED, Travelled, reconstruct
from .rotation_solver import ZOOM_DOUBTED, Turned, solve_rotation
from .triangulation import LEAST_EXPLAINED, Lifted, lift_travelling, lift_turning, refine_points, triangulate

STATED = 2.0
"""Standard deviations of the focal length that a note states: a lens beyond them would surprise."""
SMALLEST_SIDE, ENLARGED_SIDE, LARGEST_SIDE = 192, 256, 640
"""Frames whose short side is below the first are followed at the second, those above the third at the third."""
USUAL_FOCAL = 0.87
"""Focal length in units of the longer side where nothing is known: 60 degrees."""
FEWEST_TRACKS = 24
"""With fewer points a frame (median) the motion cannot be told."""
SPARSE_TRACKS = 80
RELIEF = 0.2
"""A travel forward is told from a zoom by depths that spread so far (log): a zoom taken for one shows a flat scene."""
SHARPER_THAN_ZOOM = ((1.1, 1.35), (0.75, 0.58))
"""Before a flat scene it is told by a residual of this share: points that grow in the picture drift, the more, the
larger the zoom, and a travel with its free depths takes some of that up."""
TURN_EXPLAINS = 0.25
"""Where no travel was found, a turn that brings this share of the points to their places is better than none: large
movers may hold more than half of them."""
SMALL_TURN = 0.03
"""Radians up to which a turn and a short travel can hardly be told apart."""
SHORT_TRAVEL = 0.02
"""Up to this share of the scene's depth a travel leaves depth and focal uncertain."""
POOR_DEPTH, MUCH_POOR, POORLY_KNOWN = 0.2, 0.15, 0.1
"""A depth that may err by the first share is a poor one; with the second share of those, or where a
usual depth may err by the third, a solve does not know depth."""
FEWEST_PLACED = 0.3
"""Share of the frames that must find their place for a travelling camera to count as solved."""
AGREES, AGREES_WITHIN, SHORTEST_ASKED = 0.5, 2.0, 3
"""This share of the points that were followed for so many frames must stand still before a proposed camera, each
within so many limits; the others may move."""


@dataclass(frozen=True, eq=False)
class Setup:
    """What is known before solving, in working pixels."""

    width: float
    height: float
    focal: float
    focal_known: bool
    motion: str  # "auto" or a Motion
    depth: np.ndarray | None  # [T, h, w] of this shot
    given: Cameras | None  # a camera path that the user gave
    proposed: Cameras | None = None  # a path that may hold
    lens_of_model: bool = False  # the focal to fall back on is a depth model's

    @property
    def center(self) -> np.ndarray:
        return np.array([self.width / 2, self.height / 2])

    @property
    def limit(self) -> float:
        """Pixels that a good point may err."""
        return pixel_limit(self.width, self.height)


@dataclass(frozen=True, eq=False)
class Shot:
    motion: Motion
    cameras: Cameras  # frame 0 is the identity
    lifted: Lifted
    notes: tuple[Note, ...]


# --- all shots of a clip ----------------------------------------------------------------------------------------------


def solve_shots(
    flow: PixelTracks,  # of the whole clip, in working pixels
    size: tuple[int, int],  # width and height of the clip
    scale: float,  # `working_scale` of that size
    *,
    motion: str = "auto",
    fov_degrees: float | None = None,
    fov_guess: float | None = None,
    depth: np.ndarray | None = None,  # [T, h, w]
    camera: CameraPath | None = None,
    proposed: CameraPath | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[slice, PixelTracks, Setup, Shot]]:
    """Each shot of the clip, with its frames and the tracks that are born in it. What may be given is `KltTracker`'s.

    Raises:
        Track2ViewError: as `solve_shot`.
    """
    frames, spans = len(flow.seen), flow.spans()
    for span in spans:
        part = flow.frames(span.start, span.stop)
        setup = _setup(
            size, scale, span, motion=motion, fov_degrees=fov_degrees, fov_guess=fov_guess, depth=depth,
            camera=camera, proposed=proposed,
        )  # fmt: skip
        ideal = part
        if camera is not None:
            lens = camera.resized(*size).with_frames(span)
            ideal = replace(part, xy=ideal_pixels(part.xy, lens, setup.center, scale))
        with threadpool_limits(1, user_api="blas"):  # of small matrices, over which threads only wait for each other
            shot = solve_shot(ideal, setup, _stage(progress, span.start, span.stop, frames), part)
        if len(spans) > 1:
            shot = replace(shot, notes=tuple(replace(note, shot=span.start) for note in shot.notes))
        yield span, part, setup, shot


def cut_notes(flow: PixelTracks, shown: np.ndarray | None = None) -> list[Note]:
    """`shown`: which frames of the clip those of the tracks are; None: all."""
    starts = tuple(span.start if shown is None else int(shown[span.start]) for span in flow.spans()[1:])
    return [Note.of("cuts", frames=starts)] if starts else []


def working_scale(width: int, height: int) -> float:
    """Working pixels for a pixel of the clip: what all limits of the solvers are meant for."""
    short = min(width, height)
    if short < SMALLEST_SIDE:
        return ENLARGED_SIDE / short
    return LARGEST_SIDE / short if short > LARGEST_SIDE else 1.0


def _setup(
    size: tuple[int, int],  # width and height of the clip
    scale: float,  # of the working pictures to the clip's
    span: slice,  # frames of the shot
    *,
    motion: str,
    fov_degrees: float | None,
    fov_guess: float | None,
    depth: np.ndarray | None,
    camera: CameraPath | None,
    proposed: CameraPath | None,
) -> Setup:
    width, height = size[0] * scale, size[1] * scale
    center = np.array([width / 2, height / 2])
    focal, seen = USUAL_FOCAL * max(width, height), fov_guess if fov_degrees is None else fov_degrees
    if seen is not None:
        focal = float(0.5 * width / np.tan(np.radians(seen) / 2))
    given = may_hold = None
    if camera is not None:
        given = Cameras.of_path(camera.relative_to_first().resized(*size).with_frames(span), center, scale)
    elif proposed is not None:
        path = proposed.with_frames(span).relative_to_first()
        may_hold = Cameras.of_path(path.resized(max(1, round(width)), max(1, round(height))), center)
    return Setup(
        width,
        height,
        focal,
        focal_known=fov_degrees is not None,
        motion=motion,
        depth=None if depth is None else depth[span],
        given=given,
        proposed=may_hold,
        lens_of_model=fov_degrees is None and fov_guess is not None,
    )


def _stage(progress: Progress | None, start: int, stop: int, frames: int) -> Callable[[], None]:
    """Called at every step of a solve, whose number nobody knows beforehand: a frame of the shot each."""
    done = start

    def step() -> None:
        nonlocal done
        done = min(done + 1, stop)
        if progress:
            progress(done, frames, "solving the camera")

    return step


# --- one shot ---------------------------------------------------------------------------------------------------------


def solve_shot(flow: PixelTracks, setup: Setup, step: Callable[[], None], pixels: PixelTracks | None = None) -> Shot:
    """Motion class, camera, points; Track2ViewError only where motion is "auto" and there is too little to see.

    `pixels` are the points' places in the picture where `flow` holds those of an ideal lens; depth maps are read there.
    """
    notes: list[Note] = []
    measured = None
    if setup.depth is not None:
        measured = sample_inverse_depth(setup.depth, (pixels or flow).xy, flow.seen, setup.width, setup.height)
        if flow.seen.any() and not np.isfinite(measured).any():
            measured = None
            notes.append(Note.of("depth_empty"))
    if setup.given is not None:
        cameras, registered, motion = setup.given, np.ones(len(flow.xy), bool), _motion_of(setup.given)
        notes.append(Note.of("camera_given", motion=motion))
    else:
        motion, cameras, registered = _solve_camera(flow, setup, measured, notes, step)
    cameras = _from_first(cameras)
    if setup.proposed is not None and motion != "general":
        notes.append(Note.of("proposed_left"))
    if setup.focal_known and setup.given is None:
        notes.append(Note.of("fov_given", degrees=_degrees(cameras, setup)))
    if motion == "general":
        lifted = lift_travelling(flow, cameras, registered, measured, limit=setup.limit)
        if setup.given is None:
            cameras, lifted, reach = _in_units(cameras, lifted, flow, measured)
            if reach < SHORT_TRAVEL:
                lens = True if setup.focal_known else None
                notes.append(Note.of("short_travel", share=reach).without(depth=setup.depth, fov_degrees=lens))
    else:
        lifted = lift_turning(flow, cameras, measured, limit=setup.limit)
    return Shot(motion, cameras, lifted, (*notes, *_expected_error(lifted, motion)))


# --- its camera -------------------------------------------------------------------------------------------------------


def _solve_camera(
    flow: PixelTracks, setup: Setup, measured: np.ndarray | None, notes: list[Note], step: Callable[[], None]
) -> tuple[Motion, Cameras, np.ndarray]:
    frames = len(flow.xy)
    everywhere = np.ones(frames, bool)
    typical = typical_count(flow)
    if frames > 1 and typical < SPARSE_TRACKS:
        notes.append(Note.of("few_followed", count=typical))
    motion = _motion(flow, setup, typical)
    chosen = "set by hand" if setup.motion != "auto" else "found"
    if motion != "static":
        turned = _turn(flow, setup) if motion == "rotation" else None
        doubtful = turned is None or not turned.convinces(setup.limit)
        if motion == "general" or (setup.motion == "auto" and doubtful):
            travelled = reconstruct(
                flow, setup.center, focal=setup.focal, focal_known=setup.focal_known, limit=setup.limit, step=step,
                inverse_depth=measured, proposed=setup.proposed,
            )  # fmt: skip
            turned = turned or (_turn(flow, setup) if travelled is None or setup.motion == "auto" else None)
            if travelled is not None and _travels(travelled, turned, setup):
                notes.append(Note.of("motion", motion="general", how=chosen))
                _describe_travel(flow, travelled, setup, notes)
                return "general", travelled.cameras, travelled.registered
            if motion == "general":
                notes.append(Note.of("little_parallax"))
        needed = 0.0 if setup.motion == "rotation" else TURN_EXPLAINS
        if turned is not None and turned.inliers > needed:
            notes.append(Note.of("motion", motion="rotation", how=chosen if motion == "rotation" else "instead"))
            _describe_turn(turned, setup, notes)
            return "rotation", turned.cameras, everywhere
        notes.append(Note.of("camera_not_solved"))
    notes.append(Note.of("motion", motion="static", how=chosen if motion == "static" else "instead"))
    identity = Cameras.standing(frames, setup.focal, setup.center)
    _describe_focal(identity, 0.0, "", setup, notes)
    return "static", identity, everywhere


def _travels(travelled: Travelled, turned: Turned | None, setup: Setup) -> bool:
    """Whether the travelling solution stands; found on its own, it must do better than a mere turn (and zoom) does."""
    if travelled.registered.mean() < FEWEST_PLACED:
        return False
    if setup.motion == "general" or turned is None:
        return True
    if travelled.maps_agree and travelled.explained > 0.9 * turned.explained:
        return True
    if travelled.explained > 1.1 * turned.explained + 0.05:
        return True
    if turned.zoom > ZOOM_DOUBTED and travelled.explained > turned.explained:  # a travel is the likelier of two equals
        sharper = travelled.residual < np.interp(turned.zoom, *SHARPER_THAN_ZOOM) * turned.residual
        return bool(sharper or travelled.relief > RELIEF)
    return travelled.residual < 0.5 * turned.residual and travelled.explained > 0.9 * turned.explained


def typical_count(flow: PixelTracks) -> float:
    """How many points are usually followed from one frame to the next; all that were found in a single frame."""
    if len(flow.seen) == 1:
        return float(flow.seen.sum())
    return float(np.median((flow.seen[:-1] & flow.seen[1:]).sum(1)))


def _motion(flow: PixelTracks, setup: Setup, typical: float) -> Motion:
    if setup.motion != "auto":
        return setup.motion  # type: ignore[return-value]
    if len(flow.xy) == 1:
        return "static"
    evidence = classify(flow, setup.width, setup.height)
    if typical < FEWEST_TRACKS or evidence.compared == 0:
        raise Track2ViewError(
            f"Only {typical:.0f} points a frame could be followed in this clip, too few to tell how the camera moves "
            f"(about {FEWEST_TRACKS} are needed); set motion to static, rotation or general instead of auto."
        )
    return evidence.motion


def _turn(flow: PixelTracks, setup: Setup) -> Turned:
    return solve_rotation(
        flow, setup.center, focal=setup.focal, focal_known=setup.focal_known, limit=still_limit(setup.width)
    )


def _motion_of(cameras: Cameras) -> Motion:
    if cameras.travels:
        return "general"
    return "static" if np.abs(cameras.rotation - cameras.rotation[0]).max() < 1e-9 else "rotation"


# --- its world --------------------------------------------------------------------------------------------------------


def _from_first(cameras: Cameras) -> Cameras:
    """The same cameras in a world whose origin is camera 0."""
    rotation = cameras.rotation @ cameras.rotation[0].T
    translation = cameras.translation - np.einsum("tij,j->ti", rotation, cameras.translation[0])
    rotation[0], translation[0] = np.eye(3), 0
    return Cameras(rotation, translation, cameras.focal, cameras.center)


def _in_units(
    cameras: Cameras, lifted: Lifted, flow: PixelTracks, measured: np.ndarray | None
) -> tuple[Cameras, Lifted, float]:
    """The reconstruction in the units of the depth maps, or with the points of the first frame at median depth 1.

    Also how far the camera comes from where it begins, as a share of that depth.
    """
    standing = lifted.kept & ~lifted.moving
    depth = cameras.depths(lifted.positions)
    seen = flow.seen & standing & (depth > 0)
    if not seen.any():
        return cameras, lifted, np.nan
    first = int(seen.any(1).argmax())
    typical = float(np.median(depth[first, seen[first]]))
    reach = float(np.linalg.norm(cameras.centers(), axis=1).max()) / typical
    if measured is not None and (seen & np.isfinite(measured)).any():
        common = seen & np.isfinite(measured)
        scale = float(np.median(1 / (measured[common] * depth[common])))
    else:
        scale = 1 / typical
    cameras = Cameras(cameras.rotation, cameras.translation * scale, cameras.focal, cameras.center)
    return cameras, replace(lifted, positions=lifted.positions * scale), reach


# --- what is told of it -----------------------------------------------------------------------------------------------


def _describe_travel(flow: PixelTracks, travelled: Travelled, setup: Setup, notes: list[Note]) -> None:
    notes.append(Note.of("camera_solved", points=travelled.points, error=travelled.residual))
    if travelled.explained < FEW_EXPLAINED:
        notes.append(Note.of("few_agree", share=travelled.explained))
    lost = int((~travelled.registered).sum())
    if lost:
        notes.append(Note.of("frames_not_placed", count=lost))
    if travelled.maps_denied:
        notes.append(Note.of("depth_denied"))
    if setup.proposed is not None:
        notes.append(_proposed_note(flow, setup.proposed, setup.limit, used=travelled.from_proposed))
    source = "parallax and the depth maps" if travelled.maps_helped else "parallax"
    deviation = max(travelled.focal_deviation, travelled.focal_spread) / max(travelled.explained, LEAST_EXPLAINED)
    _describe_focal(travelled.cameras, deviation, source if travelled.focal_seen else "", setup, notes)


def _proposed_note(flow: PixelTracks, proposed: Cameras, limit: float, *, used: bool) -> Note:
    """What became of a path that a depth model proposes: it is one of the beginnings from which the solve chooses."""
    share, error = 0.0, float("inf")
    asked = np.flatnonzero(flow.seen.sum(0) >= SHORTEST_ASKED)
    if len(asked):
        seen = Observations.of(flow.xy[:, asked], flow.seen[:, asked])
        found = refine_points(proposed, triangulate(proposed, seen, len(asked)), seen, huber=0.5 * limit)
        share, error = float((found.middle < AGREES_WITHIN * limit).mean()), float(np.median(found.middle))
    code = "proposed_used" if used else "proposed_denied" if share < AGREES else "proposed_not_needed"
    return Note.of(code, share=share, error=error)


def _describe_turn(turned: Turned, setup: Setup, notes: list[Note]) -> None:
    notes.append(Note.of("turn_solved", degrees=np.degrees(turned.angle), error=turned.residual))
    if 0 < turned.angle < SMALL_TURN:
        notes.append(Note.of("small_turn", share=turned.angle))
    if turned.zoom > 1.02:
        notes.append(Note.of("zoom", factor=turned.zoom))
    else:
        source = "the turn" if turned.focal_seen else ""
        deviation = turned.focal_deviation / max(turned.explained, LEAST_EXPLAINED)
        _describe_focal(turned.cameras, deviation, source, setup, notes)


def _describe_focal(cameras: Cameras, deviation: float, source: str, setup: Setup, notes: list[Note]) -> None:
    """`source` says what showed the focal; empty where nothing did.

    `deviation` is the solve's own over the share of the points that it explains: the others deny it.
    """
    if setup.focal_known:
        return
    degrees = _degrees(cameras, setup)
    if source:
        notes.append(Note.of("fov_found", degrees=degrees, source=source, deviation=STATED * deviation))
    else:
        notes.append(Note.of("fov_of_depth_model" if setup.lens_of_model else "fov_assumed", degrees=degrees))


def _degrees(cameras: Cameras, setup: Setup) -> float:
    return float(np.degrees(2 * np.arctan(0.5 * setup.width / cameras.focal[0])))


def _expected_error(lifted: Lifted, motion: Motion) -> list[Note]:
    """What the points' depth may err by; of depth that was assumed the closing notes tell."""
    told = []
    if motion == "general" and np.isfinite(lifted.standing_error) and (lifted.kept & ~lifted.moving).any():
        stand = lifted.kept & ~lifted.moving
        poor = 0.0 if lifted.depth_error is None else float((lifted.depth_error[stand] > POOR_DEPTH).mean())
        told.append(Note.of("standing_depth_error", share=lifted.standing_error, limit=POOR_DEPTH, poor=poor))
        if poor > MUCH_POOR or lifted.standing_error > POORLY_KNOWN:
            told.append(Note.of("depth_uncertain"))
    if not lifted.assumed.any() and np.isfinite(lifted.map_error):
        which = "moving" if motion == "general" else "all"
        told.append(Note.of("map_depth_error", share=lifted.map_error, which=which))
    return told
