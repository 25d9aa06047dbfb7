"""The native route against the diffusers route on a real server: from the same noise and sigmas to the same latent."""

from __future__ import annotations

import pytest

SIDES = [(rotary, timestep) for rotary in ("shared", "consecutive") for timestep in ("zero", "same")]


def bundle_named(rotary: str, timestep: str) -> str:
    return f"probe_{rotary}_{timestep}.safetensors"


@pytest.mark.parametrize(("rotary", "timestep"), SIDES)
def test_one_forward_is_that_of_the_diffusers_route(native, gap, rotary, timestep):
    bundle = bundle_named(rotary, timestep)
    expected = native.latent(native.diffusers(steps=1, cfg=1.0, bundle=bundle))
    found = native.latent(native.euler(native.native(bundle=bundle), steps=1, cfg=1.0))
    assert gap(found, expected) < 1e-4


@pytest.mark.parametrize(("rotary", "timestep"), SIDES)
def test_eight_guided_euler_steps_are_those_of_the_diffusers_route(native, gap, rotary, timestep):
    bundle = bundle_named(rotary, timestep)
    expected = native.latent(native.diffusers(steps=8, cfg=3.0, bundle=bundle))
    found = native.latent(native.euler(native.native(bundle=bundle), steps=8, cfg=3.0))
    assert gap(found, expected) < 1e-3


@pytest.mark.parametrize("span", [(0.0, 0.5), (0.5, 1.0), (0.25, 0.75), (0.5, 0.5)])
def test_tracks_for_a_part_of_the_steps_are_the_same_part_in_both_routes(native, gap, span):
    start, end = span
    bundle = bundle_named("shared", "zero")
    expected = native.latent(native.diffusers(steps=8, cfg=1.0, bundle=bundle, start=start, end=end))
    found = native.latent(native.euler(native.native(bundle=bundle, start=start, end=end), steps=8, cfg=1.0))
    assert gap(found, expected) < 1e-3


def test_strength_scales_the_deltas_alike(native, gap):
    bundle = bundle_named("shared", "zero")
    expected = native.latent(native.diffusers(steps=2, cfg=1.0, bundle=bundle, strength=0.4))
    found = native.latent(native.euler(native.native(bundle=bundle, strength=0.4), steps=2, cfg=1.0))
    assert gap(found, expected) < 1e-3
