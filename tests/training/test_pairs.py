"""Training pairs: they agree with the tracks room and err as told; a stopped training goes on as if it had not."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from track2view_core.cameras import CameraPath
from track2view_core.tracks import PointTracks, collate_tracks, pair_tracks
from track2view_core.training.checkpoint import load_checkpoint, save_checkpoint
from track2view_core.training.flow_matching import noise
from track2view_core.training.pairs import PairDraw, RenderedPairs, _paired
from track2view_core.training.shards import Shard, ShardSpec, render_shard, render_shards
from track2view_core.training.tiny_dit import DitTraining, tiny_transformer, train_base, train_conditioner
from track2view_core.training.tracker_errors import TrackerErrors, perturb

SPEC = ShardSpec(scenes=2, cameras=3, frames=9, size=64, tracks=64)
EXACT = PairDraw(batch=6, tracks=(64, 64), identity=0.5, late_window=0.0, errors=None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("tiny")
    (shard,) = render_shards(root / "shards", 1, spec=SPEC, first_seed=7)
    for size, cells in (("half", 4), ("full", 8)):
        (root / size).mkdir()
        generator = torch.Generator().manual_seed(1)
        latents = torch.randn(2, 3, 16, 3, cells, cells, generator=generator).half()
        save_file({"latents": latents}, root / size / shard.name)
    return root


@pytest.fixture(scope="module")
def pairs(folder):
    shards = sorted((folder / "shards").glob("*.safetensors"))
    return {size: RenderedPairs(shards, folder / size, size) for size in ("half", "full")}


def test_a_shard_is_made_once_and_reads_back(folder):
    (file,) = render_shards(folder / "shards", 1, spec=SPEC, first_seed=7)
    before = file.stat().st_mtime_ns
    render_shards(folder / "shards", 1, spec=SPEC, first_seed=7)
    assert file.stat().st_mtime_ns == before
    assert torch.equal(Shard.load(file).positions, render_shard(SPEC, 7).positions)


def test_the_same_generator_state_draws_the_same_batch(pairs):
    how = replace(EXACT, errors=TrackerErrors())
    first, again = (pairs["half"].draw(how, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first.source, again.source) and torch.equal(first.tracks.source_xy, again.tracks.source_xy)


def test_identity_pairs_show_one_view_twice(pairs):
    batch = pairs["half"].draw(replace(EXACT, identity=1.0), torch.Generator().manual_seed(0))
    assert torch.equal(batch.source, batch.target)
    assert torch.allclose(batch.tracks.source_xy, batch.tracks.target_xy, atol=1e-3)


def test_both_sizes_see_the_same_tracks_at_their_own_scale(pairs):
    half, full = (pairs[size].draw(EXACT, torch.Generator().manual_seed(2)).tracks for size in ("half", "full"))
    assert half.image_size == (32, 32) and full.image_size == (64, 64)
    inside = half.source_inside & full.source_inside
    assert torch.allclose(half.source_xy[inside] * 2, full.source_xy[inside], atol=1e-3)
    assert torch.allclose(half.target_disparity, full.target_disparity, atol=1e-3)


def test_a_late_window_drops_frame_zero_of_everything(pairs):
    batch = pairs["half"].draw(replace(EXACT, late_window=1.0), torch.Generator().manual_seed(0))
    assert batch.source.shape[2] == batch.target.shape[2] == batch.tracks.visible.shape[1] == 2


def test_paired_tracks_agree_with_the_tracks_room():
    torch.manual_seed(0)
    frames, size = 5, 64
    intrinsics = torch.tensor([[50.0, 0, 32], [0, 50.0, 32], [0, 0, 1]], dtype=torch.float64)
    poses = torch.eye(4, dtype=torch.float64).repeat(frames, 1, 1)
    moved = poses.clone()
    moved[:, 0, 3] = torch.linspace(0, 0.5, frames)
    camera, target = (CameraPath(p, intrinsics.expand(frames, 3, 3), size, size) for p in (poses, moved))
    positions = torch.rand(frames, 30, 3) * torch.tensor([2.0, 2.0, 2.0]) + torch.tensor([-1.0, -1.0, 2.0])
    visible = torch.rand(frames, 30) < 0.8
    theirs = pair_tracks(PointTracks(positions, visible, torch.ones(frames, 30), camera), target)
    ours = _paired(
        positions[None],
        positions[None] - moved[None, :, None, :3, 3].float(),
        visible[None],
        intrinsics[None].float(),
        size,
    )
    oracle = collate_tracks([theirs])
    latent = [0, 4]
    for name in ("source_xy", "target_xy", "source_depth", "target_depth"):
        assert torch.allclose(getattr(ours, name)[:, latent], getattr(oracle, name), atol=1e-3)
    for name in ("source_inside", "target_inside"):
        assert torch.equal(getattr(ours, name)[:, latent], getattr(oracle, name))
    assert torch.allclose(ours.target_disparity[:, latent], oracle.target_disparity, atol=0.02)


def test_no_errors_change_nothing_and_errors_stay_small():
    points, visible = torch.rand(2, 5, 40, 3) + torch.tensor([0.0, 0.0, 2.0]), torch.rand(2, 5, 40) < 0.7
    focal = torch.tensor([80.0, 90.0])
    same, seen = perturb(points, visible, focal, 64, TrackerErrors(0, 0, 0, 0), torch.Generator().manual_seed(0))
    assert torch.allclose(same, points) and torch.equal(seen, visible)
    moved, seen = perturb(points, visible, focal, 64, TrackerErrors(), torch.Generator().manual_seed(0))
    assert 0 < ((moved - points).norm(dim=-1) / points.norm(dim=-1)).mean() < 0.1
    assert (seen != visible).float().mean() < 0.05


def test_noise_lies_on_the_straight_path_to_the_velocity():
    clean = torch.randn(6, 16, 2, 4, 4)
    noised = noise(clean, 3.0, torch.Generator().manual_seed(0))
    sigma = (noised.timestep / 1000)[:, None, None, None, None]
    assert torch.allclose(noised.latent - sigma * noised.velocity, clean, atol=1e-5)
    assert 0 <= noised.timestep.min() and noised.timestep.max() <= 1000


def test_the_fresh_transformer_is_already_a_linear_denoiser():
    noised = noise(torch.randn(4, 16, 2, 8, 8), 3.0, torch.Generator().manual_seed(0))
    with torch.no_grad():
        text = torch.zeros(4, 1, 4096)
        velocity = tiny_transformer()(noised.latent, noised.timestep, text, return_dict=False)[0]
    assert torch.corrcoef(torch.stack([velocity.flatten(), noised.latent.flatten()]))[0, 1] > 0.9


def _small(steps: int) -> DitTraining:
    how = PairDraw(batch=2, tracks=(16, 32))
    return DitTraining(steps=steps, half=how, full=how, lora_rank=4)


def test_a_stopped_training_goes_on_to_the_same_weights(pairs, tmp_path, monkeypatch):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir(), parts.mkdir()
    expected = train_base(pairs, _small(4), whole)
    calls = 0

    def stops_at_the_third_step(*arguments):
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return noise(*arguments)

    monkeypatch.setattr("track2view_core.training.tiny_dit.CHECKPOINT_EVERY", 1)
    monkeypatch.setattr("track2view_core.training.tiny_dit.noise", stops_at_the_third_step)
    with pytest.raises(KeyboardInterrupt):
        train_base(pairs, _small(4), parts)
    monkeypatch.setattr("track2view_core.training.tiny_dit.noise", noise)
    resumed = train_base(pairs, _small(4), parts)
    for name, value in expected.state_dict().items():
        assert torch.allclose(resumed.state_dict()[name], value, atol=1e-6), name


def test_the_second_stage_leaves_the_base_alone_and_moves_lora_and_conditioner(pairs, tmp_path):
    transformer = tiny_transformer()
    before = {name: value.clone() for name, value in transformer.state_dict().items()}
    conditioner = train_conditioner(transformer, pairs, _small(3), tmp_path)
    after = {name.replace(".base_layer", ""): value for name, value in transformer.state_dict().items()}
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert any(value.abs().max() > 0 for name, value in after.items() if "lora_B" in name)
    assert conditioner.output["target"].weight.abs().max() > 0 and conditioner.latent_patch.weight.abs().max() > 0


def test_a_checkpoint_restores_model_optimiser_and_average(tmp_path):
    def fresh():
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 2)
        return model, torch.optim.Adam(model.parameters(), lr=0.1)

    model, optimiser = fresh()
    model(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    save_checkpoint(tmp_path / "a.pt", 5, model, [optimiser], {"weight": torch.ones(2)})
    other, other_optimiser = fresh()
    average = {"weight": torch.zeros(2)}
    assert load_checkpoint(tmp_path / "a.pt", other, [other_optimiser], average) == 5
    assert torch.equal(other.weight, model.weight) and torch.equal(average["weight"], torch.ones(2))
    assert other_optimiser.state_dict()["state"][0]["step"] == 1
    assert load_checkpoint(tmp_path / "missing.pt", other, [other_optimiser], average) == 0
