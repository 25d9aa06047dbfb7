"""The forms in which other programs write the same formats."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import pytest
import torch

from track2view_core.cameras import CameraPath
from track2view_core.cameras.formats import read_path, write_path
from track2view_core.errors import Track2ViewError

GIVEN: dict[str, Any] = {"width": 640, "height": 400, "fps": 25.0, "fov_degrees": 90.0}
ROW = "0.5 0.8 0.5 0.5 0 0 1 0 0 0 0 1 0 0 0 0 1"


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def ahead(path: CameraPath, frame: int) -> list[float]:
    return path.world_from_camera[frame, :3, 2].tolist()


def test_realestate10k_without_its_url(tmp_path: Path) -> None:
    file = write(tmp_path, "rows.txt", f"0 {ROW} 0\n33367 {ROW} -1\n66733 {ROW} -2\n")
    path = read_path(file, width=640, height=400)
    assert path.world_from_camera[:, 2, 3].tolist() == [0, 1, 2]
    assert path.fps == 30000 / 1001


def test_realestate10k_with_all_timestamps_zero_asks_for_the_rate(tmp_path: Path) -> None:
    file = write(tmp_path, "rows.txt", f"0 {ROW} 0\n0 {ROW} -1\n")
    with pytest.raises(Track2ViewError, match="give fps"):
        read_path(file, width=640, height=400)
    assert len(read_path(file, width=640, height=400, fps=16)) == 2


def test_realestate10k_in_pixels_is_told(tmp_path: Path) -> None:
    file = write(tmp_path, "rows.txt", f"url\n0 320 320 320 200 {ROW.split(maxsplit=4)[4]} 0\n")
    with pytest.raises(Track2ViewError, match=r"line 2, .* divide fx and cx by the width"):
        read_path(file, **GIVEN)


def test_nerf_s_field_of_view(tmp_path: Path) -> None:
    frames = [{"file_path": "./train/r_0", "transform_matrix": torch.eye(4).tolist()}]
    file = write(tmp_path, "transforms_train.json", json.dumps({"camera_angle_x": math.pi / 2, "frames": frames}))
    path = read_path(file, width=640, height=400, fps=24)
    assert path.intrinsics[0].diagonal()[:2].tolist() == pytest.approx([320, 320])


def test_a_chan_without_field_of_view(tmp_path: Path) -> None:
    file = write(tmp_path, "camera.chan", "# frame tx ty tz rx ry rz\n1 0 0 0 10 0 0\n")
    assert ahead(read_path(file, **GIVEN), 0)[1] == pytest.approx(-math.sin(math.radians(10))), "rx 10 looks up"


def test_blender_shifts_and_upright_pictures(tmp_path: Path) -> None:
    """shift_x 0.1 moves the view to the right, so the centre of projection moves left by 0.1 of the longer side."""
    frame = {"matrix_world": torch.eye(4).tolist(), "lens": 36, "shift_x": 0.1, "shift_y": 0.2}
    told = {"format": "blender_camera", "resolution_x": 400, "resolution_y": 1000, "fps": 24, "frames": [frame]}
    lens = read_path(write(tmp_path, "camera.json", json.dumps(told))).intrinsics[0]
    assert lens[0, 0] == pytest.approx(1000)
    assert lens[:2, 2].tolist() == pytest.approx([200 - 100, 500 + 200])


AFTER_EFFECTS = """Adobe After Effects 9.0 Keyframe Data

	Units Per Second	25
	Source Width	640
	Source Height	400

Camera Options	Zoom
	Frame	pixels
	0	320
	1	640
{more}
Transform	Position
	Frame	X pixels	Y pixels	Z pixels
		320	200	-500
End of Keyframe Data
"""


def after_effects(folder: Path, name: str, columns: str, *values: str) -> CameraPath:
    keys = "".join(f"\t{value}\n" for value in values)
    return read_path(
        write(folder, "keys.txt", AFTER_EFFECTS.format(more=f"Transform\t{name}\n\tFrame\t{columns}\n{keys}"))
    )


def test_a_two_node_camera_looks_at_its_point_of_interest(tmp_path: Path) -> None:
    path = after_effects(tmp_path, "Point of Interest", "X pixels\tY pixels\tZ pixels", "\t820\t200\t0")
    assert ahead(path, 1) == pytest.approx([math.sqrt(0.5), 0, math.sqrt(0.5)])
    path = after_effects(tmp_path, "Point of Interest", "X pixels\tY pixels\tZ pixels", "\t320\t-300\t0")
    assert ahead(path, 1) == pytest.approx([0, -math.sqrt(0.5), math.sqrt(0.5)]), "a point above is looked up at"
    assert path.intrinsics[:, 0, 0].tolist() == [320, 640]
    assert path.world_from_camera[1, :3, 3].tolist() == [0, 0, -5]


@pytest.mark.parametrize(
    ("name", "axis"), [("X Rotation", 1), ("Y Rotation", 0), ("Rotation", None), ("Z Rotation", None)]
)
def test_after_effects_single_rotations(name: str, axis: int | None, tmp_path: Path) -> None:
    """A positive X Rotation looks up, a positive Y Rotation to the right, a positive (Z) Rotation rolls clockwise."""
    path = after_effects(tmp_path, name, "degrees", "0\t0", "1\t30")
    if axis is None:
        assert path.world_from_camera[1, :3, 0].tolist() == pytest.approx([math.cos(math.pi / 6), 0.5, 0])
    else:
        assert abs(ahead(path, 1)[axis]) == pytest.approx(0.5)
        assert (ahead(path, 1)[axis] > 0) == (axis == 0)


def gltf(folder: Path, *, step: bool = False) -> Path:
    """Two cameras, data in a file beside it, keys on two nodes at different values."""
    data = struct.pack("<3f", 0, 0.5, 1) + struct.pack("<9f", 0, 0, 0, 0, 0, -1, 0, 0, -2)
    (folder / "shot data.bin").write_bytes(data)
    kind = "STEP" if step else "LINEAR"
    told = {
        "asset": {"version": "2.0"},
        "nodes": [
            {"name": "left", "camera": 0},
            {"name": "rig", "children": [2]},
            {"name": "right", "camera": 0, "rotation": [0, -0.7071067811865475, 0, 0.7071067811865476]},
        ],
        "cameras": [{"type": "perspective", "perspective": {"yfov": 1.0, "znear": 1}}],
        "animations": [
            {
                "channels": [{"sampler": 0, "target": {"node": 1, "path": "translation"}}],
                "samplers": [{"input": 0, "output": 1, "interpolation": kind}],
            }
        ],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 3, "type": "SCALAR"},
            {"bufferView": 0, "byteOffset": 12, "componentType": 5126, "count": 3, "type": "VEC3"},
        ],
        "bufferViews": [{"buffer": 0, "byteLength": 48}],
        "buffers": [{"byteLength": 48, "uri": "shot%20data.bin"}],
    }
    return write(folder, "scene.gltf", json.dumps(told))


@pytest.mark.parametrize("step", [False, True])
def test_a_gltf_camera_on_a_moving_rig(step: bool, tmp_path: Path) -> None:
    with pytest.raises(Track2ViewError, match=r"several cameras; give camera .* left, right"):
        read_path(gltf(tmp_path, step=step), width=640, height=400)
    path = read_path(gltf(tmp_path, step=step), width=640, height=400, camera="right")
    assert path.world_from_camera[:, 2, 3].tolist() == pytest.approx([0, 1, 2])
    assert ahead(path, 2) == pytest.approx([1, 0, 0]), "turned -90 degrees about an upward y, it looks to the right"
    assert path.fps == 2
    still = read_path(gltf(tmp_path), camera="left", **GIVEN)
    assert len(still) == 1


def test_a_scaled_rig_is_told(tmp_path: Path) -> None:
    file = gltf(tmp_path)
    told = json.loads(file.read_text(encoding="utf-8"))
    told["nodes"][1]["scale"] = [2, 2, 2]
    file.write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(Track2ViewError, match="scaled by 2"):
        read_path(file, width=640, height=400, camera="right")


def test_tum_files_of_few_digits(tmp_path: Path) -> None:
    file = write(tmp_path, "traj.txt", "1.00 0 0 0 0 0.259 0 0.966\n\n1.04 1 0 0 0 0.259 0 0.966\n")
    path = read_path(file, width=640, height=400, fov_degrees=90)
    assert path.fps == pytest.approx(25)
    assert ahead(path, 0)[0] == pytest.approx(0.5, abs=1e-3)


def test_colmap_with_points_and_several_cameras(tmp_path: Path) -> None:
    write(tmp_path, "cameras.txt", "1 SIMPLE_RADIAL 640 400 320 320 200 0\n2 SIMPLE_PINHOLE 640 400 350 310 210\n")
    write(
        tmp_path,
        "images.txt",
        "# IMAGE_ID ...\n1 1 0 0 0 0 0 0 2 shot 1 take 2.png\n"
        + "1.5 2.5 -1 " * 5000
        + "\n2 1 0 0 0 0 0 -1 1 shot 0.png\n",
    )
    path = read_path(tmp_path, fps=24)
    assert path.world_from_camera[:, 2, 3].tolist() == [1, 0]
    assert path.intrinsics[:, 0].tolist() == [[320, 0, 320], [350, 0, 310]]


def test_one_frame_is_a_path(tmp_path: Path) -> None:
    path = CameraPath(torch.eye(4)[None], torch.tensor([[[320.0, 0, 320], [0, 320, 200], [0, 0, 1]]]), 640, 400, 24)
    for name, file in (("gltf", "one.glb"), ("chan", "one.chan"), ("aftereffects", "one.txt")):
        write_path(path, tmp_path / file, format=name)
        assert len(read_path(tmp_path / file, **GIVEN)) == 1
