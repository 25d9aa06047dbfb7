"""Projection: the same world points as one camera sees them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import Track2ViewError
from .path import CameraPath

NEAR_DEPTH = 1e-6  # world units; nearer than this counts as behind the camera
FAR_PIXEL = 1e6  # xy is held within this, so that it stays finite, exact in float32 and castable to int


@dataclass(frozen=True, eq=False)
class ViewTracks:
    """N points over T frames in one view. Nothing here says that a point can be seen: it may stand behind another."""

    xy: Tensor  # [T, N, 2] float32, pixels; the centre of pixel (row i, column j) is (j + 0.5, i + 0.5)
    depth: Tensor  # [T, N] float32, camera z, world units; at most 0 behind the camera
    inside: Tensor  # [T, N] bool, in front of the camera and within the image

    def __post_init__(self) -> None:
        if self.xy.ndim != 3 or self.xy.shape[-1] != 2:
            raise Track2ViewError(f"ViewTracks.xy has shape {list(self.xy.shape)}; it must be [T, N, 2].")
        for name in ("depth", "inside"):
            if getattr(self, name).shape != self.xy.shape[:2]:
                raise Track2ViewError(
                    f"ViewTracks.{name} has shape {list(getattr(self, name).shape)}; with xy {list(self.xy.shape)} it "
                    f"must be {list(self.xy.shape[:2])}."
                )
        if self.inside.dtype != torch.bool:
            raise Track2ViewError(f"ViewTracks.inside has dtype {self.inside.dtype}; it must be torch.bool.")
        object.__setattr__(self, "xy", self.xy.to(torch.float32))
        object.__setattr__(self, "depth", self.depth.to(torch.float32))

    def with_frames(self, index: Tensor) -> ViewTracks:
        """The frames of `index` `[any]` long, in its order."""
        return ViewTracks(self.xy[index], self.depth[index], self.inside[index])

    def select(self, tracks: Tensor) -> ViewTracks:
        """The tracks of `tracks`: a mask `[N]` bool or indices `[any]` long."""
        return ViewTracks(self.xy[:, tracks], self.depth[:, tracks], self.inside[:, tracks])

    def scaled(self, x: float, y: float) -> ViewTracks:
        """The same view with its pixels scaled: `xy * (x, y)`."""
        return replace(self, xy=self.xy * torch.tensor([x, y], dtype=torch.float32, device=self.xy.device))

    def to(self, device: torch.device | str) -> ViewTracks:
        return ViewTracks(self.xy.to(device), self.depth.to(device), self.inside.to(device))


def project(
    path: CameraPath,
    points: Tensor,  # [T, N, 3] world
) -> ViewTracks:
    """Project moving world points into every frame of `path`; frame t of the points meets frame t of the camera.

    Computed in float64 on the path's device, returned in float32 on the points'. Never NaN: a point that is not in
    front of the camera gets xy (-width, -height), which no image holds, and keeps its depth; a grazing one is held
    within 1e6 px.

    Raises:
        Track2ViewError: the points are not `[T, N, 3]` with the path's T.
    """
    if points.ndim != 3 or points.shape[-1] != 3 or len(points) != len(path):
        raise Track2ViewError(
            f"The points to project have shape {list(points.shape)}; with a path of {len(path)} frames they must be "
            f"[{len(path)}, N, 3]."
        )
    camera_from_world = path.camera_from_world
    world = points.to(path.device).to(torch.float64)  # in this order: not every device has float64
    camera = world @ camera_from_world[:, :3, :3].mT + camera_from_world[:, None, :3, 3]
    depth = camera[..., 2]
    in_front = depth > NEAR_DEPTH
    pixels = camera @ path.intrinsics[:, :2].mT / torch.where(in_front, depth, 1.0)[..., None]
    nowhere = torch.tensor([-path.width, -path.height], dtype=torch.float64, device=path.device)
    # Rounded to float32 before the border test, so that `inside` holds for the numbers handed out.
    xy = torch.where(in_front[..., None], pixels.clamp(-FAR_PIXEL, FAR_PIXEL), nowhere).to(torch.float32)
    x, y = xy.unbind(-1)
    inside = in_front & (x >= 0) & (x < path.width) & (y >= 0) & (y < path.height)
    return ViewTracks(xy.to(points.device), depth.to(points.device, torch.float32), inside.to(points.device))
