"""What every figure depends on besides the code: one protocol for all arms, and the clips it trains on and scores."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor

from benchmarks.held_out_clips import EVALUATION_SEED, HeldOutClip, held_out_clips
from track2view_core.cameras import CameraPath
from track2view_core.curation import ClipEncoder, RenderedScenes, curate
from track2view_core.curation.rendered_pairs import SceneSettings
from track2view_core.dataset import PairDataset
from track2view_core.evaluation import CameraFitter
from track2view_core.progress import Progress
from track2view_core.scenes import exact_tracks, visible_points
from track2view_core.scenes.ray_casting import pixel_rays
from track2view_core.tracks import PairedTracks, collate_tracks, pair_tracks
from track2view_core.tracks.pairing import FRAMES_PER_LATENT, FrameAnchor
from track2view_core.training.batches import TEXT_DIM, CameraBatch, PairBatch, PairShare, PairSource
from track2view_core.training.settings import BatchDraw, Precision

SIGMAS = (0.9, 0.7, 0.5, 0.3)  # noise levels of the held-out loss


@dataclass(frozen=True)
class Protocol:
    size: int = 128  # pixels, both sides
    frames: int = 17
    tracks: int = 192  # N of every clip, exact, in training and scoring alike
    shards: int = 8  # of 8 scenes under 4 cameras each, to train on
    steps: int = 1000
    batch: int = 4
    rate: float = 1.5e-3
    muon_rate: float = 0.02
    warmup: int = 20
    ema: float = 0.99
    precision: Precision = "fp32"  # of the products in training
    rank: int = 32  # of the LoRA
    shift: float = 3.0
    clips: int = 32  # held-out clips to score
    sample_steps: int = 10
    every: int = 4  # the camera is fitted to every n-th frame
    weights: str = ""  # fingerprint of backbone and VAE

    def fingerprint(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]

    def data_name(self) -> str:
        """Of the training data, which several budgets may share."""
        return f"data_{self.size}_{self.frames}_{self.shards}"


def training_pairs(protocol: Protocol, vae: Path, folder: Path, progress: Progress | None = None) -> PairDataset:
    """All ordered pairs of cameras of the training scenes; what `folder` already holds is kept."""
    scenes = SceneSettings(width=protocol.size, height=protocol.size, frames=protocol.frames)
    curate(RenderedScenes(protocol.shards, scenes, ClipEncoder(vae)), folder, progress=progress)
    return PairDataset(folder)


def batches(pairs: PairDataset, protocol: Protocol, anchor: FrameAnchor) -> PairSource:
    """What a step sees depends on the run's seed and the step alone, so that every arm learns from the same pairs."""
    draw = BatchDraw(
        batch=protocol.batch,
        tracks=(protocol.tracks, protocol.tracks),
        identity=0.0,
        text_dropout=0.0,
        late_window=0.0,
        frame_anchor=anchor,
        errors=None,
    )
    return PairSource([PairShare(pairs, draw)])


@dataclass(frozen=True, eq=False)
class ScoredClip:
    """A held-out clip with all that scoring needs, each made once and on demand."""

    clip: HeldOutClip
    encoder: ClipEncoder
    protocol: Protocol

    @cached_property
    def _views(self) -> tuple:
        return self.clip.view(self.clip.source), self.clip.view(self.clip.target)

    @cached_property
    def source(self) -> Tensor:  # [T, H, W, 3] uint8
        return self._views[0].frames()

    @cached_property
    def target(self) -> Tensor:  # [T, H, W, 3] uint8
        return self._views[1].frames()

    @cached_property
    def tracks(self) -> PairedTracks:
        """The same number of exact tracks as in training, with the prescribed target path."""
        clip = self.clip
        source = exact_tracks(
            clip.scene, self._views[0], clip.source[None], clip.intrinsics[None], clip.time[None],
            points=self.protocol.tracks, seed=clip.seed,
        )[0]  # fmt: skip
        path = torch.linalg.inv(clip.source[:1].double()) @ clip.target.double()
        camera = source.camera
        return pair_tracks(source, CameraPath(path, camera.intrinsics, camera.width, camera.height, camera.fps))

    @cached_property
    def latents(self) -> tuple[Tensor, Tensor]:
        """Source and target [1, 16, F, h, w], encoded as the training data is."""
        source, target = self.encoder.latents([self.source, self.target]).float().split(1)
        return source, target

    def pair(self, anchor: FrameAnchor) -> PairBatch:
        source, target = self.latents
        cameras = (self.tracks.source_camera, self.tracks.target_camera)
        return PairBatch(
            source, target, collate_tracks([self.tracks], anchor=anchor), torch.zeros(1, 1, TEXT_DIM),
            *(_at_latent_frames(camera) for camera in cameras),
        )  # fmt: skip

    @cached_property
    def fitter(self) -> CameraFitter:
        clip = self.clip
        return CameraFitter(
            clip.scene, clip.source, clip.target, clip.intrinsics, clip.time,
            width=clip.size, height=clip.size, every=self.protocol.every,
        )  # fmt: skip

    @cached_property
    def disoccluded(self) -> Tensor:
        """[T, H, W] bool: what the target shows of the scene and the source does not at the same time."""
        return disoccluded(self.clip, self._views[1].depth)


def disoccluded(clip: HeldOutClip, depth: Tensor) -> Tensor:
    """Target pixels [T, H, W] whose surface point is hidden from the source camera of the same frame, or outside.

    depth: [1, T, H, W] of the target view.
    """
    lens, size = clip.intrinsics[None], (clip.size, clip.size)
    origin, direction = pixel_rays(clip.target[None], lens, *size)
    points = origin + rearrange(depth, "1 t h w -> 1 t (h w) 1") * direction
    seen = visible_points(clip.scene, points, clip.source[None], lens, clip.time[None], *size)
    return ~rearrange(seen, "1 t (h w) -> t h w", h=depth.shape[2])


def scored_clips(protocol: Protocol, vae: Path) -> list[ScoredClip]:
    clips = held_out_clips(protocol.clips, seed=EVALUATION_SEED, size=protocol.size, frames=protocol.frames)
    encoder = ClipEncoder(vae)
    return [ScoredClip(clip, encoder, protocol) for clip in clips]


def _at_latent_frames(path: CameraPath) -> CameraBatch:
    frames = slice(None, None, FRAMES_PER_LATENT)
    return CameraBatch(path.world_from_camera[None, frames].float(), path.intrinsics[None, frames].float())
