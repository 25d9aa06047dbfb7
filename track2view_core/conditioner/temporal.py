"""The temporal transformer: attention over the frames of one track, never between tracks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROTARY_BASE = 10_000.0


def rotary_table(frames: int, head_dim: int, device: torch.device) -> Tensor:
    """Unit complex numbers `[frames, 1, head_dim / 2]`, angle = frame number times frequency.

    Attention then depends on differences of frames alone, whatever the length of the clip.
    """
    rate = ROTARY_BASE ** -(torch.arange(0, head_dim, 2, device=device, dtype=torch.float32) / head_dim)
    angle = torch.arange(frames, device=device, dtype=torch.float32)[:, None, None] * rate
    return torch.polar(torch.ones_like(angle), angle)


def rotate(
    x: Tensor,  # [..., F, heads, head_dim]
    table: Tensor,  # [F, 1, head_dim / 2] complex
) -> Tensor:
    """Rotate the pairs (2i, 2i + 1) by their angle; in float32 at least, handed back in the dtype of `x`."""
    precise = x.to(torch.promote_types(x.dtype, torch.float32))
    pairs = torch.view_as_complex(precise.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * table).flatten(-2).to(x.dtype)


class TemporalBlock(nn.Module):
    """Pre-norm attention over time, then a feed-forward of 4x width."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.ffn = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(
        self,
        x: Tensor,  # [tracks, F, width]
        keys: Tensor,  # [tracks, F] bool, at least one a track
        table: Tensor,  # rotary_table
    ) -> Tensor:  # [tracks, F, width]
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3 * self.heads, -1)).split(self.heads, 2)
        q, k, v = (part.transpose(1, 2) for part in (rotate(q, table), rotate(k, table), v))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=keys[:, None, None])
        x = x + self.proj(mixed.transpose(1, 2).flatten(2))
        return x + self.ffn(self.norm2(x))
