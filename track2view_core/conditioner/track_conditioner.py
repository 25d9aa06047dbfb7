"""The dual-view track conditioner: its settings, and the module that samples, transforms over time and scatters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

import torch
from einops import rearrange
from torch import Tensor, nn

from ..errors import Track2ViewError
from ..tracks import TrackBatch
from .gather_scatter import sample_along_tracks, scatter_to_grid, warp_latents
from .temporal import TemporalBlock, pack_tracks, rotary_table, unpack_tracks

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


def fourier_bands(x: Tensor, bands: int) -> Tensor:  # [...] in 0..1 -> [..., 2 * bands]
    """Sines, then cosines, of `2^k pi x` for k = 0..bands-1; float32 at least, or the highest bands would be noise."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    octave = 2.0 ** torch.arange(bands, device=x.device, dtype=x.dtype)
    # Whole turns are taken off before pi comes in: up to there float32 is exact, and the highest band stays so.
    angle = math.pi * (x[..., None] * octave).remainder(2.0)
    return torch.cat([angle.sin(), angle.cos()], -1)


class TrackConditioner(nn.Module):
    """Turns the source's tokens and paired tracks into what is added to the source's and the target's tokens.

    It sees neither timestep nor noise. Freshly built it returns zeros, so that training starts from the base model.
    Tracks are independent of each other up to the scatter, and their order does not matter; a track that the source
    shows in no frame of the batch contributes nothing.
    """

    def __init__(self, config: ConditionerConfig) -> None:
        super().__init__()
        self.config = config
        dim, width = config.dim, config.width
        self.input = nn.Linear(dim, width)
        self.mask_token = nn.Parameter(0.02 * torch.randn(width))
        self.blocks = nn.ModuleList(TemporalBlock(width, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.depth_embedding = nn.Linear(2 * config.depth_bands, width)
        outputs = {view: nn.Linear(width + 1, dim, bias=False) for view in ("source", "target")}
        for linear in outputs.values():
            nn.init.zeros_(linear.weight)
        self.output = nn.ModuleDict(outputs)
        self.latent_patch = None
        if config.scatter_level == "latent":
            self.latent_patch = nn.Conv3d(config.latent_channels + 1, dim, (1, 2, 2), (1, 2, 2), bias=False)
            nn.init.zeros_(self.latent_patch.weight)

    def forward(
        self,
        source_tokens: Tensor,  # [B, D, F, h, w] patch embedding of the clean source latent
        batch: TrackBatch,
        source_latents: Tensor | None = None,  # [B, C, F, 2h, 2w], read by scatter_level latent
    ) -> tuple[Tensor, Tensor]:
        """`(source_delta, target_delta)`, both `[B, D, F, h, w]` in the dtype of `source_tokens`.

        Raises:
            Track2ViewError: tokens, latents and tracks do not belong together.
        """
        self._check(source_tokens, batch, source_latents)
        valid = batch.visible & batch.source_inside  # [B, F, N]
        seen = valid.any(1, keepdim=True)  # [B, 1, N]
        values = self._values(source_tokens, batch, valid)
        rows, columns = source_tokens.shape[-2:]
        grid = (rows, columns)
        # No tracker ran in the target view: there only `inside` and the z-buffer can say what is hidden.
        source = self._scatter("source", values, batch, valid, grid)
        target = self._scatter("target", values, batch, batch.target_inside & seen, grid)
        if self.latent_patch is not None:
            assert source_latents is not None
            config = self.config
            warped = warp_latents(source_latents, batch, valid, beta=config.zbuffer_beta, norm=config.scatter_norm)
            target = target + self.latent_patch(warped.to(self.latent_patch.weight.dtype))
        return source.to(source_tokens.dtype), target.to(source_tokens.dtype)

    def _values(self, tokens: Tensor, batch: TrackBatch, valid: Tensor) -> Tensor:  # [B, F, N, width]
        """Each track's value at each frame, filled in where it cannot be seen; 0 for a track that is never seen."""
        sampled = sample_along_tracks(tokens, batch.source_xy, batch.image_size).to(self.input.weight.dtype)
        count, frames, tracks, _ = sampled.shape
        rows, keys = rearrange(sampled, "b f n d -> (b n) f d"), rearrange(valid, "b f n -> (b n) f")
        seen = keys.any(1)
        # Tracks without a valid key are dropped; on the meta device nobody can tell, and all are counted.
        kept = None if tokens.is_meta else seen.nonzero().squeeze(1)
        if kept is not None and len(kept) == 0:
            return rows.new_zeros(count, frames, tracks, self.config.width)
        if kept is not None and len(kept) < len(seen):
            rows, keys = rows[kept], keys[kept]
        x, mask = pack_tracks(torch.where(keys[..., None], self.input(rows), self.mask_token), keys)
        table = rotary_table(frames, self.config.width // self.config.heads, x.device)
        table = table.repeat(x.shape[1] // frames, 1, 1)
        for block in self.blocks:
            x = block(x, mask, table)
        x = unpack_tracks(self.norm(x), len(rows), frames)
        if kept is not None and len(kept) < len(seen):
            x = x.new_zeros(len(seen), *x.shape[1:]).index_copy(0, kept, x)
        return rearrange(x, "(b n) f width -> b f n width", b=count)

    def _scatter(self, view: str, values: Tensor, batch: TrackBatch, reach: Tensor, grid: tuple[int, int]) -> Tensor:
        xy, depth, disparity = (getattr(batch, f"{view}_{name}") for name in ("xy", "depth", "disparity"))
        bands = fourier_bands(torch.where(reach, disparity, 0.0), self.config.depth_bands)
        values = values + self.depth_embedding(bands.to(self.depth_embedding.weight.dtype))
        config = self.config
        mean, coverage = scatter_to_grid(
            values, xy, depth, reach, grid, batch.image_size, beta=config.zbuffer_beta, norm=config.scatter_norm
        )
        linear = self.output[view]
        assert isinstance(linear, nn.Linear)
        told = torch.cat([mean.to(linear.weight.dtype), coverage.to(linear.weight.dtype)], 1)
        return rearrange(linear(rearrange(told, "b c f h w -> b f h w c")), "b f h w d -> b d f h w")

    def _check(self, tokens: Tensor, batch: TrackBatch, latents: Tensor | None) -> None:
        if tokens.ndim != 5 or tokens.shape[1] != self.config.dim:
            raise Track2ViewError(
                f"The source tokens have shape {list(tokens.shape)}; with this bundle they must be "
                f"[B, {self.config.dim}, F, h, w]: load the bundle that was trained for this base model."
            )
        count, _, frames, rows, columns = tokens.shape
        tracks = tuple(batch.visible.shape[:2])
        if tracks != (count, frames):
            raise Track2ViewError(
                f"The tracks have {tracks[1]} latent frames in {tracks[0]} clips and the source tokens have {frames} "
                f"in {count}; track the same clip that is re-rendered."
            )
        if self.latent_patch is None:
            return
        needed = (count, self.config.latent_channels, frames, 2 * rows, 2 * columns)
        if latents is None or latents.shape != needed:
            given = "are missing" if latents is None else f"have shape {list(latents.shape)}"
            raise Track2ViewError(
                f"The source_latents {given}; with scatter_level latent and these tokens they must be {list(needed)}."
            )
