"""A source that attends to itself alone: computed once a run on the MODEL, at every step, and by the diffusers route."""

from __future__ import annotations

import pytest

DIT, STEPS, VIEW = "own_dit.safetensors", 8, 5  # latent frames


@pytest.fixture(scope="module")
def graph(native, server, driver):
    """A graph by rotary; random weights, with gates and logits so large that the source matters."""
    import torch

    from track2view_core.wan.checkpoints import save_transformer

    torch.manual_seed(9)
    transformer = driver.weights.random_transformer(layers=2)
    with torch.no_grad():
        for name, weight in transformer.named_parameters():
            if name.endswith("scale_shift_table"):
                weight.normal_(std=0.5)
            elif "norm_q" in name or "norm_k" in name:
                weight.fill_(1.6)
            elif weight.ndim == 2:
                weight.normal_(std=weight[0].numel() ** -0.5)
    save_transformer(transformer, server.base / "models/diffusion_models" / DIT)
    folder = server.base / "models/track2view"
    driver.weights.write_bundle(folder / "own.safetensors", transformer, uses_text=True, random_outputs=True)

    def build(rotary: str = "shared", attention: str = "own", **told):
        name = f"own_{rotary}_{attention}.safetensors"
        driver.weights.write_variant(
            folder / "own.safetensors", folder / name, rotary=rotary, source_attention=attention
        )
        return native.native(bundle=name, dit=DIT, **told)

    return build


@pytest.fixture(scope="module")
def sampled(native):
    """(latent, latent frames of every forward) of a graph's run, `once` or by one pass at every step.

    A node that samples around core's OUTER_SAMPLE says nothing of where a run ends, so that nothing is kept for it.
    """

    def run(graph, *, once: bool = True, model: str = "apply", steps: int = STEPS, cfg: float = 3.0):
        graph = {**graph, "count": native.node("Probe_Count", model=[model, 0], number=int(once))}
        graph = native.euler(graph, steps=steps, cfg=cfg, model=["count", 0])
        if not once:
            links = {name: graph["guider"]["inputs"][name] for name in ("model", "positive", "negative", "cfg")}
            graph["guider"] = native.node("Probe_BareGuider", **links, wrapped=True)
        graph = native.with_facts(graph)
        return native.latent(graph), native.facts(graph)["frames"]

    return run


@pytest.mark.parametrize("rotary", ["shared", "consecutive"])
def test_eight_guided_steps_agree_however_the_source_is_computed(native, graph, sampled, gap, rotary):
    once, frames = sampled(graph(rotary))
    assert frames == [VIEW] * (2 + STEPS)  # the source with either prompt, then the target with both
    anew, frames = sampled(graph(rotary), once=False)
    assert frames == [2 * VIEW] * STEPS
    assert gap(once, anew) < 1e-5
    bundle = f"own_{rotary}_own.safetensors"
    assert gap(once, native.latent(native.diffusers(steps=STEPS, cfg=3.0, bundle=bundle, dit=DIT))) < 1e-4
    full, _ = sampled(graph(rotary, "full"))
    assert gap(full, once) > 1e-2
