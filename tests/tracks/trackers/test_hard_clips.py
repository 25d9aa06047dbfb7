"""The built-in tracker on what users bring: little motion, much motion, blur, large movers, large clips."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from track2view_core.cameras import project
from track2view_core.evaluation.camera_errors import path_scores
from track2view_core.evaluation.tracker_scores import score_points, score_tracks, true_tracks
from track2view_core.notes import Severity
from track2view_core.scenes import RenderedClip, random_scenes, render, rendered_clip, source_camera
from track2view_core.scenes.camera_moves import move_poses
from track2view_core.tracks import PointTracks
from track2view_core.tracks.trackers import KltTracker
from track2view_core.tracks.trackers.footage import gray_frames
from track2view_core.video import read_clip

WIDTH, HEIGHT, FOV = 320, 192, 62.0


def clip_of(move: str, frames: int, **options) -> RenderedClip:
    return rendered_clip(move, **{"frames": frames, "width": WIDTH, "height": HEIGHT, "seed": 1, **options})


def noisy_depth(clip: RenderedClip) -> torch.Tensor:
    return clip.depth * (1 + 0.05 * torch.randn(clip.depth.shape, generator=torch.Generator().manual_seed(0)))


def picked(clip: RenderedClip, index: list[int], frames: torch.Tensor | None = None) -> RenderedClip:
    """Frames `index` of a clip, perhaps with other pictures."""
    pose, lens = clip.camera.world_from_camera[index], clip.camera.intrinsics[index]
    pose = torch.linalg.inv(pose[:1]) @ pose
    return RenderedClip(
        clip.frames[index] if frames is None else frames, clip.depth[index],
        replace(clip.camera, world_from_camera=pose, intrinsics=lens),
        clip.scene, clip.scene_from_camera[index], clip.time[index],
    )  # fmt: skip


def motion_class(tracks: PointTracks) -> str:
    return next(note.facts["motion"] for note in tracks.notes if note.code == "motion")


def told(tracks: PointTracks) -> dict[str, Severity]:
    return {note.code: note.severity for note in tracks.notes}


def displacement_error(tracks: PointTracks, clip: RenderedClip) -> float:
    """Largest error of a camera's place, as a share of the scene's depth."""
    own, true = (path.world_from_camera[:, :3, 3] for path in (tracks.camera, clip.camera))
    return float((own / tracks.scene_scale - true / clip.depth[0].median()).norm(dim=-1).max())


@pytest.mark.parametrize("with_depth", [False, True])
def test_a_forward_dolly_is_recovered_with_a_given_field_of_view(with_depth: bool):
    clip = clip_of("dolly", 9, width=384, height=224)
    tracks = KltTracker().track(
        clip.frames, points=400, fov_degrees=FOV, depth=noisy_depth(clip) if with_depth else None
    )
    scores = score_tracks(tracks, clip)
    assert motion_class(tracks) == "general" and abs(scores.focal) < 1e-6
    assert path_scores(tracks.camera, clip.camera).ate < 0.01
    assert scores.rotation < 0.1 and scores.standing < 0.01


@pytest.mark.parametrize(("move", "amplitude"), [("arc", 0.02), ("truck", 0.02), ("arc", 0.06)])
def test_a_tiny_baseline_stays_sane_and_is_told(move: str, amplitude: float):
    """Whatever the class, the camera errs by no more than the little that it travels, and no lens is made up."""
    clip = clip_of(move, 9, amplitude=amplitude)
    tracks = KltTracker().track(clip.frames, points=200)
    travel = float((clip.camera.world_from_camera[:, :3, 3] / clip.depth[0].median()).norm(dim=-1).max())
    assert abs(score_tracks(tracks, clip).focal) < 0.05
    assert displacement_error(tracks, clip) < 1.1 * travel < 0.02
    assert score_tracks(tracks, clip).rotation < 1.0
    uncertain = told(tracks).keys() & {"short_travel", "small_turn"}
    assert motion_class(tracks) == "static" or any(told(tracks)[code] > Severity.INFO for code in uncertain)
    assert told(tracks).keys() & {"fov_found", "fov_assumed"}


def test_before_a_wall_the_solve_falls_back_on_the_usual_lens():
    """A turn with a travel before a wall fits lenses a quarter apart; nothing but the guess keeps it sane."""
    clip = clip_of("pan_truck", 13, seed=12, amplitude=0.6)
    tracks = KltTracker().track(clip.frames, points=200)
    assert motion_class(tracks) == "general" and abs(score_tracks(tracks, clip).focal) < 0.1
    assert told(tracks)["fov_assumed"] == Severity.CAUTION


@pytest.mark.parametrize(("move", "frames"), [("arc", 9), ("pan", 5)])
def test_motion_blur_keeps_the_class_and_the_accuracy(move: str, frames: int):
    """Seven pictures over most of a frame, averaged."""
    fine = clip_of(move, 8 * frames, width=288, height=160)
    middles = list(range(3, 8 * frames, 8))
    blurred = torch.stack([fine.frames[m - 3 : m + 4].float().mean(0).round().byte() for m in middles])
    clip = picked(fine, middles, blurred)
    tracks = KltTracker().track(clip.frames, points=250)
    scores = score_tracks(tracks, clip)
    assert motion_class(tracks) == ("rotation" if move == "pan" else "general")
    assert abs(scores.focal) < 0.03 and scores.rotation < 0.5
    assert move == "pan" or (scores.path < 0.03 and scores.standing < 0.03)


@pytest.mark.parametrize("scale", [640 / 1088, 1.3337])
def test_the_working_picture_has_one_scale_from_edge_to_edge(scale: float):
    place = np.array([1890.0, 1060.0])  # pixel centres are integers
    x, y = np.meshgrid(np.arange(1920), np.arange(1088))
    spot = 250 * np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / 2 / 4**2)
    small = gray_frames(np.repeat(spot.astype(np.uint8)[None, ..., None], 3, -1), scale)(0).astype(float)
    rows, columns = np.indices(small.shape)
    found = np.array([(small * columns).sum(), (small * rows).sum()]) / small.sum()
    np.testing.assert_allclose((found + 0.5) / scale - 0.5, place, atol=0.05)


def test_a_large_clip_is_followed_small_and_told_in_its_own_pixels():
    clip = clip_of("arc", 4, width=480, height=272, amplitude=0.3, dynamic=0.0)
    large = np.stack([cv2.resize(frame, (1920, 1088), interpolation=cv2.INTER_CUBIC) for frame in clip.frames.numpy()])
    full = KltTracker().track(large, points=300, fov_degrees=FOV)
    assert (full.camera.width, full.camera.height) == (1920, 1088)
    assert float(full.camera.intrinsics[0, 0, 0]) == pytest.approx(960 / np.tan(np.radians(FOV / 2)), rel=1e-6)
    assert float(project(full.camera, full.positions).xy[..., 0][full.visible].max()) > 1700
    scores = score_tracks(replace(full, camera=full.camera.resized(480, 272)), clip)
    assert scores.rotation < 0.1 and scores.path < 0.01 and scores.standing < 0.01


@pytest.fixture(scope="module")
def there_and_back() -> tuple[RenderedClip, PointTracks]:
    """A truck to the side and back before standing things: much leaves the picture or hides, and all comes back."""
    way = clip_of("truck", 11, dynamic=0.0)
    clip = picked(way, [*range(11), *range(9, -1, -1)])
    return clip, KltTracker().track(clip.frames, points=300)


def test_a_point_that_comes_back_is_one_track_and_seen_again(there_and_back):
    clip, tracks = there_and_back
    truth, truly, _ = true_tracks(tracks, clip)
    outside = ~project(clip.camera, truth).inside[8:13].any(0)
    returns = truly[0] & outside & truly[-1]
    assert returns.sum() > 10 and tracks.visible[-1, returns].float().mean() > 0.9
    assert tracks.visible[8:13, returns].float().mean() < 0.02
    assert (tracks.positions[:, returns] == tracks.positions[:1, returns]).all(-1).float().mean() > 0.9
    last = project(tracks.camera, tracks.positions).xy[-1][tracks.visible[-1]].numpy()
    distance, _ = cKDTree(last).query(last, k=2)
    assert np.mean(distance[:, 1] < 1) < 0.12


def test_visibility_is_the_renderers(there_and_back):
    clip, tracks = there_and_back
    assert score_points(tracks, clip).oa > 0.93


def test_visibility_is_the_renderers_with_depth_maps(there_and_back):
    clip, _ = there_and_back
    tracks = KltTracker().track(clip.frames, points=300, depth=noisy_depth(clip), camera=clip.camera)
    assert score_points(tracks, clip).oa > 0.93


def with_large_mover(move: str, frames: int) -> RenderedClip:
    """A textured box before the camera, over half of the first picture, that goes to the side."""
    scene = random_scenes(1, seed=1, texture="detailed", dynamic=0.0)

    def put(values: torch.Tensor, value) -> torch.Tensor:
        values = values.clone()
        values[0, 0] = torch.as_tensor(value)
        return values

    scene = replace(
        scene,
        centre=put(scene.centre, (-0.2, 0.0, -1.25)), size=put(scene.size, (0.42, 0.32, 0.15)),
        is_ellipsoid=put(scene.is_ellipsoid, False), velocity=put(scene.velocity, (0.35, 0.0, 0.0)),
        rotation=put(scene.rotation, torch.eye(3)),
    )  # fmt: skip
    time, first = torch.linspace(0, 1, frames), torch.eye(4)
    first[2, 3] = -2.4
    poses = (first @ move_poses(move, time, torch.tensor(0.8), torch.tensor(3.0)))[None]
    focal = 0.5 * WIDTH / np.tan(np.radians(FOV / 2))
    lens = torch.tensor([[[focal, 0, WIDTH / 2], [0, focal, HEIGHT / 2], [0, 0, 1]]], dtype=torch.float32)
    views = [render(scene, poses[:, t : t + 1], lens, time[None, t : t + 1], WIDTH, HEIGHT) for t in range(frames)]
    assert (views[0].surface == 1).float().mean() > 0.5
    return RenderedClip(
        torch.cat([view.frames() for view in views]), torch.cat([view.depth[0] for view in views]),
        source_camera(poses[0], lens[0], WIDTH, HEIGHT, fps=16.0), scene, poses[0], time,
    )  # fmt: skip


def test_a_standing_camera_stands_behind_a_mover_over_half_of_the_picture():
    tracks = KltTracker().track(with_large_mover("static", 13).frames, points=250)
    assert motion_class(tracks) == "static"
    assert torch.equal(tracks.camera.world_from_camera, torch.eye(4, dtype=torch.float64).expand(13, 4, 4))


def test_a_camera_that_may_have_been_solved_from_a_mover_is_told():
    """Nothing tells a mover over half of the picture from the scene; most of the other points then fit nothing."""
    tracks = KltTracker().track(with_large_mover("arc", 13).frames, points=250)
    assert told(tracks)["most_doubtful"] == Severity.WARNING


def test_points_keep_to_the_smooth_roof_of_a_real_bus_that_passes(real_clips):
    """Before a standing camera; what the roof has no texture to hold must not be taken to stand, and be seen there."""
    tracks = KltTracker().track(read_clip(real_clips["bikes"], frames=9).frames, points=600)
    x = project(tracks.camera, tracks.positions).xy[..., 0]
    on_roof = ((x > 215) & (x < 425)).all(0)
    way = (tracks.positions[-1] - tracks.positions[0]).norm(dim=1)
    assert motion_class(tracks) == "static" and on_roof.sum() > 30
    assert (way[on_roof] == 0).float().mean() < 0.15


def test_the_report_tells_how_many_points_were_dropped_of_how_many(there_and_back):
    _, tracks = there_and_back
    facts = next(note.facts for note in tracks.notes if note.code == "tracks_kept")
    assert 300 <= facts["followed"] and 0 <= facts["doubtful"] < facts["followed"]
    assert facts["count"] == tracks.positions.shape[1] == facts["moving"] + facts["standing"]


@pytest.mark.parametrize("move", ["pan", "arc"])
def test_in_a_scene_that_stands_hardly_a_point_moves(move: str):
    tracks = KltTracker().track(clip_of(move, 13, dynamic=0.0).frames, points=300)
    moving = next(note.facts["moving"] for note in tracks.notes if note.code == "tracks_kept")
    assert isinstance(moving, int) and moving <= 3 and "few_on_movers" not in told(tracks)


def test_a_thing_that_moves_under_few_points_is_told():
    clip = clip_of("arc", 13)
    few, many = (told(KltTracker().track(clip.frames, points=points)) for points in (60, 300))
    assert few["few_on_movers"] == Severity.CAUTION and "few_on_movers" not in many


def test_a_clip_without_texture_knows_that_it_does_not_know_depth():
    clip = clip_of("arc", 13, texture="smooth", dynamic=0.0, amplitude=0.5)
    tracks = KltTracker().track(clip.frames, points=300)
    scores, plain = score_tracks(tracks, clip), clip_of("arc", 13, dynamic=0.0)
    stated = next(note.facts for note in tracks.notes if note.code == "standing_depth_error")
    assert told(tracks)["depth_uncertain"] == Severity.CAUTION
    assert isinstance(stated["share"], float) and stated["share"] > 0.6 * scores.standing
    sharp = KltTracker().track(plain.frames, points=300)
    assert "depth_uncertain" not in told(sharp)
    assert tracks.confidence[tracks.visible].mean() < 0.6 * sharp.confidence[sharp.visible].mean()
