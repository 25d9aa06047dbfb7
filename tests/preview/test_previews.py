from __future__ import annotations

import pytest
import torch

from track2view_core.cameras import CameraPath, preset_path
from track2view_core.errors import Track2ViewError
from track2view_core.preview import SideBySide, coverage_band, pair_view, path_plot, side_by_side, world_points
from track2view_core.preview.drawing import GOOD, POOR, SOURCE, TARGET, pane_size
from track2view_core.tracks import PairedTracks, PointTracks, pair_tracks


def still_camera(frames: int, width: int = 128, height: int = 96) -> CameraPath:
    intrinsics = torch.tensor([[100.0, 0, width / 2], [0, 100.0, height / 2], [0, 0, 1]])
    return CameraPath(torch.eye(4).repeat(frames, 1, 1), intrinsics.repeat(frames, 1, 1), width, height)


def make_tracks(frames: int = 5, points: int = 60, seed: int = 0) -> PointTracks:
    generator = torch.Generator().manual_seed(seed)
    spread = torch.rand((1, points, 3), generator=generator) * torch.tensor([2.0, 1.4, 2.0])
    positions = (spread + torch.tensor([-1.0, -0.7, 2.0])).expand(frames, -1, -1).clone()
    visible = torch.rand((frames, points), generator=generator) > 0.2
    return PointTracks(positions, visible, torch.ones(frames, points), still_camera(frames))


def make_pair(frames: int = 5, points: int = 60, preset: str = "orbit_left", amount: float = 0.5) -> PairedTracks:
    tracks = make_tracks(frames, points)
    target = preset_path(preset, tracks.camera, amount=amount, scene_scale=tracks.scene_scale)
    return pair_tracks(tracks, target)


def grey(frames: int, width: int = 128, height: int = 96) -> torch.Tensor:
    return torch.full((frames, height, width, 3), 90, dtype=torch.uint8)


def has_color(picture: torch.Tensor, color: tuple[int, int, int]) -> bool:
    return bool((picture == torch.tensor(color, dtype=torch.uint8)).all(dim=-1).any())


@pytest.mark.parametrize("size", [(1920, 1080), (128, 128), (16, 16), (63, 47), (480, 832), (10, 700)])
def test_panes_are_even_readable_and_keep_the_aspect(size):
    width, height = pane_size(*size)
    assert width % 2 == height % 2 == 0
    assert 512 <= max(width, height) <= 960
    assert width / height == pytest.approx(size[0] / size[1], rel=0.02) or min(width, height) < 16


def test_one_point_has_one_color_in_both_views():
    camera = still_camera(3)
    positions = torch.tensor([[-0.8, -0.5, 3.0], [0.8, 0.5, 3.0]]).repeat(3, 1, 1)
    tracks = PointTracks(positions, torch.ones(3, 2, dtype=torch.bool), torch.ones(3, 2), camera)
    pair = pair_tracks(tracks, preset_path("truck_left", camera, amount=0.3, scene_scale=3.0))
    pictures = pair_view(grey(3), pair)
    width, height = pane_size(128, 96)
    at = {}
    for name, view, offset in (("source", pair.source, 0), ("target", pair.target, width + 8)):
        column = (view.xy[2, :, 0] * width / 128).long() + offset
        row = (view.xy[2, :, 1] * height / 96).long()
        at[name] = pictures[2, row, column]
    assert torch.equal(at["source"], at["target"])
    assert not torch.equal(at["source"][0], at["source"][1])


def test_hidden_points_are_rings():
    tracks = make_tracks(2, 40)
    shown = PointTracks(tracks.positions, torch.ones(2, 40, dtype=torch.bool), tracks.confidence, tracks.camera)
    hidden = torch.ones(2, 40, dtype=torch.bool)
    hidden[1] = False
    hollow = PointTracks(tracks.positions, hidden, tracks.confidence, tracks.camera)
    width, height = pane_size(128, 96)
    centres = []
    for each in (shown, hollow):
        pair = pair_tracks(each, each.camera)
        column, row = (pair.source.xy[1] * torch.tensor([width / 128, height / 96])).long().unbind(-1)
        centres.append(pair_view(grey(2), pair)[1, row, column].float())
    untouched = (centres[1] == 90).all(dim=-1)
    assert untouched.float().mean() > 0.7
    assert not (centres[0] == 90).all(dim=-1).any()


def test_the_target_view_shows_the_clip_colors():
    camera = still_camera(1)
    tracks = PointTracks(
        torch.tensor([[[-0.6, 0.0, 3.0], [0.6, 0.0, 3.0]]]),
        torch.ones(1, 2, dtype=torch.bool),
        torch.ones(1, 2),
        camera,
    )
    frames = grey(1)
    frames[:, :, :64] = torch.tensor([250, 0, 0], dtype=torch.uint8)
    frames[:, :, 64:] = torch.tensor([0, 0, 250], dtype=torch.uint8)
    width, height = pane_size(128, 96)
    pair = pair_tracks(tracks, camera)
    target = pair_view(frames, pair)[0, :height, width + 8 :].int()
    column, row = (pair.target.xy[0] * torch.tensor([width / 128, height / 96])).long().unbind(-1)
    red, blue = target[row + 12, column]  # beside the track's own dot, on the point's disc
    assert red[0] > 100 > 10 > red[2]
    assert blue[2] > 100 > 10 > blue[0]


@pytest.mark.parametrize("frames", [1, 2, 17])
def test_pair_view_of_any_length_and_picture_size(frames):
    pair = make_pair(frames)
    seen = []
    pictures = pair_view(grey(frames, 64, 48), pair, progress=lambda *step: seen.append(step[:2]))
    assert pictures.shape[0] == frames
    assert pictures.shape[1] % 2 == pictures.shape[2] % 2 == 0
    assert pictures.dtype == torch.uint8
    assert seen[-1] == (frames, frames)


def test_tracks_that_nobody_sees_leave_the_clip_alone():
    pair = make_pair()
    blind = PairedTracks(
        pair.source, pair.target, torch.zeros_like(pair.visible), pair.source_camera, pair.target_camera
    )
    height, width = pane_size(128, 96)[::-1]
    source = pair_view(grey(5), blind)[:, 80:height, :width]
    assert (source == 90).all()


def test_pair_view_refuses_another_length():
    with pytest.raises(Track2ViewError, match="4 frames and the tracks have 5"):
        pair_view(grey(4), make_pair(5))


def test_the_band_is_red_where_little_is_covered():
    band = coverage_band(torch.tensor([1.0, 0.6, 0.25, 0.1, 0.0]), width=500, height=60)
    assert band.shape == (60, 500, 3)
    bars = band[:, 64:490].chunk(5, dim=1)
    for index, bar in enumerate(bars):
        assert has_color(bar[:, 10:-10], GOOD) == (index < 3)
        assert has_color(bar[:, 10:-10], POOR) == (index >= 3)
    tall = [(bar[:, 20] == torch.tensor(GOOD)).all(-1).sum() for bar in bars[:3]]
    assert tall == sorted(tall, reverse=True)


@pytest.mark.parametrize("frames", [1, 81, 2000])
def test_the_band_holds_any_number_of_frames(frames):
    band = coverage_band(torch.linspace(0, 1, frames), width=300, height=40, frame=frames - 1)
    assert band.shape == (40, 300, 3)


@pytest.mark.parametrize("preset", ["static", "orbit_left", "dolly_in", "pan_right", "crane_up"])
@pytest.mark.parametrize("frames", [1, 2, 17])
def test_path_plot_shows_both_cameras(preset, frames):
    tracks = make_tracks(frames)
    target = preset_path(preset, tracks.camera, amount=1.0, scene_scale=3.0)
    for points in (tracks.positions, None):
        plot = path_plot(tracks.camera, target, points)
        assert plot.shape == (450, 900, 3)
        drawing = plot[40:]  # below the legend
        assert has_color(drawing, SOURCE)
        assert has_color(drawing, TARGET)


def test_path_plot_survives_strange_points():
    tracks = make_tracks()
    points = tracks.positions.clone()
    points[0, 0] = torch.nan
    points[0, 1] = 1e9
    assert path_plot(tracks.camera, tracks.camera, points, width=700, height=400).shape == (400, 700, 3)
    assert path_plot(tracks.camera, tracks.camera, points * torch.nan).shape == (450, 900, 3)


def test_world_points_undo_the_projection():
    tracks = make_tracks()
    pair = pair_tracks(tracks, tracks.camera)
    world = world_points(pair)
    inside = pair.source.inside
    assert torch.allclose(world[inside], tracks.positions[inside].double(), atol=1e-5)
    assert world[~inside].isnan().all()


def test_side_by_side_brings_both_to_one_height():
    pictures = side_by_side(grey(3, 128, 96), grey(3, 90, 160), ("before", "after"))
    assert pictures.shape[0] == 3
    assert pictures.shape[1] % 2 == pictures.shape[2] % 2 == 0
    assert (pictures[:, -1, 0] == 90).all()
    assert (pictures[:, -1, -1] == 90).all()
    with pytest.raises(Track2ViewError, match="two clips of one length"):
        side_by_side(grey(3), grey(4))


def test_four_clips_stand_in_two_rows():
    clips = {str(level): torch.full((2, 64, 96, 3), level, dtype=torch.uint8) for level in (40, 90, 140, 190)}
    sides = SideBySide(clips)
    first, second = sides.pictures()
    assert first.shape == second.shape == (sides.height, sides.width, 3) and sides.frames == 2
    top, bottom = sides.height // 2 - 10, sides.height - 1
    assert [int(first[y, x, 0]) for y in (top, bottom) for x in (0, sides.width - 1)] == [40, 90, 140, 190]


def test_nothing_given_is_changed():
    frames, pair = grey(3, 512, 384), make_pair(3)
    before = frames.clone()
    pair_view(frames, pair)
    side_by_side(frames, frames)
    assert torch.equal(frames, before)
