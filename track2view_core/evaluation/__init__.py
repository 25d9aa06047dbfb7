"""How good is a result: camera errors, picture scores, and the baselines that need no model."""

from .camera_fit import CameraFit, CameraFitter, CountedErrors, counted_errors
from .pictures import gradient_energy, psnr
from .poses import rotation_error, translation_error
from .splatting import splat_points

__all__ = [
    "CameraFit",
    "CameraFitter",
    "CountedErrors",
    "counted_errors",
    "gradient_energy",
    "psnr",
    "rotation_error",
    "splat_points",
    "translation_error",
]
