"""read(write(path)) is the path, in every format, on the fields it holds."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from track2view_core.cameras import CameraPath, preset_path
from track2view_core.cameras.formats import FORMATS, PathFormat, read_path, write_path
from track2view_core.cameras.rotations import matrix_from_axis_angle, rigid
from track2view_core.errors import Track2ViewError

WRITABLE = [told for told in FORMATS.values() if told.write is not None]
TOLERANCE = 1e-9
FOV = 50.0


def file_of(told: PathFormat, folder: Path) -> Path:
    return folder / f"camera{told.endings[0]}" if told.endings else folder / "model"


def missing_fields(told: PathFormat, path: CameraPath) -> dict[str, float]:
    """What must be given beside a file of this format."""
    given_fields: dict[str, float] = {}
    if not told.size:
        given_fields |= {"width": path.width, "height": path.height}
    if not told.fps or (len(path) == 1 and told.name in ("tum", "realestate10k", "gltf")):
        given_fields |= {"fps": path.fps}
    if told.lens == "none":
        given_fields |= {"fov_degrees": FOV}
    return given_fields


def back(told: PathFormat, path: CameraPath, folder: Path) -> CameraPath:
    write_path(path, file_of(told, folder), format=told.name)
    return read_path(file_of(told, folder), format=told.name, **missing_fields(told, path))  # type: ignore[arg-type]


def assert_same(told: PathFormat, read: CameraPath, path: CameraPath, fps_tolerance: float = TOLERANCE) -> None:
    extent = max(1.0, float(path.world_from_camera[:, :3, 3].abs().max()))
    assert float((read.world_from_camera - path.world_from_camera).abs().max()) <= TOLERANCE * extent
    assert (read.width, read.height) == (path.width, path.height)
    assert abs(read.fps - path.fps) <= fps_tolerance * path.fps
    if told.lens != "none":
        assert float(((read.intrinsics - path.intrinsics) / path.width).abs().max()) <= TOLERANCE


@st.composite
def smooth_paths(draw: st.DrawFn, told: PathFormat) -> CameraPath:
    """A random smooth path whose lens the format can hold: any pose, any extent, many turns."""
    frames = draw(st.integers(1, 12))
    width, height = draw(st.integers(16, 4000)), draw(st.integers(16, 4000))
    extent = 10.0 ** draw(st.floats(-3, 4))
    turning = draw(st.floats(0, 2.5))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    steps = torch.randn(frames, 6, dtype=torch.float64, generator=generator).cumsum(0)
    poses = rigid(matrix_from_axis_angle(turning * steps[:, :3]), extent * steps[:, 3:])
    if draw(st.booleans()):  # looking straight along an axis, where angles lock
        quarter = matrix_from_axis_angle(torch.tensor([[torch.pi / 2, 0.0, 0.0], [0.0, torch.pi / 2, 0.0]]))
        poses[:, :3, :3] = quarter[draw(st.integers(0, 1))]
    intrinsics = torch.zeros(frames, 3, 3, dtype=torch.float64)
    focal = draw(st.floats(0.3, 4)) * max(width, height)
    zoom = torch.linspace(1, draw(st.floats(0.5, 2)), frames, dtype=torch.float64) if told.zoom else 1.0
    intrinsics[:, 0, 0] = intrinsics[:, 1, 1] = focal * zoom
    intrinsics[:, 0, 2], intrinsics[:, 1, 2], intrinsics[:, 2, 2] = width / 2, height / 2, 1
    if told.lens in ("matrix", "pinhole"):
        intrinsics[:, 1, 1] *= draw(st.floats(0.5, 2))
    if told.lens in ("matrix", "pinhole", "focal"):
        intrinsics[:, 0, 2] += draw(st.floats(-0.3, 0.3)) * width
        intrinsics[:, 1, 2] += draw(st.floats(-0.3, 0.3)) * height
    if told.lens == "matrix":
        intrinsics[:, 0, 1] = draw(st.floats(-5, 5))
    # RealEstate10K counts whole microseconds, which single out the rates of clips and no others.
    rates = st.sampled_from([12.0, 15.0, 16.0, 24.0, 25.0, 30.0, 60.0, 24000 / 1001, 30000 / 1001])
    fps = draw(rates if told.name == "realestate10k" else st.floats(1, 240))
    return CameraPath(poses, intrinsics, width, height, fps)


@pytest.mark.parametrize("told", WRITABLE, ids=lambda told: told.name)
def test_a_path_comes_back(told: PathFormat) -> None:
    @settings(max_examples=40, deadline=None)
    @given(smooth_paths(told))
    def law(path: CameraPath) -> None:
        with tempfile.TemporaryDirectory() as folder:
            assert_same(told, back(told, path, Path(folder)), path)

    law()


def plain_path(frames: int = 9) -> CameraPath:
    """A wandering move through one centred lens, which every format holds."""
    generator = torch.Generator().manual_seed(3)
    steps = torch.randn(frames, 6, dtype=torch.float64, generator=generator).cumsum(0) * 0.3
    lens = torch.tensor([[700.0, 0, 416], [0, 700, 240], [0, 0, 1]], dtype=torch.float64).repeat(frames, 1, 1)
    return CameraPath(rigid(matrix_from_axis_angle(steps[:, :3]), steps[:, 3:]), lens, 832, 480, 24.0)


def test_one_move_is_the_same_path_in_every_format(tmp_path: Path) -> None:
    path = plain_path()
    read = [(told, back(told, path, tmp_path)) for told in WRITABLE]
    for (told, one), (other_told, other) in combinations(read, 2):
        assert float((one.world_from_camera - other.world_from_camera).abs().max()) <= TOLERANCE, (
            told.name,
            other_told.name,
        )
        assert one.fps == pytest.approx(other.fps, rel=1e-9)
        if "none" not in (told.lens, other_told.lens):
            assert float((one.intrinsics - other.intrinsics).abs().max()) <= 1e-6


def test_the_presets_survive(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for told in WRITABLE:
        for preset in ["pan_right", "tilt_up", "dolly_in", "orbit_left", "spiral"]:
            with subtests.test(told=told, preset=preset):
                still = plain_path().with_frames([0] * 9)
                move = preset_path(preset, still, amount=1.0, scene_scale=2.0)
                assert_same(told, back(told, move, tmp_path), move)


@pytest.mark.parametrize("told", [told for told in WRITABLE if told.endings], ids=lambda told: told.name)
def test_the_written_file_is_recognised(told: PathFormat, tmp_path: Path) -> None:
    """Without its format and under any ending it may have, each file is taken for what it is."""
    path = plain_path()
    for ending in told.endings:
        file = tmp_path / f"camera{ending}"
        write_path(path, file, format=told.name)
        assert_same(told, read_path(file, **missing_fields(told, path)), path)  # type: ignore[arg-type]


def test_a_colmap_folder_is_recognised_by_itself_and_by_its_files(tmp_path: Path) -> None:
    path = plain_path()
    write_path(path, tmp_path / "sparse", format="colmap")
    for file in (tmp_path / "sparse", tmp_path / "sparse" / "images.txt", tmp_path):
        assert_same(FORMATS["colmap"], read_path(file, fps=24), path)


def test_a_binary_gltf_comes_back_too(tmp_path: Path) -> None:
    path = plain_path()
    write_path(path, tmp_path / "camera.glb", format="gltf")
    assert (tmp_path / "camera.glb").read_bytes()[:4] == b"glTF"
    assert_same(FORMATS["gltf"], read_path(tmp_path / "camera.glb"), path)


def test_a_gltf_without_our_extras_has_the_digits_of_its_floats(tmp_path: Path) -> None:
    path, file = plain_path(), tmp_path / "camera.gltf"
    write_path(path, file, format="gltf")
    document = json.loads(file.read_text(encoding="utf-8"))
    del document["nodes"][0]["extras"]
    file.write_text(json.dumps(document), encoding="utf-8")
    read = read_path(file, width=832, height=480)
    torch.testing.assert_close(read.world_from_camera, path.world_from_camera, atol=1e-6, rtol=0)
    torch.testing.assert_close(read.intrinsics, path.intrinsics, atol=1e-6, rtol=0)
    assert read.fps == 24.0


def test_a_gltf_that_was_edited_after_us_reads_as_edited(tmp_path: Path) -> None:
    path, file = plain_path(), tmp_path / "camera.gltf"
    write_path(path, file, format="gltf")
    document = json.loads(file.read_text(encoding="utf-8"))
    document["nodes"].append({"children": [0], "translation": [5.0, 0.0, 0.0]})
    file.write_text(json.dumps(document), encoding="utf-8")
    read = read_path(file, width=832, height=480)
    torch.testing.assert_close(read.world_from_camera[:, 0, 3], path.world_from_camera[:, 0, 3] + 5, atol=1e-5, rtol=0)


@pytest.mark.parametrize("told", WRITABLE, ids=lambda told: told.name)
def test_a_given_size_resizes_the_file_s_own(told: PathFormat, tmp_path: Path) -> None:
    path = plain_path()
    write_path(path, file_of(told, tmp_path), format=told.name)
    fields = missing_fields(told, path) | {"width": 416, "height": 240}
    read = read_path(file_of(told, tmp_path), format=told.name, **fields)  # type: ignore[arg-type]
    assert (read.width, read.height) == (416, 240)
    if told.lens != "none":
        torch.testing.assert_close(read.intrinsics, path.resized(416, 240).intrinsics, atol=1e-9, rtol=0)


@pytest.mark.parametrize("told", WRITABLE, ids=lambda told: told.name)
def test_given_lens_and_rate_replace_the_file_s(told: PathFormat, tmp_path: Path) -> None:
    path = plain_path()
    write_path(path, file_of(told, tmp_path), format=told.name)
    fields = missing_fields(told, path) | {"fov_degrees": 90.0, "fps": 12.5}
    read = read_path(file_of(told, tmp_path), format=told.name, **fields)  # type: ignore[arg-type]
    assert read.fps == 12.5
    assert float(read.intrinsics[3, 0, 0]) == pytest.approx(416)


@pytest.mark.parametrize("told", WRITABLE, ids=lambda told: told.name)
def test_each_missing_field_is_named(told: PathFormat, tmp_path: Path) -> None:
    path = plain_path()
    write_path(path, file_of(told, tmp_path), format=told.name)
    fields = missing_fields(told, path)
    for field in fields.keys() - {"height"}:
        dropped = {"width", "height"} if field == "width" else {field}
        rest = {name: value for name, value in fields.items() if name not in dropped}
        with pytest.raises(Track2ViewError, match=f"give .*{field}"):
            read_path(file_of(told, tmp_path), format=told.name, **rest)  # type: ignore[arg-type]


@pytest.mark.parametrize("told", WRITABLE, ids=lambda told: told.name)
def test_a_lens_that_does_not_fit_is_refused_and_nothing_written(told: PathFormat, tmp_path: Path) -> None:
    path = plain_path()
    changes = {
        "skew": (0, 1, 3.0, ("pinhole", "focal", "fov")),
        "square": (1, 1, 650.0, ("focal", "fov")),
        "middle": (0, 2, 400.0, ("fov",)),
    }
    for word, (row, column, value, kinds) in changes.items():
        lens = path.intrinsics.clone()
        lens[4, row, column] = value
        if told.lens in kinds:
            with pytest.raises(Track2ViewError, match=f"{word}.*frame 4|zoom"):
                write_path(replace(path, intrinsics=lens), file_of(told, tmp_path), format=told.name)
    assert not list(tmp_path.iterdir())


def test_a_zoom_is_refused_where_the_lens_is_one(tmp_path: Path) -> None:
    zoom = preset_path("dolly_zoom", plain_path(), amount=0.5, scene_scale=1.0)
    with pytest.raises(Track2ViewError, match="zooms"):
        write_path(zoom, tmp_path / "camera.gltf", format="gltf")
    assert not list(tmp_path.iterdir())


def test_an_older_file_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "camera.json"
    write_path(plain_path(9), file, format="track2view_camera")
    write_path(plain_path(2), file, format="track2view_camera")
    assert len(read_path(file)) == 2
    write_path(plain_path(9), tmp_path / "model", format="colmap")
    write_path(plain_path(2), tmp_path / "model", format="colmap")
    assert len(read_path(tmp_path / "model", fps=24)) == 2
    assert sorted(told.name for told in tmp_path.rglob("*")) == [
        "camera.json", "cameras.txt", "images.txt", "model", "points3D.txt",
    ]  # fmt: skip


@pytest.mark.parametrize("target", ["nowhere/camera.json", "."])
def test_a_target_that_cannot_be_is_one_sentence(target: str, tmp_path: Path) -> None:
    with pytest.raises(Track2ViewError, match="folder"):
        write_path(plain_path(), tmp_path / target, format="track2view_camera")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("track2view_core.cameras.formats.reading_and_writing.os.fdopen", full)
    for told in WRITABLE:
        with pytest.raises(Track2ViewError, match="No space left"):
            write_path(plain_path(), file_of(told, tmp_path), format=told.name)
    assert not list(tmp_path.iterdir())


def test_the_target_s_name_says_the_format_where_it_can(tmp_path: Path) -> None:
    write_path(plain_path(), tmp_path / "camera.chan")
    write_path(plain_path(), tmp_path / "camera.glb")
    with pytest.raises(Track2ViewError, match="track2view_camera, recammaster, nerfstudio, blender"):
        write_path(plain_path(), tmp_path / "camera.json")
    with pytest.raises(Track2ViewError, match="can only be read"):
        write_path(plain_path(), tmp_path / "camera.npz", format="realcamvid")
    with pytest.raises(Track2ViewError, match="perhaps 'colmap' is meant"):
        write_path(plain_path(), tmp_path / "camera", format="colmpa")
