"""How a training runs, whatever it trains: steps, precision, what is saved and logged and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..errors import Track2ViewError
from .settings_checks import check_at_least, check_choices, check_positive, check_shares

Optimiser = Literal["adamw", "adamw8bit", "muon"]
Precision = Literal["fp32", "bf16"]
COSINE = ((0.0, 1.0), (1.0, 0.02))


@dataclass(frozen=True)
class OptimiserSettings:
    """The optimiser and how its rate runs."""

    name: Optimiser = "adamw"
    """`adamw`; `adamw8bit`: the same with moments in 8 bits (needs bitsandbytes); `muon`: Muon for the hidden matrices
    and kernels, AdamW for all else, for small networks trained from nothing."""
    rate: float = 1e-4
    """Learning rate of AdamW."""
    muon_rate: float = 0.02
    """Learning rate of Muon."""
    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW's decays of the two moments."""
    weight_decay: float = 0.01
    """AdamW's decay of weights."""
    warmup: int = 100
    """Steps over which the rate rises from nothing."""
    points: tuple[tuple[float, float], ...] = COSINE
    """Factor of the rate over the run, as [share of the steps, factor]: half a cosine from each point to the next, and
    level before the first and after the last. [[0, 1], [1, 0.02]] is a cosine, [[0, 1]] a constant rate."""

    def __post_init__(self) -> None:
        check_choices(self, name=("adamw", "adamw8bit", "muon"))
        check_positive(self, "rate", "muon_rate")
        check_at_least(self, 0, "warmup", "weight_decay")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise Track2ViewError(f"betas is {list(self.betas)}; both must be at least 0 and below 1.")
        shares = [share for share, _ in self.points]
        if not shares or shares != sorted(set(shares)) or shares[0] < 0 or shares[-1] > 1:
            raise Track2ViewError(
                f"points has the shares {shares}; give [share, factor] pairs whose shares rise between 0 and 1."
            )
        if any(factor < 0 for _, factor in self.points):
            raise Track2ViewError("points has a factor below 0; every factor must be at least 0.")


@dataclass(frozen=True)
class TrainSettings:
    """The loop. `accelerate` adds what belongs to the machine: how many processes, FSDP, DeepSpeed."""

    steps: int = 1000
    """Steps of the optimiser."""
    seed: int = 0
    """Of initial weights, data order and noise."""
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    accumulation: int = 1
    """Batches whose gradients make one step."""
    clip_norm: float = 1.0
    """The gradient is scaled down to this norm."""
    ema: float = 0.999
    """Decay of the averaged weights, which are what is validated and exported; 0 keeps the last weights."""
    precision: Precision = "fp32"
    """`fp32`, or `bf16`: matrix products in bfloat16, trained weights and optimiser in float32."""
    device: Literal["auto", "cpu"] = "auto"
    """`auto` is what accelerate finds, `cpu` the CPU."""
    prefetch: int = 2
    """Batches that are read ahead, each in a thread; 0 reads them in turn."""
    checkpoint_every: int = 200
    """Steps between checkpoints."""
    keep_checkpoints: int = 3
    """The last so many are kept."""
    log_every: int = 10
    """Steps between lines of the log."""
    validate_every: int = 500
    """Steps between validations; 0 validates at the end alone."""
    max_skipped: int = 20
    """So many steps in a row whose loss or gradient is not finite end the run."""
    tensorboard: bool = True
    """Write events for TensorBoard beside log.jsonl."""

    def __post_init__(self) -> None:
        check_at_least(self, 1, "steps", "accumulation", "checkpoint_every", "keep_checkpoints", "log_every")
        check_at_least(self, 1, "max_skipped")
        check_at_least(self, 0, "seed", "prefetch", "validate_every")
        check_positive(self, "clip_norm")
        check_shares(self, "ema")
        check_choices(self, precision=("fp32", "bf16"), device=("auto", "cpu"))


# What may change between two parts of one run without making it another run.
FREE_TO_CHANGE = frozenset(
    {
        "steps",
        "device",
        "prefetch",
        "checkpoint_every",
        "keep_checkpoints",
        "log_every",
        "validate_every",
        "max_skipped",
        "tensorboard",
    }
)
