"""The two seams for a host that runs WAN's forward itself, as ComfyUI does: functions of plain tensors, no hooks.

The host concatenates [target, source] on the frame axis, calls these at the places they name, and crops its output to
the target. `seams.py` does the same for diffusers by hooks; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from threading import Lock
from typing import Generic, TypeVar

import torch
from einops import rearrange, repeat
from torch import Tensor

from ..errors import Track2ViewError
from .condition import TrackCondition
from .seams import Rotary, SourceTimestep, Views

Key = TypeVar("Key", bound=Hashable)
Entry = TypeVar("Entry")


def frame_timesteps(
    timestep: Tensor,  # [B] of the target
    frames: int,  # latent frames of one view
    source_timestep: SourceTimestep,
    following: int = 0,  # latent frames that the host appends to the sequence; they take the target's timestep
) -> Tensor:  # [B], or [B, 2 frames + following]
    """The timestep of each latent frame of the sequence, or the target's own where the source shares it."""
    if source_timestep == "same":
        return timestep
    target, after = (repeat(timestep, "b -> b f", f=count) for count in (frames, following))
    return torch.cat([target, torch.zeros_like(target), after], dim=1)


def sequence_rotary(
    table_of: Callable[[int], Tensor],  # rotary table [1, frames h w, ...] of that many latent frames
    total: int,  # latent frames of the whole sequence
    frames: int,  # latent frames of one view
    rotary: Rotary,
    views: Views = "both",
) -> Tensor:  # [1, total h w, ...]
    """The rotary table of the sequence; with `shared` the source has the target's temporal positions 0..F-1.

    A view that runs alone has the positions that it has beside the other.
    """
    if views == "both" and rotary == "shared":
        return _by_frames(table_of(total - frames), total - frames, (0, frames), (0, total - frames))
    if views == "both" or rotary == "shared":
        return table_of(total)
    if views == "source":
        return _by_frames(table_of(2 * frames), 2 * frames, (frames, 2 * frames))
    return _by_frames(table_of(total + frames), total + frames, (0, frames), (2 * frames, total + frames))


def _by_frames(table: Tensor, frames: int, *spans: tuple[int, int]) -> Tensor:
    """Those spans of latent frames of a table of so many, one behind the other."""
    cells = table.shape[1] // frames
    return torch.cat([table[:, begin * cells : end * cells] for begin, end in spans], dim=1)


def token_deltas(
    condition: TrackCondition,
    tokens: Tensor,  # [1, F' h w, D] the source's tokens after patch embedding, of the frames in `index`
    index: Sequence[int],  # F' latent frames of the clip
) -> Tensor:  # [1, 2 F' h w, D] in the tokens' dtype
    """What is added to the tokens of [target, source]: the conditioner's result, scaled by the strength.

    The tracks never take the tokens' precision, and their disparities stay those of the whole clip.
    """
    conditioner = condition.bundle.conditioner
    dtype = next(conditioner.parameters()).dtype
    latent = condition.source_latent[:, :, list(index)].to(tokens.device, dtype)
    rows, columns = latent.shape[3] // 2, latent.shape[4] // 2
    grid = rearrange(tokens.to(dtype), "b (f h w) d -> b d f h w", f=len(index), h=rows, w=columns)
    batch = condition.track_batch().window(index).to(tokens.device)
    source, target = conditioner(grid, batch, latent)
    sequence = rearrange(torch.cat([target, source], dim=2), "b d f h w -> b (f h w) d")
    return (condition.strength * sequence).to(tokens.dtype)


class RunCache(Generic[Key, Entry]):
    """What one sampling run computes: once for a key, such as a condition and a window, whatever the number of steps.

    What a whole step did not ask for is dropped, or schedules that move their windows would pile up results. Threads of
    one run may share it: what one of them computes, the others wait for.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._step: float | None = None
        self._entries: dict[Key, Entry] = {}
        self._last_step: dict[Key, Entry] = {}

    def __deepcopy__(self, _memo: dict) -> RunCache[Key, Entry]:
        return self  # nodes copy the options of a run, and its cache stays one

    def get(self, key: Key, step: float, compute: Callable[[], Entry]) -> Entry:
        """The entry of `key`; `step` is any number that stays the same within a step, such as sigma."""
        with self._lock:
            if step != self._step:
                self._step, self._last_step, self._entries = step, self._entries, {}
            if key not in self._entries:
                self._entries[key] = self._last_step.pop(key) if key in self._last_step else compute()
            return self._entries[key]

    def clear(self) -> None:
        with self._lock:
            self._entries, self._last_step = {}, {}


def check_latent(condition: TrackCondition, shape: Sequence[int]) -> None:
    """Refuse a latent to sample `[B, C, F, h8, w8]` that is not of the condition's clip."""
    check_same_clip(condition.source_latent.shape, shape, "Apply Track2View")


def check_same_clip(clip: Sequence[int], shape: Sequence[int], node: str) -> None:
    """Refuse a latent to sample `[B, C, F, h8, w8]` of another size than the clip's; `node` hands out the right one."""
    wanted, found = list(clip[1:]), list(shape[1:])
    if wanted != found:
        raise Track2ViewError(
            f"The latent to sample is {_said(found)} and the clip to film again is {_said(wanted)}; link the latent of "
            f"{node} to the sampler."
        )


def _said(shape: Sequence[int]) -> str:
    if len(shape) != 4:
        return f"of shape {list(shape)}"
    channels, frames, height, width = shape
    return f"{4 * (frames - 1) + 1} frames of {8 * width} x {8 * height} in {channels} channels"
