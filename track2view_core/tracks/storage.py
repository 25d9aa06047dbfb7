"""Track files: .npz in TAPIP3D's layout, which SpatialTrackerV2 writes too, and .safetensors; of one frame, .ply.

The first two are read again, and hold numbers and JSON only; nothing in them is ever unpickled. The last is a point
cloud for Blender, MeshLab, CloudCompare and others. A file appears under its name whole or not at all.
"""

from __future__ import annotations

import json
import math
import os
import struct
import uuid
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from ..cameras import CameraPath
from ..cameras.path_quality import lens_notes
from ..errors import Track2ViewError
from ..notes import Note, Severity
from .point_tracks import PointTracks

METADATA_KEY = "track2view.tracks"
DAMAGED = "it is cut short, damaged or of another kind; save or export the tracks again."
PICKLED = "it holds pickled objects, which are never opened; export plain number arrays."
MOST_BYTES = 2 * 2**30
"""What a .npz may take in memory as float64: 1000 frames of 40,000 tracks and more."""


def save_tracks(tracks: PointTracks, file: str | Path) -> None:
    """Write `tracks` to `file`, .npz or .safetensors by its ending; an older file is replaced by the whole new one.

    .npz holds TAPIP3D's `coords`, `visibs`, `extrinsics` (world-to-camera) and `intrinsics`, and beside them `confs`,
    `image_size` (H, W), `fps`, `notes` (JSON) and, where known, `colors`. It has no `video` and no `depths`: tracks do
    not carry the clip.

    Raises:
        Track2ViewError: another ending, no such folder, or the file cannot be written.
    """
    file = Path(file)
    write = _layout_of(file).write
    _write_whole(file, lambda stream: write(tracks, stream), "track file")


def load_tracks(file: str | Path, *, image_size: tuple[int, int] | None = None) -> PointTracks:
    """Read the tracks of a .npz in TAPIP3D's layout or of a .safetensors written by `save_tracks`.

    Args:
        file: the file. `visibs` and `confs` of a .npz may be [T, N] or [T, N, 1]; a point counts as visible above 0.5.
        image_size: (H, W) pixels that the intrinsics belong to, for a .npz without `image_size`, `video` and `depths`.

    Raises:
        Track2ViewError: the file is missing, empty, cut short, pickled or of another kind, or its entries do not make
            tracks; the message names the file and the entry.
    """
    file = Path(file)
    read = _layout_of(file).read
    if not file.is_file():
        raise Track2ViewError(
            f"The track file {file} does not exist or is no file; give the path of a .npz or .safetensors file."
        )
    try:
        if file.stat().st_size == 0:
            raise Track2ViewError("it is empty; save or export the tracks again.")
        return _questioned(read(file, image_size))
    except Track2ViewError as error:
        raise Track2ViewError(f"The track file {file} cannot be used: {error}") from error
    except OSError as error:
        raise Track2ViewError(
            f"The track file {file} cannot be opened ({error.strerror or error}); give a file that may be read."
        ) from error


def _questioned(tracks: PointTracks) -> PointTracks:
    """The tracks, with a note where their lens is likely stated for another picture than theirs."""
    told = {note.code for note in tracks.notes}
    found = [
        replace(note, remedy=()) for note in lens_notes(tracks.camera)  # the file itself has to be mended
        if note.severity is Severity.WARNING and note.code not in told
    ]  # fmt: skip
    return replace(tracks, notes=(*tracks.notes, *found)) if found else tracks


def _write_whole(file: Path, write: Callable[[BinaryIO], object], what: str) -> None:
    """Let `write` fill `file`, which appears under its name whole or not at all."""
    if not file.parent.is_dir():
        raise Track2ViewError(f"The folder {file.parent} does not exist; create it or name another for {file.name}.")
    part = file.with_name(f".{file.name}.{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(file)
    except OSError as error:
        raise Track2ViewError(
            f"The {what} {file} could not be written ({error.strerror or error}); check the disk and the folder."
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _parsed(text: str, name: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise Track2ViewError(f"its {name!r} is not JSON; save or export the tracks again.") from error


def _notes(told: object) -> tuple[Note, ...]:
    """Notes as `Note.data` gives them; the plain sentences of older files, a list of them or one, read the same."""
    return tuple(Note.from_data(note) for note in (told if isinstance(told, list) else [told]))


# --- .npz -------------------------------------------------------------------------------------------------------------


def _write_npz(tracks: PointTracks, stream: BinaryIO) -> None:
    camera = tracks.camera
    entries = {
        "coords": tracks.positions,
        "visibs": tracks.visible,
        "confs": tracks.confidence,
        "extrinsics": camera.camera_from_world,
        "intrinsics": camera.intrinsics,
    }
    if tracks.colors is not None:
        entries["colors"] = tracks.colors
    np.savez(
        stream,
        image_size=np.array([camera.height, camera.width]),
        fps=np.float64(camera.fps),
        notes=np.array(json.dumps([note.data() for note in tracks.notes])),
        # NumPy's stub takes each of these for its own allow_pickle.
        **{name: entry.cpu().numpy() for name, entry in entries.items()},  # pyright: ignore[reportArgumentType]
    )


def _read_npz(file: Path, image_size: tuple[int, int] | None) -> PointTracks:
    entries, clip_shapes = _npz_entries(file)
    for name in ("coords", "visibs", "extrinsics", "intrinsics"):
        if name not in entries:
            raise Track2ViewError(
                f"it holds no {name!r}; TAPIP3D's layout has coords, visibs, extrinsics and intrinsics."
            )
    height, width = _npz_image_size(entries, clip_shapes, image_size)
    fps = float(_of_shape(entries["fps"], "fps", ())) if "fps" in entries else 16.0
    visible = _per_point(entries["visibs"])
    inverse = CameraPath(_tensor(entries["extrinsics"]), _tensor(entries["intrinsics"]), width, height, fps)
    return PointTracks(
        positions=_tensor(entries["coords"]),
        visible=visible > 0.5,
        confidence=_per_point(entries["confs"]) if "confs" in entries else torch.ones(visible.shape),
        camera=replace(inverse, world_from_camera=inverse.camera_from_world),
        colors=_tensor(entries["colors"]).to(torch.uint8) if "colors" in entries else None,
        notes=_notes(_parsed(str(entries["notes"]), "notes")) if "notes" in entries else (),
    )


_NPZ_NAMES = ("coords", "visibs", "confs", "extrinsics", "intrinsics", "colors", "image_size", "fps", "notes")


def _npz_entries(file: Path) -> tuple[dict[str, np.ndarray], dict[str, tuple[int, ...]]]:
    """The arrays of `_NPZ_NAMES` in the file, and the shapes alone of its `video` and `depths`, which may be huge."""
    if not zipfile.is_zipfile(file):
        raise Track2ViewError(DAMAGED)
    try:
        with np.load(file, allow_pickle=False) as archive:
            names = [name for name in _NPZ_NAMES if name in archive.files]
            _check_stored_sizes(archive.zip, names)
            entries = {name: archive[name] for name in names}
            shapes = {
                name: _stored_header(archive.zip, name)[0] for name in ("video", "depths") if name in archive.files
            }
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise Track2ViewError(DAMAGED) from error
    except Track2ViewError:  # itself a ValueError
        raise
    except ValueError as error:
        raise Track2ViewError(PICKLED) from error
    for name, entry in entries.items():
        if entry.dtype.kind not in ("U" if name == "notes" else "biuf"):
            raise Track2ViewError(f"its {name!r} is of type {entry.dtype}; it must be numbers.")
    return entries, shapes


def _check_stored_sizes(archive: zipfile.ZipFile, names: list[str]) -> None:
    """Refuse, before anything is allocated, what would not fit into memory: a small file can declare any size."""
    total = 0
    for name in names:
        shape, dtype = _stored_header(archive, name)
        if dtype.hasobject:
            raise Track2ViewError(PICKLED)
        count = math.prod(shape)
        if archive.getinfo(f"{name}.npy").file_size < count * dtype.itemsize:
            raise Track2ViewError(DAMAGED)
        total += count * max(dtype.itemsize, np.dtype(np.float64).itemsize)
        if total > MOST_BYTES:
            raise Track2ViewError(
                f"its {name!r} of shape {list(shape)} brings it to {total / 2**30:.1f} GiB in memory, above the "
                f"{MOST_BYTES / 2**30:.0f} GiB that track files may take; export fewer tracks or frames."
            )


def _stored_header(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of an array, from its header alone."""
    with archive.open(f"{name}.npy") as stream:
        version = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(stream)
        return shape, dtype


def _npz_image_size(
    entries: Mapping[str, np.ndarray], clip_shapes: Mapping[str, tuple[int, ...]], stated: tuple[int, int] | None
) -> tuple[int, int]:
    """(H, W), by what is stated first: the file's own entry, its clip `[T, 3, H, W]`, its depths, the caller."""
    if "image_size" in entries:
        height, width = _of_shape(entries["image_size"], "image_size", (2,)).tolist()
        return height, width
    video, depths = clip_shapes.get("video", ()), clip_shapes.get("depths", ())
    if len(video) == 4:
        return (video[2], video[3]) if video[1] == 3 else (video[1], video[2])
    if len(depths) >= 3:
        return depths[1], depths[2]
    if stated is None:
        raise Track2ViewError(
            "it holds no 'image_size', 'video' or 'depths'; add image_size, height and width in pixels, to the file."
        )
    return stated


def _of_shape(entry: np.ndarray, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if entry.shape != shape:
        raise Track2ViewError(f"its {name!r} has shape {list(entry.shape)}; it must be {list(shape)}.")
    return entry


def _tensor(entry: np.ndarray) -> Tensor:
    # float64 holds every number type exactly that tracks come in, and brings foreign byte orders home.
    return torch.from_numpy(np.ascontiguousarray(entry, dtype=np.float64))


def _per_point(entry: np.ndarray) -> Tensor:
    """`[T, N]` of an entry `[T, N]` or `[T, N, 1]`."""
    return _tensor(entry[..., 0] if entry.ndim == 3 and entry.shape[-1] == 1 else entry)


# --- .safetensors -----------------------------------------------------------------------------------------------------


def _write_safetensors(tracks: PointTracks, stream: BinaryIO) -> None:
    camera = tracks.camera
    tensors = {
        "positions": tracks.positions,
        "visible": tracks.visible,
        "confidence": tracks.confidence,
        "world_from_camera": camera.world_from_camera,
        "intrinsics": camera.intrinsics,
    }
    if tracks.colors is not None:
        tensors["colors"] = tracks.colors
    facts = {
        "version": 1,
        "width": camera.width,
        "height": camera.height,
        "fps": camera.fps,
        "notes": [note.data() for note in tracks.notes],
    }
    whole = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    stream.write(safetensors.torch.save(whole, metadata={METADATA_KEY: json.dumps(facts)}))


def _read_safetensors(file: Path, image_size: tuple[int, int] | None) -> PointTracks:
    # Read at once, not mapped: a mapped file cannot be replaced on Windows.
    content = file.read_bytes()
    try:
        tensors = safetensors.torch.load(content)
    except SafetensorError as error:
        raise Track2ViewError(DAMAGED) from error
    facts = _track_facts(content)
    names = ("positions", "visible", "confidence", "world_from_camera", "intrinsics")
    missing = [name for name in names if name not in tensors] + [name for name in _FACTS if name not in facts]
    if missing:
        raise Track2ViewError(f"it holds no {missing[0]!r}; save the tracks again.")
    return PointTracks(
        positions=tensors["positions"],
        visible=tensors["visible"],
        confidence=tensors["confidence"],
        camera=CameraPath(
            tensors["world_from_camera"], tensors["intrinsics"], facts["width"], facts["height"], facts["fps"]
        ),
        colors=tensors.get("colors"),
        notes=_notes(facts["notes"]),
    )


_FACTS = ("width", "height", "fps", "notes")


def _track_facts(content: bytes) -> dict[str, Any]:
    """What `_write_safetensors` put into the metadata of a file that has been found sound."""
    (header_size,) = struct.unpack("<Q", content[:8])
    metadata = json.loads(content[8 : 8 + header_size]).get("__metadata__", {})
    if METADATA_KEY not in metadata:
        raise Track2ViewError("it holds other tensors than tracks; give a file that Save Tracks wrote.")
    facts = _parsed(metadata[METADATA_KEY], "track metadata")
    return facts if isinstance(facts, dict) else {}


# --- which of the two -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    write: Callable[[PointTracks, BinaryIO], None]
    read: Callable[[Path, tuple[int, int] | None], PointTracks]


_LAYOUTS: Mapping[str, _Layout] = MappingProxyType(
    {".npz": _Layout(_write_npz, _read_npz), ".safetensors": _Layout(_write_safetensors, _read_safetensors)}
)


def _layout_of(file: Path) -> _Layout:
    layout = _LAYOUTS.get(file.suffix.lower())
    if layout is None:
        raise Track2ViewError(
            f"{file} has the ending {file.suffix!r}; a track file must end in {' or '.join(_LAYOUTS)}."
        )
    return layout


# --- .ply -------------------------------------------------------------------------------------------------------------


VERTEX = np.dtype(
    [(axis, "<f4") for axis in "xyz"]
    + [(channel, "u1") for channel in ("red", "green", "blue")]
    + [("confidence", "<f4"), ("visible", "u1")]
)
PLY_NAMES = {"<f4": "float", "u1": "uchar", "|u1": "uchar"}


def write_point_cloud(tracks: PointTracks, file: str | Path, *, frame: int = 0) -> None:
    """Write all N points of video frame `frame` to a binary .ply; an older file is replaced by the whole new one.

    Positions are of the world (OpenCV axes: x right, y down, z forward, the tracker's units); points without colour
    are grey. `confidence` and `visible` are the tracker's words for this frame.

    Raises:
        Track2ViewError: no such frame or folder, or the file cannot be written.
    """
    file = Path(file)
    if not 0 <= frame < len(tracks):
        raise Track2ViewError(f"frame is {frame}; the tracks have frames 0 to {len(tracks) - 1}.")
    vertices = np.zeros(tracks.positions.shape[1], VERTEX)
    for axis, values in zip("xyz", tracks.positions[frame].cpu().numpy().T, strict=True):
        vertices[axis] = values
    for index, channel in enumerate(("red", "green", "blue")):
        vertices[channel] = 128 if tracks.colors is None else tracks.colors[:, index].cpu().numpy()
    vertices["confidence"] = tracks.confidence[frame].cpu().numpy()
    vertices["visible"] = tracks.visible[frame].cpu().numpy()
    properties = "".join(f"property {PLY_NAMES[VERTEX[name].str]} {name}\n" for name in VERTEX.names or ())
    header = (
        "ply\nformat binary_little_endian 1.0\n"
        f"comment Track2View, frame {frame}; x right, y down, z forward\n"
        f"element vertex {len(vertices)}\n{properties}end_header\n"
    )
    _write_whole(file, lambda stream: stream.write(header.encode("ascii") + vertices.tobytes()), "point cloud")
