"""A clip, and a sampler's settings, beside what a bundle was trained for."""

from __future__ import annotations

from ..notes import Note
from .bundle_config import SamplingConfig
from .windows import plan_windows


def fit_notes(sampling: SamplingConfig, *, frames: int, width: int, height: int) -> tuple[Note, ...]:
    """How a clip differs from what a bundle was trained for; empty when it does not, or is that size turned."""
    notes = []
    if (width, height) not in ((sampling.width, sampling.height), (sampling.height, sampling.width)):
        far = not 0.5 <= width * height / (sampling.width * sampling.height) <= 2
        size = {"width": width, "height": height, "trained_width": sampling.width, "trained_height": sampling.height}
        notes.append(Note.of("size_far" if far else "size_differs", **size))
    windows = plan_windows(1 + frames // 4, 1 + sampling.frames // 4)
    if len(windows) > 1:
        notes.append(Note.of("windows", frames=frames, windows=len(windows), trained_frames=sampling.frames))
    return tuple(notes)


def schedule_notes(sampling: SamplingConfig, shift: float | None) -> tuple[Note, ...]:
    """What a sampler should be set to, and whether a model's own shift (None: it has none) is that of the training."""
    asked = {"steps": sampling.steps, "guidance": sampling.guidance, "scheduler": sampling.scheduler}
    advice = Note.of("sample_with", **asked)
    if shift is None or abs(shift - sampling.shift) <= 1e-6:
        return (advice,)
    return advice, Note.of("shift_differs", shift=shift, trained=sampling.shift)


def trained_notes(sampling: SamplingConfig, *, frames: int, width: int, height: int) -> tuple[Note, ...]:
    """The clip beside what the bundle was trained for, and how it differs."""
    trained = {"trained_frames": sampling.frames, "trained_width": sampling.width, "trained_height": sampling.height}
    fact = Note.of("trained_for", frames=frames, width=width, height=height, **trained)
    return fact, *fit_notes(sampling, frames=frames, width=width, height=height)
