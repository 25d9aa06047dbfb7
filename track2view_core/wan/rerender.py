"""The main job on tensors: a prepared clip and its paired tracks in, the same clip from the new camera out."""

from __future__ import annotations

from torch import Tensor

from ..errors import Track2ViewError
from ..notes import Note
from ..progress import Progress
from ..tracks import PairedTracks
from .bundle_config import SamplingConfig, Scheduler
from .condition import TrackCondition
from .models import Models
from .sampler import sample
from .vae import decode, encode
from .windows import plan_windows


def rerender(
    video: Tensor,  # [T, H, W, 3] uint8, T = 4n + 1, H and W multiples of 16
    tracks: PairedTracks,  # T frames, both views W x H
    *,
    models: Models,
    steps: int | None = None,
    guidance: float | None = None,
    shift: float | None = None,
    scheduler: Scheduler | None = None,
    seed: int = 0,
    prompt: str = "",
    negative_prompt: str = "",
    strength: float = 1.0,
    start: float = 0.0,
    end: float = 1.0,
    overlap: int | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """The clip as the target camera of `tracks` sees it: uint8 [T, H, W, 3] on the CPU.

    What is None comes from the bundle. `progress` is called with (done, total, stage) in the stages encode, sample and
    decode; when it raises, the models are left as they were.
    """
    if len(video) != len(tracks):
        raise Track2ViewError(
            f"The clip has {len(video)} frames and the tracks have {len(tracks)}; track the same prepared clip."
        )
    defaults = models.bundle.config.sampling
    guidance = defaults.guidance if guidance is None else guidance
    if not defaults.uses_text:
        guidance = 1.0  # both prompts are zeros: guidance would cost a second forward and change nothing
    source = encode(models.vae, video, progress=progress)
    condition = TrackCondition(models.bundle, tracks, source, strength, start, end)
    prompts = models.encode_prompts([prompt] if guidance == 1.0 else [prompt, negative_prompt])
    latent = sample(
        models.transformer,
        condition,
        positive=prompts[0],
        negative=prompts[1] if len(prompts) == 2 else None,
        steps=defaults.steps if steps is None else steps,
        guidance=guidance,
        shift=defaults.shift if shift is None else shift,
        seed=seed,
        scheduler=scheduler or defaults.scheduler,
        overlap=overlap,
        progress=progress,
    )
    return decode(models.vae, latent, progress=progress)


def rerender_notes(
    video: Tensor, *, models: Models, prompt: str = "", guidance: float | None = None
) -> tuple[Note, ...]:
    """What a user should know about this run before it starts; empty when nothing is unusual."""
    sampling = models.bundle.config.sampling
    frames, height, width = video.shape[:3]
    notes = list(fit_notes(sampling, frames=frames, width=width, height=height))
    if prompt and not sampling.uses_text:
        notes.append(Note.of("prompt_unused"))
    if guidance not in (None, 1.0) and not sampling.uses_text:
        notes.append(Note.of("guidance_unused"))
    return tuple(notes)


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
