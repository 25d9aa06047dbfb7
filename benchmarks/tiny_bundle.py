"""How good is the tiny model? One table over held-out scenes and held-out kinds of camera move, and contact sheets.

    python -m benchmarks.tiny_bundle --out /tmp/tiny_bundle

Every finished scene is kept under --out: the same command goes on where it was stopped. See README.md for the columns.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from benchmarks.held_out_clips import (
    EVALUATION_SEED,
    HeldOutClip,
    camera_figures,
    contact_sheet,
    held_out_clips,
    picture_figures,
    strip,
)
from benchmarks.result_files import every_nth, read_json, weights_fingerprint, write_json
from track2view_core.cameras import CameraPath
from track2view_core.errors import Track2ViewError
from track2view_core.evaluation import CameraFitter, psnr, splat_points
from track2view_core.render import render_target_view
from track2view_core.scenes import exact_tracks
from track2view_core.scenes.scene import Texture
from track2view_core.tracks import PairedTracks, PointTracks, pair_tracks
from track2view_core.tracks.trackers import KltTracker
from track2view_core.wan.condition import TrackCondition
from track2view_core.wan.models import TINY_BUNDLE, TINY_TRANSFORMER, TINY_VAE, Models, load_models
from track2view_core.wan.sampler import sample
from track2view_core.wan.vae import decode, encode

ROWS = {
    "source": "source copied",
    "splat": "points splatted, exact tracks",
    "splat_klt": "points splatted, KltTracker",
    "pixels": "the clip's own pixels, exact tracks",
    "pixels_klt": "the clip's own pixels, KltTracker",
    "model": "tiny model, exact tracks",
    "model_klt": "tiny model, KltTracker",
    "round_trip": "VAE round trip of the truth",
    "still": "tiny model, amount 0 (against the source)",
}


EARLY, LATE = slice(4, 9), slice(12, 17)
"""Frames of a clip in which a row is compared with the splat: what breaks up with time falls behind it."""


@dataclass(frozen=True)
class Settings:
    """All that a scene's figures depend on, besides the code."""

    size: int
    frames: int
    steps: int
    seed: int
    points: int
    tracker_size: int
    tracker_texture: Texture
    give_fov: bool
    every: int
    all_rows: int  # so many scenes have the rows of the VAE and of amount 0 too
    weights: str  # fingerprint; "" without a model

    def fingerprint(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]


class Renderings:
    """The videos of one clip, one a row of the table."""

    def __init__(self, clip: HeldOutClip, models: Models | None, settings: Settings) -> None:
        self.clip, self.models, self.settings = clip, models, settings
        view = clip.view(clip.source)
        self.source, self.target = view.frames(), clip.view(clip.target).frames()
        self.exact = exact_tracks(
            clip.scene,
            view,
            clip.source[None],
            clip.intrinsics[None],
            clip.time[None],
            points=settings.points,
            seed=settings.seed,
        )[0]
        self.klt_failure = ""

    @torch.no_grad()
    def videos(self, *, all_rows: bool) -> dict[str, Tensor]:
        """The frames [T, H, W, 3] uint8 of every row, or of all but those that say more about the VAE than the task."""
        exact, klt = self._paired(self.exact), self._klt_pair()
        videos = {"source": self.source, "splat": splat_points(self.source, exact)}
        videos["splat_klt"] = self.source if klt is None else splat_points(self.source, klt)
        videos["pixels"] = render_target_view(self.source, exact).frames
        videos["pixels_klt"] = self.source if klt is None else render_target_view(self.source, klt).frames
        if self.models is None:
            return videos
        latent = encode(self.models.vae, self.source)
        videos["model"] = self._rerendered(latent, exact)
        videos["model_klt"] = self.source if klt is None else self._rerendered(latent, klt)
        if not all_rows:
            return videos
        videos["round_trip"] = decode(self.models.vae, encode(self.models.vae, self.target))
        videos["still"] = self._rerendered(latent, pair_tracks(self.exact, self.exact.camera))
        return videos

    def _paired(self, tracks: PointTracks) -> PairedTracks:
        """The tracks with the prescribed path, brought to the tracker's unit of length, at the model's size."""
        path = torch.linalg.inv(self.clip.source[:1].double()) @ self.clip.target.double()
        path[:, :3, 3] *= tracks.scene_scale / self.exact.scene_scale
        camera = tracks.camera
        target = CameraPath(path, camera.intrinsics, camera.width, camera.height, camera.fps)
        return pair_tracks(tracks, target).resized(self.settings.size, self.settings.size)

    def _klt_pair(self) -> PairedTracks | None:
        """The tracker sees a larger rendering, as it would of a real clip; None where it or the pairing gives up."""
        size = self.settings.tracker_size
        fov = 2 * math.degrees(math.atan(self.clip.size / 2 / float(self.clip.intrinsics[0, 0])))
        video = self.clip.textured(self.settings.tracker_texture).view(self.clip.source, size).frames()
        try:
            tracks = KltTracker().track(
                video, points=self.settings.points, fov_degrees=fov if self.settings.give_fov else None
            )
            return self._paired(tracks)
        except Track2ViewError as error:
            self.klt_failure = str(error)
            return None

    def _rerendered(self, latent: Tensor, tracks: PairedTracks) -> Tensor:
        bundle = self.models.bundle
        sampled = sample(
            self.models.transformer,
            TrackCondition(bundle, tracks, latent),
            positive=self.models.encode_prompts([""])[0],
            steps=self.settings.steps,
            guidance=1.0,
            shift=bundle.config.sampling.shift,
            seed=self.settings.seed,
            scheduler=bundle.config.sampling.scheduler,
        )
        return decode(self.models.vae, sampled)


def score(made: Renderings, videos: dict[str, Tensor]) -> dict[str, dict]:
    """Figures of one clip: a dict a row, JSON all through. Frame 0 is shared by both views and left out."""
    clip, settings = made.clip, made.settings
    fitter = CameraFitter(
        clip.scene,
        clip.source,
        clip.target,
        clip.intrinsics,
        clip.time,
        width=clip.size,
        height=clip.size,
        every=settings.every,
    )
    rows = {}
    for name, video in videos.items():
        rows[name] = picture_figures(video, made.source if name == "still" else made.target)
        rows[name]["psnr_by_frame"] = psnr(video, made.target)[1:].tolist()  # frame 0 may be infinite
        if name != "still":
            rows[name] |= camera_figures(fitter, video, clip.source, clip.target)
    return rows


def sheet_of(made: Renderings, videos: dict[str, Tensor]) -> np.ndarray:
    """A few frames of every row under those of the truth: [h, w, 3] uint8, BGR."""
    shown = {"source": made.source, "truth": made.target, **videos}
    return contact_sheet({name: strip(video) for name, video in shown.items()})


def table(scenes: list[dict]) -> str:
    """Markdown, one line a row."""
    lines = [
        "| | scenes | PSNR, dB | SSIM | gradient energy | within half and twice "
        "| RotErr, deg | TransErr | TransErr, metric | unmeasurable | behind the splat, early and late, dB |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, label in ROWS.items():
        rows = [scene["rows"][name] for scene in scenes if name in scene["rows"]]
        if not rows:
            continue
        energy = np.array([row["energy"] for row in rows])
        cells = [
            str(len(rows)),
            *(f"{np.mean([row[key] for row in rows]):.{n}f}" for key, n in (("psnr", 2), ("ssim", 3))),
        ]
        cells.append(f"{np.median(energy):.2f}")
        cells.append(f"{100 * np.mean((energy >= 0.5) & (energy <= 2)):.0f} %")
        if "rotation" in rows[0]:
            mean = {key: np.nanmean([row[key] for row in rows]) for key in ("rotation", "translation", "metric")}
            cells += [f"{mean['rotation']:.2f}", f"{mean['translation']:.3f}", f"{mean['metric']:.3f}"]
            cells.append(f"{100 * np.mean([row['unmeasurable'] for row in rows]):.0f} %")
        else:
            cells += ["-"] * 4
        behind = [behind_splat(scenes, name, frames) for frames in (EARLY, LATE)]
        cells.append(" ".join("-" if value is None else f"{value:.2f}" for value in behind))
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def behind_splat(scenes: list[dict], name: str, frames: slice) -> float | None:
    """PSNR of the splat of exact tracks less a row's, mean over frames and scenes; None where there is no such row."""
    pairs = [(scene["rows"]["splat"], scene["rows"][name]) for scene in scenes if name in scene["rows"]]
    behind = [
        np.subtract(*(row["psnr_by_frame"][frames.start - 1 : frames.stop - 1] for row in pair))
        for pair in pairs
        if all("psnr_by_frame" in row for row in pair)
    ]
    return float(np.mean(behind)) if name not in ("splat", "still") and np.size(behind) else None


def run(models: Models | None, settings: Settings, scenes: int, folder: Path, part: str = "1/1") -> None:
    """Measure the scenes that `folder` lacks, of which `part` names a share: figures and a contact sheet."""
    folder.mkdir(parents=True, exist_ok=True)
    clips = held_out_clips(scenes, seed=EVALUATION_SEED, size=settings.size, frames=settings.frames)
    for index, clip in list(enumerate(clips))[every_nth(part)]:
        file = folder / f"scene_{index:03d}.json"
        if not file.exists():
            start = time.monotonic()
            made = Renderings(clip, models, settings)
            videos = made.videos(all_rows=index < settings.all_rows)
            rendered = time.monotonic()
            result = {"moves": clip.moves, "rows": score(made, videos), "klt_failure": made.klt_failure}
            if not cv2.imwrite(str(file.with_suffix(".png")), sheet_of(made, videos)):
                raise Track2ViewError(f"The contact sheet could not be written into {folder}; change --out.")
            write_json(result, file)
            done = time.monotonic()
            times = f"{rendered - start:.1f} s to make, {done - rendered:.1f} s to score"
            print(f"{index + 1}/{scenes} {' -> '.join(clip.moves)}: {times}", file=sys.stderr, flush=True)


def report(results: list[dict], settings: Settings) -> str:
    failures = [scene["klt_failure"] for scene in results if scene["klt_failure"]]
    lines = [
        f"{len(results)} held-out scenes, {settings.size} x {settings.size} x {settings.frames}, {settings.steps} "
        f"steps, seed {settings.seed}, at most {settings.points} points, the camera fitted to frames 0, "
        f"{settings.every}, {2 * settings.every}, ..., weights {settings.weights or 'none'}",
        "",
        table(results),
        "",
        f"KltTracker: clip of {settings.tracker_size} px, {settings.tracker_texture} texture, field of view "
        f"{'given' if settings.give_fov else 'found'}; {len(failures)} clips without a result, counted as the source.",
    ]
    return "\n".join(lines + [f"- {failure}" for failure in sorted(set(failures))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("tiny_bundle_results"), help="figures and contact sheets")
    parser.add_argument("--scenes", type=int, default=32)
    parser.add_argument("--size", type=int, help="pixels; default: the bundle's")
    parser.add_argument("--frames", type=int, help="4n + 1; default: the bundle's window")
    parser.add_argument("--steps", type=int, help="default: the bundle's")
    parser.add_argument("--seed", type=int, default=0, help="of noise and tracks; the scenes stay the same")
    parser.add_argument("--points", type=int, default=1024)
    parser.add_argument("--tracker-size", type=int, default=256, help="pixels of the clip that KltTracker sees")
    parser.add_argument(
        "--tracker-texture",
        choices=("smooth", "detailed"),
        default="smooth",
        help="smooth: KltTracker sees the clip itself; detailed: the same geometry with finer texture",
    )
    parser.add_argument("--give-fov", action="store_true", help="tell KltTracker the true field of view")
    parser.add_argument("--every", type=int, default=2, help="fit the camera of every n-th frame")
    parser.add_argument("--all-rows", type=int, default=8, help="scenes with the VAE's and amount 0's rows as well")
    parser.add_argument("--part", default="1/1", help="i/n: one of n processes that share the work and --out")
    parser.add_argument("--threads", type=int, help="CPU threads; default: torch's choice")
    parser.add_argument("--model-free", action="store_true", help="only the rows that need no weights")
    parser.add_argument("--transformer", type=Path, default=TINY_TRANSFORMER)
    parser.add_argument("--vae", type=Path, default=TINY_VAE)
    parser.add_argument("--bundle", type=Path, default=TINY_BUNDLE)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    models, weights = None, ""
    size, frames, steps = 128, 17, 0
    if not options.model_free:
        models = load_models(options.transformer, options.vae, options.bundle)
        weights = weights_fingerprint([options.transformer, options.vae, options.bundle])
        sampling = models.bundle.config.sampling
        size, frames, steps = sampling.width, sampling.frames, sampling.steps
    settings = Settings(
        size=options.size or size,
        frames=options.frames or frames,
        steps=options.steps or steps,
        seed=options.seed,
        points=options.points,
        tracker_size=options.tracker_size,
        tracker_texture=options.tracker_texture,
        give_fov=options.give_fov,
        every=options.every,
        all_rows=options.all_rows,
        weights=weights,
    )
    folder = options.out / settings.fingerprint()
    run(models, settings, options.scenes, folder, options.part)
    files = [folder / f"scene_{index:03d}.json" for index in range(options.scenes)]
    missing = sum(not file.exists() for file in files)
    if missing:
        print(f"{missing} of {options.scenes} scenes are left to the other parts; the last to finish prints the table.")
        return
    text = report([read_json(file) for file in files], settings)
    print(text)
    (options.out / "table.md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
