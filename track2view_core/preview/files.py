"""Pictures to files."""

from __future__ import annotations

import os
from pathlib import Path

from torch import Tensor

from ..errors import Track2ViewError


def write_picture(picture: Tensor, file: str | os.PathLike[str]) -> Path:  # picture [H, W, 3] uint8 RGB
    """Write a .png and return its path."""
    import cv2

    path = Path(file)
    if path.suffix.lower() != ".png":
        raise Track2ViewError(f"{path} has the ending {path.suffix!r}; a picture must end in .png.")
    pixels = picture.cpu().contiguous().numpy()[..., ::-1]
    encoded = cv2.imencode(".png", pixels)[1]
    path.write_bytes(encoded.tobytes())  # OpenCV's own file functions fail on non-ASCII paths on Windows
    return path
