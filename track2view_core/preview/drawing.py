"""What all pictures share: palette, panes of readable size, captions, the way into a file. Colours are RGB.

OpenCV is imported where it draws, so that the room itself loads with torch alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from torch import Tensor

from ..errors import Track2ViewError
from ..video.resizing import resize_picture

Color = tuple[int, int, int]

GROUND: Color = (19, 22, 28)
PANEL: Color = (28, 32, 40)
GRID: Color = (48, 54, 66)
FAINT: Color = (124, 132, 148)
TEXT: Color = (228, 232, 240)
SOURCE: Color = (88, 166, 255)
TARGET: Color = (255, 160, 60)
GOOD: Color = (62, 190, 150)
POOR: Color = (235, 78, 82)

GAP = 8
_FONT = 0  # cv2.FONT_HERSHEY_SIMPLEX
_SMOOTH = 16  # cv2.LINE_AA
_SUBPIXEL = 4  # cv2 draws in 1/16 px
_CIRCLE = np.stack([(np.cos(angle), np.sin(angle)) for angle in np.linspace(0, 2 * np.pi, 16, endpoint=False)])
_SHORTEST_LONG_SIDE, _LONGEST_SIDE = 512, 960


def pane_size(width: int, height: int) -> tuple[int, int]:
    """The even size at which a clip is drawn: tiny ones are enlarged first, so that lines and letters stay fine."""
    long_side = max(width, height)
    scale = min(max(1.0, _SHORTEST_LONG_SIDE / long_side), _LONGEST_SIDE / long_side)
    return max(2, 2 * round(width * scale / 2)), max(2, 2 * round(height * scale / 2))


def pane(picture: Tensor, size: tuple[int, int]) -> np.ndarray:
    """One frame [H, W, 3] uint8 at `size`, ready to draw on."""
    drawn = resize_picture(np.ascontiguousarray(picture.cpu().numpy()), *size)
    return drawn.copy() if drawn.base is not None or drawn.shape[:2] == picture.shape[:2] else drawn


def fixed(points: np.ndarray) -> np.ndarray:
    """Pixel coordinates [..., 2], centre of the first pixel at 0.5, as cv2's fixed point numbers."""
    return ((points.clip(-4000, 12000) - 0.5) * (1 << _SUBPIXEL)).round().astype(np.int32)


def draw_line(picture: np.ndarray, points: np.ndarray, color: Color, thickness: int = 1, closed: bool = False) -> None:
    """A smooth line through `points` [P, 2] px."""
    import cv2

    cv2.polylines(picture, [fixed(points)], closed, color, thickness, _SMOOTH, _SUBPIXEL)


def fill_shape(picture: np.ndarray, points: np.ndarray, color: Color) -> None:
    import cv2

    cv2.fillPoly(picture, [fixed(points)], color, _SMOOTH, _SUBPIXEL)


def draw_dot(picture: np.ndarray, at: np.ndarray, radius: float, color: Color) -> None:
    draw_dots(picture, at[None], radius, [color])


def draw_dots(
    picture: np.ndarray,
    at: np.ndarray,  # [N, 2] px
    radius: float | np.ndarray,  # one for all, or [N]
    colors: Iterable[Color],  # N of them
) -> None:
    """Discs, the first one lowest; as polygons, because cv2's small circles come out as diamonds."""
    import cv2

    rims = fixed(at[:, None] + np.reshape(radius, (-1, 1, 1)) * _CIRCLE)
    for rim, color in zip(rims, colors, strict=True):
        cv2.fillConvexPoly(picture, rim, color, _SMOOTH, _SUBPIXEL)


def draw_ring(picture: np.ndarray, at: np.ndarray, radius: float, color: Color, thickness: int = 1) -> None:
    draw_line(picture, at + radius * _CIRCLE, color, thickness, closed=True)


def text_size(words: str, height: float) -> tuple[int, int]:
    import cv2

    (width, tall), _ = cv2.getTextSize(words, _FONT, height / 22, 1)
    return width, tall


def write_text(
    picture: np.ndarray,
    words: str,
    at: tuple[float, float],  # left end of the base line, px
    height: float = 11,
    color: Color = TEXT,
    align: str = "left",
) -> None:
    """`words` with capitals `height` px tall."""
    import cv2

    width, _ = text_size(words, height)
    left = at[0] - {"left": 0, "center": width / 2, "right": width}[align]
    cv2.putText(picture, words, (round(left), round(at[1])), _FONT, height / 22, color, 1, _SMOOTH)


def caption(picture: np.ndarray, words: str, color: Color = TEXT) -> None:
    """`words` on a shaded plate in the upper left corner."""
    height = float(np.clip(picture.shape[0] / 34, 10, 18))
    while height > 6 and text_size(words, height)[0] > picture.shape[1] - 3 * height:
        height -= 0.5
    width, tall = text_size(words, height)
    margin = round(0.7 * height)
    plate = picture[margin : 3 * margin + tall, margin : 3 * margin + width]
    plate[:] = (plate * 0.3 + np.array(GROUND) * 0.7).astype(np.uint8)
    write_text(picture, words, (2 * margin, 2 * margin + tall), height, color)


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
