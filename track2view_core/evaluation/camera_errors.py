"""Errors between two camera paths: relative to their own frames 0 (RotErr, TransErr), or after alignment (ATE, RPE)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..cameras import CameraPath
from ..errors import Track2ViewError

STILL_EXTENT = 1e-6  # a path that moves less than this has no translation to compare with
_EPS = 1e-12


def rotation_error(estimated: CameraPath | Tensor, reference: CameraPath | Tensor) -> Tensor:
    """Angle between the two relative rotations of every frame, in degrees.

    Taken from the chord |R_est - R_ref|_F = 2 sqrt(2) sin(angle / 2), which stays exact for tiny angles, where the
    arccos of the trace does not.

    Args:
        estimated: a path, or world_from_camera [T, 4, 4].
        reference: the same for the true path.

    Returns:
        [T] float64 degrees; frame 0 is 0 by definition, so means are over frames 1..T-1.
    """
    own, true = _relative_pair(estimated, reference)
    chord = (own[:, :3, :3] - true[:, :3, :3]).norm(dim=(-2, -1))
    return torch.rad2deg(2 * torch.asin((chord / (2 * math.sqrt(2))).clamp(max=1)))


def translation_error(
    estimated: CameraPath | Tensor,
    reference: CameraPath | Tensor,
    scale: str = "fit",
    *,
    measured: Tensor | None = None,
) -> Tensor:
    """Distance between the two relative positions of every frame, as a share of the true path's extent max|t_ref|.

    Args:
        estimated: a path, or world_from_camera [T, 4, 4].
        reference: the same for the true path.
        scale: "fit" multiplies the estimated positions by s = max(0, sum <t_est, t_ref> / sum <t_est, t_est>), for
            estimates of unknown scale; "none" compares them as they are.
        measured: [T] bool, the frames whose estimates take part in that fit; all of them by default.

    Returns:
        [T] float64; NaN everywhere when the true path does not move, which must be reported apart, never averaged in.
    """
    if scale not in ("fit", "none"):
        raise Track2ViewError(f"scale is {scale!r}; it must be 'fit' or 'none'.")
    own, true = _relative_pair(estimated, reference)
    est, ref = own[:, :3, 3], true[:, :3, 3]
    extent = path_extent(true)
    if extent < STILL_EXTENT:
        return torch.full_like(est[:, 0], math.nan)
    if scale == "fit":
        est = est * fitted_scale(own, true, measured=measured)
    return (est - ref).norm(dim=-1) / extent


def fitted_scale(
    estimated: CameraPath | Tensor, reference: CameraPath | Tensor, *, measured: Tensor | None = None
) -> float:
    """The s >= 0 of `translation_error`, by which estimated positions come nearest to the true ones; 0: there is none.

    measured: [T] bool, the frames that take part; all of them by default.
    """
    own, true = _relative_pair(estimated, reference)
    used = torch.ones(len(own), dtype=torch.bool) if measured is None else measured.bool().cpu()
    est, ref = own[used, :3, 3], true[used, :3, 3]
    return float(((est * ref).sum() / (est * est).sum().clamp(min=_EPS)).clamp(min=0))


@dataclass(frozen=True)
class CamI2VErrors:
    """CamI2V's sums over all frames, under that code's own names, for comparison with papers that quote it."""

    rot_err: float  # radians
    trans_err: float  # TransErr_rel: both paths divided by their own greatest distance from frame 0
    cam_mc: float  # CamMC_rel: the same of rotation and translation together, entry by entry


def cami2v_errors(estimated: CameraPath | Tensor, reference: CameraPath | Tensor) -> CamI2VErrors:
    """RotErr, TransErr_rel and CamMC_rel as CamI2V's evaluation code sums them.

    They grow with the number of frames, and a still path keeps its noise: each path is divided by its own greatest
    distance, so that neither the scale nor, for a still one, the amount of motion is compared.
    """
    estimated, reference = _relative_pair(estimated, reference)
    angle = torch.deg2rad(rotation_error(estimated, reference)).sum()
    own, true = (_divided_by_its_own_extent(poses) for poses in (estimated, reference))
    apart = (own - true)[:, :3]
    return CamI2VErrors(
        float(angle), float(apart[:, :, 3].norm(dim=-1).sum()), float(apart.flatten(1).norm(dim=1).sum())
    )


def _divided_by_its_own_extent(poses: Tensor) -> Tensor:
    scaled = poses.clone()
    scaled[:, :3, 3] /= poses[:, :3, 3].norm(dim=-1).max() + 1e-9
    return scaled


def path_extent(path: CameraPath | Tensor) -> float:
    """max|t| of the path's positions relative to its frame 0: the unit of `translation_error`."""
    return float(_relative_poses(path)[:, :3, 3].norm(dim=-1).max())


def _relative_pair(estimated: CameraPath | Tensor, reference: CameraPath | Tensor) -> tuple[Tensor, Tensor]:
    first, second = _relative_poses(estimated), _relative_poses(reference)
    if len(first) != len(second):
        raise Track2ViewError(
            f"The estimated path has {len(first)} frames and the reference {len(second)}; give paths of one length."
        )
    return first, second


def _relative_poses(path: CameraPath | Tensor) -> Tensor:
    """[T, 4, 4] float64: inverse(world_from_camera[0]) @ world_from_camera[t]."""
    poses = path.world_from_camera if isinstance(path, CameraPath) else path
    if poses.dim() != 3 or poses.shape[1:] != (4, 4) or not len(poses):
        raise Track2ViewError(
            f"The camera poses have shape {tuple(poses.shape)}; give world_from_camera [T, 4, 4] of at least one frame."
        )
    poses = poses.detach().cpu().double()
    return torch.linalg.inv(poses[:1]) @ poses


@dataclass(frozen=True)
class PathScores:
    """After the best similarity transform. Lengths as shares of the true path's length, nan where it stands still."""

    ate: float  # root mean square distance of the camera centres
    rpe: float  # root mean square error of the step from frame to frame
    rpe_degrees: float  # the same of its rotation, in degrees


def similarity_fit(start: Tensor, goal: Tensor) -> tuple[float, Tensor, Tensor]:
    """Scale, rotation [3, 3] and shift [3] with goal = scale * rotation @ start + shift for points [n, 3] (Umeyama)."""
    start, goal = start.double(), goal.double()
    middle, target = start.mean(0), goal.mean(0)
    u, size, vt = torch.linalg.svd((goal - target).T @ (start - middle))
    sign = torch.ones(3, dtype=torch.float64)
    sign[2] = torch.sign(torch.linalg.det(u @ vt))
    rotation = u @ torch.diag(sign) @ vt
    scale = float((size * sign).sum() / (start - middle).square().sum().clamp_min(1e-24))
    return scale, rotation, target - scale * rotation @ middle


def path_scores(estimated: CameraPath | Tensor, reference: CameraPath | Tensor) -> PathScores:
    """Absolute and relative errors of world_from_camera [T, 4, 4], whatever world and scale the estimate is in."""
    own, true = (
        (path.world_from_camera if isinstance(path, CameraPath) else path).double() for path in (estimated, reference)
    )
    if own.shape != true.shape:
        raise Track2ViewError(
            f"The estimated path has {len(own)} frames and the reference {len(true)}; give paths of one length."
        )
    scale, rotation, shift = similarity_fit(own[:, :3, 3], true[:, :3, 3])
    moved = own.clone()
    moved[:, :3, :3], moved[:, :3, 3] = rotation @ own[:, :3, :3], scale * own[:, :3, 3] @ rotation.T + shift
    steps, true_steps = (torch.linalg.inv(path[:-1]) @ path[1:] for path in (moved, true))
    between = torch.linalg.inv(true_steps) @ steps
    chord = (between[:, :3, :3] - torch.eye(3, dtype=torch.float64)).norm(dim=(1, 2)) / (2 * math.sqrt(2))
    turns = torch.rad2deg(2 * torch.asin(chord.clamp(max=1)))
    length = float((true[1:, :3, 3] - true[:-1, :3, 3]).norm(dim=-1).sum())
    share = length if length > STILL_EXTENT else math.nan
    return PathScores(
        ate=_root_mean_square((moved - true)[:, :3, 3].norm(dim=-1)) / share,
        rpe=_root_mean_square(between[:, :3, 3].norm(dim=-1)) / share,
        rpe_degrees=_root_mean_square(turns),
    )


def _root_mean_square(values: Tensor) -> float:
    return float(values.square().mean().sqrt()) if len(values) else 0.0
