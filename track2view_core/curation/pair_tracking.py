"""Two clips of one scene in, one-to-one tracks in both views out: join, track once, split, measure depth, filter.

The pair trick: the source reversed in time, then the target, is one clip whose tracks are in both views. Both clips
begin with the same frame, the seam. With T frames each the joined clip has 2T - 1, the seam at T - 1; source frame t is
its frame T - 1 - t, target frame t its frame T - 1 + t, and both are the same moment of the scene.
"""

from __future__ import annotations

import inspect
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..cameras import CameraPath, project
from ..cameras.rotations import rigid_inverse
from ..errors import Track2ViewError
from ..progress import Progress
from ..tracks import PairedTracks, PointTracks
from ..tracks.trackers import PointTracker
from .clip_loading import PairRefused


def joined_frames(source: Tensor, target: Tensor) -> Tensor:
    """uint8 [T, H, W, 3] twice -> [2T - 1, H, W, 3]."""
    return torch.cat([source.flip(0), target[1:]])


def joined_camera(source: CameraPath, target: CameraPath) -> CameraPath:
    """The path of the joined clip; both paths share their world."""
    return replace(
        source,
        world_from_camera=torch.cat([source.world_from_camera.flip(0), target.world_from_camera[1:]]),
        intrinsics=torch.cat([source.intrinsics.flip(0), target.intrinsics[1:]]),
    )


@dataclass(frozen=True, eq=False)
class SplitTracks:
    """N points in the time of the scene: what the tracker measured in either view, one to one."""

    source: Tensor  # [T, N, 3] world
    target: Tensor  # [T, N, 3] world
    source_visible: Tensor  # [T, N] bool
    target_visible: Tensor  # [T, N] bool
    confidence: Tensor  # [T, N] in the source view

    @classmethod
    def of(cls, tracks: PointTracks) -> SplitTracks:
        """Split the tracks of a joined clip of 2T - 1 frames."""
        seam = len(tracks) // 2
        back, on = slice(None, seam + 1), slice(seam, None)
        return cls(
            tracks.positions[back].flip(0),
            tracks.positions[on],
            tracks.visible[back].flip(0),
            tracks.visible[on],
            tracks.confidence[back].flip(0),
        )

    @classmethod
    def unsplit(cls, tracks: PointTracks) -> SplitTracks:
        """One clip as both views."""
        return cls(tracks.positions, tracks.positions, tracks.visible, tracks.visible, tracks.confidence)

    def select(self, chosen: Tensor) -> SplitTracks:
        return SplitTracks(*(getattr(self, name)[:, chosen] for name in self.__dataclass_fields__))


START_FRAMES = 5
"""Where a tracker takes queries: at the seam, and at both ends and the middle of either half."""
MOST_TURNED, MOST_SHIFTED = 5.0, 0.2
"""Degrees, and share of the path's extent, that a tracker's own cameras may differ from the known ones."""
LEAST_EXTENT = 1e-3
"""Of the points' distance: a path shorter than this tells no scale."""


def takes_camera(tracker: PointTracker) -> bool:
    """Whether the tracker can be told the camera; its depths are then those that the known cameras give."""
    return "camera" in inspect.signature(tracker.track).parameters


def track_from_known_cameras(
    tracker: PointTracker,
    frames: Tensor,  # [2T - 1, H, W, 3] uint8
    known: CameraPath,
    *,
    points: int,
    name: str,
    progress: Progress | None = None,
) -> PointTracks:
    """Tracks in the world of `known`, with `known` as their camera.

    A tracker that takes a camera gets it; another one's cameras are aligned by a similarity, and each point is put
    back on its own viewing ray before the known camera.

    Raises:
        PairRefused: the clip cannot be tracked, or the tracker sees another camera.
    """
    takes = inspect.signature(tracker.track).parameters
    options: dict[str, Any] = {}
    if "start_frames" in takes:
        options["start_frames"] = START_FRAMES
    if takes_camera(tracker):
        options["camera"] = known
    try:
        tracks = tracker.track(frames, points=points, progress=progress, **options)
    except Track2ViewError as error:
        raise PairRefused("not tracked", f"{name} was not tracked: {error}") from error
    return in_known_world(tracks, known) if takes_camera(tracker) else before_known_cameras(tracks, known, name)


def in_known_world(tracks: PointTracks, known: CameraPath) -> PointTracks:
    """From the world of the clip's first camera, which trackers use, to that of the known path."""
    first = known.world_from_camera[0]
    positions = tracks.positions.double() @ first[:3, :3].T + first[:3, 3]
    return replace(tracks, positions=positions.float(), camera=known)


def before_known_cameras(tracks: PointTracks, known: CameraPath, name: str) -> PointTracks:
    """The tracks before the known cameras instead of the tracker's own."""
    own = tracks.camera
    scale, turned, shifted = similarity_to_known(own, known, float(tracks.scene_scale))
    if turned > MOST_TURNED or shifted > MOST_SHIFTED:
        raise PairRefused(
            "cameras disagree",
            f"{name} is filmed by other cameras than the data set says: the tracker's turn {turned:.1f} degrees and "
            f"lie {100 * shifted:.0f} % of the path away.",
        )
    view = project(own, tracks.positions)
    depth = view.depth.double() * scale
    lens = torch.linalg.inv(known.intrinsics)
    pixel = torch.cat([view.xy.double(), torch.ones_like(depth)[..., None]], -1)
    local = (pixel @ lens.mT) * depth[..., None]
    world = local @ known.world_from_camera[:, :3, :3].mT + known.world_from_camera[:, None, :3, 3]
    in_front = view.depth > 0
    return replace(
        tracks,
        positions=torch.where(in_front[..., None], world, 0.0).float(),
        visible=tracks.visible & in_front,
        camera=known,
    )


def similarity_to_known(own: CameraPath, known: CameraPath, distance: float) -> tuple[float, float, float]:
    """Scale from `own` to `known` units, and what is left: degrees (worst frame) and share of the path's extent.

    A path that hardly moves tells no scale, and 1 stands.
    """
    there, here = own.relative_to_first().world_from_camera, known.relative_to_first().world_from_camera
    # One rotation between the two worlds, the mean over all frames (Kabsch on the axes).
    u, _, vt = torch.linalg.svd((here[:, :3, :3] @ there[:, :3, :3].mT).sum(0))
    world = u @ torch.diag(torch.tensor([1.0, 1.0, float(torch.linalg.det(u @ vt))], dtype=u.dtype)) @ vt
    left = rigid_inverse(here)[:, :3, :3] @ world @ there[:, :3, :3]
    trace = left.diagonal(dim1=-2, dim2=-1).sum(-1)
    turned = float(torch.rad2deg(((trace - 1) / 2).clamp(-1, 1).arccos()).max())
    mine = (there[:, :3, 3] - there[:, :3, 3].mean(0)) @ world.T
    theirs = here[:, :3, 3] - here[:, :3, 3].mean(0)
    extent, power = float(theirs.norm(dim=1).max()), float((mine * mine).sum())
    if float(mine.norm(dim=1).max()) < LEAST_EXTENT * distance:
        # The tracker saw no travel at all.
        return 1.0, turned, 0.0 if extent == 0 else 1.0
    scale = float((mine * theirs).sum()) / power
    if extent == 0 or scale <= 0:
        return 1.0, turned, 0.0 if extent == 0 else 1.0
    return scale, turned, float((theirs - scale * mine).norm(dim=1).max()) / extent


STANDS = 1e-4
"""Of the distance: a point that never moves more stands."""
LEAST_ANGLE = np.radians(1.0)
"""Between the two viewing rays of one moment: below it they do not tell a depth."""
WORST_MISS = 0.01
"""Of the distance: how far the two rays of one point may pass each other."""
LEAST_SHARE, HARMLESS = 1 / 8, np.radians(0.5)
"""Angle under which a standing point was seen, of the angle that both paths span around it; less than the second angle
does no harm whatever the depth."""


def with_stereo_depth(split: SplitTracks, source: CameraPath, target: CameraPath) -> tuple[SplitTracks, Tensor]:
    """The tracks with the movers' depth by stereo, and which of them [N] have no known depth."""
    moving = _moving(split, source)
    unknown = _one_sided(split, source, target) & ~moving
    index = moving.nonzero()[:, 0]
    if len(index):
        ours, theirs, found = _stereo(split.select(index), source, target)
        source_points, target_points = split.source.clone(), split.target.clone()
        source_points[:, index], target_points[:, index] = ours, theirs
        unknown[index] = ~found
        split = replace(split, source=source_points, target=target_points)
    return split, unknown


def _moving(split: SplitTracks, source: CameraPath) -> Tensor:
    points = torch.cat([split.source, split.target]).double()
    distance = (points[0] - source.world_from_camera[0, :3, 3]).norm(dim=-1)
    return (points - points[:1]).norm(dim=-1).amax(0) > STANDS * distance


def _one_sided(split: SplitTracks, source: CameraPath, target: CameraPath) -> Tensor:
    """[N] standing points whose depth follows from rays that hardly part, while the cameras part around them."""
    centers = torch.cat([path.world_from_camera[:, :3, 3] for path in (source, target)])
    directions = torch.nn.functional.normalize(split.source[0].double() - centers[:, None], dim=-1)  # [2T, N, 3]
    seen = torch.cat([split.source_visible, split.target_visible])

    def spread(counted: Tensor) -> Tensor:
        middle = torch.nn.functional.normalize((directions * counted[..., None]).sum(0), dim=-1)
        angle = ((directions - middle).norm(dim=-1) / 2).clamp(max=1).arcsin() * 2  # exact also for tiny angles
        return torch.where(counted, angle, 0.0).amax(0)

    spanned = spread(torch.ones_like(seen))
    return (spread(seen) < LEAST_SHARE * spanned) & (spanned > HARMLESS)


def _stereo(split: SplitTracks, source: CameraPath, target: CameraPath) -> tuple[Tensor, Tensor, Tensor]:
    """Positions of movers in both views on the tracker's own rays, and which [N] have a moment that tells a depth.

    Between such moments the inverse depth is interpolated.
    """
    here, there = (path.world_from_camera[:, None, :3, 3] for path in (source, target))
    u = torch.nn.functional.normalize(split.source.double() - here, dim=-1)
    v = torch.nn.functional.normalize(split.target.double() - there, dim=-1)
    cosine, between = (u * v).sum(-1), (here - there).expand_as(u)
    across = (1 - cosine**2).clamp_min(1e-12)
    on_u, on_v = (u * between).sum(-1), (v * between).sum(-1)
    near, far = (cosine * on_v - on_u) / across, (on_v - cosine * on_u) / across
    miss = (here + near[..., None] * u - there - far[..., None] * v).norm(dim=-1)
    told = split.source_visible & split.target_visible & (across.sqrt() > np.sin(LEAST_ANGLE))
    told &= (near > 0) & (far > 0) & (miss < WORST_MISS * near)
    found = told.any(0)
    points = []
    for distance, origin, ray in ((near, here, u), (far, there, v)):
        inverse = _interpolated((1 / distance.clamp_min(1e-9)).numpy(), told.numpy())
        points.append((origin + ray / torch.from_numpy(inverse)[..., None]).float())
    return points[0], points[1], found


def _interpolated(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """[T, N] linear in time between the known entries, constant beyond them; 1 where a column knows none."""
    out = np.ones_like(values)
    time = np.arange(len(values))
    for n in np.flatnonzero(known.any(0)):
        out[:, n] = np.interp(time, time[known[:, n]], values[known[:, n], n])
    return out


SAME_TIME_LIMIT = 0.05
"""Of the depth: how far apart the two views may put a point at one moment of the scene."""
SAME_TIME_SHARE = 0.9
"""Of the moments in which both views see it."""
SEAM_SHARE = 0.7
"""Of the kept tracks, those that the seam shows."""
FEWEST_TRACKS = 32
LEAST_COVERAGE = 0.05


def consistent_tracks(split: SplitTracks, source: CameraPath, counts: Counter[str]) -> SplitTracks:
    """Drop what the source never sees, what lies behind the camera that sees it, and what is in two places at once."""
    seen = split.source_visible.any(0)
    counts["tracks dropped: the source never sees them"] += int((~seen).sum())
    depth = project(source, split.source).depth
    behind = seen & (split.source_visible & (depth <= 0)).any(0)
    counts["tracks dropped: behind the camera that sees them"] += int(behind.sum())
    torn = seen & ~behind & (same_time_gap(split, depth) > SAME_TIME_LIMIT)
    counts["tracks dropped: two places at one time"] += int(torn.sum())
    return split.select((seen & ~behind & ~torn).nonzero()[:, 0])


def same_time_gap(split: SplitTracks, depth: Tensor) -> Tensor:
    """[N] share of the depth between both views' positions at one scene time; 0 where they never see it at once."""
    both = split.source_visible & split.target_visible
    gap = (split.source - split.target).norm(dim=-1) / depth.clamp_min(1e-6)
    gap = torch.where(both, gap, torch.nan)
    return torch.nanquantile(gap, SAME_TIME_SHARE, dim=0).nan_to_num(0.0)


def evenly_chosen(split: SplitTracks, points: int) -> SplitTracks:
    """At most `points` tracks, most of them such as the seam shows, spread evenly over the order they came in."""
    at_seam = split.source_visible[0]
    first, other = at_seam.nonzero()[:, 0], (~at_seam).nonzero()[:, 0]
    wanted = min(len(first), max(points - len(other), round(SEAM_SHARE * points)))
    kept = torch.cat([_spread(first, wanted), _spread(other, min(len(other), points - wanted))])
    return split.select(kept.sort().values)


def _spread(index: Tensor, count: int) -> Tensor:
    return index[torch.linspace(0, len(index) - 1, count).round().long()] if 0 < count < len(index) else index[:count]


def check_worth(split: SplitTracks, source: CameraPath, target: CameraPath, name: str) -> None:
    """Refuse a pair with too few tracks, or whose tracks reach hardly any of the target view."""
    count = split.source.shape[1]
    if count < FEWEST_TRACKS:
        raise PairRefused("too few tracks", f"{name} keeps {count} tracks, and {FEWEST_TRACKS} are needed.")
    here, there = project(source, split.source), project(target, split.source)
    paired = PairedTracks(here, there, split.source_visible, source, target)
    coverage = float(paired.coverage().mean())
    if coverage < LEAST_COVERAGE:
        raise PairRefused(
            "too little of the target is covered",
            f"{name}: tracks reach {100 * coverage:.0f} % of the target view, and {100 * LEAST_COVERAGE:.0f} % are "
            "needed.",
        )
