"""TrackBatch: normalised disparity as defined, padding that says False, windows that change nothing but the frames."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from track2view_core.cameras import CameraPath, preset_path
from track2view_core.errors import Track2ViewError
from track2view_core.tracks import PairedTracks, PointTracks, TrackBatch, collate_tracks, pair_tracks

TENSORS = [field.name for field in fields(TrackBatch) if field.name != "image_size"]


def paired(points: int = 30, seed: int = 0, frames: int = 13, size: tuple[int, int] = (128, 96)) -> PairedTracks:
    generator = torch.Generator().manual_seed(seed)
    width, height = size
    intrinsics = torch.tensor([[100.0, 0, width / 2], [0, 100.0, height / 2], [0, 0, 1]]).repeat(frames, 1, 1)
    camera = CameraPath(torch.eye(4).repeat(frames, 1, 1), intrinsics, width, height)
    positions = torch.randn(1, points, 3, generator=generator) * 1.5 + torch.tensor([0, 0, 5.0])
    positions = positions + 0.02 * torch.randn(frames, points, 3, generator=generator).cumsum(0)
    visible = torch.rand(frames, points, generator=generator) > 0.5
    visible[:, 0] = False  # a track that the source never shows
    tracks = PointTracks(positions, visible, torch.ones(frames, points), camera)
    return pair_tracks(tracks, preset_path("dolly_in", camera, amount=1.0, scene_scale=5.0))


def test_entries_are_those_of_the_latent_frames() -> None:
    pair = paired()
    for anchor in ("last", "mean"):
        batch, latent = collate_tracks([pair], anchor=anchor), pair.at_latent_frames(anchor)
        assert torch.equal(batch.source_xy[0], latent.source.xy)
        assert torch.equal(batch.target_xy[0], latent.target.xy)
        assert torch.equal(batch.source_depth[0], latent.source.depth)
        assert torch.equal(batch.target_depth[0], latent.target.depth)
        assert torch.equal(batch.source_inside[0], latent.source.inside)
        assert torch.equal(batch.target_inside[0], latent.target.inside)
        assert torch.equal(batch.visible[0], latent.visible)
        assert batch.image_size == (96, 128)


def test_disparity_runs_from_the_1st_to_the_99th_percentile_of_the_whole_clip_and_both_views() -> None:
    pair = paired(points=200)
    batch = collate_tracks([pair])
    shown = [
        n for n in range(200) if any(bool(pair.visible[t, n] and pair.source.inside[t, n]) for t in range(len(pair)))
    ]
    disparities = [
        1 / float(view.depth[t, n])
        for view in (pair.source, pair.target)
        for t in range(len(pair))
        for n in shown
        if view.inside[t, n]
    ]
    low, high = np.percentile(disparities, [1, 99])
    for xy, depth, inside, disparity in (
        (batch.source_xy, batch.source_depth, batch.source_inside, batch.source_disparity),
        (batch.target_xy, batch.target_depth, batch.target_inside, batch.target_disparity),
    ):
        assert xy.isfinite().all()
        expected = ((1 / depth.double() - low) / (high - low)).clamp(0, 1)
        torch.testing.assert_close(disparity[inside], expected[inside].float(), atol=1e-5, rtol=0)
        assert (disparity[~inside] == 0).all()
    # the nearer, the larger, in both views on one scale: dollying in brings points nearer
    both = batch.source_inside[0, -1] & batch.target_inside[0, -1]
    assert (batch.target_disparity[0, -1][both] >= batch.source_disparity[0, -1][both]).all()


def test_disparity_does_not_depend_on_the_world_unit() -> None:
    pair = paired()
    in_millimetres = replace(
        pair,
        source=replace(pair.source, depth=pair.source.depth * 1000),
        target=replace(pair.target, depth=pair.target.depth * 1000),
    )
    first, second = collate_tracks([pair]), collate_tracks([in_millimetres])
    torch.testing.assert_close(first.source_disparity, second.source_disparity, atol=1e-5, rtol=0)
    torch.testing.assert_close(first.target_disparity, second.target_disparity, atol=1e-5, rtol=0)


def test_a_flat_scene_does_not_blow_its_rounding_up() -> None:
    pair = paired()
    noise = 1 + 1e-6 * torch.randn(pair.source.depth.shape, generator=torch.Generator().manual_seed(0))
    flat = replace(
        pair, source=replace(pair.source, depth=3 * noise), target=replace(pair.target, depth=3 * noise.flip(0))
    )
    disparity = collate_tracks([flat]).source_disparity
    assert disparity.isfinite().all()
    assert float(disparity.max()) < 0.01


def test_clips_are_padded_with_false_and_keep_their_own_numbers() -> None:
    pairs = [paired(points=12, seed=1), paired(points=30, seed=2), paired(points=1, seed=3)]
    batch = collate_tracks(pairs)
    assert batch.visible.shape == (3, 4, 30)
    for b, pair in enumerate(pairs):
        alone, count = collate_tracks([pair]), pair.visible.shape[1]
        for name in TENSORS:
            assert torch.equal(getattr(batch, name)[b, :, :count], getattr(alone, name)[0]), name
            assert not getattr(batch, name)[b, :, count:].any(), name


def test_a_window_is_a_slice_of_the_whole_and_keeps_its_disparities() -> None:
    batch = collate_tracks([paired(seed=4), paired(seed=5)])
    window = batch.window([1, 3])
    for name in TENSORS:
        assert torch.equal(getattr(window, name), getattr(batch, name)[:, [1, 3]]), name
    assert window.image_size == batch.image_size
    again = batch.window(range(4)).window([3])
    assert torch.equal(again.source_disparity, batch.source_disparity[:, 3:])


def test_clips_without_any_track_or_any_sight_stay_finite() -> None:
    pair = paired()
    unseen = replace(pair, visible=torch.zeros_like(pair.visible))
    empty = pair.select(torch.zeros(30, dtype=torch.bool))
    batch = collate_tracks([unseen, empty])
    for name in TENSORS:
        assert getattr(batch, name).isfinite().all(), name
    assert collate_tracks([empty]).visible.shape == (1, 4, 0)


def test_batches_of_unlike_clips_are_refused() -> None:
    with pytest.raises(Track2ViewError, match="No clip"):
        collate_tracks([])
    with pytest.raises(Track2ViewError, match=r"image sizes \(H, W\) \[\(96, 128\), \(96, 144\)\]"):
        collate_tracks([paired(), paired(size=(144, 96))])
    with pytest.raises(Track2ViewError, match=r"frame counts \[9, 13\]"):
        collate_tracks([paired(), paired(frames=9)])


def test_a_batch_checks_its_shapes() -> None:
    batch = collate_tracks([paired()])
    with pytest.raises(Track2ViewError, match=r"TrackBatch.target_xy has shape \[1, 4, 30\].*\[1, 4, 30, 2\]"):
        replace(batch, target_xy=batch.target_depth)
    with pytest.raises(Track2ViewError, match=r"TrackBatch\.source_inside"):
        replace(batch, source_inside=batch.source_inside[:, 1:])


def test_to_moves_every_tensor() -> None:
    moved = collate_tracks([paired()]).to("meta")
    assert {getattr(moved, name).device.type for name in TENSORS} == {"meta"}
