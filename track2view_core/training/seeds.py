"""Random numbers that depend on what they are for, and on nothing that happened before: so a run can go on exactly."""

from __future__ import annotations

import hashlib

import torch


def seed_for(*purpose: int | str) -> int:
    """A seed for a purpose such as (run's seed, step, process, "data")."""
    words = "/".join(str(part) for part in purpose).encode()
    return int.from_bytes(hashlib.blake2b(words, digest_size=8).digest(), "big") >> 1


def generator_for(*purpose: int | str) -> torch.Generator:
    """A generator on the CPU, freshly seeded for a purpose."""
    return torch.Generator().manual_seed(seed_for(*purpose))
