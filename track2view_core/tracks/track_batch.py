"""TrackBatch: paired tracks of several clips as the conditioner takes them, at latent frames, padded to one N."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from ..cameras import ViewTracks
from ..errors import Track2ViewError
from .pairing import FrameAnchor, PairedTracks

LOW_PERCENTILE, HIGH_PERCENTILE = 1.0, 99.0
FLAT_RANGE = 1e-3  # share of the disparity itself; a scene with less range is flat, its noise is not blown up to 0..1


@dataclass(frozen=True, eq=False)
class TrackBatch:
    """B clips, F latent frames, N tracks. Entries that only pad a clip to N are 0 and False.

    Disparity is 1 / depth, normalised to 0..1 once for the whole clip (both views, all frames), and 0 where the point
    is not inside. It does not change when a window is cut.
    """

    source_xy: Tensor  # [B, F, N, 2] float32, pixels
    target_xy: Tensor  # [B, F, N, 2] float32, pixels
    source_depth: Tensor  # [B, F, N] float32, world units
    target_depth: Tensor  # [B, F, N] float32, world units
    source_disparity: Tensor  # [B, F, N] float32, 0..1
    target_disparity: Tensor  # [B, F, N] float32, 0..1
    source_inside: Tensor  # [B, F, N] bool
    target_inside: Tensor  # [B, F, N] bool
    visible: Tensor  # [B, F, N] bool, in the source view
    image_size: tuple[int, int]  # (H, W) pixels, of both views

    def __post_init__(self) -> None:
        shape = self.visible.shape
        for name in _TENSORS:
            wanted = [*shape, 2] if name.endswith("_xy") else [*shape]
            found = list(getattr(self, name).shape)
            if len(shape) != 3 or found != wanted:
                raise Track2ViewError(
                    f"TrackBatch.{name} has shape {found}; with visible {list(shape)} as [B, F, N] it must be {wanted}."
                )

    def window(self, index: Sequence[int]) -> TrackBatch:
        """The latent frames of `index`, in its order; disparities stay those of the whole clip."""
        return self._map(lambda tensor: tensor[:, list(index)])

    def to(self, device: torch.device | str) -> TrackBatch:
        return self._map(lambda tensor: tensor.to(device))

    def _map(self, change: Callable[[Tensor], Tensor]) -> TrackBatch:
        return replace(self, **{name: change(getattr(self, name)) for name in _TENSORS})


_TENSORS = tuple(field.name for field in fields(TrackBatch) if field.name != "image_size")


def collate_tracks(pairs: Sequence[PairedTracks], *, anchor: FrameAnchor = "last") -> TrackBatch:
    """Stack the paired tracks of B clips (video frames, one length and one image size) at their latent frames.

    Disparities are normalised per clip over all its video frames, both views, counting inside points of tracks that
    the source shows at least once, by their 1st and 99th percentile.

    Raises:
        Track2ViewError: no clip, or lengths or image sizes differ, within one clip's two views too.
    """
    if not pairs:
        raise Track2ViewError("No clip came to be collated; give at least one PairedTracks.")
    sizes = {(camera.height, camera.width) for pair in pairs for camera in (pair.source_camera, pair.target_camera)}
    lengths = {len(pair) for pair in pairs}
    if len(sizes) > 1 or len(lengths) > 1:
        raise Track2ViewError(
            f"The clips of one batch have image sizes (H, W) {sorted(sizes)} and frame counts {sorted(lengths)}; "
            "prepare all clips, and both views of each, to one size and length."
        )
    clips = [_clip_entries(pair, anchor) for pair in pairs]
    tracks = max(clip["visible"].shape[1] for clip in clips)
    stacked = {name: torch.stack([_pad_tracks(clip[name], tracks) for clip in clips]) for name in clips[0]}
    return TrackBatch(**stacked, image_size=sizes.pop())


def _clip_entries(pair: PairedTracks, anchor: FrameAnchor) -> dict[str, Tensor]:
    low, high = _disparity_range(pair)
    latent = pair.at_latent_frames(anchor)
    entries = {"visible": latent.visible}
    for side, view in (("source", latent.source), ("target", latent.target)):
        entries[f"{side}_xy"] = view.xy
        entries[f"{side}_depth"] = view.depth
        entries[f"{side}_inside"] = view.inside
        entries[f"{side}_disparity"] = _normalised_disparity(view, low, high)
    return entries


def _disparity_range(pair: PairedTracks) -> tuple[float, float]:
    """1st and 99th percentile of 1 / depth over the whole clip and both views; (0, 1) without any point."""
    depths = [view.depth[view.inside & pair.seen].cpu().numpy() for view in (pair.source, pair.target)]
    disparity = 1.0 / np.concatenate(depths).astype(np.float64)
    if disparity.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(disparity, [LOW_PERCENTILE, HIGH_PERCENTILE])
    return float(low), float(max(high, low + FLAT_RANGE * high))


def _normalised_disparity(view: ViewTracks, low: float, high: float) -> Tensor:
    disparity = 1.0 / torch.where(view.inside, view.depth, 1.0).to(torch.float32)
    return torch.where(view.inside, ((disparity - low) / (high - low)).clamp(0.0, 1.0), 0.0)


def _pad_tracks(entry: Tensor, tracks: int) -> Tensor:
    """`[F, n, ...]` to `[F, tracks, ...]` with zeros (False)."""
    return torch.cat([entry, entry.new_zeros(len(entry), tracks - entry.shape[1], *entry.shape[2:])], dim=1)
