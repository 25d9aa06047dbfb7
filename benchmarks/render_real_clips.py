"""Real clips re-filmed: films and contact sheets to be looked at, and the few figures that need no truth."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from benchmarks.held_out_clips import contact_sheet
from benchmarks.render_measures import flips, known_gradient_energy, resized, second_difference
from benchmarks.render_scenes import built_in_tracks
from benchmarks.render_views import rendered, source_inverse_depth
from track2view_core.cameras import preset_path
from track2view_core.errors import Track2ViewError
from track2view_core.render import ClipGeometry, clip_geometry, placed_movers
from track2view_core.render.splat import GREY
from track2view_core.tracks import PointTracks, pair_tracks
from track2view_core.video import VideoClip, read_clip, write_clip

FRAMES, BOX = 49, 832
MOVES = ("orbit_left", "truck_left")
AMOUNT = 0.3
ENDINGS = (".mp4", ".mov", ".m4v", ".mkv", ".webm")
GATES = (("flips", 100, "<=", 2.5), ("jitter", 1, "<=", 2.5), ("energy", 1, ">=", 0.8))
SHEET_WIDTH = 480


@dataclass(frozen=True, eq=False)
class Refilmed:
    """One clip under one move."""

    source: Tensor  # [T, H, W, 3] uint8
    geometry: ClipGeometry
    film: Tensor  # [T, H, W, 3] uint8, filled
    holes: Tensor  # [T, H, W] bool

    def figures(self) -> dict[str, float]:
        nothing = torch.zeros_like(self.holes)
        return {
            "holes": float(self.holes.float().mean()),
            "last_holes": float(self.holes[-1].float().mean()),
            "flips": flips(self.holes),
            "jitter": second_difference(self.film) / second_difference(self.source),
            "energy": known_gradient_energy(self.film, self.holes) / known_gradient_energy(self.source, nothing),
            "moving": float(self.geometry.silhouettes.float().mean()),
        }

    def sheet(self) -> np.ndarray:
        """Source, silhouettes, depth, render with grey holes, filled; a third through, two thirds, the last frame."""
        last, rows = len(self.film) - 1, {}
        depth = _coloured(source_inverse_depth(self.geometry, self.source))
        moves = resized(self.geometry.silhouettes.float(), self.source.shape[1:3], cv2.INTER_LINEAR)
        for t in (last // 3, 2 * last // 3, last):
            source, film = self.source[t].numpy(), self.film[t].numpy()
            shade = (source * np.maximum(moves[t].numpy(), 0.25)[..., None]).astype(np.uint8)
            grey = np.where(self.holes[t].numpy()[..., None], GREY, film).astype(np.uint8)
            height = round(SHEET_WIDTH * film.shape[0] / film.shape[1])
            panes = [
                cv2.resize(picture, (SHEET_WIDTH, height), interpolation=cv2.INTER_AREA)
                for picture in (source, shade, depth[t], grey, film)
            ]
            rows[f"{t}"] = np.concatenate(panes, 1)[..., ::-1]
        return contact_sheet(rows, 40)


def film_clips(folder: Path, names: list[str] | None, moves: list[str], tracks_folder: Path, out: Path) -> list[str]:
    """Films and sheets of every clip and those of `MOVES` that are asked for; returns a table, gates, and notes."""
    files = [file for file in sorted(folder.iterdir()) if file.suffix.lower() in ENDINGS]
    files = [file for file in files if names is None or file.stem in names]
    if not files:
        raise Track2ViewError(f"{folder} holds none of the clips asked for; change --real or --clips.")
    out.mkdir(parents=True, exist_ok=True)
    heads = ("clip", "move", "holes, %", "in the last frame, %", "flips, %", "jitter, x source", "gradient energy")
    lines = [f"| {' | '.join(heads)} | moving, % |", "|---" * (len(heads) + 1) + "|"]
    told, missed = [], []
    for file in files:
        clip = read_clip(file, frames=FRAMES, box=(BOX, BOX))
        tracks = built_in_tracks(clip.frames, tracks_folder, file.stem)
        geometry = clip_geometry(clip.frames, tracks)
        tracks = placed_movers(tracks, geometry)
        notes = [note.text() for note in (*tracks.notes, *geometry.notes)]
        told += [f"{file.stem}: {note}" for note in notes]
        for move in (move for move in MOVES if move in moves):
            name = f"{file.stem}_{move}"
            result = _refilmed(clip.frames, tracks, geometry, move)
            write_clip(VideoClip(result.film, clip.fps), out / f"{name}.mp4")
            cv2.imwrite(str(out / f"{name}.png"), result.sheet())
            figures = result.figures()
            (out / f"{name}.json").write_text(json.dumps({**figures, "notes": notes}), encoding="utf-8")
            missed += [
                f"gate: {name} {key} {sign} {wanted:g}: reached {scale * figures[key]:.2f} (FAIL)"
                for key, scale, sign, wanted in GATES
                if (scale * figures[key] > wanted) is (sign == "<=")
            ]
            shares = [f"{100 * figures[key]:.2f}" for key in ("holes", "last_holes", "flips")]
            cells = [*shares, f"{figures['jitter']:.2f}", f"{figures['energy']:.2f}", f"{100 * figures['moving']:.1f}"]
            lines.append(f"| {file.stem} | {move} | {' | '.join(cells)} |")
            print(lines[-1], file=sys.stderr, flush=True)
    return [*lines, "", *(missed or ["gate: all real clips hold flips, jitter and gradient energy (pass)"]), "", *told]


def _refilmed(video: Tensor, tracks: PointTracks, geometry: ClipGeometry, move: str) -> Refilmed:
    path = preset_path(move, tracks.camera, amount=AMOUNT, scene_scale=tracks.scene_scale, relative_to="source")
    view = rendered(video, pair_tracks(tracks, path), geometry)
    return Refilmed(video, geometry, view.frames, view.holes)


def _coloured(inverse: Tensor) -> np.ndarray:
    """Inverse depth [T, H, W] as [T, H, W, 3] uint8 RGB: red is near; one scale for the whole clip."""
    low, high = np.quantile(inverse[:, ::8, ::8].numpy(), [0.01, 0.99])
    level = ((inverse - low) / max(high - low, 1e-9)).clamp(0, 1).mul(255).byte().numpy()
    return np.stack([cv2.applyColorMap(one, cv2.COLORMAP_TURBO)[..., ::-1] for one in level])
