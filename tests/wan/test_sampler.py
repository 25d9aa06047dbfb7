"""The sampler against readable twins, and what it must leave alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from track2view_core.errors import Track2ViewError
from track2view_core.wan.bundle import Bundle
from track2view_core.wan.condition import TrackCondition
from track2view_core.wan.lora import load_lora, remove_lora
from track2view_core.wan.models import empty_text
from track2view_core.wan.sampler import initial_noise, make_scheduler, sample
from track2view_core.wan.seams import attach_seams

SETTINGS = {"steps": 3, "guidance": 1.0, "shift": 3.0, "seed": 7}


@pytest.fixture(scope="module")
def bundle(make, transformer) -> Bundle:
    return make.bundle(transformer)


@pytest.fixture(scope="module")
def condition(make, bundle) -> TrackCondition:
    return TrackCondition(bundle, make.tracks(), make.latent())


@pytest.fixture(scope="module")
def text() -> Tensor:
    return torch.randn(1, 5, 64, generator=torch.Generator().manual_seed(20))


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


class CountedConditioner(torch.nn.Module):
    def __init__(self, inner: torch.nn.Module):
        super().__init__()
        self.inner, self.config, self.lengths = inner, inner.config, []

    def forward(self, tokens: Tensor, batch, latents: Tensor):
        self.lengths.append(tokens.shape[2])
        return self.inner(tokens, batch, latents)


def counted(condition: TrackCondition) -> tuple[TrackCondition, list[int]]:
    conditioner = CountedConditioner(condition.bundle.conditioner)
    return replace(condition, bundle=replace(condition.bundle, conditioner=conditioner)), conditioner.lengths


def by_hand(transformer, condition: TrackCondition, text: Tensor, *, steps: int, shift: float, seed: int) -> Tensor:
    """Euler, written out: x moves by the velocity times the step between shifted, evenly spaced noise levels."""
    levels = [1 - number * (1 - 1 / 1000) / steps for number in range(steps)]
    sigmas = [shift * level / (1 + (shift - 1) * level) for level in levels] + [0.0]
    latent = torch.randn(condition.source_latent.shape, generator=torch.Generator().manual_seed(seed))
    load_lora(transformer, condition.bundle.lora)
    try:
        with attach_seams(transformer, condition.bundle.conditioner) as seams:
            for now, then in pairwise(sigmas):
                step = torch.tensor([now * 1000])
                with torch.no_grad():
                    batch = condition.track_batch()
                    velocity = seams.forward(latent, condition.source_latent, step, text, batch)
                latent = latent + (then - now) * velocity
    finally:
        remove_lora(transformer)
    return latent


def test_euler_is_the_written_out_loop(transformer, condition, text):
    expected = by_hand(transformer, condition, text, steps=3, shift=3.0, seed=7)
    assert relative(sample(transformer, condition, positive=text, **SETTINGS), expected) < 1e-5


@pytest.mark.parametrize("name", ["euler", "unipc"])
def test_both_schedulers_recover_a_straight_path(name):
    """With the exact velocity e - x0 of one point, any number of steps ends at that point."""
    point, noise = torch.randn(2, 1, 16, 1, 2, 2, generator=torch.Generator().manual_seed(1)).unbind(0)
    for steps in (1, 2, 7):
        schedule, latent = make_scheduler(name, steps, 5.0), noise
        assert len(schedule.timesteps) == steps
        for step in range(steps):
            latent = schedule.step(noise - point, schedule.timesteps[step], latent, return_dict=False)[0]
        torch.testing.assert_close(latent, point, rtol=0, atol=2e-3 if name == "unipc" else 1e-5)


def test_unipc_and_euler_share_the_noise_levels():
    euler, unipc = (make_scheduler(name, 10, 5.0).sigmas for name in ("euler", "unipc"))
    torch.testing.assert_close(euler, unipc, rtol=1e-5, atol=1e-5)


def test_unipc_runs_and_differs_from_euler(transformer, condition, text):
    euler, unipc = (
        sample(transformer, condition, positive=text, scheduler=name, **SETTINGS) for name in ("euler", "unipc")
    )
    assert unipc.isfinite().all() and 0 < relative(unipc, euler) < 0.5


class KnownVelocities(torch.nn.Module):
    """A transformer that answers each prompt with a velocity of its own, whatever latent and timestep come."""

    def __init__(self, velocities: dict[float, Tensor]):  # by the prompt's first number: [16, F, h8, w8]
        super().__init__()
        sizes = {"num_attention_heads": 1, "attention_head_dim": 128, "num_layers": 2, "ffn_dim": 256}
        self.config = {**sizes, "in_channels": 16, "text_dim": 64, "patch_size": (1, 2, 2)}
        self.patch_embedding = torch.nn.Conv3d(16, 128, (1, 2, 2), (1, 2, 2))
        self.rope = RotaryTables()
        self.velocities, self.asked = velocities, []

    def forward(self, sequence: Tensor, timestep: Tensor, text: Tensor, **_: object) -> tuple[Tensor]:
        self.patch_embedding(sequence), self.rope(sequence)
        prompts = text[:, 0, 0].tolist()
        self.asked.append(prompts)
        target = torch.stack([self.velocities[prompt] for prompt in prompts])
        return (torch.cat([target, torch.full_like(target, torch.nan)], dim=2),)  # nobody reads the source's half


class RotaryTables(torch.nn.Module):
    def forward(self, sequence: Tensor) -> tuple[Tensor, Tensor]:
        return (torch.zeros(1, 2, 1, 128),) * 2


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("guidance", [0.0, 0.5, 1.0, 5.0])
def test_guidance_is_negative_plus_g_times_positive_less_negative(make, guidance, batched):
    """In closed form: Euler from noise at a constant velocity v ends at noise - v, in any number of steps."""
    latent = make.latent()
    positive, negative = torch.randn(2, *latent.shape[1:], generator=torch.Generator().manual_seed(21))
    transformer = KnownVelocities({1.0: positive, 2.0: negative})
    condition = TrackCondition(make.bundle(transformer, fresh=True), make.tracks(), latent)
    found = sample(
        transformer,
        condition,
        positive=torch.full((1, 5, 64), 1.0),
        negative=torch.full((1, 5, 64), 2.0),
        batched_guidance=batched,
        **{**SETTINGS, "guidance": guidance},
    )
    velocity = negative + guidance * (positive - negative)
    torch.testing.assert_close(found[0], initial_noise(latent, SETTINGS["seed"])[0] - velocity, atol=1e-5, rtol=1e-5)
    if guidance == 1.0:
        assert transformer.asked == [[1.0]] * 3  # the negative prompt is not even run
    else:
        assert transformer.asked == ([[1.0, 2.0]] * 3 if batched else [[1.0], [2.0]] * 3)


def test_the_conditioner_runs_once_for_20_steps_with_guidance(transformer, condition, text):
    condition, lengths = counted(condition)
    forwards = []
    handle = transformer.register_forward_pre_hook(lambda *_: forwards.append(1))
    sample(transformer, condition, positive=text, negative=-text, **{**SETTINGS, "steps": 20, "guidance": 5.0})
    handle.remove()
    assert lengths == [3] and len(forwards) == 40


def test_guidance_batched_or_one_after_the_other_is_the_same(transformer, condition, text):
    settings = {**SETTINGS, "guidance": 4.0, "positive": text, "negative": text.flip(1) * 0.5}
    one, both = (sample(transformer, condition, batched_guidance=batched, **settings) for batched in (False, True))
    assert relative(both, one) < 1e-5
    assert relative(one, sample(transformer, condition, positive=text, **SETTINGS)) > 1e-4


def test_equal_prompts_make_guidance_idle(transformer, condition, text):
    guided = sample(transformer, condition, positive=text, negative=text, **{**SETTINGS, "guidance": 6.0})
    assert relative(guided, sample(transformer, condition, positive=text, **SETTINGS)) < 1e-5


def test_the_zero_prompt_is_shortened_without_effect(transformer, condition):
    seen = []
    hook = transformer.condition_embedder.text_embedder.register_forward_pre_hook(
        lambda _module, args: seen.append(args[0].shape[1])
    )
    short = sample(transformer, condition, positive=empty_text(transformer), **SETTINGS)
    hook.remove()
    assert set(seen) == {1}
    long = by_hand(transformer, condition, empty_text(transformer), steps=3, shift=3.0, seed=7)
    assert relative(short, long) < 1e-5


def test_a_seed_means_its_noise(transformer, condition, text):
    results = [sample(transformer, condition, positive=text, **{**SETTINGS, "seed": seed}) for seed in (7, 7, 8)]
    assert torch.equal(results[0], results[1]) and relative(results[2], results[0]) > 0.1
    assert torch.equal(initial_noise(condition.source_latent, 7), initial_noise(condition.source_latent.double(), 7))


def test_strength_0_is_the_plain_concatenation(transformer, condition, text, monkeypatch):
    weak, lengths = counted(replace(condition, strength=0.0))
    found = sample(transformer, weak, positive=text, **SETTINGS)
    assert lengths == []
    monkeypatch.setattr(condition.bundle.conditioner, "forward", lambda tokens, *_: (tokens * 0, tokens * 0))
    assert relative(found, sample(transformer, condition, positive=text, **SETTINGS)) < 1e-6
    monkeypatch.undo()
    full, half = (sample(transformer, replace(condition, strength=s), positive=text, **SETTINGS) for s in (1.0, 0.5))
    assert 0 < relative(half, found) < relative(full, found)


@pytest.mark.parametrize(("start", "end", "active"), [(0.0, 1.0, 4), (0.0, 0.5, 2), (0.25, 1.0, 3), (0.5, 0.5, 0)])
def test_deltas_are_added_only_between_start_and_end(transformer, condition, text, monkeypatch, start, end, active):
    from track2view_core.wan.seams import Seams

    given, forward = [], Seams.forward

    def watch(self, *args, deltas=None):
        given.append(deltas is not None)
        return forward(self, *args, deltas=deltas)

    monkeypatch.setattr(Seams, "forward", watch)
    sample(transformer, replace(condition, start=start, end=end), positive=text, **{**SETTINGS, "steps": 4})
    assert given == [start <= step / 4 < end for step in range(4)] and sum(given) == active


def test_a_long_clip_runs_the_conditioner_once_a_window(make, transformer, bundle, text):
    long = TrackCondition(bundle, make.tracks(frames=25), make.latent(frames=7))
    long, lengths = counted(long)
    sizes, calls = [], []
    handle = transformer.register_forward_pre_hook(
        lambda _module, args, _kwargs: sizes.append(args[0].shape[2]), with_kwargs=True
    )
    result = sample(transformer, long, positive=text, overlap=1, progress=lambda *call: calls.append(call), **SETTINGS)
    handle.remove()
    assert result.shape == (1, 16, 7, 4, 8) and result.isfinite().all()
    assert lengths == [3, 3, 3] and sizes == [6] * 9  # windows of 3 latent frames, both views in one sequence
    assert calls[-1] == (9, 9, "sample") and [call[0] for call in calls] == [0, *range(9), 9]


def test_windows_blend_velocities_by_their_weights(make, transformer, bundle, text):
    """One Euler step, from the same two windows by hand."""
    long = TrackCondition(bundle, make.tracks(frames=17), make.latent(frames=5))
    found = sample(transformer, long, positive=text, overlap=1, **{**SETTINGS, "steps": 1})
    noise = initial_noise(long.source_latent, 7)
    parts = []
    load_lora(transformer, bundle.lora)
    with attach_seams(transformer, bundle.conditioner) as seams, torch.no_grad():
        for window in (slice(0, 3), slice(2, 5)):
            batch = long.track_batch().window(range(5)[window])
            latents = noise[:, :, window], long.source_latent[:, :, window]
            parts.append(seams.forward(*latents, torch.tensor([1000.0]), text, batch))
    remove_lora(transformer)
    middle = (parts[0][:, :, 2:] + parts[1][:, :, :1]) / 2
    velocity = torch.cat([parts[0][:, :, :2], middle, parts[1][:, :, 1:]], dim=2)
    assert relative(found, noise - velocity) < 1e-5


def test_an_interrupt_leaves_transformer_and_bundle_as_they_were(make, bundle, condition, text):
    transformer = make.transformer()
    modules = dict(transformer.named_modules())
    before = {key: value.clone() for key, value in transformer.state_dict().items()}

    def interrupt(done: int, _total: int, _stage: str) -> None:
        if done == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        sample(transformer, condition, positive=text, progress=interrupt, **SETTINGS)
    assert dict(transformer.named_modules()) == modules
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in modules.values())
    assert all(torch.equal(value, before[key]) for key, value in transformer.state_dict().items())
    sample(transformer, condition, positive=text, **SETTINGS)


def test_a_lora_that_the_caller_put_on_survives_a_bundle_without_one(make, text):
    transformer = make.transformer()
    bundle = make.bundle(transformer, fresh=True)
    load_lora(transformer, make.lora(make.transformer()))
    names = [name for name, _ in transformer.named_modules()]
    sample(transformer, TrackCondition(bundle, make.tracks(), make.latent()), positive=text, **SETTINGS)
    assert [name for name, _ in transformer.named_modules()] == names
    full = make.bundle(make.transformer())
    with pytest.raises(Track2ViewError, match="already carries a LoRA"):
        sample(transformer, TrackCondition(full, make.tracks(), make.latent()), positive=text, **SETTINGS)
    assert [name for name, _ in transformer.named_modules()] == names


def test_a_compiled_transformer_samples_the_same_and_carries_nothing_on(make, text):
    torch.compiler.reset()
    plain_one, transformer = make.transformer(num_layers=1), make.transformer(num_layers=1)
    condition = TrackCondition(make.bundle(plain_one), make.tracks(), make.latent())
    compiled = torch.compile(transformer, backend="eager")  # all but the code generator
    expected, found = (
        sample(model, condition, positive=text, **{**SETTINGS, "steps": 2}) for model in (plain_one, compiled)
    )
    assert relative(found, expected) < 1e-5
    assert not any("lora" in name for name, _ in transformer.named_modules())


def test_it_runs_under_inference_mode(transformer, condition, text):
    with torch.inference_mode():
        found = sample(transformer, condition, positive=text, **SETTINGS)
    assert torch.equal(found, sample(transformer, condition, positive=text, **SETTINGS))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"shift": 0.0}, "shift is 0.0"),
        ({"scheduler": "heun"}, 'scheduler is "heun"; allowed are euler, unipc'),
        ({"guidance": 5.0}, "no negative prompt"),
        ({"positive": torch.zeros(1, 4, 32)}, r"needs \[1, L, 64\]"),
    ],
)
def test_bad_settings_are_one_sentence(transformer, condition, text, changes, told):
    with pytest.raises(Track2ViewError, match=told):
        sample(transformer, condition, **{"positive": text, **SETTINGS, **changes})


def test_a_bundle_for_another_base_is_refused(make, condition, text):
    with pytest.raises(Track2ViewError, match="trained for a WAN 128 wide"):
        sample(make.transformer(num_layers=1), condition, positive=text, **SETTINGS)
