"""Figures and pictures on held-out data, alike at every call: fixed pairs, fixed noise, fixed noise levels.

Pictures stand beside what they should be: a sheet of a few frames, and all frames as a clip.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from ..dataset import BrokenSample, ClipPair, PairDataset
from ..errors import Track2ViewError
from ..preview import write_picture
from ..preview.drawing import GAP, GROUND, caption, pane
from ..tracks import pair_tracks
from ..video import VideoClip, write_clip
from ..wan.bundle import Bundle
from ..wan.condition import TrackCondition
from ..wan.models import TEXT_TOKENS
from ..wan.sampler import sample
from ..wan.vae import decode
from .batches import TEXT_DIM, BatchDraw, draw_batch, generator_for
from .objectives import PairObjective
from .settings import ValidationSettings

SEED = 20_000  # of validation alone
SHOWN = 4  # frames of a clip on the sheet
_LEAST_SIDE = 128
Sample = TypeVar("Sample")


class PairValidation:
    """`held_out_loss`, and it by noise level; with a bundle's settings and a VAE, samples as PNG and mp4."""

    def __init__(
        self,
        objective: PairObjective,
        dataset: PairDataset,
        settings: ValidationSettings,
        folder: Path,
        *,
        draw: BatchDraw,
        bundle: Bundle | None = None,  # its conditioner is the one that is trained
        vae: AutoencoderKLWan | None = None,
        empty_text: Tensor | None = None,
        uses_text: bool = False,
    ) -> None:
        self.objective, self.settings, self.folder = objective, settings, folder
        self.bundle, self.vae, self.empty_text, self.uses_text = bundle, vae, empty_text, uses_text
        self.fps = dataset.info.fps
        self.pairs = spread(len(dataset), settings.pairs, dataset.__getitem__)
        self.draw = replace(
            draw,
            batch=1,
            tracks=(settings.tracks, settings.tracks),
            track_dropout=0.0,
            identity=0.0,
            late_window=0.0,
            text_dropout=0.0 if uses_text else 1.0,
            errors=None,
        )

    def __call__(self, step: int) -> Mapping[str, float | Tensor]:
        found: dict[str, float | Tensor] = dict(self.losses())
        if self.bundle is not None and self.vae is not None and self.settings.samples:
            rows = [self._row(pair) for pair in self.pairs[: self.settings.samples]]
            found["samples"] = write_samples(rows, self.folder, step, self.fps)
        return found

    def losses(self) -> dict[str, float]:
        device = next(self.objective.module.parameters()).device
        by_level: dict[float, list[float]] = {level: [] for level in self.settings.levels}
        for index, pair in enumerate(self.pairs):
            batch = draw_batch(_OnePair(pair), self.draw, generator_for(SEED, index), empty_text=self.empty_text).to(
                device
            )
            for level, losses in by_level.items():
                generator = generator_for(SEED, index, str(level))
                losses.append(float(self.objective.loss_at(batch, level, generator)))
        means = {f"held_out_loss/{level:g}": sum(losses) / len(losses) for level, losses in by_level.items()}
        return {"held_out_loss": sum(means.values()) / len(means), **means}

    def _row(self, pair: ClipPair) -> dict[str, Tensor]:
        assert self.bundle is not None and self.vae is not None
        transformer, sampling = self.objective.transformer, self.bundle.config.sampling
        device = transformer.patch_embedding.weight.device
        vae = self.vae.to(device)
        kept = pair.tracks.select(torch.arange(min(self.settings.tracks, pair.tracks.positions.shape[1])))
        tracks = pair_tracks(kept, pair.target.camera)
        with self.objective.without_seams():
            latent = sample(
                transformer,
                TrackCondition(self.bundle, tracks, pair.source.latent[None]),
                positive=self._text(pair.target.text),
                negative=self._text(self.empty_text) if sampling.uses_text else None,
                steps=sampling.steps,
                guidance=sampling.guidance if sampling.uses_text else 1.0,
                shift=sampling.shift,
                seed=SEED,
                scheduler=sampling.scheduler,
            )
        latents = {"source": pair.source.latent[None], "target": pair.target.latent[None], "sample": latent}
        with in_float32(device):
            return {name: decode(vae, value) for name, value in latents.items()}

    def _text(self, text: Tensor | None) -> Tensor:
        padded = torch.zeros(1, TEXT_TOKENS, TEXT_DIM)
        if self.uses_text and text is not None:
            padded[0, : len(text)] = text[:TEXT_TOKENS].float()
        return padded


def in_float32(device: torch.device) -> torch.autocast:
    """The VAE's precision, whatever that of the run around it."""
    return torch.autocast(device.type, enabled=False)


class _OnePair:
    """A data set of one pair, to draw a batch of exactly that one."""

    def __init__(self, pair: ClipPair) -> None:
        self.pair = pair

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> ClipPair:
        return self.pair


def spread(total: int, count: int, read: Callable[[int], Sample]) -> list[Sample]:
    """`count` of `total` samples, evenly spread; one that is broken gives way to the next."""
    count, found = min(count, total), []
    for number in range(count):
        for index in range(number * total // count, total):
            try:
                found.append(read(index))
                break
            except BrokenSample:
                continue
    if not found:
        raise Track2ViewError("Every sample of a data set is broken; make it again.")
    return found


def write_samples(rows: Sequence[Mapping[str, Tensor]], folder: Path, step: int, fps: float) -> Tensor:
    """`step_N.png` and `step_N.mp4` in `folder`; returns the sheet."""
    folder.mkdir(parents=True, exist_ok=True)
    sheet = contact_sheet(rows)
    write_picture(sheet, folder / f"step_{step:08d}.png")
    rate = Fraction(fps).limit_denominator(1001)
    write_clip(VideoClip(beside_each_other(rows), rate), folder / f"step_{step:08d}.mp4")
    return sheet


def contact_sheet(rows: Sequence[Mapping[str, Tensor]]) -> Tensor:  # [h, w, 3] uint8
    """One block a row of clips [T, H, W, 3] uint8 by name: a line of frames for each, under each other."""
    blocks = []
    for clips in rows:
        for name, clip in clips.items():
            shown = torch.linspace(0, len(clip) - 1, min(SHOWN, len(clip))).round().long()
            blocks.append(_line([_tile(clip[t], name if i == 0 else "") for i, t in enumerate(shown.tolist())]))
        blocks.append(_ground(GAP, blocks[-1].shape[1]))
    return torch.cat(blocks[:-1])


def beside_each_other(rows: Sequence[Mapping[str, Tensor]]) -> Tensor:  # [T, h, w, 3] uint8, even sides
    """All frames: one line a row of clips, its clips side by side."""
    count = min(len(clip) for clips in rows for clip in clips.values())
    frames = []
    for t in range(count):
        picture = torch.cat([_line([_tile(clip[t], name) for name, clip in clips.items()]) for clips in rows])
        frames.append(picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2])
    return torch.stack(frames)


def _tile(picture: Tensor, name: str) -> Tensor:
    height, width = picture.shape[:2]
    times = max(1, -(-_LEAST_SIDE // min(height, width)))
    drawn = pane(picture, (times * width, times * height))
    if name:
        caption(drawn, name)
    return torch.from_numpy(drawn)


def _line(tiles: Sequence[Tensor]) -> Tensor:
    gap = _ground(tiles[0].shape[0], GAP)
    return torch.cat([part for tile in tiles for part in (tile, gap)][:-1], 1)


def _ground(height: int, width: int) -> Tensor:
    return torch.tensor(GROUND, dtype=torch.uint8).expand(height, width, 3)
