"""Operations of a generation, and the time they take at this device's rate. A multiply-add counts as two operations."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from ...errors import Track2ViewError
from .plan import PATCH
from .request import Request, WanBase

EFFICIENCY = 0.6
"""Share of a device's measured matrix rate that sampling reaches.

Published speeds of WAN 2.1 1.3B in bf16 come to 590 s (A100), 270 s (H100) and 890 s (RTX 4090) for 50 guided steps on
both views at 81 frames of 832 x 480: 163, 356 and 108 TFLOP/s, which is 0.52, 0.36 and 0.65 of the makers' peaks (312,
989, 165). Large products reach 0.7 to 0.95 of those peaks, so sampling lies at 0.5 to 0.7 of them.
"""
EFFICIENCY_RANGE = (0.5, 0.7)
# WAN's VAE, by torch's operation counter: per pixel, frame and squared width; the first frame counts a little more.
ENCODE_OPERATIONS, DECODE_OPERATIONS = 550, 925


@dataclass(frozen=True)
class TimeEstimate:
    """Seconds, each stage once and one step of sampling with all its windows and prompts."""

    encode: float
    conditioner: float
    source: float
    step: float
    decode: float
    steps: int

    @property
    def total(self) -> float:
        return self.encode + self.conditioner + self.source + self.steps * self.step + self.decode

    @property
    def total_range(self) -> tuple[float, float]:
        """The total at the best and at the worst efficiency seen."""
        worst, best = EFFICIENCY_RANGE
        return self.total * EFFICIENCY / best, self.total * EFFICIENCY / worst


def dit_operations(
    base: WanBase, cells: int, text_tokens: int, *, views: int = 2, seen: int = 2, token_timesteps: bool = False
) -> int:
    """One forward, one prompt: S = `views` x `cells` tokens, which see the keys of `seen` views.

    A block: self-attention 4 S `seen` `cells` D and its linears 8 S D^2; text cross-attention 4 S L D with 4 S D^2
    + 4 L D^2 of linears; FFN 4 S D ffn. Around them patch embedding and head 4 S D 64, text and time embeddings.
    token_timesteps: every token has its own timestep embedding, as diffusers makes them for a source timestep of zero.
    """
    tokens, dim = views * cells, base.dim
    attention = 4 * tokens * seen * cells * dim + 4 * tokens * text_tokens * dim
    linears = 12 * tokens * dim**2 + 4 * text_tokens * dim**2 + 4 * tokens * dim * base.ffn_dim
    times = tokens if token_timesteps else 1
    around = 4 * tokens * dim * base.in_channels * PATCH + 2 * text_tokens * dim * (base.text_dim + dim)
    return base.layers * (attention + linears) + around + 2 * times * dim * (base.freq_dim + 7 * dim)


def conditioner_operations(request: Request) -> int:
    """One window: 24 W^2 and 4 F W a row and layer (R = tracks x latent frames), the way in, and both ways out."""
    config, rows, cells = request.tracker_config, request.tracks * request.window_frames, request.cells
    dim, width = config.dim, config.width
    layers = config.layers * rows * (24 * width**2 + 4 * request.window_frames * width)
    depth = 2 * 2 * rows * 2 * config.depth_bands * width
    out = 2 * 2 * cells * (width + 1) * dim
    latent = 2 * cells * (config.latent_channels + 1) * PATCH * dim if config.scatter_level == "latent" else 0
    return layers + 2 * rows * dim * width + depth + out + latent


def step_operations(request: Request) -> int:
    """One step: every window, and both prompts where there is guidance."""
    slow = request.route == "diffusers" and request.source_timestep == "zero" and request.views == 2
    forward = dit_operations(
        request.base, request.cells, request.text_length, views=request.views, token_timesteps=slow
    )
    return forward * request.windows * request.prompts


def source_operations(request: Request) -> int:
    """The source alone, once for every window and text, where its states are kept."""
    if request.home == "nowhere":
        return 0
    alone = dit_operations(request.base, request.cells, request.text_length, views=1, seen=1)
    return alone * request.windows * request.sources


def estimate_time(request: Request, rate: float, efficiency: float = EFFICIENCY) -> TimeEstimate:
    """Seconds at `rate`, the device's measured matrix products in operations a second.

    Weights that are not on the card are assumed to arrive while the block before computes.
    """
    if not rate > 0 or not efficiency > 0:
        raise Track2ViewError(f"rate is {rate} and efficiency is {efficiency}; both must be above 0.")
    reached = rate * efficiency
    pixels = (request.frames + 1) * request.height * request.width * request.base.vae_width**2
    return TimeEstimate(
        encode=ENCODE_OPERATIONS * pixels / reached,
        conditioner=conditioner_operations(request) * request.windows / reached,
        source=source_operations(request) / reached,
        step=step_operations(request) / reached,
        decode=DECODE_OPERATIONS * pixels / reached,
        steps=request.steps,
    )


SIDE_ON_CARD, SIDE_ON_CPU = 8192, 1024
PATIENCE = 0.4  # seconds


def matrix_rate(device: torch.device | str, dtype: torch.dtype) -> float:
    """Operations a second (a multiply-add is two) of a large square product in `dtype`: the best of a few."""
    where = torch.device(device)
    side = SIDE_ON_CPU if where.type == "cpu" else SIDE_ON_CARD
    left = torch.randn(side, side, device=where, dtype=dtype)
    _seconds(left, where)  # the first one loads kernels
    best, begun = float("inf"), time.perf_counter()
    while best == float("inf") or time.perf_counter() - begun < PATIENCE:
        best = min(best, _seconds(left, where))
    return 2 * side**3 / best


def _seconds(left: torch.Tensor, device: torch.device) -> float:
    begun = time.perf_counter()
    torch.matmul(left, left)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return max(time.perf_counter() - begun, 1e-9)
