"""What every figure depends on besides the code: one protocol for all arms, whose fingerprint names its folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

SIGMAS = (0.9, 0.7, 0.5, 0.3)  # noise levels of the held-out loss


@dataclass(frozen=True)
class Protocol:
    size: int = 128  # pixels, both sides
    frames: int = 17
    tracks: int = 192  # N of every clip, exact, in training and scoring alike
    shards: int = 8  # of 8 scenes under 4 cameras each, to train on
    steps: int = 1000
    batch: int = 4
    rate: float = 1.5e-3
    muon_rate: float = 0.02
    warmup: int = 20
    ema: float = 0.99
    rank: int = 32  # of the LoRA
    shift: float = 3.0
    clips: int = 32  # held-out clips to score
    sample_steps: int = 10
    every: int = 4  # the camera is fitted to every n-th frame
    weights: str = ""  # fingerprint of backbone and VAE

    def fingerprint(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]

    def data_name(self) -> str:
        """Of the training data, which several budgets may share."""
        return f"data_{self.size}_{self.frames}_{self.shards}"
