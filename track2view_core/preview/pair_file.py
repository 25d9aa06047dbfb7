"""Both views' tracks as one small file for the browser: `web/math/pairs.mjs` reads it, to find a track in both views.

A packed file (packed_file.py) that begins with `T2VV`. Kept frames are spread evenly over the clip: kept frame f of F
is the clip's frame nearest to f (T - 1) / (F - 1).

    tracks   uint32 [N]         each track's index in the pairs
    source   uint16 [F, N, 2]   x and y in numbers from 0 to 65534 over the picture; 65535 twice: not inside
    target   uint16 [F, N, 2]
    colors   uint8 [N, 3]       as the pair view draws the track
    visible  uint8 [F, ceil(N / 8)]   seen by the tracker in the source view, lowest bit first
"""

from __future__ import annotations

import numpy as np
import torch

from ..cameras import CameraPath, ViewTracks
from ..tracks import PairedTracks
from .packed_file import packed_file
from .pair_view import track_colors

KIND = b"T2VV"
VERSION = 1
MOST_TRACKS = 2_000
MOST_FRAMES = 120
FARTHEST = 65_534  # of a coordinate; the number after it says that there is none
NOWHERE = 65_535


def pack_pairs(paired: PairedTracks) -> bytes:
    """The pairs in the layout above, below 3 MB whatever comes; beyond MOST_TRACKS, evenly spaced ones that the source
    shows at least once."""
    chosen = paired.seen.cpu().nonzero()[:, 0]
    if len(chosen) > MOST_TRACKS:
        chosen = chosen[torch.linspace(0, len(chosen) - 1, MOST_TRACKS).round().long()]
    kept = min(len(paired), MOST_FRAMES)
    frames = (torch.arange(kept, dtype=torch.float64) * (len(paired) - 1) / max(kept - 1, 1) + 0.5).floor().long()
    colors = np.array(track_colors(paired), np.uint8).reshape(-1, 3)[chosen.numpy()]
    paired = paired.to("cpu").select(chosen).with_frames(frames)
    header = {
        "version": VERSION,
        "frames": len(frames),
        "count": len(chosen),
        "source": {"width": paired.source_camera.width, "height": paired.source_camera.height},
        "target": {"width": paired.target_camera.width, "height": paired.target_camera.height},
    }
    sections = {
        "tracks": chosen.numpy().astype("<u4"),
        "source": _steps(paired.source, paired.source_camera),
        "target": _steps(paired.target, paired.target_camera),
        "colors": colors,
        "visible": np.packbits(paired.visible.numpy(), axis=1, bitorder="little"),
    }
    return packed_file(KIND, header, sections)


def _steps(view: ViewTracks, camera: CameraPath) -> np.ndarray:
    size = torch.tensor([camera.width, camera.height], dtype=torch.float64)
    steps = (view.xy.double() / size * FARTHEST).round().clamp(0, FARTHEST)
    return torch.where(view.inside[..., None], steps, NOWHERE).numpy().astype("<u2")
