"""What the native route cannot take is answered by one sentence, and the server goes on."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

SHARED = "probe_shared_zero.safetensors"
OTHER_WANS = {
    "VACE": {"vace_patch_embedding.weight": (128, 96, 1, 2, 2), "vace_blocks.0.before_proj.bias": (128,)},
    "Fun Camera": {"control_adapter.conv.weight": (128, 1536, 2, 2), "patch_embedding.weight": (128, 36, 1, 2, 2)},
    "Animate": {"face_adapter.fuser_blocks.0.k_norm.weight": (128,)},
    "2.2 5B": {"patch_embedding.weight": (128, 48, 1, 2, 2), "head.head.weight": (192, 128), "head.head.bias": (192,)},
    "36 input channels": {"patch_embedding.weight": (128, 36, 1, 2, 2)},
}


@pytest.fixture(scope="module")
def refused(native, server):
    def read(graph) -> str:
        message = native.message(graph)
        error = native.run(graph).error
        assert error["exception_type"] == "track2view_core.errors.Track2ViewError", error
        assert message.endswith(".") and "\n" not in message and len(message) < 400, message
        assert server.get("/system_stats")
        return message

    return read


@pytest.mark.parametrize("name", OTHER_WANS)
def test_other_wans_are_refused_by_name(native, server, refused, tiny_dit_file, name):
    keys = {key: torch.zeros(shape, dtype=torch.float32) for key, shape in OTHER_WANS[name].items()}
    file = f"other_{name.replace(' ', '_')}.safetensors"
    save_file({**load_file(tiny_dit_file), **keys}, server.base / "models/diffusion_models" / file)
    graph = native.native(bundle=SHARED, dit=file)
    assert name in refused(native.ksampler(graph))
    graph["apply"] = native.with_inputs(graph["apply"], model=["shift", 0])
    assert name in refused(native.ksampler(graph))


def test_a_model_that_is_no_wan(native, server, refused, tmp_path):
    from diffusers import QwenImageTransformer2DModel

    torch.manual_seed(0)
    tiny = QwenImageTransformer2DModel(num_layers=1, attention_head_dim=128, num_attention_heads=24)
    state = {key: value.to(torch.bfloat16) for key, value in tiny.state_dict().items()}
    save_file(state, server.base / "models/diffusion_models/no_wan.safetensors")
    assert "no WAN 2.1" in refused(native.ksampler(native.native(bundle=SHARED, dit="no_wan.safetensors")))


def test_a_bundle_of_another_base(native, server, driver, refused):
    file = server.base / "models/track2view/wide.safetensors"
    driver.weights.write_bundle(file, driver.weights.random_transformer(width=256))
    graph = native.native(bundle="wide.safetensors")
    message = refused(native.ksampler(graph))
    assert "256 wide" in message and "128 wide" in message
    graph["apply"] = native.with_inputs(graph["apply"], model=["shift", 0])
    assert refused(native.ksampler(graph)) == message


def test_the_lora_of_another_bundle(native, refused):
    graph = native.native(bundle=SHARED)
    graph["other"] = native.node("Track2View_LoadBundle", file="track2view_tiny_bundle.safetensors")
    graph["lora"] = native.with_inputs(graph["lora"], bundle=["other", 0])
    assert "another bundle" in refused(native.ksampler(graph))


def test_prompts_of_another_bundle_than_the_models(native, refused):
    graph = native.native(bundle=SHARED)
    graph["other"] = native.node("Track2View_LoadBundle", file="track2view_tiny_bundle.safetensors")
    graph["condition"] = native.with_inputs(graph[native.condition], bundle=["other", 0])
    graph["second"] = native.with_inputs(graph["apply"], model=["shift", 0], condition=["condition", 0])
    assert "another bundle" in refused(native.ksampler(graph, positive=["second", 1]))


def test_a_model_from_before_apply(native, refused):
    """It would film without the tracks, and nobody would be told."""
    graph = native.native(bundle=SHARED)
    for before in ("lora", "shift"):
        message = refused(native.ksampler(graph, model=[before, 0]))
        assert "MODEL does not" in message and "one Apply Track2View" in message


def test_a_model_without_the_bundles_lora(native, refused):
    graph = native.native(bundle=SHARED)
    graph["apply"] = native.with_inputs(graph["apply"], model=["shift", 0])
    assert "put Track2View LoRA between" in refused(native.ksampler(graph))
    merged = {**graph, "lora": native.with_inputs(graph["lora"], strength=0.0)}
    merged["apply"] = native.with_inputs(graph["apply"], model=["lora", 0])
    assert native.latent(native.ksampler(merged)).isfinite().all()


@pytest.mark.parametrize("size", [{"length": 9}, {"width": 160}, {"height": 96}])
def test_a_latent_of_another_size_or_length(native, refused, size):
    graph = native.native(bundle=SHARED)
    latent = {"width": 128, "height": 128, "length": 17, "batch_size": 1, **size}
    graph["latent"] = native.node("EmptyHunyuanLatentVideo", **latent)
    message = refused(native.ksampler(graph, latent=["latent", 0]))
    assert "17 frames of 128 x 128" in message and "Apply Track2View" in message


def test_a_latent_of_another_size_in_windows(native, refused):
    """Windows cut the frames, so that only the whole latent can tell."""
    graph = native.native(bundle=SHARED)
    graph["latent"] = native.node("EmptyHunyuanLatentVideo", width=128, height=128, length=13, batch_size=1)
    windows = {"context_length": 9, "context_overlap": 4, "context_schedule": "standard_static", "context_stride": 1}
    graph["windows"] = native.node(
        "WanContextWindowsManual", model=["apply", 0], closed_loop=False, fuse_method="pyramid", **windows
    )
    assert "13 frames" in refused(native.ksampler(graph, model=["windows", 0], latent=["latent", 0]))


def test_a_node_that_leaves_the_wrappers_out(native, refused):
    """Without them the tracks would be ignored in silence."""
    links = {"model": ["apply", 0], "positive": ["apply", 1], "negative": ["apply", 2]}
    graph = native.euler(native.native(bundle=SHARED), steps=1, cfg=1.0)
    graph["guider"] = native.node("Probe_BareGuider", **links, cfg=1.0, wrapped=False)
    assert "without its wrappers" in refused(graph)


def test_a_latent_of_another_size_at_a_node_that_samples_on_its_own(native, refused):
    links = {"model": ["apply", 0], "positive": ["apply", 1], "negative": ["apply", 2]}
    graph = native.native(bundle=SHARED)
    graph["latent"] = native.node("EmptyHunyuanLatentVideo", width=128, height=128, length=9, batch_size=1)
    graph = native.euler(graph, steps=1, cfg=1.0, latent=["latent", 0])
    graph["guider"] = native.node("Probe_BareGuider", **links, cfg=1.0, wrapped=True)
    assert "Apply Track2View" in refused(graph)


def test_a_sampler_that_is_interrupted_runs_the_same_afterwards(native, server, driver):
    graph = native.native(bundle=SHARED)
    expected = native.latent(native.ksampler(graph, seed=21))
    run = driver.server.Run(server.queue(native.ksampler(graph, steps=500, seed=22)))
    for event in server.events(run, 300):
        if event == "progress" and run.progress[-1][1] == 2:
            server.post("/interrupt")
    assert run.interrupted and run.error is None
    native.run(native.ksampler(graph, steps=1, seed=23))
    again = native.ksampler(graph, seed=21)
    again["saved"]["inputs"]["filename_prefix"] = "latents/again"
    assert torch.equal(native.latent(again), expected)
