"""The plan as text, for a terminal or a node."""

from __future__ import annotations

from .fit import GIB, Fit
from .plan import HEADROOM, MemoryPlan
from .request import Request
from .time_estimate import TimeEstimate

ROUTE_NAMES = {"native": "native route (ComfyUI's own MODEL)", "diffusers": "diffusers route (command line)"}


def report(plan: MemoryPlan, free: int | None, fit: Fit | None, time: TimeEstimate, rate: float, device: str) -> str:
    """The stages as a table, then what they mean.

    free: bytes of the card; without them there is no verdict.
    rate: matrix products of `device`, in operations a second.
    """
    lines = [described(plan.request), "", table(plan), ""]
    card = f"The card should have {amount(plan.needed)} free: the largest stage and {HEADROOM - 1:.0%} headroom"
    lines.append(f"{card}; it has {amount(free)}." if free is not None else f"{card}.")
    lines.append(f"Host memory: about {amount(plan.host_peak)}.")
    if fit is not None:
        lines.append(fit.sentence)
        if fit.plan is not None and fit.changes:
            lines.append(f"With it the card should have {amount(fit.plan.needed)} free.")
    low, high = time.total_range
    lines.append(
        f"Time as asked on {device}, which multiplies matrices at {rate / 1e12:.3g} TFLOP/s: about {_said(time.step)} "
        f"a step and {_said(time.total)} in all ({_said(low)} to {_said(high)}), text encoder and transfers aside."
    )
    return "\n".join(lines)


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


def amount(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / 2**20:.0f} MiB"


def _said(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:,.0f} h"
