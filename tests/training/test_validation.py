"""Validation: its pictures are decoded as everywhere else, whatever the run's precision."""

from types import SimpleNamespace

import pytest
import torch

from track2view_core.training import BatchDraw, train
from track2view_core.training.settings import ValidationSettings
from track2view_core.training.tiny.vae_stage import VaeValidation, new_vae
from track2view_core.training.validation import PairValidation
from track2view_core.wan.bundle import Bundle
from track2view_core.wan.bundle_config import BaseConfig, BundleConfig, SamplingConfig

from .pair_data import FRAMES, SIZE, PairsInMemory, small_settings, small_source, tiny_pair_objective

INFO = SimpleNamespace(fps=16.0)


@pytest.fixture
def vae():
    torch.manual_seed(0)
    return new_vae(8).requires_grad_(False)


def dtypes_of(*modules):
    """What comes out of the modules, from now on."""
    found = []
    for module in modules:
        module.register_forward_hook(lambda _module, _inputs, out: found.append(out.dtype))
    return found


def test_samples_are_decoded_in_float32_during_a_run_in_half_precision(vae, tmp_path):
    objective, pairs = tiny_pair_objective(), PairsInMemory(1)
    pairs.info = INFO
    sampling = SamplingConfig(
        steps=1, guidance=1.0, shift=3.0, width=SIZE, height=SIZE, frames=FRAMES, scheduler="euler", uses_text=False
    )
    config = BundleConfig(objective.conditioner.config, sampling, BaseConfig.of(objective.transformer), {})
    validate = PairValidation(
        objective,
        pairs,
        ValidationSettings(pairs=1, levels=(0.5,), samples=1, tracks=16),
        draw=BatchDraw(),
        bundle=Bundle(objective.conditioner, {}, config),
        vae=vae,
    )
    decoded = dtypes_of(vae.decoder.mid_block.resnets[0], vae.decoder.conv_out)
    denoised = dtypes_of(objective.transformer.blocks[0].ffn)
    train(objective, small_source(pairs), small_settings(1, precision="bf16"), tmp_path, validate=validate)
    assert decoded and set(decoded) == {torch.float32}
    assert set(denoised) == {torch.bfloat16}
    assert list((tmp_path / "samples").glob("*.png"))


def test_a_vae_is_scored_in_float32_during_a_run_in_half_precision(vae):
    """Its score is that of the file, which is always used in float32."""
    clip = (torch.rand(5, 4, 4, 3) * 255).byte().repeat_interleave(8, 1).repeat_interleave(8, 2)
    clips = SimpleNamespace(info=INFO, clip_count=1, clip_frames=lambda _index: clip)
    validate = VaeValidation(vae, clips, ValidationSettings(pairs=1, samples=0))
    alone = validate(0)
    with torch.autocast("cpu", torch.bfloat16):
        assert validate(0) == alone
