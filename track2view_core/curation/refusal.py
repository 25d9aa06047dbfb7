"""PairRefused: a pair that is no pair. It costs itself, and the report names it and counts its reason."""

from __future__ import annotations

from ..errors import Track2ViewError


class PairRefused(Track2ViewError):
    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason  # what is counted
