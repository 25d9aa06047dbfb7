"""The plan: what each stage takes, where, and what the largest comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from .request import Request
from .weights import (
    TEXT_ENCODER_PARAMETERS,
    conditioner_on_card,
    dit_in_host_memory,
    dit_on_card,
    vae_on_card,
)
from .working import (
    cached_deltas,
    conditioner_working,
    decode_working,
    dit_working,
    encode_working,
    tracker_working,
    window_deltas,
)

HEADROOM = 1.1
"""What a card should have free over what tensors take: its allocator's rounding and gaps, the kernels' own space."""
FLOAT_IMAGE = 12  # bytes a pixel of ComfyUI's IMAGE


@dataclass(frozen=True)
class Stage:
    """Bytes of one stage."""

    name: str
    where: Literal["card", "host"]
    weights: int
    """Of the models that lie there during the stage."""
    working: int
    """Everything else that lives at the stage's largest moment."""

    @property
    def peak(self) -> int:
        return self.weights + self.working

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "where": self.where,
            "weights": self.weights,
            "working": self.working,
            "peak": self.peak,
        }


@dataclass(frozen=True)
class MemoryPlan:
    """The stages of a request in the order in which they run, then what lies in host memory throughout."""

    request: Request
    stages: tuple[Stage, ...]

    def __getitem__(self, name: str) -> Stage:
        return next(stage for stage in self.stages if stage.name == name)

    @property
    def card_peak(self) -> int:
        return max(stage.peak for stage in self.stages if stage.where == "card")

    @property
    def needed(self) -> int:
        """Free card memory that the request should have: the largest stage with headroom."""
        return round(HEADROOM * self.card_peak)

    @property
    def host_peak(self) -> int:
        """Stages in host memory follow each other, and what is kept stays beside them."""
        host = [stage for stage in self.stages if stage.where == "host"]
        kept = sum(stage.peak for stage in host if stage.name != "tracker")
        return kept + self["tracker"].peak

    def fits(self, free: int) -> bool:
        return self.needed <= free

    def to_dict(self) -> dict[str, Any]:
        return {
            "request": self.request.to_dict(),
            "stages": [stage.to_dict() for stage in self.stages],
            "card_peak": self.card_peak,
            "needed": self.needed,
            "host_peak": self.host_peak,
        }


def plan_memory(request: Request) -> MemoryPlan:
    """Peak bytes of each stage.

    native: ComfyUI moves a model off the card when the next one needs the room, so each stage has its own weights, and
    the conditioner travels with the DiT. diffusers: the command line keeps DiT and VAE on the card from the start; the
    text encoder comes and goes beside them.
    """
    native = request.route == "native"
    dit, vae = dit_on_card(request), vae_on_card(request)
    dit_with_conditioner = dit + conditioner_on_card(request) + (0 if native else vae)
    vae_and_company = vae + (0 if native else dit)
    deltas = cached_deltas(request)
    stages = [Stage("tracker", "host", 0, tracker_working(request))]
    if request.base.uses_text:
        text = TEXT_ENCODER_PARAMETERS * request.compute_bytes
        # Core runs the text encoder on the card where it has room, and in host memory where it has not.
        stages.append(Stage("text encoder", "host" if native else "card", text + (0 if native else dit + vae), 0))
    stages += [
        Stage("VAE encode", "card", vae_and_company, encode_working(request)),
        Stage("conditioner", "card", dit_with_conditioner, conditioner_working(request)),
        Stage("DiT step", "card", dit_with_conditioner, deltas + dit_working(request)),
        Stage("VAE decode", "card", vae_and_company, decode_working(request)),
        Stage("kept in host memory", "host", dit_in_host_memory(request), _kept(request)),
    ]
    return MemoryPlan(request, tuple(stages))


def _kept(request: Request) -> int:
    """The clip and the result as ComfyUI's float pictures or as bytes, and the deltas of windows that wait."""
    pixels = request.frames * request.height * request.width
    return 2 * pixels * (FLOAT_IMAGE if request.route == "native" else 3) + window_deltas(request)
