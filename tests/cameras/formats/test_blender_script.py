"""The arithmetic of extras/blender_track2view.py, which runs in Blender, against the project's own."""

from __future__ import annotations

import importlib.util
import json
import py_compile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from track2view_core.cameras import CameraPath
from track2view_core.cameras.formats import read_path, write_path
from track2view_core.cameras.rotations import matrix_from_axis_angle, rigid

SCRIPT = Path(__file__).resolve().parents[3] / "extras" / "blender_track2view.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("blender_track2view", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wandering(frames: int = 5) -> CameraPath:
    generator = torch.Generator().manual_seed(2)
    steps = torch.randn(frames, 6, dtype=torch.float64, generator=generator).cumsum(0)
    lens = torch.tensor([[700.0, 0, 400], [0, 700, 260], [0, 0, 1]], dtype=torch.float64).repeat(frames, 1, 1)
    return CameraPath(rigid(matrix_from_axis_angle(steps[:, :3]), steps[:, 3:]), lens, 832, 480, 24.0)


def test_it_compiles(tmp_path: Path) -> None:
    py_compile.compile(str(SCRIPT), cfile=str(tmp_path / "script.pyc"), doraise=True)


def test_a_blender_camera_becomes_the_same_path_by_either_way(script: ModuleType, tmp_path: Path) -> None:
    """matrix_world and lens as Blender has them: through the script's file, and through the `blender` format."""
    raw = tmp_path / "raw.json"
    write_path(wandering(), raw, format="blender")
    told = json.loads(raw.read_text(encoding="utf-8"))
    frames = []
    for frame in told["frames"]:
        data = SimpleNamespace(sensor_fit="HORIZONTAL", sensor_width=36.0, sensor_height=24.0, **frame)
        frames.append((script.world_from_camera(frame["matrix_world"]), script.intrinsics(data, 832, 480)))
    exported = tmp_path / "camera.json"
    exported.write_text(json.dumps(script.document(frames, 832, 480, 24.0)), encoding="utf-8")
    for path in (read_path(exported), read_path(raw)):
        torch.testing.assert_close(path.world_from_camera, wandering().world_from_camera, atol=1e-9, rtol=0)
        torch.testing.assert_close(path.intrinsics, wandering().intrinsics, atol=1e-9, rtol=0)
        assert path.fps == 24


def test_import_and_export_are_inverse(script: ModuleType) -> None:
    for pose in wandering().world_from_camera.tolist():
        back = script.world_from_camera(script.matrix_world_of(pose))
        torch.testing.assert_close(torch.tensor(back), torch.tensor(pose))


def test_a_new_camera_of_blender_looks_along_y_with_z_up(script: ModuleType) -> None:
    """Turned 90 degrees about x it stands upright; scaled by its parent it films the same."""
    upright = [[3.0, 0, 0, 1], [0, 0, -3, 2], [0, 3, 0, 5], [0, 0, 0, 1]]
    expected = [[1.0, 0, 0, 1], [0, 1, 0, -5], [0, 0, 1, 2], [0, 0, 0, 1]]
    assert script.world_from_camera(upright) == expected
    assert script.blender_point((1.0, -5.0, 2.0)) == (1.0, 2.0, 5.0)


@pytest.mark.parametrize(
    ("fit", "width", "height", "aspect", "fx", "fy"),
    [
        ("AUTO", 1920, 1080, (1, 1), 1920, 1920),
        ("AUTO", 1080, 1920, (1, 1), 1920, 1920),
        ("HORIZONTAL", 1080, 1920, (1, 1), 1080, 1080),
        ("VERTICAL", 1920, 1080, (1, 1), 1620, 1620),
        ("HORIZONTAL", 960, 1080, (2, 1), 960, 1920),
    ],
)
def test_sensor_fit_and_pixel_aspect(
    script: ModuleType, fit: str, width: int, height: int, aspect: tuple[int, int], fx: float, fy: float
) -> None:
    data = SimpleNamespace(lens=36.0, sensor_fit=fit, sensor_width=36.0, sensor_height=24.0, shift_x=0.0, shift_y=0.0)
    lens = script.intrinsics(data, width, height, *aspect)
    assert (lens[0][0], lens[1][1], lens[0][2], lens[1][2]) == pytest.approx((fx, fy, width / 2, height / 2))


def test_a_lens_comes_back(script: ModuleType) -> None:
    wanted = [[700.0, 0, 400.0], [0, 1000.0, 250.0], [0, 0, 1]]
    lens, shift_x, shift_y, squeeze = script.blender_lens(wanted, 832, 480, 36.0)
    data = SimpleNamespace(
        lens=lens, sensor_fit="HORIZONTAL", sensor_width=36.0, sensor_height=24.0, shift_x=shift_x, shift_y=shift_y
    )
    back = script.intrinsics(data, 832, 480, squeeze, 1.0)
    torch.testing.assert_close(torch.tensor(back), torch.tensor(wanted, dtype=torch.float32))
