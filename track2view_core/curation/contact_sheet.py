"""A contact sheet: a few pairs of a data set with their tracks in both views, to be looked at before training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..cameras import project
from ..dataset import BrokenSample, ClipPair, PairDataset
from ..preview.drawing import GAP, GROUND, caption, draw_dot, draw_ring, pane, pane_size
from ..preview.pair_view import track_colors
from ..tracks import PairedTracks
from ..wan.vae import decode

MOST_TRACKS = 160  # a view; more of them only hide the picture
MOST_WIDTH = 300


def contact_sheet(data: PairDataset, vae: Any = None, *, pairs: int = 6) -> Tensor | None:
    """uint8 [H, W, 3]: a row a pair, source and target side by side at the first, middle and last frame.

    A dot is where the point was seen (in the target: measured or re-projected), a ring where it is hidden in the
    source. Pictures are the kept frames or, with the VAE that made them, the decoded latents.
    None where the data set has neither.
    """
    if len(data) == 0 or (vae is None and not data.info.has_frames):
        return None
    rows = []
    for number in np.unique(np.linspace(0, len(data) - 1, pairs).round().astype(int)).tolist():
        try:
            pair = data.pair(number)
            clips = [_frames(data, pair, side, vae) for side in ("source", "target")]
        except BrokenSample:
            continue
        rows.append(_row(pair, clips))
    if not rows:
        return None
    sheet = np.full((sum(len(row) + GAP for row in rows), rows[0].shape[1], 3), GROUND, np.uint8)
    top = 0
    for row in rows:
        sheet[top : top + len(row)] = row
        top += len(row) + GAP
    return torch.from_numpy(sheet)


def _frames(data: PairDataset, pair: ClipPair, side: str, vae: Any) -> Tensor:
    clip = getattr(pair, side)
    return data.clip_frames(clip.number) if data.info.has_frames else decode(vae, clip.latent[None])


def _row(pair: ClipPair, clips: list[Tensor]) -> np.ndarray:
    tracks = pair.tracks
    there = tracks.positions if pair.target_positions is None else pair.target_positions
    here, there = project(pair.source.camera, tracks.positions), project(pair.target.camera, there)
    paired = PairedTracks(here, there, tracks.visible, pair.source.camera, pair.target.camera)
    colors = track_colors(paired)
    shown = torch.linspace(0, tracks.positions.shape[1] - 1, min(MOST_TRACKS, tracks.positions.shape[1])).long()
    camera = pair.source.camera
    width, height = pane_size(camera.width, camera.height)
    width, height = MOST_WIDTH, round(MOST_WIDTH * height / width)
    panes = []
    for t in sorted({0, len(tracks) // 2, len(tracks) - 1}):
        for side, view, clip in zip(("source", "target"), (here, there), clips, strict=True):
            picture = pane(clip[t], (width, height))
            scale = np.array([width / camera.width, height / camera.height])
            for n in shown.tolist():
                if view.inside[t, n]:
                    draw = draw_dot if tracks.visible[t, n] else draw_ring
                    draw(picture, view.xy[t, n].numpy() * scale, 2.5, colors[n])
            caption(picture, f"{side} {t}")
            panes.append(picture)
    caption(panes[1], f"target 0   {Path(pair.name).name[:40]}")
    gap = np.full((height, GAP, 3), GROUND, np.uint8)
    return np.concatenate([part for picture in panes for part in (picture, gap)][:-1], 1)
