"""Small random models and tracks; every test that changes one makes its own."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel

from track2view_core.cameras import CameraPath
from track2view_core.conditioner import ConditionerConfig, TrackConditioner
from track2view_core.tracks import PairedTracks, PointTracks, pair_tracks
from track2view_core.wan.bundle import Bundle
from track2view_core.wan.bundle_config import BaseConfig, BundleConfig, SamplingConfig
from track2view_core.wan.lora import add_lora, lora_state, remove_lora
from track2view_core.wan.original_layout import dit_name_to_original

TINY = {"num_attention_heads": 1, "attention_head_dim": 128, "ffn_dim": 256, "num_layers": 2, "text_dim": 64}


def tiny_transformer(seed: int = 0, **changes) -> WanTransformer3DModel:
    torch.manual_seed(seed)
    model = WanTransformer3DModel(**{**TINY, **changes})
    return model.eval().requires_grad_(False)


def random_lora(transformer: WanTransformer3DModel, rank: int = 4, seed: int = 1) -> dict[str, torch.Tensor]:
    """A LoRA with both factors filled, in ComfyUI's keys; the transformer is left as it was."""
    add_lora(transformer, rank, rank)
    state = lora_state(transformer)
    remove_lora(transformer)
    torch.manual_seed(seed)
    return {k: torch.randn_like(v) * 0.1 if k.endswith(".weight") else v for k, v in state.items()}


def whole_lora(transformer: WanTransformer3DModel, alpha: float | None, rank: int = 4) -> dict[str, torch.Tensor]:
    """A random LoRA on every linear of the transformer, in ComfyUI's keys; alpha None leaves the key out."""
    generator = torch.Generator().manual_seed(8)
    lora = {}
    for name, module in transformer.named_modules():
        if isinstance(module, torch.nn.Linear):
            key = f"diffusion_model.{dit_name_to_original(name)}"
            lora[f"{key}.lora_A.weight"] = torch.randn(rank, module.in_features, generator=generator) * 0.1
            lora[f"{key}.lora_B.weight"] = torch.randn(module.out_features, rank, generator=generator) * 0.1
            if alpha is not None:
                lora[f"{key}.alpha"] = torch.tensor(alpha)
    return lora


def velocity(transformer: WanTransformer3DModel) -> torch.Tensor:
    """What a tiny transformer answers to one noisy latent and a short prompt."""
    with torch.no_grad():
        return transformer(make_latent(), torch.tensor([400.0]), torch.ones(1, 3, TINY["text_dim"])).sample


def conditioner_for(dim: int, *, fresh: bool, seed: int = 2, **changes) -> TrackConditioner:
    torch.manual_seed(seed)
    settings = {"dim": dim, "width": 32, "layers": 1, "heads": 2, **changes}
    conditioner = TrackConditioner(ConditionerConfig(**settings)).eval().requires_grad_(False)
    if not fresh:
        for weight in conditioner.parameters():
            weight.copy_(weight + 0.1 * torch.randn_like(weight))
    return conditioner


def make_bundle(
    transformer: WanTransformer3DModel,
    *,
    fresh: bool = False,
    frames: int = 9,
    source_text: torch.Tensor | None = None,
    **sampling,
) -> Bundle:
    conditioner = conditioner_for(transformer.config["num_attention_heads"] * 128, fresh=fresh)
    settings = {"steps": 2, "guidance": 1.0, "shift": 3.0, "width": 64, "height": 32, "frames": frames}
    reads = {} if source_text is None else {"source_text": "empty"}
    config = BundleConfig(
        conditioner.config,
        SamplingConfig(**{**settings, "uses_text": False, **reads, **sampling}),
        BaseConfig.of(transformer),
        {"about": "random"},
    )
    return Bundle(conditioner, {} if fresh else random_lora(transformer), config, source_text)


def make_tracks(
    frames: int = 9, width: int = 64, height: int = 32, points: int = 40, shift: float = 0.3
) -> PairedTracks:
    """Points on a slanted wall, seen by a still camera and by one that moves to the right."""
    generator = torch.Generator().manual_seed(3)
    wall = torch.rand(points, 3, generator=generator) * torch.tensor([2.4, 1.2, 1.0]) + torch.tensor([-1.2, -0.6, 1.5])
    focal = float(width) / 2 / math.tan(0.6)
    intrinsics = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]).expand(frames, 3, 3)
    pose = torch.eye(4).repeat(frames, 1, 1)
    source = CameraPath(pose, intrinsics, width, height)
    moved = pose.clone()
    moved[:, 0, 3] = torch.linspace(0, shift, frames)
    visible = torch.rand(frames, points, generator=generator) > 0.2
    positions = wall.expand(frames, points, 3).clone()
    tracks = PointTracks(positions, visible, torch.ones(frames, points), source)
    return pair_tracks(tracks, CameraPath(moved, intrinsics, width, height))


def make_latent(frames: int = 3, width: int = 64, height: int = 32, seed: int = 4) -> torch.Tensor:
    return torch.randn(1, 16, frames, height // 8, width // 8, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """The factories above; test files cannot import from each other."""
    return SimpleNamespace(
        transformer=tiny_transformer,
        lora=random_lora,
        whole_lora=whole_lora,
        velocity=velocity,
        conditioner=conditioner_for,
        bundle=make_bundle,
        tracks=make_tracks,
        latent=make_latent,
    )


@pytest.fixture(scope="session")
def transformer() -> WanTransformer3DModel:
    return tiny_transformer()


@pytest.fixture(scope="session")
def vae() -> AutoencoderKLWan:
    torch.manual_seed(5)
    return AutoencoderKLWan(base_dim=8).eval().requires_grad_(False)
