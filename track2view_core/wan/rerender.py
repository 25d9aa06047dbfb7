"""The main job on tensors: a prepared clip and its paired tracks in, the same clip from the new camera out."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import Track2ViewError
from ..notes import Note
from ..progress import Progress
from ..tracks import PairedTracks
from .bundle_config import Scheduler
from .condition import TrackCondition
from .kept_states import Home
from .memory import diffusers_request, with_home
from .models import Models
from .sampler import sample
from .trained_for import fit_notes
from .vae import decode, encode


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
    source_states: Home = "card",
    progress: Progress | None = None,
) -> Tensor:
    """The clip as the target camera of `tracks` sees it: uint8 [T, H, W, 3] on the CPU.

    What is None comes from the bundle, and `source_states` from `source_home`. `progress` is called with (done, total,
    stage) in the stages encode, sample and decode; when it raises, the models are left as they were.
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
        source_states=source_states,
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


def source_home(
    video: Tensor,  # [T, H, W, 3] uint8
    *,
    models: Models,
    tracks: int,
    guidance: float | None = None,
) -> tuple[Home, tuple[Note, ...]]:
    """Where a source that attends to itself alone is kept between the steps, by the memory that is free now, and what
    to say of it. Models on a card are in its memory already."""
    import psutil

    sampling = models.bundle.config.sampling
    if sampling.source_attention == "full":
        return "card", ()
    frames, height, width = video.shape[:3]
    guided = sampling.uses_text and (sampling.guidance if guidance is None else guidance) != 1.0
    weight = models.transformer.patch_embedding.weight
    request = diffusers_request(
        models.bundle.config,
        frames=frames,
        height=height,
        width=width,
        tracks=tracks,
        dtype=weight.dtype,
        guided=guided,
    )
    host = int(psutil.virtual_memory().available)
    card = host if weight.device.type == "cpu" else _free_on(weight.device)
    request, note = with_home(request, weights=0, card=card, host=host)
    return request.home, (note,)


def _free_on(device: torch.device) -> int:
    """Bytes of the card, those among them that torch holds but does not use."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
