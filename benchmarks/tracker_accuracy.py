"""The built-in tracker on rendered clips with known geometry: accuracy beside its gates, TAPVid-3D's scores, seconds.

`python -m benchmarks.tracker_accuracy --out FOLDER` prints the whole table: every kind of move, with and without depth
maps (which err by 5 %), 25 and 81 frames, two seeds. Rows go to FOLDER/tracking.jsonl as they come; a second run goes
on where the first one stopped, and does rows of other code or libraries again. `--quick` is one seed of 25 frames.
`--pycolmap` gives the same followed points to COLMAP and prints both camera solvers side by side (benchmarks/
camera_solvers.py).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from track2view_core import scenes
from track2view_core.evaluation.camera_errors import path_scores
from track2view_core.evaluation.tracker_scores import score_points, score_tracks
from track2view_core.scenes import RenderedClip, rendered_clip
from track2view_core.tracks import PointTracks, trackers
from track2view_core.tracks.cache import code_version, library_versions
from track2view_core.tracks.trackers import KltTracker

from . import camera_solvers
from .meters import cpu_and_wall
from .result_files import Row, Rows

CLASSES = {"static": "static", "pan": "rotation", "arc": "general", "handheld": "general", "dolly": "general"}
TRAVELLING = ("arc", "handheld", "dolly")
DEPTH_NOISE = 0.05
NOTHING = float("nan")


@dataclass(frozen=True)
class Figure:
    """One column: a number of a row, how it is shown, and where it must stay below which gate."""

    name: str
    title: str
    form: str
    scale: float = 1.0
    gate: float | None = None  # in the shown unit; the size of the figure must stay below
    gated: Callable[[Row], bool] = lambda _: True

    def cell(self, row: Row) -> str:
        value = self.scale * row[self.name]
        mark = "" if self.gate is None else " " if self.holds(row) else "!"
        return format("-" if math.isnan(value) else format(value, self.form), f">{self.width - len(mark)}") + mark

    def holds(self, row: Row) -> bool:
        """Nothing to compare is no miss."""
        value = self.scale * row[self.name]
        return self.gate is None or not self.gated(row) or math.isnan(value) or abs(value) < self.gate

    @property
    def head(self) -> str:
        return format(self.title + ("" if self.gate is None else f" <{self.gate:g}"), f">{self.width}")

    @property
    def width(self) -> int:
        return max(7, len(self.title) + (0 if self.gate is None else len(f" <{self.gate:g}")))


def _travels(row: Row) -> bool:
    return row["move"] in TRAVELLING


FIGURES = (
    Figure("focal", "focal %", "+.2f", 100, 0.5, lambda row: row["move"] == "arc"),
    Figure("rotation", "rot deg", ".3f", 1, 0.1),
    Figure("ate", "ATE %", ".2f", 100, 1.0, _travels),
    Figure("rpe", "RPE %", ".2f", 100),
    # Before a camera that does not travel only depth maps tell depth.
    Figure("standing", "standing %", ".2f", 100, 1.0, lambda row: _travels(row) or row["depth"]),
    Figure("moving", "moving %", ".2f", 100, 6.0, lambda row: row["depth"]),
    Figure("movers", "movers", ".0f"),
    Figure("apd3d", "APD3D", ".3f"),
    Figure("aj3d", "AJ3D", ".3f"),
    Figure("oa", "OA", ".3f"),
    Figure("cpu", "CPU s", ".1f"),
    Figure("wall", "wall s", ".1f"),
)
HEAD = f"{'move':9s} frames seed depth {'class':14s}" + " ".join(figure.head for figure in FIGURES) + "  gates"


def noisy_depth(clip: RenderedClip, seed: int) -> Tensor:
    noise = torch.randn(clip.depth.shape, generator=torch.Generator().manual_seed(seed))
    return clip.depth * (1 + DEPTH_NOISE * noise)


def motion_class(tracks: PointTracks) -> str:
    """Of the first shot: fast movers close to the camera may look like a cut."""
    return str(next(note.facts["motion"] for note in tracks.notes if "motion" in note.facts))


def misses(row: Row) -> list[str]:
    """The gates that a row does not hold."""
    missed = [] if row["class"] == CLASSES[row["move"]] else ["class"]
    if row["move"] == "static" and not row["stands_exactly"]:
        missed.append("identity poses")
    return missed + [
        figure.title.removesuffix(" %").removesuffix(" deg") for figure in FIGURES if not figure.holds(row)
    ]


def line(row: Row) -> str:
    missed = misses(row)
    found = row["class"] + ("" if row["class"] == CLASSES[row["move"]] else " WRONG")
    return (
        f"{row['move']:9s} {row['frames']:6d} {row['seed']:4d} {'yes' if row['depth'] else 'no':5s} {found:14s}"
        + " ".join(figure.cell(row) for figure in FIGURES)
        + ("  pass" if not missed else "  MISS " + ", ".join(missed))
    )


@dataclass(frozen=True)
class Case:
    """A clip to be rendered, once and only when a row needs it."""

    move: str
    frames: int
    seed: int
    options: argparse.Namespace

    @cached_property
    def clip(self) -> RenderedClip:
        return rendered_clip(
            self.move, frames=self.frames, width=self.options.width, height=self.options.height, seed=self.seed,
            amplitude=self.options.amplitude, texture=self.options.texture, fov_degrees=self.options.fov,
        )  # fmt: skip

    @property
    def facts(self) -> Row:
        """All that a row depends on."""
        shared = ("width", "height", "amplitude", "texture", "fov")
        return {
            "move": self.move, "frames": self.frames, "seed": self.seed,
            **{name: getattr(self.options, name) for name in shared},
            "code": [code_version(Path(str(room.__file__)).parent) for room in (trackers, scenes)],
            "libraries": library_versions(),
        }  # fmt: skip


def cases(options: argparse.Namespace) -> Iterator[Case]:
    for frames in options.frames:
        for move in options.moves:
            for seed in options.seeds:
                yield Case(move, frames, seed, options)


def measured(case: Case, *, depth: bool, points: int, fov_degrees: float | None) -> Row:
    """One run of the tracker against the truth."""
    clip = case.clip
    maps = noisy_depth(clip, case.seed) if depth else None
    tracks, cpu, wall = cpu_and_wall(
        lambda: KltTracker().track(clip.frames, points=points, depth=maps, fov_degrees=fov_degrees)
    )
    s, p, where = score_tracks(tracks, clip), score_points(tracks, clip), path_scores(tracks.camera, clip.camera)
    stands = torch.equal(tracks.camera.world_from_camera, torch.eye(4, dtype=torch.float64).expand(len(tracks), 4, 4))
    return {
        "class": motion_class(tracks), "stands_exactly": stands,
        "focal": s.focal, "rotation": s.rotation, "ate": where.ate, "rpe": where.rpe,
        "standing": s.standing, "moving": s.moving, "movers": s.moving_points,
        "apd3d": p.apd3d, "aj3d": p.aj3d, "oa": p.oa, "cpu": cpu, "wall": wall,
    }  # fmt: skip


def print_table(options: argparse.Namespace, rows: Rows) -> None:
    with_depth = {"yes": [True], "no": [False], "both": [True, False]}[options.depth]
    fov = options.fov if options.give_fov else None
    print(f"{options.width} x {options.height}, {options.points} points; ! misses the gate in the head\n{HEAD}")
    done = []
    for case in cases(options):
        for depth in with_depth:
            facts = {**case.facts, "depth": depth, "points": options.points, "given_fov": fov}
            made = partial(measured, case, depth=depth, points=options.points, fov_degrees=fov)
            done.append(rows.get(facts, made))
            print(line(done[-1]), flush=True)
    missing = [row for row in done if misses(row)]
    print(f"{len(done) - len(missing)} of {len(done)} rows hold every gate", *map(line, missing), sep="\n")


def beside_colmap(case: Case, options: argparse.Namespace) -> Row:
    return camera_solvers.beside_colmap(case.clip, threads=options.threads, with_movers=options.with_movers)


def print_solvers(options: argparse.Namespace, rows: Rows) -> None:
    print(f"{options.width} x {options.height}\n{camera_solvers.HEAD}")
    done = []
    for case in cases(options):
        facts = {**case.facts, "threads": options.threads, "with_movers": options.with_movers}
        made = partial(beside_colmap, case, options)
        done.append(rows.get(facts, made))
        print(*camera_solvers.lines(done[-1]), sep="\n", flush=True)
    print(camera_solvers.verdict(done))


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="a folder for the rows; a later run goes on from them")
    parser.add_argument("--quick", action="store_true", help="one seed of 25 frames")
    parser.add_argument("--width", type=int, default=832)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--frames", type=int, nargs="+")
    parser.add_argument("--points", type=int, default=1024)
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--moves", nargs="+", choices=list(CLASSES))
    parser.add_argument("--depth", choices=["yes", "no", "both"], default="both")
    parser.add_argument("--amplitude", type=float, default=0.8, help="how far the camera moves")
    parser.add_argument("--fov", type=float, default=62.0, help="the clips' horizontal field of view, degrees")
    parser.add_argument("--give-fov", action="store_true", help="tell the tracker the field of view")
    parser.add_argument("--texture", choices=["detailed", "smooth"], default="detailed")
    parser.add_argument("--pycolmap", action="store_true", help="the camera solve beside COLMAP's, on the same points")
    parser.add_argument("--with-movers", action="store_true", help="with --pycolmap: give both the moving points too")
    parser.add_argument("--threads", type=int, default=1, help="of COLMAP; the built-in solver follows OMP_NUM_THREADS")
    options = parser.parse_args()
    if options.pycolmap and find_spec("pycolmap") is None:
        parser.error("--pycolmap needs pycolmap, which is not installed: pip install pycolmap")
    if options.with_movers and not options.pycolmap:
        parser.error("--with-movers is about the camera solvers alone: give --pycolmap with it")
    options.frames = options.frames or ([25] if options.quick else [25, 49] if options.pycolmap else [25, 81])
    options.seeds = options.seeds or ([1] if options.quick else [1, 2])
    options.moves = options.moves or (["arc", "handheld"] if options.pycolmap else list(CLASSES))
    return options


def main() -> None:
    options = read_options()
    file = options.out and options.out / ("camera_solvers.jsonl" if options.pycolmap else "tracking.jsonl")
    (print_solvers if options.pycolmap else print_table)(options, Rows(file))


if __name__ == "__main__":
    main()
