"""A source that attends to itself alone: once a run on the MODEL, at every step, and by the diffusers route."""

from __future__ import annotations

import pytest

DIT, STEPS, VIEW = "own_dit.safetensors", 8, 5  # latent frames


def named(rotary: str, attention: str, text: str) -> str:
    return f"own_{rotary}_{attention}_{text}.safetensors"


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

    empty = 3.0 * torch.randn(2, 4096)

    def build(rotary: str = "shared", attention: str = "own", text: str = "prompt", **told):
        """text: what the source reads."""
        driver.weights.write_variant(
            folder / "own.safetensors", folder / named(rotary, attention, text), rotary=rotary,
            source_attention=attention, source_text=empty if text == "empty" else None,
        )  # fmt: skip
        return native.native(bundle=named(rotary, attention, text), dit=DIT, **told)

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


TEXTS = pytest.mark.parametrize("text", ["prompt", "empty"])


@TEXTS
@pytest.mark.parametrize("rotary", ["shared", "consecutive"])
def test_eight_guided_steps_agree_however_the_source_is_computed(native, graph, sampled, gap, rotary, text):
    once, frames = sampled(graph(rotary, text=text))
    # The source with either prompt, or once for both, then the target with both.
    assert frames == [VIEW] * ((2 if text == "prompt" else 1) + STEPS)
    anew, frames = sampled(graph(rotary, text=text), once=False)
    assert frames == [2 * VIEW] * STEPS
    assert gap(once, anew) < 1e-5
    bundle = named(rotary, "own", text)
    assert gap(once, native.latent(native.diffusers(steps=STEPS, cfg=3.0, bundle=bundle, dit=DIT))) < 1e-4
    full, _ = sampled(graph(rotary, "full"))
    assert gap(full, once) > 1e-2
    if text == "empty":
        assert gap(sampled(graph(rotary))[0], once) > 1e-2


COMPANY = {
    "an attention": ("Probe_ForeignAttention", {"scale": 0.8}),
    "a first block": ("Probe_ForeignBlock", {"scale": 1.3}),
    "skipped layers": (
        "SkipLayerGuidanceDiT",
        {"double_layers": "0", "single_layers": "", "scale": 2.0, "start_percent": 0.0, "end_percent": 1.0,
         "rescaling_scale": 0.0},
    ),
}  # fmt: skip


def with_patch(native, graph, after_apply: bool, node: str, inputs: dict):
    """(the graph with a node on its MODEL before or after Apply, the node that the sampler takes it from)"""
    graph["other"] = native.node(node, model=["apply" if after_apply else "lora", 0], **inputs)
    if not after_apply:
        graph["apply"] = native.with_inputs(graph["apply"], model=["other", 0])
    return graph, "other" if after_apply else "apply"


@pytest.mark.parametrize("after_apply", [True, False])
@pytest.mark.parametrize(("node", "inputs"), COMPANY.values(), ids=COMPANY.keys())
def test_other_packs_patches_reach_source_and_target(native, graph, sampled, gap, node, inputs, after_apply):
    """Skip-layer guidance runs a prompt twice a step, with and without the layer: two sources."""
    patched, model = with_patch(native, graph(), after_apply, node, inputs)
    once, frames = sampled(patched, model=model, steps=3)
    assert set(frames) == {VIEW}
    assert gap(once, sampled(patched, model=model, steps=3, once=False)[0]) < 1e-5
    assert gap(once, sampled(graph(), steps=3)[0]) > 1e-2


EASY = {"start_percent": 0.15, "end_percent": 0.95, "verbose": False}


@pytest.mark.parametrize("after_apply", [True, False])
def test_a_compiled_model_keeps_the_source_and_gives_the_same(native, graph, sampled, gap, after_apply):
    """Traced by torch.compile and run eagerly: the tracing is where foreign hooks break."""
    patched, model = with_patch(native, graph(), after_apply, "Probe_Compiled", {"backend": "aot_eager"})
    once, frames = sampled(patched, model=model, steps=3)
    assert set(frames) == {VIEW}
    assert gap(once, sampled(graph(), steps=3)[0]) < 1e-3


def test_a_compiled_model_gives_the_source_a_text_of_its_own_beside_the_target(native, graph, sampled, gap):
    patched, model = with_patch(native, graph(text="empty"), True, "Probe_Compiled", {"backend": "aot_eager"})
    anew, frames = sampled(patched, model=model, steps=3, once=False)
    assert set(frames) == {2 * VIEW}
    assert gap(anew, sampled(graph(text="empty"), steps=3)[0]) < 1e-3


@pytest.mark.parametrize("after_apply", [True, False])
def test_easy_cache_skips_steps_of_the_target_and_at_threshold_0_none(native, graph, sampled, gap, after_apply):
    expected, every = sampled(graph(), steps=6)
    for threshold in (0.0, 1.0):
        patched, model = with_patch(native, graph(), after_apply, "EasyCache", {**EASY, "reuse_threshold": threshold})
        once, frames = sampled(patched, model=model, steps=6)
        assert set(frames) == {VIEW}
        assert (len(frames) == len(every)) == (threshold == 0.0)
        assert (gap(once, expected) == 0.0) == (threshold == 0.0)


def test_fp8_weights_keep_the_source_as_one_pass_has_it(native, graph, sampled):
    once, frames = sampled(graph(weight_dtype="fp8_e4m3fn"), steps=3)
    assert set(frames) == {VIEW}
    anew, _ = sampled(graph(weight_dtype="fp8_e4m3fn"), steps=3, once=False)
    exact, _ = sampled(graph(), steps=3)
    apart, rounded = ((found - once).norm() for found in (anew, exact))
    assert apart < 0.1 * rounded  # of what the weights' rounding changes


@TEXTS
@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_prompts_one_by_one_with_tracks_for_a_part_of_the_steps(native, graph, sampled, gap, cfg, text):
    """The deltas change the source, which is computed anew where they come and where they go."""
    part = graph("consecutive", text=text, start=0.25, end=0.75)
    part["large"] = native.node("Probe_Unbatched", model=["apply", 0])
    once, frames = sampled(part, model="large", cfg=cfg)
    prompts = 1 if cfg == 1.0 else 2
    assert frames == [VIEW] * (3 * (prompts if text == "prompt" else 1) + prompts * STEPS)
    assert gap(once, sampled(part, cfg=cfg, once=False)[0]) < 3e-5  # prompts one by one are summed otherwise
    assert gap(once, sampled(graph("consecutive", text=text), cfg=cfg)[0]) > 1e-2


@TEXTS
@pytest.mark.parametrize("schedule", ["standard_static", "standard_uniform"])
def test_windows_keep_a_source_each_and_those_that_move_keep_none(native, graph, sampled, gap, schedule, text):
    windows = {"context_length": 9, "context_overlap": 4, "context_schedule": schedule, "context_stride": 2}
    cut = graph(text=text)
    cut["windows"] = native.node(
        "WanContextWindowsManual", model=["apply", 0], closed_loop=False, fuse_method="pyramid", **windows
    )
    once, frames = sampled(cut, model="windows")
    anew, both = sampled(cut, model="windows", once=False)
    one_view, two_views = {3, 4}, {6, 8}  # newer cores put a frame of before in front of windows but the first
    assert set(both) <= two_views and len(both) > STEPS
    assert gap(once, anew) < 1e-5
    if schedule == "standard_static":  # of two windows either prompt's source, then the target
        assert set(frames) <= one_view and len(frames) == 2 * (2 if text == "prompt" else 1) + 2 * STEPS
    else:  # the second step shows that they move
        assert frames[0] in one_view and set(frames[-STEPS:]) <= two_views


@TEXTS
def test_every_clip_of_a_batch_sees_its_prompts_source(native, graph, sampled, gap, text):
    twice = graph(text=text)
    twice["two"] = native.node("RepeatLatentBatch", samples=["apply", 3], amount=2)
    both = native.latent(native.ksampler(twice, latent=["two", 0], steps=3))
    assert gap(both[:1], native.latent(native.ksampler(graph(text=text), steps=3))) < 1e-4


def test_weights_that_hooks_change_keep_nothing(native, graph, sampled, server, gap):
    from safetensors.torch import load_file, save_file

    bundle = load_file(server.base / "models/track2view/own.safetensors")
    folder = server.base / "models/loras"
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {key: value for key, value in bundle.items() if key.startswith("diffusion_model.")}, folder / "own.safetensors"
    )
    hooked = graph()
    hooked["hook"] = native.node("CreateHookLoraModelOnly", lora_name="own.safetensors", strength_model=1.0)
    hooked["hooked"] = native.node(
        "ConditioningSetProperties", cond_NEW=["apply", 1], strength=1.0, set_cond_area="default", hooks=["hook", 0]
    )
    hooked["count"] = native.node("Probe_Count", model=["apply", 0], number=7)
    run = native.with_facts(native.ksampler(hooked, model=["count", 0], positive=["hooked", 0], steps=3))
    assert set(native.facts(run)["frames"]) == {2 * VIEW}
    assert gap(native.latent(run), native.latent(native.ksampler(graph(), steps=3))) > 1e-3
