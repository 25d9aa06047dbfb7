"""SpatialTrackerV2 as a PointTracker: the clip goes to the user's own install, its tracks come back as ours."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ....cameras import CameraPath, project
from ....errors import Track2ViewError
from ....notes import Note
from ....progress import Progress
from ...point_tracks import PointTracks
from ..assembly import sample_colours
from ..klt import checked_video
from .joining import Piece, carried_tracks, held, joined, piece_spans
from .placement import Placement, start_points
from .process import Message, run_watched
from .profiles import TrackerProfile

VARIANTS = ("offline", "online")
SUPPORT_POINTS, ITERATIONS = 756, 4
SPARE_STARTS = 1.5
"""Start points sent for each track asked for: some fall on sky or edges, where the depth is not certain."""
FEWEST_FRAMES = 4
"""The tracker's differences over time need some; shorter clips get their last frame repeated."""
VISIBLE = 0.5
NEAREST_DEPTH = 0.011
"""The tracker clamps depth at 0.01, and has 0 for frames in which it did not follow a point."""
NOT_A_ROTATION = 0.05
WORKER = Path(__file__).with_name("worker.py")
HOST_VARIABLES = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__")
"""What would lead the other Python to this one's packages."""


@dataclass(frozen=True)
class SpatialTrackerV2:
    """The tracker of one profile. Each run starts a process of its own, which ends with the run."""

    profile: TrackerProfile

    def track(
        self,
        video: Tensor | np.ndarray,  # [T, H, W, 3] uint8
        *,
        points: int = 1024,
        variant: str = "offline",
        camera_fixed: bool = False,
        start_frames: int = 3,
        support_points: int = SUPPORT_POINTS,
        progress: Progress | None = None,
    ) -> PointTracks:
        """3D tracks and the source camera; the world is the camera of frame 0.

        Args:
            points: the most tracks to return.
            variant: "offline" follows points both ways through the clip, "online" only onwards, in short windows.
            camera_fixed: the camera stands: every pose is exactly the identity, and the lens is one.
            start_frames: in how many frames, first and last among them, tracks start; 1 is the first frame alone.
            support_points: how many further points the tracker follows to find its camera.

        Raises:
            Track2ViewError: an option or the profile does not fit, the tracker stops, or what it gives is not sound.
        """
        frames = checked_video(video)
        _check_options(points, variant, start_frames, support_points)
        weights = self.profile.check(variant, os.environ)
        options = _Options(points, variant, camera_fixed, start_frames, support_points, weights)
        placement = Placement.of(frames.shape[2], frames.shape[1])
        spans = piece_spans(len(frames), self.profile.frames_at_once)
        notes = [Note.of("spatial_tracker_fixed" if camera_fixed else "spatial_tracker", variant=variant)]
        whole: Piece | None = None
        for number, (start, stop) in enumerate(spans):
            carried = np.zeros(0, int)
            if whole is not None:
                carried = carried_tracks(whole, (start + whole.stop) // 2)
            queries = _queries(options, placement, whole, carried, (start, stop), len(spans))
            report = _piece_progress(progress, number, len(spans))
            result = self._run(frames[start:stop], queries, len(carried), len(spans), options, placement, report)
            piece = _piece(result, queries, placement, (start, stop), camera_fixed)
            if whole is None:
                whole = piece
                continue
            shared = carried[result["kept"][result["kept"] < len(carried)]]
            whole, scale, gap = joined(whole, piece, shared, camera_fixed=camera_fixed)
            notes.append(
                Note.of("pieces_joined", first=start, last=stop - 1, count=len(shared), share=gap, scale=scale)
            )
        assert whole is not None
        return _tracks(frames, whole, points, notes)

    def _run(
        self,
        frames: np.ndarray,
        queries: np.ndarray,
        carried: int,
        pieces: int,
        options: _Options,
        placement: Placement,
        report: Progress,
    ) -> dict[str, np.ndarray]:
        """One piece of the clip through the tracker's own process."""
        pictures = np.stack([placement.picture(frame) for frame in frames])
        missing = max(0, FEWEST_FRAMES - len(pictures))
        pictures = np.concatenate([pictures, *[pictures[-1:]] * missing])
        request = {
            "checkout": str(self.profile.checkout),
            "weights": options.weights,
            "device": self.profile.device,
            "camera_fixed": options.camera_fixed,
            "support_points": options.support_points,
            "iterations": ITERATIONS,
            "content": [placement.left, placement.left + placement.content_width],
            "carried": carried,
            "new": -(-options.points // pieces),
        }
        with tempfile.TemporaryDirectory(prefix="track2view_", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            np.savez(folder / "request.npz", frames=pictures, queries=queries.astype(np.float32))
            (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
            run_watched(
                [str(self.profile.python), str(WORKER), str(folder)],
                folder=self.profile.checkout,
                environment=_environment(os.environ),
                watch=_watcher(report),
                name=f"SpatialTrackerV2 (profile {self.profile.name!r})",
            )
            result = _read_result(folder / "result.npz", len(pictures), len(queries))
        return {name: array if name == "kept" else array[: len(frames)] for name, array in result.items()}


@dataclass(frozen=True)
class _Options:
    points: int
    variant: str
    camera_fixed: bool
    start_frames: int
    support_points: int
    weights: Mapping[str, str]  # folders


def _check_options(points: int, variant: str, start_frames: int, support_points: int) -> None:
    for name, value, least in (
        ("points", points, 1),
        ("start_frames", start_frames, 1),
        ("support_points", support_points, 16),
    ):
        if value < least:
            raise Track2ViewError(f"{name} is {value}; it must be at least {least}.")
    if variant not in VARIANTS:
        raise Track2ViewError(f"variant is {variant!r}; it must be {' or '.join(VARIANTS)}.")


def _queries(
    options: _Options,
    placement: Placement,
    whole: Piece | None,
    carried: np.ndarray,
    span: tuple[int, int],
    pieces: int,
) -> np.ndarray:
    """[N, 3] frame of the piece, x, y in the tracker's pixels: the carried tracks, then new starts in spare number."""
    start, stop = span
    length = stop - start
    first = 0 if whole is None else whole.stop - start  # later pieces start new tracks where the earlier one ends
    chosen = np.unique(np.linspace(first, length - 1, min(options.start_frames, length - first)).round().astype(int))
    wanted = int(SPARE_STARTS * -(-options.points // pieces)) + 16
    frame, xy = start_points(wanted, chosen.tolist(), placement.clip_width, placement.clip_height)
    new = np.column_stack([frame, placement.to_tracker(xy)])
    if whole is None:
        return new
    at = (start + whole.stop) // 2
    old = placement.to_tracker(whole.pixels[at - whole.start, carried])
    return np.concatenate([np.column_stack([np.full(len(old), at - start), old]), new])


def _environment(host: Mapping[str, str]) -> dict[str, str]:
    environment = {name: value for name, value in host.items() if name not in HOST_VARIABLES}
    # A run of a graph downloads nothing; the user does so once, as docs/TRACKERS.md says.
    return {**environment, "HF_HUB_OFFLINE": "1", "PYTHONIOENCODING": "utf-8"}


def _piece_progress(progress: Progress | None, number: int, pieces: int) -> Progress:
    def report(done: int, total: int, stage: str) -> None:
        if progress is not None:
            part = f"{stage} (part {number + 1} of {pieces})" if pieces > 1 else stage
            progress(number * total + done, pieces * total, part)

    return report


def _watcher(report: Progress):
    done, stage = 0, "starting SpatialTrackerV2"

    def watch(message: Message | None) -> None:
        nonlocal done, stage
        if message is not None and "error" in message:
            raise Track2ViewError(str(message["error"]))
        if message is not None and "stage" in message:
            done, stage = round(100 * float(message["share"])), str(message["stage"])
        report(done, 100, stage)

    return watch


# --- what comes back --------------------------------------------------------------------------------------------------


def _read_result(file: Path, frames: int, queries: int) -> dict[str, np.ndarray]:
    """The worker's arrays, each of the shape it must have; nothing is unpickled."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            kept = arrays["kept"]
            tracks = len(kept)
            shapes = {
                "world_from_camera": (frames, 4, 4),
                "intrinsics": (frames, 3, 3),
                "camera_points": (frames, tracks, 3),
                "pixels": (frames, tracks, 2),
                "visibility": (frames, tracks),
                "confidence": (frames, tracks),
            }
            result = {name: arrays[name] for name in shapes}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise Track2ViewError(
            f"SpatialTrackerV2 ended without a sound result ({error}); its checkout may be of another version than "
            "docs/TRACKERS.md names."
        ) from error
    for name, array in result.items():
        if array.shape != shapes[name] or array.dtype.kind != "f":
            raise Track2ViewError(
                f"SpatialTrackerV2 gave {name} as {array.dtype} {list(array.shape)} where {list(shapes[name])} of "
                "numbers belong; check out the version that docs/TRACKERS.md names."
            )
    if kept.dtype.kind != "i" or kept.ndim != 1 or tracks == 0 or kept.min() < 0 or kept.max() >= queries:
        raise Track2ViewError("SpatialTrackerV2 gave tracks that were not asked for; update the worker with the pack.")
    return {name: array.astype(np.float64) for name, array in result.items()} | {"kept": kept.astype(np.int64)}


def _piece(
    result: dict[str, np.ndarray], queries: np.ndarray, placement: Placement, span: tuple[int, int], camera_fixed: bool
) -> Piece:
    start, stop = span
    asked = queries[result["kept"]]
    local = result["camera_points"]
    poses = np.tile(np.eye(4), (stop - start, 1, 1)) if camera_fixed else _rigid(result["world_from_camera"])
    known = np.isfinite(local).all(-1) & (local[..., 2] > NEAREST_DEPTH) & np.isfinite(result["pixels"]).all(-1)
    world = np.einsum("tij,tnj->tni", poses[:, :3, :3], np.where(known[..., None], local, 0.0)) + poses[:, None, :3, 3]
    pixels = placement.to_clip(result["pixels"])
    size = (placement.clip_width, placement.clip_height)
    inside = (pixels >= 0).all(-1) & (pixels < size).all(-1)
    return Piece(
        start=start,
        positions=held(world, known),
        pixels=held(pixels, known),
        known=known,
        visible=known & inside & (result["visibility"] > VISIBLE),
        confidence=np.where(known, np.nan_to_num(result["confidence"]).clip(0.0, 1.0), 0.0),
        poses=poses,
        intrinsics=placement.intrinsics_of_clip(result["intrinsics"]),
        born=start + asked[:, 0].astype(int).clip(0, stop - start - 1),
        born_xy=placement.to_clip(asked[:, 1:]),
    )


def _rigid(poses: np.ndarray) -> np.ndarray:
    """Poses whose rotations, which went through half precision, are exact again."""
    u, _, vt = np.linalg.svd(np.nan_to_num(poses[:, :3, :3]))
    rotation = u @ vt
    off = np.abs(rotation - poses[:, :3, :3]).max()
    if not off <= NOT_A_ROTATION or not np.isfinite(poses).all() or (np.linalg.det(rotation) < 0).any():
        raise Track2ViewError(
            "SpatialTrackerV2 gave camera poses that are no rotations; set camera_fixed if the camera stands, or use "
            "the other tracker for this clip."
        )
    out = np.zeros_like(poses)
    out[:, :3, :3], out[:, :3, 3], out[:, 3, 3] = rotation, poses[:, :3, 3], 1.0
    return out


def _tracks(frames: np.ndarray, piece: Piece, points: int, notes: list[Note]) -> PointTracks:
    found = np.flatnonzero(piece.known[piece.born - piece.start, np.arange(len(piece.born))])[:points]
    if len(found) == 0:
        raise Track2ViewError(
            "SpatialTrackerV2 gave no track with a depth in front of the camera; use the other tracker for this clip."
        )
    height, width = frames.shape[1:3]
    camera = CameraPath(torch.from_numpy(piece.poses), torch.from_numpy(piece.intrinsics), width, height)
    moved = camera.relative_to_first()
    to_first = camera.camera_from_world[0].numpy()
    positions = piece.positions[:, found] @ to_first[:3, :3].T + to_first[:3, 3]
    colours = sample_colours(frames, piece.born_xy[found], piece.born[found])
    visible = torch.from_numpy(piece.visible[:, found])
    tracks = PointTracks(
        positions=torch.from_numpy(positions).float(),
        visible=visible,
        confidence=torch.from_numpy(piece.confidence[:, found]).float(),
        camera=moved,
        colors=torch.from_numpy(colours.round().clip(0, 255).astype(np.uint8)),
    )
    return replace(tracks, notes=(*notes, *_closing_notes(tracks, piece.pixels[:, found], points)))


def _closing_notes(tracks: PointTracks, pixels: np.ndarray, points: int) -> list[Note]:
    count = tracks.positions.shape[1]
    notes = [Note.of("tracks_found", count=count, wanted=points, visible=tracks.visible.float().mean())]
    if count < 0.5 * points:
        notes.append(Note.of("few_certain"))
    view = project(tracks.camera, tracks.positions)
    apart = np.linalg.norm(view.xy.numpy() - pixels, axis=2)[tracks.visible.numpy()]
    if len(apart) == 0:
        return [*notes, Note.of("none_visible")]
    middle = float(np.median(apart))
    notes.append(Note.of("views_agree", error=middle))
    if middle > 0.01 * max(tracks.camera.width, tracks.camera.height):
        notes.append(Note.of("views_disagree"))
    return notes
