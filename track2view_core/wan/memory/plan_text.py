"""The plan as text, for a terminal or a node."""

from __future__ import annotations

from ...notes import Note
from ..kept_states import Home
from .fit import GIB, Fit
from .plan import HEADROOM, MemoryPlan
from .request import Request
from .time_estimate import TimeEstimate

ROUTE_NAMES = {"native": "native route (ComfyUI's own MODEL)", "diffusers": "diffusers route (command line)"}


def plan_notes(
    plan: MemoryPlan, free: int | None, fit: Fit | None, time: TimeEstimate, rate: float, device: str
) -> tuple[Note, ...]:
    """What the plan means for a card.

    free: bytes of the card; without them there is no verdict.
    rate: matrix products of `device`, in operations a second.
    """
    notes = [Note.of("plan_needs", needed=plan.needed, headroom=HEADROOM - 1)]
    notes.append(Note.of("card_unknown") if free is None else Note.of("card_free", free=free))
    notes.append(Note.of("host_needs", peak=plan.host_peak))
    if fit is not None:
        notes.append(fit.note)
    low, high = time.total_range
    told = {"step": time.step, "total": time.total, "low": low, "high": high}
    return (*notes, Note.of("plan_time", device=device, teraflops=rate / 1e12, **told))


def source_note(home: Home, size: int) -> Note:
    """Where the source's states of so many bytes are kept."""
    if home == "nowhere":
        return Note.of("source_nowhere", size=size)
    if home == "host":
        return Note.of("source_in_host_memory", size=size)
    return Note.of("source_on_card", size=size)


def plan_table(plan: MemoryPlan) -> str:
    """What was planned in one line, and the stages."""
    return f"{described(plan.request)}\n\n{table(plan)}\n"


def described(request: Request) -> str:
    """One line that says what was planned."""
    facts = [
        f"WAN {request.base.name} in {request.dtype}",
        f"{request.frames} frames of {request.width} x {request.height}",
        f"{request.tracks} tracks",
        f"{request.steps} steps",
        ROUTE_NAMES[request.route],
    ]
    if request.windows > 1:
        facts.insert(2, f"{request.windows} windows of {request.window}")
    if request.offload:
        facts.append("offloaded")
    if request.source_attention == "own":
        where = {"card": "kept on the card", "host": "kept in host memory", "nowhere": "computed in every step"}
        facts.append(f"source {where[request.home]}")
    if request.batch == 2:
        facts.append("both prompts at once")
    return ", ".join(facts)


def table(plan: MemoryPlan) -> str:
    """One line a stage, in GiB, or in MiB where all of it is small."""
    unit, name = (GIB, "GiB") if plan.card_peak >= GIB else (2**20, "MiB")
    lines = [f"{f'stage ({name})':22}{'where':6}{'weights':>9}{'working':>9}{'peak':>9}"]
    for stage in plan.stages:
        numbers = "".join(f"{value / unit:9.2f}" for value in (stage.weights, stage.working, stage.peak))
        lines.append(f"{stage.name:22}{stage.where:6}{numbers}")
    return "\n".join(lines)
