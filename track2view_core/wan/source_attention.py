"""The source's own attention, for diffusers' WAN: the target attends to both views, the source to itself alone.

The source is clean at every step, so what it is in each block never changes then. Two forms give the same: one pass
over [target, source] with two attention calls, for training; and the source alone once, whose keys and values are
kept, then the target alone at every step, with these behind its own. In one pass a text of the source's own stands
behind the prompt, and the cross-attentions give each view its part.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from torch import Tensor

from .kept_states import KeptStates

if TYPE_CHECKING:
    from diffusers import WanTransformer3DModel


class PassTables(tuple):
    """A forward's rotary tables (cos, sin), as every block unpacks them, and what its self-attentions have to do.

    That travels here, since gradient checkpointing runs a block again when nothing is left but its arguments.
    """

    target_tokens: int | None = None
    """One pass over both views: so many tokens are the target's, and come first."""
    record: KeptStates | None = None
    """The source alone: every block puts its keys, normed and turned, and values there, [B, tokens, heads, size]."""
    kept: KeptStates | None = None
    """The target alone: the source's, which its queries see behind the target's own."""
    source_text_tokens: int = 0
    """One pass over both views: so many tokens at the text's end are the source's own; 0 where both read all of it."""


class OwnSourceAttention:
    """A processor for a block's self-attention, in the place of `usual`, which stays with every other forward.

    The block's cross-attention comes behind it, gets no tables, and is told by it.
    """

    def __init__(self, block: int, usual: Any, cross: OwnTextAttention) -> None:
        self.block, self.usual, self.cross = block, usual, cross

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,  # [B, tokens, D]
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        if not isinstance(rotary_emb, PassTables):
            self.cross.source_text_tokens = 0
            return self.usual(attn, hidden_states, encoder_hidden_states, attention_mask, rotary_emb)
        self.cross.source_text_tokens = rotary_emb.source_text_tokens
        queries, keys, values = _projected(attn, hidden_states, rotary_emb)
        if rotary_emb.record is not None:
            rotary_emb.record.put(self.block, keys, values)
        if rotary_emb.kept is not None:
            behind = rotary_emb.kept[self.block]
            keys, values = (
                torch.cat([own, more.to(own).expand(len(own), -1, -1, -1)], dim=1)
                for own, more in zip((keys, values), behind, strict=True)
            )
        split = rotary_emb.target_tokens
        if split is None:
            mixed = self._attend(queries, keys, values)
        else:
            target = self._attend(queries[:, :split], keys, values)
            source = self._attend(*(part[:, split:] for part in (queries, keys, values)))
            mixed = torch.cat([target, source], dim=1)
        mixed = mixed.flatten(2).type_as(queries)
        for layer in attn.to_out:
            mixed = layer(mixed)
        return mixed

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """By the backend that the user has chosen for the model."""
        backend = getattr(self.usual, "_attention_backend", None)
        return dispatch_attention_fn(queries, keys, values, dropout_p=0.0, is_causal=False, backend=backend)


class OwnTextAttention:
    """A processor for a block's cross-attention: the target reads the prompt, the source what stands behind it."""

    def __init__(self, usual: Any) -> None:
        self.usual = usual
        self.source_text_tokens = 0

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,  # [B, tokens, D] of the target, then of the source
        encoder_hidden_states: Tensor,  # [B, L + n, D]
        attention_mask: Tensor | None = None,
        rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        own = self.source_text_tokens
        if not own:
            return self.usual(attn, hidden_states, encoder_hidden_states, attention_mask, rotary_emb)
        target, source = hidden_states.chunk(2, dim=1)
        prompt, text = encoder_hidden_states[:, :-own], encoder_hidden_states[:, -own:]
        read = [self.usual(attn, *part, attention_mask, rotary_emb) for part in ((target, prompt), (source, text))]
        return torch.cat(read, dim=1)


def _projected(attn: Any, tokens: Tensor, tables: PassTables) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values [B, tokens, heads, size] as WAN's self-attention makes them."""
    if getattr(attn, "fused_projections", False):
        queries, keys, values = attn.to_qkv(tokens).chunk(3, dim=-1)
    else:
        queries, keys, values = attn.to_q(tokens), attn.to_k(tokens), attn.to_v(tokens)
    queries, keys, values = (
        part.unflatten(2, (attn.heads, -1)) for part in (attn.norm_q(queries), attn.norm_k(keys), values)
    )
    return _turned(queries, *tables), _turned(keys, *tables), values


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """The pairs (2i, 2i + 1) of [B, tokens, heads, size], turned by angles of which the tables hold each twice."""
    even, odd = x[..., 0::2], x[..., 1::2]
    cos, sin = cos[..., 0::2], sin[..., 0::2]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2).type_as(x)


def set_own_attention(transformer: WanTransformer3DModel) -> list[Any]:
    """Put the processors on every block's attentions; returns the usual ones, for `restore_attention`."""
    usual = [attention.processor for attention in _attentions(transformer)]
    ours: list[Any] = []
    for number, (of_self, of_text) in enumerate(zip(usual[::2], usual[1::2], strict=True)):
        cross = OwnTextAttention(of_text)
        ours += [OwnSourceAttention(number, of_self, cross), cross]
    restore_attention(transformer, ours)
    return usual


def restore_attention(transformer: WanTransformer3DModel, processors: Iterable[Any]) -> None:
    for attention, processor in zip(_attentions(transformer), processors, strict=True):
        attention.set_processor(processor)


def _attentions(transformer: WanTransformer3DModel) -> list[Any]:
    """Self-attention and cross-attention of each block in turn."""
    return [attention for block in transformer.blocks for attention in (block.attn1, block.attn2)]
