"""Masks are whole, given ones are taken as they are, and the soft edge is the picture's own."""

from __future__ import annotations

import numpy as np
import torch

from track2view_core.render.motion import PixelMotion
from track2view_core.render.optical_flow import ClipFlow
from track2view_core.render.silhouettes import given_silhouettes, matte, silhouettes


def still(probability: np.ndarray) -> PixelMotion:
    none = np.zeros((len(probability) - 1, *probability.shape[1:], 2), np.float32)
    return PixelMotion(probability.astype(np.float32), ClipFlow(none, none), 0.2)


def test_specks_gaps_and_frames_that_fall_out_are_mended() -> None:
    true = np.zeros((5, 60, 80), bool)
    true[:, 20:40, 30:60] = True
    heard = true.astype(np.float32)
    heard[2, 20:40, 30:60] = 0.4  # below a half, between two sure neighbours
    heard[:, 5:7, 5:7] = 1.0  # a speck
    heard[:, 30:32, 40:42] = 0.0  # a gap
    assert np.array_equal(silhouettes(still(heard)), true)


def test_a_mask_is_carried_along_the_flow() -> None:
    probability = np.zeros((3, 60, 80), np.float32)
    for t in range(3):
        probability[t, 20:40, 20 + 12 * t : 40 + 12 * t] = 0.4 if t == 1 else 1.0
    flow = np.zeros((2, 60, 80, 2), np.float32)
    flow[..., 0] = 12
    masks = silhouettes(PixelMotion(probability, ClipFlow(flow, -flow), 0.2))
    assert np.array_equal(masks[1], probability[1] > 0)


def test_a_given_mask_passes_unchanged() -> None:
    mask = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(0)) > 0.5
    full = mask.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert np.array_equal(given_silhouettes(full), mask.numpy())


def test_the_soft_edge_follows_the_picture_and_keeps_what_is_sure() -> None:
    picture = torch.full((64, 96, 3), 30, dtype=torch.uint8)
    picture[:, 41:] = 220  # the edge is a pixel beside the mask's
    mask = torch.zeros(32, 48, dtype=torch.bool)
    mask[:, 20:] = True
    alpha = matte(picture, mask)
    assert alpha[:, :36].max() == 0 and alpha[:, 46:].min() == 1
    assert alpha[:, 42].min() > 0.8 and alpha[:, 39].max() < 0.2


def test_an_empty_mask_has_an_empty_edge() -> None:
    picture = torch.randint(0, 255, (32, 48, 3), dtype=torch.uint8)
    assert matte(picture, torch.zeros(16, 24, dtype=torch.bool)).max() == 0
