"""The reversed source and the target as one clip: the index law, the alignment of trackers, and the filters."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from track2view_core.cameras import CameraPath, project
from track2view_core.cameras.rotations import matrix_from_axis_angle, rigid_inverse
from track2view_core.curation import PairRefused
from track2view_core.curation.pair_tracking import (
    SplitTracks,
    check_worth,
    consistent_tracks,
    evenly_chosen,
    joined_camera,
    joined_frames,
    track_from_known_cameras,
    with_stereo_depth,
)
from track2view_core.curation.recorded_pairs import stacked_tracks
from track2view_core.tracks import PointTracks

T, N, SIZE = 9, 60, 64


def a_path(seed: int, *, travel: float = 1.0, turn: float = 0.3) -> CameraPath:
    """A smooth path from the identity."""
    generator = torch.Generator().manual_seed(seed)
    progress = torch.linspace(0, 1, T)[:, None]
    poses = torch.eye(4).repeat(T, 1, 1)
    poses[:, :3, :3] = matrix_from_axis_angle(turn * progress * (torch.rand(3, generator=generator) - 0.5))
    poses[:, :3, 3] = travel * progress * (torch.rand(3, generator=generator) - 0.5)
    lens = torch.tensor([[60.0, 0, 32], [0, 60, 32], [0, 0, 1]]).repeat(T, 1, 1)
    poses = poses.double()
    u, _, vt = torch.linalg.svd(poses[:, :3, :3])
    poses[:, :3, :3] = u @ vt
    return CameraPath(poses, lens, SIZE, SIZE, 16)


def points(seed: int = 0, *, moving: bool = False) -> Tensor:
    """[T, N, 3] in front of everybody."""
    generator = torch.Generator().manual_seed(seed)
    spread = torch.tensor([3.0, 3.0, 2.0])
    still = (torch.rand(N, 3, generator=generator) - 0.5) * spread + torch.tensor([0.0, 0.0, 4.0])
    way = (torch.rand(N, 3, generator=generator) - 0.5) * float(moving)
    return still + torch.linspace(0, 1, T)[:, None, None] * way


def split_of(positions: Tensor, **changes: Tensor) -> SplitTracks:
    seen = torch.ones(positions.shape[:2], dtype=torch.bool)
    return replace(SplitTracks(positions, positions, seen, seen, seen.float()), **changes)


@settings(max_examples=15, deadline=None)
@given(frames=st.integers(1, 12))
def test_index_law(frames: int):
    """Source t is frame T-1-t of the joined clip, target t frame T-1+t: pictures, cameras and tracks alike."""
    source, target = (torch.arange(frames, dtype=torch.uint8)[:, None, None, None] + k for k in (0, 100))
    target[0] = source[0]
    clip = joined_frames(source, target)
    poses = torch.eye(4, dtype=torch.float64).repeat(2, frames, 1, 1)
    poses[0, :, 0, 3], poses[1, :, 0, 3] = -torch.arange(frames).double(), torch.arange(frames).double()
    lens = torch.eye(3, dtype=torch.float64).repeat(frames, 1, 1)
    paths = [CameraPath(pose, lens * torch.tensor([[k], [k], [1.0]]), 4, 4, 16) for k, pose in enumerate(poses, 5)]
    camera = joined_camera(*paths)
    count = 2 * frames - 1
    assert len(clip) == len(camera) == count
    places = torch.arange(count)[:, None, None] + torch.zeros(3, 3)
    seen = torch.rand(count, 3) < 0.5
    split = SplitTracks.of(PointTracks(places, seen, seen.float(), camera))
    for t in range(frames):
        back, on = frames - 1 - t, frames - 1 + t
        assert torch.equal(clip[back], source[t]) and torch.equal(clip[on], target[t])
        assert torch.equal(camera.world_from_camera[back], poses[0, t])
        assert torch.equal(camera.world_from_camera[on], poses[1, t])
        assert camera.intrinsics[back, 0, 0] == 5 and (t == 0 or camera.intrinsics[on, 0, 0] == 6)
        assert (split.source[t] == back).all() and (split.target[t] == on).all()
        assert torch.equal(split.source_visible[t], seen[back]) and torch.equal(split.target_visible[t], seen[on])
        assert torch.equal(split.confidence[t], seen[back].float())


class Tracker:
    """Knows the truth, and tells it in a world, at a scale and with a lens of its own."""

    def __init__(self, truth: Tensor, camera: CameraPath, scale: float = 1.0, zoom: float = 1.0) -> None:
        first = rigid_inverse(camera.world_from_camera[0])
        self.positions = (truth.double() @ first[:3, :3].T + first[:3, 3]) * scale
        own = camera.relative_to_first()
        poses, lens = own.world_from_camera.clone(), own.intrinsics.clone()
        poses[:, :3, 3] *= scale
        lens[:, :2, :2] *= zoom
        self.camera = replace(own, world_from_camera=poses, intrinsics=lens)
        self.asked: dict = {}

    def track(self, video: Tensor, *, points: int, start_frames: int = 3, progress=None) -> PointTracks:
        self.asked = {"frames": len(video), "points": points, "start_frames": start_frames}
        seen = torch.ones(self.positions.shape[:2], dtype=torch.bool)
        return PointTracks(self.positions.float(), seen, seen.float(), self.camera)


class ToldTracker(Tracker):
    def track(self, video: Tensor, *, points: int, camera: CameraPath, progress=None) -> PointTracks:
        self.asked = {"camera": camera}
        return super().track(video, points=points)


def joined_truth() -> tuple[Tensor, CameraPath]:
    scene = points(moving=True)
    return torch.cat([scene.flip(0), scene[1:]]), joined_camera(a_path(1), a_path(2))


@pytest.mark.parametrize("kind", [Tracker, ToldTracker])
@pytest.mark.parametrize("scale", [1.0, 0.3, 7.0])
def test_a_trackers_world_becomes_the_known_one(kind: type[Tracker], scale: float):
    truth, camera = joined_truth()
    tracker = kind(truth, camera, 1.0 if kind is ToldTracker else scale)
    tracks = track_from_known_cameras(
        tracker, torch.zeros(len(camera), 16, 16, 3, dtype=torch.uint8), camera, points=N, name="pair"
    )
    assert torch.allclose(tracks.positions, truth, atol=1e-4) and tracks.camera is camera
    if kind is Tracker:
        assert tracker.asked == {"frames": 2 * T - 1, "points": N, "start_frames": 5}


def test_points_stay_on_their_rays_under_a_wrong_lens():
    truth, camera = joined_truth()
    wrong = Tracker(truth, camera, zoom=1.05)
    tracks = track_from_known_cameras(
        wrong, torch.zeros(len(camera), 16, 16, 3, dtype=torch.uint8), camera, points=N, name="pair"
    )
    seen = project(wrong.camera, wrong.positions.float())
    assert torch.allclose(project(camera, tracks.positions).xy[seen.inside], seen.xy[seen.inside], atol=1e-2)


@pytest.mark.parametrize("other", [joined_camera(a_path(2), a_path(1)), joined_camera(a_path(3), a_path(4))])
def test_a_tracker_that_saw_other_cameras_refuses_the_pair(other: CameraPath):
    truth, camera = joined_truth()
    with pytest.raises(PairRefused, match="pair is filmed by other cameras") as caught:
        track_from_known_cameras(
            Tracker(truth, camera), torch.zeros(len(camera), 16, 16, 3), other, points=N, name="pair"
        )
    assert caught.value.reason == "cameras disagree"


def test_movers_get_their_depth_from_both_views_at_once():
    """Wrong depth along the right rays, as of a guess, becomes exact where the cameras have parted."""
    truth, source, target = points(moving=True), a_path(1, travel=2), a_path(2, travel=2)
    centers = [path.world_from_camera[:, None, :3, 3].float() for path in (source, target)]
    guessed = [center + (truth - center) * 1.4 for center in centers]
    split, unknown = with_stereo_depth(split_of(guessed[0], target=guessed[1]), source, target)
    parted = slice(T // 2, T)
    assert not unknown.any()
    assert torch.allclose(split.source[parted], truth[parted], atol=2e-3)
    assert torch.allclose(split.target[parted], truth[parted], atol=2e-3)
    rays = [torch.nn.functional.normalize(p - centers[0], dim=-1) for p in (split.source, guessed[0])]
    assert torch.allclose(*rays, atol=1e-5)


def test_a_point_seen_from_one_side_only_has_no_depth():
    """The source only turns; what the travelling target never sees would be put anywhere in its picture."""
    source, target = a_path(1, travel=0.0), a_path(2, travel=2)
    still = points()
    hidden = torch.zeros(T, N, dtype=torch.bool)
    hidden[:, : N // 2] = True
    _, unknown = with_stereo_depth(split_of(still, target_visible=hidden), source, target)
    assert torch.equal(unknown, torch.arange(N) >= N // 2)
    _, unknown = with_stereo_depth(split_of(still, target_visible=hidden), source, a_path(2, travel=0.0))
    assert not unknown.any()


def test_tracks_are_dropped_by_reason():
    source, scene = a_path(1), points()
    seen = torch.ones(T, N, dtype=torch.bool)
    seen[:, :3] = False
    here, there = scene.clone(), scene.clone()
    here[2, 3:5, 2] = -4.0  # behind the camera that is said to see them
    there[4:, 5:9] += 0.08 * 4  # 8 % of a depth of about 4
    there[4:, 9:12] += 0.005
    counts: Counter[str] = Counter()
    kept = consistent_tracks(split_of(here, source_visible=seen, target=there), source, counts)
    assert dict(counts) == {
        "tracks dropped: the source never sees them": 3,
        "tracks dropped: behind the camera that sees them": 2,
        "tracks dropped: two places at one time": 4,
    }
    assert torch.equal(kept.source, here[:, 9:])


def test_most_of_the_chosen_tracks_are_seen_at_the_seam():
    seen = torch.ones(T, N, dtype=torch.bool)
    seen[0, : N // 2] = False
    split = evenly_chosen(split_of(points(), source_visible=seen), 20)
    assert split.source.shape[1] == 20 and int(split.source_visible[0].sum()) == 14
    assert evenly_chosen(split_of(points()), 20).source.shape[1] == 20
    assert evenly_chosen(split_of(points(), source_visible=seen), 2 * N).source.shape[1] == N


def test_pairs_that_are_worth_nothing_are_refused():
    path = a_path(1)
    check_worth(split_of(points()), path, path, "pair")
    with pytest.raises(PairRefused, match="keeps 9 tracks"):
        check_worth(split_of(points()[:, :9]), path, path, "pair")
    away = replace(path, world_from_camera=path.world_from_camera @ torch.diag(torch.tensor([-1.0, 1, -1, 1])).double())
    with pytest.raises(PairRefused) as caught:
        check_worth(split_of(points()), path, away, "pair")
    assert caught.value.reason == "too little of the target is covered"


def test_padding_keeps_every_set():
    sets = [split_of(points()[:, :count]) for count in (5, 0, 9)]
    joined, counts = stacked_tracks(sets, T)
    assert counts.tolist() == [5, 0, 9] and joined.source.shape == (3, T, 9, 3)
    for row, entry, count in zip(joined.source, sets, counts, strict=True):
        assert torch.equal(row[:, :count], entry.source) and not row[:, count:].any()
    assert stacked_tracks([], T)[0].source.shape == (0, T, 0, 3)
