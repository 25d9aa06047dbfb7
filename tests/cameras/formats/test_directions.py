"""Pan right turns right in every format: literal files, typed from each format's own description, not by the writers.

Each file holds the same three frames: a start, the camera turned 30 degrees to the right, and the camera moved 1 to
the right, 0.5 up and 2 forward. cos 30 = 0.8660254037844387, sin 30 = 0.5, cos 15 = 0.9659258262890683,
sin 15 = 0.25881904510252074.
"""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from track2view_core.cameras import CameraPath
from track2view_core.cameras.formats import FORMATS, read_path
from track2view_core.cameras.rotations import rigid_inverse

C, S = 0.8660254037844387, 0.5
HALF_C, HALF_S = 0.9659258262890683, 0.25881904510252074

REALESTATE10K = f"""https://www.youtube.com/watch?v=none
0 0.5 0.8 0.5 0.5 0 0 1 0 0 0 0 1 0 0 0 0 1 0
40000 0.5 0.8 0.5 0.5 0 0 {C} 0 -{S} 0 0 1 0 0 {S} 0 {C} 0
80000 0.5 0.8 0.5 0.5 0 0 1 0 0 -1 0 1 0 0.5 0 0 1 -2
"""
RECAMMASTER = json.dumps(
    {
        "frame0": {"cam01": "[1 0 0 0] [0 1 0 0] [0 0 1 0] [3390 1380 240 1] "},
        "frame1": {"cam01": f"[{C} {S} 0 0] [-{S} {C} 0 0] [0 0 1 0] [3390 1380 240 1] "},
        "frame2": {"cam01": "[1 0 0 0] [0 1 0 0] [0 0 1 0] [3590 1480 290 1] "},
    }
)
CAMERAS_TXT = "# Camera list\n1 PINHOLE 640 400 320 320 320 200\n"
IMAGES_TXT = f"""# Image list with two lines of data per image:
7 1 0 0 0 0 0 0 1 clip_8.png

3 {HALF_C} 0 -{HALF_S} 0 0 0 0 1 clip_9.png
1.5 2.5 -1 10 20 4
9 1 0 0 0 -1 0.5 -2 1 clip_10.png

"""
NERFSTUDIO = json.dumps(
    {
        "w": 640, "h": 400, "fl_x": 320.0, "fl_y": 320.0, "cx": 320.0, "cy": 200.0,
        "frames": [
            {"file_path": "f_10.png", "transform_matrix": [[1, 0, 0, 1], [0, 1, 0, 0.5], [0, 0, 1, -2], [0, 0, 0, 1]]},
            {"file_path": "f_9.png", "transform_matrix": [[C, 0, -S, 0], [0, 1, 0, 0], [S, 0, C, 0], [0, 0, 0, 1]]},
            {"file_path": "f_8.png", "transform_matrix": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]},
        ],
    }
)  # fmt: skip
TUM = (
    f"# timestamp tx ty tz qx qy qz qw\n10.0 0 0 0 0 0 0 1\n10.04 0 0 0 0 {HALF_S} 0 {HALF_C}\n10.08 1 -0.5 2 0 0 0 1\n"
)
KITTI = f"1 0 0 0 0 1 0 0 0 0 1 0\n{C} 0 {S} 0 0 1 0 0 -{S} 0 {C} 0\n1 0 0 1 0 1 0 -0.5 0 0 1 2\n"
# A Blender camera that looks along +y is turned 90 degrees about x; a turn to the right is -30 degrees about z.
BLENDER = json.dumps(
    {
        "format": "blender_camera", "resolution_x": 640, "resolution_y": 400, "fps": 25, "lens": 18,
        "frames": [
            {"matrix_world": [[1, 0, 0, 3], [0, 0, -1, 4], [0, 1, 0, 5], [0, 0, 0, 1]]},
            {"matrix_world": [[C, 0, -S, 3], [-S, 0, -C, 4], [0, 1, 0, 5], [0, 0, 0, 1]]},
            {"matrix_world": [[1, 0, 0, 4], [0, 0, -1, 6], [0, 1, 0, 5.5], [0, 0, 0, 1]]},
        ],
    }
)  # fmt: skip
VFOV = 64.01076641640612  # degrees: 2 atan(200 / 320)
CHAN = f"101 0 0 0 0 0 0 {VFOV}\n102 0 0 0 0 -30 0 {VFOV}\n103 1 0.5 -2 0 0 0 {VFOV}\n"
AFTEREFFECTS = """Adobe After Effects 8.0 Keyframe Data

	Units Per Second	25
	Source Width	640
	Source Height	400
	Source Pixel Aspect Ratio	1
	Comp Pixel Aspect Ratio	1

Transform	Position
	Frame	X pixels	Y pixels	Z pixels	
	5	320	200	-50	
	6	320	200	-50	
	7	420	150	150	

Transform	Orientation
	Frame	X degrees	Y degrees	Z degrees	
	5	0	350	0	
	6	0	20	0	
	7	0	350	0	

Transform	Y Rotation
	Frame	degrees	
		10	

Camera Options	Zoom
	Frame	pixels	
		320	


End of Keyframe Data
"""


def gltf_text() -> str:
    data = struct.pack("<3f", 0, 0.04, 0.08) + struct.pack("<9f", 0, 0, 0, 0, 0, 0, 1, 0.5, -2)
    data += struct.pack("<12f", 0, 0, 0, 1, 0, -HALF_S, 0, HALF_C, 0, 0, 0, 1)
    views = [{"buffer": 0, "byteOffset": at, "byteLength": size} for at, size in ((0, 12), (12, 36), (48, 48))]
    kinds = ("SCALAR", "VEC3", "VEC4")
    return json.dumps(
        {
            "asset": {"version": "2.0"},
            "nodes": [{"children": [1], "translation": [7, 8, 9]}, {"camera": 0, "name": "shot"}],
            "cameras": [{"type": "perspective", "perspective": {"yfov": 1.1171986306871249, "znear": 0.1}}],
            "animations": [
                {
                    "channels": [
                        {"sampler": 0, "target": {"node": 1, "path": "translation"}},
                        {"sampler": 1, "target": {"node": 1, "path": "rotation"}},
                    ],
                    "samplers": [{"input": 0, "output": 1}, {"input": 0, "output": 2}],
                }
            ],
            "accessors": [
                {"bufferView": index, "componentType": 5126, "count": 3, "type": kind}
                for index, kind in enumerate(kinds)
            ],
            "bufferViews": views,
            "buffers": [{"byteLength": 96, "uri": "data:;base64," + base64.b64encode(data).decode()}],
        }
    )


LENS = [[320.0, 0, 320], [0, 320, 200], [0, 0, 1]]
TRACK2VIEW = json.dumps(
    {
        "format": "track2view_camera", "version": 1, "width": 640, "height": 400, "fps": 25,
        "frames": [
            {"world_from_camera": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "intrinsics": LENS},
            {"world_from_camera": [[C, 0, S, 0], [0, 1, 0, 0], [-S, 0, C, 0], [0, 0, 0, 1]], "intrinsics": LENS},
            {"world_from_camera": [[1, 0, 0, 1], [0, 1, 0, -0.5], [0, 0, 1, 2], [0, 0, 0, 1]], "intrinsics": LENS},
        ],
    }
)  # fmt: skip

VIEWER_PATH = json.dumps(
    {
        "camera_type": "perspective", "render_width": 640, "render_height": 400, "fps": 25, "keyframes": [],
        "camera_path": [
            {"camera_to_world": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1], "fov": VFOV, "aspect": 1.6},
            {"camera_to_world": [C, 0, -S, 0, 0, 1, 0, 0, S, 0, C, 0, 0, 0, 0, 1], "fov": VFOV, "aspect": 1.6},
            {"camera_to_world": [1, 0, 0, 1, 0, 1, 0, 0.5, 0, 0, 1, -2, 0, 0, 0, 1], "fov": VFOV, "aspect": 1.6},
        ],
    }
)  # fmt: skip

TEXTS = {
    "nerfstudio_path": ("camera_path.json", VIEWER_PATH),
    "track2view_camera": ("camera.json", TRACK2VIEW),
    "realestate10k": ("camera.txt", REALESTATE10K),
    "recammaster": ("camera_extrinsics.json", RECAMMASTER),
    "nerfstudio": ("transforms.json", NERFSTUDIO),
    "tum": ("trajectory.txt", TUM),
    "kitti": ("00.txt", KITTI),
    "blender": ("camera.json", BLENDER),
    "chan": ("camera.chan", CHAN),
    "aftereffects": ("keys.txt", AFTEREFFECTS),
    "gltf": ("camera.gltf", gltf_text()),
}
FIELDS = {
    "realestate10k": {"width": 640, "height": 400},
    "realcamvid": {"width": 640, "height": 400, "fps": 25},
    "recammaster": {"width": 640, "height": 400, "fps": 25, "fov_degrees": 90},
    "colmap": {"fps": 25},
    "nerfstudio": {"fps": 25},
    "tum": {"width": 640, "height": 400, "fov_degrees": 90},
    "kitti": {"width": 640, "height": 400, "fps": 25, "fov_degrees": 90},
    "chan": {"width": 640, "height": 400, "fps": 25},
    "gltf": {"width": 640, "height": 400},
}


@pytest.fixture(params=sorted(FORMATS))
def literal(request: pytest.FixtureRequest, tmp_path: Path) -> CameraPath:
    """The three frames, read from the literal file of one format."""
    name = request.param
    if name == "colmap":
        (tmp_path / "cameras.txt").write_text(CAMERAS_TXT, encoding="utf-8")
        (tmp_path / "images.txt").write_text(IMAGES_TXT, encoding="utf-8")
        file = tmp_path
    elif name == "realcamvid":
        turned = [[C, 0, -S, 0], [0, 1, 0, 0], [S, 0, C, 0], [0, 0, 0, 1]]
        moved = [[1, 0, 0, -0.5], [0, 1, 0, 0.25], [0, 0, 1, -1], [0, 0, 0, 1]]
        clip = {
            "video_path": "a/b.mp4", "camera_extrinsics": np.array([np.eye(4), turned, moved]),
            "camera_intrinsics": np.array([0.5, 0.8, 0.5, 0.5]), "align_factor": np.float64(2.0), "caption": "x",
        }  # fmt: skip
        file = tmp_path / "RealCam-Vid_test.npz"
        np.savez(file, np.array([clip], dtype=object))
    else:
        file = tmp_path / TEXTS[name][0]
        file.write_text(TEXTS[name][1], encoding="utf-8")
    return read_path(file, **FIELDS.get(name, {}))


def relative(path: CameraPath) -> Tensor:
    return rigid_inverse(path.world_from_camera[0]) @ path.world_from_camera


def test_the_second_frame_looks_30_degrees_to_the_right(literal: CameraPath) -> None:
    turned = relative(literal)[1]
    expected = torch.tensor([[C, 0, S, 0], [0, 1, 0, 0], [-S, 0, C, 0], [0, 0, 0, 1]], dtype=torch.float64)
    torch.testing.assert_close(turned, expected, atol=1e-6, rtol=0)
    ahead = turned[:3, 2]
    assert ahead[0] > 0.49, "the point straight ahead lies to the right of where it was"


def test_the_third_frame_is_to_the_right_above_and_ahead(literal: CameraPath) -> None:
    moved = relative(literal)[2]
    torch.testing.assert_close(moved[:3, 3], torch.tensor([1.0, -0.5, 2.0], dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(moved[:3, :3], torch.eye(3, dtype=torch.float64), atol=1e-6, rtol=0)


def test_lens_size_and_rate_are_the_literal_ones(literal: CameraPath) -> None:
    assert (literal.width, literal.height, len(literal)) == (640, 400, 3)
    assert literal.fps == pytest.approx(25)
    torch.testing.assert_close(literal.intrinsics[1], torch.tensor(LENS, dtype=torch.float64), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["blender", "gltf", "chan", "recammaster"])
def test_up_in_the_world_stays_up(name: str, tmp_path: Path) -> None:
    """Formats with a world of their own: a level camera there is level here, with y down."""
    file = tmp_path / TEXTS[name][0]
    file.write_text(TEXTS[name][1], encoding="utf-8")
    path = read_path(file, **FIELDS.get(name, {}))
    torch.testing.assert_close(path.world_from_camera[0, :3, :3], torch.eye(3, dtype=torch.float64), atol=1e-9, rtol=0)


def test_every_format_has_its_literal_file() -> None:
    assert {*TEXTS, "colmap", "realcamvid"} == set(FORMATS)
