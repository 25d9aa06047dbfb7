"""How good is the re-film without a model? Pictures, parts, seconds on scenes that know the truth; real clips to see.

    python -m benchmarks.render --out /tmp/render                 # 12 scenes
    python -m benchmarks.render --out /tmp/render --scenes 2      # a first look
    python -m benchmarks.render --out /tmp/render --only real --real FOLDER_OF_CLIPS

Finished rows and scenes are kept under --out, so the same command goes on where it was stopped; rows of older code are
made again. Contact sheets lie beside them: look at them. See README.md for how to read the table.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import torch
from torch import Tensor

import track2view_core.render
import track2view_core.tracks
from benchmarks import render_scenes
from benchmarks.held_out_clips import contact_sheet
from benchmarks.render_measures import (
    mover_scores,
    picture_scores,
    resized,
    silhouette_scores,
    standing_scores,
    telea,
)
from benchmarks.render_real_clips import film_clips
from benchmarks.render_scenes import JUDGED, MOVES, TrueScene, true_scenes
from benchmarks.render_views import full_size_standing, rendered
from benchmarks.result_files import Row, Rows, weights_fingerprint
from benchmarks.stage_clock import StageClock
from track2view_core.render import ClipGeometry, clip_geometry, placed_movers, splat
from track2view_core.scenes.scene import Texture
from track2view_core.tracks import PairedTracks, PointTracks, pair_tracks
from track2view_core.tracks.cache import code_version

METHODS = {
    "copy": "source copied",
    "splat": "splat + Telea",
    "dense_telea": "dense + Telea",
    "dense": "dense + fill",
    "true": "true depth + fill",
}
COLUMNS = (
    ("known", "known, dB", "6.2f", 1),
    ("seen", "seen, dB", "6.2f", 1),
    ("all", "all, dB", "6.2f", 1),
    ("disoccluded", "disoccluded, dB", "6.2f", 1),
    ("holes", "holes, %", "5.1f", 100),
    ("flips", "flips, %", "5.2f", 100),
    ("jitter", "jitter, x source", "5.2f", 1),
)
PARTS = {
    "standing": (("standing_off", "off by > 5 %, %"), ("standing_median", "median error, %"),
                 ("behind_off", "behind movers off, %")),
    "silhouettes": (("iou", "IoU, %"), ("precision", "precision, %"), ("recall", "recall, %"),
                    ("false_movers", "false movers, % of pixels")),
    "movers": (("mover_error", "inverse depth error, %"), ("mover_ratio", "over the truth, %")),
}  # fmt: skip
SECTIONS = ("pictures", *PARTS, "seconds", "real")
TIMED_WIDTH, TIMED_HEIGHT = 832, 468
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


@dataclass(frozen=True)
class Case:
    """One scene with one kind of tracks; the geometry is found once and only when a row needs it."""

    scene: TrueScene
    kind: str  # of tracks
    sheets: Path

    @cached_property
    def found(self) -> tuple[PointTracks, ClipGeometry]:
        tracks = self.scene.tracks[self.kind]
        geometry = clip_geometry(self.scene.frames, tracks)
        return placed_movers(tracks, geometry), geometry

    def pair(self, move: str, tracks: PointTracks) -> PairedTracks:
        return pair_tracks(tracks, self.scene.target(move, tracks))

    def baseline(self, move: str) -> dict[str, Row]:
        scene, paired = self.scene, self.pair(move, self.scene.tracks[self.kind])
        view = splat.render_target_view(scene.frames, paired)
        return {
            "copy": self._scores(move, scene.frames, torch.zeros_like(view.holes)),
            "splat": self._scores(move, telea(view.frames, view.holes), view.holes),
        }

    def dense(self, move: str) -> dict[str, Row]:
        tracks, geometry = self.found
        view = rendered(self.scene.frames, self.pair(move, tracks), geometry)
        self._sheet(move, view.frames, view.holes)
        return {
            "dense_telea": self._scores(move, telea(view.frames, view.holes), view.holes),
            "dense": self._scores(move, view.frames, view.holes),
        }

    def true(self, move: str) -> dict[str, Row]:
        scene = self.scene
        camera = scene.tracks["exact"].camera
        mover_inverse = torch.where(scene.moving, 1 / scene.depth, 0.0)
        geometry = ClipGeometry(1 / scene.empty_depth, scene.moving, mover_inverse, camera)
        view = rendered(scene.frames, self.pair(move, scene.tracks["exact"]), geometry)
        return {"true": self._scores(move, view.frames, view.holes)}

    def parts(self) -> Row:
        scene, (_, geometry) = self.scene, self.found
        standing = full_size_standing(geometry, scene.frames)
        self._parts_sheet(geometry, standing)
        return {
            **standing_scores(standing, scene.empty_depth, scene.moving),
            **silhouette_scores(geometry.silhouettes, scene.moving),
            **mover_scores(geometry, scene.depth, scene.moving),
        }

    def _scores(self, move: str, film: Tensor, holes: Tensor) -> Row:
        scene, index = self.scene, MOVES.index(move)
        return picture_scores(film, holes, scene.truth[index], scene.hidden[index], JUDGED, scene.frames)

    def _sheet(self, move: str, film: Tensor, holes: Tensor) -> None:
        """Judged frames of the truth, of the render with grey holes, filled, and three times its error."""
        judged, truth = list(JUDGED), self.scene.truth[MOVES.index(move)]
        grey, filled = film[judged].clone(), film[judged]
        grey[holes[judged]] = splat.GREY
        error = 3 * (filled.short() - truth.short()).abs().float().mean(-1, keepdim=True)
        shown = {"truth": truth, "known": grey, "filled": filled, "3 x error": error.clamp(max=255).byte()}
        self._write(move, shown)

    def _parts_sheet(self, geometry: ClipGeometry, standing: Tensor) -> None:
        """Judged frames of the source, found and true silhouettes (yellow: both), 10 x the depth's error."""
        judged, size = list(JUDGED), self.scene.moving.shape[1:]
        found = resized(geometry.silhouettes[judged].float(), size, cv2.INTER_NEAREST) > 0.5
        marks = 200 * torch.stack([found, self.scene.moving[judged], torch.zeros_like(found)], -1)
        off = (1 / standing[judged] / self.scene.empty_depth[judged] - 1).abs()
        error = (255 * 10 * off).clamp(max=255).byte()[..., None]
        shown = {"source": self.scene.frames[judged], "R found G true": marks.byte(), "depth error": error}
        self._write("parts", shown)

    def _write(self, what: str, shown: dict[str, Tensor]) -> None:
        strips = {name: torch.cat(list(film.expand(*film.shape[:3], 3)), 1).numpy() for name, film in shown.items()}
        self.sheets.mkdir(parents=True, exist_ok=True)
        picture = contact_sheet({name: np.ascontiguousarray(strip[..., ::-1]) for name, strip in strips.items()})
        cv2.imwrite(str(self.sheets / f"{self.scene.name}_{self.kind}_{what}.png"), picture)


def measured(
    scenes: Iterable[TrueScene], kinds: list[str], moves: list[str], only: set[str], folder: Path
) -> tuple[list[Row], list[Row]]:
    """Rows of pictures and rows of parts; those that `folder` holds from the same code are not made again."""
    rows, pictures, parts = Rows(folder / "rows.jsonl"), [], []
    here = Path(__file__)
    rooms = [code_version(Path(str(room.__file__)).parent) for room in (track2view_core.tracks, track2view_core.render)]
    made = {"exact": weights_fingerprint([Path(render_scenes.__file__)])}
    made["klt"] = [made["exact"], rooms[0]]
    old = weights_fingerprint([Path(splat.__file__), here.with_name("render_measures.py")])
    new = [*rooms, old, weights_fingerprint([here.with_name("render_views.py")])]
    for scene in scenes:
        for kind in kinds:
            case, begin = Case(scene, kind, folder / "sheets"), time.perf_counter()
            facts = {"scene": scene.name, "tracks": kind, "scenes": made[kind]}
            if only & set(PARTS):
                parts.append(rows.get({**facts, "what": "parts", "code": new}, case.parts))
            for move in moves if "pictures" in only else ():
                for what, code, make in (
                    ("baseline", old, case.baseline), ("dense", new, case.dense), ("true", new, case.true)
                ):  # fmt: skip
                    by = {**facts, "tracks": "exact", "scenes": made["exact"]} if what == "true" else facts
                    row = rows.get({**by, "what": what, "move": move, "code": code}, partial(make, move))
                    pictures += [
                        {"scene": scene.name, "tracks": kind, "move": move, "method": method, **row[method]}
                        for method in METHODS
                        if method in row
                    ]
            print(f"{scene.name} {kind}: {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
    return pictures, parts


def mean(rows: list[Row], column: str) -> float:
    values = [row[column] for row in rows if not np.isnan(row[column])]
    return float(np.mean(values)) if values else float("nan")


def picture_table(rows: list[Row], kinds: list[str]) -> list[str]:
    """Markdown, a line a kind of tracks and method: means over scenes and moves."""
    lines = ["| tracks | video | " + " | ".join(title for _, title, _, _ in COLUMNS) + " |"]
    lines.append("|---" * (len(COLUMNS) + 2) + "|")
    for kind in kinds:
        for method, label in METHODS.items():
            own = [row for row in rows if row["tracks"] == kind and row["method"] == method]
            cells = [format(scale * mean(own, name), form) for name, _, form, scale in COLUMNS]
            lines.append(f"| {kind} | {label} | {' | '.join(cells)} |")
    return lines


def scene_table(rows: list[Row], kinds: list[str]) -> list[str]:
    """dB over splat + Telea, all pixels, scene by scene and move by move, and how far true depth is."""
    moves = list(dict.fromkeys(row["move"] for row in rows))
    lines = ["| scene | tracks | " + " | ".join(moves) + " | mean | true depth |", "|---" * (len(moves) + 4) + "|"]
    for scene, kind in dict.fromkeys((row["scene"], row["tracks"]) for row in rows):
        if kind in kinds:
            own = [row for row in rows if row["scene"] == scene and row["tracks"] == kind]
            cells = [_gain(own, "dense", "all", move) for move in moves]
            cells += [_gain(own, method, "all") for method in ("dense", "true")]
            lines.append(f"| {scene} | {kind} | " + " | ".join(f"{cell:+.2f}" for cell in cells) + " |")
    return lines


def _gain(rows: list[Row], method: str, column: str, move: str | None = None) -> float:
    """dB over splat + Telea, under one move or all."""
    of_move = [row for row in rows if move in (None, row["move"])]
    own, old = (mean([row for row in of_move if row["method"] == name], column) for name in (method, "splat"))
    return own - old


def part_tables(rows: list[Row], kinds: list[str], only: set[str]) -> list[str]:
    lines = []
    for part in PARTS:
        if part not in only:
            continue
        columns = PARTS[part]
        lines += ["", f"| {part} | tracks | " + " | ".join(title for _, title in columns) + " |"]
        lines.append("|---" * (len(columns) + 2) + "|")
        told = [
            (f"mean{' ' * bool(texture)}{texture}", kind, own)
            for texture in ("", *get_args(Texture))
            for kind in kinds
            if (own := [row for row in rows if row["tracks"] == kind and texture in row["scene"]])
        ]
        for name, kind, own in [(row["scene"], row["tracks"], [row]) for row in rows] + told:
            cells = [mean(own, column) for column, _ in columns]
            shown = " | ".join("-" if np.isnan(cell) else f"{100 * cell:.2f}" for cell in cells)
            lines.append(f"| {name} | {kind} | {shown} |")
    return lines


def gate(name: str, sign: str, wanted: float, reached: float) -> str:
    if np.isnan(reached):
        return f"gate: {name} {sign} {wanted:g}: not measured"
    holds = reached >= wanted if sign == ">=" else reached <= wanted
    return f"gate: {name} {sign} {wanted:g}: reached {reached:.2f} ({'pass' if holds else 'FAIL'})"


def picture_gates(rows: list[Row], kinds: list[str]) -> list[str]:
    lines = []
    for kind, wanted in (("klt", 2.3), ("exact", 3.0)):
        own = [row for row in rows if row["tracks"] == kind]
        if kind not in kinds or not own:
            continue
        worst = min(_gain([row for row in own if row["scene"] == name], "dense", "all")
                    for name in {row["scene"] for row in own})  # fmt: skip
        over = "over splat + Telea, dB"
        lines.append(gate(f"{kind}, all pixels {over}", ">=", wanted, _gain(own, "dense", "all")))
        disoccluded = _gain(own, "dense", "disoccluded")
        lines.append(gate(f"{kind}, disoccluded pixels {over}", ">=", 2.0, disoccluded))
        lines.append(gate(f"{kind}, all pixels {over}, worst scene", ">=", -0.3, worst))
    return lines


def part_gates(rows: list[Row], kinds: list[str], only: set[str]) -> list[str]:
    lines = []
    for kind in kinds:
        own = [row for row in rows if row["tracks"] == kind]
        if "standing" in only:
            off = 100 * mean(own, "standing_off")
            lines.append(gate(f"{kind}, standing pixels off by over 5 %, %", "<=", 4, off))
        if "silhouettes" in only:
            lines.append(gate(f"{kind}, silhouettes' IoU", ">=", 0.75, mean(own, "iou")))
        if "movers" in only:
            error = 100 * mean(own, "mover_error")
            lines.append(gate(f"{kind}, movers' inverse depth error, %", "<=", 8, error))
    return lines


def seconds_table(scene: TrueScene) -> list[str]:
    """Processor seconds a frame of 832 x 468 by module, everything from tracks to the filled picture."""
    size = (TIMED_HEIGHT, TIMED_WIDTH)
    channels = [resized(scene.frames[..., c].float(), size, cv2.INTER_CUBIC) for c in range(3)]
    video = torch.stack(channels, -1).clamp(0, 255).byte()
    tracks = scene.tracks["klt"]
    with StageClock(track2view_core.render) as clock:
        geometry = clip_geometry(video, tracks)
        tracks = placed_movers(tracks, geometry)
        rendered(video, pair_tracks(tracks, scene.target("orbit_left", tracks)), geometry)
    stages = sorted(((name, spent / len(video)) for name, spent in clock.seconds.items()), key=lambda s: -s[1])
    total = sum(spent for _, spent in stages)
    told = ", ".join(f"{name} {spent:.3f}" for name, spent in stages if spent >= 0.0005)
    return [
        f"seconds a frame of {TIMED_WIDTH} x {TIMED_HEIGHT} ({scene.name}, orbit_left, one thread): {told}; "
        f"total {total:.3f}",
        gate("seconds a frame", "<=", 0.5, total),
    ]


def seconds_in_a_process_of_its_own(options: argparse.Namespace) -> list[str]:
    """Libraries read the number of their threads when they are loaded."""
    command = [sys.executable, "-m", "benchmarks.render", "--only", "seconds", "--out", str(options.out)]
    command += ["--scenes-folder", str(options.scenes_folder)]
    done = subprocess.run(command, env={**os.environ, **ONE_THREAD}, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="a folder for rows, sheets and films")
    parser.add_argument("--scenes", type=int, default=12)
    parser.add_argument("--tracks", default="exact,klt", help="kinds of tracks: exact, klt")
    parser.add_argument("--moves", default=",".join(MOVES), help="of the target camera; default: %(default)s")
    parser.add_argument("--only", help=f"of {', '.join(SECTIONS)}; default: all, real with --real alone")
    parser.add_argument("--scenes-folder", type=Path, help="where rendered scenes are kept; default: OUT/scenes")
    parser.add_argument("--real", type=Path, help="a folder of clips to re-film")
    parser.add_argument("--clips", help="names of clips in that folder, without ending; default: all")
    parser.add_argument("--tracks-folder", type=Path, help="where real clips' tracks are kept; default: OUT/tracks")
    options = parser.parse_args()
    options.tracks = options.tracks.split(",")
    options.moves = options.moves.split(",")
    options.only = set(options.only.split(",")) if options.only else set(SECTIONS)
    unknown = [
        *(options.only - set(SECTIONS)),
        *(set(options.tracks) - {"exact", "klt"}),
        *(set(options.moves) - set(MOVES)),
    ]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    if options.real is None:
        options.only.discard("real")
    options.scenes_folder = options.scenes_folder or options.out / "scenes"
    options.tracks_folder = options.tracks_folder or options.out / "tracks"
    return options


def main() -> None:
    options = read_options()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    only, kinds, lines, gates = options.only, options.tracks, [], []
    if only == {"seconds"} and os.environ.get("OMP_NUM_THREADS") == "1":
        print(*seconds_table(next(true_scenes(1, options.scenes_folder))), sep="\n")
        return
    if only & {"pictures", *PARTS}:
        scenes = true_scenes(options.scenes, options.scenes_folder)
        pictures, parts = measured(scenes, kinds, options.moves, only, options.out)
        if pictures:
            lines += [f"{options.scenes} scenes, {render_scenes.WIDTH} x {render_scenes.HEIGHT}, amount "
                      f"{render_scenes.AMOUNT}, frames {', '.join(map(str, JUDGED))}", ""]  # fmt: skip
            lines += [*picture_table(pictures, kinds), "", *scene_table(pictures, kinds)]
            gates += picture_gates(pictures, kinds)
        lines += part_tables(parts, kinds, only)
        gates += part_gates(parts, kinds, only)
    if "seconds" in only:
        lines += ["", *seconds_in_a_process_of_its_own(options)]
    if "real" in only:
        names = options.clips.split(",") if options.clips else None
        lines += ["", *film_clips(options.real, names, options.moves, options.tracks_folder, options.out / "real")]
    text = "\n".join([*lines, "", *gates]).strip()
    print(text)
    (options.out / "table.md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
