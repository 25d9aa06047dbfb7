"""The seams against the plain transformer: what they must not change, and what they must."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from track2view_core.errors import Track2ViewError
from track2view_core.tracks import collate_tracks
from track2view_core.wan.checkpoints import load_transformer, save_transformer
from track2view_core.wan.lora import add_lora, remove_lora
from track2view_core.wan.seams import ROTARY, SOURCE_TIMESTEPS, attach_seams

FRAMES = 3


@pytest.fixture(scope="module")
def inputs(make) -> SimpleNamespace:
    return SimpleNamespace(
        target=make.latent(seed=10),
        source=make.latent(seed=11),
        timestep=torch.tensor([613.0]),
        text=torch.randn(1, 7, 64, generator=torch.Generator().manual_seed(12)),
        batch=collate_tracks([make.tracks()]),
    )


def relative(found: Tensor, expected: Tensor) -> float:
    return float(((found - expected).norm() / expected.norm()).detach())


def plain(transformer, inputs, source_timestep: str, *, twice: bool) -> Tensor:
    """The transformer by itself on the concatenated latents; `twice`: with the rotary table of F frames, two times."""
    timestep = inputs.timestep
    if source_timestep == "zero":
        tokens = FRAMES * inputs.target.shape[3] // 2 * inputs.target.shape[4] // 2
        timestep = torch.cat([timestep.expand(1, tokens), torch.zeros(1, tokens)], dim=1)
    sequence = torch.cat([inputs.target, inputs.source], dim=2)
    rope = transformer.rope.forward
    if twice:
        transformer.rope.forward = lambda _: tuple(torch.cat([table, table], 1) for table in rope(inputs.target))
    try:
        return transformer(sequence, timestep, inputs.text).sample[:, :, :FRAMES]
    finally:
        transformer.rope.__dict__.pop("forward", None)


@pytest.mark.parametrize("source_timestep", SOURCE_TIMESTEPS)
@pytest.mark.parametrize("rotary", ROTARY)
@pytest.mark.parametrize("heads", [1, 12])
def test_fresh_seams_and_lora_equal_the_plain_transformer(make, inputs, heads, rotary, source_timestep):
    transformer = make.transformer(num_attention_heads=heads)
    expected = plain(transformer, inputs, source_timestep, twice=rotary == "shared")
    add_lora(transformer, rank=4, alpha=4)
    fresh = make.conditioner(128 * heads, fresh=True)
    with attach_seams(transformer, fresh, rotary=rotary, source_timestep=source_timestep) as seams:
        found = seams.forward(inputs.target, inputs.source, inputs.timestep, inputs.text, inputs.batch)
    assert found.shape == inputs.target.shape
    assert relative(found, expected) < 1e-5


def test_the_settings_differ(make, inputs, transformer):
    results = []
    for rotary in ROTARY:
        for source_timestep in SOURCE_TIMESTEPS:
            with attach_seams(transformer, None, rotary=rotary, source_timestep=source_timestep) as seams:
                results.append(seams(inputs.target, inputs.source, inputs.timestep, inputs.text))
    for number, first in enumerate(results):
        assert all(relative(first, other) > 1e-3 for other in results[number + 1 :])


def test_detaching_leaves_the_base_bit_identical(make, inputs):
    transformer = make.transformer()
    before = {key: value.clone() for key, value in transformer.state_dict().items()}
    modules = dict(transformer.named_modules())
    expected = transformer(inputs.target, inputs.timestep, inputs.text).sample
    seams = attach_seams(transformer, make.conditioner(128, fresh=False))
    seams.forward(inputs.target, inputs.source, inputs.timestep, inputs.text, inputs.batch)
    assert torch.equal(transformer(inputs.target, inputs.timestep, inputs.text).sample, expected)  # a plain call passes
    seams.detach()
    assert dict(transformer.named_modules()) == modules
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in modules.values())
    assert all(torch.equal(value, before[key]) for key, value in transformer.state_dict().items())
    assert torch.equal(transformer(inputs.target, inputs.timestep, inputs.text).sample, expected)
    with pytest.raises(Track2ViewError, match="detached"):
        seams.forward(inputs.target, inputs.source, inputs.timestep, inputs.text)


def test_an_error_inside_a_forward_leaves_plain_calls_plain(make, inputs):
    transformer = make.transformer()
    expected = transformer(inputs.target, inputs.timestep, inputs.text).sample
    with attach_seams(transformer, make.conditioner(256, fresh=True)) as seams:
        with pytest.raises(Track2ViewError, match="bundle"):
            seams.forward(inputs.target, inputs.source, inputs.timestep, inputs.text, inputs.batch)
        assert torch.equal(transformer(inputs.target, inputs.timestep, inputs.text).sample, expected)


@pytest.mark.parametrize("level", ["token", "latent"])
def test_precomputed_deltas_equal_those_of_the_running_forward(make, inputs, transformer, level):
    conditioner = make.conditioner(128, fresh=False, scatter_level=level)
    with attach_seams(transformer, conditioner) as seams:
        running = seams.forward(inputs.target, inputs.source, inputs.timestep, inputs.text, inputs.batch)
        deltas = seams.deltas(inputs.source, inputs.batch)
        cached = seams.forward(inputs.target, inputs.source, inputs.timestep, inputs.text, deltas=deltas)
        without = seams.forward(inputs.target, inputs.source, inputs.timestep, inputs.text)
    assert relative(cached, running) < 1e-5
    assert relative(without, running) > 1e-3


def test_each_delta_reaches_its_own_half(make, inputs, transformer):
    """Deltas equal to a change of the tokens act as that change would: target first, source second."""
    with attach_seams(transformer, make.conditioner(128, fresh=False)) as seams:
        deltas = seams.deltas(inputs.source, inputs.batch)
        seen = {}

        def keep(_module, args, _kwargs):
            seen["tokens"] = args[0]

        handle = transformer.blocks[0].register_forward_pre_hook(keep, with_kwargs=True)
        seams.forward(inputs.target, inputs.source, inputs.timestep, inputs.text, deltas=deltas)
        handle.remove()
    expected = [
        transformer.patch_embedding(latent) + delta
        for latent, delta in ((inputs.target, deltas.target), (inputs.source, deltas.source))
    ]
    tokens = torch.cat(expected, dim=2).flatten(2).transpose(1, 2)
    assert relative(seen["tokens"], tokens) < 1e-6
    assert float(deltas.target.abs().max()) > 0 and not torch.equal(deltas.target, deltas.source)


def test_gradients_reach_conditioner_and_lora_and_nothing_else(make, inputs):
    transformer = make.transformer()
    transformer.enable_gradient_checkpointing()
    transformer.train()
    conditioner = make.conditioner(128, fresh=False).requires_grad_(True)
    add_lora(transformer, rank=2, alpha=2)
    with attach_seams(transformer, conditioner) as seams:
        seams.forward(
            inputs.target, inputs.source, inputs.timestep, inputs.text, inputs.batch
        ).square().mean().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in conditioner.parameters())
    assert all(float(linear.weight.grad.abs().max()) > 0 for linear in conditioner.output.values())
    for name, weight in transformer.named_parameters():
        assert (weight.grad is not None) == ("lora_" in name), name
    remove_lora(transformer)


def test_bfloat16_transformer_with_a_float32_conditioner_runs(make, inputs, tmp_path):
    save_transformer(make.transformer(), tmp_path / "dit.safetensors")
    transformer = load_transformer(tmp_path / "dit.safetensors", torch.bfloat16)
    with attach_seams(transformer, make.conditioner(128, fresh=False)) as seams:
        velocity = seams.forward(inputs.target, inputs.source, inputs.timestep, inputs.text, inputs.batch)
    assert velocity.dtype == torch.bfloat16 and velocity.isfinite().all()


def test_zero_text_of_one_token_equals_zero_text_of_512(transformer, inputs):
    with attach_seams(transformer, None) as seams:
        one, many = (
            seams(inputs.target, inputs.source, inputs.timestep, torch.zeros(1, length, 64)) for length in (1, 512)
        )
    assert relative(one, many) < 1e-6


@pytest.mark.parametrize("setting", ["rotary", "source_timestep"])
def test_an_unknown_setting_is_named(transformer, setting):
    with pytest.raises(Track2ViewError, match=f'{setting} is "sideways"; allowed'):
        attach_seams(transformer, None, **{setting: "sideways"})


def test_seams_are_attached_once(transformer):
    with attach_seams(transformer, None), pytest.raises(Track2ViewError, match="already carries seams"):
        attach_seams(transformer, None)


def test_tracks_without_a_conditioner_and_unequal_views_are_refused(transformer, inputs):
    with attach_seams(transformer, None) as seams:
        with pytest.raises(Track2ViewError, match="without a conditioner"):
            seams(inputs.target, inputs.source, inputs.timestep, inputs.text, inputs.batch)
        with pytest.raises(Track2ViewError, match="differ in shape"):
            seams(inputs.target, inputs.source[:, :, :2], inputs.timestep, inputs.text)


@pytest.mark.parametrize("source_timestep", SOURCE_TIMESTEPS)
def test_a_transformer_that_was_compiled_and_called_before_heeds_the_seams(make, inputs, source_timestep):
    """torch.compile notices no hook that comes after its first call. Backend eager: all but the code generator."""
    torch.compiler.reset()
    twin = make.transformer(num_layers=1)
    transformer = torch.compile(make.transformer(num_layers=1), backend="eager")
    conditioner = make.conditioner(128, fresh=False)
    call = (inputs.target, inputs.source, inputs.timestep, inputs.text)
    sequence, times = torch.cat(call[:2], dim=2), inputs.timestep
    if source_timestep == "zero":
        tokens = sequence[0, 0].numel() // 4
        times = torch.cat([times.expand(1, tokens // 2), torch.zeros(1, tokens // 2)], dim=1)
    before = transformer(sequence, times, inputs.text, return_dict=False)[0]
    for _ in range(2):
        with attach_seams(twin, conditioner, source_timestep=source_timestep) as seams:
            deltas = seams.deltas(inputs.source, inputs.batch)
            expected, without = seams.forward(*call, deltas=deltas), seams.forward(*call)
        with attach_seams(transformer, conditioner, source_timestep=source_timestep) as seams:
            assert relative(seams.forward(*call, deltas=deltas), expected) < 1e-5
            assert relative(seams.forward(*call), without) < 1e-5
        assert relative(without, expected) > 1e-2
        assert relative(transformer(sequence, times, inputs.text, return_dict=False)[0], before) < 1e-5


def test_compiled_code_that_passes_the_seams_by_is_refused(make, inputs):
    class CompiledBefore:
        """What compiled code is that knows no hooks."""

        def __init__(self, transformer):
            self.transformer = transformer

        def __getattr__(self, name: str):
            return getattr(self.transformer, name)

        def __call__(self, *args, **kwargs):
            hooks = self.transformer.patch_embedding._forward_hooks
            kept = dict(hooks)
            hooks.clear()
            try:
                return self.transformer(*args, **kwargs)
            finally:
                hooks.update(kept)

    with attach_seams(CompiledBefore(make.transformer()), make.conditioner(128, fresh=True)) as seams:
        with pytest.raises(Track2ViewError, match="compiled before the seams were attached"):
            seams.forward(inputs.target, inputs.source, inputs.timestep, inputs.text, inputs.batch)
