"""How far what moves is: objects in the silhouettes, their depth from tracks or contact, and tracks placed there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from track2view_core.cameras import CameraPath, project
from track2view_core.notes import Note
from track2view_core.render import ClipGeometry
from track2view_core.render.movers import mover_inverse_depth, object_labels
from track2view_core.render.placed_movers import placed_movers
from track2view_core.render.source_tracks import SourceTracks
from track2view_core.tracks import PointTracks

FRAMES, WIDTH, HEIGHT = 20, 416, 240
FLOOR, WALL = 1.5, 12.0
ASSUMED = Note.of("mover_depth_assumed", count=60)


def camera() -> CameraPath:
    """To the right by 0.4, level, 1.5 above the floor."""
    path = CameraPath.standing(FRAMES, WIDTH, HEIGHT, fov_degrees=62.0)
    poses = path.world_from_camera.clone()
    poses[:, 0, 3] = torch.linspace(0, 0.4, FRAMES)
    return replace(path, world_from_camera=poses)


def room(*, distance: float = 6.0, slide: float = 0.6) -> tuple[PointTracks, np.ndarray, np.ndarray]:
    """Points of a floor and a wall, and of an upright board that slides over the floor; the board's silhouettes at
    half size, and the inverse depth of floor and wall at a quarter."""
    random, path = np.random.default_rng(0), camera()
    wall = random.uniform([-8, -6, WALL], [8, FLOOR, WALL], (300, 3))
    floor = random.uniform([-6, FLOOR, 3], [6, FLOOR, WALL], (300, 3))
    board = random.uniform([-0.4, FLOOR - 1.7, distance], [0.4, FLOOR, distance], (60, 3))
    points = np.broadcast_to(np.concatenate([wall, floor, board]), (FRAMES, 660, 3)).copy()
    points[:, 600:, 0] += np.linspace(-slide / 2, slide / 2, FRAMES)[:, None]
    positions = torch.from_numpy(points).float()
    tracks = PointTracks(positions, project(path, positions).inside, torch.ones(FRAMES, 660), path)
    low = torch.tensor([[-0.4, FLOOR - 1.7, distance], [0.4, FLOOR, distance]])
    corners = low.expand(FRAMES, 2, 3) + torch.stack([positions[:, 600, 0] - positions[0, 600, 0] - slide / 2,
                                                      *[torch.zeros(FRAMES)] * 2], -1)[:, None]  # fmt: skip
    edge = project(path, corners).xy.numpy() / 2
    y, x = np.mgrid[: HEIGHT // 2, : WIDTH // 2] + 0.5
    inside = (x > edge[:, :1, :1]) & (x < edge[:, 1:, :1]) & (y > edge[:, :1, 1:]) & (y < edge[:, 1:, 1:])
    down = (np.arange(HEIGHT // 4) * 4 + 2 - HEIGHT / 2) / float(path.intrinsics[0, 1, 1])
    standing = np.broadcast_to(np.maximum(down / FLOOR, 1 / WALL)[:, None], (FRAMES, HEIGHT // 4, WIDTH // 4))
    return tracks, inside, standing.astype(np.float32)


def wrongly_placed(tracks: PointTracks, factor: float = 0.6) -> PointTracks:
    """The board at `factor` of its distance, as seen from each camera, which the note admits."""
    centre = tracks.camera.world_from_camera[:, None, :3, 3].float()
    positions = tracks.positions.clone()
    positions[:, 600:] = centre + factor * (positions[:, 600:] - centre)
    return replace(tracks, positions=positions, notes=(ASSUMED,))


def geometry(tracks: PointTracks, silhouettes: np.ndarray, standing: np.ndarray) -> ClipGeometry:
    source = SourceTracks.of(tracks, WIDTH, HEIGHT)
    codes = frozenset(note.code for note in tracks.notes)
    inverse = mover_inverse_depth(source, silhouettes, standing, codes)
    return ClipGeometry(
        torch.from_numpy(standing), torch.from_numpy(silhouettes), torch.from_numpy(inverse), source.camera
    )


@pytest.mark.parametrize("distance", [6.0, 8.0])
def test_an_assumed_depth_gives_way_to_contact_upright_and_steady(distance: float) -> None:
    tracks, silhouettes, standing = room(distance=distance)
    found = geometry(wrongly_placed(tracks), silhouettes, standing).mover_inverse.numpy()
    assert ((found > 0) == silhouettes).all()
    each = [found[t][silhouettes[t]] for t in range(FRAMES)]
    assert all(np.ptp(values) == 0 for values in each), "one depth a frame, nothing leans"
    depth = np.array([values[0] for values in each])
    assert np.abs(depth * distance - 1).max() < 0.08
    assert np.abs(np.diff(np.log(depth))).max() < 0.01


def test_a_measured_depth_is_spread_over_the_object_slope_and_all() -> None:
    tracks, silhouettes, standing = room()
    slanted = tracks.positions.clone()
    slanted[:, 600:, 2] += 1.5 * (slanted[:, 600:, 0] - slanted[:, 600:, 0].mean(1, keepdim=True))
    slanted[3, 600] *= 0.3  # a wrong one
    tracks = replace(tracks, positions=slanted, visible=project(tracks.camera, slanted).inside)
    found = geometry(tracks, silhouettes, standing).mover_inverse.numpy()
    view = project(tracks.camera, slanted[:, 601:])
    for t in range(FRAMES):
        column, row = (view.xy[t].numpy() / 2).astype(int).T
        within = silhouettes[t, row.clip(0, HEIGHT // 2 - 1), column.clip(0, WIDTH // 2 - 1)]
        told = found[t, row[within], column[within]] * view.depth[t].numpy()[within]
        assert np.abs(told - 1).mean() < 0.02 and within.sum() > 30


def test_tracks_are_placed_where_the_geometry_says_and_measured_ones_left_alone() -> None:
    tracks, silhouettes, standing = room()
    wrong = wrongly_placed(tracks)
    placed = placed_movers(wrong, geometry(wrong, silhouettes, standing))
    assert torch.equal(placed.positions[:, :600], wrong.positions[:, :600]) and placed.notes == wrong.notes
    seen = tracks.visible[:, 600:]
    off = (placed.positions - tracks.positions)[:, 600:].norm(dim=-1) / 6.0
    assert off[seen].max() < 0.1 < (wrong.positions - tracks.positions)[:, 600:].norm(dim=-1)[seen].min() / 6.0
    before, after = (project(tracks.camera, each.positions).xy[:, 600:] for each in (wrong, placed))
    assert (before - after)[seen].abs().max() < 0.01, "their pixels stay"
    again = placed_movers(placed, geometry(placed, silhouettes, standing))
    torch.testing.assert_close(again.positions, placed.positions, atol=1e-3, rtol=1e-3)
    assert placed_movers(tracks, geometry(tracks, silhouettes, standing)) is tracks


def test_a_head_stays_with_its_body_and_a_part_without_tracks_keeps_its_number() -> None:
    silhouettes = np.zeros((3, 60, 100), bool)
    silhouettes[:, 10:50, 10:30] = True  # a body, whose top has tracks of another object
    for t in range(3):
        silhouettes[t, 20:40, 70 + 2 * t : 90 + 2 * t] = True  # nobody's
    random = np.random.default_rng(0)
    xy = np.concatenate([random.uniform([10, 20], [30, 50], (20, 2)), random.uniform([10, 10], [30, 15], (12, 2))])
    labels = object_labels(
        silhouettes, np.broadcast_to(xy, (3, 32, 2)), np.ones((3, 32), bool), np.repeat([0, 1], [20, 12])
    )
    assert ((labels >= 0) == silhouettes).all()
    assert (labels[:, 10:50, 10:30] == 0).all()
    assert set(labels[:, :, 60:].ravel().tolist()) == {-1, 2}


def test_what_rests_on_another_is_of_it_and_what_stands_beside_it_is_not() -> None:
    silhouettes, random = np.zeros((3, 60, 100), bool), np.random.default_rng(0)
    silhouettes[:, 10:50, 10:30] = True  # a body on legs
    silhouettes[:, 15:45, 30:40] = True  # another, smaller one beside it
    silhouettes[:, 10:22, 40:44] = True  # a hand, too small to stand
    boxes = [([10, 32], [30, 50]), ([10, 10], [30, 28]), ([31, 15], [39, 45]), ([40, 10], [44, 22])]
    xy = np.concatenate([random.uniform(*box, (20, 2)) for box in boxes])
    video = np.zeros((3, 60, 100, 3), np.uint8)
    for shade, ((left, top), (right, bottom)) in enumerate(boxes, 1):
        video[:, top : bottom + 4, left - 1 : right + 1] = 60 * shade
    labels = object_labels(
        silhouettes, np.broadcast_to(xy, (3, 80, 2)), np.ones((3, 80), bool), np.repeat(range(4), 20), None, video
    )
    assert (labels[:, 12:48, 12:28] == 0).all() and (labels[:, 17:43, 32:38] == 2).mean() > 0.95
    assert (labels[:, 12:20, 41:43] != 3).all()


def test_silhouettes_without_any_track_stand_before_an_assumed_backdrop() -> None:
    tracks, silhouettes, standing = room()
    still = tracks.select(torch.arange(600))
    flat = np.full_like(standing, 0.62)
    source = SourceTracks.of(still, WIDTH, HEIGHT)
    found = mover_inverse_depth(source, silhouettes, flat, frozenset({"depth_assumed"}))
    np.testing.assert_allclose(found[silhouettes], 1.0, rtol=1e-5)
    rests = mover_inverse_depth(source, silhouettes, standing)
    assert np.abs(rests[silhouettes] * 6.0 - 1).max() < 0.1


def test_what_passes_behind_keeps_its_depth_and_ends_at_its_colour() -> None:
    silhouettes = np.ones((1, 68, 120), bool)
    places = np.array([[60 + 10 * i, 10 + 10 * j] for i in range(6) for j in range(6)] + [[4, 20], [8, 40], [4, 60]])
    objects = np.array([0] * 36 + [1] * 3)
    near, far = np.full(36, 0.5), np.full(3, 0.2)
    given = silhouettes, places[None] + 0.5, np.ones((1, 39), bool), objects
    assert (object_labels(*given) == 0).all(), "a small part of like depth belongs to the large one"
    video = np.full((1, 68, 120, 3), 200, np.uint8)
    video[:, :, :30] = 40  # less than a third of the whole
    labels = object_labels(*given, np.concatenate([near, far])[None], video)
    assert (labels[:, :, 2:28] == 1).mean() > 0.95 and (labels[:, :, 33:] == 0).all()


def test_a_lone_track_joins_the_nearest_object_of_its_depth() -> None:
    tracks, silhouettes, standing = room()
    source = SourceTracks.of(tracks, WIDTH, HEIGHT)
    alone = mover_inverse_depth(source, silhouettes, standing)
    board = np.flatnonzero(source.moving)
    few = replace(source, seen=source.seen.copy())
    few.seen[:, board[12:]] = False
    fewer = mover_inverse_depth(few, silhouettes, standing)
    ratio = fewer[silhouettes] / alone[silhouettes]
    assert np.abs(np.median(ratio) - 1) < 0.02


def test_a_measured_relief_stands_out_of_its_plane() -> None:
    tracks, silhouettes, standing = room()
    positions = tracks.positions.clone()
    board = positions[:, 600:]
    middle = board[..., 0].mean(1, keepdim=True)
    board[..., 2] += 2.0 * (board[..., 0] - middle).abs()  # the edge of a house, nearest in the middle
    tracks = replace(tracks, positions=positions)
    source = SourceTracks.of(tracks, WIDTH, HEIGHT)
    found = mover_inverse_depth(source, silhouettes, standing)
    for t in range(0, FRAMES, 5):
        column, row = (source.xy[t, 600:] / 2).astype(int).T
        inside = silhouettes[t, row.clip(0, HEIGHT // 2 - 1), column.clip(0, WIDTH // 2 - 1)]
        ratio = found[t, row[inside], column[inside]] / source.inverse[t, 600:][inside]
        assert inside.sum() > 20 and np.quantile(np.abs(ratio - 1), 0.9) < 0.02
