"""Which tracks of a pair are kept, and whether enough of them are."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from ..cameras import CameraPath, project
from ..tracks import PairedTracks
from .refusal import PairRefused
from .reversal import SplitTracks

SAME_TIME_LIMIT = 0.05
"""Of the depth: how far apart the two views may put a point at one moment of the scene."""
SAME_TIME_SHARE = 0.9
"""Of the moments in which both views see it."""
SEAM_SHARE = 0.7
"""Of the kept tracks, those that the seam shows."""
FEWEST_TRACKS = 32
LEAST_COVERAGE = 0.05


def consistent(split: SplitTracks, source: CameraPath, counts: Counter[str]) -> SplitTracks:
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


def chosen(split: SplitTracks, points: int) -> SplitTracks:
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


def padded(sets: list[SplitTracks], frames: int) -> tuple[SplitTracks, Tensor]:
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
