"""A source that attends to itself alone (`source_attention` own) on ComfyUI's MODEL, where no step changes it.

It runs alone, once a sampling run, and every block's keys and values are kept; each step then runs the target alone,
with these behind its own. Where nothing can be kept, one pass over both views gives the same by two attention calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from ...track2view_core.wan.kept_states import Home, KeptStates, untraced
from .block_replacements import OVERRIDE, Attentions, Options, before_first_block, with_attentions
from .two_views import VIEWS, counted_twice, forward_both

if TYPE_CHECKING:
    from ...track2view_core.notes import Note
    from ...track2view_core.wan.condition import TrackCondition
    from ...track2view_core.wan.seams import Rotary

KEPT = "track2view_kept"  # among transformer_options: the KeptSources of the sampling run
Deltas = Callable[[Tensor], Tensor]  # source's tokens [1, F' h w, D] -> [1, 2 F' h w, D] for [target, source]


class Source(NamedTuple):
    """What is kept of a source."""

    states: KeptStates
    target_deltas: Tensor | None  # [1, F' h w, D]
    company: tuple[Any, ...]
    """Other packs' patches that it ran with: as long as they live, their ids are no one else's."""


class KeptSources:
    """The sources of one sampling run: of each text that they read, window and state of the deltas."""

    def __init__(self, home: Home = "card") -> None:
        from ...track2view_core.wan.host_seams import RunCache

        self.home: Home = home
        self._cache: RunCache[Any, Source] = RunCache()
        self._lock = Lock()
        self._first_step: float | None = None
        self._windows: set[tuple[int, ...]] = set()
        self._moving = False

    def __deepcopy__(self, _memo: dict) -> KeptSources:
        return self  # as the cache in it

    def settle(self, model: Any, shape: Sequence[int], frames: int, texts: int, handler: Any) -> list[int]:
        """Choose, before the MODEL is loaded, where what is kept is to live: by the memory there is.

        shape: [B, 16, F, h8, w8], from which core estimates memory; frames: those of the clip, where F is a window's.
        texts: those that sources read. handler: core's context windows, or None.
        Gives the shape with room for what is kept: in the height, since context windows clamp the frames.
        """
        from ...track2view_core.wan.windows import plan_windows

        windows = 1
        if handler is not None:
            shape = [*shape[:2], min(frames, handler.context_length), *shape[3:]]
            windows = len(plan_windows(frames, handler.context_length, handler.context_overlap))
        size = states_of(model, shape, texts * windows)
        self.home = home_on(model, shape, size, windows)
        if self.home == "nowhere":
            return counted_twice(shape)
        # From host memory those of a block that computes, and of the next.
        on_card = size if self.home == "card" else 2 * size / (model.model.diffusion_model.num_layers * windows)
        return [*shape[:3], math.ceil(shape[3] * (1 + on_card / _working_memory(model, shape))), *shape[4:]]

    def stays(self, window: tuple[int, ...], step: float) -> bool:
        """Whether the window will be asked for again: schedules that move theirs ask for others after the first step,
        and nothing is kept from then on."""
        with self._lock:
            if self._first_step is None:
                self._first_step = step
            if step == self._first_step:
                self._windows.add(window)
            elif window not in self._windows and not self._moving:
                self._moving = True
                self._cache.clear()
            return not self._moving

    def get(self, key: Any, step: float, compute: Callable[[], Source]) -> Source:
        return self._cache.get(key, step, compute)

    def clear(self) -> None:
        self._cache.clear()


def states_of(model: Any, shape: Sequence[int], sources: int) -> int:
    """Bytes of the keys and values in every block, of so many texts' or windows' sources [1, 16, F', h8, w8]."""
    dit, dtype = model.model.diffusion_model, model.model.manual_cast_dtype or model.model_dtype()
    cells = shape[2] * (shape[3] // 2) * (shape[4] // 2)
    return sources * dit.num_layers * 2 * cells * dit.dim * dtype.itemsize


def home_on(model: Any, shape: Sequence[int], size: int, windows: int = 1) -> Home:
    """Where so many bytes are to live, by what ComfyUI has free or can free."""
    from ...track2view_core.wan.memory import home_of_states
    from .host import device_memory, host_memory

    weights = sum(found.model_size() for found in (model, *model.get_nested_additional_models()))
    beside = weights + _working_memory(model, shape)
    return home_of_states(size, beside, card=device_memory()[2], host=host_memory(), windows=windows)


def source_notes(model: Any, condition: TrackCondition) -> tuple[Note, ...]:
    """Where a source that attends to itself alone would be kept with the memory there is now; else nothing."""
    from ...track2view_core.wan.memory import source_note

    sampling, shape = condition.bundle.config.sampling, condition.source_latent.shape
    if sampling.source_attention == "full":
        return ()
    guided = sampling.uses_text and sampling.guidance != 1.0
    size = states_of(model, shape, 2 if guided and sampling.source_text == "prompt" else 1)
    return (source_note(home_on(model, shape, size), size),)


def _working_memory(model: Any, shape: Sequence[int]) -> int:
    """What core reckons with for a forward of both prompts on one view."""
    return math.ceil(model.model.memory_required([2 * shape[0], *shape[1:]]))


@torch.compiler.disable(recursive=False)  # what is kept is looked up in Python; the forwards inside are compiled
def forward_own(
    executor: Any,
    x: Tensor,  # [B, 16, F', h8, w8] the target
    timestep: Tensor,  # [B]
    context: Tensor,  # [B, L, text_dim]
    clip_fea: Any,
    time_dim_concat: Tensor | None,
    options: Options,
    *,
    source: Tensor,  # [1, 16, F', h8, w8] clean
    rotary: Rotary,
    deltas: Deltas | None,
    clip: Any,  # hashable: which clip, tracks and strength the source and its deltas are of
    window: tuple[int, ...],  # F' latent frames of the clip
    source_text: Tensor | None,  # [n, text_dim] what the source reads; None: the prompt
    **conds: Any,
) -> Tensor:  # [B, 16, F', h8, w8]
    """The target's velocity, with the source computed once in a sampling run, or beside the target where it must."""
    from ...track2view_core.wan.seams import padded_text

    blocks, frames = len(executor.class_obj.blocks), x.shape[2]
    cells = frames * (x.shape[3] // 2) * (x.shape[4] // 2)
    kept, prompts = options.get(KEPT), options.get("uuids")
    step = float(options["sigmas"].flatten()[0])
    if kept is None or kept.home == "nowhere" or prompts is None or not kept.stays(window, step):
        told, lengths = {**options, VIEWS: (frames, rotary, "both")}, None
        if source_text is not None:
            own = padded_text(source_text, context)
            lengths, context = (context.shape[1], own.shape[1]), torch.cat([context, own], dim=1)
        views = slice(cells, 2 * cells), lengths
        told = with_attentions(told, blocks, lambda _: Attentions(*views))
        if deltas is not None:
            told = before_first_block(told, lambda tokens: deltas(tokens[:1, cells : 2 * cells]))
        return forward_both(
            executor, x, timestep, context, clip_fea, time_dim_concat, told,
            source=source, source_timestep="zero", **conds,
        )  # fmt: skip

    clips = len(x) // len(prompts)
    texts = context[::clips] if source_text is None else padded_text(source_text, context[:1])
    company = _company(options)
    sources = []
    for number, text in enumerate(texts.split(1)):
        told = _of_prompt(options, number)
        alone = partial(_source_alone, executor, source.to(x), timestep, text, told, rotary, deltas, kept.home)
        whose = prompts[number] if source_text is None else None  # of that prompt, or of all
        key = whose, clip, window, deltas is None, x.dtype, x.device, tuple(map(id, company))
        sources.append(kept.get(key, step, lambda alone=alone: Source(*alone(), company)))

    @untraced  # else it compiles every block for itself
    def behind(block: int) -> list[tuple[Tensor, Tensor]]:
        return [found.states[block] for found in sources]

    told = {**options, VIEWS: (frames, rotary, "target")}
    told = with_attentions(told, blocks, lambda block: Attentions(behind=behind(block)))
    if deltas is not None:
        target_deltas = sources[0].target_deltas  # the same for all texts
        told = before_first_block(told, lambda _: target_deltas.to(x))
    return executor(x, timestep, context, clip_fea, time_dim_concat, told, **conds)


def _source_alone(
    executor: Any,
    source: Tensor,
    timestep: Tensor,
    text: Tensor,  # [1, L, text_dim]
    options: Options,
    rotary: Rotary,
    deltas: Deltas | None,
    home: Home,
) -> tuple[KeptStates, Tensor | None]:
    """WAN's forward itself over the clean source: its keys and values in every block, and the target's deltas.

    Behind the wrappers of other packs, of which some remember whole forwards, and know of one a step.
    """
    in_host_memory = home == "host"
    states, halves = KeptStates(in_host_memory=in_host_memory), []
    told = {**options, VIEWS: (source.shape[2], rotary, "source")}
    told = with_attentions(
        told, len(executor.class_obj.blocks), lambda block: Attentions(record=partial(states.put, block))
    )
    if deltas is not None:

        @untraced
        def added(tokens: Tensor) -> Tensor:
            target, of_source = deltas(tokens).chunk(2, dim=1)
            halves.append(target.cpu() if in_host_memory else target.clone())  # else both views' would be kept
            return of_source

        told = before_first_block(told, added)
    executor.original(source, timestep.new_zeros(1), text, None, None, told)
    return states, halves[0] if halves else None


def _of_prompt(options: Options, number: int) -> Options:
    """The options as if that prompt had been alone in the batch."""
    lists = ("uuids", "cond_or_uncond")
    return {**options, **{name: options[name][number : number + 1] for name in lists if name in options}}


def _company(options: Options) -> tuple[Any, ...]:
    """What other packs do inside a forward; skip-layer guidance runs a prompt twice, with and without some blocks."""
    blocks = options.get("patches_replace", {}).get("dit", {})
    patches = (patch for some in options.get("patches", {}).values() for patch in some)
    return *blocks.values(), *patches, options.get(OVERRIDE)
