"""`track2view plan`: memory by stage, the first setting that fits the card, and an estimate of the time."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ..errors import Track2ViewError
from ..notes import report_lines
from ..wan.memory import (
    Fit,
    Request,
    TimeEstimate,
    bundle_settings,
    estimate_time,
    first_that_fits,
    known_base,
    matrix_rate,
    plan_memory,
    plan_notes,
    plan_table,
    usual_settings,
)
from .door import PLAN

GIB = 2**30
COMPUTED_IN = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "fp8": torch.bfloat16}


def run(
    *, base: str, bundle: Path | None, size: tuple[int, int] | None, memory: float | None, as_json: bool, **chosen: Any
) -> None:
    """`chosen` are fields of `Request`, None where the base or the bundle knows better."""
    request = _request(base, bundle, size, chosen)
    device, free = _card(memory)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "this CPU"
    plan = plan_memory(request)
    fit = None if free is None else first_that_fits(request, free)
    # A CPU is slow in 16 bits where it has no instructions for them, so its rate is that of fp32.
    rate = matrix_rate(device, COMPUTED_IN[request.dtype] if device.type == "cuda" else torch.float32)
    time = estimate_time(request, rate)
    if as_json:
        print(json.dumps(_as_json(plan.to_dict(), name, free, fit, rate, time), indent=2))
        return
    print(plan_table(plan), *report_lines(plan_notes(plan, free, fit, time, rate, name), PLAN), sep="\n")


def _request(base: str, bundle: Path | None, size: tuple[int, int] | None, chosen: dict[str, Any]) -> Request:
    fields: dict[str, Any]
    if bundle is not None:
        from ..wan.bundle import load_bundle

        fields = bundle_settings(load_bundle(bundle).config)
    else:
        known = known_base(base)
        fields = {"base": known, **usual_settings(known)}
    if size is not None:
        fields["width"], fields["height"] = size
    fields |= {name: value for name, value in chosen.items() if value is not None}
    return Request(**fields, batched=fields["route"] == "native")


def _card(memory: float | None) -> tuple[torch.device, int | None]:
    """The device to measure the rate of, and the card's free bytes where they are known."""
    if memory is not None and not 0 < memory < 2**20:
        raise Track2ViewError(f"--memory is {memory:g}; give the card's free memory in GiB, such as 24.")
    here = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if memory is not None:
        return here, round(memory * GIB)
    if here.type == "cpu":
        return here, None
    free, _ = torch.cuda.mem_get_info(here)
    return here, free


def _as_json(
    plan: dict[str, Any], device: str, free: int | None, fit: Fit | None, rate: float, time: TimeEstimate
) -> dict[str, Any]:
    verdict = None
    if fit is not None:
        verdict = {
            "sentence": fit.note.text(PLAN),
            "changes": list(fit.changes),
            "missing": fit.missing,
            "plan": None if fit.plan is None else fit.plan.to_dict(),
        }
    seconds = {**asdict(time), "total": time.total, "total_range": list(time.total_range)}
    return {**plan, "device": device, "free": free, "verdict": verdict, "matrix_rate": rate, "seconds": seconds}
