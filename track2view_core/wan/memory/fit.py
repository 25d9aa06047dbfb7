"""The first setting that fits: one change after another, in an order that gives up speed before quality."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ...notes import Note
from .plan import MemoryPlan, plan_memory
from .request import Request

WINDOWS = (49, 25)
SMALLEST_SIDE = 128
GIB = 2**30
Fields = dict[str, Any]  # of a Request
Rung = tuple[str, Fields]

_STATES_IN_HOST: Rung = ("the source's states in host memory", {"source_states": "host"})
_UNBATCHED: Rung = ("the two prompts run one after the other", {"batched": False})
_NATIVE: Rung = ("the native route, ComfyUI's own MODEL", {"route": "native"})
_FP8: Rung = ("fp8 weights", {"dtype": "fp8"})
_OFFLOAD: Rung = ("weights offloaded to host memory", {"offload": True})


@dataclass(frozen=True)
class Fit:
    """The answer: a plan that fits, or None."""

    plan: MemoryPlan | None
    changes: tuple[str, ...]
    """What differs from the request, a phrase each; empty where the request itself fits."""
    missing: int = 0
    """Bytes by which even the last rung is too large."""

    @property
    def note(self) -> Note:
        if self.plan is None:
            return Note.of("nothing_fits", changes=self.changes or ("every setting as asked",), missing=self.missing)
        if not self.changes:
            return Note.of("fits")
        return Note.of("fits_changed", changes=self.changes, needed=self.plan.needed)


def first_that_fits(request: Request, free: int) -> Fit:
    """The first rung whose plan fits in `free` bytes of card memory, without changes that turn out not to be needed.

    The rungs, each on top of those before: as asked; the source's states, where they are kept, in host memory; prompts
    one after the other; the native route; fp8 weights; offloaded weights; windows of 49, then 25 frames; smaller sizes
    of nearly the same aspect, down to a short side of 128.
    """
    changes: dict[str, Fields] = {}
    last = request
    rungs: list[Rung] = [("", {}), *_rungs(request)]
    for phrase, fields in rungs:
        if phrase:
            kind = next(iter(fields))
            changes = {said: made for said, made in changes.items() if next(iter(made)) != kind}
            changes[phrase] = fields
        last = _changed(request, changes)
        if plan_memory(last).fits(free):
            changes = _needed(request, changes, free)
            return Fit(plan_memory(_changed(request, changes)), tuple(changes))
    return Fit(None, tuple(changes), plan_memory(last).needed - free)


def _rungs(request: Request) -> Iterator[Rung]:
    if request.home == "card":
        yield _STATES_IN_HOST
    if request.guidance and request.batched:
        yield _UNBATCHED
    if request.route == "diffusers":
        yield _NATIVE
    if request.dtype != "fp8":
        yield _FP8
    if not request.offload:
        yield _OFFLOAD
    for window in WINDOWS:
        if window < min(request.window, request.frames):
            yield f"windows of {window} frames", {"window": window}
    yield from _smaller_sizes(request.width, request.height)


def _smaller_sizes(width: int, height: int) -> Iterator[Rung]:
    """Multiples of 16 with a short side 16 pixels smaller each time; the long one keeps the aspect as nearly."""
    short, long = min(width, height), max(width, height)
    for side in range(short - 16, SMALLEST_SIDE - 1, -16):
        other = max(side, round(long * side / short / 16) * 16)
        new = (side, other) if width < height else (other, side)
        yield f"{new[0]} x {new[1]} pixels", {"width": new[0], "height": new[1]}


def _changed(request: Request, changes: dict[str, Fields]) -> Request:
    fields = {name: value for made in changes.values() for name, value in made.items()}
    return replace(request, **fields)


def _needed(request: Request, changes: dict[str, Fields], free: int) -> dict[str, Fields]:
    """Without the changes that do without: fp8 is not needed, say, where offloading alone fits."""
    for phrase in list(changes):
        fewer = {said: made for said, made in changes.items() if said != phrase}
        if _allowed(request, fewer) and plan_memory(_changed(request, fewer)).fits(free):
            changes = fewer
    return changes


def _allowed(request: Request, changes: dict[str, Fields]) -> bool:
    """The native route cannot be left out where something else needs it."""
    made = {name for fields in changes.values() for name in fields}
    return request.route == "native" or "route" in made or not made & {"dtype", "offload"}
