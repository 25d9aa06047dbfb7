"""What is known of every pixel of a clip: how far what stands is, what moves, and how far that is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..cameras import CameraPath
from ..errors import Track2ViewError
from ..notes import Note
from ..progress import Progress
from ..tracks import PairedTracks, PointTracks
from .motion import moving_probability
from .movers import mover_inverse_depth
from .silhouettes import given_silhouettes, silhouettes
from .source_tracks import SourceTracks
from .standing_depth import standing_inverse_depth

ANALYSED_SIDE = 832
"""Long side of the pictures that are analysed; larger ones bring nothing but time."""


@dataclass(frozen=True, eq=False)
class ClipGeometry:
    """The dense geometry of a clip in the source view, at sizes of its own; all depths are inverse camera z."""

    standing: Tensor  # [T, h, w] float32 > 0: what stands at the pixel, or would be seen there behind what moves
    silhouettes: Tensor  # [T, h2, w2] bool: what moves
    mover_inverse: Tensor  # [T, h2, w2] float32: > 0 within the silhouettes, 0 elsewhere
    camera: CameraPath  # the source camera, T frames
    notes: tuple[Note, ...] = ()

    def __len__(self) -> int:
        """The number of frames T."""
        return len(self.standing)


def clip_geometry(
    video: Tensor,  # [T, H, W, 3] uint8
    tracks: PointTracks | PairedTracks,  # of the same clip at any size
    *,
    depth: Tensor | None = None,  # [T, h, w] camera z in the tracks' units, NaN where unknown: instead of the tracks'
    movers: Tensor | None = None,  # [T, H, W] bool: the silhouettes of what moves, instead of what is found
    progress: Progress | None = None,
) -> ClipGeometry:
    """Depth for every pixel and what moves, from tracks and pictures, without learned weights.

    Raises:
        Track2ViewError: video, tracks, depth and movers do not belong to one clip, or no track is visible.
    """
    frames, height, width = video.shape[:3]
    if len(tracks) != frames:
        raise Track2ViewError(
            f"The video has {frames} frames and the tracks have {len(tracks)}; give both of the same clip."
        )
    seen = SourceTracks.of(tracks, width, height)
    standing = standing_inverse_depth(video.numpy(), seen)
    motion = moving_probability(video.numpy(), seen, standing, progress)
    masks = silhouettes(motion) if movers is None else given_silhouettes(movers)
    codes = frozenset(note.code for note in tracks.notes) if isinstance(tracks, PointTracks) else frozenset[str]()
    inverse = mover_inverse_depth(seen, masks, standing, codes)
    return ClipGeometry(torch.from_numpy(standing), torch.from_numpy(masks), torch.from_numpy(inverse), seen.camera)
