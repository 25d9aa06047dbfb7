"""The packed points: what the browser reads is what the tracker found, within the stated bounds, in few bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from track2view_core.cameras import CameraPath
from track2view_core.preview.point_cloud import MOST_BYTES, STEPS, STILL, pack_points
from track2view_core.tracks import PointTracks

from .node_answers import ask
from .random_documents import random_source


def cloud(frames: int, points: int, moving: int, seed: int = 0, camera: CameraPath | None = None) -> PointTracks:
    """Points in front of the camera; every other one of the first 2 `moving` moves."""
    random = torch.Generator().manual_seed(seed)
    positions = (torch.rand(points, 3, generator=random) * 2 - 1).repeat(frames, 1, 1) + torch.tensor([0.0, 0.0, 4.0])
    movers = torch.arange(moving) * 2 % max(points, 1)
    positions[:, movers] += torch.linspace(0, 1, frames)[:, None, None] * torch.tensor([0.7, 0.0, 0.3])
    return PointTracks(
        positions,
        torch.rand(frames, points, generator=random) < 0.8,
        torch.ones(frames, points),
        camera or random_source(seed, frames),
        torch.randint(0, 256, (points, 3), dtype=torch.uint8, generator=random),
    )


def read(file: Path, tracks: PointTracks, frames: list[float], **options) -> dict:
    file.write_bytes(pack_points(tracks, **options))
    (answer,) = ask(("points", {"file": str(file), "frames": frames}))
    return answer


def test_the_browser_reads_what_was_packed(tmp_path: Path) -> None:
    tracks = cloud(frames=9, points=301, moving=40)
    answer = read(tmp_path / "points.bin", tracks, list(range(9)))
    assert (answer["count"], answer["moving"], answer["packedFrames"]) == (301, 40, 9)
    assert answer["sceneScale"] == tracks.scene_scale
    source = answer["source"]
    assert (source["frames"], source["width"], source["height"], source["fps"]) == (9, 832, 480, 24)
    assert source["worldFromCamera"] == tracks.camera.world_from_camera.flatten().tolist()
    assert source["intrinsics"] == tracks.camera.intrinsics.flatten().tolist()
    order = answer["tracks"]
    assert sorted(order) == list(range(301)) and sorted(order[-40:]) == list(range(0, 80, 2))
    assert torch.equal(torch.tensor(answer["colors"], dtype=torch.uint8).reshape(-1, 3), tracks.colors[order])
    assert torch.equal(torch.tensor(answer["visible"], dtype=torch.bool), tracks.visible[:, order])
    found = torch.tensor(answer["positions"]).reshape(9, -1, 3)
    extent = tracks.positions.amax(dim=(0, 1)) - tracks.positions.amin(dim=(0, 1))
    step = extent / STEPS
    assert ((found - tracks.positions[:, order]).abs() <= step / 2 + 1e-6).all()


def test_points_that_tremble_are_kept_once_and_within_the_stated_bound(tmp_path: Path) -> None:
    tracks = cloud(frames=9, points=50, moving=0)
    scale = tracks.scene_scale
    shaken = tracks.positions + (torch.rand(9, 50, 3) * 2 - 1) * 0.9 * STILL * scale
    answer = read(
        tmp_path / "points.bin", PointTracks(shaken, tracks.visible, tracks.confidence, tracks.camera), [0, 8]
    )
    assert answer["moving"] == 0 and answer["colors"][:3] == [176] * 3
    found = torch.tensor(answer["positions"]).reshape(2, -1, 3)
    assert (found - shaken[[0, 8]][:, answer["tracks"]]).abs().max() < STILL * scale + 2 / STEPS


def test_between_kept_frames_a_point_goes_straight(tmp_path: Path) -> None:
    tracks = cloud(frames=301, points=20, moving=10)  # it moves at one speed
    answer = read(tmp_path / "points.bin", tracks, [0, 100, 150.5, 300], most_frames=4)
    assert answer["packedFrames"] == 4
    found = torch.tensor(answer["positions"]).reshape(4, -1, 3)
    wanted = tracks.positions[[0, 100, 150, 300]][:, answer["tracks"]]
    wanted[2] = (wanted[2] + tracks.positions[151][answer["tracks"]]) / 2
    assert (found - wanted).abs().max() < 1e-4


def test_a_followed_point_is_the_documents_subject(tmp_path: Path) -> None:
    tracks = cloud(frames=9, points=21, moving=7)
    answer = read(tmp_path / "points.bin", tracks, list(range(9)))
    first = tracks.camera.camera_from_world[0]
    for index, subject in zip((0, 20), answer["subjects"], strict=True):
        world = tracks.positions[:, answer["tracks"][index]].double()
        wanted = (world @ first[:3, :3].T + first[:3, 3]) / tracks.scene_scale
        torch.testing.assert_close(torch.tensor(subject, dtype=torch.float64), wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("frames", "points", "moving"),
    [(120, 20_000, 2_000), (125, 20_000, 20_000), (30, 30_000, 3_000), (2_000, 900, 300)],
)
def test_the_file_stays_below_eight_megabytes(frames: int, points: int, moving: int) -> None:
    tracks = cloud(frames, points, min(moving, points // 2))
    if moving == points:
        tracks = PointTracks(
            tracks.positions + torch.linspace(0, 1, frames)[:, None, None],
            tracks.visible,
            tracks.confidence,
            tracks.camera,
        )
    data = pack_points(tracks)
    assert len(data) < MOST_BYTES
    header = json.loads(data[8 : 8 + int.from_bytes(data[4:8], "little")])
    assert header["counts"]["points"] == min(points, 20_000)
    if (points, moving) == (20_000, 2_000):
        assert header["packed_frames"] == 120 and len(data) < 2_500_000


def test_a_point_at_the_horizon_does_not_coarsen_the_others(tmp_path: Path) -> None:
    tracks = cloud(frames=3, points=40, moving=0)
    positions = tracks.positions.clone()
    positions[:, 5] = torch.tensor([1e5, 2e5, 3e6])
    answer = read(
        tmp_path / "points.bin", PointTracks(positions, tracks.visible, tracks.confidence, tracks.camera), [0]
    )
    found = torch.tensor(answer["positions"]).reshape(-1, 3)
    wanted = positions[0][answer["tracks"]]
    near = torch.tensor(answer["tracks"]) != 5
    assert (found - wanted)[near].abs().max() < 30 * tracks.scene_scale / STEPS
    far = found[~near][0] - tracks.camera.world_from_camera[0, :3, 3]
    ray = positions[0, 5] - tracks.camera.world_from_camera[0, :3, 3]
    assert torch.cosine_similarity(far, ray, dim=0) > 1 - 1e-6


def test_one_point_and_one_frame_are_enough(tmp_path: Path) -> None:
    camera = random_source(0, 1)
    camera = CameraPath(torch.eye(4)[None], camera.intrinsics, 832, 480)
    tracks = PointTracks(
        torch.tensor([[[0.0, 0.0, 2.0]]]), torch.ones(1, 1, dtype=torch.bool), torch.ones(1, 1), camera
    )
    answer = read(tmp_path / "points.bin", tracks, [0])
    assert answer["positions"] == [[0, 0, 2]] and answer["visible"] == [[1]]


@pytest.mark.parametrize(
    ("keep", "words"), [(0, "none of Track2View's"), (7, "none of"), (60, "cut short"), (-5, "cut")]
)
def test_a_damaged_file_is_refused_in_one_sentence(tmp_path: Path, keep: int, words: str) -> None:
    file = tmp_path / "points.bin"
    file.write_bytes(pack_points(cloud(2, 30, 3))[:keep])
    (answer,) = ask(("points", {"file": str(file), "frames": [0]}))
    assert words in answer and answer.endswith(".")
