"""What is burned into the picture is told from what stands far away, or behind large movers."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from track2view_core.scenes import rendered_clip
from track2view_core.tracks.trackers.flow import PixelTracks, follow_points
from track2view_core.tracks.trackers.footage import gray_frames
from track2view_core.tracks.trackers.klt import KltTracker
from track2view_core.tracks.trackers.overlays import without_overlays

SIZE = WIDTH, HEIGHT = 320, 192


def clip_of(move: str, *, dynamic: float = 0.0) -> np.ndarray:
    return rendered_clip(move, frames=16, width=WIDTH, height=HEIGHT, seed=1, dynamic=dynamic).frames.numpy()


def written_on(clip: np.ndarray, words: str, place: tuple[int, int]) -> np.ndarray:
    out = clip.copy()
    for frame in out:
        for width, grey in ((3, 0), (1, 255)):
            cv2.putText(frame, words, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (grey,) * 3, width, cv2.LINE_AA)
    return out


def sifted(clip: np.ndarray) -> tuple[PixelTracks, PixelTracks, np.ndarray]:
    """All tracks, those of the scene, and the places of the others."""
    gray = gray_frames(clip, 1.0)
    flow = follow_points(gray, len(clip), density=600)
    return flow, *without_overlays(flow, gray)


SUBTITLE, LOGO = ("WHERE ARE THEY NOW", (60, 175)), ("TV7", (265, 30))


@pytest.mark.parametrize(
    ("move", "words", "place"),
    [("truck", *SUBTITLE), ("pan", *SUBTITLE), ("dolly", *SUBTITLE), ("truck", *LOGO), ("dolly", *LOGO)],
)
def test_what_is_burned_in_is_left_out(move: str, words: str, place: tuple[int, int]):
    _, scene, over = sifted(written_on(clip_of(move), words, place))
    assert len(over) >= 12
    assert (over > np.array(place) - [12, 22]).all() and (over[:, 1] < place[1] + 12).all()
    life = scene.seen.sum(0)
    mean = (scene.xy * scene.seen[..., None]).sum(0) / life[:, None]
    off = np.where(scene.seen, np.linalg.norm(scene.xy - mean, axis=2), 0).max(0)
    assert ((life >= 6) & (off < 0.3)).sum() <= 2


@pytest.mark.parametrize(("move", "dynamic"), [("truck", 0.0), ("dolly", 1.0), ("static", 1.0)])
def test_a_scene_is_kept_whole(move: str, dynamic: float):
    flow, scene, over = sifted(clip_of(move, dynamic=dynamic))
    assert len(over) == 0 and scene.seen.shape == flow.seen.shape


def test_what_stands_far_away_is_kept():
    """The upper half of the picture stands, infinitely far; below, a floor runs by."""
    random = np.random.default_rng(0)
    noise = cv2.GaussianBlur(random.random((HEIGHT, 500)).astype(np.float32), (0, 0), 2)
    picture = (255 * (noise - noise.min()) / np.ptp(noise)).astype(np.uint8)
    clip = np.stack([np.concatenate([picture[:96, :WIDTH], picture[96:, 3 * t : 3 * t + WIDTH]]) for t in range(10)])
    flow, scene, over = sifted(np.repeat(clip[..., None], 3, 3))
    assert len(over) < 0.05 * flow.seen.sum() and scene.seen[:, (scene.xy[..., 1] < 80).all(0)].sum() > 500


def test_a_standing_camera_stands_under_a_subtitle():
    """Before it, a subtitle stands as all else does."""
    words = written_on(clip_of("static", dynamic=1.0), "WHERE ARE THEY NOW", (60, 175))
    assert len(sifted(words)[2]) == 0


def test_the_tracker_tells_where_something_is_burned_in():
    clip = written_on(clip_of("truck"), "WHERE ARE THEY NOW", (60, 175))
    tracks = KltTracker().track(clip, points=100)
    note = next(note for note in tracks.notes if note.code == "overlay")
    left, right, above, below, count = (
        int(str(note.facts[name])) for name in ("left", "right", "above", "below", "count")
    )
    assert 50 < left < right < 240 and 155 < above < below < 185 and count > 10
