"""Law of the native route: a guided step is negative + cfg (positive - negative) of its branches, each run alone."""

from __future__ import annotations

import pytest
import torch

DIT, BUNDLE = "guided_dit.safetensors", "guided_bundle.safetensors"
STEPS = 2
FORWARDS = {"one forward": False, "a forward a branch": True}


@pytest.fixture(scope="module")
def graph(native, server, driver):
    """On random weights: the tiny model was trained without text, and its two prompts are one."""
    from track2view_core.wan.checkpoints import save_transformer

    torch.manual_seed(7)
    transformer = driver.weights.random_transformer(layers=2)
    save_transformer(transformer, server.base / "models/diffusion_models" / DIT)
    file = server.base / "models/track2view" / BUNDLE
    driver.weights.write_bundle(file, transformer, uses_text=True, random_outputs=True)
    return native.native(bundle=BUNDLE, dit=DIT)


@pytest.mark.parametrize("unbatched", FORWARDS.values(), ids=FORWARDS.keys())
@pytest.mark.parametrize("cfg", [0.5, 7.5])
def test_a_guided_step_is_the_mix_of_its_branches(native, graph, gap, cfg, unbatched):
    check_steps(native, graph, gap, {"positive": ["apply", 1], "negative": ["apply", 2]}, cfg, unbatched)


@pytest.mark.parametrize("unbatched", FORWARDS.values(), ids=FORWARDS.keys())
@pytest.mark.parametrize("condition", [{"strength": 0.3}, {"start": 0.5}], ids=str)
def test_each_branch_keeps_its_own_tracks(native, graph, gap, condition, unbatched):
    """The negative prompt brings the tracks at another strength, or in the second half of the steps alone."""
    graph = {**graph, "other": native.with_inputs(graph[native.condition], **condition)}
    graph["apply_other"] = native.with_inputs(graph["apply"], condition=["other", 0])
    check_steps(native, graph, gap, {"positive": ["apply", 1], "negative": ["apply_other", 2]}, 3.0, unbatched)


@pytest.mark.parametrize(
    "prompts",
    [
        {"positive": ["apply", 1], "negative": ["negative", 0]},
        {"positive": ["positive", 0], "negative": ["apply", 2]},
    ],
    ids=["the negative", "the positive"],
)
def test_a_branch_without_tracks_stays_without(native, graph, gap, prompts):
    check_steps(native, graph, gap, prompts, 3.0, unbatched=False)


def check_steps(native, graph, gap, prompts, cfg: float, unbatched: bool) -> None:
    """Both steps of a run: the first from the noise, the second with what the first has left in the run's cache."""
    positive, negative = ({"positive": link, "negative": link} for link in prompts.values())
    if unbatched:
        graph = {**graph, "model": native.node("Probe_Unbatched", model=["apply", 0])}
    told = {"model": ["model" if unbatched else "apply", 0]}
    first = sampled(native, graph, 0, 1, cfg, told | prompts)
    both = sampled(native, graph, 0, STEPS, cfg, told | prompts)
    for step, mixed in ((0, first), (1, both)):
        start = first if step else graph
        one, other = (
            native.latent(sampled(native, start, step, step + 1, 1.0, told | side)) for side in (positive, negative)
        )
        assert gap(one, other) > 1e-3
        assert gap(native.latent(mixed), other + cfg * (one - other)) < 1e-3 * (1 + abs(cfg))


def sampled(native, graph, first: int, last: int, cfg: float, links: dict) -> dict:
    """Steps first..last-1 of a run of STEPS, with the noise that is left; from the sampler in `graph` where one is."""
    before = {"before": graph["sampler"]} if first else {}
    return native.saving({
        **graph,
        **before,
        "sampler": native.node(
            "KSamplerAdvanced", latent_image=["before" if first else "apply", 0 if first else 3], noise_seed=5,
            steps=STEPS, cfg=cfg,
            sampler_name="euler", scheduler="simple", start_at_step=first, end_at_step=last,
            add_noise="disable" if first else "enable", return_with_leftover_noise="enable", **links,
        ),
    })  # fmt: skip
