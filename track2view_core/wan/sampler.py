"""The flow-matching sampler: diffusers' schedulers over the transformer with its seams, window by window."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler, WanTransformer3DModel
from einops import rearrange
from torch import Tensor

from ..errors import Track2ViewError
from ..progress import Progress
from .bundle_config import SCHEDULERS, Scheduler
from .condition import TrackCondition
from .kept_states import Home, KeptStates
from .lora import load_lora, remove_lora
from .seams import Deltas, Seams, attach_seams
from .windows import Window, plan_windows

TRAIN_TIMESTEPS = 1000


def check_schedule(name: Scheduler, steps: int, shift: float) -> None:
    """Refuse a schedule that cannot be, before any work is done for it."""
    if name not in SCHEDULERS:
        raise Track2ViewError(f'scheduler is "{name}"; allowed are {", ".join(SCHEDULERS)}.')
    if steps < 1:
        raise Track2ViewError(f"steps is {steps}; it must be at least 1.")
    if not 0.0 < shift < float("inf"):
        raise Track2ViewError(f"shift is {shift}; it must be a finite number above 0.")


def make_scheduler(
    name: Scheduler, steps: int, shift: float
) -> FlowMatchEulerDiscreteScheduler | UniPCMultistepScheduler:
    """A scheduler with its timesteps set: WAN's own schedule, 1 .. 1/1000 in `steps` even steps, then shifted."""
    check_schedule(name, steps, shift)
    sigmas = np.linspace(1.0, 1.0 / TRAIN_TIMESTEPS, steps + 1)[:-1]
    if name == "euler":
        scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=TRAIN_TIMESTEPS, shift=shift)
    else:
        scheduler = UniPCMultistepScheduler(
            num_train_timesteps=TRAIN_TIMESTEPS,
            prediction_type="flow_prediction",
            use_flow_sigmas=True,
            flow_shift=shift,
        )
    scheduler.set_timesteps(sigmas=sigmas)  # pyright: ignore[reportArgumentType]: UniPC reckons with it as an array
    scheduler.set_begin_index(0)
    return scheduler


def shifted_sigma(share: float, shift: float) -> float:
    """Sigma of the shifted schedule when `share` of it is done: with t = 1 - share, shift t / (1 + (shift - 1) t)."""
    time = 1.0 - share
    return shift * time / (1.0 + (shift - 1.0) * time)


def initial_noise(latent: Tensor, seed: int) -> Tensor:
    """Noise of the latent's shape, drawn on the CPU so that a seed means the same on every device."""
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(latent.shape, generator=generator, dtype=torch.float32)


def _shortest(text: Tensor) -> Tensor:
    """One token for an all-zero prompt: with equal keys, attention over 512 of them is attention over one."""
    return text if text.any() else text[:, :1]


class _Sources:
    """What every step asks the transformer for: with `own` the source's states are computed once, and kept."""

    def __init__(self, seams: Seams, home: Home) -> None:
        """home: where the states are kept between steps."""
        self.seams, self.home = seams, home
        self._kept: dict[tuple[Window, int], tuple[bool, KeptStates]] = {}

    def velocity(
        self,
        target: Tensor,  # [B, 16, F', h8, w8]
        source: Tensor,  # [B, 16, F', h8, w8]
        timestep: Tensor,  # [B]
        text: Tensor,  # [B, L, text_dim]
        deltas: Deltas | None,
        key: tuple[Window, int],  # which window, and which text
    ) -> Tensor:
        if self.seams.source_attention == "full" or self.home == "nowhere":
            return self.seams.forward(target, source, timestep, text, deltas=deltas)
        if self.seams.source_text is not None:  # one source for all prompts
            key, source = (key[0], 0), source[:1]
        active, states = self._kept.get(key, (None, None))
        if states is None or active != (deltas is not None):  # start and end change the source in mid-run
            states = self.seams.source_states(source, text, deltas=deltas, in_host_memory=self.home == "host")
            self._kept[key] = deltas is not None, states
        return self.seams.forward_target(target, timestep, text, states, deltas=deltas)


@dataclass(frozen=True, eq=False)
class _Prompts:
    positive: Tensor  # [1, L, text_dim]
    negative: Tensor | None  # None: no guidance
    guidance: float
    batched: bool

    def velocity(
        self,
        sources: _Sources,
        target: Tensor,
        source: Tensor,
        timestep: Tensor,
        deltas: Deltas | None,
        window: Window,
    ) -> Tensor:
        """Guided velocity of one window; the deltas serve both branches."""
        if self.negative is None:
            return sources.velocity(target, source, timestep, self.positive, deltas, (window, 0))
        if self.batched and self.negative.shape == self.positive.shape:
            text = torch.cat([self.positive, self.negative])
            target, source = (x.repeat(2, 1, 1, 1, 1) for x in (target, source))
            both = sources.velocity(target, source, timestep.repeat(2), text, deltas, (window, 0))
            positive, negative = both.float().chunk(2)
        else:
            positive, negative = (
                sources.velocity(target, source, timestep, text, deltas, (window, number)).float()
                for number, text in enumerate((self.positive, self.negative))
            )
        return negative + self.guidance * (positive - negative)


def _prompts(
    transformer: WanTransformer3DModel,
    positive: Tensor,
    negative: Tensor | None,
    guidance: float,
    batched: bool,
    whole: bool,
) -> _Prompts:
    """whole: an all-zero prompt keeps its length, to which a text of the source's own is padded."""
    texts = [positive]
    if guidance != 1.0:
        if negative is None:
            raise Track2ViewError(
                f"guidance is {guidance} and there is no negative prompt; give one, or set guidance to 1."
            )
        texts.append(negative)
    width = transformer.config["text_dim"]
    for text in texts:
        if text.ndim != 3 or text.shape[0] != 1 or text.shape[2] != width:
            raise Track2ViewError(
                f"The prompt has shape {list(text.shape)}; this WAN needs [1, L, {width}]: "
                "use the text encoder of WAN (UMT5-XXL)."
            )
    weight = transformer.patch_embedding.weight
    ready = [text.to(weight.device, weight.dtype) for text in texts]
    ready = ready if whole else [_shortest(text) for text in ready]
    return _Prompts(ready[0], ready[1] if len(ready) == 2 else None, guidance, batched)


@contextmanager
def _prepared(transformer: WanTransformer3DModel, condition: TrackCondition) -> Iterator[Seams]:
    """The transformer with the bundle's LoRA and seams on it; whatever happens inside, both are off afterwards."""
    bundle = condition.bundle
    bundle.check_fits(transformer)
    device = transformer.patch_embedding.weight.device
    conditioner = bundle.conditioner
    if next(conditioner.parameters()).device != device:
        conditioner = copy.deepcopy(conditioner).to(device)  # the bundle may be shared: it stays where it is
    sampling = bundle.config.sampling
    inner = getattr(transformer, "_orig_mod", transformer)  # torch.compile wraps it, and LoRA goes by the names inside
    load_lora(inner, bundle.lora)
    try:
        with attach_seams(
            transformer,
            conditioner,
            rotary=sampling.rotary,
            source_timestep=sampling.source_timestep,
            source_attention=sampling.source_attention,
            source_text=bundle.source_text,
        ) as seams:
            yield seams
    finally:
        if bundle.lora:  # without one of its own, a LoRA that the caller trains stays where it is
            remove_lora(inner)


def _window_deltas(seams: Seams, condition: TrackCondition, windows: tuple[Window, ...]) -> list[Deltas | None]:
    """The conditioner's result for each window, one run a window; kept on the CPU where there are several."""
    if condition.strength == 0.0 or condition.start == condition.end:
        return [None] * len(windows)
    device = seams.transformer.patch_embedding.weight.device
    batch, source = condition.track_batch().to(device), condition.source_latent.to(device)
    results = []
    for window in windows:
        deltas = seams.deltas(source[:, :, window.frames], batch.window(window.index)).scaled(condition.strength)
        results.append(deltas if len(windows) == 1 else deltas.to("cpu"))
    return results


@torch.no_grad()
def sample(
    transformer: WanTransformer3DModel,
    condition: TrackCondition,
    *,
    positive: Tensor,  # [1, L, text_dim]
    negative: Tensor | None = None,  # [1, L, text_dim], needed when guidance is not 1
    steps: int,
    guidance: float,
    shift: float,
    seed: int,
    scheduler: Scheduler = "euler",
    overlap: int | None = None,
    batched_guidance: bool = False,
    source_states: Home = "card",
    progress: Progress | None = None,
) -> Tensor:
    """Denoise the target view from noise to a normalised latent [1, 16, F, h8, w8] float32 on the CPU.

    With `source_attention` own the source goes through the transformer once, and the steps run the target alone.
    A clip longer than the bundle's window runs in overlapping windows, whose velocities are blended at every step; the
    tracks are prepared once for the whole clip, and only one window is on the device at a time.
    overlap: latent frames that neighbouring windows share at least; None takes a third of the window.
    batched_guidance: both prompts in one forward, faster and with twice the memory.
    source_states: with `own`, where what is computed of the source waits for the next step: on the card (that of
        several windows in host memory all the same), in host memory, or nowhere, which computes it in every step.
    progress: called before each forward and at the end; when it raises, the transformer is left as it was.
    """
    schedule = make_scheduler(scheduler, steps, shift)
    whole = condition.bundle.source_text is not None
    prompts = _prompts(transformer, positive, negative, guidance, batched_guidance, whole)
    source = condition.source_latent
    latent = initial_noise(source, seed)
    windows = plan_windows(source.shape[2], 1 + condition.bundle.config.sampling.frames // 4, overlap)
    total = steps * len(windows)
    sigmas, timesteps = schedule.sigmas, schedule.timesteps
    assert isinstance(sigmas, Tensor) and isinstance(timesteps, Tensor)
    with _prepared(transformer, condition) as seams:
        _tell(progress, 0, total)
        deltas = _window_deltas(seams, condition, windows)
        sources = _Sources(seams, "host" if source_states == "card" and len(windows) > 1 else source_states)
        for step in range(steps):
            sigma = sigmas[step]
            timestep = sigma * TRAIN_TIMESTEPS  # UniPC's own timesteps are cut to whole numbers
            active = condition.active(float(sigma), lambda share: shifted_sigma(share, shift))
            velocity, weight = torch.zeros_like(latent), torch.zeros(1, 1, latent.shape[2], 1, 1)
            for number, window in enumerate(windows):
                _tell(progress, step * len(windows) + number, total)
                added = deltas[number] if active else None
                part = _window_velocity(sources, prompts, latent, source, timestep, window, added)
                ramp = rearrange(window.weights(), "f -> 1 1 f 1 1")
                velocity[:, :, window.frames] += ramp * part
                weight[:, :, window.frames] += ramp
            # diffusers annotates tensors as FloatTensor, which none is, and a timestep as a number.
            stepped = schedule.step(velocity / weight, timesteps[step], latent, return_dict=False)  # pyright: ignore[reportArgumentType]
            latent = stepped[0]
        _tell(progress, total, total)
    return latent


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total, "sample")


def _window_velocity(
    sources: _Sources,
    prompts: _Prompts,
    latent: Tensor,
    source: Tensor,
    timestep: Tensor,
    window: Window,
    deltas: Deltas | None,
) -> Tensor:
    """Guided velocity of one window's target [1, 16, length, h8, w8] float32 on the CPU."""
    device = sources.seams.transformer.patch_embedding.weight.device
    target, clean = (x[:, :, window.frames].to(device) for x in (latent, source))
    here = None if deltas is None else deltas.to(device)
    return prompts.velocity(sources, target, clean, timestep.to(device)[None], here, window).float().cpu()
