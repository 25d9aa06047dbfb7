"""The target view from known depth: nothing changes at the source camera, near hides far, holes are holes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from track2view_core.cameras import CameraPath, preset_path
from track2view_core.errors import Track2ViewError
from track2view_core.render.hole_masks import over_latent_frames
from track2view_core.render.splat import GREY, render_target_view
from track2view_core.scenes import rendered_clip
from track2view_core.tracks import PointTracks, pair_tracks
from track2view_core.tracks.world_depth import aligned_depth, steadied

FRAMES, WIDTH, HEIGHT = 5, 96, 64


@pytest.fixture(scope="module")
def clip():
    return rendered_clip("arc", frames=FRAMES, width=WIDTH, height=HEIGHT, seed=1)


def tracks_of(clip, count: int = 200) -> PointTracks:
    """Standing points on what frame 0 shows, visible where the clip's own depth agrees."""
    generator = torch.Generator().manual_seed(0)
    column = torch.randint(0, WIDTH, (count,), generator=generator)
    row = torch.randint(0, HEIGHT, (count,), generator=generator)
    z = clip.depth[0, row, column].double()
    lens = clip.camera.intrinsics[0]
    local = torch.stack(
        [(column + 0.5 - lens[0, 2]) / lens[0, 0] * z, (row + 0.5 - lens[1, 2]) / lens[1, 1] * z, z], -1
    )
    world = local @ clip.camera.world_from_camera[0, :3, :3].T + clip.camera.world_from_camera[0, :3, 3]
    positions = world.float().expand(FRAMES, -1, -1)
    loose = PointTracks(positions, torch.ones(FRAMES, count, dtype=torch.bool), torch.ones(FRAMES, count), clip.camera)
    view = pair_tracks(loose, clip.camera).source
    x, y = (view.xy[..., axis].long().clamp(0, size - 1) for axis, size in ((0, WIDTH), (1, HEIGHT)))
    seen = clip.depth[torch.arange(FRAMES)[:, None], y, x]
    return replace(loose, visible=view.inside & ((view.depth - seen).abs() < 0.03 * seen))


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("reach", [0, 1])
def test_at_the_source_camera_covered_pixels_are_the_source(clip, dense: bool, reach: int) -> None:
    paired = pair_tracks(tracks_of(clip), clip.camera)
    depth = clip.depth if dense else None
    view = render_target_view(clip.frames, paired, depth=depth, reach=reach, remember=False)
    covered = ~view.holes
    off = (view.frames.int() - clip.frames.int()).abs()[covered]
    assert int(off.max()) <= 1
    assert (view.frames[view.holes] == GREY).all()
    share = float(covered.float().mean())
    least, most = (0.97, 1.0) if dense else (0.7, 1.0) if reach == 0 else (0.005, 0.05)
    assert least <= share <= most


def test_remembering_keeps_the_source_where_all_of_it_is_known(clip) -> None:
    paired = pair_tracks(tracks_of(clip), clip.camera)
    view = render_target_view(clip.frames, paired, depth=clip.depth)
    assert not view.holes.any() and torch.equal(view.frames, clip.frames)


def crossing(side: float) -> tuple[CameraPath, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A red and a blue plane, z = 3 + x and z = 3 - x, as a camera `side` to the right sees them: which is in front."""
    pose = torch.eye(4, dtype=torch.float64).repeat(FRAMES, 1, 1)
    pose[:, 0, 3] = side
    lens = torch.tensor([[80.0, 0, WIDTH / 2], [0, 80, HEIGHT / 2], [0, 0, 1]]).expand(FRAMES, 3, 3)
    path = CameraPath(pose, lens, WIDTH, HEIGHT)
    slope = (torch.arange(WIDTH) + 0.5 - WIDTH / 2) / 80  # x = side + slope z on a ray
    red, blue = (3 + side) / (1 - slope), (3 - side) / (1 + slope)
    return path, red, blue, torch.minimum(red, blue).expand(FRAMES, HEIGHT, WIDTH)


def test_of_two_crossing_planes_the_nearer_is_seen() -> None:
    source, red, blue, depth = crossing(0.0)
    video = torch.zeros(FRAMES, HEIGHT, WIDTH, 3, dtype=torch.uint8)
    video[..., 0], video[..., 2] = 250 * (red < blue), 250 * (red >= blue)
    target, red, blue, _ = crossing(0.25)
    one = torch.tensor([[[0.0, 0, 3]]]).expand(FRAMES, 1, 3)
    tracks = PointTracks(one, torch.ones(FRAMES, 1, dtype=torch.bool), torch.ones(FRAMES, 1), source)
    view = render_target_view(video, pair_tracks(tracks, target), depth=depth, remember=False)
    nearer_red = (red < blue).expand(FRAMES, HEIGHT, WIDTH)
    clear = ((red - blue).abs() > 0.1).expand(FRAMES, HEIGHT, WIDTH) & ~view.holes
    assert clear.float().mean() > 0.8
    assert torch.equal(view.frames[..., 0][clear] == 250, nearer_red[clear])


def test_squares_that_meet_are_drawn_nearest_first_whatever_their_order() -> None:
    from track2view_core.render.splat import _squares

    generator = torch.Generator().manual_seed(0)
    xy, depth = torch.rand(120, 2, generator=generator) * 20, torch.rand(120, generator=generator) + 1
    side, colours = torch.rand(120, generator=generator) * 4, torch.randint(0, 255, (120, 3), dtype=torch.uint8)
    expected, nearest = torch.full((20, 20, 3), GREY, dtype=torch.uint8), torch.full((20, 20), torch.inf)
    for n in range(120):  # the plain way
        for row in range(20):
            for column in range(20):
                off = torch.tensor([column + 0.5, row + 0.5]) - xy[n]
                half = side[n].clamp(1, 6) / 2
                if (off >= -half).all() and (off < half).all() and depth[n] < nearest[row, column]:
                    expected[row, column], nearest[row, column] = colours[n], depth[n]
    picture, holes = _squares(xy, depth, side, colours, (20, 20))
    assert torch.equal(picture, expected) and torch.equal(holes, nearest.isinf())
    order = torch.randperm(120, generator=generator)
    again, _ = _squares(xy[order], depth[order], side[order], colours[order], (20, 20))
    assert torch.equal(again, picture)


def test_a_move_forward_leaves_no_cracks(clip) -> None:
    path = preset_path("dolly_in", clip.camera, amount=1.0, scene_scale=2.0)
    view = render_target_view(clip.frames, pair_tracks(tracks_of(clip), path), depth=clip.depth)
    middle = view.holes[-1, 16:48, 24:72]
    assert float(middle.float().mean()) < 0.02


def test_tears_one_pixel_wide_are_closed_and_wider_holes_are_not() -> None:
    from track2view_core.render.splat import _without_cracks

    picture = torch.full((8, 8, 3), 100, dtype=torch.uint8)
    holes = torch.zeros(8, 8, dtype=torch.bool)
    picture[:, :3] = 50
    holes[:, 3] = True  # one pixel wide
    holes[5:, 5:] = True  # a corner
    filled, closed = _without_cracks(picture, holes)
    assert not closed[:, 3].any() and (filled[:, 3] == 75).all()
    assert closed[6, 6] and torch.equal(filled[~holes], picture[~holes])


def test_remembered_points_fill_holes_with_what_was_there() -> None:
    """A white square slides away from before a grey wall of stripes; a point behind it was seen before."""
    video = torch.full((FRAMES, HEIGHT, WIDTH, 3), 200, dtype=torch.uint8)
    video[-1, :, :48] = 10
    lens = torch.tensor([[80.0, 0, WIDTH / 2], [0, 80, HEIGHT / 2], [0, 0, 1]]).expand(FRAMES, 3, 3)
    path = CameraPath(torch.eye(4).expand(FRAMES, 4, 4), lens, WIDTH, HEIGHT)
    wall = torch.tensor([[-1.0, 0, 5], [1.0, 0, 5]]).expand(FRAMES, 2, 3)
    visible = torch.ones(FRAMES, 2, dtype=torch.bool)
    visible[-1, 0] = False
    paired = pair_tracks(PointTracks(wall, visible, torch.ones(FRAMES, 2), path), path)
    forgotten = render_target_view(video, paired, reach=5, remember=False)
    assert forgotten.holes[-1, 32, 32] and not forgotten.holes[0, 32, 32]
    remembered = render_target_view(video, paired, reach=5)
    assert remembered.frames[-1, 32, 32].tolist() == [200] * 3 and not remembered.holes[-1, 32, 32]


@pytest.mark.parametrize("frames", [1, 5, 9, 7])
def test_holes_are_joined_over_latent_frames(frames: int) -> None:
    holes = torch.rand(frames, 4, 6, generator=torch.Generator().manual_seed(0)) > 0.8
    joined = over_latent_frames(holes)
    for t in range(frames):
        first = 0 if t == 0 else 4 * ((t - 1) // 4) + 1
        last = 1 if t == 0 else min(first + 4, frames)
        assert torch.equal(joined[t], holes[first:last].any(0))


def test_joined_holes_are_grey_in_the_picture_too(clip) -> None:
    path = preset_path("orbit_left", clip.camera, amount=1.0, scene_scale=2.0)
    paired = pair_tracks(tracks_of(clip), path)
    alone = render_target_view(clip.frames, paired, depth=clip.depth, remember=False)
    joined = render_target_view(clip.frames, paired, depth=clip.depth, remember=False, latent_holes=True)
    assert torch.equal(joined.holes, over_latent_frames(alone.holes)) and (joined.frames[joined.holes] == GREY).all()
    assert joined.holes.sum() > alone.holes.sum()
    assert torch.equal(joined.frames[~joined.holes], alone.frames[~joined.holes])


def test_depth_of_any_scale_and_offset_comes_home(clip) -> None:
    paired = pair_tracks(tracks_of(clip), clip.camera)
    wrong = torch.stack([1 / (0.3 * (t + 1) / depth + 0.05 * t) for t, depth in enumerate(clip.depth)])
    wrong[0, :4] = torch.nan
    wrong[1, :4] = torch.inf
    found = aligned_depth(wrong, paired)
    assert found[:2, :4].isnan().all()
    known = found.isfinite()
    assert float(((found - clip.depth).abs() / clip.depth)[known].median()) < 0.005 and known.float().mean() > 0.9


def test_the_background_is_steadied_and_what_moves_is_not() -> None:
    generator = torch.Generator().manual_seed(0)
    inverse = 0.5 + 0.01 * torch.randn(9, 4, 4, generator=generator)
    inverse[4, 0, 0] = 2.0  # something near passes
    inverse[5, 1, 1] = torch.nan
    out = steadied(inverse)
    assert out[4, 0, 0] == 2.0 and out[5, 1, 1].isnan()
    assert (out[:, 2, 2] == out[0, 2, 2]).all() and abs(float(out[0, 2, 2]) - 0.5) < 0.02
    torch.testing.assert_close(out[:4, 0, 0], out[:1, 0, 0].expand(4))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"video": torch.zeros(3, HEIGHT, WIDTH, 3, dtype=torch.uint8)}, "video has 3 frames"),
        ({"video": torch.zeros(FRAMES, WIDTH, HEIGHT, 3, dtype=torch.uint8)}, "another shape"),
        ({"depth": torch.ones(2, HEIGHT, WIDTH)}, "depth 2"),
    ],
)
def test_what_is_not_of_one_clip_is_one_sentence(clip, change: dict, words: str) -> None:
    given = {"video": clip.frames, "paired": pair_tracks(tracks_of(clip), clip.camera), **change}
    with pytest.raises(Track2ViewError, match=words):
        render_target_view(given.pop("video"), given.pop("paired"), **given)
