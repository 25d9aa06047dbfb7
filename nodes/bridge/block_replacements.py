"""What Track2View does to WAN's blocks during one call of the MODEL, around the replacements of other packs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

Options = dict[str, Any]  # transformer_options of one call
OVERRIDE = "optimized_attention_override"  # core's key: a function around every attention
TOLD = "track2view_attentions"


@dataclass
class Attentions:
    """What a block's attentions do in one call: the self-attention at most one of `source_tokens`, `record`, `behind`;
    the cross-attention `texts`, beside the first."""

    source_tokens: slice | None = None
    """One pass over both views: these attend to themselves alone, all others to all."""
    texts: tuple[int, int] | None = None
    """Tokens of the prompt, and of a text of the source's own behind it; None: both views read all there is."""
    record: Callable[[Tensor, Tensor], None] | None = None
    """The source alone: gets the keys and values, [1, tokens, D] each."""
    behind: list[tuple[Tensor, Tensor]] | None = None
    """The target alone: the source's keys and values, of each prompt of the batch in order."""
    override: Any = None  # of another pack, around which ours stands
    reached: bool = False


def before_first_block(options: Options, added: Callable[[Tensor], Tensor]) -> Options:
    """Add `added(tokens)` to the first of the tokens [B, tokens, D] before the first block and whoever replaced it."""

    def first_block(args: dict[str, Any], extra: dict[str, Any], replaced: Any) -> Any:
        tokens = args["img"]
        deltas = added(tokens)
        missing = tokens.shape[1] - deltas.shape[1]
        args = {**args, "img": tokens + torch.nn.functional.pad(deltas, (0, 0, 0, missing))}
        return replaced(args, extra)

    return _with_blocks(options, {0: first_block})


def with_attentions(options: Options, blocks: int, told: Callable[[int], Attentions]) -> Options:
    """Tell the self-attention of every block what it does.

    It is told inside the replacements of other packs, which may leave a block out, run it again, or bring an attention.
    """

    def block(number: int, args: dict[str, Any], extra: dict[str, Any], replaced: Any) -> Any:
        def original(inner: dict[str, Any]) -> Any:
            inside = inner["transformer_options"]
            here = told(number)
            here.override = inside.get(OVERRIDE)
            return extra["original_block"]({**inner, "transformer_options": {**inside, OVERRIDE: _attend, TOLD: here}})

        return replaced(args, {**extra, "original_block": original})

    return _with_blocks(options, {number: partial(block, number) for number in range(blocks)})


def _with_blocks(options: Options, ours: dict[int, Callable[..., Any]]) -> Options:
    """`ours` get a block's arguments, and what to call for the block as it was replaced before."""
    replacements = options.get("patches_replace", {})
    blocks = dict(replacements.get("dit", {}))
    for number, function in ours.items():
        place = ("double_block", number)
        blocks[place] = partial(function, replaced=blocks.get(place, _as_it_is))
    return {**options, "patches_replace": {**replacements, "dit": blocks}}


def _as_it_is(args: dict[str, Any], extra: dict[str, Any]) -> Any:
    return extra["original_block"](args)


def _attend(function: Any, query: Tensor, key: Tensor, value: Tensor, *rest: Any, **kwargs: Any) -> Tensor:
    """In the place of every attention in a told block, of which the first is the self-attention; around other packs'.

    Told by the order, since a text may be as long as a view. One function for all blocks, so that it compiles once.
    """
    told: Attentions = kwargs["transformer_options"][TOLD]
    attend = function if told.override is None else partial(told.override, function)
    first, told.reached = not told.reached, True
    seen = _seen_by_views(told, first, key.shape[-2])
    if told.source_tokens is not None and seen is not None:
        begin, end = told.source_tokens.start, told.source_tokens.stop
        by_source, by_others = ([part[..., keys, :] for part in (key, value)] for keys in seen)
        source = attend(query[..., begin:end, :], *by_source, *rest, **kwargs)
        queries = torch.cat([query[..., :begin, :], query[..., end:, :]], dim=-2)
        others = attend(queries, *by_others, *rest, **kwargs)
        return torch.cat([others[..., :begin, :], source, others[..., begin:, :]], dim=-2)
    if not first:
        return attend(query, key, value, *rest, **kwargs)
    if told.record is not None:
        told.record(key, value)
    if told.behind is not None:
        clips = len(key) // len(told.behind)
        kept = (
            torch.cat([part.to(key).expand(clips, *part.shape[1:]) for part in prompts])
            for prompts in zip(*told.behind, strict=True)
        )
        key, value = (torch.cat([own, more], dim=-2) for own, more in zip((key, value), kept, strict=True))
    return attend(query, key, value, *rest, **kwargs)


def _seen_by_views(told: Attentions, first: bool, keys: int) -> tuple[slice, slice] | None:
    """Of one pass: which keys the source's tokens see, and which all others; None where all see all."""
    if first:
        return None if told.source_tokens is None else (told.source_tokens, slice(None))
    if told.texts is None or keys != sum(told.texts):
        return None
    return slice(told.texts[0], None), slice(told.texts[0])
