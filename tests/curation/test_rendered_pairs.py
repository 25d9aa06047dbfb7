"""Rendered data sets: exact at every video frame, alike on every run, resumable, and their moves kept apart."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from track2view_core.cameras import project
from track2view_core.curation import ClipEncoder, Reencoding, RenderedScenes, SceneSettings, curate
from track2view_core.curation.rendered_pairs import HELD_OUT_SEED, camera_tracks, drawn_scenes
from track2view_core.curation.shard_maker import make_shard
from track2view_core.dataset import PairDataset, Shard, shard_file, start_dataset
from track2view_core.dataset.shard import ShardReader
from track2view_core.errors import Track2ViewError
from track2view_core.scenes import HELD_OUT_MOVES, TRAIN_MOVES, follow_points, render, visible_points
from track2view_core.scenes.surface_points import query_points, seed_points
from track2view_core.wan.models import TINY_VAE
from track2view_core.wan.vae import encode, load_vae

HOW = SceneSettings(scenes=2, cameras=3, frames=5, width=48, height=32, tracks=40, keep_frames=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rendered") / "data"
    curate(RenderedScenes(2, HOW), folder)
    return folder


def contents(folder: Path) -> list[Shard]:
    return [ShardReader(file).whole() for file in sorted(folder.glob("shard_*"))]


def same(ours: Shard, theirs: Shard) -> bool:
    tensors = ("positions", "visible", "world_from_camera", "intrinsics", "pairs", "frames", "latents")
    pairs = [(getattr(ours, name), getattr(theirs, name)) for name in tensors]
    return all(a is b is None or torch.equal(a, b) for a, b in pairs) and ours.names == theirs.names


def test_every_ordered_pair_of_cameras_shares_frame_zero_and_its_world(folder: Path):
    data = PairDataset(folder)
    assert len(data) == 2 * 2 * 3 * 2 and data.clip_count == 12
    identity = torch.eye(4, dtype=torch.float64)
    for index in range(len(data)):
        pair = data.pair(index)
        source, target = (data.clip_frames(clip.number) for clip in (pair.source, pair.target))
        assert torch.equal(source[0], target[0]) and not torch.equal(source, target)
        for camera in (pair.source.camera, pair.target.camera):
            assert torch.equal(camera.world_from_camera[0], identity)


def test_tracks_are_where_the_renderer_says_at_every_frame(folder: Path):
    """Positions that were seen lie at the depth that the renderer sees there, in their own camera."""
    data = PairDataset(folder)
    scenes, paths = drawn_scenes(HOW, 0)
    view = render(scenes, paths.world_from_camera[:, 0], paths.intrinsics, paths.time, HOW.width, HOW.height)
    pair = data.pair(0)
    seen = project(pair.source.camera, pair.tracks.positions)
    column, row = seen.xy.long().unbind(-1)
    for t in range(HOW.frames):
        shown = pair.tracks.visible[t]
        assert seen.inside[t][shown].all()
        depth = view.depth[0, t][row[t][shown], column[t][shown]]
        # The pixel shows its centre, which lies elsewhere on slanted walls and behind silhouettes.
        assert ((seen.depth[t][shown] / depth - 1).abs() < 0.05).float().mean() > 0.85


def test_queries_need_no_picture():
    """Casting the queried rays alone gives the points that a rendered view would."""
    scenes, paths = drawn_scenes(HOW, 3)
    poses = paths.world_from_camera[:, 1]
    size = HOW.width, HOW.height
    view = render(scenes, poses, paths.intrinsics, paths.time, *size)
    generator = torch.Generator().manual_seed(5)
    surface, local, _ = seed_points(view, 40, generator)
    generator.manual_seed(5)
    ours = query_points(scenes, poses, paths.intrinsics, paths.time, *size, 40, generator)
    assert torch.equal(surface, ours[0]) and torch.allclose(local, ours[1], atol=1e-4)
    followed = follow_points(scenes, *ours, paths.time)
    assert visible_points(scenes, followed, poses, paths.intrinsics, paths.time, *size).any(1).float().mean() > 0.9


def test_held_out_scenes_end_in_held_out_moves_and_have_seeds_of_their_own():
    how = replace(HOW, moves="held_out", frames=1, tracks=4)
    for moves, chosen in (("train", TRAIN_MOVES), ("held_out", HELD_OUT_MOVES)):
        _, paths = drawn_scenes(replace(how, moves=moves), 0)
        assert all(kind in chosen for kinds in paths.kinds for kind in kinds[1:])
    shard = RenderedScenes(1, how).make(0)
    assert shard.names[0] == f"scene{HELD_OUT_SEED}_0/cam0"
    assert not {int(target) % HOW.cameras for target in shard.pairs[:, 1]} & {0}
    assert len(RenderedScenes(1, replace(how, moves="train")).make(0).pairs) > len(shard.pairs)


def test_an_interrupt_keeps_what_is_finished_and_goes_on_to_the_same_data_set(folder: Path, tmp_path: Path):
    def interrupt(done: int, total: int, stage: str) -> None:
        if stage == "rendering" and shard_file(tmp_path, 0).exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        curate(RenderedScenes(2, HOW), tmp_path, progress=interrupt)
    assert {file.name for file in tmp_path.iterdir()} == {"dataset.json", "report.json", "shard_000000.safetensors"}
    before = shard_file(tmp_path, 0).stat().st_mtime_ns
    counts = curate(RenderedScenes(2, HOW), tmp_path)
    assert shard_file(tmp_path, 0).stat().st_mtime_ns == before
    assert all(same(*shards) for shards in zip(contents(folder), contents(tmp_path), strict=True))
    assert counts == {"clips": 12, "pairs kept": 24}
    with pytest.raises(Track2ViewError, match="texture smooth, and now it is detailed"):
        curate(RenderedScenes(2, replace(HOW, texture="detailed")), tmp_path)


def test_a_maker_that_travelled_makes_the_same_shard(folder: Path, tmp_path: Path):
    """What other processes and machines do."""
    maker = pickle.loads(pickle.dumps(RenderedScenes(2, HOW)))
    start_dataset(tmp_path, maker.info())
    make_shard(maker, tmp_path, 1)
    assert same(contents(tmp_path)[0], contents(folder)[1])


def test_encoding_again_agrees_with_encoding_at_once_and_with_the_vae(folder: Path, tmp_path: Path):
    encoder = ClipEncoder(TINY_VAE)
    curate(Reencoding(folder, encoder), tmp_path / "again")
    data = PairDataset(tmp_path / "again")
    at_once = RenderedScenes(1, HOW, encoder).make(0)
    assert torch.equal(data[0].source.latent, at_once.latents[0].float())
    stock = encode(load_vae(TINY_VAE), PairDataset(folder).clip_frames(4))[0]
    assert (at_once.latents[4].float() - stock).abs().max() < 5e-3  # half precision, of unit variance
    assert data.info.vae.name == TINY_VAE.name and not data.info.has_frames


def test_a_smaller_size_has_smaller_lenses_and_the_same_points(folder: Path, tmp_path: Path):
    with pytest.raises(Track2ViewError, match="keep its aspect"):
        Reencoding(folder, ClipEncoder(TINY_VAE), (32, 32))
    how = replace(HOW, width=64, height=64, scenes=1)
    curate(RenderedScenes(1, how), tmp_path / "full")
    curate(Reencoding(tmp_path / "full", ClipEncoder(), (32, 32), keep_frames=True), tmp_path / "half")
    full, half = (PairDataset(tmp_path / name).pair(1) for name in ("full", "half"))
    assert torch.equal(full.tracks.positions, half.tracks.positions)
    for side in ("source", "target"):
        large, small = (project(getattr(pair, side).camera, pair.tracks.positions) for pair in (full, half))
        assert torch.allclose(large.xy, 2 * small.xy, atol=1e-3)


def test_only_kept_frames_can_be_encoded_again(tmp_path: Path):
    curate(RenderedScenes(1, replace(HOW, keep_frames=False, scenes=1, cameras=2), ClipEncoder(TINY_VAE)), tmp_path)
    with pytest.raises(Track2ViewError, match="make it again and keep them"):
        Reencoding(tmp_path, ClipEncoder(TINY_VAE))


def test_a_time_slice_is_rendered_as_the_whole(monkeypatch: pytest.MonkeyPatch):
    from track2view_core.curation import rendered_pairs as rendered

    scenes, paths = drawn_scenes(replace(HOW, width=16, height=16), 1)
    whole = rendered.camera_frames(scenes, paths, 2)
    monkeypatch.setattr(rendered, "RAYS_AT_ONCE", {"cpu": 1})
    assert torch.equal(rendered.camera_frames(scenes, paths, 2), whole)


def test_tracks_are_the_same_whatever_is_rendered():
    scenes, paths = drawn_scenes(HOW, 2)
    first, again = (camera_tracks(scenes, paths, HOW, 2)[0] for _ in range(2))
    assert torch.equal(first, again)


@pytest.mark.parametrize(
    "wrong", [{"cameras": 1}, {"tracks": 0}, {"dynamic": 2.0}, {"moves": "all"}, {"seed": -1}, {"supersample": 0}]
)
def test_settings_that_cannot_be_are_refused(wrong: dict):
    with pytest.raises(Track2ViewError, match=next(iter(wrong))):
        replace(HOW, **wrong)
