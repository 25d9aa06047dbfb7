"""The built-in tracker on rendered clips with known geometry: accuracy, TAPVid-3D's scores, seconds.

`python -m benchmarks.tracking` prints one line a clip, with and without depth maps (which err by 5 %). `--pycolmap`
also gives the same followed points to COLMAP and prints both solvers side by side.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from track2view_core.evaluation.tracker_scores import (
    PathScores,
    RenderedClip,
    path_scores,
    rendered_clip,
    score_points,
    score_tracks,
)
from track2view_core.tracks import PointTracks
from track2view_core.tracks.trackers import KltTracker
from track2view_core.tracks.trackers.bundle_adjustment import Cameras
from track2view_core.tracks.trackers.flow import follow_points
from track2view_core.tracks.trackers.klt import USUAL_FOCAL, gray_frames
from track2view_core.tracks.trackers.reconstruction import reconstruct

CLASSES = {"static": "static", "pan": "rotation", "arc": "general", "handheld": "general", "dolly": "general"}
DEPTH_NOISE = 0.05
HEAD = (
    "move      seed depth class          focal %  rot deg   ATE %   RPE %  standing %  moving %  movers"
    "   APD3D  AJ3D    OA   CPU s  wall s"
)


def noisy_depth(clip: RenderedClip, seed: int) -> Tensor:
    noise = torch.randn(clip.depth.shape, generator=torch.Generator().manual_seed(seed))
    return clip.depth * (1 + DEPTH_NOISE * noise)


def motion_class(tracks: PointTracks) -> str:
    """Of the first shot: fast movers close to the camera may look like a cut."""
    note = next(note for note in tracks.notes if "motion " in note)
    return note.partition("motion ")[2].split()[0]


def line(move: str, seed: int, clip: RenderedClip, options: argparse.Namespace, *, with_depth: bool) -> str:
    depth = noisy_depth(clip, seed) if with_depth else None
    wall, used = time.perf_counter(), time.process_time()
    tracks = KltTracker().track(
        clip.frames, points=options.points, depth=depth, fov_degrees=options.fov if options.give_fov else None
    )
    wall, used = time.perf_counter() - wall, time.process_time() - used
    s, p, where = score_tracks(tracks, clip), score_points(tracks, clip), path_scores(tracks.camera, clip.camera)
    found = motion_class(tracks)
    return (
        f"{move:9s} {seed:4d} {'yes' if with_depth else 'no':5s} {found:8s} "
        f"{'right' if found == CLASSES[move] else 'WRONG'} {100 * s.focal:+8.2f} {s.rotation:8.3f}"
        f" {100 * where.ate:7.2f} {100 * where.rpe:7.2f} {100 * s.standing:11.2f} {100 * s.moving:9.2f}"
        f" {s.moving_points:7d} {p.apd3d:7.3f} {p.aj3d:5.3f} {p.oa:5.3f} {used:7.1f} {wall:7.1f}"
    )


@dataclass(frozen=True)
class Solved:
    """One solver's answer to the followed points of a clip."""

    seconds: float
    frames: int
    focal: float  # error, share
    degrees: float  # largest error of the rotation relative to frame 0
    path: PathScores

    def line(self) -> str:
        return (
            f"{self.frames:3d} frames  focal {100 * self.focal:+6.2f} %  rot {self.degrees:6.3f} deg"
            f"  ATE {100 * self.path.ate:5.2f} %  {self.seconds:6.1f} s"
        )


def _solved(frames: np.ndarray, poses: np.ndarray, focal: float, seconds: float, clip: RenderedClip) -> Solved:
    from track2view_core.evaluation import rotation_error

    own, true = torch.from_numpy(poses), clip.camera.world_from_camera[torch.from_numpy(frames)]
    share = focal / float(clip.camera.intrinsics[0, 0, 0]) - 1
    return Solved(seconds, len(frames), share, float(rotation_error(own, true).max()), path_scores(own, true))


def beside_colmap(move: str, seed: int, clip: RenderedClip, threads: int) -> None:
    """Both solvers on the same followed points, movers among them, from the same first guess of the focal length."""
    from .colmap_camera import colmap_camera

    width, height = clip.camera.width, clip.camera.height
    flow = follow_points(gray_frames(clip.frames.numpy(), 1.0), len(clip.frames), density=1024)
    guess = USUAL_FOCAL * max(width, height)
    center = np.array([width / 2, height / 2])
    limit = max(1.0, 0.0012 * max(width, height))
    start = time.perf_counter()
    own = reconstruct(flow, center, focal=guess, focal_known=False, limit=limit)
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    theirs = colmap_camera(flow, width, height, guess, limit=limit, threads=threads)
    their_seconds = time.perf_counter() - start
    mine = None
    if own is not None:
        mine = _solved(np.arange(len(flow.xy)), _poses(own.cameras), float(own.cameras.focal[0]), seconds, clip)
        print(f"{move:9s} seed {seed}  built-in  {mine.line()}")
    other = None if theirs is None else _solved(*theirs, their_seconds, clip)
    print(f"{move:9s} seed {seed}  pycolmap  {'no model' if other is None else other.line()}")
    if mine is not None and other is not None:
        print(
            f"{move:9s} seed {seed}  built-in over pycolmap: time {mine.seconds / other.seconds:.2f}"
            f"  ATE {mine.path.ate / other.path.ate:.2f}  rotation {mine.degrees / other.degrees:.2f}",
            flush=True,
        )


def _poses(cameras: Cameras) -> np.ndarray:
    poses = np.tile(np.eye(4), (len(cameras), 1, 1))
    poses[:, :3, :3], poses[:, :3, 3] = cameras.rotation.transpose(0, 2, 1), cameras.centers()
    return poses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=832)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--frames", type=int, nargs="+", default=[25, 81])
    parser.add_argument("--points", type=int, default=1024)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--moves", nargs="+", default=list(CLASSES), choices=list(CLASSES))
    parser.add_argument("--depth", choices=["yes", "no", "both"], default="both")
    parser.add_argument("--amplitude", type=float, default=0.8, help="how far the camera moves")
    parser.add_argument("--fov", type=float, default=62.0, help="the clips' horizontal field of view, degrees")
    parser.add_argument("--give-fov", action="store_true", help="tell the tracker the field of view")
    parser.add_argument("--texture", choices=["detailed", "smooth"], default="detailed")
    parser.add_argument("--pycolmap", action="store_true", help="the camera solve beside COLMAP's, on the same points")
    parser.add_argument("--threads", type=int, default=1, help="of COLMAP; the built-in solver follows OMP_NUM_THREADS")
    options = parser.parse_args()
    with_depth = {"yes": [True], "no": [False], "both": [True, False]}[options.depth]
    for frames in options.frames:
        print(f"{frames} frames of {options.width} x {options.height}, {options.points} points\n{HEAD}", flush=True)
        for move in options.moves:
            for seed in options.seeds:
                clip = rendered_clip(
                    move, frames=frames, width=options.width, height=options.height, seed=seed,
                    amplitude=options.amplitude, texture=options.texture, fov_degrees=options.fov,
                )  # fmt: skip
                if options.pycolmap:
                    beside_colmap(move, seed, clip, options.threads)
                    continue
                for depth in with_depth:
                    print(line(move, seed, clip, options, with_depth=depth), flush=True)


if __name__ == "__main__":
    main()
