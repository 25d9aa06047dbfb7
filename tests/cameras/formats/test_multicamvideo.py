"""MultiCamVideo's ten named moves: its own literal matrices of the first and last of 81 frames, decoded."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from track2view_core.cameras import CameraPath
from track2view_core.cameras.formats import cameraposes_from_path, path_from_cameraposes, read_path
from track2view_core.cameras.rotations import rigid_inverse

START = "[1 0 0 0] [-0 1 0 0] [0 -0 1 0] [3390 1380 240 1] "
# camera -> (move, last matrix, yaw to the right, pitch up, (x, y, z) from frame 0 in metres, y down)
MOVES = {
    "cam01": ("pan right", "[0.940432 0.339982 0 0] [-0.339982 0.940432 0 0] [0 -0 1 0] [3390 1380 240 1] ",
              19.88, 0, (0, 0, 0)),
    "cam02": ("pan left", "[0.940432 -0.339982 0 0] [0.339982 0.940432 -0 0] [0 0 1 0] [3390 1380 240 1] ",
              -19.88, 0, (0, 0, 0)),
    "cam03": ("tilt up", "[0.984995 -2.13821e-50 0.17258 0] [2.69953e-34 1 -1.54074e-33 0] "
              "[-0.17258 1.56421e-33 0.984995 0] [3390 1380 240 1] ", 0, 9.94, (0, 0, 0)),
    "cam04": ("tilt down", "[0.984995 0 -0.17258 0] [-0 1 0 0] [0.17258 0 0.984995 0] [3390 1380 240 1] ",
              0, -9.94, (0, 0, 0)),
    "cam05": ("zoom in", "[1 0 0 0] [-0 1 0 0] [0 -0 1 0] [3588.76 1380 240 1] ", 0, 0, (0, 0, 1.988)),
    "cam06": ("zoom out", "[1 0 0 0] [-0 1 0 0] [0 -0 1 0] [3191.24 1380 240 1] ", 0, 0, (0, 0, -1.988)),
    "cam07": ("translate up", "[0.970496 0 -0.241117 0] [-0 1 0 0] [0.241117 0 0.970496 0] [3390 1380 339.379 1] ",
              0, -13.95, (0, -0.994, 0)),
    "cam08": ("translate down", "[0.970496 0 0.241117 0] [-0 1 0 0] [-0.241117 -0 0.970496 0] [3390 1380 140.621 1] ",
              0, 13.95, (0, 0.994, 0)),
    "cam09": ("arc left", "[0.867575 0.497306 0 0] [-0.497306 0.867575 0 0] [0 -0 1 0] [3443.26 1181.24 240 1] ",
              29.82, 0, (-1.988, 0, 0.533)),
    "cam10": ("arc right", "[0.867575 -0.497306 0 0] [0.497306 0.867575 -0 0] [0 0 1 0] [3443.26 1578.76 240 1] ",
              -29.82, 0, (1.988, 0, 0.533)),
}  # fmt: skip


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    """camera_extrinsics.json where the data set has it, cut to two frames."""
    folder = tmp_path / "train" / "f18_aperture10" / "scene1" / "cameras"
    folder.mkdir(parents=True)
    document = {
        "frame0": dict.fromkeys(MOVES, START),
        "frame1": {camera: last for camera, (_, last, *_) in MOVES.items()},
    }
    file = folder / "camera_extrinsics.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return file


def yaw_pitch(path: CameraPath) -> tuple[float, float]:
    """Degrees to the right and up of where the last frame looks, seen from the first."""
    x, y, z = (rigid_inverse(path.world_from_camera[0]) @ path.world_from_camera[-1])[:3, 2].tolist()
    return math.degrees(math.atan2(x, z)), math.degrees(math.atan2(-y, math.hypot(x, z)))


@pytest.mark.parametrize("camera", MOVES, ids=lambda camera: MOVES[camera][0].replace(" ", "_"))
def test_the_named_moves(camera: str, data_set: Path) -> None:
    _, _, yaw, pitch, way = MOVES[camera]
    path = read_path(data_set, width=832, height=480, fps=15, camera=camera)
    assert yaw_pitch(path) == pytest.approx((yaw, pitch), abs=0.01)
    moved = (rigid_inverse(path.world_from_camera[0]) @ path.world_from_camera[-1])[:3, 3]
    torch.testing.assert_close(moved, torch.tensor(way, dtype=torch.float64), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("folder", "focal"),
    [("f18_aperture10", 630.30), ("f24_aperture5", 840.40), ("f35_aperture2.4", 1225.59), ("f50_aperture2.4", 1750.84)],
)
def test_the_folder_states_the_lens(folder: str, focal: float, data_set: Path) -> None:
    scene = data_set.parents[2].rename(data_set.parents[3] / folder)
    path = read_path(scene / "scene1" / "cameras" / data_set.name, width=832, height=480, fps=15, camera="1")
    assert path.intrinsics[0].diagonal()[:2].tolist() == pytest.approx([focal, focal], abs=0.01)
    assert path.intrinsics[0, :2, 2].tolist() == [416, 240]


def test_the_absolute_world_is_right_handed_with_y_down(data_set: Path) -> None:
    """X forward 3390 cm, Y right 1380, Z up 240 are z, x and -y in metres."""
    path = read_path(data_set, width=832, height=480, fps=15, camera="cam05")
    expected = torch.tensor([13.80, -2.40, 33.90], dtype=torch.float64)
    torch.testing.assert_close(path.world_from_camera[0, :3, 3], expected, atol=1e-9, rtol=0)
    assert float(torch.linalg.det(path.world_from_camera[0, :3, :3])) == pytest.approx(1)


def test_cameraposes_are_the_same_matrices_transposed(data_set: Path) -> None:
    """What WanVideoWrapper's default camera node hands on for frames 0 and 80, every fourth frame of a clip."""
    last = [[0.940432, -0.339982, 0, 3390], [0.339982, 0.940432, 0, 1380], [0, 0, 1, 240], [0, 0, 0, 1]]
    first = [[1, 0, 0, 3390], [0, 1, 0, 1380], [0, 0, 1, 240], [0, 0, 0, 1]]
    path = path_from_cameraposes([first, last], width=832, height=480, fov_degrees=60, fps=16)
    assert len(path) == 5
    assert path.fps == pytest.approx(16)
    assert yaw_pitch(path) == pytest.approx((19.88, 0), abs=0.01)
    torch.testing.assert_close(torch.from_numpy(cameraposes_from_path(path))[-1], torch.tensor(last).double())
