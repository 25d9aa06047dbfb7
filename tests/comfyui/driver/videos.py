"""The videos that a run saved."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from . import graph as graphs


def saved_video(server: Any, prompt: dict[str, Any], run: Any) -> Path:
    (saved,) = run.outputs[graphs.node_id(prompt, "SaveVideo")]["images"]
    return Path(server.base) / "output" / saved["subfolder"] / saved["filename"]


def frames_and_rate(file: Path) -> tuple[np.ndarray, Fraction]:
    """Every frame, decoded: [T, H, W, 3] uint8."""
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]), stream.average_rate
