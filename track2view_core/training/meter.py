"""The figures between two lines of the log; they travel in checkpoints, so that a line is the same after a stop."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Meter:
    losses: dict[str, list[float]] = field(default_factory=dict)  # name -> [sum, count]
    samples: int = 0
    seconds: float = 0.0
    total_seconds: float = 0.0
    rate: float = 0.0
    norm: float = 0.0
    skipped: int = 0  # over the whole run, as is `broken`
    broken: int = 0

    def loss(self, name: str, value: float, samples: int) -> None:
        for key in {"loss", f"loss/{name}" if name else "loss"}:
            entry = self.losses.setdefault(key, [0.0, 0.0])
            entry[0] += value
            entry[1] += 1
        self.samples += samples

    def step(self, rate: float, norm: float, finite: bool) -> None:
        self.rate, self.norm = rate, norm
        self.skipped += not finite

    def figures(self, processes: int) -> dict[str, float]:
        """Means since the last line; those of the first process where there are several."""
        means = {name: total / count for name, (total, count) in sorted(self.losses.items())}
        speed = self.samples * processes / self.seconds if self.seconds else 0.0
        return {
            **means,
            "rate": self.rate,
            "gradient_norm": self.norm,
            "samples_per_second": round(speed, 3),
            "seconds": round(self.total_seconds + self.seconds, 1),
            "skipped_steps": self.skipped,
            "broken_samples": self.broken,
        }

    def start_line(self) -> None:
        self.losses = {}
        self.samples = 0
        self.total_seconds, self.seconds = self.total_seconds + self.seconds, 0.0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Meter:
        return cls(**values)
