"""Files as they come damaged or mistaken: one sentence that names the line or frame and the likely cause."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from track2view_core.cameras import CameraPath
from track2view_core.cameras.formats import FORMATS, read_path, write_path
from track2view_core.cameras.formats.parsing import MOST_FRAMES
from track2view_core.errors import Track2ViewError

GIVEN = {"width": 64, "height": 48, "fps": 25.0, "fov_degrees": 60.0}


def sentence(file: Path, **arguments: Any) -> str:
    with pytest.raises(Track2ViewError) as caught:
        read_path(file, **{**GIVEN, **arguments})
    said = str(caught.value)
    assert said[0].isupper() and said.endswith(".") and said.isprintable(), said
    return said


def still(frames: int = 4) -> CameraPath:
    lens = torch.tensor([[50.0, 0, 32], [0, 50, 24], [0, 0, 1]], dtype=torch.float64).repeat(frames, 1, 1)
    poses = torch.eye(4, dtype=torch.float64).repeat(frames, 1, 1)
    poses[:, 0, 3] = torch.arange(frames)
    return CameraPath(poses, lens, 64, 48, 25.0)


def text_of(name: str, folder: Path, part: str = "") -> tuple[Path, str]:
    """A sound file of a text format, and its text."""
    told = FORMATS[name]
    file = folder / (f"camera{told.endings[0]}" if told.endings else "model")
    write_path(still(), file, format=name)
    file = file / part if part else file
    return file, file.read_text(encoding="utf-8")


TABLES = {"realestate10k": 3, "tum": 3, "kitti": 2, "chan": 2}  # format -> line of the second frame
JSONS = ["track2view_camera", "recammaster", "nerfstudio", "blender", "gltf"]


def test_an_empty_file(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for name in [name for name, told in FORMATS.items() if told.endings]:
        for content in [b"", b"\n \n"]:
            with subtests.test(name=name, content=content):
                file = tmp_path / f"camera{FORMATS[name].endings[0]}"
                file.write_bytes(content)
                assert "empty" in sentence(file, format=name) or name == "realcamvid"


def test_a_missing_file(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for name in FORMATS:
        with subtests.test(name=name):
            assert "does not exist" in sentence(tmp_path / "nowhere.txt", format=name)


def test_a_folder(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for name in [name for name, told in FORMATS.items() if not told.folder]:
        with subtests.test(name=name):
            assert "is a folder" in sentence(tmp_path, format=name)


def test_a_picture_under_a_camera_s_name(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for name in [*TABLES, *JSONS, "aftereffects"]:
        with subtests.test(name=name):
            file = tmp_path / f"camera{FORMATS[name].endings[0]}"
            file.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)) * 20)
            assert "binary" in sentence(file, format=name)
            assert "binary" in sentence(file)


def test_a_word_that_is_no_number(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for name, line in TABLES.items():
        for word, cause in [
            ("nan", "the tracker or export failed"),
            ("-inf", "export failed"),
            ("0,5", "decimals with a point"),
            ("x1", "number"),
        ]:
            with subtests.test(name=name, line=line, word=word, cause=cause):
                file, text = text_of(name, tmp_path)
                lines = text.splitlines()
                words = lines[line - 1].split()
                words[3] = word
                lines[line - 1] = " ".join(words)
                file.write_text("\n".join(lines), encoding="utf-8")
                said = sentence(file, format=name)
                assert f"{file.name}, line {line}," in said and word in said and cause in said


@pytest.mark.parametrize(("name", "line"), TABLES.items())
def test_a_line_cut_short(name: str, line: int, tmp_path: Path) -> None:
    file, text = text_of(name, tmp_path)
    file.write_text(text[: -len(text.splitlines()[-1]) // 2], encoding="utf-8")
    said = sentence(file, format=name)
    assert f"line {line + 2}," in said and "columns" in said and "cut short" in said


@pytest.mark.parametrize(("name", "line"), TABLES.items())
def test_a_wrong_number_of_columns(name: str, line: int, tmp_path: Path) -> None:
    file, text = text_of(name, tmp_path)
    file.write_text("\n".join(f"{line} 7 7" for line in text.splitlines()), encoding="utf-8")
    assert "columns where" in sentence(file, format=name)


@pytest.mark.parametrize("name", ["realestate10k", "tum", "kitti", "chan", "colmap"])
def test_far_too_many_lines(name: str, tmp_path: Path) -> None:
    """Refused at the first line too many; the rest is not read."""
    file, text = text_of(name, tmp_path, "images.txt" if name == "colmap" else "")
    row = next(line for line in reversed(text.splitlines()) if line)
    again = f"{row}\n\n" if name == "colmap" else f"{row}\n"
    if name == "chan":
        again = "".join(f"{frame} {row.split(maxsplit=1)[1]}\n" for frame in range(1, MOST_FRAMES + 3))
        file.write_text(again, encoding="utf-8")
    else:
        lines = 1_000_000 if name == "tum" else MOST_FRAMES + 2
        file.write_text(again * lines, encoding="utf-8")
    said = sentence(file if name != "colmap" else file.parent, format=name)
    assert "100,000 frames" in said and "log or a point list" in said


@pytest.mark.parametrize("name", JSONS)
def test_json_cut_short(name: str, tmp_path: Path) -> None:
    file, text = text_of(name, tmp_path)
    file.write_text(text[: len(text) * 2 // 3].rstrip().rstrip(","), encoding="utf-8")
    said = sentence(file, format=name)
    assert "line" in said and "not JSON" in said


def test_json_of_another_kind(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for name in JSONS:
        for content, cause in [
            ("[" * 100_000, "nests deeper"),
            ('{"frames": ' * 200 + "1" + "}" * 200, "nests deeper"),
            ('{"asset": 1, "frames": [NaN], "frame0": 1}', "holds NaN"),
            ("[" + "9" * 5000 + "]", "digits"),
            ("[]", "named fields"),
            ("12", "named fields"),
            ('{"a": 1}', ""),
        ]:
            with subtests.test(name=name, content=content, cause=cause):
                file = tmp_path / f"camera{FORMATS[name].endings[0]}"
                file.write_text(content, encoding="utf-8")
                assert cause in sentence(file, format=name)


# --- poses that are none ----------------------------------------------------------------------------------------------

MIRRORED = torch.diag(torch.tensor([1.0, -1.0, 1.0, 1.0], dtype=torch.float64))
SCALED = torch.diag(torch.tensor([2.0, 2.0, 2.0, 1.0], dtype=torch.float64))
SHEARED = torch.eye(4, dtype=torch.float64) + torch.tensor([[0, 0.1, 0, 0]] + [[0.0] * 4] * 3, dtype=torch.float64)
ROW_VECTORS = torch.tensor([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [3, 4, 5, 1.0]], dtype=torch.float64)


def with_matrix(name: str, matrix: torch.Tensor, folder: Path) -> Path:
    """A file of the format whose frame 2 is the matrix as its own axes would have it."""
    file, text = text_of(name, folder)
    rows = matrix.tolist()
    if name in ("realestate10k", "kitti"):
        lines = text.splitlines()
        at = 3 if name == "realestate10k" else 2
        kept = lines[at].split()[:-12]
        lines[at] = " ".join([*kept, *(repr(value) for row in rows[:3] for value in row)])
        file.write_text("\n".join(lines), encoding="utf-8")
        return file
    document = json.loads(text)
    if name == "recammaster":  # its text is the transpose
        document["frame2"]["cam01"] = " ".join(f"[{' '.join(map(repr, row))}]" for row in matrix.mT.tolist())
    else:
        field = {"track2view_camera": "world_from_camera", "nerfstudio": "transform_matrix", "blender": "matrix_world"}
        document["frames"][2][field[name]] = rows
    file.write_text(json.dumps(document), encoding="utf-8")
    return file


def test_a_matrix_that_is_no_pose(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for name in ["track2view_camera", "realestate10k", "recammaster", "nerfstudio", "kitti", "blender"]:
        for matrix, cause in [
            (MIRRORED, "left-handed"),
            (SCALED, "scaled by 2;"),
            (SCALED @ MIRRORED, "scaled by 2 and mirrored"),
            (SHEARED, "not orthonormal"),
        ]:
            with subtests.test(name=name, matrix=matrix, cause=cause):
                said = sentence(with_matrix(name, matrix, tmp_path), format=name)
                assert cause in said and ("frame 2," in said or "line 4," in said or "line 3," in said)


@pytest.mark.parametrize("name", ["track2view_camera", "recammaster", "nerfstudio", "blender"])
def test_rows_and_columns_exchanged(name: str, tmp_path: Path) -> None:
    said = sentence(with_matrix(name, ROW_VECTORS, tmp_path), format=name)
    assert "transpose" in said and "frame 2," in said


@pytest.mark.parametrize(("name", "first"), [("tum", 4), ("colmap", 1)])
def test_a_scaled_quaternion(name: str, first: int, tmp_path: Path) -> None:
    file, text = text_of(name, tmp_path, "images.txt" if name == "colmap" else "")
    lines = text.splitlines()
    at = 3
    words = lines[at].split()
    words[first : first + 4] = ["0", "0", "0", "1.5"]
    lines[at] = " ".join(words)
    file.write_text("\n".join(lines), encoding="utf-8")
    said = sentence(file, format=name)
    assert "length 1.5" in said and f"line {at + 1}," in said


# --- other mistakes, format by format ---------------------------------------------------------------------------------


def changed(name: str, folder: Path, old: str, new: str, part: str = "") -> Path:
    file, text = text_of(name, folder, part)
    assert old in text, text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("name", "old", "new", "cause"),
    [
        ("track2view_camera", '"version": 1', '"version": 2', "update Track2View"),
        ("track2view_camera", '"width": 64', '"width": 0', "at least 1"),
        ("track2view_camera", '"fps": 25.0', '"fps": -1', "above 0"),
        ("track2view_camera", '"frames"', '"Frames"', "lacks the field 'frames'"),
        ("recammaster", '"frame2"', '"frame7"', 'no "frame2"'),
        ("recammaster", "[1.0 0.0 0.0 0.0]", "[1.0 0.0 0.0]", "four rows"),
        ("recammaster", '"cam01"', '"cam03": "x", "cam01"', "give camera"),
        ("nerfstudio", '"camera_model": "OPENCV"', '"camera_model": "OPENCV_FISHEYE"', ""),
        ("nerfstudio", '"w": 64,', "", ""),
        ("blender", '"sensor_width": 36.0', '"sensor_width": 0', "above 0 millimetres"),
        ("blender", '"HORIZONTAL"', '"WIDE"', "one of AUTO"),
        ("chan", "3 2.0", "7 2.0", "frame 7 after frame 2"),
        ("aftereffects", "Source Width\t64", "Source Width\tsixty", "number"),
        ("aftereffects", "Comp Pixel Aspect Ratio\t1", "Comp Pixel Aspect Ratio\t1.09", "square pixels"),
        ("aftereffects", "Transform\tPosition", "Transform\tScale", "no Transform Position"),
        ("aftereffects", "\t2\t232.0\t", "\t3.5\t232.0\t", "between frames"),
        ("aftereffects", "\t2\t232.0\t", "\t9\t232.0\t", "bake"),
        ("gltf", '"LINEAR"', '"CUBICSPLINE"', "baked"),
        ("gltf", '"perspective": {', '"perspective": 1, "p": {', "named fields"),
        ("gltf", "base64,", "base64,!", "base64"),
        ("gltf", "data:application/octet-stream;base64,", "../secret.bin?", "outside its folder"),
        ("gltf", "data:application/octet-stream;base64,", "beside.bin?", "not beside it"),
        ("gltf", '"type": "perspective"', '"type": "orthographic"', "no perspective camera"),
        ("gltf", '"byteOffset": 16', '"byteOffset": 1600', "beyond its buffer"),
    ],
)
def test_other_mistakes(name: str, old: str, new: str, cause: str, tmp_path: Path) -> None:
    file = changed(name, tmp_path, old, new)
    if not cause:  # taken with the lens and size that are given
        assert len(read_path(file, **{**GIVEN, "format": name})) == 4
        return
    assert cause in sentence(file, format=name)


def test_a_gltf_channel_that_moves_nothing_known_is_passed_over(tmp_path: Path) -> None:
    file = changed("gltf", tmp_path, '"path": "translation"', '"path": ["translation"]')
    told = json.loads(file.read_text(encoding="utf-8"))
    del told["nodes"][0]["extras"]
    file.write_text(json.dumps(told), encoding="utf-8")
    assert not read_path(file, **GIVEN).world_from_camera[:, :3, 3].any()


@pytest.mark.parametrize(
    ("part", "old", "new", "cause"),
    [
        ("cameras.txt", "PINHOLE", "ORTHO", "camera model 'ORTHO'"),
        ("cameras.txt", " 24.0", "", "3 parameters where PINHOLE has 4"),
        ("images.txt", "1 frame_000002.png", "9 frame_000002.png", "camera '9'"),
        ("images.txt", "frame_000001.png\n\n", "frame_000001.png\n", "two lines an image"),
        ("images.txt", " 1 frame_000003.png", "", "cut short"),
    ],
)
def test_colmap_mistakes(part: str, old: str, new: str, cause: str, tmp_path: Path) -> None:
    file = changed("colmap", tmp_path, old, new, part)
    assert cause in sentence(file.parent, format="colmap")


def test_distortion_is_told_unless_a_plain_lens_is_given(tmp_path: Path) -> None:
    old = "PINHOLE 64 48 50.0 50.0 32.0 24.0"
    folder = changed("colmap", tmp_path, old, "OPENCV 64 48 50 50 32 24 0.1 0 0 0", "cameras.txt").parent
    assert "undistort" in sentence(folder, fov_degrees=None)
    assert len(read_path(folder, **GIVEN)) == 4


def test_a_binary_colmap_model_is_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "cameras.bin").write_bytes(b"\x01")
    (tmp_path / "images.bin").write_bytes(b"\x01")
    assert "model_converter" in sentence(tmp_path, format="colmap")


def test_uneven_times_are_told_unless_the_rate_is_given(tmp_path: Path) -> None:
    file = changed("tum", tmp_path, "\n0.12 ", "\n0.5 ")
    assert "frames are missing" in sentence(file, fps=None) and "line 5" in sentence(file, fps=None)
    assert read_path(file, **GIVEN).fps == 25
    backwards = changed("tum", tmp_path, "\n0.08 ", "\n0.01 ")
    assert "not after" in sentence(backwards, fps=None)


# --- encodings --------------------------------------------------------------------------------------------------------


def test_other_encodings_and_line_ends_are_read(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for name in [*TABLES, *JSONS, "aftereffects"]:
        for encoding in ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"]:
            for line_end in ["\n", "\r\n", "\r"]:
                with subtests.test(name=name, encoding=encoding, line_end=line_end):
                    file, text = text_of(name, tmp_path)
                    if encoding == "latin-1":
                        text = {"realestate10k": text.replace("Track2View", "Zürich")}.get(name, text)
                    file.write_bytes(text.replace("\n", line_end).encode(encoding))
                    for format_name in (name, None):
                        read = read_path(file, **{**GIVEN, "format": format_name})
                        torch.testing.assert_close(read.world_from_camera, still().world_from_camera, atol=1e-9, rtol=0)
