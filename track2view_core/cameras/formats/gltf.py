"""glTF 2.0: an animated perspective camera, in a .gltf or .glb file.

Source: Khronos glTF 2.0 specification, "Coordinate System", "Cameras", "Animations". Right-handed, y up, a camera
looks down -z; translation, rotation (x y z w) and scale of a node apply in that order to its children. Keys are 32-bit
floats; so that a path comes back with all its digits, files written here also carry it as a `track2view_camera`
document in the camera node's `extras`, which is taken if it still agrees with the animation.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import struct
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import numpy as np
import torch
from torch import Tensor

from ...errors import Track2ViewError
from ..path import CameraPath
from ..rotations import matrix_from_quaternion, quaternion_from_matrix, rigid, slerp
from . import track2view_json
from .axes import OPENGL_FROM_OPENCV, Y_UP_FROM_WORLD, change_axes
from .frame_times import UNEVEN, FrameTimes, frame_times
from .parsing import MOST_FRAMES, Source, mapping, number, numbers, parse_json
from .path_format import (
    PathFormat,
    RecordedCamera,
    Wanted,
    checked_poses,
    frame_of,
    refuse_off_centre,
    vertical_fov_lens,
)

MAGIC, VERSION = b"glTF", 2
JSON_CHUNK, BINARY_CHUNK = b"JSON", b"BIN\x00"
FLOAT = 5126
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}

KINDS = {"translation": "VEC3", "rotation": "VEC4", "scale": "VEC3"}
REST = {"translation": (0.0, 0.0, 0.0), "rotation": (0.0, 0.0, 0.0, 1.0), "scale": (1.0, 1.0, 1.0)}
FLOAT32_ROUNDING = 1e-5  # relative difference that keeping a path in 32-bit floats explains
EXTRAS = track2view_json.NAME


@dataclass(frozen=True)
class _Curve:
    times: np.ndarray  # [keys] seconds
    values: Tensor  # [keys, 3 or 4]
    stepped: bool

    def at(self, times: np.ndarray, path: str) -> Tensor:
        after = np.clip(np.searchsorted(self.times, times, side="right"), 1, max(len(self.times) - 1, 1))
        if len(self.times) == 1:
            return self.values.expand(len(times), -1)
        span = self.times[after] - self.times[after - 1]
        share = torch.from_numpy(np.clip((times - self.times[after - 1]) / span, 0, 1))
        if self.stepped:
            share = share.floor()
        start, end = self.values[after - 1], self.values[after]
        if path != "rotation":
            return torch.lerp(start, end, share[:, None])
        between = slerp(
            matrix_from_quaternion(start[:, [3, 0, 1, 2]]), matrix_from_quaternion(end[:, [3, 0, 1, 2]]), share
        )
        return quaternion_from_matrix(between)[:, [1, 2, 3, 0]]


def _read(source: Source, wanted: Wanted) -> RecordedCamera:
    gltf = _Document(source)
    node = _camera_node(gltf, wanted.camera)
    lens = mapping(
        gltf.entry("cameras", gltf.entry("nodes", node)["camera"]).get("perspective"), f"{source.name}, camera,"
    )
    yfov = number(lens.get("yfov"), f"{source.name}, yfov,")
    if not 0 < yfov < math.pi:
        source.refuse(f"has the vertical field of view {yfov:g}; it must be radians above 0 and below 3.1416.")
    chain = _chain(gltf, node)
    curves = _curves(gltf, chain)
    times, told = _times(source, curves)
    world = torch.eye(4, dtype=torch.float64).repeat(len(times), 1, 1)
    for index in reversed(chain):
        world = world @ _local(gltf, index, curves, times)
    poses = change_axes(
        checked_poses(world, frame_of(source.name)),
        new_world_from_old=Y_UP_FROM_WORLD.mT,
        new_camera_from_old=OPENGL_FROM_OPENCV.mT,
    )
    exact = _exact(gltf.entry("nodes", node), poses, yfov)
    return exact or RecordedCamera(
        poses, vertical_fov_lens([yfov] * len(times)), None, told.fps, fps_problem=told.problem, notes=told.notes
    )


def _camera_node(gltf: _Document, camera: str | None) -> int:
    names = {}
    for index, node in enumerate(gltf.entries("nodes")):
        if "camera" in node:
            told = gltf.entry("cameras", node["camera"])
            if told.get("type") == "perspective":
                names[str(node.get("name", told.get("name", f"node {index}")))[:30]] = index
    if not names:
        gltf.source.refuse("holds no perspective camera; export the camera too.")
    if camera is None and len(names) == 1:
        return next(iter(names.values()))
    if camera not in names:
        came = "has several cameras" if camera is None else f"has no camera {camera[:40]!r}"
        listed = ", ".join(list(names)[:12])
        asked = gltf.source.advice(camera=f"give {{}} as one of {listed}") or f"export one of {listed} alone"
        gltf.source.refuse(f"{came}; {asked}.")
    return names[camera]


def _chain(gltf: _Document, node: int) -> list[int]:
    """The node and its parents, up to the root."""
    parents: dict[int, int] = {}
    for index, entry in enumerate(gltf.entries("nodes")):
        children = entry.get("children", [])
        for child in children if isinstance(children, list) else []:
            if isinstance(child, int):
                parents[child] = index
    chain = [node]
    while chain[-1] in parents:
        chain.append(parents[chain[-1]])
        if len(chain) > 100:
            gltf.source.refuse("nests its camera in a circle of nodes, or over 100 deep; export it again.")
    return chain


def _curves(gltf: _Document, chain: list[int]) -> dict[tuple[int, str], _Curve]:
    curves: dict[tuple[int, str], _Curve] = {}
    where = gltf.source.name
    for animation in gltf.entries("animations"):
        channels, samplers = animation.get("channels", []), animation.get("samplers", [])
        if not isinstance(channels, list) or not isinstance(samplers, list):
            gltf.source.refuse("has an animation without channels and samplers; export it again.")
        for value in channels:
            channel = mapping(value, f"{where}, a channel,")
            target = mapping(channel.get("target"), f"{where}, a channel's target,")
            node, path = target.get("node"), target.get("path")
            if node not in chain or not isinstance(path, str) or path not in KINDS:
                continue
            if (node, path) in curves:
                gltf.source.refuse(f"animates the camera's {path} twice; export one animation alone.")
            index = channel.get("sampler")
            if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(samplers):
                gltf.source.refuse("has a channel without its sampler; it is cut short, so export it again.")
            curves[node, path] = _curve(gltf, mapping(samplers[index], f"{where}, a sampler,"), path)
    return curves


def _curve(gltf: _Document, sampler: dict[str, Any], path: str) -> _Curve:
    kind = sampler.get("interpolation", "LINEAR")
    if kind not in ("LINEAR", "STEP"):
        gltf.source.refuse(f"has curves of the kind {str(kind)[:20]!r}; export it with sampled (baked) animation.")
    times = gltf.numbers(sampler.get("input"), "SCALAR")[:, 0]
    values = gltf.numbers(sampler.get("output"), KINDS[path])
    if len(values) != len(times) or (np.diff(times) <= 0).any():
        gltf.source.refuse("has keys whose times do not rise or do not match their values; export it again.")
    if path == "rotation":
        _check_quaternions(gltf.source, values)
    return _Curve(times, torch.from_numpy(values), kind == "STEP")


def _check_quaternions(source: Source, values: np.ndarray) -> None:
    wrong = np.abs(np.linalg.norm(values, axis=-1) - 1) > 1e-2
    if wrong.any():
        key = int(np.argmax(wrong))
        source.refuse(f"has a quaternion at key {key} whose length is not 1; it is damaged, so export it again.")


def _times(source: Source, curves: dict[tuple[int, str], _Curve]) -> tuple[np.ndarray, FrameTimes]:
    """The frames' times, and what they say of the rate."""
    if not curves:
        return np.zeros(1), FrameTimes()
    times = max((curve.times for curve in curves.values()), key=len)
    start = min(curve.times[0] for curve in curves.values())
    end = max(curve.times[-1] for curve in curves.values())
    if len(times) == 1:
        return times, FrameTimes()
    steps = np.diff(times)
    step = float((times[-1] - times[0]) / len(steps))
    even = bool((np.abs(steps - step) <= UNEVEN * step).all())
    if not even or start != times[0] or end != times[-1]:
        source.refuse("has keys at uneven times; export it with sampled (baked) animation, one key a frame.")
    told = frame_times(source, times.tolist(), None)
    if told.fps is None:
        return times, told
    rounded = round(told.fps * 1000) / 1000
    return times, replace(told, fps=rounded) if abs(rounded - told.fps) < FLOAT32_ROUNDING * told.fps else told


def _local(gltf: _Document, index: int, curves: dict[tuple[int, str], _Curve], times: np.ndarray) -> Tensor:
    """The node's own transform `[T, 4, 4]` at the times."""
    node = gltf.entry("nodes", index)
    where = f"{gltf.source.name}, node {index},"
    if "matrix" in node:
        column_major = torch.tensor(numbers(node["matrix"], 16, where), dtype=torch.float64)
        return column_major.reshape(4, 4).mT.expand(len(times), 4, 4)
    values = {}
    for path, rest in REST.items():
        if (index, path) in curves:
            values[path] = curves[index, path].at(times, path)
        else:
            told = numbers(
                list(node.get(path, rest)) if isinstance(node.get(path, rest), list | tuple) else None, len(rest), where
            )
            values[path] = torch.tensor(told, dtype=torch.float64).expand(len(times), -1)
    _check_quaternions(gltf.source, values["rotation"].numpy())
    local = rigid(matrix_from_quaternion(values["rotation"][:, [3, 0, 1, 2]]), values["translation"])
    local[:, :3, :3] = local[:, :3, :3] * values["scale"][:, None, :]
    return local


def _exact(node: dict[str, Any], poses: Tensor, yfov: float) -> RecordedCamera | None:
    """The path in the node's extras, where there is one that the animation still agrees with."""
    extras = node.get("extras")
    if not isinstance(extras, dict) or EXTRAS not in extras:
        return None
    try:
        told = track2view_json.recording_of(extras[EXTRAS], "extras")
    except Track2ViewError:
        return None  # another program changed it; the animation is whole all the same
    exact = told.world_from_camera
    if exact.shape != poses.shape or told.size is None or told.lens is None:
        return None
    fov = 2 * math.atan(told.size[1] / 2 / float(told.lens(*told.size)[0, 1, 1]))
    allowed = FLOAT32_ROUNDING * (1 + float(exact.abs().max()))
    agrees = float((exact - poses).abs().max()) <= allowed and abs(fov - yfov) <= FLOAT32_ROUNDING
    return told if agrees else None


def _write(path: CameraPath, file: Path) -> bytes:
    refuse_off_centre(path, FORMAT.title)
    focal = path.intrinsics[:, 1, 1]
    if (focal != focal[0]).any():
        raise Track2ViewError(
            "glTF cannot hold a lens that zooms, as the path's does; write it as track2view_camera or blender."
        )
    poses = change_axes(
        path.world_from_camera, new_world_from_old=Y_UP_FROM_WORLD, new_camera_from_old=OPENGL_FROM_OPENCV
    )
    turns = quaternion_from_matrix(poses[:, :3, :3])[:, [1, 2, 3, 0]]
    for frame in range(1, len(turns)):
        if float((turns[frame] * turns[frame - 1]).sum()) < 0:
            turns[frame] = -turns[frame]
    times = torch.arange(len(path), dtype=torch.float64) / path.fps
    blocks = [values.to(torch.float32).numpy().astype("<f4") for values in (times, poses[:, :3, 3], turns)]
    offsets = np.cumsum([0, *(block.nbytes for block in blocks)]).tolist()
    views = [
        {"buffer": 0, "byteOffset": offset, "byteLength": block.nbytes}
        for offset, block in zip(offsets, blocks, strict=False)
    ]
    accessors = [
        {"bufferView": index, "componentType": FLOAT, "count": len(path), "type": kind}
        for index, kind in enumerate(("SCALAR", "VEC3", "VEC4"))
    ]
    accessors[0].update(min=[float(blocks[0].min())], max=[float(blocks[0].max())])
    yfov = 2 * math.atan(path.height / 2 / float(focal[0]))
    lens = {"yfov": yfov, "aspectRatio": path.width / path.height, "znear": 0.01}
    channels = [
        {"sampler": i, "target": {"node": 0, "path": name}} for i, name in enumerate(("translation", "rotation"))
    ]
    document = {
        "asset": {"version": "2.0", "generator": "Track2View"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "Track2View camera", "camera": 0, "extras": {EXTRAS: track2view_json.document_of(path)}}],
        "cameras": [{"type": "perspective", "perspective": lens}],
        "animations": [
            {
                "name": "path",
                "channels": channels,
                "samplers": [{"input": 0, "output": output, "interpolation": "LINEAR"} for output in (1, 2)],
            }
        ],
        "bufferViews": views,
        "accessors": accessors,
    }
    data = b"".join(block.tobytes() for block in blocks)
    return _packed(document, data, binary=file.suffix.lower() == ".glb")


def _recognises(source: Source) -> bool:
    if source.data.startswith(b"glTF"):
        return True
    return source.looks_like_json and '"asset"' in source.text and '"nodes"' in source.text


# --- the bytes behind the document ------------------------------------------------------------------------------------


class _Document:
    """A glTF document and its buffers."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.chunk: bytes | None = None
        self.document = mapping(self._parsed(), source.name)

    def _parsed(self) -> Any:
        data = self.source.data
        if not data.startswith(MAGIC):
            return self.source.json
        if len(data) < 20 or struct.unpack_from("<I", data, 4)[0] != VERSION:
            self.source.refuse("is no glTF 2.0 file or cut short; export it again.")
        place, chunks = 12, {}
        while place + 8 <= len(data):
            size, kind = struct.unpack_from("<I4s", data, place)
            if place + 8 + size > len(data):
                self.source.refuse("is cut short; export or copy it again.")
            chunks.setdefault(kind, data[place + 8 : place + 8 + size])
            place += 8 + size
        self.chunk = chunks.get(BINARY_CHUNK)
        return parse_json(chunks.get(JSON_CHUNK, b"").decode("utf-8", errors="replace"), self.source)

    def entry(self, kind: str, index: object) -> dict[str, Any]:
        """Entry `index` of one of the document's lists."""
        listed = self.document.get(kind, [])
        if not isinstance(listed, list) or isinstance(index, bool) or not isinstance(index, int):
            self.source.refuse(f"has no list of {kind} as glTF has; export it again.")
        if not 0 <= index < len(listed):
            self.source.refuse(f"names entry {index} of its {kind}, which has {len(listed)}; it is cut short.")
        return mapping(listed[index], f"{self.source.name}, {kind} {index},")

    def entries(self, kind: str) -> list[dict[str, Any]]:
        listed = self.document.get(kind, [])
        if not isinstance(listed, list) or len(listed) > MOST_FRAMES:
            self.source.refuse(f"has no list of {kind} as glTF has; export it again.")
        return [self.entry(kind, index) for index in range(len(listed))]

    def numbers(self, accessor_index: object, kind: str) -> np.ndarray:
        """The values [count, width] float64 of a float32 accessor."""
        accessor = self.entry("accessors", accessor_index)
        where = f"accessor {accessor_index}"
        if accessor.get("type") != kind or accessor.get("componentType") != FLOAT or "sparse" in accessor:
            self.source.refuse(
                f"keeps {where} in a way other than plain 32-bit floats of {kind}; export it with those."
            )
        view = self.entry("bufferViews", accessor.get("bufferView", -1))
        count, width = self._count(accessor, "count"), WIDTHS[kind]
        stride = self._count(view, "byteStride", 4 * width)
        start = self._count(view, "byteOffset", 0) + self._count(accessor, "byteOffset", 0)
        data = self._buffer(view.get("buffer", -1))
        if count < 1 or stride < 4 * width or start + stride * (count - 1) + 4 * width > len(data):
            self.source.refuse(f"has an {where} that reaches beyond its buffer; it is cut short, so export it again.")
        if count > MOST_FRAMES:
            self.source.refuse(f"has an {where} of more than {MOST_FRAMES:,} keys; give one clip's camera.")
        rows = np.ndarray((count, width), "<f4", data, start, (stride, 4)).astype(np.float64)
        if not np.isfinite(rows).all():
            row = int(np.argwhere(~np.isfinite(rows))[0][0])
            self.source.refuse(f"holds NaN or infinity in {where} at key {row}; the export failed, so export it again.")
        return rows

    def _count(self, entry: dict[str, Any], name: str, default: int = -1) -> int:
        value = entry.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**40:
            self.source.refuse(f"has no usable {name} in an accessor or buffer view; export it again.")
        return value

    def _buffer(self, index: object) -> bytes:
        uri = self.entry("buffers", index).get("uri")
        if uri is None:
            if self.chunk is None or index != 0:
                self.source.refuse(f"has no data for buffer {index}; export it again.")
            return self.chunk
        if not isinstance(uri, str):
            self.source.refuse(f"has a buffer {index} whose uri is no text; export it again.")
        if uri.startswith("data:"):
            try:
                return base64.b64decode(uri.partition(",")[2], validate=True)
            except (binascii.Error, ValueError) as error:
                raise Track2ViewError(
                    f"{self.source.name} has a buffer {index} that is no base64 text; export it again."
                ) from error
        name = unquote(uri)
        if "\\" in name or "\x00" in name or ":" in name or ".." in PurePosixPath(name).parts or name.startswith("/"):
            self.source.refuse("keeps its data outside its folder; export it as .glb or with embedded data.")
        beside = self.source.file.parent / name
        if not beside.is_file():
            self.source.refuse(f"keeps its data in {name[:60]}, which is not beside it; copy that file too.")
        return Source(beside).data


def _packed(document: dict[str, Any], data: bytes, *, binary: bool) -> bytes:
    """A .glb, or a .gltf with its data inside; `document` is without its buffer, which is put in here."""
    if not binary:
        text = "data:application/octet-stream;base64," + base64.b64encode(data).decode("ascii")
        whole = {**document, "buffers": [{"byteLength": len(data), "uri": text}]}
        return (json.dumps(whole, indent=1, allow_nan=False) + "\n").encode("utf-8")
    text = json.dumps({**document, "buffers": [{"byteLength": len(data)}]}, allow_nan=False).encode("utf-8")
    text += b" " * (math.ceil(len(text) / 4) * 4 - len(text))
    data += b"\x00" * (math.ceil(len(data) / 4) * 4 - len(data))
    chunks = struct.pack("<I4s", len(text), JSON_CHUNK) + text + struct.pack("<I4s", len(data), BINARY_CHUNK) + data
    return MAGIC + struct.pack("<II", VERSION, 12 + len(chunks)) + chunks


FORMAT = PathFormat(
    name="gltf",
    title="glTF 2.0",
    endings=(".gltf", ".glb"),
    description="an animated camera for three.js, game engines and other 3D programs",
    lens="fov",
    size=True,
    fps=True,
    read=_read,
    recognises=_recognises,
    write=_write,
    several=True,
    zoom=False,
)
