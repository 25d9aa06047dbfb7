"""Fitting a document: what comes out samples to what went in, with few keys."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from track2view_core.cameras import (
    PRESETS,
    CameraPath,
    fit_document,
    parse_document,
    preset_path,
    sample_document,
    to_json,
)
from track2view_core.cameras.rotations import axis_angle_from_matrix
from track2view_core.errors import Track2ViewError

from ..camera_paths import paths, still, wandering

SCALE = 4.0


def assert_near(path: CameraPath, other: CameraPath, position: float, degrees: float) -> None:
    apart = (path.world_from_camera[:, :3, 3] - other.world_from_camera[:, :3, 3]).norm(dim=-1)
    turned = axis_angle_from_matrix(path.world_from_camera[:, :3, :3].mT @ other.world_from_camera[:, :3, :3])
    assert float(apart.max()) <= position * SCALE + 1e-9
    assert float(turned.norm(dim=-1).rad2deg().max()) <= degrees + 1e-7


def test_a_preset_becomes_a_few_keys(subtests: pytest.Subtests) -> None:
    for name in PRESETS:
        for base in ["source", "first_frame"]:
            with subtests.test(name=name, base=base):
                source = wandering(25, size=0.02)
                semantics = "source" if base == "source" else "first_frame"
                path = preset_path(name, source, amount=1, scene_scale=SCALE, relative_to=semantics)
                fitted = fit_document(path, source, scene_scale=SCALE, base=base)
                assert len(fitted.document.keys) <= {"static": 0, "spiral": 20, "arc_left": 7, "arc_right": 7}.get(
                    name, 2
                )
                assert fitted.position_error <= 2e-3 and fitted.turn_error <= 0.1
                back = sample_document(parse_document(to_json(fitted.document)), source, scene_scale=SCALE)
                assert_near(back, path, 2e-3, 0.1)
                torch.testing.assert_close(
                    back.intrinsics[:, 0, 0] / path.intrinsics[:, 0, 0], torch.ones(25).double(), atol=1e-3, rtol=0
                )


@settings(deadline=None, max_examples=12)
@given(paths, st.integers(0, 99))
def test_any_path_is_held_when_enough_keys_are_allowed(path: CameraPath, seed: int) -> None:
    source = wandering(len(path), seed=seed, zoom=1.0)
    fitted = fit_document(path, source, scene_scale=SCALE, most_keys=100)
    assert fitted.document.frames == len(path) and fitted.document.aspect == (128, 96)
    assert_near(sample_document(fitted.document, source, scene_scale=SCALE), path, 2e-3, 0.1)


def test_with_few_keys_the_error_is_told() -> None:
    source, path = still(), wandering()
    fitted = fit_document(path, source, scene_scale=SCALE, most_keys=3)
    assert len(fitted.document.keys) == 3
    back = sample_document(fitted.document, source, scene_scale=SCALE)
    assert fitted.position_error > 2e-3
    assert_near(back, path, fitted.position_error, fitted.turn_error)


def test_what_is_not_allowed_is_named() -> None:
    path = wandering()
    for settings_, words in (({"base": "world"}, "base is 'world'"), ({"most_keys": 1}, "most_keys is 1")):
        with pytest.raises(Track2ViewError, match=words):
            fit_document(path, path, scene_scale=1.0, **settings_)
    with pytest.raises(Track2ViewError, match="17 frames and the source camera 9"):
        fit_document(path, wandering(9), scene_scale=1.0)
