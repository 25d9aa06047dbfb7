"""Batches of training pairs: what a step sees depends on the run's seed, the step and the process, and on nothing else.

Every sample of a batch has random numbers of its own, so that a broken one is replaced without changing its neighbours;
and every batch a generator of its own, so that reading ahead or going on after a stop changes nothing.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from ..cameras import CameraPath, project
from ..dataset import BrokenSample, ClipPair
from ..errors import Track2ViewError
from ..tracks import PairedTracks, TrackBatch, collate_tracks
from ..tracks.pairing import FRAMES_PER_LATENT
from ..wan.models import TEXT_TOKENS
from .settings import BatchDraw, TrackerErrors

TEXT_DIM = 4096
GIVE_UP_AFTER = 100  # broken samples in a row: then the data set is broken, not a sample
Sample = TypeVar("Sample")


def seed_for(*purpose: int | str) -> int:
    """A seed for a purpose such as (run's seed, step, process, "data")."""
    words = "/".join(str(part) for part in purpose).encode()
    return int.from_bytes(hashlib.blake2b(words, digest_size=8).digest(), "big") >> 1


def generator_for(*purpose: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator, freshly seeded for a purpose."""
    return torch.Generator(device).manual_seed(seed_for(*purpose))


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


def perturb(
    points: Tensor,  # [B, F, N, 3] in the source camera of each frame
    visible: Tensor,  # [B, F, N] bool
    focal: Tensor,  # [B] pixels
    width: int,
    errors: TrackerErrors,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Points and visibilities with errors; a point moves across the line of sight by pixels and along it by a share."""
    batch, frames, count = visible.shape

    device = generator.device

    def share() -> Tensor:
        return torch.rand(batch, 1, 1, generator=generator, device=device)

    def normal(*shape: int) -> Tensor:
        return torch.randn(batch, *shape, generator=generator, device=device)

    ramp = torch.linspace(0, 1, frames, device=device)[None, :, None, None]
    pixels = errors.jitter * width * share()[..., None] * normal(frames, count, 2)
    pixels = pixels + errors.drift * width * share()[..., None] * ramp * normal(1, count, 2)
    z = points[..., 2:]
    xy = points[..., :2] + pixels * z / focal[:, None, None, None]
    depth = 1 + (errors.depth * share() * normal(1, count)).clamp(-0.3, 0.3)[..., None]
    flips = torch.rand(batch, frames, count, generator=generator, device=device) < errors.flipped * share()
    return torch.cat([xy, z], -1) * depth, visible ^ flips


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

    def batch(self, generator: torch.Generator, empty_text: Tensor | None) -> PairBatch:
        return draw_batch(self.dataset, self.draw, generator, empty_text=empty_text, name=self.name)


class Share(Protocol):
    """A data set's part in a run: `PairShare`, or `resident.ResidentShare`."""

    @property
    def start(self) -> float: ...

    def batch(self, generator: torch.Generator, empty_text: Tensor | None) -> PairBatch: ...


class PairSource:
    """Batches of several data sets in turn, such as two sizes of one; what a step gets depends on the step alone."""

    def __init__(self, shares: Sequence[Share], empty_text: Tensor | None = None) -> None:
        if not any(share.start <= 0 for share in shares):
            raise Track2ViewError("No data set takes part from the first step on; set start of one to 0.")
        self.shares, self.empty_text = tuple(shares), empty_text

    def draw(self, step: int, steps: int, generator: torch.Generator) -> PairBatch:
        active = [share for share in self.shares if step >= share.start * steps]
        return active[step % len(active)].batch(generator, self.empty_text)


class BatchSource(Protocol):
    """What a training learns from. A batch has `to(device)` and a length; `name` and `replaced` are logged."""

    def draw(self, step: int, steps: int, generator: torch.Generator) -> Any: ...


class Feed:
    """The batches of one process in the order of steps, from `start` on."""

    def __init__(
        self,
        source: BatchSource,
        *,
        start: int,
        steps: int,
        total: Callable[[], int],
        accumulation: int,
        seed: int,
        process: int,
        ahead: int,
    ) -> None:
        """total: how many steps the run is expected to have, which a run of set minutes learns as it goes."""
        self.source, self.total, self.seed, self.process, self.ahead = source, total, seed, process, ahead
        self._next = ((step, part) for step in range(start, steps) for part in range(accumulation))
        self._pool = ThreadPoolExecutor(ahead, thread_name_prefix="batches") if ahead else None
        self._waiting: deque[Future[Any]] = deque()

    def __enter__(self) -> Feed:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def take(self) -> Any:
        """The next batch."""
        if self._pool is None:
            return self._draw(*next(self._next))
        while len(self._waiting) < self.ahead and (place := next(self._next, None)) is not None:
            self._waiting.append(self._pool.submit(self._draw, *place))
        return self._waiting.popleft().result()

    def _draw(self, step: int, part: int) -> Any:
        generator = generator_for(self.seed, step, self.process, part, "data")
        return self.source.draw(step, self.total(), generator)
