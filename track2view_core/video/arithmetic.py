"""The numbers a WAN model asks of a clip: 4n + 1 frames, sides in multiples of 16, exact frame rates."""

from __future__ import annotations

import math
from fractions import Fraction

from ..errors import Track2ViewError

FRAME_STRIDE = 4
SIZE_STRIDE = 16

STANDARD_RATES = tuple(
    Fraction(rate) for rate in (1, 2, 5, 6, 8, 10, 12, 15, 16, 18, 20, 24, 25, 30, 48, 50, 60, 90, 100, 120, 240)
) + tuple(Fraction(rate * 1000, 1001) for rate in (12, 15, 24, 30, 48, 60, 120, 240))

_LARGEST_TERM = 1_000_000_000  # media files hold a rate as two 32-bit integers


def model_frames(frames: int) -> int:
    """The shortest length 4n + 1 that holds `frames` video frames."""
    if frames < 1:
        raise Track2ViewError(f"A clip of {frames} frames came; it must have at least one.")
    return math.ceil((frames - 1) / FRAME_STRIDE) * FRAME_STRIDE + 1


def latent_frames(frames: int) -> int:
    """The number of latent frames n + 1 of a clip of 4n + 1 video frames."""
    if frames < 1 or (frames - 1) % FRAME_STRIDE:
        raise Track2ViewError(
            f"The clip has {frames} frames, but WAN takes 4n + 1 (1, 5, 9, ..., 81); run it through Prepare Clip."
        )
    return (frames - 1) // FRAME_STRIDE + 1


def model_side(pixels: int) -> int:
    """The smallest multiple of 16 that holds `pixels`."""
    if pixels < 1:
        raise Track2ViewError(f"A side of {pixels} pixels came; it must have at least one.")
    return math.ceil(pixels / SIZE_STRIDE) * SIZE_STRIDE


def fit_inside(width: int, height: int, box_width: int, box_height: int) -> tuple[int, int]:
    """(width, height) of a `width` x `height` px picture scaled to the largest that fits the box, aspect kept.

    A box that lies where the picture stands (or the other way round) is turned first, so that one setting serves both.
    """
    for name, value in (("width", box_width), ("height", box_height)):
        if value < SIZE_STRIDE:
            raise Track2ViewError(f"The {name} to work at is {value}; it must be {SIZE_STRIDE} pixels or more.")
    if (width > height and box_width < box_height) or (width < height and box_width > box_height):
        box_width, box_height = box_height, box_width
    if box_width * height <= box_height * width:
        return box_width, _rounded(height * box_width, width, box_height)
    return _rounded(width * box_height, height, box_width), box_height


def square_size(width: int, height: int, pixel_aspect: Fraction) -> tuple[int, int]:
    """(width, height) that shows the same in square pixels as in pixels `pixel_aspect` times as wide as high."""
    return max(1, round(width * pixel_aspect)), height


def _rounded(numerator: int, denominator: int, limit: int) -> int:
    return min(limit, max(1, (2 * numerator + denominator) // (2 * denominator)))


def frame_rate(value: float | Fraction | int) -> Fraction:
    """An exact rate from whatever a user or a socket holds: 29.97 is 30000/1001, 23.976 is 24000/1001, 25.0 is 25."""
    rate = Fraction(value) if math.isfinite(value) else Fraction(0)
    if rate <= 0:
        raise Track2ViewError(f"fps is {value}; it must be a finite number above 0 such as 24 or 29.97.")
    if isinstance(value, float):
        nearest = nearest_standard_rate(rate, 2e-4)  # 23.98, 23.976 and 29.97 are how people write the NTSC rates
        if nearest is not None:
            return nearest
        rate = rate.limit_denominator(1001)
    return storable_rate(rate)


def nearest_standard_rate(rate: Fraction, tolerance: float = 4e-4) -> Fraction | None:
    """The standard rate within `tolerance` (relative), or None; 24 and 24000/1001 lie 1e-3 apart."""
    nearest = min(STANDARD_RATES, key=lambda standard: abs(standard / rate - 1))
    return nearest if abs(nearest / rate - 1) <= tolerance else None


def storable_rate(rate: Fraction) -> Fraction:
    """`rate` itself, or the nearest fraction whose terms fit a media file."""
    if max(rate.numerator, rate.denominator) <= _LARGEST_TERM:
        return rate
    return rate.limit_denominator(max(1, int(_LARGEST_TERM / max(1, rate))))


def rate_in_words(rate: Fraction) -> str:
    """Frames a second for people to read: 29.97 for 30000/1001."""
    return f"{float(rate):.6g}"
