"""The built-in tracker on rendered clips with known geometry, and its time on a full-length clip.

`python -m benchmarks.tracker` prints one line a clip: motion class, focal length, rotation, path, depth of standing and
moving points (these with a depth map that errs by 5 %), processor seconds and wall-clock seconds.
"""

from __future__ import annotations

import argparse
import resource
import time

import torch

from track2view_core.evaluation.tracker_scores import RenderedClip, rendered_clip, score_tracks
from track2view_core.tracks import PointTracks
from track2view_core.tracks.trackers import KltTracker

CLASSES = {"static": "static", "pan": "rotation", "arc": "general", "handheld": "general", "dolly": "general"}
DEPTH_NOISE = 0.05


def tracked(clip: RenderedClip, seed: int, points: int) -> tuple[PointTracks, float, float]:
    """Tracks, user CPU seconds and wall-clock seconds."""
    noise = torch.randn(clip.depth.shape, generator=torch.Generator().manual_seed(seed))
    depth = clip.depth * (1 + DEPTH_NOISE * noise)
    start, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_utime
    tracks = KltTracker().track(clip.frames, points=points, depth=depth)
    return tracks, resource.getrusage(resource.RUSAGE_SELF).ru_utime - used, time.perf_counter() - start


def motion_class(tracks: PointTracks) -> str:
    return next(note.split()[1] for note in tracks.notes if note.startswith("motion "))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=832)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--frames", type=int, default=25)
    parser.add_argument("--points", type=int, default=1024)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--supersample", type=int, default=1)
    parser.add_argument("--moves", nargs="+", default=list(CLASSES), choices=list(CLASSES))
    options = parser.parse_args()
    print(f"{options.frames} frames of {options.width} x {options.height}, {options.points} points")
    for move in options.moves:
        for seed in options.seeds:
            clip = rendered_clip(
                move,
                frames=options.frames,
                width=options.width,
                height=options.height,
                seed=seed,
                supersample=options.supersample,
            )
            tracks, used, wall = tracked(clip, seed, options.points)
            s = score_tracks(tracks, clip)
            found = motion_class(tracks)
            right = "right" if found == CLASSES[move] else "WRONG"
            print(
                f"{move:9s} seed {seed}  {found:8s} {right}  f {100 * s.focal:+6.2f} %  rotation {s.rotation:.3f} deg"
                f"  path {100 * s.path:.2f} %  standing {100 * s.standing:.2f} %  moving {100 * s.moving:.2f} %"
                f" ({s.moving_points} of {tracks.positions.shape[1]})  user CPU {used:.1f} s  wall {wall:.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
