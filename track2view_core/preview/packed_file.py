"""Numbers for the browser in one file: a header in JSON and sections that typed arrays can lie on.

Little-endian: four letters that name the kind, the header's length as uint32, the header as JSON (padded with spaces so
that what follows is aligned to 8 bytes), then the sections, each aligned to 8 bytes at the offset and of the count that
the header's `sections` state; offsets count from the header's end. `web/math/packed_file.mjs` reads it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np


def packed_file(kind: bytes, header: Mapping[str, Any], sections: Mapping[str, np.ndarray]) -> bytes:
    """The file as bytes. `kind` has four letters; sections are little-endian arrays of the dtype their reader knows."""
    places, body = {}, bytearray()
    for name, values in sections.items():
        places[name] = {"offset": len(body), "count": int(values.size)}
        body += values.tobytes()
        body += bytes(-len(body) % 8)
    text = json.dumps({**header, "sections": places}, allow_nan=False).encode()
    text += b" " * (-(8 + len(text)) % 8)
    return kind + struct.pack("<I", len(text)) + text + bytes(body)
