"""2D tracks in other packs' forms: literal examples, round trips, ATI's 121 samples, and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from track2view_core.cameras import CameraPath, project
from track2view_core.errors import Track2ViewError
from track2view_core.notes import Note, Severity
from track2view_core.scenes import rendered_clip
from track2view_core.tracks import PointTracks, pair_tracks
from track2view_core.tracks.trackers.assembly import path_of_shots
from track2view_core.tracks.trackers.flow import follow_points
from track2view_core.tracks.trackers.footage import gray_frames
from track2view_core.tracks.trackers.shots import solve_shots, working_scale
from track2view_core.tracks.trackers.triangulation import BACKDROP
from track2view_core.tracks.tracks_2d import (
    Tracks2D,
    ati_samples,
    core_from_tracks,
    json_from_tracks,
    lift_tracks,
    tracks_from_core,
    tracks_from_json,
    tracks_of_view,
)

SPLINE = '[{"x": 10, "y": 20.5}, {"x": 12, "y": 21}, {"x": 14.25, "y": 22}]'  # one track of KJNodes' spline editor
SPLINES = f"[{SPLINE}, {SPLINE}]"


def some(frames: int = 9, tracks: int = 4) -> Tracks2D:
    generator = torch.Generator().manual_seed(0)
    xy = (torch.rand(frames, tracks, 2, generator=generator) * 1000).round(decimals=3)
    return Tracks2D(xy, torch.rand(frames, tracks, generator=generator) > 0.3)


def test_the_literal_dict_of_core() -> None:
    told = {
        "track_path": torch.tensor([[[1.0, 2], [3, 4]], [[5, 6], [7, 8]], [[9, 10], [11, 12]]]),
        "track_visibility": torch.tensor([[True, False], [True, True], [False, True]]),
    }
    tracks = tracks_from_core(told)
    assert tracks.xy[2, 1].tolist() == [11, 12]
    assert tracks.visible.tolist() == [[True, False], [True, True], [False, True]]
    assert tracks_from_core({"track_path": told["track_path"]}).visible.all()
    per_frame = tracks_from_core({**told, "track_visibility": torch.tensor([[True], [False], [True]])})
    assert per_frame.visible.tolist() == [[True, True], [False, False], [True, True]]


def test_core_tracks_survive_the_round_trip() -> None:
    found = tracks_from_core(core_from_tracks(some()))
    assert torch.equal(found.xy, some().xy) and torch.equal(found.visible, some().visible)


@pytest.mark.parametrize(
    "text",
    [
        SPLINES,
        [SPLINE, SPLINE],
        json.dumps([SPLINE, SPLINE]),
        [SPLINES],
        SPLINES.replace('"', "'"),
    ],
)
def test_every_form_of_json_is_the_same_two_tracks(text) -> None:
    tracks, told = tracks_from_json(text)
    assert tracks.xy.tolist() == [[[10, 20.5]] * 2, [[12, 21]] * 2, [[14.25, 22]] * 2]
    assert tracks.visible.all() and told == Note.of("samples_are_frames", samples=3)


def test_one_track_alone() -> None:
    tracks, _ = tracks_from_json(SPLINE)
    assert tracks.xy.shape == (3, 1, 2)


@pytest.mark.parametrize("frames", [1, 2, 9, 81])
def test_json_survives_the_round_trip(frames: int) -> None:
    tracks = some(frames)
    found, _ = tracks_from_json(json_from_tracks(tracks), frames=frames)
    torch.testing.assert_close(found.xy, tracks.xy, atol=6e-4, rtol=0)


def what_ati_takes(samples: torch.Tensor, frames: int) -> torch.Tensor:
    """An oracle in ATI's own steps: the first sample, and every a-th of the other 120 repeated b times."""
    later = frames - 1
    a, b = 120 // math.gcd(120, later), later // math.gcd(120, later)
    return torch.cat([samples[:1], samples[1:].repeat_interleave(b, dim=0)[1::a]])


@pytest.mark.parametrize("frames", [5, 17, 33, 49, 77, 81, 117])
def test_ati_takes_from_121_samples_exactly_the_clips_frames(frames: int) -> None:
    tracks = some(frames)
    samples, _ = tracks_from_json(json_from_tracks(tracks, samples=121))
    assert len(samples) == 121
    torch.testing.assert_close(what_ati_takes(samples.xy, frames), tracks.xy, atol=2e-3, rtol=0)
    again, told = tracks_from_json(json_from_tracks(tracks, samples=121), frames=frames)
    torch.testing.assert_close(again.xy, tracks.xy, atol=2e-3, rtol=0)
    assert told == Note.of("samples_of_ati", samples=121)
    assert torch.equal(what_ati_takes(torch.arange(121), frames), torch.from_numpy(ati_samples(frames)))


def test_other_numbers_of_points_are_spread_over_the_clip() -> None:
    line = json.dumps([[{"x": 0, "y": 0}, {"x": 8, "y": 4}]])
    tracks, told = tracks_from_json(line, frames=5)
    assert tracks.xy[:, 0].tolist() == [[0, 0], [2, 1], [4, 2], [6, 3], [8, 4]]
    assert told == Note.of("samples_spread", samples=2, frames=5)
    held, told = tracks_from_json('[{"x": 3, "y": 4}]', frames=4)
    assert held.xy[:, 0].tolist() == [[3, 4]] * 4 and told == Note.of("sample_held")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not json", "no JSON"),
        ("[]", "no tracks"),
        ("{}", "no tracks"),
        ("[[]]", "no tracks"),
        ("[1, 2]", "no tracks"),
        ('[[{"x": 1, "y": 2}], [{"x": 1, "y": 2}, {"x": 1, "y": 2}]]', "tracks of 1 to 2 points"),
        ('[[{"x": 1}]]', "has a point"),
        ('[[{"x": "a", "y": 2}]]', "has a point"),
        ('[[{"x": NaN, "y": 2}]]', "NaN or infinity at frame 0, track 0"),
        ("[" * 100_000, "no JSON"),
        (["5"], "no tracks"),
        ('["5"]', "no tracks"),
        (["[]", SPLINE], "no tracks"),
        ("5", "no tracks"),
    ],
)
def test_what_is_no_tracks_is_one_sentence(text: str, words: str) -> None:
    with pytest.raises(Track2ViewError, match=words):
        tracks_from_json(text)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (None, "no track_path"),
        ({}, "no track_path"),
        ({"track_path": torch.zeros(3, 2)}, "must be \\[frames, tracks, 2\\]"),
        ({"track_path": torch.full((1, 1, 2), float("nan"))}, "NaN or infinity"),
        ({"track_path": torch.zeros(3, 2, 2), "track_visibility": torch.ones(2, 3)}, "track_visibility of shape"),
    ],
)
def test_what_is_no_core_tracks_is_one_sentence(told: object, words: str) -> None:
    with pytest.raises(Track2ViewError, match=words):
        tracks_from_core(told)


def test_the_views_of_paired_tracks() -> None:
    lens = torch.tensor([[100.0, 0, 64], [0, 100, 48], [0, 0, 1]]).expand(3, 3, 3)
    source = CameraPath(torch.eye(4).expand(3, 4, 4), lens, 128, 96)
    pose = torch.eye(4).repeat(3, 1, 1)
    pose[:, 0, 3] = 1.0
    points = torch.tensor([[0.0, 0, 2], [1, 0, 2], [3, 0, 2], [0.5, 0, 2]]).expand(3, 4, 3)
    visible = torch.ones(3, 4, dtype=torch.bool)
    visible[1:, 0], visible[:, 3] = False, False
    paired = pair_tracks(PointTracks(points, visible, torch.ones(3, 4), source), CameraPath(pose, lens, 128, 96))
    seen = tracks_of_view(paired, "source")
    assert seen.xy[0].tolist() == [[64, 48], [114, 48], [214, 48], [89, 48]]
    assert seen.visible.tolist() == [[True, True, False, False], *[[False, True, False, False]] * 2]
    shown = tracks_of_view(paired, "target")
    assert shown.xy[0].tolist() == [[14, 48], [64, 48], [164, 48], [39, 48]]
    assert shown.visible.tolist() == [[True, True, False, False]] * 3
    with pytest.raises(Track2ViewError, match="source or target"):
        tracks_of_view(paired, "side")


FRAMES, WIDTH, HEIGHT = 9, 256, 160


def camera(*, travel: float, lens: tuple[float, float, float, float] = (200, 200, 128, 80)) -> CameraPath:
    poses = torch.eye(4, dtype=torch.float64).repeat(FRAMES, 1, 1)
    poses[:, 0, 3] = torch.linspace(0, travel, FRAMES)
    fx, fy, cx, cy = lens
    matrix = torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float64)
    return CameraPath(poses, matrix.expand(FRAMES, 3, 3), WIDTH, HEIGHT)


def scene(path: CameraPath) -> PointTracks:
    """A slanted wall of standing points, every fifth of which slides along it."""
    generator = torch.Generator().manual_seed(0)
    uv = torch.rand(200, 2, generator=generator) - 0.5
    first = torch.stack([2 * uv[:, 0], 1.2 * uv[:, 1], 3 + uv[:, 0]], -1)
    points = first.repeat(FRAMES, 1, 1)
    slide = torch.linspace(0, 0.3, FRAMES)[:, None] * torch.tensor([0.0, 1, 0])
    points[:, ::5] += slide[:, None]
    view = project(path, points)
    return PointTracks(points, view.inside, torch.ones(FRAMES, 200), path)


def wall_depth(path: CameraPath) -> torch.Tensor:
    """The slanted wall z = 3 + x / 2 as the camera sees it."""
    y, x = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
    lens, left = path.intrinsics[0], path.world_from_camera[:, 0, 3].float()
    ray = (x - float(lens[0, 2])) / float(lens[0, 0])
    return (3 + 0.5 * left[:, None, None]) / (1 - 0.5 * ray) + 0 * y


LENSES = [(200, 200, 128, 80), (210, 190, 120, 86)]


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("travel", [0.0, 1.0])
def test_exact_tracks_give_back_their_points(travel: float, lens) -> None:
    path = camera(travel=travel, lens=lens)
    true = scene(path)
    view = project(path, true.positions)
    lifted = lift_tracks(Tracks2D(view.xy, true.visible), camera=path, depth=wall_depth(path))
    assert lifted.positions.shape[1] >= 190
    again = project(path, lifted.positions)
    # which of the given tracks was kept: the one whose pixels it has
    apart = (again.xy[:, :, None] - view.xy[:, None]).norm(dim=-1)
    apart = torch.where(lifted.visible[:, :, None] & true.visible[:, None], apart, 0.0).amax(0)
    nearest = apart.min(dim=1)
    assert nearest.values.max() < 1.5, "standing points stay within the limit of 1 px, moving ones are exact"
    error = (lifted.positions - true.positions[:, nearest.indices]).norm(dim=-1) / true.positions[..., 2].median()
    assert error[lifted.visible].median() < 0.005 and error[lifted.visible].quantile(0.95) < 0.03
    assert lifted.notes[0].code == "tracks_lifted"


def test_without_depth_a_flat_backdrop_is_assumed_and_said() -> None:
    path = camera(travel=0.0)
    true = scene(path)
    lifted = lift_tracks(Tracks2D(project(path, true.positions).xy, true.visible), camera=path)
    (told,) = [note for note in lifted.notes if note.code == "depth_assumed"]
    assert told.severity == Severity.CAUTION and told.facts["count"] == lifted.positions.shape[1]
    depth = project(path, lifted.positions).depth
    moves = (lifted.positions - lifted.positions[:1]).abs().amax((0, 2)) > 1e-6
    assert 30 < moves.sum() < 60
    torch.testing.assert_close(depth[:, moves], torch.ones_like(depth[:, moves]))
    torch.testing.assert_close(depth[:, ~moves], torch.full_like(depth[:, ~moves], 1 / BACKDROP))


def test_order_colours_and_unknown_depth() -> None:
    clip = rendered_clip("static", frames=5, width=96, height=64, seed=1)
    xy = torch.tensor([[80.0, 20.0], [10.0, 50.0], [40.0, 30.0]]).repeat(5, 1, 1)
    depth = clip.depth.clone()
    depth[:, :40, 60:] = float("inf")
    visible = torch.ones(5, 3, dtype=torch.bool)
    lifted = lift_tracks(Tracks2D(xy, visible), camera=clip.camera, depth=depth, video=clip.frames)
    back = project(clip.camera, lifted.positions)
    torch.testing.assert_close(back.xy, xy, atol=1e-2, rtol=0)
    assert lifted.positions.isfinite().all()
    seen = clip.frames[0, 30, 40].float()
    assert (lifted.colors[2].float() - seen).abs().max() < 60 and lifted.colors.shape == (3, 3)


@pytest.mark.parametrize("which", ["camera", "depth", "video"])
def test_other_lengths_are_named(which: str) -> None:
    path = camera(travel=0.0)
    given = {"camera": path, "depth": np.ones((FRAMES, 4, 4)), "video": np.zeros((FRAMES, HEIGHT, WIDTH, 3), np.uint8)}
    given[which] = given[which].with_frames([0, 1]) if which == "camera" else given[which][:2]
    with pytest.raises(Track2ViewError, match=f"9 frames and {which} has 2"):
        lift_tracks(Tracks2D(torch.zeros(FRAMES, 3, 2), torch.ones(FRAMES, 3, dtype=torch.bool)), **given)


def test_tracks_outside_the_picture_cannot_be_placed() -> None:
    flat = Tracks2D(torch.full((FRAMES, 3, 2), -50.0), torch.ones(FRAMES, 3, dtype=torch.bool))
    with pytest.raises(Track2ViewError, match="None of the 3 2D tracks"):
        lift_tracks(flat, camera=camera(travel=1.0), depth=np.ones((FRAMES, 4, 4)))


def test_a_foreign_world_becomes_the_first_cameras() -> None:
    path = camera(travel=1.0)
    moved = path.world_from_camera.clone()
    moved[:, :3, 3] += torch.tensor([5.0, 1, 2], dtype=torch.float64)
    true = scene(path)
    flat = Tracks2D(project(path, true.positions).xy, true.visible)
    here = lift_tracks(flat, camera=path, depth=wall_depth(path))
    there = lift_tracks(flat, camera=replace(path, world_from_camera=moved), depth=wall_depth(path))
    torch.testing.assert_close(there.positions, here.positions, atol=1e-4, rtol=0)


# The camera solved from the tracks


@pytest.mark.parametrize(
    ("move", "size", "within"),
    [("arc", (320, 224), 1e-6), ("pan", (320, 224), 1e-6), ("static", (320, 224), 1e-6), ("arc", (240, 160), 3e-5)],
)
def test_the_trackers_own_flow_solves_to_its_own_camera_and_points(
    move: str, size: tuple[int, int], within: float
) -> None:
    """Handed over as TRACKS, which hold float32; the last clip is so small that it is followed enlarged."""
    clip = rendered_clip(move, frames=9, width=size[0], height=size[1], seed=1)
    video, scale = clip.frames.numpy(), working_scale(*size)
    flow = follow_points(gray_frames(video, scale), len(video), density=400)
    flow = replace(flow, xy=flow.xy.astype(np.float32).astype(np.float64))
    ((_, _, _, shot),) = solve_shots(flow, size, scale)
    told = core_from_tracks(Tracks2D(torch.from_numpy(flow.xy / scale).float(), torch.from_numpy(flow.seen)))
    lifted = lift_tracks(tracks_from_core(told), video=clip.frames)
    path = path_of_shots([shot], *size, scale)
    torch.testing.assert_close(lifted.camera.world_from_camera, path.world_from_camera, atol=within, rtol=0)
    torch.testing.assert_close(lifted.camera.intrinsics, path.intrinsics, atol=0, rtol=within)
    own = torch.from_numpy(shot.lifted.positions[:, shot.lifted.kept]).float()
    torch.testing.assert_close(lifted.positions, own, atol=within, rtol=within)
    assert {note.code for note in shot.notes} <= {note.code for note in lifted.notes}


def test_two_shots_are_solved_each_on_its_own() -> None:
    path = camera(travel=1.0)
    true = scene(path)
    view = project(path, true.positions)
    twice = Tracks2D(
        torch.cat([view.xy, view.xy]).repeat(1, 2, 1), torch.zeros(2 * FRAMES, 2 * view.xy.shape[1]).bool()
    )
    twice.visible[:FRAMES, : view.xy.shape[1]] = twice.visible[FRAMES:, view.xy.shape[1] :] = true.visible
    video = np.zeros((2 * FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    lifted = lift_tracks(twice, video=video)
    (cut,) = [note for note in lifted.notes if note.code == "cuts"]
    assert cut.facts["frames"] == (FRAMES,) and {note.shot for note in lifted.notes} == {None, 0, FRAMES}
    poses = lifted.camera.world_from_camera
    torch.testing.assert_close(poses[:FRAMES], poses[FRAMES:], atol=1e-6, rtol=0)
    assert poses[FRAMES - 1, 0, 3] > 0.1, "it travels"


def test_a_handful_of_splines_stands_or_takes_the_path_that_is_proposed() -> None:
    flat = Tracks2D(torch.rand(FRAMES, 5, 2) * 100 + 20, torch.ones(FRAMES, 5, dtype=torch.bool))
    video = np.zeros((FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    standing = lift_tracks(flat, video=video, fov_guess=50.0, depth=np.ones((FRAMES, 4, 4)))
    assert (standing.camera.world_from_camera == torch.eye(4)).all() and standing.notes[0].code == "camera_stands"
    path = camera(travel=1.0)
    proposed = lift_tracks(flat, video=video, proposed=path, depth=np.ones((FRAMES, 4, 4)))
    torch.testing.assert_close(proposed.camera.world_from_camera, path.relative_to_first().world_from_camera)
    with pytest.raises(Track2ViewError, match="without camera and without video"):
        lift_tracks(flat)
