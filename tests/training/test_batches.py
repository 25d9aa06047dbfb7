"""Batches: drawn from the generator alone, in agreement with the tracks room, erring as told."""

from dataclasses import replace

import pytest
import torch

from track2view_core.errors import Track2ViewError
from track2view_core.tracks import collate_tracks, pair_tracks
from track2view_core.training import BatchDraw, PairShare, PairSource, TrackerErrors, draw_batch
from track2view_core.training.batches import perturb

from .pair_data import TRACKS, PairsInMemory

EXACT = BatchDraw(batch=6, tracks=(TRACKS, TRACKS), identity=0.0, late_window=0.0, text_dropout=0.0, errors=None)


@pytest.fixture(scope="module")
def pairs():
    return PairsInMemory(4, text=True)


def drawn(pairs, seed=0, **changes):
    return draw_batch(pairs, replace(EXACT, **changes), torch.Generator().manual_seed(seed))


def test_the_same_generator_state_draws_the_same_batch(pairs):
    first, again = (drawn(pairs, 4, errors=TrackerErrors(), late_window=0.5, track_dropout=0.5) for _ in range(2))
    assert torch.equal(first.source, again.source) and torch.equal(first.tracks.source_xy, again.tracks.source_xy)
    assert torch.equal(first.text, again.text)
    assert not torch.equal(first.source, drawn(pairs, 5).source)


def test_tracks_are_those_that_the_tracks_room_pairs(pairs):
    only = PairsInMemory(1)
    (pair,) = only.pairs
    batch = drawn(only, batch=1)
    wanted = collate_tracks([pair_tracks(pair.tracks, pair.target.camera)])
    order = torch.cdist(batch.tracks.source_xy[0, 0], wanted.source_xy[0, 0]).argmin(1)
    assert sorted(order.tolist()) == list(range(TRACKS))
    for name in ("source_xy", "target_xy", "target_depth", "source_disparity", "visible", "target_inside"):
        assert torch.equal(getattr(batch.tracks, name), getattr(wanted, name)[:, :, order]), name
    assert torch.allclose(batch.target_camera.world_from_camera[0].double(), pair.target.camera.world_from_camera[::4])


def test_identity_pairs_show_one_view_twice(pairs):
    batch = drawn(pairs, identity=1.0)
    assert torch.equal(batch.source, batch.target)
    assert torch.equal(batch.tracks.source_xy, batch.tracks.target_xy)
    assert torch.equal(batch.source_camera.intrinsics, batch.target_camera.intrinsics)


def test_a_late_window_drops_frame_zero_of_everything(pairs):
    whole, late = drawn(pairs), drawn(pairs, late_window=1.0)
    assert torch.equal(late.target, whole.target[:, :, 1:]) and late.source.shape[2] == 2
    assert torch.equal(late.tracks.target_disparity, whole.tracks.target_disparity[:, 1:])
    assert torch.equal(late.source_camera.world_from_camera, whole.source_camera.world_from_camera[:, 1:])


def test_dropped_tracks_and_texts(pairs):
    fewer = drawn(pairs, tracks=(10, 20), track_dropout=1.0)
    kept = (fewer.tracks.source_depth[:, 0] != 0).sum(1)
    assert fewer.tracks.visible.shape[2] <= 20 and kept.min() >= 1 and len(set(kept.tolist())) > 1
    assert drawn(pairs).text.shape == (6, 512, 4096) and drawn(pairs).text[:, 0].abs().amax(1).gt(0).all()
    assert not drawn(pairs, text_dropout=1.0).text.any()
    empty = torch.full((3, 4096), 0.5)
    batch = draw_batch(pairs, replace(EXACT, text_dropout=1.0), torch.Generator().manual_seed(0), empty_text=empty)
    assert batch.text.shape == (6, 512, 4096) and (batch.text[:, :3] == 0.5).all() and not batch.text[:, 3:].any()


def test_measured_target_positions_are_used_where_asked_for():
    pairs = PairsInMemory(2)
    pairs.pairs = [replace(pair, target_positions=pair.tracks.positions + 0.05) for pair in pairs.pairs]
    seen, tracked = drawn(pairs), drawn(pairs, target_positions="tracked")
    assert torch.equal(seen.tracks.source_xy, tracked.tracks.source_xy)
    assert not torch.allclose(seen.tracks.target_xy, tracked.tracks.target_xy)


def test_no_errors_change_nothing_and_errors_stay_small():
    points, visible = torch.rand(2, 5, 40, 3) + torch.tensor([0.0, 0.0, 2.0]), torch.rand(2, 5, 40) < 0.7
    focal = torch.tensor([80.0, 90.0])
    same, seen = perturb(points, visible, focal, 64, TrackerErrors(0, 0, 0, 0), torch.Generator().manual_seed(0))
    assert torch.allclose(same, points) and torch.equal(seen, visible)
    moved, seen = perturb(points, visible, focal, 64, TrackerErrors(), torch.Generator().manual_seed(0))
    assert 0 < ((moved - points).norm(dim=-1) / points.norm(dim=-1)).mean() < 0.1
    assert (seen != visible).float().mean() < 0.05


def test_errors_of_a_batch_move_both_views_alike(pairs):
    exact, erring = drawn(pairs, 1), drawn(pairs, 1, errors=TrackerErrors(depth=0.0, flipped=0.0))
    moved = (erring.tracks.source_xy - exact.tracks.source_xy)[exact.tracks.source_inside].norm(dim=-1)
    assert 0 < moved.max() < 0.05 * 64 and torch.equal(exact.source, erring.source)
    assert not torch.equal(exact.tracks.target_xy, erring.tracks.target_xy)


def test_several_data_sets_take_turns_from_their_start_on(pairs):
    small = PairsInMemory(2, size=32)
    source = PairSource([PairShare(pairs, EXACT, name="large"), PairShare(small, EXACT, start=0.5, name="small")])
    names = [source.draw(step, 8, torch.Generator().manual_seed(step)).name for step in range(8)]
    assert names == ["large"] * 4 + ["large", "small"] * 2
    with pytest.raises(Track2ViewError, match="set start of one to 0"):
        PairSource([PairShare(pairs, EXACT, start=0.2)])
