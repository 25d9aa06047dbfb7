"""The plan as text, for a terminal or a node."""

from __future__ import annotations

from .ladder import GIB, Fit
from .plan import HEADROOM, MemoryPlan
from .request import Request
from .timing import TimeEstimate

ROUTE_NAMES = {"native": "native route (ComfyUI's own MODEL)", "diffusers": "diffusers route (command line)"}


def report(plan: MemoryPlan, device: str, free: int | None, fit: Fit | None, time: TimeEstimate | None) -> str:
    """The stages as a table, then what they mean for `free` bytes on `device`; without `free` there is no verdict."""
    lines = [described(plan.request), "", table(plan), ""]
    needed = f"{plan.needed / GIB:.1f} GiB"
    card = f"The largest stage on the card needs {needed} free, {HEADROOM - 1:.0%} headroom included"
    lines.append(f"{card}; {device} has {free / GIB:.1f} GiB." if free is not None else f"{card}.")
    lines.append(f"Host memory: about {plan.host_peak / GIB:.1f} GiB.")
    if fit is not None:
        lines.append(fit.sentence)
        if fit.plan is not None and fit.changes:
            lines.append(f"With it the largest stage needs {fit.plan.needed / GIB:.1f} GiB.")
    if time is not None:
        low, high = time.total_range
        lines.append(
            f"Time at this device's matrix rate: about {_said(time.step)} a step and {_said(time.total)} in all "
            f"({_said(low)} to {_said(high)}), text encoder and transfers aside."
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
    """One line a stage, in GiB."""
    lines = [f"{'stage (GiB)':22}{'where':6}{'weights':>9}{'working':>9}{'peak':>9}"]
    for stage in plan.stages:
        numbers = "".join(f"{value / GIB:9.2f}" for value in (stage.weights, stage.working, stage.peak))
        lines.append(f"{stage.name:22}{stage.where:6}{numbers}")
    return "\n".join(lines)


def _said(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
