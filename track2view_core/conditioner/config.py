"""What a track conditioner is built from; it travels in the bundle file, so that a file says how it must be read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from ..errors import Track2ViewError

_CHOICES = {
    "scatter_norm": ("mean_coverage", "max1"),
    "frame_anchor": ("last", "mean"),
    "scatter_level": ("token", "latent"),
}


@dataclass(frozen=True)
class ConditionerConfig:
    """The defaults are those of WAN 2.1 at 1.3B.

    Raises:
        Track2ViewError: a field is out of range; the message names it.
    """

    dim: int = 1536
    """D, the width of the video tokens it reads and adds to."""
    width: int = 1536
    """Width of the temporal transformer; below `dim` it is a bottleneck."""
    layers: int = 8
    heads: int = 12
    """Attention heads; `width / heads` must be an even whole number."""
    depth_bands: int = 10
    """Fourier bands of the normalised disparity."""
    scatter_norm: str = "mean_coverage"
    """`mean_coverage`: weighted mean and its coverage; `max1`: sum over max(1, sum of weights)."""
    frame_anchor: str = "last"
    """Which video frames a latent frame's tracks stand for, `last` or `mean`; applied where tracks are collated."""
    scatter_level: str = "token"
    """`token`, or `latent`: in addition the source latents warped into the target view at latent resolution."""
    latent_channels: int = 16
    """C, read by `scatter_level` latent only."""
    zbuffer_beta: float = 10.0
    """Sharpness of the soft z-buffer; 0 lets hidden points through."""

    def __post_init__(self) -> None:
        for name in ("dim", "width", "layers", "heads", "depth_bands", "latent_channels"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise Track2ViewError(
                    f"ConditionerConfig.{name} is {value!r}; it must be a whole number of at least 1."
                )
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise Track2ViewError(
                    f"ConditionerConfig.{name} is {getattr(self, name)!r}; it must be one of {', '.join(allowed)}."
                )
        beta = self.zbuffer_beta
        if not isinstance(beta, int | float) or isinstance(beta, bool) or not math.isfinite(beta) or beta < 0:
            raise Track2ViewError(
                f"ConditionerConfig.zbuffer_beta is {beta!r}; it must be a finite number of at least 0."
            )
        if self.width % self.heads or self.width // self.heads % 2:
            raise Track2ViewError(
                f"ConditionerConfig.heads is {self.heads} with width {self.width}; width / heads must be an even whole "
                "number."
            )

    def to_dict(self) -> dict[str, int | float | str]:
        """Plain JSON values, every field present."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> ConditionerConfig:
        """The inverse of `to_dict`; a missing field takes its default.

        Raises:
            Track2ViewError: a field is unknown or out of range.
        """
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise Track2ViewError(
                f"The conditioner's config holds the unknown field {unknown[0]!r}; known are {', '.join(known)}: "
                "update Track2View, or give a bundle made for this version."
            )
        return cls(**values)  # type: ignore[arg-type]
