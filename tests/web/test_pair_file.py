"""The packed pairs: the browser finds every track where Python projects it, in both views."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from track2view_core.cameras import preset_path
from track2view_core.preview.pair_file import FARTHEST, MOST_TRACKS, pack_pairs
from track2view_core.preview.pair_view import track_colors
from track2view_core.tracks import PairedTracks, pair_tracks

from .node_answers import ask
from .test_point_file import cloud


def pairs(frames: int, points: int) -> PairedTracks:
    tracks = cloud(frames, points, moving=points // 4)
    path = preset_path("orbit_left", tracks.camera, amount=1.5, scene_scale=tracks.scene_scale)
    return pair_tracks(tracks, path)


def read(file: Path, paired: PairedTracks, shares: list[float]) -> dict:
    file.write_bytes(pack_pairs(paired))
    (answer,) = ask(("pairs", {"file": str(file), "shares": shares}))
    return answer


def test_the_browser_finds_every_track_in_both_views(tmp_path: Path) -> None:
    paired = pairs(9, 60)
    answer = read(tmp_path / "pairs.bin", paired, [0, 0.5, 1])
    kept = answer["tracks"]
    assert kept == paired.seen.nonzero()[:, 0].tolist() and answer["frames"] == [0, 4, 8]
    assert answer["size"]["target"] == {"width": 832, "height": 480}
    assert answer["seen"] == paired.visible[[0, 4, 8]][:, kept].tolist()
    colors = track_colors(paired)
    assert answer["colors"] == [part for track in kept for part in colors[track]]
    for name in ("source", "target"):
        view = getattr(paired, name)
        for frame, places in zip((0, 4, 8), answer[name], strict=True):
            for track, place in zip(kept, places, strict=True):
                assert (place is not None) == bool(view.inside[frame, track])
                if place is not None:
                    wanted = (view.xy[frame, track] / torch.tensor([832, 480])).tolist()
                    assert place == pytest.approx(wanted, abs=0.5 / FARTHEST + 1e-6)
    assert any(None in places for places in answer["target"]) and answer["nowhere"] is None
    for places, found in zip(answer["target"], answer["found"], strict=True):
        for track, place in enumerate(places):
            assert found[track] == (None if place is None else found[track])
            if place is not None:
                assert places[found[track]] == place


@pytest.mark.parametrize(("frames", "points"), [(130, 2600), (1, 3)])
def test_the_file_stays_small(tmp_path: Path, frames: int, points: int) -> None:
    paired = pairs(frames, points)
    answer = read(tmp_path / "pairs.bin", paired, [0, 1])
    assert answer["kept"] == min(frames, 120) and answer["count"] == min(int(paired.seen.sum()), MOST_TRACKS)
    assert (tmp_path / "pairs.bin").stat().st_size < 3_000_000


def test_a_damaged_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "pairs.bin"
    file.write_bytes(pack_pairs(pairs(3, 40))[:-9])
    (answer,) = ask(("pairs", {"file": str(file), "shares": [0]}))
    assert answer == "The file that came is cut short; run Preview Re-camera again."
