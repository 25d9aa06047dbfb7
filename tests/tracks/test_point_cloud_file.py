"""Point clouds: an independent reader finds every point, colour and word of the frame again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from track2view_core.cameras import CameraPath
from track2view_core.errors import Track2ViewError
from track2view_core.tracks import PointTracks
from track2view_core.tracks.point_cloud_file import write_point_cloud


def some_tracks(colored: bool = True) -> PointTracks:
    generator = torch.Generator().manual_seed(0)
    lens = torch.tensor([[100.0, 0, 64], [0, 100, 48], [0, 0, 1]]).expand(3, 3, 3)
    return PointTracks(
        torch.randn(3, 7, 3, generator=generator),
        torch.rand(3, 7, generator=generator) > 0.5,
        torch.rand(3, 7, generator=generator),
        CameraPath(torch.eye(4).expand(3, 4, 4), lens, 128, 96),
        torch.randint(0, 256, (7, 3), generator=generator, dtype=torch.uint8) if colored else None,
    )


def read(file: Path) -> np.ndarray:
    head, body = file.read_bytes().split(b"end_header\n", 1)
    lines = head.decode("ascii").splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    kinds = {"float": "<f4", "uchar": "u1"}
    fields = [(line.split()[2], kinds[line.split()[1]]) for line in lines if line.startswith("property")]
    (count,) = [int(line.split()[2]) for line in lines if line.startswith("element vertex")]
    points = np.frombuffer(body, np.dtype(fields))
    assert len(points) == count
    return points


@pytest.mark.parametrize("colored", [True, False])
def test_every_point_is_found_again(tmp_path: Path, colored: bool) -> None:
    tracks = some_tracks(colored)
    write_point_cloud(tracks, tmp_path / "Würfel.ply", frame=2)
    points = read(tmp_path / "Würfel.ply")
    assert np.array_equal(np.stack([points[axis] for axis in "xyz"], -1), tracks.positions[2].numpy())
    colors = np.stack([points[name] for name in ("red", "green", "blue")], -1)
    assert np.array_equal(colors, tracks.colors.numpy() if colored else np.full((7, 3), 128))
    assert np.array_equal(points["visible"] > 0, tracks.visible[2].numpy())
    assert np.array_equal(points["confidence"], tracks.confidence[2].numpy())
    assert [file.name for file in tmp_path.iterdir()] == ["Würfel.ply"]


def test_what_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    for frame in (-1, 3):
        with pytest.raises(Track2ViewError, match="frames 0 to 2"):
            write_point_cloud(some_tracks(), tmp_path / "a.ply", frame=frame)
    with pytest.raises(Track2ViewError, match="does not exist"):
        write_point_cloud(some_tracks(), tmp_path / "no" / "a.ply")
    (tmp_path / "b.ply").mkdir()
    with pytest.raises(Track2ViewError, match="could not be written"):
        write_point_cloud(some_tracks(), tmp_path / "b.ply")
    assert [file.name for file in tmp_path.iterdir()] == ["b.ply"]
