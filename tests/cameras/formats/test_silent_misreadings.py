"""What other programs' files say wrongly or not at all: told or asked for, never taken in silence."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from track2view_core.cameras import CameraPath
from track2view_core.cameras.formats import path_from_cameractrl, read_camera, read_path, write_path
from track2view_core.cameras.formats.frame_series import gap_in, series_of
from track2view_core.cameras.formats.reading_and_writing import read_for_clip, read_move
from track2view_core.cameras.path_quality import lens_notes
from track2view_core.errors import Track2ViewError
from track2view_core.notes import Door

SIZE = {"width": 640, "height": 360}
PLAIN = {**SIZE, "fov_degrees": 65.0}


def moving(frames: int = 9, width: int = 640, height: int = 360) -> CameraPath:
    poses = torch.eye(4, dtype=torch.float64).repeat(frames, 1, 1)
    poses[:, 0, 3] = 0.1 * torch.arange(frames)
    lens = torch.tensor([[500.0, 0, width / 2], [0, 500, height / 2], [0, 0, 1]], dtype=torch.float64)
    return CameraPath(poses, lens.repeat(frames, 1, 1), width, height, 24.0)


def refused(file: Path, **given: Any) -> str:
    with pytest.raises(Track2ViewError) as caught:
        read_path(file, **given)
    return str(caught.value)


def x_of(path: CameraPath) -> list[float]:
    return [round(x, 6) for x in path.world_from_camera[:, 0, 3].tolist()]


def text(folder: Path, name: str, content: str) -> Path:
    (folder / name).write_text(content, encoding="utf-8")
    return folder / name


# --- times ------------------------------------------------------------------------------------------------------------


def tum(folder: Path, times: list[Any], head: str = "") -> Path:
    return text(folder, "t.txt", head + "".join(f"{t} {0.1 * i} 0 0 0 0 0 1\n" for i, t in enumerate(times)))


def realestate(folder: Path, times: list[Any]) -> Path:
    rows = [f"{t} 0.8 1.4 0.5 0.5 0 0 1 0 0 {-0.1 * i} 0 1 0 0 0 0 1 0\n" for i, t in enumerate(times)]
    return text(folder, "r.txt", "https://example.org\n" + "".join(rows))


@pytest.mark.parametrize(
    ("write", "times", "fps", "unit"),
    [
        (tum, [1403636579763555584 + 50_000_000 * i for i in range(9)], 20, "nanoseconds"),
        (tum, [1403636579763 + 40 * i for i in range(9)], 25, "milliseconds"),
        (tum, [1403636579763000 + 40_000 * i for i in range(9)], 25, "microseconds"),
        (realestate, [round(1000 * i / 30) for i in range(9)], 30, "milliseconds"),
        (realestate, [f"{i / 30:.6f}" for i in range(9)], 30, "seconds"),
        (realestate, [1_000_000_000 * i // 24 for i in range(9)], 24, "nanoseconds"),
        (tum, [1403636579.5 + 0.05 * i for i in range(9)], 20, None),
        (realestate, [round(1_000_000 * i / 30) for i in range(9)], 30, None),
    ],
)
def test_a_sure_unit_is_taken_and_told(write, times, fps, unit, tmp_path: Path) -> None:
    path, notes = read_camera(write(tmp_path, times), **(PLAIN if write is tum else SIZE))
    assert path.fps == pytest.approx(fps, rel=1e-6)
    assert [note.facts["unit"] for note in notes if note.code == "times_unit"] == ([unit] if unit else [])


@pytest.mark.parametrize("write", [tum, realestate])
@pytest.mark.parametrize(
    "times", [[0, 1, 2, 3], [7, 8, 9, 12], [0, 5, 10, 15], [0, 40, 80, 120], [0, 1e-9, 2e-9, 3e-9]]
)
def test_frame_numbers_and_impossible_rates_ask_for_the_rate(write, times, tmp_path: Path) -> None:
    file = write(tmp_path, times)
    assert "give fps (--fps)" in refused(file, **(PLAIN if write is tum else SIZE))
    assert read_path(file, **(PLAIN if write is tum else SIZE), fps=24).fps == 24


def test_two_units_that_make_a_rate_ask_for_it(tmp_path: Path) -> None:
    assert "give fps (--fps)" in refused(realestate(tmp_path, [0.0, 1.5, 3.1, 4.5]), **SIZE)


def test_a_stated_unit_is_believed(tmp_path: Path) -> None:
    assert read_path(tum(tmp_path, [0, 1, 2], "# timestamp [s] tx ty tz\n"), **PLAIN).fps == 1
    assert read_path(tum(tmp_path, [0, 40, 80], "#timestamp (ms)\n"), **PLAIN).fps == 25
    slow = CameraPath(moving().world_from_camera, moving().intrinsics, 640, 360, 1.0)
    write_path(slow, tmp_path / "slow.tum")
    assert read_path(tmp_path / "slow.tum", **PLAIN).fps == 1


def test_no_rate_that_a_file_states_passes_beyond_what_clips_have(tmp_path: Path) -> None:
    for fps in (0.4, 1001.0):
        path = moving()
        write_path(
            CameraPath(path.world_from_camera, path.intrinsics, 640, 360, fps), tmp_path / "a.json", format="blender"
        )
        assert "give fps" in refused(tmp_path / "a.json")


# --- frames that are missing ------------------------------------------------------------------------------------------


def with_gap(folder: Path, name: str) -> Path:
    """Nine frames without frames 3 and 4."""
    file = folder / {"colmap": "model", "chan": "c.chan", "tum": "t.tum"}.get(name, "n.json")
    write_path(moving(), file, format=name)
    if name == "nerfstudio":
        told = json.loads(file.read_text(encoding="utf-8"))
        del told["frames"][3:5]
        file.write_text(json.dumps(told), encoding="utf-8")
        return file
    part = file / "images.txt" if name == "colmap" else file
    lines = part.read_text(encoding="utf-8").split("\n")
    del lines[slice(7, 11) if name == "colmap" else slice(3, 5) if name == "chan" else slice(4, 6)]
    part.write_text("\n".join(lines), encoding="utf-8")
    return file


@pytest.mark.parametrize("name", ["colmap", "nerfstudio", "tum", "chan"])
def test_missing_frames_are_refused_filled_or_joined(name: str, tmp_path: Path) -> None:
    file = with_gap(tmp_path, name)
    given: dict[str, Any] = {"tum": PLAIN, "chan": {**SIZE, "fps": 24.0}}.get(name, {"fps": 24.0})
    assert "missing_frames (--missing-frames)" in refused(file, **given)
    filled, notes = read_camera(file, **given, missing_frames="fill")
    assert x_of(filled) == x_of(moving()) and filled.fps == pytest.approx(24)
    assert [note.facts["count"] for note in notes if note.code == "frames_filled"] == [2]
    joined, notes = read_camera(file, **given, missing_frames="join")
    assert len(joined) == 7 and "frames_joined" in {note.code for note in notes}
    with pytest.raises(Track2ViewError, match="missing"):
        read_move(file)  # also where no rate is wanted
    assert "must be one of refuse, fill, join" in refused(file, **given, missing_frames="guess")


def test_numbers_of_pictures() -> None:
    assert gap_in([1, 2, 3, 6]) == ((0, 1, 2, 5), (3, 6))
    assert gap_in([0, 10, 20, 40]) == ((0, 1, 2, 4), (20, 40))
    assert gap_in([0, 33, 67, 100])[1] is None
    (one,) = series_of([f"f_{number}.png" for number in (10, 9, 11)])
    assert one.places == (1, 0, 2) and one.numbers == (9, 10, 11)
    for loose in (["a.png", "b.png"], ["shot 1 take 2", "shot 0"], ["a_1", "a_2", "b_7", "b_8"], ["a_1", "b_1"]):
        (one,) = series_of(loose)
        assert one.numbers is None


# --- several cameras --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("images/{}/frame_{:04d}.png", ("left", "right")),
        ("{}_{:03d}.jpg", ("cam1", "cam2")),
        ("{1:04d}_{0}.png", ("L", "R")),
    ],
)
@pytest.mark.parametrize("name", ["colmap", "nerfstudio"])
def test_cameras_side_by_side_are_named_and_chosen(pattern: str, names, name: str, tmp_path: Path) -> None:
    file = tmp_path / ("model" if name == "colmap" else "n.json")
    write_path(moving(8), file, format=name)
    part = file / "images.txt" if name == "colmap" else file
    told = part.read_text(encoding="utf-8")
    for frame in range(8):  # the first four are one camera's
        old = f"{'images/' if name == 'nerfstudio' else ''}frame_{frame:06d}.png"
        told = told.replace(old, pattern.format(names[frame // 4], frame % 4))
    part.write_text(told, encoding="utf-8")
    assert f"give camera (--camera-name) as one of {', '.join(names)}" in refused(file, fps=24)
    assert x_of(read_path(file, fps=24, camera=names[1])) == [0.4, 0.5, 0.6, 0.7]
    assert len(read_path(file, fps=24, camera="all")) == 8
    assert f"as one of {names[0]}" in refused(file, fps=24, camera="middle")


def test_colmap_s_cameras_have_ids_too(tmp_path: Path) -> None:
    write_path(moving(4), tmp_path / "model", format="colmap")
    text(tmp_path / "model", "cameras.txt", "1 PINHOLE 640 360 500 500 320 180\n2 PINHOLE 320 180 250 250 160 90\n")
    images = (tmp_path / "model" / "images.txt").read_text(encoding="utf-8")
    for frame in (1, 3):
        images = images.replace(f"1 frame_00000{frame}", f"2 frame_00000{frame}")
    text(tmp_path / "model", "images.txt", images)
    assert "give camera (--camera-name) as one of its cameras, 1, 2" in refused(tmp_path / "model", fps=24)
    path = read_path(tmp_path / "model", fps=24, camera="2")
    assert x_of(path) == [0.1, 0.3] and path.width == 320


# --- quaternions ------------------------------------------------------------------------------------------------------


def turned(folder: Path, head: str, *rows: str) -> Path:
    return text(folder, "q.txt", head + "".join(f"{0.04 * i} 0 0 {i} {row}\n" for i, row in enumerate(rows)))


def test_w_first_is_questioned_stated_or_told(tmp_path: Path) -> None:
    half = math.sqrt(0.5)
    rows = ("1 0 0 0", f"{half} 0 {half} 0")  # a quarter turn to the right, w first
    file = turned(tmp_path, "", *rows)
    assert "quaternion_order (--quaternion-order)" in refused(file, **PLAIN)
    assert [note.code for note in read_camera(file, **PLAIN)[1]] == ["quaternion_order_doubtful"]
    assert [note.code for note in read_move(file)[1]] == ["quaternion_order_doubtful"]
    right = read_path(file, **PLAIN, quaternion_order="wxyz")
    assert right.world_from_camera[1, :3, 2].tolist() == pytest.approx([1, 0, 0])
    assert read_path(file, **PLAIN, quaternion_order="xyzw").world_from_camera[0, 1, 1] == -1
    stated = turned(tmp_path, "# t x y z qw qx qy qz\n", *rows)
    torch.testing.assert_close(read_path(stated, **PLAIN).world_from_camera, right.world_from_camera)
    last = turned(tmp_path, "# timestamp tx ty tz qx qy qz qw\n", *rows)
    assert read_path(last, **PLAIN).world_from_camera[0, 1, 1] == -1
    assert "must be one of xyzw, wxyz" in refused(file, **PLAIN, quaternion_order="zyxw")
    write_path(moving(), tmp_path / "c.chan")
    assert "no quaternions" in refused(tmp_path / "c.chan", **SIZE, fps=24, quaternion_order="wxyz")


# --- lenses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stated", [{"is_fisheye": True}, {"is_fisheye": 1}, {"ftheta_p0": 0.1}, {"camera_model": "OPENCV_FISHEYE"}]
)
def test_a_fisheye_of_nerf_is_refused(stated: dict[str, Any], tmp_path: Path) -> None:
    write_path(moving(), tmp_path / "n.json", format="nerfstudio")
    told = json.loads((tmp_path / "n.json").read_text(encoding="utf-8"))
    text(tmp_path, "n.json", json.dumps({**told, **stated}))
    assert "give fov_degrees (--fov)" in refused(tmp_path / "n.json", fps=24)
    assert len(read_path(tmp_path / "n.json", fps=24, fov_degrees=65)) == len(read_move(tmp_path / "n.json")[0]) == 9
    text(tmp_path, "n.json", json.dumps({**told, "is_fisheye": False}))
    assert len(read_path(tmp_path / "n.json", fps=24)) == 9


def test_a_fisheye_of_colmap_bends_without_parameters_too(tmp_path: Path) -> None:
    write_path(moving(), tmp_path / "model", format="colmap")
    text(tmp_path / "model", "cameras.txt", "1 OPENCV_FISHEYE 640 360 500 500 320 180 0 0 0 0\n")
    assert "OPENCV_FISHEYE" in refused(tmp_path / "model", fps=24)


@pytest.mark.parametrize(
    ("lens", "code"),
    [
        ((500, 500, 320, 180), None),
        ((500, 500, 360, 200), None),
        ((500, 500, 960, 540), "lens_of_other_size"),
        ((500, 500, -1, 180), "lens_of_other_size"),
        ((250, 250, 160, 90), "lens_off_centre"),
        ((0.78, 1.39, 0.5, 0.5), "lens_in_shares"),
        ((1.2, 500, 320, 180), "lens_in_shares"),
        ((500, 890, 320, 180), "lens_of_other_shape"),
    ],
)
def test_a_lens_of_another_picture_is_questioned(lens, code: str | None, tmp_path: Path) -> None:
    fx, fy, cx, cy = lens
    intrinsics = torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float64).repeat(9, 1, 1)
    path = CameraPath(moving().world_from_camera, intrinsics, 640, 360, 24.0)
    assert [note.code for note in lens_notes(path)] == ([code] if code else [])
    write_path(path, tmp_path / "camera.json", format="track2view_camera")
    assert [note.code for note in read_camera(tmp_path / "camera.json")[1]] == ([code] if code else [])
    if code in ("lens_in_shares", "lens_of_other_size"):
        assert "likely read wrongly" in refused(tmp_path / "camera.json")
    assert not read_camera(tmp_path / "camera.json", fov_degrees=65)[1]


def test_rows_for_another_shape_are_questioned() -> None:
    row = [0.0, 0.78, 1.39, 0.5, 0.5, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]
    assert not lens_notes(path_from_cameractrl([row], width=640, height=360, fps=24))
    square = path_from_cameractrl([row], width=512, height=512, fps=24)
    assert [note.code for note in lens_notes(square)] == ["lens_of_other_shape"]


# --- doors ------------------------------------------------------------------------------------------------------------


def test_remedies_are_those_of_the_door(tmp_path: Path) -> None:
    write_path(moving(), tmp_path / "t.tum")
    with pytest.raises(Track2ViewError, match="give the box left of it"):
        read_camera(tmp_path / "t.tum", **SIZE, door=Door("there", {"fov_degrees": "the box left of it"}))
    with pytest.raises(Track2ViewError) as caught:
        read_camera(tmp_path / "t.tum", door=Door("nowhere", {}))
    assert "give" not in str(caught.value) and "--" not in str(caught.value)


def test_the_clip_s_rate_stands_in_where_the_file_has_none(tmp_path: Path) -> None:
    write_path(moving(), tmp_path / "c.chan")
    assert read_for_clip(tmp_path / "c.chan", clip=moving(17))[0].fps == 24


# --- the movement alone -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gltf", "nerfstudio", "colmap", "chan", "recammaster", "kitti"])
def test_a_movement_needs_no_size_lens_or_rate(name: str, tmp_path: Path) -> None:
    file = tmp_path / {"gltf": "g.gltf", "colmap": "model", "chan": "c.chan", "kitti": "k.txt"}.get(name, "n.json")
    write_path(moving(), file, format=name)
    if name == "chan":
        text(tmp_path, "c.chan", "".join(f"{row.rsplit(' ', 1)[0]}\n" for row in file.read_text("utf-8").splitlines()))
    elif name == "colmap":
        text(file, "cameras.txt", "1 SIMPLE_RADIAL 640 360 500 320 180 0.1\n")
    elif name in ("gltf", "nerfstudio"):
        told = json.loads(file.read_text(encoding="utf-8"))
        for field in ("w", "h"):
            told.pop(field, None)
        for node in told.get("nodes", []):
            del node["extras"]
        text(tmp_path, file.name, json.dumps(told))
    path, notes = read_move(file, missing_frames="refuse")
    assert path.relative_to_first().world_from_camera[8, :3, 3].tolist() == pytest.approx([0.8, 0, 0], abs=1e-6)
    assert not notes
