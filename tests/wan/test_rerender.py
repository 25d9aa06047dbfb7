"""The condition's checks, and the main job from pixels to pixels."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from track2view_core.errors import Track2ViewError
from track2view_core.wan import rerender as rerender_module
from track2view_core.wan.condition import TrackCondition
from track2view_core.wan.models import Models
from track2view_core.wan.rerender import rerender, rerender_notes, source_home


def clip(frames: int = 5, width: int = 64, height: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (frames, height, width, 3), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def models(make, transformer, vae) -> Models:
    return Models(transformer, vae, make.bundle(transformer))


@pytest.mark.parametrize("frames", [1, 5, 17])
def test_a_clip_keeps_its_length_and_size(make, models, frames):
    stages = []
    out = rerender(clip(frames), make.tracks(frames), models=models, progress=lambda *call: stages.append(call))
    assert out.shape == (frames, 32, 64, 3) and out.dtype == torch.uint8
    assert [stage for stage in dict.fromkeys(call[2] for call in stages)] == ["encode", "sample", "decode"]
    assert all(0 <= done <= total for done, total, _ in stages)


def test_the_same_call_gives_the_same_clip_and_the_tracks_matter(make, models):
    first, again, other, moved = (
        rerender(clip(), make.tracks(5, shift=shift), models=models, seed=seed)
        for seed, shift in ((1, 0.3), (1, 0.3), (2, 0.3), (1, 0.9))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other) and not torch.equal(first, moved)


def test_an_unconditional_model_ignores_guidance_and_prompt(make, models):
    plain = rerender(clip(), make.tracks(5), models=models)
    assert torch.equal(rerender(clip(), make.tracks(5), models=models, guidance=5.0, prompt="a car"), plain)


def test_a_model_trained_with_text_asks_the_encoder_for_both_prompts(make, transformer, vae):
    class Encoder:
        asked: list[list[str]] = []  # noqa: RUF012 (a stand-in)

        def encode(self, prompts):
            self.asked.append(list(prompts))
            return [torch.full((1, 512, 64), float(number)) for number, _ in enumerate(prompts, 1)]

    bundle = make.bundle(transformer, uses_text=True)
    with pytest.raises(Track2ViewError, match="no text encoder is loaded"):
        rerender(clip(), make.tracks(5), models=Models(transformer, vae, bundle))
    models = Models(transformer, vae, bundle, Encoder())
    rerender(clip(), make.tracks(5), models=models, prompt="a car", negative_prompt="blur", guidance=3.0)
    rerender(clip(), make.tracks(5), models=models, prompt="a car")
    assert Encoder.asked == [["a car", "blur"], ["a car"]]


def test_each_prompt_goes_where_it_belongs(make, transformer, vae, monkeypatch):
    class Encoder:
        def encode(self, prompts):
            return [torch.full((1, 512, 64), float({"a car": 1, "blur": 2}[prompt])) for prompt in prompts]

    seen = {}

    def sampled(_transformer, condition, *, positive, negative, guidance, **_):
        seen.update(positive=float(positive.mean()), negative=float(negative.mean()), guidance=guidance)
        return condition.source_latent

    monkeypatch.setattr(rerender_module, "sample", sampled)
    models = Models(transformer, vae, make.bundle(transformer, uses_text=True), Encoder())
    rerender(clip(), make.tracks(5), models=models, prompt="a car", negative_prompt="blur", guidance=3.0)
    assert seen == {"positive": 1.0, "negative": 2.0, "guidance": 3.0}


def test_notes_tell_what_is_unusual(models):
    assert rerender_notes(clip(), models=models) == ()
    assert rerender_notes(clip(width=32, height=64), models=models) == ()  # the trained size, turned
    notes = rerender_notes(clip(25, width=48), models=models, prompt="a car", guidance=4.0)
    assert [note.code for note in notes] == ["size_differs", "windows", "prompt_unused", "guidance_unused"]
    assert "48 x 32" in notes[0].text() and "25 frames run in" in notes[1].text()


@pytest.mark.parametrize(
    ("latent", "told"),
    [
        ({"frames": 2}, "tracks have 9 frames and the source latent stands for 5"),
        ({"width": 48}, "source_camera is 64 x 32 and the source latent stands for 48 x 32"),
    ],
)
def test_latent_and_tracks_of_different_clips_are_refused(make, models, latent, told):
    with pytest.raises(Track2ViewError, match=told):
        TrackCondition(models.bundle, make.tracks(), make.latent(**latent))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"source_latent": torch.zeros(1, 12, 3, 4, 8)}, r"shape \[1, 12, 3, 4, 8\]"),
        ({"source_latent": torch.zeros(1, 16, 3, 5, 8)}, "multiples of 16"),
        ({"source_latent": torch.full((1, 16, 3, 4, 8), float("nan"))}, "NaN"),
        ({"strength": float("inf")}, "strength is inf"),
        ({"start": 0.6, "end": 0.4}, r"start is 0\.6 and end is 0\.4"),
        ({"end": 1.5}, r"end is 1\.5"),
    ],
)
def test_a_condition_out_of_range_is_refused(make, models, changes, told):
    condition = TrackCondition(models.bundle, make.tracks(), make.latent())
    with pytest.raises(Track2ViewError, match=told):
        replace(condition, **changes)


def test_a_clip_of_another_length_than_its_tracks_is_refused(make, models):
    with pytest.raises(Track2ViewError, match="clip has 5 frames and the tracks have 9"):
        rerender(clip(), make.tracks(), models=models)


def test_a_source_of_its_own_is_kept_where_the_memory_that_is_free_has_room(make, transformer, vae, monkeypatch):
    def found(free: int, *, length: int = 9, **sampling) -> tuple[str, list[str]]:
        monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=free))
        bundle = make.bundle(transformer, **{"source_attention": "own", **sampling})
        home, notes = source_home(clip(length), models=Models(transformer, vae, bundle), tracks=40)
        return home, [note.code for note in notes]

    tokens, width, fp32 = 3 * 4 * 2, transformer.config["num_attention_heads"] * 128, 4
    kept = 2 * len(transformer.blocks) * tokens * width * fp32  # keys and values
    assert found(2**40) == ("card", ["source_on_card"])
    assert found(2 * kept) == ("host", ["source_in_host_memory"])  # no room beside what computes
    assert found(2 * kept - 1) == ("nowhere", ["source_nowhere"])
    assert found(4 * kept - 1, uses_text=True, guidance=3.0)[0] == "nowhere"
    empty = {"source_text": torch.ones(1, 64)}
    assert found(2 * kept, uses_text=True, guidance=3.0, **empty)[0] == "host"  # one source for both prompts
    assert found(2**40, length=21) == ("host", ["source_in_host_memory"])  # of several windows
    assert found(1, source_attention="full") == ("card", [])
