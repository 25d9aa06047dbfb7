"""How well a tracker recovers camera and points, on rendered clips, whose truth is known exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..cameras import CameraPath, project
from ..scenes import RenderedClip, follow_points, visible_points
from ..scenes.ray_casting import cast
from ..tracks import PointTracks
from .camera_errors import rotation_error

WITHIN_PIXELS = (1, 2, 4, 8, 16)
"""A point is right within k pixels at its true depth z, k z / f metres; scores are means over these k."""


@dataclass(frozen=True)
class PointScores:
    """TAPVid-3D's scores, shares of 1; nan where there is nothing to compare."""

    apd3d: float  # of the truly visible places, how many were found
    aj3d: float  # found and called visible, over those, the missed ones and the wrong claims of visibility
    oa: float  # places whose visibility was told right


@dataclass(frozen=True)
class TrackerScores:
    """Lengths are compared after one scale factor, which no tracker can know; nan where there is nothing to compare."""

    focal: float  # error of the focal length, as a share of it
    rotation: float  # largest error, degrees
    path: float  # root mean square position error over the path's length
    standing: float  # median relative depth error of visible points called standing
    moving: float  # the same of those called moving
    moving_points: int


def score_tracks(tracks: PointTracks, clip: RenderedClip) -> TrackerScores:
    """Compares a tracker's result with the truth of the clip it was given."""
    path, truth = tracks.camera, clip.camera
    true_position, position = truth.world_from_camera[:, :3, 3], path.world_from_camera[:, :3, 3]
    length = float((true_position[1:] - true_position[:-1]).norm(dim=-1).sum())
    scale = float((position * true_position).sum() / (position * position).sum().clamp_min(1e-12))
    off = float((scale * position - true_position).square().sum(-1).mean().sqrt())
    view = project(path, tracks.positions)
    row = view.xy[..., 1].long().clamp(0, truth.height - 1)
    column = view.xy[..., 0].long().clamp(0, truth.width - 1)
    ratio = view.depth / clip.depth[torch.arange(len(clip.depth))[:, None], row, column]
    visible = tracks.visible & view.inside
    moving = (tracks.positions - tracks.positions[:1]).abs().amax(dim=(0, 2)) > 1e-6
    standing = ratio[visible & ~moving]
    unit = float(standing.median()) if len(standing) else 1.0
    return TrackerScores(
        focal=float(path.intrinsics[0, 0, 0] / truth.intrinsics[0, 0, 0]) - 1,
        rotation=float(rotation_error(path, truth).max()),
        path=off / length if length > 1e-6 else float("nan"),
        standing=_median_error(standing / unit),
        moving=_median_error(ratio[visible & moving] / unit),
        moving_points=int(moving.sum()),
    )


def _median_error(ratio: Tensor) -> float:
    return float((ratio - 1).abs().median()) if len(ratio) else float("nan")


def true_tracks(tracks: PointTracks, clip: RenderedClip) -> tuple[Tensor, Tensor, Tensor]:
    """What a perfect tracker would have said of the points that a tracker chose.

    A tracker's point is what its clip shows at the pixel of its first visible frame of highest confidence.

    Returns:
        world positions [T, N, 3] (world = true camera of frame 0), visibility [T, N], and each point's frame [N].
    """
    view = project(tracks.camera, tracks.positions)
    certain = torch.where(tracks.visible & view.inside, tracks.confidence, -1.0)
    frame = certain.argmax(0)
    lens = clip.camera.intrinsics.float()
    xy = view.xy[frame, torch.arange(len(frame))].float()
    ray = torch.cat([xy, torch.ones(len(xy), 1)], 1)
    ray = (torch.linalg.inv(lens[frame]) @ ray[..., None])[..., 0]
    pose = clip.scene_from_camera
    direction = (pose[frame, :3, :3] @ ray[..., None])[..., 0]
    surface = torch.zeros(1, len(frame), dtype=torch.long)
    local = torch.zeros(1, len(frame), 3)
    for t in frame.unique():
        here = frame == t
        origin = pose[t, :3, 3].expand(int(here.sum()), 3)
        hits = cast(clip.scene, origin[None, None], direction[here][None, None], clip.time[None, t : t + 1])
        surface[0, here], local[0, here] = hits.surface[0, 0], hits.local[0, 0]
    position = follow_points(clip.scene, surface, local, clip.time[None])
    camera = clip.camera
    visible = visible_points(clip.scene, position, pose[None], lens[:1], clip.time[None], camera.width, camera.height)
    world = (position[0] - pose[0, :3, 3]) @ pose[0, :3, :3]
    return world, visible[0], frame


def in_camera_axes(camera: CameraPath, positions: Tensor) -> Tensor:
    """World points [T, N, 3] in the axes of each frame's camera."""
    pose = camera.world_from_camera.to(positions.dtype)
    return (positions - pose[:, None, :3, 3]) @ pose[:, :3, :3]


def point_scores(
    predicted: Tensor,  # [T, N, 3] camera axes
    visible: Tensor,  # [T, N] bool, as predicted
    truth: Tensor,  # [T, N, 3] camera axes
    truly_visible: Tensor,  # [T, N] bool
    focal: float,  # pixels
    scored: Tensor | None = None,  # [T, N] bool: the places that count
) -> PointScores:
    """Scores of predictions brought to the truth's size by the ratio of the median norms where both are visible."""
    counted = torch.ones_like(visible) if scored is None else scored
    both = visible & truly_visible
    if not both.any() or not counted.any():
        return PointScores(math.nan, math.nan, math.nan)
    scale = truth[both].norm(dim=-1).median() / predicted[both].norm(dim=-1).median().clamp_min(1e-12)
    off = (scale * predicted - truth).norm(dim=-1)
    there = truly_visible & counted
    found, agreed = [], []
    for pixels in WITHIN_PIXELS:
        right = off < pixels * truth[..., 2] / focal
        hit = right & visible & there
        claimed = visible & counted & ~(right & truly_visible)
        found.append(float((right & there).sum() / there.sum()) if there.any() else math.nan)
        agreed.append(float(hit.sum() / (there.sum() + claimed.sum()).clamp_min(1)))
    told = (visible == truly_visible)[counted].double().mean()
    return PointScores(sum(found) / len(found), sum(agreed) / len(agreed), float(told))


def score_points(tracks: PointTracks, clip: RenderedClip) -> PointScores:
    """TAPVid-3D's scores of a tracker's own choice of points; each point's own frame, given to both, does not count."""
    truth, truly_visible, frame = true_tracks(tracks, clip)
    scored = torch.ones_like(tracks.visible)
    scored[frame, torch.arange(len(frame))] = False
    inside = tracks.visible & project(tracks.camera, tracks.positions).inside
    return point_scores(
        in_camera_axes(tracks.camera, tracks.positions),
        inside,
        in_camera_axes(clip.camera, truth),
        truly_visible,
        float(clip.camera.intrinsics[0, 0, 0]),
        scored,
    )
