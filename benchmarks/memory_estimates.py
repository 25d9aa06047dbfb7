"""The memory plan against what tensors take: `python -m benchmarks.memory_estimates`.

Every stage of the diffusers route runs under a meter of live tensors, with weights of zero: the tiny model really,
models of full size on the meta device, by shapes alone. Attention counts by its result, as fused kernels do.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple, TypeVar

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel

from track2view_core.conditioner import TrackConditioner
from track2view_core.tracks import TrackBatch
from track2view_core.wan import vae as wan_vae
from track2view_core.wan.lora import add_lora
from track2view_core.wan.memory import BASES, Request
from track2view_core.wan.memory.plan import (
    conditioner_working,
    decode_working,
    dit_working,
    encode_working,
    states_on_card,
)
from track2view_core.wan.seams import Deltas, attach_seams

from .meters import LivePeak

Model = TypeVar("Model", bound=torch.nn.Module)
DTYPES = {4: torch.float32, 2: torch.bfloat16}


class Compared(NamedTuple):
    estimate: int
    measured: int


class Stage(NamedTuple):
    name: str
    estimate: int
    measured: int


def measured_stages(request: Request, device: str) -> Iterator[Stage]:
    """All stages of a diffusers request."""
    for stage in (vae_encode, conditioner, dit_step, vae_decode):
        yield Stage(stage.__name__, *stage(request, device))


def dit_step(request: Request, device: str) -> Compared:
    """One forward, all prompts of a batch: on both views, or on the target beside the source's kept states."""
    dtype = DTYPES[request.compute_bytes]
    shape = (request.batch, 16, request.window_frames, request.height // 8, request.width // 8)
    with torch.device(device):
        target, source = torch.randn(shape), torch.randn(shape)
        timestep = torch.full((request.batch,), 500.0)
        added = torch.randn(1, request.base.dim, shape[2], shape[3] // 2, shape[4] // 2).to(dtype)
        empty = torch.zeros(1, request.base.text_dim)
    seams = attach_seams(
        _transformer(request, device), None, source_timestep=request.source_timestep,
        source_attention=request.source_attention, source_text=None if request.source_text == "prompt" else empty,
    )  # fmt: skip
    with torch.no_grad(), LivePeak() as peak:
        text = torch.zeros(request.batch, request.text_length, request.base.text_dim, device=device, dtype=dtype)
        deltas = Deltas(added, added)
        if request.home == "nowhere":
            seams.forward(target, source, timestep, text, deltas=deltas)
        else:
            states = seams.source_states(source[: request.sources], text[: request.sources], deltas=deltas)
            seams.forward_target(target, timestep, text, states, deltas=deltas)
    return Compared(dit_working(request) + states_on_card(request), peak.bytes)


def conditioner(request: Request, device: str) -> Compared:
    """The conditioner on one window, from the source's latent to scaled deltas; no track is hidden."""
    config, frames, tracks = request.tracker_config, request.window_frames, request.tracks
    with torch.device(device):
        latent = torch.randn(1, 16, frames, request.height // 8, request.width // 8)
        module = TrackConditioner(config).to(DTYPES[request.conditioner_bytes]).eval().requires_grad_(False)
        xy = torch.rand(1, frames, tracks, 2) * torch.tensor([request.width, request.height])
        numbers, mask = torch.rand(1, frames, tracks), torch.ones(1, frames, tracks, dtype=torch.bool)
    batch = TrackBatch(xy, xy, 1 + numbers, 1 + numbers, numbers, numbers, mask, mask, mask,
                       (request.height, request.width))  # fmt: skip
    transformer = _transformer(replace(request, base=replace(request.base, layers=1)), device, lora=False)
    with attach_seams(transformer, module) as seams, torch.no_grad(), LivePeak() as peak:
        seams.deltas(latent, batch).scaled(1.0)
    return Compared(conditioner_working(request), peak.bytes)


def vae_encode(request: Request, device: str) -> Compared:
    clip = torch.zeros(request.frames, request.height, request.width, 3, dtype=torch.uint8, device=device)
    vae = _vae(request, device)
    with LivePeak() as peak:
        wan_vae.encode(vae, clip)
    return Compared(encode_working(request), peak.bytes)


def vae_decode(request: Request, device: str) -> Compared:
    """On the meta device without the last step, which brings the pictures to the CPU."""
    vae = _vae(request, device)
    latent = torch.zeros(1, 16, request.latent_frames, request.height // 8, request.width // 8, device=device)
    with torch.no_grad(), LivePeak() as peak:
        if device == "meta":
            vae.decode(latent.to(vae.dtype), return_dict=False)
        else:
            wan_vae.decode(vae, latent)
    return Compared(decode_working(request), peak.bytes)


def _transformer(request: Request, device: str, *, lora: bool = True) -> WanTransformer3DModel:
    base, dtype = request.base, DTYPES[request.compute_bytes]
    kept = set(WanTransformer3DModel._keep_in_fp32_modules)
    with torch.device("meta"):
        model = WanTransformer3DModel(
            num_attention_heads=base.dim // 128, attention_head_dim=128, num_layers=base.layers, ffn_dim=base.ffn_dim,
            text_dim=base.text_dim, freq_dim=base.freq_dim,
        )  # fmt: skip
        if lora:
            add_lora(model, request.lora_rank, request.lora_rank)
    for name, weight in model.named_parameters():
        if kept.isdisjoint(name.split(".")):
            weight.data = weight.data.to(dtype)
    return _zeros(model, device)


def _zeros(model: Model, device: str) -> Model:
    """The model with weights of zero: memory does not ask for their values, and drawing them takes long."""
    model = model.to_empty(device=device).eval().requires_grad_(False)
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data.zero_()
    return model


def _vae(request: Request, device: str) -> AutoencoderKLWan:
    with torch.device("meta"):
        vae = AutoencoderKLWan(base_dim=request.base.vae_width)
    return _zeros(vae, device)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    real = [
        Request(BASES["tiny"], frames, height, width, dtype, "diffusers", tracks=300, lora_rank=32, guidance=False)
        for frames, height, width in ((17, 128, 128), (9, 64, 176), (25, 96, 64))
        for dtype in ("fp32", "bf16")
    ]
    shapes = [
        Request(replace(BASES[base], layers=1), frames, dtype="bf16", route="diffusers", batched=False)
        for base in ("1.3B", "14B")
        for frames in (25, 49, 81)
    ]
    print(
        f"{'base':6}{'clip':>16}{'dtype':>6}{'device':>8}  {'stage':12}{'measured MB':>12}{'estimate':>10}{'ratio':>7}"
    )
    for device, requests in (("cpu", real), ("meta", shapes)):
        for request in requests:
            for name, estimate, measured in measured_stages(request, device):
                clip = f"{request.frames} x {request.width} x {request.height}"
                print(
                    f"{request.base.name:6}{clip:>16}{request.dtype:>6}{device:>8}  {name:12}{measured / 1e6:12.1f}"
                    f"{estimate / 1e6:10.1f}{estimate / measured:7.2f}"
                )


if __name__ == "__main__":
    main()
