"""Batches of training pairs: drawn from a data set by a generator alone, with what a model must learn to bear.

Every sample of a batch has random numbers of its own, so that a broken one is replaced without changing its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Protocol, TypeVar

import torch
from torch import Tensor

from ..cameras import CameraPath, project
from ..dataset import BrokenSample, ClipPair
from ..errors import Track2ViewError
from ..tracks import PairedTracks, TrackBatch, collate_tracks
from ..tracks.pairing import FRAMES_PER_LATENT, FrameAnchor
from ..wan.models import TEXT_TOKENS
from .settings_checks import check_choices, check_shares
from .tracker_errors import TrackerErrors, perturb

TargetPositions = Literal["reprojected", "tracked"]
TEXT_DIM = 4096
GIVE_UP_AFTER = 100  # broken samples in a row: then the data set is broken, not a sample
Sample = TypeVar("Sample")


class Pairs(Protocol):
    """What `draw_batch` reads; `track2view_core.dataset.PairDataset` is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> ClipPair: ...


@dataclass(frozen=True, eq=False)
class CameraBatch:
    """The cameras of B clips at latent frames, in the world of their data set."""

    world_from_camera: Tensor  # [B, F, 4, 4] float32
    intrinsics: Tensor  # [B, F, 3, 3] float32, pixels

    def window(self, index: Sequence[int]) -> CameraBatch:
        return CameraBatch(self.world_from_camera[:, list(index)], self.intrinsics[:, list(index)])

    def to(self, device: torch.device | str) -> CameraBatch:
        return CameraBatch(self.world_from_camera.to(device), self.intrinsics.to(device))


@dataclass(frozen=True, eq=False)
class PairBatch:
    source: Tensor  # [B, 16, F, h, w] model latents
    target: Tensor  # [B, 16, F, h, w]
    tracks: TrackBatch
    text: Tensor  # [B, L, 4096]
    source_camera: CameraBatch
    target_camera: CameraBatch
    name: str = ""  # of the share of the data it comes from, for the log
    replaced: tuple[str, ...] = ()  # a sentence for every broken sample that another one stands in for

    def __len__(self) -> int:
        return len(self.source)

    def window(self, index: Sequence[int]) -> PairBatch:
        """The latent frames of `index`, in its order."""
        parts = {name: getattr(self, name)[:, :, list(index)] for name in ("source", "target")}
        parts |= {name: getattr(self, name).window(index) for name in ("tracks", "source_camera", "target_camera")}
        return replace(self, **parts)

    def to(self, device: torch.device | str) -> PairBatch:
        return replace(self, **{name: getattr(self, name).to(device) for name in _MOVED})


_MOVED = tuple(field.name for field in fields(PairBatch) if field.name not in ("name", "replaced"))


@dataclass(frozen=True)
class BatchDraw:
    """How a batch is drawn. Shares are probabilities between 0 and 1."""

    batch: int = 1
    """Pairs a batch (of one process)."""
    tracks: tuple[int, int] = (500, 1500)
    """Least and most tracks of a batch; a pair that has fewer gives what it has."""
    track_dropout: float = 0.0
    """Upper end of the share of those tracks that a pair loses again, its own share each time."""
    identity: float = 0.1
    """Share of pairs whose target is the source itself."""
    text_dropout: float = 0.1
    """Share of pairs whose text is the empty prompt."""
    late_window: float = 0.25
    """Share of batches cut to latent frames that start after frame 0, as the later windows of a long clip do."""
    target_positions: TargetPositions = "reprojected"
    """Where the tracks lie in the target view: the source's points `reprojected`, as in use, or `tracked` there,
    where the data set holds that."""
    frame_anchor: FrameAnchor = "last"
    """Which video frames a latent frame's tracks stand for."""
    errors: TrackerErrors | None = TrackerErrors()  # noqa: RUF009 - frozen
    """How the tracks err; None leaves them as the data set holds them."""

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise Track2ViewError(f"batch is {self.batch}; it must be at least 1.")
        low, high = self.tracks
        if not 0 < low <= high:
            raise Track2ViewError(f"tracks is {list(self.tracks)}; it must be [least, most] with 0 < least <= most.")
        check_shares(self, "track_dropout", "identity", "text_dropout", "late_window")
        check_choices(self, target_positions=("reprojected", "tracked"), frame_anchor=("last", "mean"))


def draw_batch(
    dataset: Pairs, draw: BatchDraw, generator: torch.Generator, *, empty_text: Tensor | None = None, name: str = ""
) -> PairBatch:
    """One batch; the same generator state gives the same batch.

    empty_text: [L, 4096] what a dropped text becomes; None means zeros.
    """
    low, high = draw.tracks
    count = int(torch.randint(low, high + 1, (), generator=generator))
    late = float(torch.rand((), generator=generator)) < draw.late_window
    start = int(torch.randint(1 << 30, (), generator=generator))
    samples, replaced = draw_samples(
        len(dataset), draw.batch, lambda index, own: _sample(dataset[index], draw, count, own), generator
    )
    batch = _collated(samples, draw, empty_text)
    frames = batch.source.shape[2]
    if late and frames > 1:
        batch = batch.window(range(1 + start % max(1, frames // 4), frames))
    return replace(batch, name=name, replaced=replaced)


def draw_samples(
    count: int, batch: int, read: Callable[[int, torch.Generator], Sample], generator: torch.Generator
) -> tuple[list[Sample], tuple[str, ...]]:
    """`batch` random ones of `count` samples; a broken one is replaced by its own next draw and named."""
    if count == 0:
        raise Track2ViewError("The data set holds nothing to draw from; curate it again.")
    samples, replaced = [], []
    for seed in torch.randint(1 << 62, (batch,), generator=generator).tolist():
        own = torch.Generator().manual_seed(seed)
        for _ in range(GIVE_UP_AFTER):
            try:
                samples.append(read(int(torch.randint(count, (), generator=own)), own))
                break
            except BrokenSample as error:
                replaced.append(str(error))
        else:
            raise Track2ViewError(
                f"{GIVE_UP_AFTER} samples in a row are broken (the last: {replaced[-1].rstrip('.')}); "
                "curate the data set again."
            )
    return samples, tuple(replaced)


@dataclass(frozen=True, eq=False)
class _Sample:
    source: Tensor
    target: Tensor
    tracks: PairedTracks
    text: Tensor | None  # None: the empty prompt


def _sample(pair: ClipPair, draw: BatchDraw, count: int, generator: torch.Generator) -> _Sample:
    same, dropped, sparse = torch.rand(3, generator=generator).tolist()
    target = pair.source if same < draw.identity else pair.target
    order = torch.randperm(pair.tracks.positions.shape[1], generator=generator)[:count]
    kept = order[: max(1, round(len(order) * (1 - draw.track_dropout * sparse)))]
    positions, visible, camera = pair.tracks.positions[:, kept], pair.tracks.visible[:, kept], pair.tracks.camera
    if draw.errors is not None:
        positions, visible = _erring(positions, visible, camera, draw.errors, generator)
    measured = None
    if draw.target_positions == "tracked" and target is not pair.source and pair.target_positions is not None:
        measured = pair.target_positions[:, kept]
    tracks = PairedTracks(
        project(camera, positions),
        project(target.camera, positions if measured is None else measured),
        visible,
        camera,
        target.camera,
    )
    text = None if dropped < draw.text_dropout else target.text
    return _Sample(pair.source.latent, target.latent, tracks, text)


def _erring(
    positions: Tensor, visible: Tensor, camera: CameraPath, errors: TrackerErrors, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """World points [T, N, 3] with a tracker's errors; those are made in the axes of the source camera."""
    poses = camera.world_from_camera.float()
    rotation, centre = poses[:, :3, :3], poses[:, None, :3, 3]
    focal = camera.intrinsics[:1, 0, 0].float()
    points, visible = perturb(
        ((positions - centre) @ rotation)[None], visible[None], focal, camera.width, errors, generator
    )
    return points[0] @ rotation.mT + centre, visible[0]


def _collated(samples: Sequence[_Sample], draw: BatchDraw, empty_text: Tensor | None) -> PairBatch:
    for name in ("source", "target"):
        shapes = {tuple(getattr(sample, name).shape) for sample in samples}
        if len(shapes) > 1:
            raise Track2ViewError(
                f"The latents of one data set have the shapes {sorted(shapes)}; curate it with one size and length."
            )
    return PairBatch(
        source=torch.stack([sample.source for sample in samples]).float(),
        target=torch.stack([sample.target for sample in samples]).float(),
        tracks=collate_tracks([sample.tracks for sample in samples], anchor=draw.frame_anchor),
        text=_texts([sample.text for sample in samples], empty_text),
        source_camera=_cameras([sample.tracks.source_camera for sample in samples]),
        target_camera=_cameras([sample.tracks.target_camera for sample in samples]),
    )


def _cameras(paths: Sequence[CameraPath]) -> CameraBatch:
    frames = slice(None, None, FRAMES_PER_LATENT)
    return CameraBatch(
        torch.stack([path.world_from_camera[frames] for path in paths]).float(),
        torch.stack([path.intrinsics[frames] for path in paths]).float(),
    )


def _texts(texts: Sequence[Tensor | None], empty: Tensor | None) -> Tensor:
    """[B, 512, 4096], zero behind each text's last token as in WAN; one zero token where there is no text at all."""
    texts = [empty if text is None else text for text in texts]
    if all(text is None for text in texts):
        return torch.zeros(len(texts), 1, TEXT_DIM)
    stacked = torch.zeros(len(texts), TEXT_TOKENS, TEXT_DIM)
    for row, text in zip(stacked, texts, strict=True):
        if text is not None:
            row[: len(text)] = text[:TEXT_TOKENS].float()
    return stacked


@dataclass(frozen=True, eq=False)
class PairShare:
    """One data set and how it is drawn from."""

    dataset: Pairs
    draw: BatchDraw
    start: float = 0.0  # share of the run from which on it takes part
    name: str = ""


class PairSource:
    """Batches of several data sets in turn, such as two sizes of one; what a step gets depends on the step alone."""

    def __init__(self, shares: Sequence[PairShare], empty_text: Tensor | None = None) -> None:
        if not any(share.start <= 0 for share in shares):
            raise Track2ViewError("No data set takes part from the first step on; set start of one to 0.")
        self.shares, self.empty_text = tuple(shares), empty_text

    def draw(self, step: int, steps: int, generator: torch.Generator) -> PairBatch:
        active = [share for share in self.shares if step >= share.start * steps]
        share = active[step % len(active)]
        return draw_batch(share.dataset, share.draw, generator, empty_text=self.empty_text, name=share.name)


class BatchSource(Protocol):
    """What a training learns from. A batch has `to(device)` and a length; `name` and `replaced` are logged."""

    def draw(self, step: int, steps: int, generator: torch.Generator) -> Any: ...
