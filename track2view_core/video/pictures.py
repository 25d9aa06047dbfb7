"""A decoded frame as a picture to look at: upright, in BT.709, opaque."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..notes import Note
from .tone_mapping import Colours, special_colours, to_bt709

# FFmpeg's SWS_BILINEAR | ACCURATE_RND | FULL_CHR_H_INT | FULL_CHR_H_INP: its fast path darkens by one level.
_TRUE_COLORS = 2 | 0x40000 | 0x2000 | 0x4000
# Colour matrices by their numbers in ITU-T H.273, as FFmpeg takes them.
_REC_709, _REC_601, _REC_2020 = 1, 5, 9
_WEIGHTS = {  # of red and blue in luma
    _REC_709: (0.2126, 0.0722),
    4: (0.30, 0.11),  # FCC
    _REC_601: (0.299, 0.114),
    6: (0.299, 0.114),  # SMPTE 170M
    7: (0.212, 0.087),  # SMPTE 240M
    _REC_2020: (0.2627, 0.0593),
}
_LIMITED_RANGE, _FULL_RANGE = 1, 2
_HD_SIDE = 1280  # px, from which players take pictures that name no matrix for Rec. 709


@dataclass(frozen=True)
class Development:
    """What turns the frames of one file into pictures."""

    mirrored: bool = False
    """Left and right are swapped, before the turn."""
    quarter_turns: int = 0
    """Counter-clockwise, as `numpy.rot90` counts them."""
    colours: Colours | None = None
    """None: those of BT.709, or near them."""

    @property
    def on_its_side(self) -> bool:
        """The picture is as wide as the frame is high."""
        return self.quarter_turns % 2 == 1

    def picture(self, frame: Any) -> np.ndarray:
        """[H, W, 3] uint8 RGB of a frame."""
        picture = _rgb(frame, self.colours)
        if self.mirrored:
            picture = picture[:, ::-1]
        return np.ascontiguousarray(np.rot90(picture, self.quarter_turns))


def find_development(frames: Sequence[Any], codec: Any) -> tuple[Development, tuple[Note, ...]]:
    """How to develop the frames of a file, by the first few of them and what its codec context says."""
    first = frames[0]
    mirrored, turns, notes = _orientation(first)
    colours = special_colours(codec.color_trc, codec.color_primaries, _light(frames))
    if colours is not None and colours.hdr:
        notes += (Note.of("hdr_tone_mapped", transfer=colours.name, peak=colours.peak),)
    elif colours is not None:
        notes += (Note.of("gamut_mapped", gamut=colours.gamut),)
    if any(_transparent(frame) for frame in frames):
        notes += (Note.of("laid_over_black"),)
    return Development(mirrored, turns, colours), notes


def _orientation(frame: Any) -> tuple[bool, int, tuple[Note, ...]]:
    """Mirrored, quarter turns and what to say, by the matrix that the file wants to be shown with."""
    stored = frame.side_data.get("DISPLAYMATRIX")
    if stored is None:
        return False, 0, ()
    # x' = a x + c y, y' = b x + d y, with y down; a mirror is undone first, so that a turn is left.
    a, b, _, c, d = struct.unpack("=5i", bytes(stored)[:20])
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    degrees = round(-math.degrees(math.atan2(b - c, a + d))) % 360
    turns, rest = divmod(degrees, 90)
    if rest:
        left_out = (Note.of("turn_left_out", degrees=degrees),)
        return mirrored, 0, (*left_out, *_mirror_note(mirrored, 0))
    if turns and not mirrored:
        return False, turns, (Note.of("set_upright", degrees=degrees),)
    return mirrored, turns, _mirror_note(mirrored, turns)


def _mirror_note(mirrored: bool, turns: int) -> tuple[Note, ...]:
    ways = ("left to right", "along its diagonal", "top to bottom", "along its other diagonal")
    return (Note.of("mirrored", way=ways[turns]),) if mirrored else ()


def _light(frames: Sequence[Any]) -> Mapping[str, float]:
    """cd/m2 that the file names (of FFmpeg's AVContentLightMetadata and AVMasteringDisplayMetadata)."""
    named = {}
    for frame in frames:
        content = frame.side_data.get("CONTENT_LIGHT_LEVEL")
        if content is not None:
            named["content"] = float(struct.unpack("=I", bytes(content)[:4])[0])
        screen = frame.side_data.get("MASTERING_DISPLAY_METADATA")
        if screen is not None and len(bytes(screen)) >= 88:
            most, per, _, known = struct.unpack("=4i", bytes(screen)[72:88])
            if known and per:
                named["screen"] = most / per
    return named


def _has_alpha(frame: Any) -> bool:
    return any(component.is_alpha for component in frame.format.components)


def _transparent(frame: Any) -> bool:
    return _has_alpha(frame) and bool((frame.to_ndarray(format="rgba")[..., 3] < 255).any())


def _rgb(frame: Any, colours: Colours | None) -> np.ndarray:
    """[H, W, 3] uint8, as the frame lies; what is transparent shows black."""
    matrix = _matrix(frame)
    alpha = None
    if _has_alpha(frame):
        alpha = frame.to_ndarray(format="rgba", interpolation=_TRUE_COLORS, **matrix)
        if colours is None:
            return _over_black(alpha[..., :3], alpha[..., 3])
    if colours is None:
        return frame.to_ndarray(format="rgb24", interpolation=_TRUE_COLORS, **matrix)
    picture = to_bt709(_twelve_bit_rgb(frame), colours)
    return picture if alpha is None else _over_black(picture, alpha[..., 3])


def _twelve_bit_rgb(frame: Any) -> np.ndarray:
    """[H, W, 3] uint16, codes 0..4095; in numpy, as FFmpeg 8 goes wrong from 4:2:0 to 16-bit RGB."""
    import cv2  # here, so that the room itself loads with torch alone

    if frame.format.is_rgb:
        return frame.to_ndarray(format="rgb48le", interpolation=_TRUE_COLORS) >> 4
    luma_and_chroma = frame.to_ndarray(format="yuv444p16le", interpolation=_TRUE_COLORS).astype(np.float32)
    red, blue = _WEIGHTS[_matrix_number(frame)]
    green = 1 - red - blue
    to_rgb = np.array(
        [
            [1, 0, 2 * (1 - red)],
            [1, -2 * (1 - blue) * blue / green, -2 * (1 - red) * red / green],
            [1, 2 * (1 - blue), 0],
        ]
    )
    black, height, breadth = (0, 65535, 65535) if _full_range(frame) else (16 * 256, 219 * 256, 224 * 256)
    scaled = 4095 * to_rgb / np.array([height, breadth, breadth])
    shift = scaled @ -np.array([black, 32768, 32768])
    rgb = cv2.transform(luma_and_chroma, np.column_stack([scaled, shift]).astype(np.float32))
    return np.clip(np.rint(rgb), 0, 4095).astype(np.uint16)


def _over_black(picture: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return ((picture.astype(np.uint16) * alpha[..., None] + 127) // 255).astype(np.uint8)


def _matrix(frame: Any) -> dict[str, int]:
    """What FFmpeg must be told of the matrix and the range of a frame, on its way to RGB."""
    if frame.format.is_rgb or frame.format.name.startswith(("gray", "ya", "mono", "pal")):
        return {}
    number = _matrix_number(frame)
    return {
        "src_colorspace": number,
        # PyAV 14 minds the matrix, and the range of the frame, only where the two differ; RGB has no matrix anyway.
        "dst_colorspace": _REC_601 if number != _REC_601 else _REC_709,
        "src_color_range": _FULL_RANGE if _full_range(frame) else _LIMITED_RANGE,
        "dst_color_range": _FULL_RANGE,
    }


def _full_range(frame: Any) -> bool:
    return frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")


def _matrix_number(frame: Any) -> int:
    """Untagged pictures of HD size are Rec. 709 by every player's convention; FFmpeg alone would take Rec. 601."""
    if frame.colorspace == 10:
        return _REC_2020  # of constant luminance, to which it is the nearest
    if frame.colorspace in _WEIGHTS:
        return frame.colorspace
    return _REC_709 if max(frame.width, frame.height) >= _HD_SIDE else _REC_601
