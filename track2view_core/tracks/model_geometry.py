"""Depth as other nodes pass it along: DA3_GEOMETRY, MOGE_GEOMETRY and pictures of depth, as one kind of thing.

DA3_GEOMETRY (core's Depth Anything 3): `depth` [B, H, W] camera z, `image`, `mode`; `sky` [B, H, W] from some models;
from several views at once also `extrinsics` [1, B, 3, 4] world-to-camera and `intrinsics` [1, B, 3, 3] in pixels of the
picture the model worked on, whose centre is their principal point. `depth` may come at another size than that picture.
MOGE_GEOMETRY (core's MoGe): `points` [B, H, W, 3] and `depth` [B, H, W], infinite outside `mask`; `intrinsics`
[B, 3, 3] in shares of the width and height. Every frame has a scale of its own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from ..cameras import CameraPath
from ..cameras.formats import path_from_geometry
from ..errors import Track2ViewError

DepthKind = Literal["near is bright", "far is bright", "near is bright, metric", "far is bright, metric"]
DEPTH_KINDS: tuple[DepthKind, ...] = get_args(DepthKind)
SKY = 0.5
BLACK = 0.05  # of relative pictures: what keeps 1 / gray finite; the tracker fits the offset away


@dataclass(frozen=True, eq=False)
class Geometry:
    """Depth of a clip, and what its model says about the camera."""

    depth: Tensor  # [T, h, w] float32 camera z, any scale; NaN where nothing is known
    fov_degrees: float | None = None  # horizontal
    camera: CameraPath | None = None  # in the model's own world and units, which are those of the depth

    def cropped(self, content: tuple[int, int, int, int], size: tuple[int, int], frames: int) -> Geometry:
        """The part of padded pictures that shows the clip.

        Args:
            content: (left, top, width, height) in pixels of the padded pictures.
            size: (width, height) of these.
            frames: how many of them, from the first, are the clip's.
        """
        left, top, width, height = content
        rows, columns = self.depth.shape[1:]
        across, down = columns / size[0], rows / size[1]
        depth = self.depth[
            :frames,
            round(top * down) : max(round(top * down) + 1, round((top + height) * down)),
            round(left * across) : max(round(left * across) + 1, round((left + width) * across)),
        ]
        fov = self.fov_degrees
        if fov is not None:
            fov = 2 * math.degrees(math.atan(math.tan(math.radians(fov) / 2) * width / size[0]))
        camera = self.camera
        if camera is not None:
            lens = camera.resized(*size).intrinsics[:frames].clone()
            lens[:, 0, 2] -= left
            lens[:, 1, 2] -= top
            poses = camera.world_from_camera[:frames]
            camera = replace(camera, world_from_camera=poses, intrinsics=lens, width=width, height=height)
        return Geometry(depth, fov, camera)


def geometry_from_da3(told: object, *, frames: int, width: int, height: int, fps: float = 16.0) -> Geometry:
    """What a DA3_GEOMETRY says of a clip of `frames` pictures of `width` x `height`.

    Raises:
        Track2ViewError: it is of another length or shape, holds no depth, or broken cameras.
    """
    name = "DA3_GEOMETRY"
    parts = _mapping(told, name)
    depth = _depth(parts.get("depth"), name, frames, width, height)
    sky = parts.get("sky")
    if sky is not None and torch.as_tensor(sky).numel() == depth.numel():
        depth = depth.masked_fill(torch.as_tensor(sky).reshape(depth.shape).to("cpu") > SKY, torch.nan)
    if parts.get("extrinsics") is None or parts.get("intrinsics") is None:
        return Geometry(depth)
    camera = path_from_matrices(
        parts["extrinsics"], parts["intrinsics"], width=width, height=height, fps=fps, name=name
    )
    if len(camera) != frames:
        raise Track2ViewError(
            f"{name} has {len(camera)} cameras and the clip {frames} frames; give it the same frames."
        )
    return Geometry(depth, _fov(camera.intrinsics[:, 0, 0] / width), camera.relative_to_first())


def path_from_matrices(
    extrinsics: object,  # [T, 3 or 4, 4] world-to-camera, alone or behind an axis of 1
    intrinsics: object,  # [T or 1, 3, 3] pixels of a picture whose middle is the principal point
    *,
    width: int,
    height: int,
    fps: float,
    name: str = "EXTRINSICS",
) -> CameraPath:
    """The path of EXTRINSICS and INTRINSICS, or of the same two inside `name`, in its own world and units.

    Raises:
        Track2ViewError: other shapes, NaN, or matrices that are no cameras.
    """
    poses, lenses = (
        _matrices(extrinsics, name),
        _matrices(intrinsics, f"{name} intrinsics" if name != "EXTRINSICS" else "INTRINSICS"),
    )
    if poses.shape[-2:] not in ((3, 4), (4, 4)) or lenses.shape[-2:] != (3, 3):
        raise Track2ViewError(
            f"{name} has matrices of {list(poses.shape[-2:])} and intrinsics of {list(lenses.shape[-2:])}; they must "
            "be [frames, 3 or 4, 4] and [frames, 3, 3]."
        )
    poses, lenses = poses.reshape(-1, *poses.shape[-2:])[:, :3], lenses.reshape(-1, 3, 3)
    lenses = lenses.expand(len(poses), 3, 3) if len(lenses) == 1 else lenses
    if len(lenses) != len(poses):
        raise Track2ViewError(f"{name} has {len(poses)} poses and {len(lenses)} intrinsics; give one of each a frame.")
    middle = lenses[:, :2, 2]
    if not bool((middle > 0).all()):
        raise Track2ViewError(f"{name} has intrinsics without a principal point; give them in pixels.")
    # The picture that the lenses belong to is twice their principal point, whatever size the depth maps have.
    share = torch.stack([width / (2 * middle[:, 0]), height / (2 * middle[:, 1]), torch.ones(len(lenses))], -1)
    told = {
        "extrinsics": poses,
        "intrinsics": lenses * share.to(lenses.dtype)[..., None],
        "depth": torch.empty(1, height, width, device="meta"),
    }
    return path_from_geometry(told, width=width, height=height, fps=fps)


def geometry_from_moge(told: object, *, frames: int, width: int, height: int) -> Geometry:
    """What a MOGE_GEOMETRY says of a clip of `frames` pictures of `width` x `height`; a panorama has no field of view.

    Raises:
        Track2ViewError: it is of another length or shape, or holds neither depth nor points.
    """
    name = "MOGE_GEOMETRY"
    parts = _mapping(told, name)
    depth = parts.get("depth")
    if depth is None and parts.get("points") is not None:
        depth = torch.as_tensor(parts["points"])[..., 2]
    depth = _depth(depth, name, frames, width, height)
    mask = parts.get("mask")
    if mask is not None:
        mask = torch.as_tensor(mask).detach().to("cpu")
        if mask.numel() != depth.numel():
            raise Track2ViewError(
                f"{name} has a mask of shape {list(mask.shape)} beside depth {list(depth.shape)}; run the model again."
            )
        depth = depth.masked_fill(mask.reshape(depth.shape) <= 0.5, torch.nan)
    if parts.get("intrinsics") is None:
        return Geometry(depth)
    focal = torch.as_tensor(parts["intrinsics"]).detach().to("cpu", torch.float64).reshape(-1, 3, 3)[:, 0, 0]
    focal = focal[focal.isfinite() & (focal > 0)]
    return Geometry(depth, _fov(focal) if len(focal) else None)


def geometry_from_pictures(
    gray: Tensor,  # [T, h, w] 0..1
    kind: str,
    *,
    near: float = 0.0,
    far: float = 0.0,
) -> Geometry:
    """Depth that came as pictures.

    Relative kinds are known up to scale and offset. Metric ones run from `near` to `far`, evenly in depth where far is
    bright, evenly in 1 / depth (disparity) where near is bright.

    Raises:
        Track2ViewError: an unknown kind, or a metric one without 0 < near < far.
    """
    if kind not in DEPTH_KINDS:
        raise Track2ViewError(f"depth_is is {kind!r}; it must be one of {', '.join(DEPTH_KINDS)}.")
    gray = gray.detach().to("cpu", torch.float32)
    if kind == "near is bright":
        depth = 1 / (gray + BLACK)
    elif kind == "far is bright":
        depth = gray + 1e-3
    else:
        if not 0 < near < far or not math.isfinite(far):
            raise Track2ViewError(
                f"depth_near is {near:g} and depth_far {far:g} for depth that is metric; set the distances that the "
                "depth images begin and end with, 0 < depth_near < depth_far."
            )
        even = near + (far - near) * gray
        depth = even if kind.startswith("far") else 1 / (1 / far + (1 / near - 1 / far) * gray)
    return Geometry(_known(depth))


def _mapping(told: object, name: str) -> Mapping[str, Any]:
    if not isinstance(told, Mapping):
        raise Track2ViewError(f"{name} is {type(told).__name__}; link the geometry output of its model's node.")
    return told


def _matrices(value: Any, name: str) -> Tensor:
    """Float64 on the CPU, of a tensor, an array, lists, or their JSON."""
    try:
        value = json.loads(value) if isinstance(value, str) else value
        matrices = torch.as_tensor(np.asarray(value.cpu() if isinstance(value, Tensor) else value, dtype=np.float64))
    except (TypeError, ValueError, RuntimeError) as error:
        raise Track2ViewError(f"{name} holds no matrices; link the output of a node that finds cameras.") from error
    if matrices.ndim < 2 or 0 in matrices.shape:
        raise Track2ViewError(f"{name} has shape {list(matrices.shape)}; it must be one matrix a frame.")
    return matrices


def _depth(value: Any, name: str, frames: int, width: int, height: int) -> Tensor:
    """`[T, h, w]` float32 on the CPU, NaN where nothing is known, of the clip's length and shape."""
    if value is None:
        raise Track2ViewError(f"{name} holds no depth; run its model's node again.")
    depth = torch.as_tensor(value).detach()
    depth = depth.squeeze(-1) if depth.ndim == 4 and depth.shape[-1] == 1 else depth
    depth = depth[0] if depth.ndim == 4 and len(depth) == 1 else depth
    if depth.ndim != 3 or 0 in depth.shape:
        raise Track2ViewError(f"{name} has depth of shape {list(depth.shape)}; it must be [frames, height, width].")
    if len(depth) != frames:
        raise Track2ViewError(
            f"{name} has depth of {len(depth)} frames and the clip {frames}; run its model on the same frames."
        )
    rows, columns = depth.shape[1:]
    if abs(columns * height / (rows * width) - 1) > 0.05:
        raise Track2ViewError(
            f"{name} has depth of {columns} x {rows} and the clip is {width} x {height}, another shape; run its model "
            "on the same frames, uncropped."
        )
    return _known(depth.to("cpu", torch.float32))


def _known(depth: Tensor) -> Tensor:
    return torch.where(depth.isfinite() & (depth > 0), depth, torch.nan)


def _fov(focal: Tensor) -> float:
    """Degrees of the median focal length `[any]` in widths."""
    return math.degrees(2 * math.atan(0.5 / float(focal.median())))
