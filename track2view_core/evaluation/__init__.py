"""How good is a result: camera errors, picture scores, and the baselines that need no model.

The functions here take tensors. Runs of files are read by `runs`, scored by `scoring` and told by `report`.
"""

from .camera_errors import CamI2VErrors, PathScores, cami2v_errors, path_scores, rotation_error, translation_error
from .camera_fit import CameraFit, CameraFitter, CountedErrors, counted_errors
from .clip_scores import clip_f, clip_t, clip_v, load_clip
from .confidence_intervals import Interval, bootstrap_interval, mean_interval, paired_interval, t_interval
from .fid import FeatureStatistics, frechet_distance, load_inception
from .lpips import load_lpips
from .picture_scores import gradient_energy, psnr, ssim
from .pixel_matching import load_matcher, matched_pixels
from .splat_baseline import splat_points
from .tracker_scores import PointScores, point_scores

__all__ = [
    "CamI2VErrors",
    "CameraFit",
    "CameraFitter",
    "CountedErrors",
    "FeatureStatistics",
    "Interval",
    "PathScores",
    "PointScores",
    "bootstrap_interval",
    "cami2v_errors",
    "clip_f",
    "clip_t",
    "clip_v",
    "counted_errors",
    "frechet_distance",
    "gradient_energy",
    "load_clip",
    "load_inception",
    "load_lpips",
    "load_matcher",
    "matched_pixels",
    "mean_interval",
    "paired_interval",
    "path_scores",
    "point_scores",
    "psnr",
    "rotation_error",
    "splat_points",
    "ssim",
    "t_interval",
    "translation_error",
]
