"""The source's own attention: against diffusers' own processor with a mask, and computed once against at every step."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from torch import Tensor

from track2view_core.errors import Track2ViewError
from track2view_core.training.settings import FlowSettings
from track2view_core.wan.bundle_config import SamplingConfig
from track2view_core.wan.condition import TrackCondition
from track2view_core.wan.lora import load_lora
from track2view_core.wan.sampler import initial_noise, make_scheduler, sample
from track2view_core.wan.seams import ROTARY, Deltas, attach_seams

OWN = {"source_attention": "own"}


def relative(found: Tensor, expected: Tensor) -> float:
    return float(((found - expected).norm() / expected.norm()).detach())


def lively(make, **changes):
    """Random, with gates and logits so large that self-attention and the source matter."""
    model = make.transformer(**changes)
    generator = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("scale_shift_table"):
                weight.copy_(0.5 * torch.randn(weight.shape, generator=generator))
            elif weight.ndim >= 2:
                weight.copy_(torch.randn(weight.shape, generator=generator) * weight[0].numel() ** -0.5)
            elif "norm_q" in name or "norm_k" in name:
                weight.fill_(1.6)
    return model


def drawn(make, batch: int = 1) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor], Deltas]:
    """Noise, source, two texts and deltas."""
    generator = torch.Generator().manual_seed(3)
    shape = (batch, *make.latent().shape[1:])
    noise, source = (torch.randn(shape, generator=generator) for _ in range(2))
    positive, negative = (torch.randn(batch, 7, 64, generator=generator) for _ in range(2))
    grid = (batch, 128, shape[2], shape[3] // 2, shape[4] // 2)
    deltas = Deltas(*(0.3 * torch.randn(grid, generator=generator) for _ in range(2)))
    return noise, source, (positive, negative), deltas


class Masked(WanAttnProcessor):
    """diffusers' processor, with a mask: the second half of the queries sees the second half of the keys alone; with
    `apart` the first half sees the first alone, too."""

    def __init__(self, apart: bool = False) -> None:
        super().__init__()
        self.apart = apart

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, rotary_emb=None):
        seen = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key = (torch.arange(x.shape[1]) >= x.shape[1] // 2 for x in (hidden_states, seen))
        mask = key == query[:, None] if self.apart else key | ~query[:, None]
        return super().__call__(attn, hidden_states, encoder_hidden_states, mask, rotary_emb)


TEXT = torch.randn(3, 64, generator=torch.Generator().manual_seed(12))  # of the source's own, shorter than the prompts
TEXTS = pytest.mark.parametrize("own_text", [None, TEXT], ids=["the prompt", "a text of its own"])


@TEXTS
@pytest.mark.parametrize("rotary", ROTARY)
def test_one_pass_is_attention_under_a_mask_and_so_are_its_gradients(make, rotary, own_text):
    noise, source, (text, _), deltas = drawn(make, batch=2)
    behind = None if own_text is None else torch.nn.functional.pad(own_text, (0, 0, 0, 4)).expand(2, 7, 64)
    found = {}
    for way in ("own", "own, activations recomputed", "masked", "full"):
        transformer = lively(make)
        load_lora(transformer, make.lora(make.transformer()))
        if way == "masked":
            for block in transformer.blocks:
                block.attn1.set_processor(Masked())
                if behind is not None:
                    block.attn2.set_processor(Masked(apart=True))
        if "recomputed" in way:
            transformer.train()
            transformer.enable_gradient_checkpointing()
        trained = [weight for name, weight in transformer.named_parameters() if "lora_" in name]
        for weight in trained:
            weight.requires_grad_(True)
        words = {**OWN, "source_text": own_text} if "own" in way else {}
        read = torch.cat([text, behind], dim=1) if way == "masked" and behind is not None else text
        with attach_seams(transformer, None, rotary=rotary, **words) as seams:
            out = seams.forward(noise, source, torch.tensor([400.0, 700.0]), read, deltas=deltas)
            out.square().mean().backward()
        found[way] = out.detach(), torch.cat([weight.grad.flatten() for weight in trained])
    for part in range(2):
        assert relative(found["own"][part], found["masked"][part]) < 1e-5
        assert relative(found["own, activations recomputed"][part], found["own"][part]) < 1e-5
        assert relative(found["full"][part], found["masked"][part]) > 1e-2


def guided(seams, noise, source, texts, deltas, *, kept: bool, steps: int = 8, guidance: float = 3.0) -> Tensor:
    schedule, latent = make_scheduler("euler", steps, 5.0), noise
    states = [seams.source_states(source, text, deltas=deltas) for text in texts] if kept else [None, None]
    if kept and seams.source_text is not None:
        states = [seams.source_states(source[:1], texts[0], deltas=Deltas(*(x[:1] for x in deltas)))] * 2
    for now, then in pairwise(schedule.sigmas.tolist()):
        time = torch.full((len(noise),), now * 1000)
        positive, negative = (
            seams.forward_target(latent, time, text, own, deltas=deltas)
            if kept
            else seams.forward(latent, source, time, text, deltas=deltas)
            for text, own in zip(texts, states, strict=True)
        )
        latent = latent + (then - now) * (negative + guidance * (positive - negative))
    return latent


@TEXTS
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("with_lora", [False, True])
@pytest.mark.parametrize("rotary", ROTARY)
def test_the_source_computed_once_is_the_source_computed_at_every_step(make, rotary, with_lora, batch, own_text):
    """With a text of its own, it is also the source of every prompt and, of equal sources, of all the batch."""
    transformer = lively(make)
    if with_lora:
        load_lora(transformer, make.lora(transformer))
    noise, source, texts, deltas = drawn(make, batch)
    if own_text is not None:
        source, deltas = source[:1].expand_as(source), Deltas(*(x[:1].expand_as(x) for x in deltas))
    with torch.no_grad(), attach_seams(transformer, None, rotary=rotary, source_text=own_text, **OWN) as seams:
        once = guided(seams, noise, source, texts, deltas, kept=True) - noise
        anew = guided(seams, noise, source, texts, deltas, kept=False) - noise
        other = guided(seams, noise, source.flip(2), texts, deltas, kept=True) - noise
    assert relative(once, anew) < 1e-5
    assert relative(other, anew) > 0.05


@TEXTS
@pytest.mark.parametrize("rotary", ROTARY)
@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("span", [(0.0, 1.0), (0.2, 0.6)], ids=["all steps", "some steps"])
def test_sampling_computes_the_source_once_and_gives_what_one_pass_gives(make, span, batched, rotary, own_text):
    """Over two windows, guided; where the deltas come and go, the source is computed once for each; and once for both
    prompts where it has a text of its own."""
    transformer = lively(make)
    bundle = make.bundle(transformer, frames=9, rotary=rotary, source_text=own_text, **OWN)
    condition = TrackCondition(bundle, make.tracks(frames=17), make.latent(frames=5), 1.0, *span)
    _, _, (positive, negative), _ = drawn(make)
    lengths = []
    transformer.rope.register_forward_hook(lambda _module, inputs, _out: lengths.append(inputs[0].shape[2]))

    def sampled(home: str) -> Tensor:
        lengths.clear()
        return sample(
            transformer, condition, positive=positive, negative=negative, steps=8, guidance=3.0, shift=3.0, seed=7,
            batched_guidance=batched, source_states=home,
        ) - initial_noise(condition.source_latent, 7)  # fmt: skip

    once, windows, prompts = sampled("host"), 2, 1 if batched else 2
    changes = 1 if span == (0.0, 1.0) else 3
    texts = prompts if own_text is None else 1
    assert lengths == [3] * (8 * prompts + changes * texts) * windows
    anew = sampled("nowhere")
    assert lengths == [6] * 8 * windows * prompts
    assert relative(once, anew) < 1e-5


def test_a_prompt_of_zeros_leaves_the_source_s_own_text_as_it_is(make):
    """Else it would be padded to another length where both views go together than where the source went alone."""
    transformer = lively(make)
    condition = TrackCondition(make.bundle(transformer, source_text=TEXT, **OWN), make.tracks(), make.latent())
    _, _, (positive, _), _ = drawn(make)
    once, anew = (
        sample(
            transformer, condition, positive=positive, negative=torch.zeros_like(positive), steps=4, guidance=3.0,
            shift=3.0, seed=7, source_states=home,
        ) - initial_noise(condition.source_latent, 7)
        for home in ("card", "nowhere")
    )  # fmt: skip
    assert relative(once, anew) < 1e-5


def test_detaching_gives_the_processors_back_and_leaves_the_base_bit_identical(make):
    transformer = lively(make)
    noise, source, (text, _), deltas = drawn(make)
    attentions = [attention for block in transformer.blocks for attention in (block.attn1, block.attn2)]
    time, processors = torch.tensor([400.0]), [attention.processor for attention in attentions]
    plain = transformer(noise, time, text).sample
    with attach_seams(transformer, None, source_text=TEXT, **OWN) as seams:
        seams.forward(noise, source, time, text, deltas=deltas)
        assert torch.equal(transformer(noise, time, text).sample, plain)  # a plain call passes
    assert all(here.processor is processor for here, processor in zip(attentions, processors, strict=True))
    assert torch.equal(transformer(noise, time, text).sample, plain)


@TEXTS
def test_a_compiled_transformer_heeds_it(make, own_text):
    """Backend eager: all but the code generator."""
    torch.compiler.reset()
    twin = lively(make, num_layers=1)
    transformer = torch.compile(lively(make, num_layers=1), backend="eager")
    noise, source, (text, _), deltas = drawn(make)
    time = torch.tensor([400.0])
    transformer(noise, time, text)
    results = []
    for model in (twin, transformer):
        with attach_seams(model, None, source_text=own_text, **OWN) as seams:
            states = seams.source_states(source, text, deltas=deltas)
            results.append(seams.forward_target(noise, time, text, states, deltas=deltas))
            results.append(seams.forward(noise, source, time, text, deltas=deltas))
    assert all(relative(result, results[0]) < 1e-5 for result in results)


def test_own_attention_of_a_source_that_changes_is_refused_by_name(make, transformer):
    size = {"steps": 4, "guidance": 1.0, "shift": 3.0, "width": 64, "height": 32, "frames": 9}
    for refuse in (
        lambda **words: attach_seams(transformer, None, **words),
        lambda **words: SamplingConfig(**size, **words),
        FlowSettings,
    ):
        with pytest.raises(Track2ViewError, match='own needs source_timestep "zero"'):
            refuse(source_timestep="same", **OWN)
        with pytest.raises(Track2ViewError, match='source_attention is "half"; allowed are full, own'):
            refuse(source_attention="half")
    for refuse in (lambda **words: SamplingConfig(**size, **words), FlowSettings):
        with pytest.raises(Track2ViewError, match='empty needs source_attention "own"'):
            refuse(source_text="empty")
        with pytest.raises(Track2ViewError, match='source_text is "none"; allowed are prompt, empty'):
            refuse(source_text="none", **OWN)
    with pytest.raises(Track2ViewError, match='empty needs source_attention "own"'):
        attach_seams(transformer, None, source_text=TEXT)
    with attach_seams(transformer, None) as seams, pytest.raises(Track2ViewError, match='kept with "own" alone'):
        seams.source_states(make.latent(), torch.zeros(1, 1, 64))


def test_bundles_say_it_and_those_that_do_not_mean_full():
    full = SamplingConfig(steps=4, guidance=1.0, shift=3.0, width=64, height=32, frames=9)
    assert "source_attention" not in full.to_dict() and SamplingConfig.from_dict(full.to_dict()) == full
    own = replace(full, **OWN)
    assert SamplingConfig.from_dict(own.to_dict()) == own and own.source_attention == "own"
    assert "source_text" not in own.to_dict()
    empty = replace(own, source_text="empty")
    assert SamplingConfig.from_dict(empty.to_dict()) == empty and empty.source_text == "empty"
