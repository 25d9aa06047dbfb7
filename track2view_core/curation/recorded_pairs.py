"""Shards of recorded scenes: pairs of synced clips, checked, and tracked by one run of a tracker over both."""

from __future__ import annotations

import random
import zlib
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from itertools import permutations

import torch
from torch import Tensor

from ..cameras import CameraPath
from ..cameras.rotations import rigid_inverse
from ..dataset import DatasetInfo, Shard
from ..errors import Track2ViewError
from ..progress import Progress
from ..tracks.trackers import PointTracker
from .clip_loading import Cut, LoadedClip, PairRefused, RecordedClip, RecordedScene, load_clip
from .latent_caching import ClipEncoder
from .pair_checks import Half, check_cameras, check_seam
from .pair_tracking import (
    SplitTracks,
    check_worth,
    consistent_tracks,
    evenly_chosen,
    joined_camera,
    joined_frames,
    takes_camera,
    track_from_known_cameras,
    with_stereo_depth,
)

SPARE_POINTS = 1.5
"""Tracks asked for each one wanted: some fall to the filters."""


@dataclass(frozen=True)
class PairSettings:
    cut: Cut
    points: int = 1024  # tracks a pair, at most
    pairs_per_scene: int | None = None  # drawn by the seed; None: all ordered pairs
    scenes_per_shard: int = 4
    seed: int = 0
    keep_frames: bool = False

    def __post_init__(self) -> None:
        for name in ("points", "scenes_per_shard"):
            if getattr(self, name) < 1:
                raise Track2ViewError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if self.pairs_per_scene is not None and self.pairs_per_scene < 1:
            raise Track2ViewError(f"pairs_per_scene is {self.pairs_per_scene}; it must be at least 1.")


@dataclass(frozen=True, eq=False)
class CuratedPair:
    source: LoadedClip
    target: LoadedClip
    tracks: SplitTracks  # in the world of the shared frame 0


@dataclass(frozen=True)
class RecordedPairs:
    """A ShardMaker over recorded scenes. `fps` is the data set's; clips of another rate are refused."""

    source: str  # multicamvideo, ...
    scenes: tuple[RecordedScene, ...]
    how: PairSettings
    tracker: PointTracker
    fps: float
    encoder: ClipEncoder = field(default_factory=ClipEncoder)

    def __len__(self) -> int:
        return -(-len(self.scenes) // self.how.scenes_per_shard)

    def info(self) -> DatasetInfo:
        told = asdict(self.how)
        cut = told.pop("cut")
        listed = "\n".join(clip.name for scene in self.scenes for clip in scene.clips)
        return DatasetInfo(
            width=cut["width"],
            height=cut["height"],
            frames=cut["frames"],
            fps=self.fps,
            source=self.source,
            tracker=type(self.tracker).__name__,
            vae=self.encoder.identity(),
            has_frames=told.pop("keep_frames"),
            has_text=self.encoder.text_encoder is not None,
            settings={**told, "every": cut["every"], "clips": f"{zlib.crc32(listed.encode()):08x}"},
        )

    def make(self, number: int, progress: Progress | None = None) -> Shard:
        first = number * self.how.scenes_per_shard
        counts: Counter[str] = Counter()
        refused: dict[str, str] = {}
        kept: list[CuratedPair] = []
        for scene in self.scenes[first : first + self.how.scenes_per_shard]:
            kept += self._scene(scene, counts, refused, progress)
        return pairs_shard(kept, counts, refused, self.info(), self.encoder, progress)

    def _scene(
        self, scene: RecordedScene, counts: Counter[str], refused: dict[str, str], progress: Progress | None
    ) -> list[CuratedPair]:
        loaded: dict[str, LoadedClip | PairRefused] = {}

        def clip(asked: RecordedClip) -> LoadedClip:
            if asked.name not in loaded:
                try:
                    loaded[asked.name] = load_clip(asked, self.how.cut)
                except PairRefused as error:
                    loaded[asked.name] = error
            found = loaded[asked.name]
            if isinstance(found, PairRefused):
                raise found
            return found

        kept = []
        for source, target in drawn_pairs(scene, self.how):
            name = f"{source.name} -> {target.name}"
            try:
                tracked = curate_pair(
                    clip(source), clip(target), self.tracker, self.how.points, self.fps, counts, progress
                )
            except PairRefused as error:
                counts[f"pairs refused: {error.reason}"] += 1
                refused[name] = str(error)
                continue
            counts["pairs kept"] += 1
            kept.append(tracked)
        return kept


def drawn_pairs(scene: RecordedScene, how: PairSettings) -> list[tuple[RecordedClip, RecordedClip]]:
    """All ordered pairs of a scene, or some of them drawn by the seed and the scene's name; of one clip, itself."""
    if len(scene.clips) == 1:
        return [(scene.clips[0], scene.clips[0])]
    pairs = list(permutations(scene.clips, 2))
    if how.pairs_per_scene is None or how.pairs_per_scene >= len(pairs):
        return pairs
    return random.Random(f"{how.seed} {scene.name}").sample(pairs, how.pairs_per_scene)


def curate_pair(
    source: LoadedClip,
    target: LoadedClip,
    tracker: PointTracker,
    points: int,
    fps: float,
    counts: Counter[str],
    progress: Progress | None = None,
) -> CuratedPair:
    """Check the pair, track it once, split the tracks, filter them.

    Raises:
        PairRefused: it is no pair, or too little of it can be tracked.
    """
    name = f"{source.clip.name} -> {target.clip.name}"
    check_alike(source, target, fps, name)
    source, target = (shared_world(clip, source.camera) for clip in (source, target))
    halves = [Half(clip.clip.name, clip.frames, clip.camera) for clip in (source, target)]
    single = source.clip == target.clip
    if not single:
        check_seam(*halves)
    check_cameras(halves[:1] if single else halves)
    frames = source.frames if single else joined_frames(source.frames, target.frames)
    camera = source.camera if single else joined_camera(source.camera, target.camera)
    tracks = track_from_known_cameras(
        tracker, frames, camera, points=round(SPARE_POINTS * points), name=name, progress=progress
    )
    split = SplitTracks.unsplit(tracks) if single else SplitTracks.of(tracks)
    counts["tracks found"] += split.source.shape[1]
    if takes_camera(tracker) and not single:
        split, unknown = with_stereo_depth(split, source.camera, target.camera)
        counts["tracks dropped: seen from one side only"] += int(unknown.sum())
        split = split.select((~unknown).nonzero()[:, 0])
    split = evenly_chosen(consistent_tracks(split, source.camera, counts), points)
    check_worth(split, source.camera, target.camera, name)
    counts["tracks kept"] += split.source.shape[1]
    return CuratedPair(source, target, split)


def check_alike(source: LoadedClip, target: LoadedClip, fps: float, name: str) -> None:
    """Refuse clips of different size, rate or first camera."""
    if source.clip == target.clip:
        return
    (*size, rate), (*other_size, other_rate) = source.recorded, target.recorded
    if size != other_size:
        raise PairRefused("sizes differ", f"{name}: one clip is {size[0]} x {size[1]}, the other {other_size}.")
    if rate != other_rate or abs(source.camera.fps - fps) > 0.01 * fps:
        raise PairRefused(
            "frame rates differ",
            f"{name}: the clips have {float(rate):g} and {float(other_rate):g} frames a second, and {fps:g} is taken.",
        )
    gap = rigid_inverse(source.camera.world_from_camera[0]) @ target.camera.world_from_camera[0]
    travel = torch.cat([c.camera.world_from_camera[:, :3, 3] for c in (source, target)])
    extent = float((travel - travel[0]).norm(dim=1).max())
    turned = float(torch.rad2deg(((gap[:3, :3].trace() - 1) / 2).clamp(-1, 1).arccos()))
    if turned > 0.1 or float(gap[:3, 3].norm()) > max(1e-3, 0.01 * extent):
        raise PairRefused(
            "first cameras differ",
            f"{name}: the cameras of frame 0 are {turned:.1f} degrees and {float(gap[:3, 3].norm()):.3g} apart; a pair "
            "shares its first frame.",
        )


def shared_world(clip: LoadedClip, first: CameraPath) -> LoadedClip:
    """The clip in the world whose origin is frame 0 of `first`; its own frame 0 becomes exactly that."""
    poses = rigid_inverse(first.world_from_camera[0]) @ clip.camera.world_from_camera
    poses[0] = torch.eye(4, dtype=poses.dtype)
    return replace(clip, camera=replace(clip.camera, world_from_camera=poses))


def pairs_shard(
    kept: list[CuratedPair],
    counts: Counter[str],
    refused: dict[str, str],
    info: DatasetInfo,
    encoder: ClipEncoder,
    progress: Progress | None = None,
) -> Shard:
    """Each clip once, however many pairs it is in; one set of tracks a pair. A shard without pairs is written too."""
    clips = {clip.clip.name: clip for pair in kept for clip in (pair.source, pair.target)}
    place = {name: number for number, name in enumerate(clips)}
    loaded = list(clips.values())
    captions = tuple(clip.clip.caption for clip in loaded)
    counts["clips"] += len(loaded)
    counts["captions missing"] += sum(not caption for caption in captions)
    frames = (
        torch.stack([clip.frames for clip in loaded])
        if loaded
        else torch.zeros(0, info.frames, info.height, info.width, 3, dtype=torch.uint8)
    )
    latents = None
    if info.vae is not None:
        latents = encoder.latents(list(frames), progress) if loaded else torch.zeros(0, *info.latent_shape).half()
    sets, track_counts = stacked_tracks([pair.tracks for pair in kept], info.frames)
    pairs = [[place[p.source.clip.name], place[p.target.clip.name], k] for k, p in enumerate(kept)]
    return Shard(
        world_from_camera=_stacked([clip.camera.world_from_camera for clip in loaded], info.frames, 4),
        intrinsics=_stacked([clip.camera.intrinsics for clip in loaded], info.frames, 3),
        positions=sets.source,
        visible=sets.source_visible,
        confidence=sets.confidence,
        target_positions=sets.target,
        track_counts=track_counts,
        pairs=torch.tensor(pairs, dtype=torch.int64).reshape(-1, 3),
        names=tuple(clips),
        captions=captions,
        latents=latents,
        frames=frames if info.has_frames else None,
        text=encoder.embeddings(captions) if captions else (),
        counts={reason: count for reason, count in counts.items() if count},
        refused=refused,
    )


def stacked_tracks(sets: list[SplitTracks], frames: int) -> tuple[SplitTracks, Tensor]:
    """All sets of tracks as [K, T, N, ...] padded with zeros, and how many tracks each has [K]."""
    if not sets:
        points, flags = torch.zeros(0, frames, 0, 3), torch.zeros(0, frames, 0, dtype=torch.bool)
        return SplitTracks(points, points, flags, flags, torch.zeros(0, frames, 0)), torch.zeros(0, dtype=torch.int64)
    most = max(entry.source.shape[1] for entry in sets)

    def stacked(name: str) -> Tensor:
        rows = [getattr(entry, name) for entry in sets]
        return torch.stack(
            [torch.cat([row, row.new_zeros(len(row), most - row.shape[1], *row.shape[2:])], 1) for row in rows]
        )

    joined = SplitTracks(*(stacked(name) for name in SplitTracks.__dataclass_fields__))
    return joined, torch.tensor([entry.source.shape[1] for entry in sets])


def _stacked(matrices: list[Tensor], frames: int, rows: int) -> Tensor:
    return torch.stack(matrices) if matrices else torch.zeros(0, frames, rows, rows, dtype=torch.float64)
