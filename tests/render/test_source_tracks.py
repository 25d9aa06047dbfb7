"""What the analysis reads of tracks: what moves while it is seen, whatever else the file says of it."""

import torch

from track2view_core.cameras import CameraPath
from track2view_core.render.source_tracks import SourceTracks
from track2view_core.tracks import PointTracks, pair_tracks

FRAMES = 6


def test_a_track_moves_by_what_it_does_while_it_is_seen() -> None:
    pose = torch.eye(4, dtype=torch.float64).repeat(FRAMES, 1, 1)
    pose[:, 0, 3] = 0.05 * torch.arange(FRAMES)
    lens = torch.tensor([[80.0, 0, 48], [0, 80, 32], [0, 0, 1]]).repeat(FRAMES, 1, 1).double()
    positions = torch.tensor([[0.0, 0, 2], [0.3, 0.2, 3], [0.1, -0.2, 4]]).repeat(FRAMES, 1, 1)
    positions[:, 1, 0] += 0.01 * torch.arange(FRAMES)  # moves
    positions[:3, 2] = torch.tensor([5.0, 1, -60])  # a shot that does not show it
    visible = torch.ones(FRAMES, 3, dtype=torch.bool)
    visible[:3, 2] = False
    tracks = PointTracks(positions, visible, visible.float(), CameraPath(pose, lens, 96, 64))
    found = SourceTracks.of(tracks, 192, 128)
    assert found.moving.tolist() == [False, True, False]
    assert found.seen.T.tolist() == visible.T.tolist()
    assert found.xy[0, 0].tolist() == [96, 64] and found.camera.width == 192


def test_a_tracker_that_trembles_has_standing_points_in_their_usual_place() -> None:
    generator = torch.Generator().manual_seed(0)
    pose = torch.eye(4, dtype=torch.float64).repeat(FRAMES, 1, 1)
    pose[:, 0, 3] = 0.05 * torch.arange(FRAMES)
    lens = torch.tensor([[800.0, 0, 416], [0, 800, 240], [0, 0, 1]]).repeat(FRAMES, 1, 1).double()
    still = torch.rand(50, 3, generator=generator) * torch.tensor([2.0, 1, 2]) + torch.tensor([-1.0, -0.5, 4])
    exact = still.repeat(FRAMES, 1, 1)
    exact[:, 40:, 1] += 0.02 * torch.arange(FRAMES)[:, None]  # 4 px a frame and less
    centre = pose[:, None, :3, 3].float()
    trembling = centre + (exact - centre) * (1 + 0.01 * torch.randn(FRAMES, 50, 1, generator=generator))
    visible = torch.ones(FRAMES, 50, dtype=torch.bool)
    tracks = PointTracks(trembling, visible, visible.float(), CameraPath(pose, lens, 832, 480))
    found = SourceTracks.of(tracks, 832, 480)
    assert found.moving.tolist() == [False] * 40 + [True] * 10
    assert abs(found.inverse[:, :40] * exact[:, :40, 2].numpy() - 1).max() < 0.02
    assert (found.inverse[:, :40].std(0) < 1e-6).all()


def test_where_everything_moves_it_is_the_scene() -> None:
    pose = torch.eye(4, dtype=torch.float64).repeat(FRAMES, 1, 1)
    lens = torch.tensor([[800.0, 0, 416], [0, 800, 240], [0, 0, 1]]).repeat(FRAMES, 1, 1).double()
    positions = torch.tensor([[0.0, 0, 2], [0.3, 0.2, 3]]).repeat(FRAMES, 1, 1)
    positions[..., 1] += 0.1 * torch.arange(FRAMES)[:, None]
    positions[..., 2] += 0.1 * torch.arange(FRAMES)[:, None]
    visible = torch.ones(FRAMES, 2, dtype=torch.bool)
    found = SourceTracks.of(
        PointTracks(positions, visible, visible.float(), CameraPath(pose, lens, 832, 480)), 832, 480
    )
    assert not found.moving.any()
    assert abs(found.inverse * positions[..., 2].numpy() - 1).max() < 1e-5, "each frame has its own depth"


def test_a_shot_in_which_all_moves_is_a_scene_of_its_own() -> None:
    lens = torch.tensor([[80.0, 0, 48], [0, 80, 32], [0, 0, 1]]).repeat(FRAMES, 1, 1).double()
    camera = CameraPath(torch.eye(4, dtype=torch.float64).repeat(FRAMES, 1, 1), lens, 96, 64)
    positions = torch.tensor([[0.0, 0, 2], [0.3, 0.2, 3]]).repeat(FRAMES, 1, 1)
    positions[:, 1, 0] += 0.05 * torch.arange(FRAMES)
    visible = torch.zeros(FRAMES, 2, dtype=torch.bool)
    visible[:3, 0] = visible[3:, 1] = True
    found = SourceTracks.of(PointTracks(positions, visible, visible.float(), camera), 96, 64)
    assert found.shots() == (slice(0, 3), slice(3, FRAMES)) and found.moving.tolist() == [False, True]
    assert not found.frames(slice(3, FRAMES)).moving[1]


def test_tracks_agree_with_themselves_through_another_size_and_with_nothing_else() -> None:
    generator = torch.Generator().manual_seed(1)
    pose = torch.eye(4, dtype=torch.float64).repeat(FRAMES, 1, 1)
    pose[:, 0, 3] = 0.05 * torch.arange(FRAMES)
    lens = torch.tensor([[80.0, 0, 48], [0, 80, 32], [0, 0, 1]]).repeat(FRAMES, 1, 1).double()
    camera = CameraPath(pose, lens, 96, 64)
    points = torch.rand(40, 3, generator=generator) * torch.tensor([1.5, 1.0, 2.0]) + torch.tensor([-0.7, -0.5, 3.0])
    positions = points.repeat(FRAMES, 1, 1)
    positions[:, 30:, 0] += 0.02 * torch.arange(FRAMES)[:, None]
    visible = torch.ones(FRAMES, 40, dtype=torch.bool)

    def found(positions=positions, visible=visible, camera=camera, through: int = 192) -> SourceTracks:
        tracks = PointTracks(positions, visible, visible.float(), camera)
        pair = pair_tracks(tracks, camera).resized(through, through * 2 // 3)
        return SourceTracks.of(pair, 192, 128)

    here = found()
    assert here.agrees(found(through=48), movers=True) and here.moving.sum() == 10
    start = pose[:, None, :3, 3].float()
    farther = torch.cat([positions[:, :30], start + 1.2 * (positions[:, 30:] - start)], 1)  # on the same rays
    assert here.agrees(found(farther), movers=False) and not here.agrees(found(farther), movers=True)
    beside = positions.clone()
    beside[:, :30, 0] += 0.002  # a tenth of a pixel
    hidden = visible.clone()
    hidden[:2, :10] = False
    turned = CameraPath(pose, lens * torch.tensor([1.01, 1, 1])[:, None], 96, 64)
    standing = positions.clone()
    standing[:, 30:] = points[30:]
    for other in (found(beside), found(visible=hidden), found(camera=turned), found(standing)):
        assert not here.agrees(other, movers=False)
