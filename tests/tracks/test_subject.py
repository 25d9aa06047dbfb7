"""How far the subject is: what moves in the middle, else what is central and near, or the point that is pointed at."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from track2view_core.cameras import CameraPath, project
from track2view_core.errors import Track2ViewError
from track2view_core.tracks import PointTracks, subject_distance
from track2view_core.tracks.subject import Subject, read_subject, subject_place

FRAMES, WIDTH, HEIGHT = 9, 416, 240
FAR, NEAR = 10.0, 4.0


def clip(*, at: float = 0.0, near: float = NEAR, moves: float = 0.0, scale: float = 1.0) -> PointTracks:
    """A wall at FAR over the whole picture, and before it a thing, `at` picture widths right of the middle."""
    path = CameraPath.standing(FRAMES, WIDTH, HEIGHT, fov_degrees=60.0)
    generator = torch.Generator().manual_seed(0)
    focal = float(path.intrinsics[0, 0, 0])
    share = torch.rand(500, 2, generator=generator) - 0.5
    wall = torch.cat([share * torch.tensor([WIDTH, HEIGHT]) / focal * FAR, torch.full((500, 1), FAR)], 1)
    share = (torch.rand(40, 2, generator=generator) - 0.5) * torch.tensor([0.15, 0.4]) + torch.tensor([at, 0.0])
    thing = torch.cat([share * torch.tensor([WIDTH, HEIGHT]) / focal * near, torch.full((40, 1), near)], 1)
    positions = torch.cat([wall, thing]).repeat(FRAMES, 1, 1)
    positions[:, 500:, 1] += moves * torch.linspace(-0.5, 0.5, FRAMES)[:, None]
    positions = scale * positions
    return PointTracks(positions, project(path, positions).inside, torch.ones(FRAMES, 540), path)


def test_what_is_central_and_near_is_the_subject_and_the_median_is_not() -> None:
    tracks = clip()
    assert tracks.scene_scale == pytest.approx(FAR)
    distance, found = subject_distance(tracks)
    assert distance == pytest.approx(NEAR) and "central and near" in found.text()
    assert found.facts["ratio"] == pytest.approx(NEAR / FAR)
    assert subject_distance(tracks, "median")[0] == tracks.scene_scale
    assert subject_distance(clip(at=0.42))[0] == pytest.approx(FAR), "at the edge it is none"


def test_what_moves_is_the_subject_also_far_behind_what_stands() -> None:
    tracks = clip(near=14.0, moves=1.0)
    distance, found = subject_distance(tracks)
    assert distance == pytest.approx(14.0) and "moves" in found.text()
    assert subject_distance(clip(near=14.0))[0] == pytest.approx(FAR)
    assert subject_distance(clip(near=14.0, moves=1.0, at=0.42))[0] == pytest.approx(FAR), "a passer-by"


@pytest.mark.parametrize(("at", "near", "moves"), [(0.1, NEAR, 0.0), (-0.12, NEAR, 0.0), (0.1, 14.0, 1.0)])
def test_the_place_of_the_subject_is_the_middle_of_the_thing(at: float, near: float, moves: float) -> None:
    tracks = clip(at=at, near=near, moves=moves)
    x, y, z = subject_place(tracks)
    assert z == pytest.approx(subject_distance(tracks)[0])
    focal = float(tracks.camera.intrinsics[0, 0, 0])
    assert x / z * focal / WIDTH == pytest.approx(at, abs=0.025)
    assert y / z * focal / HEIGHT == pytest.approx(0, abs=0.06)


@pytest.mark.parametrize("subject", ["auto", "median", "208,120", "20,20,3"])
def test_the_distance_is_in_the_units_of_the_tracks(subject: str) -> None:
    one, twice = (subject_distance(clip(scale=scale), subject)[0] for scale in (1.0, 2.0))
    assert twice == pytest.approx(2 * one)


def test_a_place_is_the_nearest_tracked_point_in_pixels_of_the_clip() -> None:
    tracks = clip(moves=0.2)
    view = project(tracks.camera, tracks.positions)
    for track in (17, 520):
        x, y = (4 * view.xy[6, track]).tolist()  # of a clip four times as large
        distance, found = subject_distance(tracks, f"{x:.2f},{y:.2f},6", size=(4 * WIDTH, 4 * HEIGHT))
        assert distance == pytest.approx(float(view.depth[6, track])) and "is the point 0 px from" in found.text()


def test_a_place_where_nothing_is_tracked_is_refused_in_a_sentence() -> None:
    tracks = clip()
    corner = replace(tracks, visible=tracks.visible & (project(tracks.camera, tracks.positions).xy[..., 0] > 100))
    with pytest.raises(Track2ViewError, match="No tracked point lies within 25 px of 20, 120 in frame 2"):
        subject_distance(corner, "20,120,2")
    with pytest.raises(Track2ViewError, match="frames 0 to 8"):
        subject_distance(tracks, "20,20,9")
    with pytest.raises(Track2ViewError, match="outside the clip's 416 x 240"):
        subject_distance(tracks, "600,20")


def test_how_it_is_written() -> None:
    assert read_subject(" Auto ") == Subject("auto") and read_subject("median") == Subject("median")
    assert read_subject("12, 34.5") == Subject("point", 12.0, 34.5) and read_subject("1,2,3").frame == 3
    for text in ("", "me", "1", "1,2,3,4", "1,nan", "-1,2", "1,2,0.5"):
        with pytest.raises(Track2ViewError, match="must be auto, median, or X,Y"):
            read_subject(text)
