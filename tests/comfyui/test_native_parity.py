"""The native route against the diffusers route, on a real server: the same noise, sigmas and guidance, the same latent."""

from __future__ import annotations

import dataclasses

import pytest
import torch

SIDES = [(rotary, timestep) for rotary in ("shared", "consecutive") for timestep in ("zero", "same")]


def bundle_named(rotary: str, timestep: str) -> str:
    return f"probe_{rotary}_{timestep}.safetensors"


@pytest.fixture(scope="module", autouse=True)
def bundles(server, tiny_bundle_file):
    """The tiny bundle in all four ways of joining the views, and open to text, so that guidance has two branches."""
    from track2view_core.wan.bundle import load_bundle, save_bundle

    bundle = load_bundle(tiny_bundle_file)
    for rotary, timestep in SIDES:
        told = dataclasses.replace(
            bundle.config.sampling, rotary=rotary, source_timestep=timestep, uses_text=True, guidance=3.0
        )
        config = dataclasses.replace(bundle.config, sampling=told)
        folder = server.base / "models/track2view"
        save_bundle(folder / bundle_named(rotary, timestep), dataclasses.replace(bundle, config=config))


def gap(found: torch.Tensor, expected: torch.Tensor) -> float:
    assert found.shape == expected.shape and found.isfinite().all()
    return float((found - expected).abs().max() / expected.std())


@pytest.mark.parametrize(("rotary", "timestep"), SIDES)
def test_one_forward_is_that_of_the_diffusers_route(native, rotary, timestep):
    bundle = bundle_named(rotary, timestep)
    expected = native.latent(native.diffusers(steps=1, cfg=1.0, bundle=bundle))
    found = native.latent(native.euler(native.native(bundle=bundle), steps=1, cfg=1.0))
    assert gap(found, expected) < 1e-4


@pytest.mark.parametrize(("rotary", "timestep"), SIDES)
def test_eight_guided_euler_steps_are_those_of_the_diffusers_route(native, rotary, timestep):
    bundle = bundle_named(rotary, timestep)
    expected = native.latent(native.diffusers(steps=8, cfg=3.0, bundle=bundle))
    found = native.latent(native.euler(native.native(bundle=bundle), steps=8, cfg=3.0))
    assert gap(found, expected) < 1e-3


@pytest.mark.parametrize("span", [(0.0, 0.5), (0.5, 1.0), (0.25, 0.75), (0.5, 0.5)])
def test_tracks_for_a_part_of_the_steps_are_the_same_part_in_both_routes(native, span):
    start, end = span
    bundle = bundle_named("shared", "zero")
    expected = native.latent(native.diffusers(steps=8, cfg=1.0, bundle=bundle, start=start, end=end))
    found = native.latent(native.euler(native.native(bundle=bundle, start=start, end=end), steps=8, cfg=1.0))
    assert gap(found, expected) < 1e-3


def test_strength_scales_the_deltas_alike(native):
    bundle = bundle_named("shared", "zero")
    expected = native.latent(native.diffusers(steps=2, cfg=1.0, bundle=bundle, strength=0.4))
    found = native.latent(native.euler(native.native(bundle=bundle, strength=0.4), steps=2, cfg=1.0))
    assert gap(found, expected) < 1e-3
