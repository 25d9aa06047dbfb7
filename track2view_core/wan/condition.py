"""TrackCondition: what a generation is steered by, checked once before the first step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from torch import Tensor

from ..errors import Track2ViewError
from ..tracks import PairedTracks, TrackBatch, collate_tracks
from ..tracks.pairing import FrameAnchor
from .bundle import Bundle
from .bundle_config import LATENT_CHANNELS, SPATIAL_STRIDE

GRAIN = 1e-3  # of the schedule: WAN knows a thousand timesteps, and rounding must not move a step across the border


@dataclass(frozen=True, eq=False)
class TrackCondition:
    """A bundle, the paired tracks of one clip and the clip's latent.

    Raises:
        Track2ViewError: latent and tracks are not of one clip, or a number is out of range.
    """

    bundle: Bundle
    tracks: PairedTracks  # T = 4 (F - 1) + 1 video frames, at the latent's size in pixels
    source_latent: Tensor  # [1, 16, F, h8, w8] the clean source, normalised with WAN's statistics
    strength: float = 1.0  # of the deltas; 0 leaves the plain concatenation of source and target
    start: float = 0.0  # share of the schedule before which the deltas are 0
    end: float = 1.0  # share of the schedule from which on the deltas are 0

    def __post_init__(self) -> None:
        shape = list(self.source_latent.shape)
        if len(shape) != 5 or shape[:2] != [1, LATENT_CHANNELS] or shape[3] % 2 or shape[4] % 2:
            raise Track2ViewError(
                f"The source latent has shape {shape}; it must be [1, {LATENT_CHANNELS}, F, H/8, W/8] of one clip with "
                "sides that are multiples of 16: encode the prepared clip with the VAE of WAN 2.1."
            )
        if not self.source_latent.isfinite().all():
            raise Track2ViewError(
                "The source latent holds NaN or infinity; encode the clip again, with the VAE in float32."
            )
        self._check_tracks()
        if not math.isfinite(self.strength):
            raise Track2ViewError(
                f"strength is {self.strength}; it must be a finite number, 1 for the trained strength."
            )
        if not 0.0 <= self.start <= self.end <= 1.0:
            raise Track2ViewError(f"start is {self.start} and end is {self.end}; they must be 0 <= start <= end <= 1.")

    def _check_tracks(self) -> None:
        frames, height, width = self.source_latent.shape[2:]
        needed = 4 * (frames - 1) + 1
        if len(self.tracks) != needed:
            raise Track2ViewError(
                f"The tracks have {len(self.tracks)} frames and the source latent stands for {needed}; "
                "track and encode the same prepared clip."
            )
        size = (width * SPATIAL_STRIDE, height * SPATIAL_STRIDE)
        for name in ("source_camera", "target_camera"):
            camera = getattr(self.tracks, name)
            if (camera.width, camera.height) != size:
                raise Track2ViewError(
                    f"The tracks' {name} is {camera.width} x {camera.height} and the source latent stands for "
                    f"{size[0]} x {size[1]} pixels; track and encode the same prepared clip."
                )

    def track_batch(self) -> TrackBatch:
        """The tracks as the bundle's conditioner takes them, over the whole clip."""
        anchor = cast("FrameAnchor", self.bundle.config.conditioner.frame_anchor)
        return collate_tracks([self.tracks], anchor=anchor)

    def active(self, sigma: float, sigma_at: Callable[[float], float]) -> bool:
        """Whether the deltas are added at noise level `sigma`; `sigma_at` is the schedule: share done -> sigma."""
        first = math.inf if self.start == 0.0 else float(sigma_at(self.start - GRAIN))
        last = -math.inf if self.end == 1.0 else float(sigma_at(self.end - GRAIN))
        return self.strength != 0.0 and last < sigma <= first
