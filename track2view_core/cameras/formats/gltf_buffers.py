"""The numbers of a glTF file: its binary parts and accessors, read within bounds, and written."""

from __future__ import annotations

import base64
import binascii
import json
import math
import struct
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

import numpy as np

from ...errors import Track2ViewError
from .contents import MOST_FRAMES, Source, mapping, parse_json

MAGIC, VERSION = b"glTF", 2
JSON_CHUNK, BINARY_CHUNK = b"JSON", b"BIN\x00"
FLOAT = 5126
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}


class Gltf:
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


def packed(document: dict[str, Any], data: bytes, *, binary: bool) -> bytes:
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
