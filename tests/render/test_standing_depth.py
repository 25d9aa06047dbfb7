"""Depth of what stands: planes are found, steps lie on colour edges, units are free, one bad seed stays alone."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from track2view_core.cameras import CameraPath
from track2view_core.errors import Track2ViewError
from track2view_core.render.source_tracks import SourceTracks
from track2view_core.render.standing_depth import StandingDepth, map_size, standing_inverse_depth

FRAMES, WIDTH, HEIGHT, SEEDS = 3, 160, 96, 300


def camera() -> CameraPath:
    lens = torch.tensor([[150.0, 0, WIDTH / 2], [0, 150.0, HEIGHT / 2], [0, 0, 1]], dtype=torch.float64)
    pose = torch.eye(4, dtype=torch.float64).repeat(FRAMES, 1, 1)
    return CameraPath(pose, lens.repeat(FRAMES, 1, 1), WIDTH, HEIGHT)


def tracks_on(surface, seeds: int = SEEDS) -> SourceTracks:
    """Tracks whose inverse depth is `surface(x, y)` with x, y in pixels, before a camera at rest."""
    xy = np.random.default_rng(0).uniform([0, 0], [WIDTH, HEIGHT], (seeds, 2)).astype(np.float32)
    inverse = surface(xy[:, 0], xy[:, 1]).astype(np.float32)
    still = np.ones((FRAMES, seeds), bool)
    return SourceTracks(np.stack([xy] * FRAMES), np.stack([inverse] * FRAMES), still, np.zeros(seeds, bool), camera())


def plane(x, y):
    return 0.2 + 0.001 * x + 0.002 * y


def step(x, y):
    return np.where(x < 70, 0.5, 0.2)


def pictures(edge: int | None = None) -> np.ndarray:
    video = np.full((FRAMES, HEIGHT, WIDTH, 3), 90, np.uint8)
    if edge is not None:
        video[:, :, :edge] = (200, 60, 60)
    return video


def pixels() -> tuple[np.ndarray, np.ndarray]:
    """Where the centres of the map's pixels are in the picture."""
    h, w = map_size(HEIGHT, WIDTH)
    y, x = np.mgrid[:h, :w] + 0.5
    return x * WIDTH / w, y * HEIGHT / h


def test_the_tracks_of_a_plane_give_the_plane() -> None:
    found = standing_inverse_depth(pictures(), tracks_on(plane))
    x, y = pixels()
    inner = np.s_[:, 8:-8, 8:-8]
    assert np.abs(found / plane(x, y) - 1)[inner].max() < 1e-3


def test_a_step_lies_on_the_edge_of_colour() -> None:
    found = standing_inverse_depth(pictures(edge=70), tracks_on(step, 60))
    x, y = pixels()
    clear = np.abs(x - 70) > 1
    assert np.abs(found / step(x, y) - 1)[:, clear].max() < 0.01


def test_other_units_give_the_same_map_in_those_units() -> None:
    tracks = tracks_on(step)
    large = replace(tracks, inverse=tracks.inverse / 7, camera=camera())
    one, other = (standing_inverse_depth(pictures(edge=70), each) for each in (tracks, large))
    assert np.allclose(one / 7, other, rtol=1e-4)


def test_a_seed_that_disagrees_changes_nothing() -> None:
    tracks = tracks_on(plane)
    wrong = tracks.inverse.copy()
    wrong[:, 17] *= 3
    found = standing_inverse_depth(pictures(), replace(tracks, inverse=wrong))
    assert np.abs(found / standing_inverse_depth(pictures(), tracks) - 1).max() < 0.02


def test_what_moves_lends_no_depth() -> None:
    tracks = tracks_on(plane)
    moving = np.arange(SEEDS) % 5 == 0
    near = np.where(moving, 5.0, tracks.inverse)
    found = standing_inverse_depth(pictures(), replace(tracks, inverse=near.astype(np.float32), moving=moving))
    assert found.max() < 1


def test_no_standing_track_is_refused() -> None:
    tracks = tracks_on(plane)
    with pytest.raises(Track2ViewError, match="standing track"):
        standing_inverse_depth(pictures(), replace(tracks, moving=np.ones(SEEDS, bool)))


TRAVELLED, EDGE, NEAR, FAR = 17, 80, 0.5, 0.2  # frames, column of the board's edge in frame 0, inverse depths
SHIFT = 150 * 0.1 * np.arange(TRAVELLED)  # pixels by which inverse depth 1 moves to the left


def board_before_a_wall() -> np.ndarray:
    """A camera travels to the right before a near board [0, EDGE] and a far wall, both of fine texture."""
    random = np.random.default_rng(3)
    fine = [cv2.GaussianBlur(random.uniform(0, 255, (HEIGHT, 400, 3)), (0, 0), 2) for _ in range(2)]
    wall, board = [np.clip((each - 127) * 6 + 127, 0, 255).astype(np.uint8) for each in fine]
    video = np.zeros((TRAVELLED, HEIGHT, WIDTH, 3), np.uint8)
    for t in range(TRAVELLED):
        far, near = (shifted(texture, SHIFT[t] * inverse) for texture, inverse in ((wall, FAR), (board, NEAR)))
        video[t] = np.where((np.arange(WIDTH) < EDGE - SHIFT[t] * NEAR)[:, None], near, far)
    return video


def shifted(texture: np.ndarray, columns: float) -> np.ndarray:
    """What is `columns` to the right, [HEIGHT, WIDTH, 3]."""
    x, y = np.meshgrid(np.arange(WIDTH, dtype=np.float32), np.arange(HEIGHT, dtype=np.float32))
    return cv2.remap(texture, x + np.float32(columns), y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def tracks_at(xy: np.ndarray, inverse: np.ndarray, moving: np.ndarray | None = None) -> SourceTracks:
    """Tracks that are at xy [N, 2] in frame 0 and as far as they seem to be by their way to the left."""
    pose = torch.eye(4, dtype=torch.float64).repeat(TRAVELLED, 1, 1)
    pose[:, 0, 3] = torch.arange(TRAVELLED) * 0.1
    path = CameraPath(pose, camera().intrinsics[:1].repeat(TRAVELLED, 1, 1), WIDTH, HEIGHT)
    moved = np.stack([xy - np.stack([shift * inverse, 0 * inverse], -1) for shift in SHIFT])
    seen = (moved[..., 0] > 0) & ((inverse == NEAR) | (moved[..., 0] > EDGE - SHIFT[:, None] * NEAR))
    depth = np.tile(inverse, (TRAVELLED, 1)).astype(np.float32)
    return SourceTracks(
        moved.astype(np.float32), depth, seen, np.zeros(len(xy), bool) if moving is None else moving, path
    )


def tracks_on_both(count: int = 60) -> SourceTracks:
    """Far from the edge between the two."""
    xy = np.random.default_rng(4).uniform([0, 0], [WIDTH, HEIGHT], (count, 2))
    xy = xy[np.abs(xy[:, 0] - EDGE) > 12]
    return tracks_at(xy, np.where(xy[:, 0] < EDGE, NEAR, FAR))


def tracks_on_the_board() -> SourceTracks:
    xy = np.random.default_rng(4).uniform([0, 0], [EDGE - 12, HEIGHT], (40, 2))
    return tracks_at(xy, np.full(len(xy), NEAR))


def test_pictures_from_aside_tell_which_side_of_a_step_a_pixel_is_on() -> None:
    """No edge of colour between the board and the wall, tracks on both far apart."""
    found = standing_inverse_depth(board_before_a_wall(), tracks_on_both())
    x, _ = pixels()
    for t in (4, 8):
        true = np.where(x < EDGE - SHIFT[t] * NEAR, NEAR, FAR)
        assert (np.abs(found[t] / true - 1) > 0.05).mean() < 0.03


def test_what_moves_in_the_other_frames_says_nothing_of_what_it_covers() -> None:
    """Frame 8 alone shows a piece of wall; in the others a thing hides it that looks as it would if near."""
    video, t = board_before_a_wall(), 8
    piece, hidden = np.s_[30:66, 110:140], np.zeros((TRAVELLED, HEIGHT, WIDTH), bool)
    for s in set(range(TRAVELLED)) - {t}:
        thing = np.zeros((HEIGHT, WIDTH), bool)
        thing[30:66, 100:150] = True
        hidden[s] = shifted(thing.astype(np.uint8), (SHIFT[s] - SHIFT[t]) * NEAR) > 0
        video[s][hidden[s]] = shifted(video[t], (SHIFT[s] - SHIFT[t]) * NEAR)[hidden[s]]
    analysis = StandingDepth(video, tracks_on_both())
    analysis.maps()
    found = analysis.maps(hidden)[t]
    x, y = pixels()
    inside = (x > piece[1].start) & (x < piece[1].stop) & (y > piece[0].start) & (y < piece[0].stop)
    assert (np.abs(found[inside] / FAR - 1) > 0.05).mean() < 0.05


def test_what_was_compared_goes_on_behind_what_moves_where_no_track_is() -> None:
    video, hidden = board_before_a_wall(), np.zeros((TRAVELLED, HEIGHT, WIDTH), bool)
    hidden[:, 30:66, 110:140] = True
    video[hidden] = (0, 200, 0)
    found = standing_inverse_depth(video, tracks_on_the_board(), ignored=hidden)
    x, y = pixels()
    behind = (x > 112) & (x < 138) & (y > 32) & (y < 64)
    assert np.abs(found[4:13, behind] / FAR - 1).max() < 0.05


def test_one_moving_track_does_not_keep_a_whole_wall_from_being_compared() -> None:
    board, one = tracks_on_the_board(), tracks_at(np.array([[120.0, 48.0]]), np.array([0.35]), np.array([True]))
    joined = {name: np.concatenate([getattr(board, name), getattr(one, name)], -1) for name in ("inverse", "seen")}
    tracks = replace(board, xy=np.concatenate([board.xy, one.xy], 1), moving=np.append(board.moving, True), **joined)
    found = standing_inverse_depth(board_before_a_wall(), tracks)
    x, y = pixels()
    for t in (4, 8):
        far = (x > EDGE - SHIFT[t] * NEAR + 4) & (np.hypot(x - one.xy[t, 0, 0], y - 48) > 30)
        assert (np.abs(found[t, far] / FAR - 1) > 0.05).mean() < 0.05


def test_a_track_that_no_frame_confirms_says_nothing_of_what_is_behind() -> None:
    """It rides on what moves in the first frames, amid its tracks, and is called standing; later it is out of sight."""
    video, hidden = board_before_a_wall(), np.zeros((TRAVELLED, HEIGHT, WIDTH), bool)
    hidden[:, 30:66, 100:150] = True
    video[hidden] = (0, 200, 0)
    both = tracks_on_both(200)
    there = (np.abs(both.xy[0, :, 0] - 125) < 25) & (np.abs(both.xy[0, :, 1] - 48) < 18)
    wrong = there & (np.arange(len(there)) % 3 == 0)
    seen = both.seen & (~there | (np.arange(TRAVELLED) < 4)[:, None] | ~wrong)
    inverse = np.where(wrong, np.float32(0.9), both.inverse)
    tracks = replace(both, inverse=inverse, seen=seen, moving=there & ~wrong)
    analysis = StandingDepth(video, tracks)
    analysis.maps()
    found = analysis.maps(hidden)
    x, y = pixels()
    behind = (x > 105) & (x < 145) & (y > 33) & (y < 63)
    assert wrong.sum() >= 3
    assert np.abs(found[6:14, behind] / FAR - 1).max() < 0.3


def test_frames_without_parallax_confirm_no_track_and_those_with_it_do() -> None:
    still, travelling = (
        StandingDepth(pictures(70), tracks_on(step)),
        StandingDepth(board_before_a_wall(), tracks_on_both()),
    )
    for analysis in (still, travelling):
        analysis.maps()
    assert not still._confirmed.any()
    assert (travelling._confirmed > travelling._denied).mean() > 0.8


def test_a_track_on_what_moves_says_nothing_of_what_is_behind_though_pictures_confirmed_it() -> None:
    """The thing moves as if it stood near, and its tracks are lost early on."""
    video, hidden = board_before_a_wall(), np.zeros((TRAVELLED, HEIGHT, WIDTH), bool)
    thing = np.zeros((HEIGHT, WIDTH), np.uint8)
    thing[30:66, 110:150] = 1
    looks = np.random.default_rng(7).uniform(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    for t in range(TRAVELLED):
        hidden[t] = shifted(thing, SHIFT[t] * 0.6) > 0
        video[t][hidden[t]] = shifted(cv2.GaussianBlur(looks, (0, 0), 1.5), SHIFT[t] * 0.6)[hidden[t]]
    wall = tracks_on_both(200)
    on = tracks_at(np.random.default_rng(5).uniform([112, 32], [148, 64], (30, 2)), np.full(30, 0.6))
    clear = ~np.stack([hidden[t][tuple(np.clip(wall.xy[t].astype(int), 0, (WIDTH - 1, HEIGHT - 1)).T[::-1])]
                       for t in range(TRAVELLED)])  # fmt: skip
    seen = np.concatenate([wall.seen & clear, on.seen & (np.arange(TRAVELLED) < 5)[:, None]], 1)
    joined = {name: np.concatenate([getattr(wall, name), getattr(on, name)], 1) for name in ("xy", "inverse")}
    analysis = StandingDepth(
        video, SourceTracks(**joined, seen=seen, moving=np.zeros(seen.shape[1], bool), camera=wall.camera)
    )
    first = analysis.maps()
    assert np.median(first[2][hidden[2]]) > 0.5, "it was taken to stand"
    found = analysis.maps(hidden)
    inner = [cv2.erode(each.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0 for each in hidden[5:9]]
    assert np.median(np.concatenate([found[5 + k][each] for k, each in enumerate(inner)])) < 1.3 * FAR


def test_what_stands_goes_on_behind_what_is_known_to_move() -> None:
    """Also where tracks of what moves were taken for standing ones."""
    video, tracks = pictures(), tracks_on(step)
    hidden = np.zeros((FRAMES, HEIGHT, WIDTH), bool)
    hidden[:, 30:60, 90:130] = True
    video[hidden] = (0, 200, 0)
    video[:, :, :70] = (200, 60, 60)
    on_mover = hidden[0][tracks.xy[0, :, 1].astype(int), tracks.xy[0, :, 0].astype(int)]
    called_standing = np.where(on_mover, 0.9, tracks.inverse).astype(np.float32)
    found = standing_inverse_depth(video, replace(tracks, inverse=called_standing), ignored=hidden)
    x, y = pixels()
    behind = (x > 90) & (x < 130) & (y > 30) & (y < 60)
    assert on_mover.sum() >= 3
    assert np.abs(found[:, behind] / 0.2 - 1).max() < 0.01
