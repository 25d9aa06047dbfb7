"""2D tracks: as other nodes pass them along, and lifted to 3D with the built-in tracker's own mathematics.

TRACKS (core's Wan-Move nodes): `{"track_path": [T, N, 2] pixels, "track_visibility": [T, N] bool}`.
JSON (ATI, KJNodes' spline editor, CoTracker nodes): a list of tracks, each a list of `{"x", "y"}` in pixels, one a
frame; or one such track alone; or a list of strings with one track each. There is no visibility.
ATI wants 121 samples a track however long the clip is, and takes for frame t of a clip of T frames the sample
`ati_samples(T)[t]`; tracks of 121 samples are read by the same rule.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..cameras import CameraPath, project
from ..cameras.path import USUAL_FOV
from ..errors import Track2ViewError
from ..notes import Note
from ..progress import Progress
from .pairing import PairedTracks
from .point_tracks import PointTracks
from .trackers.assembly import ShotTracks, path_of_shots, sample_colours
from .trackers.camera_solver import Cameras, ideal_pixels, pixel_limit
from .trackers.depth_maps import sample_inverse_depth
from .trackers.flow import PixelTracks
from .trackers.shots import FEWEST_TRACKS, cut_notes, solve_shots, typical_count, working_scale
from .trackers.triangulation import MEASURED, Lifted, assumption_notes, lift_travelling, lift_turning

ATI_SAMPLES = 121
MOST_POINTS = 20_000_000
"""Frames times tracks: more is no list of tracks."""
NO_TRACKS = 'The tracks JSON holds no tracks; it must be a list of tracks, each a list of {"x": ..., "y": ...}.'


@dataclass(frozen=True, eq=False)
class Tracks2D:
    """N tracks in one view over T frames."""

    xy: Tensor  # [T, N, 2] float32 pixels
    visible: Tensor  # [T, N] bool

    def __len__(self) -> int:
        return len(self.xy)


def tracks_of_view(paired: PairedTracks, view: str) -> Tracks2D:
    """The tracks in the "source" view, visible where the tracker saw them, or in the "target" view, where every point
    inside the picture counts as visible that the source shows at least once."""
    if view not in ("source", "target"):
        raise Track2ViewError(f"view is {view!r}; it must be source or target.")
    if view == "source":
        return Tracks2D(paired.source.xy.cpu(), (paired.visible & paired.source.inside).cpu())
    return Tracks2D(paired.target.xy.cpu(), (paired.target.inside & paired.seen).cpu())


# --- TRACKS of core ---------------------------------------------------------------------------------------------------


def tracks_from_core(told: object) -> Tracks2D:
    """The tracks of a TRACKS dict; without `track_visibility` all count as visible.

    Raises:
        Track2ViewError: it is no such dict, or holds NaN.
    """
    if not isinstance(told, Mapping) or told.get("track_path") is None:
        raise Track2ViewError("TRACKS holds no track_path; link the tracks output of a Wan-Move node.")
    xy = torch.as_tensor(told["track_path"]).detach().to("cpu", torch.float32)
    xy = xy[0] if xy.ndim == 4 and len(xy) == 1 else xy
    if xy.ndim != 3 or xy.shape[-1] != 2 or 0 in xy.shape:
        raise Track2ViewError(f"TRACKS has a track_path of shape {list(xy.shape)}; it must be [frames, tracks, 2].")
    _check_finite(xy, "TRACKS")
    visible = told.get("track_visibility")
    if visible is None:
        return Tracks2D(xy, torch.ones(xy.shape[:2], dtype=torch.bool))
    visible = torch.as_tensor(visible).detach().to("cpu") > 0.5
    visible = visible[0] if visible.ndim == 3 and len(visible) == 1 else visible
    if visible.ndim == 2 and visible.shape[0] == len(xy) and visible.shape[1] == 1:
        visible = visible.expand(xy.shape[:2])  # a mask a frame
    if visible.shape != xy.shape[:2]:
        raise Track2ViewError(
            f"TRACKS has track_visibility of shape {list(visible.shape)} beside a track_path of {list(xy.shape)}; "
            "both must be of the same frames and tracks."
        )
    return Tracks2D(xy, visible.clone())


def core_from_tracks(tracks: Tracks2D) -> dict[str, Tensor]:
    """TRACKS of the tracks."""
    return {"track_path": tracks.xy.clone(), "track_visibility": tracks.visible.clone()}


# --- JSON -------------------------------------------------------------------------------------------------------------


def tracks_from_json(text: str | Sequence[str], *, frames: int | None = None) -> tuple[Tracks2D, Note]:
    """The tracks of a JSON text, or of one text a track, and how they were fitted to the clip.

    Args:
        frames: the clip's; None takes the tracks' own number. Tracks of 121 samples are read by ATI's rule, one point
            alone is held, and any other number of samples is spread evenly over the clip.

    Raises:
        Track2ViewError: no JSON, no tracks, tracks of different lengths, or points that are no numbers.
    """
    listed: Any = _parsed(text) if isinstance(text, str) else [track for part in text for track in _one_track(part)]
    if isinstance(listed, list) and listed and all(isinstance(entry, str) for entry in listed):
        listed = [track for part in listed for track in _one_track(part)]
    if isinstance(listed, list) and listed and isinstance(listed[0], Mapping):
        listed = [listed]
    if not isinstance(listed, list) or not listed or not all(isinstance(track, list) and track for track in listed):
        raise Track2ViewError(NO_TRACKS)
    lengths = sorted({len(track) for track in listed})
    if len(lengths) > 1:
        raise Track2ViewError(
            f"The tracks JSON has tracks of {lengths[0]} to {lengths[-1]} points; all must have one point a frame."
        )
    if lengths[0] * len(listed) > MOST_POINTS or (frames or 0) * len(listed) > MOST_POINTS:
        raise Track2ViewError(f"The tracks JSON has {len(listed)} tracks of {lengths[0]} points; give fewer tracks.")
    xy = torch.tensor([[_point(point) for point in track] for track in listed], dtype=torch.float32).transpose(0, 1)
    _check_finite(xy, "The tracks JSON")
    xy, told = _in_frames(xy.contiguous(), frames)
    return Tracks2D(xy, torch.ones(xy.shape[:2], dtype=torch.bool)), told


def json_from_tracks(tracks: Tracks2D, *, samples: int | None = None) -> str:
    """The tracks as JSON, one point a frame, or with `samples=121` as ATI reads them."""
    xy = tracks.xy
    if samples not in (None, ATI_SAMPLES):
        raise Track2ViewError(f"samples is {samples}; tracks are written with one a frame, or {ATI_SAMPLES} for ATI.")
    if samples is not None:
        xy = _sampled(xy, _frames_of_samples(len(xy)))
    listed = [[{"x": round(x, 3), "y": round(y, 3)} for x, y in track] for track in xy.transpose(0, 1).tolist()]
    return json.dumps(listed, separators=(",", ":"))


def ati_samples(frames: int) -> np.ndarray:
    """Which of the 121 samples ATI takes for each frame, `[T]`: every `a`-th of the last 120, each repeated `b` times,
    with a / b = 120 / (T - 1) in lowest terms."""
    if frames == ATI_SAMPLES or frames == 1:
        return np.arange(frames)
    shared = math.gcd(ATI_SAMPLES - 1, frames - 1)
    every, repeated = (ATI_SAMPLES - 1) // shared, (frames - 1) // shared
    later = 1 + (1 + every * np.arange(frames - 1)) // repeated
    return np.minimum(np.concatenate([[0], later]), ATI_SAMPLES - 1)


def _frames_of_samples(frames: int) -> np.ndarray:
    """The moment in frames of each of ATI's samples, so that the sample it takes for a frame is that very frame."""
    taken = ati_samples(frames)
    if frames > ATI_SAMPLES:
        return np.linspace(0, frames - 1, ATI_SAMPLES)
    return np.interp(np.arange(ATI_SAMPLES), taken, np.arange(frames))


def _in_frames(xy: Tensor, frames: int | None) -> tuple[Tensor, Note]:
    count = len(xy)
    if frames is None or count == frames:
        return xy, Note.of("samples_are_frames", samples=count)
    if count == 1:
        return xy.expand(frames, -1, -1).clone(), Note.of("sample_held")
    if count == ATI_SAMPLES:
        return xy[torch.from_numpy(ati_samples(frames))], Note.of("samples_of_ati", samples=count)
    moments = np.linspace(0, count - 1, frames)
    return _sampled(xy, moments), Note.of("samples_spread", samples=count, frames=frames)


def _sampled(xy: Tensor, moments: np.ndarray) -> Tensor:
    """`xy` [T, N, 2] at fractional frames `moments` [S]."""
    before = torch.from_numpy(np.clip(np.floor(moments).astype(np.int64), 0, max(0, len(xy) - 2)))
    after = (before + 1).clamp(max=len(xy) - 1)
    share = torch.from_numpy(moments).float() - before
    return torch.lerp(xy[before], xy[after], share[:, None, None])


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        pass
    try:
        return json.loads(text.replace("'", '"'))  # as Python prints lists, which core's nodes accept too
    except (json.JSONDecodeError, RecursionError) as error:
        raise Track2ViewError(
            f"The tracks are no JSON ({error}); link the coordinates output of a track node."
        ) from error


def _one_track(text: object) -> list[Any]:
    """The tracks of one of several texts: one, or a list of them."""
    found = _parsed(text) if isinstance(text, str) else text
    if not isinstance(found, list) or not found:
        raise Track2ViewError(NO_TRACKS)
    return [found] if isinstance(found[0], Mapping) else found


def _point(point: object) -> tuple[float, float]:
    try:
        return float(point["x"]), float(point["y"])  # type: ignore[index]
    except (TypeError, KeyError, ValueError) as error:
        raise Track2ViewError(
            f'The tracks JSON has a point {point!r:.60}; it must be {{"x": ..., "y": ...}}.'
        ) from error


def _check_finite(xy: Tensor, name: str) -> None:
    if not bool(xy.isfinite().all()):
        frame, track = (~xy.isfinite().all(-1)).nonzero()[0].tolist()
        raise Track2ViewError(f"{name} holds NaN or infinity at frame {frame}, track {track}; give finite pixels.")


# --- lifted to 3D -----------------------------------------------------------------------------------------------------


def standing_camera(frames: int, width: int, height: int, fov_degrees: float | None = None) -> tuple[CameraPath, Note]:
    """The camera to lift with where no path is known, and the note that says so."""
    degrees = fov_degrees or USUAL_FOV
    note = Note.of("camera_stands", degrees=degrees).without(fov_degrees=fov_degrees)
    return CameraPath.standing(frames, width, height, fov_degrees=degrees), note


def lift_tracks(
    tracks: Tracks2D,
    *,
    camera: CameraPath | None = None,
    motion: str = "auto",
    fov_degrees: float | None = None,
    fov_guess: float | None = None,
    proposed: CameraPath | None = None,
    depth: Tensor | np.ndarray | None = None,  # [T, h, w]
    video: Tensor | np.ndarray | None = None,  # [T, H, W, 3] uint8
    progress: Progress | None = None,
) -> PointTracks:
    """3D tracks of 2D ones, in their order, without those that fit neither a standing nor a moving point.

    Without `camera` it is solved from the tracks, as the built-in tracker solves it from its own; of tracks too few
    for that, such as a handful of splines, it is taken to be `proposed`, or else to stand.

    Parallax places standing points before a travelling camera; depth, fitted to them frame by frame in inverse depth,
    places the others; without it, moving points rest on what stands around them. Before a camera that stands or only
    turns all depth is the maps', or without maps a flat backdrop's with what moves in front. The notes say so. Moving
    points keep their 2D places exactly, standing ones within the tracker's error.

    Args:
        camera: the source camera at the size whose pixels the tracks are in.
        motion, fov_degrees, fov_guess, proposed: of a camera that is to be solved; as `KltTracker.track` takes them.
        depth: one map a frame, any resolution and scale, NaN where unknown.
        video: the frames, for the points' colours; where no camera is given, also for their size.

    Raises:
        Track2ViewError: tracks, camera, depth and video are of different lengths, or no track could be placed.
    """
    given = {"camera": camera, "proposed": proposed, "depth": depth, "video": video}
    for name, value in given.items():
        if value is not None and len(value) != len(tracks):
            raise Track2ViewError(
                f"The 2D tracks have {len(tracks)} frames and {name} has {len(value)}; give both of the same clip."
            )
    if camera is None and video is None:
        raise Track2ViewError("The 2D tracks came without camera and without video; give one of the two.")
    maps = None if depth is None else np.asarray(torch.as_tensor(depth).cpu(), np.float32)
    notes: list[Note] = []
    solved = None
    if camera is None:
        height, width = torch.as_tensor(video).shape[1:3]
        flow = _flow(tracks, width, height)
        if motion != "auto" or typical_count(flow) >= FEWEST_TRACKS:
            known = {"motion": motion, "fov_degrees": fov_degrees, "fov_guess": fov_guess, "proposed": proposed}
            camera, solved, notes = _solved(flow, width, height, depth=maps, progress=progress, **known)
        elif proposed is not None:
            camera = proposed.resized(width, height)
        else:
            camera, told = standing_camera(len(tracks), width, height, fov_degrees or fov_guess)
            notes.append(told)
    camera = camera.relative_to_first().to("cpu")
    flow = _flow(tracks, camera.width, camera.height)
    lifted = solved or _lifted(flow, camera, maps)
    kept = np.flatnonzero(lifted.kept)
    if not len(kept):
        raise Track2ViewError(
            f"None of the {flow.seen.shape[1]} 2D tracks could be placed in space; check that camera and tracks belong "
            "to one clip, and that tracks are visible in at least two frames."
        )
    lifted, index = lifted.select(kept), torch.from_numpy(kept)
    notes += _notes(lifted, flow.seen.shape[1], depth is not None)
    positions = torch.from_numpy(lifted.positions).float()
    visible = torch.from_numpy(flow.seen[:, kept])
    quality = torch.from_numpy(np.exp(-0.5 * lifted.error) * np.where(lifted.assumed > MEASURED, 0.5, 1.0)).float()
    return PointTracks(
        positions,
        visible & project(camera, positions).inside,
        (quality * torch.where(visible, 1.0, 0.5)).clamp(0, 1),
        camera,
        None if video is None else _colours(video, tracks.xy[:, index], flow.seen[:, kept], camera),
        tuple(notes),
    )


def _flow(tracks: Tracks2D, width: int, height: int) -> PixelTracks:
    """The tracks where they are seen inside the picture; a shot begins where none goes on."""
    xy = tracks.xy.to("cpu", torch.float64).numpy()
    seen = tracks.visible.cpu().numpy() & (xy >= 0).all(-1) & (xy < (width, height)).all(-1)
    going_on = (seen[1:] & seen[:-1]).any(1)
    begins = np.flatnonzero(~going_on & seen[1:].any(1) & np.logical_or.accumulate(seen[:-1].any(1))) + 1
    return PixelTracks(xy, seen, tuple(begins.tolist()))


def _solved(
    flow: PixelTracks, width: int, height: int, *, depth: np.ndarray | None, progress: Progress | None, **known: Any
) -> tuple[CameraPath, Lifted, list[Note]]:
    """Camera and points, by the built-in tracker's own solvers; `known` is what they may be told."""
    scale = working_scale(width, height)
    working = PixelTracks(np.where(flow.seen[..., None], flow.xy * scale, 0.0), flow.seen, flow.cuts)
    shots, notes = [], cut_notes(working)
    for span, part, _, shot in solve_shots(working, (width, height), scale, depth=depth, progress=progress, **known):
        shots.append((span, part, shot))
        notes += shot.notes
    path = path_of_shots([shot for _, _, shot in shots], width, height, scale)
    frames, count = flow.seen.shape
    none = np.zeros(count, bool)
    lifted = Lifted(np.zeros((frames, count, 3)), none, np.zeros(count), none.copy(), np.zeros(count, int))
    for span, part, shot in shots:
        born = flow.seen[span].any(0)
        lifted.positions[:, born] = ShotTracks(span, part, shot.lifted).placed(path, frames)
        for values, found in (
            (lifted.moving, shot.lifted.moving),
            (lifted.error, shot.lifted.error),
            (lifted.kept, shot.lifted.kept),
            (lifted.assumed, shot.lifted.assumed),
        ):
            values[born] = found
    return path, lifted, notes


def _lifted(flow: PixelTracks, camera: CameraPath, maps: np.ndarray | None) -> Lifted:
    """The points before a camera that is known."""
    center = np.array([camera.width / 2, camera.height / 2])
    cameras = Cameras.of_path(camera, center)
    ideal = PixelTracks(ideal_pixels(flow.xy, camera, center), flow.seen)
    measured = None
    if maps is not None:
        measured = sample_inverse_depth(maps, flow.xy, flow.seen, camera.width, camera.height)
        if flow.seen.any() and not np.isfinite(measured).any():
            raise Track2ViewError("The depth maps hold no positive finite depth at any 2D track; give other depth.")
    limit = pixel_limit(camera.width, camera.height)
    if not cameras.travels:
        return lift_turning(ideal, cameras, measured, limit=limit, lone_movers=True)
    everywhere = np.ones(len(flow.seen), bool)
    return lift_travelling(ideal, cameras, everywhere, measured, limit=limit, lone_movers=True)


def _colours(video: Tensor | np.ndarray, xy: Tensor, seen: np.ndarray, camera: CameraPath) -> Tensor:
    frames = torch.as_tensor(video).cpu().numpy()
    born = seen.argmax(0)
    scale = np.array([frames.shape[2] / camera.width, frames.shape[1] / camera.height])
    places = xy.numpy()[born, np.arange(len(born))] * scale
    return torch.from_numpy(sample_colours(frames, places, born).round().clip(0, 255).astype(np.uint8))


def _notes(lifted: Lifted, given: int, by_maps: bool) -> tuple[Note, ...]:
    notes = [Note.of("tracks_lifted", count=len(lifted.kept), given=given, moving=lifted.moving.sum())]
    notes += assumption_notes(lifted.assumed)
    if by_maps and not (lifted.assumed > MEASURED).any():
        notes.append(Note.of("depth_aligned"))
    return tuple(notes)
