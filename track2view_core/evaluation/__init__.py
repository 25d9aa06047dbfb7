"""How good is a result: camera errors, picture scores, and the baselines that need no model."""

from .camera_fit import CameraFit, CameraFitter, CountedErrors, counted_errors
from .intervals import Interval, bootstrap_interval, mean_interval, paired_interval, t_interval
from .pictures import gradient_energy, psnr, ssim
from .poses import CamI2VErrors, cami2v_errors, rotation_error, translation_error
from .splatting import splat_points
from .tracker_scores import PathScores, path_scores

__all__ = [
    "CamI2VErrors",
    "CameraFit",
    "CameraFitter",
    "CountedErrors",
    "Interval",
    "PathScores",
    "bootstrap_interval",
    "cami2v_errors",
    "counted_errors",
    "gradient_energy",
    "mean_interval",
    "paired_interval",
    "path_scores",
    "psnr",
    "rotation_error",
    "splat_points",
    "ssim",
    "t_interval",
    "translation_error",
]
