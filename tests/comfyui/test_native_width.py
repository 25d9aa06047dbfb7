"""The parity of the two routes at the width of WAN 2.1 1.3B, on random weights in two blocks."""

from __future__ import annotations

import pytest
import torch

DIT, BUNDLE = "wide_dit.safetensors", "wide_bundle.safetensors"


@pytest.fixture(scope="module", autouse=True)
def wide_models(server, driver):
    from track2view_core.wan.checkpoints import save_transformer

    torch.manual_seed(3)
    transformer = driver.weights.random_transformer(width=1536, layers=2, ffn=8960)
    save_transformer(transformer, server.base / "models/diffusion_models" / DIT)
    driver.weights.write_bundle(
        server.base / "models/track2view" / BUNDLE, transformer, uses_text=True, random_outputs=True
    )


@pytest.mark.parametrize(("steps", "cfg", "limit"), [(1, 1.0, 1e-4), (8, 3.0, 1e-3)])
def test_both_routes_agree_at_full_width(native, gap, steps, cfg, limit):
    told = {"bundle": BUNDLE, "dit": DIT}
    expected = native.latent(native.diffusers(steps=steps, cfg=cfg, **told))
    assert gap(native.latent(native.euler(native.native(**told), steps=steps, cfg=cfg)), expected) < limit
