"""Track files: round trips, the foreign layout, files broken in every way, and writes that are whole or not at all."""

from __future__ import annotations

import json
import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from track2view_core.cameras import CameraPath
from track2view_core.cameras.rotations import matrix_from_axis_angle, rigid
from track2view_core.errors import Track2ViewError
from track2view_core.notes import Note, Severity, report_lines
from track2view_core.tracks import PointTracks, load_tracks, save_tracks, storage
from track2view_core.tracks.storage import write_point_cloud

ENDINGS = [".npz", ".safetensors"]


def some_tracks(frames: int = 5, points: int = 11) -> PointTracks:
    generator = torch.Generator().manual_seed(0)
    steps = torch.randn(frames, 6, dtype=torch.float64, generator=generator)
    intrinsics = torch.tensor([[101.5, 0, 63], [0, 99.5, 47], [0, 0, 1]], dtype=torch.float64).repeat(frames, 1, 1)
    return PointTracks(
        positions=torch.randn(frames, points, 3, generator=generator),
        visible=torch.rand(frames, points, generator=generator) > 0.5,
        confidence=torch.rand(frames, points, generator=generator),
        camera=CameraPath(
            rigid(matrix_from_axis_angle(steps[:, :3]), steps[:, 3:]), intrinsics, 128, 96, fps=30000 / 1001
        ),
        colors=torch.randint(0, 256, (points, 3), generator=generator, dtype=torch.uint8),
        notes=(
            Note.of("camera_solved", points=11, error=1 / 3),
            Note.of("cuts", frames=(2, 4)),
            replace(Note.of("fov_found", degrees=float("nan"), source='a "quoted" wörd', deviation=1e-300), shot=2),
            Note.of("few_agree", share=0.25),
        ),
    )


def assert_same_tracks(loaded: PointTracks, saved: PointTracks) -> None:
    for name in ("positions", "visible", "confidence"):
        assert torch.equal(getattr(loaded, name), getattr(saved, name)), name
    assert (loaded.colors is None) == (saved.colors is None)
    if saved.colors is not None:
        assert loaded.colors is not None
        assert torch.equal(loaded.colors, saved.colors)
    assert loaded.notes == saved.notes
    ours, theirs = saved.camera, loaded.camera
    torch.testing.assert_close(theirs.world_from_camera, ours.world_from_camera, atol=1e-12, rtol=0)
    assert torch.equal(theirs.intrinsics, ours.intrinsics)
    assert (theirs.width, theirs.height, theirs.fps) == (ours.width, ours.height, ours.fps)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_lens_of_another_picture_is_questioned_once(ending: str, tmp_path: Path) -> None:
    """Without advice: nothing but the file itself can mend it."""
    tracks = some_tracks()
    for lens, code in (
        ([[0.8, 0, 0.5], [0, 1, 0.5]], "lens_in_shares"),
        ([[400, 0, 252], [0, 400, 188]], "lens_of_other_size"),
    ):
        intrinsics = torch.tensor([*lens, [0, 0, 1]], dtype=torch.float64).repeat(5, 1, 1)
        save_tracks(replace(tracks, camera=replace(tracks.camera, intrinsics=intrinsics)), tmp_path / f"a{ending}")
        once = load_tracks(tmp_path / f"a{ending}")
        assert [(note.code, note.remedy) for note in once.notes[len(tracks.notes) :]] == [(code, ())]
        save_tracks(once, tmp_path / f"b{ending}")
        assert load_tracks(tmp_path / f"b{ending}").notes == once.notes


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_sentences_of_older_files_read_the_same(tmp_path: Path, ending: str) -> None:
    """Version 0.1.0 stored notes as a list of sentences, marked and named by their shot in the text itself."""
    told = ["motion general (found)", "WARNING: nothing holds", "shot at frame 3: WARNING: höher, 5 % of it"]
    file = tmp_path / f"old{ending}"
    save_tracks(some_tracks(), file)
    if ending == ".npz":
        with np.load(file) as archive:
            entries = dict(archive)
        np.savez(file, **{**entries, "notes": np.array(json.dumps(told))})
    else:
        tensors, content = safetensors.torch.load_file(file), file.read_bytes()
        metadata = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])["__metadata__"]
        facts = json.loads(metadata[storage.METADATA_KEY]) | {"notes": told}
        safetensors.torch.save_file(tensors, file, {storage.METADATA_KEY: json.dumps(facts)})
    notes = load_tracks(file).notes
    assert report_lines(notes) == [told[0], told[1], "WARNING: shot at frame 3: höher, 5 % of it"]
    assert [note.severity > Severity.INFO for note in notes] == [False, True, True]


# --- round trips ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("colored", [True, False])
def test_what_is_saved_is_loaded(tmp_path: Path, ending: str, colored: bool) -> None:
    tracks = some_tracks() if colored else replace(some_tracks(), colors=None, notes=())
    file = tmp_path / f"schöne Spuren{ending}"
    save_tracks(tracks, file)
    assert_same_tracks(load_tracks(file), tracks)
    assert [entry.name for entry in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(("frames", "points"), [(1, 1), (1, 0), (3, 2)])
def test_small_tracks_survive_too(tmp_path: Path, ending: str, frames: int, points: int) -> None:
    tracks = some_tracks(frames, points)
    save_tracks(tracks, tmp_path / f"t{ending}")
    assert_same_tracks(load_tracks(str(tmp_path / f"t{ending}")), tracks)


def test_endings_are_read_without_case(tmp_path: Path) -> None:
    save_tracks(some_tracks(), tmp_path / "T.NPZ")
    assert_same_tracks(load_tracks(tmp_path / "T.NPZ"), some_tracks())


@pytest.mark.parametrize("ending", ENDINGS)
def test_tracks_that_share_or_stride_their_memory_are_saved(tmp_path: Path, ending: str) -> None:
    tracks = some_tracks()
    tracks = replace(
        tracks, positions=tracks.positions[:, :1].expand(5, 11, 3), confidence=torch.ones(5, 1).expand(5, 11)
    )
    save_tracks(tracks, tmp_path / f"t{ending}")
    assert_same_tracks(load_tracks(tmp_path / f"t{ending}"), tracks)


# --- TAPIP3D's layout -------------------------------------------------------------------------------------------------


def foreign_entries(tracks: PointTracks) -> dict[str, np.ndarray]:
    """What TAPIP3D and SpatialTrackerV2 write: world-to-camera, float32, visibility [T,N,1], a clip [T,3,H,W]."""
    camera = tracks.camera
    return {
        "video": np.zeros((5, 3, camera.height, camera.width), dtype=np.float32),
        "depths": np.ones((5, camera.height, camera.width), dtype=np.float32),
        "intrinsics": camera.intrinsics.numpy().astype(np.float32),
        "extrinsics": np.linalg.inv(camera.world_from_camera.numpy()).astype(np.float32),
        "coords": tracks.positions.numpy(),
        "visibs": tracks.visible.numpy().astype(np.float32)[..., None],
        "unc_metric": np.ones((5, 2)),
    }


def test_the_saved_npz_is_world_to_camera_in_the_named_layout(tmp_path: Path) -> None:
    tracks = some_tracks()
    save_tracks(tracks, tmp_path / "t.npz")
    with np.load(tmp_path / "t.npz", allow_pickle=False) as archive:
        camera = np.einsum("tij,tnj->tni", archive["extrinsics"][:, :3, :3], archive["coords"])
        camera = camera + archive["extrinsics"][:, None, :3, 3]
        assert archive["visibs"].dtype == bool
        assert archive["coords"].shape == (5, 11, 3)
        assert archive["intrinsics"].shape == (5, 3, 3)
    pose = tracks.camera.world_from_camera
    np.testing.assert_allclose(
        np.einsum("tij,tnj->tni", pose[:, :3, :3].numpy(), camera) + pose[:, None, :3, 3].numpy(),
        tracks.positions.numpy(),
        atol=1e-6,
    )


@pytest.mark.parametrize("without", [(), ("video",), ("depths",)])
def test_a_foreign_file_is_read_with_the_size_of_its_clip(tmp_path: Path, without: tuple[str, ...]) -> None:
    tracks = some_tracks()
    np.savez(tmp_path / "f.npz", **{k: v for k, v in foreign_entries(tracks).items() if k not in without})
    loaded = load_tracks(tmp_path / "f.npz")
    assert torch.equal(loaded.positions, tracks.positions)
    assert torch.equal(loaded.visible, tracks.visible)
    assert (loaded.confidence == 1).all()
    assert (loaded.camera.width, loaded.camera.height) == (128, 96)
    torch.testing.assert_close(loaded.camera.world_from_camera, tracks.camera.world_from_camera, atol=1e-5, rtol=0)


def test_a_foreign_file_without_any_size_needs_it_from_the_caller(tmp_path: Path) -> None:
    entries = {k: v for k, v in foreign_entries(some_tracks()).items() if k not in ("video", "depths")}
    np.savez_compressed(tmp_path / "f.npz", **entries)
    with pytest.raises(Track2ViewError, match="no 'image_size', 'video' or 'depths'; add image_size"):
        load_tracks(tmp_path / "f.npz")
    loaded = load_tracks(tmp_path / "f.npz", image_size=(96, 128))
    assert (loaded.camera.height, loaded.camera.width) == (96, 128)


# --- broken files -----------------------------------------------------------------------------------------------------


def changed(**entries: object) -> Callable[[Path], None]:
    """A writer of a foreign .npz with these entries replaced, or left out where None."""

    def write(file: Path) -> None:
        merged = foreign_entries(some_tracks()) | entries
        np.savez(file, **{name: entry for name, entry in merged.items() if entry is not None})

    return write


def pickled(file: Path) -> None:
    changed(coords=np.array([{"evil": 1}], dtype=object))(file)


def holes(shape: tuple[int, ...]) -> np.ndarray:
    entry = np.ones(shape, dtype=np.float32)
    entry[1, 2] = np.nan
    return entry


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda file: file.write_bytes(b""), "is empty|it is empty"),
        (lambda file: file.write_text("not tracks at all"), "cut short, damaged or of another kind"),
        (lambda file: file.write_bytes(pickle.dumps({"coords": 1})), "cut short, damaged or of another kind"),
        (lambda file: np.save(file.open("wb"), np.zeros(3)), "cut short, damaged or of another kind"),
        (pickled, "holds pickled objects, which are never opened"),
        (changed(coords=None), "holds no 'coords'"),
        (changed(extrinsics=None), "holds no 'extrinsics'"),
        (changed(coords=holes((5, 11, 3))), "positions holds NaN or infinity at frame 1, track 2"),
        (changed(coords=np.zeros((11, 3))), r"positions has shape \[11, 3\]"),
        (changed(visibs=np.ones((5, 10))), r"(visible|confidence) has shape \[5, 10\]"),
        (changed(extrinsics=np.eye(4)), r"world_from_camera has shape \[4, 4\]"),
        (changed(extrinsics=np.zeros((5, 3, 4))), r"world_from_camera has shape \[5, 3, 4\]"),
        (changed(extrinsics=np.tile(2 * np.eye(4), (5, 1, 1))), "world_from_camera"),
        (changed(intrinsics=np.zeros((5, 3, 3))), "intrinsics at frame 0"),
        (changed(intrinsics=np.tile(np.eye(3), (4, 1, 1))), "5 poses and 4 intrinsics"),
        (changed(coords=np.array("words")), "'coords' is of type"),
        (changed(image_size=np.array([96, 128, 3])), r"'image_size' has shape \[3\]"),
        (changed(image_size=np.array([0, 128])), "height is 0"),
        (changed(fps=np.array(np.nan)), "fps is nan"),
        (changed(notes=np.array("[not json")), "'notes' is not JSON"),
    ],
)
def test_a_broken_npz_is_one_sentence_that_names_the_file(
    tmp_path: Path, write: Callable[[Path], object], words: str
) -> None:
    file = tmp_path / "broken.npz"
    write(file)
    with pytest.raises(Track2ViewError, match=words) as caught:
        load_tracks(file)
    assert "broken.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.99])
def test_a_file_cut_short_is_said_to_be(tmp_path: Path, ending: str, share: float) -> None:
    file = tmp_path / f"t{ending}"
    save_tracks(some_tracks(), file)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(Track2ViewError, match="cut short"):
        load_tracks(file)


@pytest.mark.parametrize("place", [0.1, 0.4, 0.6])
def test_a_flipped_npz_never_gives_anything_but_a_sentence(tmp_path: Path, place: float) -> None:
    file = tmp_path / "t.npz"
    save_tracks(some_tracks(), file)
    content = bytearray(file.read_bytes())
    at = int(len(content) * place)
    content[at : at + 40] = bytes(255 - byte for byte in content[at : at + 40])
    file.write_bytes(bytes(content))
    with pytest.raises(Track2ViewError, match="The track file"):
        load_tracks(file)


def foreign_safetensors(metadata: dict[str, str] | None, **tensors: torch.Tensor) -> bytes:
    return safetensors.torch.save(tensors or {"weight": torch.zeros(2)}, metadata=metadata)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (foreign_safetensors(None), "holds other tensors than tracks"),
        (foreign_safetensors({"format": "pt"}), "holds other tensors than tracks"),
        (foreign_safetensors({"track2view.tracks": json.dumps({"width": 1})}), "holds no 'positions'"),
        (foreign_safetensors({"track2view.tracks": "{]"}), "'track metadata' is not JSON"),
        (foreign_safetensors({"track2view.tracks": "[1]"}), "holds no 'positions'"),
        (b"\x00" * 100, "cut short, damaged"),
        (b"plain text", "cut short, damaged"),
    ],
)
def test_a_safetensors_of_something_else_is_one_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "other.safetensors"
    file.write_bytes(content)
    with pytest.raises(Track2ViewError, match=words) as caught:
        load_tracks(file)
    assert "other.safetensors" in str(caught.value)


@pytest.mark.parametrize("ending", ["", ".json", ".pt", ".pkl"])
def test_other_endings_are_refused_both_ways(tmp_path: Path, ending: str) -> None:
    with pytest.raises(Track2ViewError, match=r"must end in \.npz or \.safetensors"):
        save_tracks(some_tracks(), tmp_path / f"t{ending}")
    with pytest.raises(Track2ViewError, match=r"must end in \.npz or \.safetensors"):
        load_tracks(tmp_path / f"t{ending}")


@pytest.mark.parametrize("ending", ENDINGS)
def test_missing_files_and_folders_are_named(tmp_path: Path, ending: str) -> None:
    with pytest.raises(Track2ViewError, match="does not exist or is no file"):
        load_tracks(tmp_path / f"none{ending}")
    with pytest.raises(Track2ViewError, match=r"The folder .* does not exist"):
        save_tracks(some_tracks(), tmp_path / "none" / f"t{ending}")
    (tmp_path / f"folder{ending}").mkdir()
    with pytest.raises(Track2ViewError, match="does not exist or is no file"):
        load_tracks(tmp_path / f"folder{ending}")
    with pytest.raises(Track2ViewError, match="could not be written"):
        save_tracks(some_tracks(), tmp_path / f"folder{ending}")
    assert {entry.name for entry in tmp_path.iterdir()} == {f"folder{ending}"}


# --- whole or not at all ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_midway_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, ending: str, failure: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / f"t{ending}"
    save_tracks(some_tracks(), file)
    before = file.read_bytes()

    def fail(descriptor: int) -> None:
        raise failure

    monkeypatch.setattr(storage.os, "fsync", fail)
    expected = Track2ViewError if isinstance(failure, OSError) else type(failure)
    with pytest.raises(expected):
        save_tracks(some_tracks(points=3), file)
    assert file.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_loaded_file_can_be_replaced_at_once(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"t{ending}"
    save_tracks(some_tracks(), file)
    loaded = load_tracks(file)
    save_tracks(some_tracks(points=3), file)
    assert_same_tracks(loaded, some_tracks())


# --- files that lie about their size ----------------------------------------------------------------------------------


def declared(file: Path, name: str, header: str, body: bytes, *, compressed: bool = False) -> None:
    """A .npz of tracks whose entry `name` has this header and this body."""
    save_tracks(some_tracks(), file)
    with zipfile.ZipFile(file) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist() if info.filename != f"{name}.npy"}
    text = header.encode() + b"\n"
    members[f"{name}.npy"] = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", method) as archive:
        for member, content in members.items():
            archive.writestr(member, content)


@pytest.mark.parametrize(
    ("name", "header", "words"),
    [
        ("coords", "{'descr': '<f4', 'fortran_order': False, 'shape': (1000, 900000, 3), }", "cut short"),
        ("notes", "{'descr': '<U400000000', 'fortran_order': False, 'shape': (), }", "cut short"),
        ("colors", "{'descr': '|O', 'fortran_order': False, 'shape': (11, 3), }", "holds pickled objects"),
    ],
)
def test_a_header_that_declares_too_much_is_refused(tmp_path: Path, name: str, header: str, words: str) -> None:
    file = tmp_path / "t.npz"
    declared(file, name, header, b"\0" * 64)
    with pytest.raises(Track2ViewError, match=words):
        load_tracks(file)


@pytest.mark.parametrize("dtype", ["|u1", "<f4"])
def test_ten_gigabytes_in_a_small_file_take_no_memory(tmp_path: Path, dtype: str) -> None:
    """The zip's own directory agrees with the header here: both are checked before anything is allocated."""
    file = tmp_path / "t.npz"
    shape = (1000, 3_400_000, 3) if dtype == "|u1" else (1000, 850_000, 3)
    declared(file, "coords", f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}", b"\0" * 64)
    content = file.read_bytes()
    size = 10_200_000_000 + 200
    with zipfile.ZipFile(file) as archive:
        small = archive.getinfo("coords.npy")
    at = content.rindex(b"coords.npy") - 46  # its entry in the central directory, which readers trust
    assert content[at : at + 4] == b"PK\x01\x02" and small.file_size < 1000
    extra = struct.pack("<HHQ", 1, 8, size)  # zip64: the true uncompressed size stands in an extra field
    (extra_size,) = struct.unpack("<H", content[at + 30 : at + 32])
    assert extra_size == 0
    entry = bytearray(content[at : at + 56])
    entry[24:28], entry[30:32] = b"\xff" * 4, struct.pack("<H", len(extra))
    rest = content[at + 56 :]
    end = rest.rindex(b"PK\x05\x06")
    (directory,) = struct.unpack("<I", rest[end + 12 : end + 16])
    tail = rest[: end + 12] + struct.pack("<I", directory + len(extra)) + rest[end + 16 :]
    file.write_bytes(content[:at] + bytes(entry) + extra + tail)
    with zipfile.ZipFile(file) as archive:
        assert archive.getinfo("coords.npy").file_size == size
    assert file.stat().st_size < 20_000
    tracemalloc.start()
    try:
        with pytest.raises(Track2ViewError, match=r"'coords' of shape .* GiB .* export fewer"):
            load_tracks(file)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_a_compressed_file_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "t.npz"
    monkeypatch.setattr(storage, "MOST_BYTES", 2**20)
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (100, 5000, 3), }"
    declared(file, "coords", header, b"\0" * 6_000_000, compressed=True)
    assert file.stat().st_size < 20_000
    with pytest.raises(Track2ViewError, match="export fewer"):
        load_tracks(file)


def few_tracks(colored: bool = True) -> PointTracks:
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
    tracks = few_tracks(colored)
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
            write_point_cloud(few_tracks(), tmp_path / "a.ply", frame=frame)
    with pytest.raises(Track2ViewError, match="does not exist"):
        write_point_cloud(few_tracks(), tmp_path / "no" / "a.ply")
    (tmp_path / "b.ply").mkdir()
    with pytest.raises(Track2ViewError, match="could not be written"):
        write_point_cloud(few_tracks(), tmp_path / "b.ply")
    assert [file.name for file in tmp_path.iterdir()] == ["b.ply"]
