"""Where was the camera? Photometric fit of every frame of a video against a known scene of the renderer.

The fit must not leak its answer: it never sees the prescribed path but for laying out its starts, which are the same
for every video, dense along and around the way from the source camera to the prescribed one and beyond, and never at
either end. A small rendering from every start is ranked against the frame; the best few are refined coarse to fine by
Levenberg-Marquardt on a robust cost.

A frame whose structure the scene explains hardly better than a constant picture does has no camera: it is
`unmeasurable`, and `counted_errors` counts it at the error of the copied source.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ..cameras.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from ..errors import Track2ViewError
from ..scenes import Scene, render
from .camera_errors import STILL_EXTENT, path_extent, rotation_error, translation_error

MEASURABLE_RATIO = 0.8  # set by benchmarks/camera_fit.py on scenes of their own

# Shares of the way from the source camera (0) to the prescribed one (1).
_ALONG = (-0.35, -0.12, 0.15, 0.35, 0.55, 0.8, 1.2, 1.45)
_AROUND = (-0.35, 0.15, 0.5, 0.8, 1.2)  # where the way is left in all six directions
_AROUND_ANGLE = 0.09  # radians
_AROUND_SHIFT = 0.2  # scene units
_COARSE, _FINE = 16, 32  # pixels of the shorter side
_KEPT = 3  # starts refined at the coarse size
_COARSE_STEPS, _FINE_STEPS = 12, 8
_ROBUST = 0.1  # residual at which the Geman-McClure cost reaches half of its limit
_STRUCTURE, _STRUCTURE_ROBUST = 9, 0.2  # of the final judgement: window in pixels of the fine size, robust residual
_NO_STRUCTURE = 1e-5  # cost of a picture without any; a flat fit of a flat picture proves nothing
_LARGEST_STEP = 0.3
_RAYS_AT_ONCE = 1 << 16  # small enough to stay in the cache


@dataclass(frozen=True, eq=False)
class CameraFit:
    """The cameras read off one video."""

    frames: Tensor  # [K] int64, the fitted frames; the first is frame 0, whose camera is known
    world_from_camera: Tensor  # [K, 4, 4] float64 in the scene's world
    ratio: Tensor  # [K] cost of the fit over that of the best constant picture; 0 at frame 0
    measurable: Tensor  # [K] bool


class CameraFitter:
    """Fits the cameras of any number of videos of one scene, all from the same starts.

    Args:
        scene: one scene (a batch of 1).
        source: [T, 4, 4] source cameras in the scene's world.
        prescribed: [T, 4, 4] the cameras that were asked for; only the layout of the starts depends on them.
        intrinsics: [3, 3] pixels of width x height.
        time: [T] scene time of the frames.
        every: fit only every n-th frame after frame 0, to save time.
        threshold: the ratio to a constant picture's cost from which on a frame is unmeasurable.
    """

    def __init__(
        self,
        scene: Scene,
        source: Tensor,
        prescribed: Tensor,
        intrinsics: Tensor,
        time: Tensor,
        *,
        width: int,
        height: int,
        every: int = 1,
        threshold: float = MEASURABLE_RATIO,
    ) -> None:
        if len(scene) != 1:
            raise Track2ViewError(f"The camera fit got {len(scene)} scenes; give one at a time, such as scene[0:1].")
        self._scene, self._intrinsics, self._size = scene, intrinsics.float(), (width, height)
        self._length, self._frames = len(time), torch.arange(every, len(time), every)
        self._first, self._time, self._threshold = source[0].double(), time[self._frames].float(), threshold
        starts = starting_poses(source[self._frames].double(), prescribed[self._frames].double()).float()
        with torch.no_grad():
            every_start = rearrange(starts, "t start i j -> (t start) i j")
            seen, _ = self._look(every_start, self._time.repeat_interleave(starts.shape[1]), _COARSE)
        self._starts = starts  # [K-1, S, 4, 4]
        self._start_pictures = rearrange(seen, "(t start) c h w -> t start (c h w)", t=len(starts))

    @torch.no_grad()
    def fit(self, video: Tensor) -> CameraFit:
        """Read the cameras off a video [T, H, W, 3], uint8 or floats in 0..1, of the scene's own times."""
        width, height = self._size
        expected = (self._length, height, width, 3)
        if video.shape != expected:
            raise Track2ViewError(f"The video has shape {tuple(video.shape)}; this camera fit needs {expected}.")
        scale = 255 if video.dtype == torch.uint8 else 1
        video = video[self._frames].float() / scale
        wanted = self._reduce(video, _COARSE)
        ranked = self._start_costs(wanted).topk(_KEPT, dim=1, largest=False).indices
        poses = rearrange(_pick(self._starts, ranked), "t kept i j -> (t kept) i j")
        time = self._time.repeat_interleave(_KEPT)
        poses, cost = self._refine(poses, wanted.repeat_interleave(_KEPT, 0), time, _COARSE, _COARSE_STEPS)
        best = rearrange(cost, "(t kept) -> t kept", kept=_KEPT).argmin(1, keepdim=True)
        poses = _pick(rearrange(poses, "(t kept) i j -> t kept i j", kept=_KEPT), best)[:, 0]
        wanted = self._reduce(video, _FINE)
        poses, _ = self._refine(poses, wanted, self._time, _FINE, _FINE_STEPS)
        ratio = _constant_ratio(self._look(poses, self._time, _FINE)[0], wanted)
        return CameraFit(
            frames=torch.cat([torch.zeros(1, dtype=torch.long), self._frames]),
            world_from_camera=torch.cat([self._first[None], poses.double()]),
            ratio=torch.cat([torch.zeros(1), ratio]),
            measurable=torch.cat([torch.ones(1, dtype=torch.bool), ratio < self._threshold]),
        )

    def _start_costs(self, wanted: Tensor) -> Tensor:
        """Robust cost [K-1, S] of every start against the wanted pictures [K-1, 3, h, w]."""
        difference = self._start_pictures - rearrange(wanted, "t c h w -> t 1 (c h w)")
        cost = _robust(rearrange(difference, "t start p -> (t start) p"))
        return rearrange(cost, "(t start) -> t start", t=len(wanted))

    def _refine(self, poses: Tensor, wanted: Tensor, time: Tensor, size: int, steps: int) -> tuple[Tensor, Tensor]:
        """Levenberg-Marquardt of M frames at once: poses [M, 4, 4], wanted [M, 3, h, w] -> better poses, cost [M]."""
        wanted = wanted.flatten(1)
        picture, depth = self._look(poses, time, size)
        cost, damping = _robust(picture.flatten(1) - wanted), torch.full((len(poses),), 1e-2)
        for _ in range(steps):
            residual = picture.flatten(1) - wanted
            jacobian = self._jacobian(picture, depth)  # [M, 6, P]
            weighted = jacobian * _robust_weight(residual)[:, None]
            normal = weighted @ jacobian.transpose(1, 2)
            slope = weighted @ residual[..., None]
            normal = normal + torch.diag_embed(normal.diagonal(dim1=1, dim2=2) * damping[:, None] + 1e-6)
            step = -torch.linalg.solve(normal, slope)[..., 0].clamp(-_LARGEST_STEP, _LARGEST_STEP)
            candidate = _moved(poses, step)
            new_picture, new_depth = self._look(candidate, time, size)
            new_cost = _robust(new_picture.flatten(1) - wanted)
            better = new_cost < cost
            keep = lambda new, old, ok=better: torch.where(ok.view(-1, *[1] * (new.dim() - 1)), new, old)  # noqa: E731
            poses, picture, depth = keep(candidate, poses), keep(new_picture, picture), keep(new_depth, depth)
            cost, damping = keep(new_cost, cost), keep(damping * 0.2, damping * 8).clamp(1e-5, 1e3)
        return poses, cost

    def _jacobian(self, picture: Tensor, depth: Tensor) -> Tensor:
        """Change [M, 6, P] of a picture [M, 3, h, w] with a step of its camera (axis-angle, translation, in its axes).

        A point keeps its colour and moves by du: dI = -grad I . du. Exact but where new surfaces come into sight.
        """
        height, width = depth.shape[1:]
        fx, fy, cx, cy = self._small_intrinsics(width, height)
        padded = F.pad(picture, (1, 1, 1, 1), mode="replicate")
        across = (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2])[:, None] * (-0.5 * fx)  # [M, 1, 3, h, w]
        down = (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1])[:, None] * (-0.5 * fy)
        x = ((torch.arange(width) + 0.5 - cx) / fx).expand_as(depth)
        y = ((torch.arange(height) + 0.5 - cy) / fy)[:, None].expand_as(depth)
        near, zero = 1 / depth, torch.zeros_like(depth)
        du = torch.stack([x * y, -1 - x * x, y, -near, zero, x * near], 1)[:, :, None]
        dv = torch.stack([1 + y * y, -x * y, -x, zero, -near, y * near], 1)[:, :, None]
        return rearrange(across * du + down * dv, "m step c h w -> m step (c h w)")

    def _small(self, size: int) -> tuple[int, int]:
        width, height = self._size
        scale = size / min(width, height)
        return max(size, round(width * scale)), max(size, round(height * scale))

    def _small_intrinsics(self, width: int, height: int) -> tuple[float, float, float, float]:
        across, down = width / self._size[0], height / self._size[1]
        k = self._intrinsics
        return float(k[0, 0] * across), float(k[1, 1] * down), float(k[0, 2] * across), float(k[1, 2] * down)

    def _look(self, poses: Tensor, time: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Small soft pictures [M, 3, h, w] and depth [M, h, w] of the scene from poses [M, 4, 4] at times [M]."""
        width, height = self._small(size)
        fx, fy, cx, cy = self._small_intrinsics(width, height)
        intrinsics = torch.tensor([[[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]])
        at_once = max(1, _RAYS_AT_ONCE // (width * height))
        views = [
            render(self._scene, p[None], intrinsics, t[None], width, height)
            for p, t in zip(poses.split(at_once), time.split(at_once), strict=True)
        ]
        rgb, depth = torch.cat([v.rgb[0] for v in views]), torch.cat([v.depth[0] for v in views])
        return _soften(rearrange(rgb, "m h w c -> m c h w")), depth.clamp(min=0.05)

    def _reduce(self, video: Tensor, size: int) -> Tensor:
        width, height = self._small(size)
        return _soften(F.interpolate(rearrange(video, "t h w c -> t c h w"), (height, width), mode="area"))


@dataclass(frozen=True, eq=False)
class CountedErrors:
    """Errors of the fitted frames but frame 0, unmeasurable ones counted as the copied source's."""

    rotation: Tensor  # [K-1] degrees
    translation: Tensor  # [K-1] share of the path's extent after the fit of scale; NaN where the path does not move
    metric_translation: Tensor  # [K-1] the same in the scene's own units, without that fit
    unmeasurable: Tensor  # [K-1] bool


def counted_errors(fit: CameraFit, source: Tensor, prescribed: Tensor) -> CountedErrors:
    """Score a fit against the prescribed cameras [T, 4, 4]; `source` [T, 4, 4] is what a copied source would score."""
    copied, wanted, measured = source[fit.frames], prescribed[fit.frames], fit.measurable
    count = lambda own, other: torch.where(measured, own, other)[1:]  # noqa: E731
    whole = path_extent(wanted) / max(path_extent(prescribed), STILL_EXTENT)  # in units of the whole path, not its part

    def translation(scale: str) -> Tensor:
        own = translation_error(fit.world_from_camera, wanted, scale, measured=measured)
        return count(own, translation_error(copied, wanted, scale)) * whole

    return CountedErrors(
        rotation=count(rotation_error(fit.world_from_camera, wanted), rotation_error(copied, wanted)),
        translation=translation("fit"),
        metric_translation=translation("none"),
        unmeasurable=~measured[1:],
    )


def starting_poses(source: Tensor, prescribed: Tensor) -> Tensor:
    """Where the fit starts: [T, S, 4, 4] float64.

    Args:
        source: [T, 4, 4] one end of the way.
        prescribed: [T, 4, 4] the other end; no start is at either.
    """
    way = torch.linalg.inv(source) @ prescribed
    turn = axis_angle_from_matrix(way[:, :3, :3])
    shift = way[:, :3, 3]

    def along(share: float) -> Tensor:
        step = torch.eye(4, dtype=source.dtype).repeat(len(source), 1, 1)
        step[:, :3, :3] = matrix_from_axis_angle(share * turn)
        step[:, :3, 3] = share * shift
        return source @ step

    starts = [along(share) for share in _ALONG]
    for share, axis, sign in itertools.product(_AROUND, range(6), (-1, 1)):
        leave = torch.zeros(6, dtype=source.dtype)
        leave[axis] = sign * (_AROUND_ANGLE if axis < 3 else _AROUND_SHIFT)
        starts.append(_moved(along(share), leave.expand(len(source), 6)))
    return torch.stack(starts, 1)


def _moved(poses: Tensor, steps: Tensor) -> Tensor:
    """Poses [..., 4, 4] moved in their own axes by (axis-angle, translation) steps [..., 6]."""
    motion = torch.eye(4, dtype=poses.dtype).repeat(*steps.shape[:-1], 1, 1)
    motion[..., :3, :3] = matrix_from_axis_angle(steps[..., :3])
    motion[..., :3, 3] = steps[..., 3:]
    return poses @ motion


def _pick(values: Tensor, index: Tensor) -> Tensor:
    """values [M, S, ...] at index [M, K] -> [M, K, ...]."""
    return values[torch.arange(len(values))[:, None], index]


def _soften(pictures: Tensor) -> Tensor:
    """[M, 3, h, w] under a 3 x 3 box blur, which evens out aliasing and widens the basin."""
    return F.avg_pool2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, 1)


def _robust(residual: Tensor, limit: float = _ROBUST) -> Tensor:
    """Geman-McClure cost [M] of residuals [M, ...]: what the video could not know (new content) has a bounded say."""
    squared = residual.square()
    return (limit**2 * squared / (limit**2 + squared)).flatten(1).mean(-1)


def _robust_weight(residual: Tensor) -> Tensor:
    return (1 + residual.square() / _ROBUST**2).reciprocal().square()


def _structure(pictures: Tensor) -> Tensor:
    """Pictures [M, 3, h, w] less their local mean. A constant one has none; blur and ghosts lose it first."""
    half = _STRUCTURE // 2
    return pictures - F.avg_pool2d(F.pad(pictures, (half,) * 4, mode="replicate"), _STRUCTURE, 1)


def _constant_ratio(picture: Tensor, wanted: Tensor) -> Tensor:
    """Cost [M] of the fitted pictures against the wanted ones, over what a constant picture would cost."""
    wanted = _structure(wanted)
    cost, constant = (_robust(x - wanted, _STRUCTURE_ROBUST) for x in (_structure(picture), torch.zeros_like(wanted)))
    return (cost + _NO_STRUCTURE) / (constant + _NO_STRUCTURE)
