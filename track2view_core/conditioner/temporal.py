"""The temporal transformer: attention over the frames of one track, never between tracks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
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
    pairs = torch.view_as_complex(rearrange(precise, "... (pair two) -> ... pair two", two=2))
    return rearrange(torch.view_as_real(pairs * table), "... pair two -> ... (pair two)").to(x.dtype)


def pack_tracks(
    x: Tensor,  # [tracks, F, width]
    keys: Tensor,  # [tracks, F] bool, at least one a track
) -> tuple[Tensor, Tensor]:  # [sequences, length, width], bool to broadcast to [sequences, heads, length, length]
    """Short tracks side by side in one sequence, and the mask that keeps each to its own valid frames.

    The last sequence may end in tracks of zeros; `unpack_tracks` takes them off again.
    """
    tracks, frames, _ = x.shape
    group = max(1, PACKED_LENGTH // frames)
    if group == 1:
        return x, keys[:, None, None]
    missing = -tracks % group
    x, keys = F.pad(x, (0, 0, 0, 0, 0, missing)), F.pad(keys, (0, 0, 0, missing), value=True)
    track = torch.arange(group * frames, device=x.device) // frames
    mask = (track[:, None] == track) & rearrange(keys, "(s g) f -> s 1 1 (g f)", g=group)
    return rearrange(x, "(s g) f width -> s (g f) width", g=group), mask


def unpack_tracks(x: Tensor, tracks: int, frames: int) -> Tensor:  # [tracks, F, width]
    """The inverse of `pack_tracks` on its sequences."""
    return rearrange(x, "s (g f) width -> (s g) f width", f=frames)[:tracks]


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
        q, k, v = rearrange(self.qkv(self.norm1(x)), "s l (qkv head c) -> qkv s l head c", qkv=3, head=self.heads)
        q, k, v = (rearrange(part, "s l head c -> s head l c") for part in (rotate(q, table), rotate(k, table), v))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.proj(rearrange(mixed, "s head l c -> s l (head c)"))
        return x + self.ffn(self.norm2(x))
