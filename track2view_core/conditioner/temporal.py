"""The temporal transformer: attention over the frames of one track, never between tracks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROTARY_BASE = 10_000.0
PACKED_LENGTH = 20  # positions; attention over fewer is mostly overhead


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


def pack_tracks(
    x: Tensor,  # [tracks, F, width]
    keys: Tensor,  # [tracks, F] bool, at least one a track
) -> tuple[Tensor, Tensor]:  # [sequences, length, width], bool to broadcast to [sequences, heads, length, length]
    """Short tracks side by side in one sequence, and the mask that keeps each to its own valid frames.

    The last sequence may end in tracks of zeros; `unpack_tracks` takes them off again.
    """
    tracks, frames, width = x.shape
    group = max(1, PACKED_LENGTH // frames)
    if group == 1:
        return x, keys[:, None, None]
    missing = -tracks % group
    x, keys = F.pad(x, (0, 0, 0, 0, 0, missing)), F.pad(keys, (0, 0, 0, missing), value=True)
    track = torch.arange(group * frames, device=x.device) // frames
    mask = (track[:, None] == track) & keys.reshape(-1, 1, group * frames)
    return x.reshape(-1, group * frames, width), mask[:, None]


def unpack_tracks(x: Tensor, tracks: int, frames: int) -> Tensor:  # [tracks, F, width]
    """The inverse of `pack_tracks` on its sequences."""
    return x.reshape(-1, frames, x.shape[-1])[:tracks]


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
        x: Tensor,  # [sequences, length, width]
        mask: Tensor,  # bool, who attends to whom, as of `pack_tracks`
        table: Tensor,  # [length, 1, head_dim / 2], the rotary table of each position's frame
    ) -> Tensor:  # [sequences, length, width]
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3 * self.heads, -1)).split(self.heads, 2)
        q, k, v = (part.transpose(1, 2) for part in (rotate(q, table), rotate(k, table), v))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.proj(mixed.transpose(1, 2).flatten(2))
        return x + self.ffn(self.norm2(x))
