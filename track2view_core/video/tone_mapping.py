"""High dynamic range and wide colour gamuts into BT.709, as a player shows them on an ordinary screen.

Sources: ITU-R BT.2100-2 (PQ, HLG with its OOTF), ITU-R BT.2390-10 section 5.4 (the curve that rolls highlights off),
ITU-R BT.2408-5 (203 cd/m2 as the white of a BT.709 picture), ITU-R BT.1886 (the screen's gamma of 2.4), ITU-R BT.2087-0
(the way from BT.2020 to BT.709 through linear light).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

# The numbers of ITU-T H.273.
PQ, HLG = 16, 18
BT_2020, DISPLAY_P3 = 9, 12
_SDR_TRANSFERS = (1, 2, 6, 14, 15)  # BT.709, not named, BT.601, BT.2020 of 10 and 12 bits: one curve, but for rounding
_CHROMATICITIES: Mapping[int, tuple[tuple[float, float], ...]] = {  # x, y of red, green, blue; white is D65
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    BT_2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    DISPLAY_P3: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
_D65 = (0.3127, 0.3290)

SDR_WHITE = 203.0
"""cd/m2 that BT.709 white stands for: the reference white of BT.2408, that of a caption or of paper in HDR."""
HLG_PEAK = 1000.0
"""cd/m2 of the screen that HLG is defined on; its gamma is 1.2 there."""
USUAL_PEAK = 1000.0
"""cd/m2 to which a PQ clip is taken to go where it does not say."""
_GAMMA = 2.4
_STEPS = 4096  # of all tables, and codes of a picture


@dataclass(frozen=True)
class Colours:
    """What the numbers of a clip's pictures stand for."""

    transfer: int
    primaries: int
    peak: float = USUAL_PEAK
    """cd/m2 of its brightest pixels; of PQ only."""

    @property
    def hdr(self) -> bool:
        return self.transfer in (PQ, HLG)

    @property
    def name(self) -> str:
        return {PQ: "PQ", HLG: "HLG"}[self.transfer] if self.hdr else self.gamut

    @property
    def gamut(self) -> str:
        return {BT_2020: "BT.2020", DISPLAY_P3: "P3"}.get(self.primaries, "BT.709")


def special_colours(transfer: int | None, primaries: int | None, light: Mapping[str, float]) -> Colours | None:
    """The colours of a clip by the numbers of H.273; None where its pictures are BT.709 or near it.

    light: cd/m2 that the file names, as `content` (its brightest pixel) and `screen` (that it was graded on).
    """
    wide = primaries if primaries in (BT_2020, DISPLAY_P3) else None
    if transfer == PQ:
        # A pixel brighter than the grading screen could show was never seen; 0 stands for "not known".
        named = [level for level in light.values() if level > SDR_WHITE]
        return Colours(PQ, wide or BT_2020, min(10_000.0, *named) if named else USUAL_PEAK)
    if transfer == HLG:
        return Colours(HLG, wide or BT_2020, HLG_PEAK)
    if wide is not None and transfer in _SDR_TRANSFERS:
        return Colours(1, wide)
    return None


def to_bt709(codes: np.ndarray, colours: Colours) -> np.ndarray:
    """A picture [H, W, 3] of RGB codes 0..4095 in `colours` as 8-bit BT.709, [H, W, 3] uint8.

    The brightest of a pixel's three lights is rolled off, and the others with it, so that no hue turns. What BT.709
    cannot show of a wide gamut is clipped.
    """
    import cv2  # here, so that the room itself loads with torch alone

    light = _light_of_codes(colours.transfer)[codes]
    if colours.transfer == HLG:
        luminance = cv2.transform(light, _luminance(colours.primaries))
        light *= np.power(luminance, 0.2)[..., None]  # the OOTF, gamma 1.2 less 1
    if colours.hdr:
        brightest = light.max(axis=2)
        curve = _roll_off(colours.peak)
        at = np.minimum(np.sqrt(brightest * (1 / colours.peak)), 1) * (_STEPS - 1)
        light *= curve[np.rint(at).astype(np.int32)][..., None]
    light = cv2.transform(light, _to_bt709_matrix(colours.primaries))
    np.clip(light, 0, 1, out=light)
    return _codes_of_light()[np.rint(np.sqrt(light) * (_STEPS - 1)).astype(np.int32)]


@cache
def _light_of_codes(transfer: int) -> np.ndarray:
    """Light for each of 4096 codes: cd/m2 for PQ, of the scene for HLG in (cd/m2)^(1/1.2), a share of white for SDR."""
    code = np.arange(_STEPS) / (_STEPS - 1)
    if transfer == PQ:
        light = pq_light(code)
    elif transfer == HLG:
        light = HLG_PEAK ** (1 / 1.2) * hlg_scene_light(code)
    else:
        light = code**_GAMMA
    return light.astype(np.float32)


def pq_light(code: np.ndarray | float) -> np.ndarray:
    """cd/m2 of a code 0..1 (BT.2100-2, table 4)."""
    root = np.power(code, 1 / 78.84375)
    return 10_000 * np.power(np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root), 1 / 0.1593017578125)


def pq_code(light: np.ndarray | float) -> np.ndarray:
    """The code 0..1 of light in cd/m2: the inverse of `pq_light`."""
    power = np.power(np.asarray(light) / 10_000, 0.1593017578125)
    return np.power((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power), 78.84375)


def hlg_scene_light(code: np.ndarray) -> np.ndarray:
    """Light of the scene, 0..1, of a code 0..1 (BT.2100-2, table 5)."""
    a, b = 0.17883277, 0.28466892
    c = 0.5 - a * np.log(4 * a)
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)


def rolled_off(light: np.ndarray, peak: float) -> np.ndarray:
    """Light in cd/m2 up to `peak` brought under `SDR_WHITE` (BT.2390-10, 5.4.1); the darker part stays as it is."""
    white = float(pq_code(peak))
    target = float(pq_code(SDR_WHITE)) / white
    knee = 1.5 * target - 0.5
    code = np.clip(pq_code(light) / white, 0, 1)
    t = np.clip((code - knee) / (1 - knee), 0, 1)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * target
    return pq_light(np.where(code < knee, code, spline) * white)


@cache
def _roll_off(peak: float) -> np.ndarray:
    """For light of `peak` times (k / 4095)^2: by what to multiply it, so that 1 is BT.709 white."""
    light = np.maximum(peak * (np.arange(_STEPS) / (_STEPS - 1)) ** 2, 1e-6)
    return (rolled_off(light, peak) / light / SDR_WHITE).astype(np.float32)


@cache
def _codes_of_light() -> np.ndarray:
    """The 8-bit code of a share of white of (k / 4095)^2 on a screen of gamma 2.4."""
    return np.rint(255 * (np.arange(_STEPS) / (_STEPS - 1)) ** (2 / _GAMMA)).astype(np.uint8)


@cache
def _to_bt709_matrix(primaries: int) -> np.ndarray:
    """[3, 3] from linear RGB of `primaries` to linear RGB of BT.709."""
    return (np.linalg.inv(_xyz_of_rgb(1)) @ _xyz_of_rgb(primaries)).astype(np.float32)


@cache
def _luminance(primaries: int) -> np.ndarray:
    """[1, 3] that linear RGB is weighted with to its luminance."""
    return _xyz_of_rgb(primaries)[1:2].astype(np.float32)


def _xyz_of_rgb(primaries: int) -> np.ndarray:
    """[3, 3] from linear RGB to CIE XYZ, of white (1, 1, 1) with a luminance of 1 (SMPTE RP 177)."""
    corners = np.array([[x / y, 1, (1 - x - y) / y] for x, y in _CHROMATICITIES.get(primaries, _CHROMATICITIES[1])]).T
    x, y = _D65
    return corners * np.linalg.solve(corners, np.array([x / y, 1, (1 - x - y) / y]))
