"""A data set in a device's memory: its batches are those that are drawn pair by pair."""

import hashlib

import pytest
import torch

from track2view_core.curation import ClipEncoder, RenderedScenes, SceneSettings
from track2view_core.curation.shard_maker import curate
from track2view_core.dataset import PairDataset
from track2view_core.errors import Track2ViewError
from track2view_core.tracks import collate_tracks, pair_tracks
from track2view_core.training import BatchDraw, PairSource, TrackerErrors
from track2view_core.training.resident import ResidentClips, ResidentPairs, ResidentShare
from track2view_core.training.settings import VaeSettings
from track2view_core.training.tiny.vae_stage import ClipSource

TRACKS = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory, random_weights):
    """Two shards of one scene with three cameras each."""
    folder = tmp_path_factory.mktemp("resident")
    how = SceneSettings(scenes=1, cameras=3, frames=9, width=64, height=64, tracks=TRACKS, keep_frames=True)
    curate(RenderedScenes(2, how, ClipEncoder(random_weights.vae)), folder)
    return folder


@pytest.fixture(scope="module")
def resident(folder):
    return ResidentPairs(folder, "cpu")


def test_a_batch_is_what_the_tracks_room_pairs(folder, resident):
    number, order = torch.tensor([0, 4, 7, 11]), torch.stack([torch.randperm(TRACKS) for _ in range(4)])
    present = torch.ones(4, TRACKS, dtype=torch.bool)
    present[3, 20:] = False
    clips, draw = resident.pairs[number].unbind(1), BatchDraw(errors=None)
    batch = resident.batch(*clips, order, present, draw, torch.Generator())
    dataset = PairDataset(folder)
    for row, pair in enumerate(dataset[index] for index in number.tolist()):
        kept = order[row][present[row]]
        wanted = collate_tracks([pair_tracks(pair.tracks.select(kept), pair.target.camera)])
        assert torch.equal(batch.source[row], pair.source.latent) and torch.equal(batch.target[row], pair.target.latent)
        for name in ("visible", "source_inside", "target_inside"):
            assert torch.equal(getattr(batch.tracks, name)[row, :, : len(kept)], getattr(wanted, name)[0]), name
            assert not getattr(batch.tracks, name)[row, :, len(kept) :].any()
        for name in ("xy", "depth", "disparity"):
            for side in ("source", "target"):
                found = getattr(batch.tracks, f"{side}_{name}")[row, :, : len(kept)]
                assert torch.allclose(found, getattr(wanted, f"{side}_{name}")[0], atol=2e-4), (side, name)
        poses = pair.target.camera.world_from_camera[::4].float()
        assert torch.allclose(batch.target_camera.world_from_camera[row], poses)


def test_draws_heed_their_settings_and_their_seed_alone(resident):
    def drawn(seed=0, **changes):
        settings = {"batch": 16, "tracks": (10, 20), "identity": 0.0, "late_window": 0.0, "errors": None, **changes}
        share = ResidentShare(resident, BatchDraw(**settings), name="scenes")
        return PairSource([share]).draw(3, 10, torch.Generator().manual_seed(seed))

    batch = drawn()
    assert batch.name == "scenes" and 10 <= batch.tracks.visible.shape[2] <= 20
    assert torch.equal(batch.tracks.source_xy, drawn().tracks.source_xy) and not torch.equal(
        batch.source, drawn(1).source
    )
    assert not (batch.source == batch.target).flatten(1).all(1).any()
    same = drawn(identity=1.0)
    assert torch.equal(same.source, same.target) and torch.equal(same.tracks.source_xy, same.tracks.target_xy)
    late = drawn(late_window=1.0)
    assert torch.equal(late.target, batch.target[:, :, 1:])
    assert torch.equal(late.tracks.target_xy, batch.tracks.target_xy[:, 1:])
    fewer = drawn(track_dropout=1.0).tracks.source_inside.any(1).sum(1)
    assert fewer.min() < fewer.max() <= batch.tracks.visible.shape[2] and fewer.min() >= 0
    erring = drawn(errors=TrackerErrors(jitter=0.0, drift=0.01, depth=0.0, flipped=0.0)).tracks
    moved = (erring.source_xy - batch.tracks.source_xy)[batch.tracks.source_inside & erring.source_inside].norm(dim=-1)
    assert 0 < moved.mean() < 0.02 * 64


def test_what_resident_data_cannot_give_is_refused(resident):
    for changes in ({"target_positions": "tracked"}, {"frame_anchor": "mean"}):
        with pytest.raises(Track2ViewError, match="set resident to false"):
            ResidentShare(resident, BatchDraw(**changes))


def test_clips_are_cut_from_the_pictures_that_were_kept(folder):
    clips = ResidentClips(folder, "cpu")
    known = {hashlib.sha256(frame.numpy().tobytes()).digest() for clip in clips.frames for frame in clip}
    settings = VaeSettings(frames_until=0.5, image_batch=5, image_crop=64, clip_shapes=((17, 64),), clip_pixels=140_000)
    source = ClipSource([clips], settings)
    for step, name, shape in ((0, "frames", (5, 1, 3, 64, 64)), (6, "clips", (2, 17, 3, 64, 64))):
        batch = source.draw(step, 10, torch.Generator().manual_seed(step))
        assert batch.name == name and batch.clip.shape == shape
        frame = ((batch.clip[0, 0] + 1) * 127.5).round().to(torch.uint8)
        turned = [frame.flip(axes) for axes in ((), (1,), (2,), (1, 2))]
        turned += [x.transpose(1, 2) for x in turned]
        found = {hashlib.sha256(x.permute(1, 2, 0).contiguous().numpy().tobytes()).digest() for x in turned}
        assert found & known
    assert torch.equal(batch.clip[:, :9], batch.clip[:, 8:].flip(1))  # there and back
