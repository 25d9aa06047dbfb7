"""What a generation takes before it starts: memory by stage, the first setting that fits, and time. Arithmetic alone.

Formulas count the tensors that live at once where a stage is at its largest; `docs/PERFORMANCE.md` says how near they
come to what is measured.
"""

from .fit import Fit, first_that_fits
from .plan import HEADROOM, MemoryPlan, Stage, home_of_states, plan_memory, sampling_memory, source_states
from .plan_text import plan_notes, plan_table, source_note, table
from .request import (
    BASES,
    DTYPE_BYTES,
    ROUTES,
    Dtype,
    Request,
    Route,
    WanBase,
    bundle_settings,
    known_base,
    usual_settings,
)
from .source_home import diffusers_request, with_home
from .time_estimate import TimeEstimate, estimate_time, matrix_rate

__all__ = [
    "BASES",
    "DTYPE_BYTES",
    "HEADROOM",
    "ROUTES",
    "Dtype",
    "Fit",
    "MemoryPlan",
    "Request",
    "Route",
    "Stage",
    "TimeEstimate",
    "WanBase",
    "bundle_settings",
    "diffusers_request",
    "estimate_time",
    "first_that_fits",
    "home_of_states",
    "known_base",
    "matrix_rate",
    "plan_memory",
    "plan_notes",
    "plan_table",
    "sampling_memory",
    "source_note",
    "source_states",
    "table",
    "usual_settings",
    "with_home",
]
