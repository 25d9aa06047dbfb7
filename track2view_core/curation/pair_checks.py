"""Whether two clips are a pair: they begin with one frame, and their cameras explain how the picture moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..cameras import CameraPath
from .clip_loading import PairRefused

SEAM_DIFFERENCE = 8.0
"""Mean absolute difference, of 255, that two encodings of one frame may have."""
SEAM_SHIFT = 0.002
CAMERA_LIMIT = 0.002
"""Shares of the longer side: how far points may lie apart in the two first frames, and from where cameras put them."""
LEAST_PIXELS = 0.5
"""Followed points err by less, also in clips so small that the shares above would ask for more."""
LONG_SIDE = 480
DENSITY = 300
FEWEST_POINTS, FEWEST_IN_A_FRAME = 24, 12
ROUNDS = 4


@dataclass(frozen=True, eq=False)
class Half:
    """One of the clips that begin at the seam."""

    name: str
    frames: Tensor  # [T, H, W, 3] uint8
    camera: CameraPath


def check_seam(source: Half, target: Half) -> None:
    """Refuse clips whose first frames are not the same picture."""
    from ..tracks.trackers.footage import gray_frames

    pictures = torch.stack([source.frames[0], target.frames[0]])
    apart = float((pictures[0].float() - pictures[1].float()).abs().mean())
    both = f"{source.name} and {target.name} do not begin with the same frame"
    if apart > SEAM_DIFFERENCE:
        raise PairRefused("first frames differ", f"{both}: their pictures differ by {apart:.1f} of 255 on average.")
    scale = _working_scale(pictures)
    gray = gray_frames(pictures.numpy(), scale)
    xy, seen = _followed(gray, 2)
    if seen[1].sum() < FEWEST_IN_A_FRAME:
        return  # too plain a picture to measure a shift in; the colours agree
    shift = float(np.median(np.linalg.norm(xy[1] - xy[0], axis=1)[seen[1]])) / scale
    if shift > max(LEAST_PIXELS, SEAM_SHIFT * max(pictures.shape[1:3])):
        raise PairRefused("first frames differ", f"{both}: the second is shifted by {shift:.1f} px.")


def check_cameras(halves: Sequence[Half]) -> None:
    """Refuse clips whose pictures move otherwise than their cameras say.

    Points of the seam are followed through every half, each is put where its viewing rays meet best (or infinitely far
    away, for cameras that only turn), and the median distance to where it was seen must be small in every frame:
    swapped cameras, another scene's file or a frame that is missing in one clip all show. Independent of the tracker.
    """
    from ..tracks.trackers.footage import gray_frames

    seam = halves[0].frames[:1]
    scale = _working_scale(seam)
    xy, seen, rays, centers, lenses, poses = [], [], [], [], [], []
    for half in halves:
        frames = torch.cat([seam, half.frames[1:]]).numpy()  # the very same first frame gives the very same points
        pixels, life = _followed(gray_frames(frames, scale), len(frames))
        xy.append(pixels / scale)
        seen.append(life)
    born = min(pixels.shape[1] for pixels in xy)
    for half, pixels in zip(halves, xy, strict=True):
        lens, pose = half.camera.intrinsics.numpy(), half.camera.world_from_camera.numpy()
        homogeneous = np.concatenate([pixels[:, :born], np.ones((*pixels[:, :born].shape[:2], 1))], -1)
        local = homogeneous @ np.linalg.inv(lens).transpose(0, 2, 1)
        world = local @ pose[:, :3, :3].transpose(0, 2, 1)
        rays.append(world / np.linalg.norm(world, axis=-1, keepdims=True))
        centers.append(pose[:, :3, 3])
        lenses.append(lens)
        poses.append(pose)
    names = " and ".join(dict.fromkeys(half.name for half in halves))
    life = np.concatenate([part[:, :born] for part in seen])
    if life[0].sum() < FEWEST_POINTS:
        raise PairRefused(
            "too few points to check the cameras",
            f"{names} shows only {int(life[0].sum())} points that can be followed, too few to check its cameras.",
        )
    error = reprojection_errors(
        np.concatenate([part[:, :born] for part in xy]),
        life,
        np.concatenate(rays),
        np.concatenate(centers),
        np.concatenate(lenses),
        np.concatenate(poses),
    )
    limit = max(LEAST_PIXELS, CAMERA_LIMIT * max(seam.shape[1:3]))
    frame = 0
    for half in halves:
        for t in range(len(half.frames)):
            in_frame = life[frame]
            if in_frame.sum() >= FEWEST_IN_A_FRAME and (apart := float(np.median(error[frame][in_frame]))) > limit:
                raise PairRefused(
                    "cameras disagree",
                    f"{names}: in frame {t} of {half.name} the points lie {apart:.1f} px from where the cameras put "
                    "them; the cameras are of another clip, or a frame is missing.",
                )
            frame += 1


def reprojection_errors(
    xy: np.ndarray,  # [V, N, 2] pixels, V views
    seen: np.ndarray,  # [V, N]
    rays: np.ndarray,  # [V, N, 3] world, unit
    centers: np.ndarray,  # [V, 3]
    lenses: np.ndarray,  # [V, 3, 3]
    poses: np.ndarray,  # [V, 4, 4] world_from_camera
) -> np.ndarray:
    """Pixels [V, N] between each sight and the point that explains all sights of a track best."""

    def placed(directions: np.ndarray) -> np.ndarray:
        """Errors of points at `directions` [V, N, 3] from each centre, world axes."""
        local = directions @ poses[:, :3, :3]
        pixel = local @ lenses.transpose(0, 2, 1)
        depth = pixel[..., 2]
        away = np.linalg.norm(pixel[..., :2] / np.where(depth > 1e-9, depth, 1.0)[..., None] - xy, axis=-1)
        return np.where(depth > 1e-9, away, 1e6)

    mean = (rays * seen[..., None]).sum(0)
    far = placed(np.broadcast_to(mean, rays.shape))
    across = np.eye(3) - rays[..., :, None] * rays[..., None, :]
    weight = seen.astype(np.float64)
    for _ in range(ROUNDS):
        normal = np.einsum("vn,vnij->nij", weight, across)
        right = np.einsum("vn,vnij,vj->ni", weight, across, centers)
        ridge = 1e-9 * np.einsum("nii->n", normal)[:, None, None] * np.eye(3) + 1e-12 * np.eye(3)
        point = np.linalg.solve(normal + ridge, right[..., None])[..., 0]
        offset = point[None] - centers[:, None]
        near = placed(offset)
        # Pixels, not lengths, count, and a few wrong sights must not pull the point.
        distance = np.maximum(np.linalg.norm(offset, axis=-1), 1e-9)
        weight = seen / distance**2 * np.minimum(1.0, 1.0 / np.maximum(near, 1e-9))
        weight /= np.maximum(weight.max(0), 1e-300)
    middle = [np.nanmedian(np.where(seen, error, np.nan), axis=0) for error in (near, far)]
    return np.where(middle[0] <= middle[1], near, far)


def _working_scale(frames: Tensor) -> float:
    return min(2.0, LONG_SIDE / max(frames.shape[1:3]))


def _followed(gray, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [T, N, 2] and life [T, N] of the points found in the first frame."""
    from ..tracks.trackers.flow import follow_points

    flow = follow_points(gray, frames, density=DENSITY)
    born = np.flatnonzero(flow.seen[0])
    return flow.xy[:, born], flow.seen[:, born]
