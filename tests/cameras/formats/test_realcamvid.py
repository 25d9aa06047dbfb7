"""RealCam-Vid's pickled lists: read as plain data, never run."""

from __future__ import annotations

import io
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from track2view_core.cameras import CameraPath
from track2view_core.cameras.formats import read_path
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


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("touched"),))


def clips_file(folder: Path, *clips: object, protocol: int = 3) -> Path:
    listed = np.empty(len(clips), dtype=object)
    listed[:] = clips
    file = folder / "clips.npz"
    np.savez(file, listed)
    return file


def clip(**changes: Any) -> dict[str, Any]:
    told = {
        "video_path": "a.mp4", "camera_extrinsics": still().camera_from_world.numpy(),
        "camera_intrinsics": np.array([0.5, 0.8, 0.5, 0.5]), "align_factor": np.float64(2.0),
    }  # fmt: skip
    return {name: value for name, value in (told | changes).items() if value is not None}


def test_a_hostile_list_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = clips_file(tmp_path, {"video_path": Hostile()})
    assert "never opened" in sentence(file)
    assert not (tmp_path / "touched").exists()
    with file.open("rb") as stream, pytest.raises(pickle.UnpicklingError):
        pickle.load(stream)  # it is no pickle by itself either


def text(word: str) -> bytes:
    return b"X" + struct.pack("<I", len(word)) + word.encode()


NUMBER = b"J" + struct.pack("<i", 0)
OBJECT = b"cnumpy\ndtype\n" + text("O8") + b"\x89\x88\x87R"
RECORD = (  # a record with an object in it, told not to be one: a pointer of the file's own choice
    b"cnumpy\ndtype\n" + text("V8") + b"\x89\x88\x87R(K\x03" + text("|") + b"N(" + text("a") + b"t}" + text("a")
    + b"(" + OBJECT + NUMBER + b"tsK\x08K\x01K\x00tb"
)  # fmt: skip
ARRAY = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR"


@pytest.mark.parametrize(
    "pickled",
    [
        ARRAY + b"(K\x01(K\x01t" + RECORD + b"\x89C\x08AAAAAAAAtb.",
        ARRAY + b"(K\x01(K\x01t" + OBJECT + b"\x89C\x08AAAAAAAAtb.",
        b"cnumpy\nndarray\n((\x8a\x05" + (2**34).to_bytes(5, "little") + b"ttR.",
        b"c_codecs\nencode\n(" + text("a" * 100) + text("utf-32") + b"tR.",
        b"cbuiltins\neval\n(" + text("1") + b"tR.",
    ],
    ids=["pointer in a record", "pointer in an array", "huge array", "another encoding", "a builtin"],
)
def test_what_numpy_would_obey_is_refused(pickled: bytes, tmp_path: Path) -> None:
    """Each names what lists of clips name, too; numpy's own functions would follow the pointers or take the memory."""
    said = sentence(pickled_file(tmp_path, pickled))
    assert "never opened" in said or "damaged" in said


def test_a_place_in_memory_costs_no_memory(tmp_path: Path) -> None:
    tracemalloc.start()
    sentence(pickled_file(tmp_path, b"Nr" + struct.pack("<I", 2**28) + b"."))
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def pickled_file(folder: Path, pickled: bytes) -> Path:
    """A list of clips, as numpy saves them, with this pickle in place of its own."""
    listed = io.BytesIO()
    np.lib.format.write_array_header_1_0(listed, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    file = folder / "clips.npz"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("arr_0.npy", listed.getvalue() + b"\x80\x03" + pickled)
    return file


def test_clips_are_chosen_by_place_or_video(tmp_path: Path) -> None:
    file = clips_file(tmp_path, clip(), clip(video_path="b.mp4", align_factor=3))
    for camera, scale in (("0", 2.0), ("a.mp4", 2.0), ("1", 3.0), ("b.mp4", 3.0)):
        read = read_path(file, width=64, height=48, fps=8, camera=camera)
        assert float(read.world_from_camera[3, 0, 3]) == pytest.approx(3 * scale)
        assert read.intrinsics[0].diagonal().tolist() == pytest.approx([32, 38.4, 1])
    assert "holds 2 clips" in sentence(file)
    assert "no clips 'c.mp4'" in sentence(file, camera="c.mp4")


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"camera_extrinsics": None}, "lacks camera_extrinsics"),
        ({"camera_extrinsics": np.zeros((3, 4))}, "shape [3, 4]"),
        ({"camera_extrinsics": np.zeros((3, 4, 4))}, "last row"),
        ({"camera_intrinsics": np.array([0.5, 0.8, 0.5])}, "fx fy cx cy"),
        ({"camera_intrinsics": np.array([0.5, np.nan, 0.5, 0.5])}, "NaN"),
        ({"camera_intrinsics": np.array([-0.5, 0.8, 0.5, 0.5])}, "above 0"),
        ({"align_factor": 0}, "above 0"),
        ({"align_factor": "two"}, "number"),
    ],
)
def test_clips_that_do_not_hold(changes: dict[str, Any], cause: str, tmp_path: Path) -> None:
    assert cause in sentence(clips_file(tmp_path, clip(**changes)))


def test_an_npz_of_numbers_is_another_data_set(tmp_path: Path) -> None:
    np.savez(tmp_path / "tracks.npz", np.zeros((3, 4)))
    assert "plain numbers" in sentence(tmp_path / "tracks.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "tracks.npz").read_bytes()[:-30])
    assert "damaged" in sentence(tmp_path / "cut.npz")
