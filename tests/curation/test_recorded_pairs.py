"""Rendered scenes filmed to mp4 and curated with the built-in tracker, against exact geometry; and what is refused."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from track2view_core.cameras import CameraPath, project
from track2view_core.cameras.formats import write_path
from track2view_core.cli import main
from track2view_core.curation import ClipEncoder, Cut, PairSettings, RecordedPairs, curate
from track2view_core.curation.clip_loading import cut_camera
from track2view_core.curation.recorded_pairs import drawn_pairs
from track2view_core.curation.sources import multicamvideo_scenes, realcamvid_scenes, synced_scenes
from track2view_core.curation.sources.clip_names import caption_of, natural_order, read_captions
from track2view_core.dataset import BrokenSample, ClipPair, PairDataset, read_report, shard_file
from track2view_core.errors import Track2ViewError
from track2view_core.scenes import follow_points
from track2view_core.scenes.ray_casting import cast
from track2view_core.tracks import PointTracks
from track2view_core.tracks.trackers import KltTracker
from track2view_core.video import VideoClip, write_clip

from .recorded_scenes import FPS, Rig, rendered_rig, save_rig

FRAMES, SIZE = 9, 128


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """Scene 2: the source trucks, the target rises; nothing moves."""
    return rendered_rig(tmp_path_factory.mktemp("filmed") / "scene2", seed=2, frames=FRAMES, size=SIZE)


@pytest.fixture(scope="module")
def curated(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The good pair beside every kind of broken one, by the command line."""
    root = rig.folder.parent
    save_rig(rig)
    first, second = rig.frames
    late = torch.cat([second[1:], second[-1:]])
    gap = torch.cat([second[:4], second[5:], second[-1:]])
    broken = {
        "late": {"frames": [first, late]},  # does not begin with the shared frame
        "gap": {"frames": [first, gap]},  # frame 4 is missing, the length is not
        "short": {"frames": [first, second[:-1]]},
        "swapped": {"cameras": rig.cameras[::-1]},
        "wrong": {"cameras": [rig.cameras[0], other_path(rig.cameras[1])]},
        "apart": {"cameras": [rig.cameras[0], shifted(rig.cameras[1])]},
    }
    for name, changes in broken.items():
        save_rig(replace(rig, folder=root / name), **changes)
    small = replace(rig, folder=root / "sizes")
    save_rig(small)
    write_clip(VideoClip(second[:, :96], Fraction(FPS)), small.folder / "cam02.mp4")
    write_path(replace(rig.cameras[1], height=96), small.folder / "cam02.json", format="track2view_camera")
    save_rig(replace(rig, folder=root / "rates"))
    write_clip(VideoClip(second, Fraction(2 * FPS)), root / "rates" / "cam02.mp4")
    save_rig(replace(rig, folder=root / "torn"))
    (root / "torn" / "cam02.mp4").write_bytes(b"no video")
    save_rig(replace(rig, folder=root / "lost"))
    (root / "lost" / "cam02.json").write_text("{")
    out = tmp_path_factory.mktemp("curated")
    (root.parent / "captions.json").write_text(json.dumps({"scene2": "A room.", "scene2/cam02": "It rises."}))
    code = main([
        "curate", "synced", str(root), str(out), "--size", f"{SIZE}x{SIZE}", "--frames", str(FRAMES), "--points", "150",
        "--keep-frames", "--device", "cpu", "--captions", str(root.parent / "captions.json"),
    ])  # fmt: skip
    assert code == 0
    return out


def other_path(camera: CameraPath) -> CameraPath:
    """As of another scene's file: the same start, another way."""
    poses = camera.world_from_camera.clone()
    way = poses[:, :3, 3] - poses[:1, :3, 3]
    poses[:, :3, 3] = poses[:1, :3, 3] + way[:, [2, 0, 1]] * torch.tensor([1.0, -1.0, 1.0])
    return replace(camera, world_from_camera=poses)


def shifted(camera: CameraPath) -> CameraPath:
    poses = camera.world_from_camera.clone()
    poses[:, 0, 3] += 0.5
    return replace(camera, world_from_camera=poses)


def exact_positions(rig: Rig, pair: ClipPair) -> tuple[Tensor, Tensor]:
    """[T, N, 3] where the scene says the tracked points are, and [N] depth; by casting the ray of their first sight."""
    first = rig.cameras[0].world_from_camera[0]
    camera, tracks = pair.source.camera, pair.tracks
    view = project(camera, tracks.positions)
    at = tracks.visible.int().argmax(0)
    n = torch.arange(len(at))
    pose = (first @ camera.world_from_camera[at]).float()
    pixel = torch.cat([view.xy[at, n], torch.ones(len(at), 1)], 1).double()
    local = (pixel @ torch.linalg.inv(camera.intrinsics[0]).T).float()
    ray = (pose[:, :3, :3] @ local[..., None])[..., 0]
    hits = cast(rig.scene, pose[None, :, None, :3, 3], ray[None, :, None], rig.paths.time[:, at])
    world = follow_points(rig.scene, hits.surface[..., 0], hits.local[..., 0, :], rig.paths.time)[0].double()
    camera_from_scene = torch.linalg.inv(first)
    return (world @ camera_from_scene[:3, :3].T + camera_from_scene[:3, 3]).float(), view.depth[at, n]


def test_pairs_match_exact_geometry(rig: Rig, curated: Path):
    data = PairDataset(curated)
    assert [data.pair(i).name.split(": ")[1] for i in range(len(data))] == [
        "scene2/cam01 -> scene2/cam02",
        "scene2/cam02 -> scene2/cam01",
    ]
    for index in range(2):
        pair = data.pair(index)
        exact, depth = exact_positions(rig, pair)
        for found in (pair.tracks.positions, pair.target_positions):
            error = (found - exact).norm(dim=-1) / depth
            assert error.median() < 0.01 and error.quantile(0.75) < 0.03
        assert 100 <= pair.tracks.positions.shape[1] <= 150
        assert pair.tracks.visible.any(0).all()
        truth = rig.cameras[1 - index].relative_to_first()
        assert torch.allclose(pair.target.camera.world_from_camera, truth.world_from_camera, atol=1e-6)
        filmed = data.clip_frames(pair.source.number).float()
        own, other = ((filmed - rig.frames[k].float()).abs().mean() for k in (index, 1 - index))
        assert own < other / 3  # H.264 halves the resolution of colours


def test_captions_are_the_clips_own_or_their_scenes(curated: Path):
    pair = PairDataset(curated).pair(0)
    assert (pair.source.caption, pair.target.caption) == ("A room.", "It rises.")


REASONS = {
    "late": "first frames differ", "gap": "cameras disagree", "swapped": "cameras disagree",
    "wrong": "cameras disagree", "apart": "first cameras differ", "short": "lengths differ", "sizes": "sizes differ",
    "rates": "frame rates differ", "torn": "clip unreadable", "lost": "cameras unreadable",
}  # fmt: skip


def test_broken_pairs_are_refused_by_name_and_counted(curated: Path):
    report = read_report(curated)
    assert report["counts"]["pairs kept"] == 2
    for reason in set(REASONS.values()):
        expected = 2 * sum(reason == other for other in REASONS.values())
        assert report["counts"][f"pairs refused: {reason}"] == expected, reason
    assert len(report["refused"]) == 2 * len(REASONS)
    for name in REASONS:
        for way in ((1, 2), (2, 1)):
            said = report["refused"][f"{name}/cam0{way[0]} -> {name}/cam0{way[1]}"]
            assert said.startswith(f"{name}/cam0") and said.endswith("."), said
    assert "in frame" in report["refused"]["gap/cam01 -> gap/cam02"]


def test_the_contact_sheet_is_there(curated: Path):
    assert (curated / "sheet.png").read_bytes().startswith(b"\x89PNG")


class Grid:
    """A tracker of still points on a plane, for what does not depend on tracking."""

    def track(self, video: Tensor, *, points: int, camera: CameraPath, progress=None) -> PointTracks:
        if progress is not None:
            progress(1, 1, "tracking")
        side = int(points**0.5)
        across = (torch.arange(side) - side / 2) / side * 2.5
        still = torch.stack([*torch.meshgrid(across, across, indexing="ij"), torch.full((side, side), 3.0)], -1)
        positions = still.flatten(0, 1).repeat(len(video), 1, 1)
        seen = torch.ones(positions.shape[:2], dtype=torch.bool)
        return PointTracks(positions, seen, seen.float(), camera.relative_to_first())


def a_maker(root: Path, **changes) -> RecordedPairs:
    how = PairSettings(Cut(SIZE, 64, 5, every=2), points=100, scenes_per_shard=1, keep_frames=True, **changes)
    return RecordedPairs("synced", synced_scenes(root, {}), how, Grid(), FPS / 2, ClipEncoder())


def test_an_interrupt_keeps_whole_shards_and_goes_on_to_the_same_data_set(rig: Rig, tmp_path: Path):
    root = tmp_path / "in"
    save_rig(replace(rig, folder=root / "scene10"))
    shutil.copytree(root / "scene10", root / "scene9")
    maker, stopped, whole = a_maker(root, pairs_per_scene=1), tmp_path / "stopped", tmp_path / "whole"

    def stop(done: int, total: int, stage: str) -> None:
        if stage == "tracking" and shard_file(stopped, 0).exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        curate(maker, stopped, progress=stop)
    assert len(PairDataset(stopped)) == 1 and not list(stopped.glob(".*"))
    assert curate(maker, stopped) == curate(maker, whole)
    ours, theirs = PairDataset(stopped), PairDataset(whole)
    for i in range(2):
        assert ours.pair(i).name == theirs.pair(i).name
        assert torch.equal(ours.pair(i).tracks.positions, theirs.pair(i).tracks.positions)
        assert torch.equal(ours.clip_frames(i), theirs.clip_frames(i))
    assert ours.pair(1).source.name.startswith("scene10/")
    assert ours.info.fps == 8 and ours.pair(0).source.camera.height == 64
    file = shard_file(stopped, 0)
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(BrokenSample, match="shard_000000 pair 0"):
        PairDataset(stopped).pair(0)


def test_a_maker_of_filmed_pairs_travels(rig: Rig):
    """To the workers of --ray, which do for a shard what one process does."""
    save_rig(rig)
    maker = replace(a_maker(rig.folder), tracker=KltTracker())
    assert pickle.loads(pickle.dumps(maker)).info() == maker.info()


def test_ray_is_asked_for_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["curate", "render", str(tmp_path / "out"), "--keep-frames", "--device", "cpu", "--ray"]) == 2
    assert "pip install 'track2view[curation]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_single_clips_are_pairs_with_themselves(rig: Rig, tmp_path: Path):
    write_clip(VideoClip(rig.frames[0], Fraction(FPS)), tmp_path / "a.mp4", quality=4)
    lens = rig.cameras[0].intrinsics[0]
    entry = {
        "video_path": "a.mp4", "camera_extrinsics": rig.cameras[0].camera_from_world.numpy(),
        "camera_intrinsics": np.array([lens[0, 0] / SIZE, lens[1, 1] / SIZE, 0.5, 0.5]), "long_caption": "A room.",
        "align_factor": 1.0,
    }  # fmt: skip
    listed = np.empty(2, dtype=object)
    listed[:] = [entry, entry | {"video_path": "b.mp4"}]
    np.savez(tmp_path / "list.npz", listed)
    scenes = realcamvid_scenes(tmp_path / "list.npz", {})
    how = PairSettings(Cut(SIZE, SIZE, FRAMES), points=100, keep_frames=True)
    counts = curate(RecordedPairs("realcamvid", scenes, how, Grid(), FPS, ClipEncoder()), tmp_path / "out")
    assert counts["pairs kept"] == counts["pairs refused: clip unreadable"] == 1
    pair = PairDataset(tmp_path / "out").pair(0)
    assert pair.source.name == pair.target.name == "a" and pair.source.caption == "A room."
    assert torch.equal(pair.tracks.positions, pair.target_positions)


@pytest.mark.parametrize(
    ("folder", "focal"),
    [("f18_aperture10", 630.30), ("f24_aperture5", 840.40), ("f35_aperture2.4", 1225.59), ("f50_aperture2.4", 1750.84)],
)
def test_multicamvideo_is_listed_and_its_lens_cut(folder: str, focal: float, tmp_path: Path):
    """1280 x 1280 scaled by 0.65, the middle 480 rows; focal / 23.76 mm * 832 px."""
    from track2view_core.cameras.formats import read_path

    row = "[1 0 0 0] [0 1 0 0] [0 0 1 0] [3390 1380 240 1] "
    for scene in ("scene10", "scene9"):
        base = tmp_path / "train" / folder / scene
        (base / "cameras").mkdir(parents=True)
        (base / "videos").mkdir()
        cameras = {f"cam{n:02d}": row for n in range(1, 11)}
        (base / "cameras" / "camera_extrinsics.json").write_text(json.dumps({"frame0": cameras, "frame1": cameras}))
        for camera in cameras:
            (base / "videos" / f"{camera}.mp4").touch()
    scenes = multicamvideo_scenes(tmp_path, {f"{folder}/scene9": "A street."})
    assert [scene.name for scene in scenes] == [f"{folder}/scene9", f"{folder}/scene10"]
    clip = scenes[0].clips[9]
    assert (clip.name, clip.camera, clip.caption) == (f"{folder}/scene9/cam10", "cam10", "A street.")
    native = read_path(
        clip.camera_file, width=1280, height=1280, format=clip.camera_format, camera=clip.camera, fps=15
    )  # fmt: skip
    lens = cut_camera(native, 832, 480).intrinsics[0]
    assert lens.diagonal()[:2].tolist() == pytest.approx([focal, focal], abs=0.01)
    assert lens[:2, 2].tolist() == [416, 240]


def test_a_cut_camera_sees_the_cut_picture():
    """A point keeps its place in the picture: scale, then cut."""
    lens = torch.tensor([[300.0, 0, 200], [0, 310, 90], [0, 0, 1]])[None]
    camera = CameraPath(torch.eye(4)[None], lens, 400, 200, 16)
    points = torch.tensor([[[0.1, 0.05, 2.0], [-0.3, 0.1, 3.0]]])
    before, after = project(camera, points).xy, project(cut_camera(camera, 96, 96), points).xy
    assert torch.allclose(after, before * 0.48 - torch.tensor([48.0, 0.0]), atol=1e-4)


def test_pairs_are_drawn_by_the_seed_and_the_scene(rig: Rig, tmp_path: Path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for camera in range(1, 5):
            (tmp_path / name / f"cam{camera}.mp4").touch()
        (tmp_path / name / "cameras.json").touch()
    one, two = synced_scenes(tmp_path, {})
    cut = Cut(SIZE, SIZE, FRAMES)
    assert len(drawn_pairs(one, PairSettings(cut))) == 12
    few = [
        [(a.camera, b.camera) for a, b in drawn_pairs(scene, PairSettings(cut, pairs_per_scene=3, seed=seed))]
        for scene, seed in ((one, 0), (one, 0), (one, 1), (two, 0))
    ]
    assert few[0] == few[1] and len(few[0]) == 3 and few[0] != few[2] and few[0] != few[3]
    (tmp_path / "two" / "cameras.json").unlink()
    with pytest.raises(Track2ViewError, match="no camera files beside it"):
        synced_scenes(tmp_path, {})


def test_captions_come_from_json_or_lines(tmp_path: Path):
    (tmp_path / "a.txt").write_text("scene1/cam01\tA cat.\nscene1\tTwo animals.\nno tab\n")
    captions = read_captions(tmp_path / "a.txt")
    assert [caption_of(f"scene{s}/cam0{c}", captions) for s, c in ((1, 1), (1, 2), (2, 1))] == [
        "A cat.",
        "Two animals.",
        "",
    ]
    (tmp_path / "b.json").write_text('{"scene1": 3}')
    with pytest.raises(Track2ViewError, match="must be a JSON object"):
        read_captions(tmp_path / "b.json")
    assert sorted(["s10", "s2", "s1b"], key=natural_order) == ["s1b", "s2", "s10"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["synced", "nowhere"], "is no folder"), (["multicamvideo", "."], "no cameras/camera_extrinsics.json"),
        (["realcamvid", "nowhere.npz"], "is no file"), (["encode", "nowhere"], "no dataset.json"),
        (["render"], "neither latents nor frames"), (["render", "--shards", "0", "--keep-frames"], "--shards is 0"),
        (["render", "--frames", "6", "--keep-frames"], "frames is 6"),
        (["render", "--vae", "nowhere.safetensors"], "does not exist"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence(
    options: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert main(["curate", *options, "out", "--device", "cpu"]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out" / "dataset.json").exists()
