"""The pair trick: the source reversed in time, then the target, is one clip whose tracks are in both views.

Both clips begin with the same frame, the seam. With T frames each the joined clip has 2T - 1, the seam at T - 1; source
frame t is its frame T - 1 - t, target frame t its frame T - 1 + t, and both are the same moment of the scene.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..cameras import CameraPath
from ..tracks import PointTracks


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
