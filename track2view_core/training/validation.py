"""Figures and samples on held-out data, alike at every call: fixed pairs, fixed noise, fixed noise levels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from ..dataset import BrokenSample, ClipPair, PairDataset
from ..errors import Track2ViewError
from ..tracks import pair_tracks
from ..wan.bundle import Bundle
from ..wan.condition import TrackCondition
from ..wan.models import TEXT_TOKENS
from ..wan.sampler import sample
from ..wan.vae import decode
from .batches import TEXT_DIM, BatchDraw, draw_batch, generator_for
from .objectives import PairObjective
from .run_log import Samples
from .settings import ValidationSettings

SEED = 20_000  # of validation alone
Sample = TypeVar("Sample")


class PairValidation:
    """`held_out_loss`, and it by noise level; with a bundle's settings and a VAE, samples beside the targets."""

    def __init__(
        self,
        objective: PairObjective,
        dataset: PairDataset,
        settings: ValidationSettings,
        *,
        draw: BatchDraw,
        bundle: Bundle | None = None,  # its conditioner is the one that is trained
        vae: AutoencoderKLWan | None = None,
        empty_text: Tensor | None = None,
        uses_text: bool = False,
    ) -> None:
        self.objective, self.settings = objective, settings
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

    def __call__(self, step: int) -> Mapping[str, float | Samples]:
        found: dict[str, float | Samples] = dict(self.losses())
        if self.bundle is not None and self.vae is not None and self.settings.samples:
            rows = [self._row(pair) for pair in self.pairs[: self.settings.samples]]
            found["samples"] = Samples(rows, self.fps)
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
        vae = self.vae.to(device)  # pyright: ignore[reportArgumentType]: diffusers wraps torch's `to` and loses its types
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
