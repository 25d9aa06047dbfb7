"""The source's pixels moved into the target view by what is known of their depth, and the holes that this leaves.

Every source pixel whose depth is known becomes a small square in space, facing the camera, of the pixel's own colour.
It is projected into the target camera of the same frame, grown or shrunk as its distance and the lens ask, and drawn
with a z-buffer. Seen from the source camera itself every square falls on its own pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..cameras import CameraPath
from ..errors import Track2ViewError
from ..progress import Progress
from ..tracks import PairedTracks
from ..tracks.pairing import ASPECT_TOLERANCE
from .hole_masks import over_latent_frames

GREY = 128
LARGEST_SQUARE = 6
"""Pixels: squares grow no larger when the camera comes very near, so that one frame costs what another does."""
NEAREST = 1e-6
MOST_CLAIMS = 2**22
"""Pixels of patches that are held at once; many hidden points have smaller patches."""
SAME = 1e-9
"""A target camera that differs by less from the source's sees no surface askew."""
ONE_SURFACE = 0.12
"""Neighbouring points whose inverse depths differ by less than this share lie on one surface."""


@dataclass(frozen=True, eq=False)
class TargetView:
    frames: Tensor  # [T, H, W, 3] uint8, holes grey
    holes: Tensor  # [T, H, W] bool


def render_target_view(
    video: Tensor,  # [T, H, W, 3] uint8, the source
    paired: PairedTracks,  # T frames, of pictures of the video's shape at any size
    *,
    depth: Tensor | None = None,  # [T, h, w] camera z in the tracks' own units, NaN where unknown
    reach: int = 0,
    remember: bool = True,
    latent_holes: bool = False,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> TargetView:
    """The clip as the target camera sees what is known of the scene.

    Without `depth` a pixel has the depth of the nearest tracked point that is visible in its frame, as far as `reach`.

    Args:
        depth: see `aligned_depth`.
        reach: pixels of the source around a tracked point that take its depth; 0 joins neighbouring points, 1 draws
            the points alone.
        remember: fill holes with points that the source shows at another time, in the colour they had then.
        latent_holes: a hole in one of the four video frames of a latent frame is a hole in all four, since a VACE node
            takes the mask of one of them.

    Raises:
        Track2ViewError: video, tracks and depth do not belong to one clip, or no track is visible.
    """
    frames, height, width = video.shape[:3]
    if len(paired) != frames or (depth is not None and len(depth) != frames):
        told = "" if depth is None else f", depth {len(depth)}"
        raise Track2ViewError(
            f"The video has {frames} frames and the tracks have {len(paired)}{told}; give all of the same clip."
        )
    camera = paired.source_camera
    if abs(camera.width * height / (camera.height * width) - 1) > ASPECT_TOLERANCE:
        raise Track2ViewError(
            f"The video is {width} x {height} and the tracks are of {camera.width} x {camera.height}, another shape; "
            "give the frames that were tracked, or pair the tracks with the clip info of these frames."
        )
    paired = paired.resized(width, height)
    paired = paired.select(paired.seen)
    if not paired.visible.shape[1]:
        raise Track2ViewError("No track is visible in the source view, so nothing can be shown; track the clip again.")
    reach = reach or _reach(paired, width, height)
    pictures, holes = torch.empty_like(video, device="cpu"), torch.empty(frames, height, width, dtype=torch.bool)
    memory = _Memory(paired) if remember else None
    for t in range(frames):
        known = (
            _depth_of_frame(paired, t, reach, device) if depth is None else _resized(depth[t], height, width, device)
        )
        picture, hole = _drawn(video[t].to(device), known, paired, t)
        if memory is not None:
            memory.fill(picture, hole, video, t, reach)
        pictures[t], holes[t] = picture.cpu(), hole.cpu()
        if progress:
            progress(t + 1, frames, "rendering the target view")
    if latent_holes:
        holes = over_latent_frames(holes)
    pictures[holes] = GREY
    return TargetView(pictures, holes)


def _drawn(source: Tensor, depth: Tensor, paired: PairedTracks, t: int) -> tuple[Tensor, Tensor]:
    """Picture [H, W, 3] uint8 and holes [H, W] of the source [H, W, 3] at depth [H, W], NaN where unknown."""
    rows, columns = (depth.isfinite() & (depth > NEAREST)).nonzero(as_tuple=True)
    near = depth[rows, columns]
    world = _unprojected(paired.source_camera, t, torch.stack([columns, rows], -1) + 0.5, near)
    target, far = _projected(paired.target_camera, t, world)
    side = _lens_ratio(paired, t) * near / far.clamp(min=NEAREST)
    height, width = depth.shape
    picture, holes = _squares(target, far, side, source[rows, columns], (height, width))
    moved = (paired.target_camera.world_from_camera[t] - paired.source_camera.world_from_camera[t]).abs().max() > SAME
    return _without_cracks(picture, holes) if moved else (picture, holes)


def _without_cracks(picture: Tensor, holes: Tensor) -> tuple[Tensor, Tensor]:
    """Holes one pixel wide, with colour on both sides, take the mean of the two: a surface seen askew tears there."""
    height, width = holes.shape
    padded = F.pad(picture.float(), (0, 0, 1, 1, 1, 1))
    there = F.pad(~holes, (1, 1, 1, 1))
    filled, closed = picture.clone(), holes.clone()
    for down, right in ((0, 1), (1, 0)):
        sides = [
            (slice(1 + k * down, 1 + k * down + height), slice(1 + k * right, 1 + k * right + width)) for k in (-1, 1)
        ]
        crack = closed & there[sides[0]] & there[sides[1]]
        mean = (padded[sides[0]] + padded[sides[1]]) / 2
        filled[crack] = mean[crack].round().to(torch.uint8)
        closed &= ~crack
    return filled, closed


def _squares(
    xy: Tensor,  # [M, 2] pixels, their middles
    depth: Tensor,  # [M]
    side: Tensor,  # [M] pixels
    colours: Tensor,  # [M, 3] uint8
    size: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """Squares drawn with a z-buffer, each over the pixels whose centres it covers: picture [H, W, 3], holes [H, W]."""
    height, width = size
    picture = torch.full((height, width, 3), GREY, dtype=torch.uint8, device=xy.device)
    side = side.clamp(1, LARGEST_SQUARE)[:, None]
    # A square that falls on its own pixel may be off by half a pixel before another centre is covered.
    low, high = ((xy + sign * side / 2 - 0.5).ceil().long() for sign in (-1, 1))  # high is not covered any more
    most = int((high - low).max()) if len(xy) else 0
    places, owners = [], []
    for down in range(most):
        for right in range(most):
            column, row = low[:, 0] + right, low[:, 1] + down
            covered = (depth > NEAREST) & (column < high[:, 0]) & (row < high[:, 1])
            covered &= (column >= 0) & (column < width) & (row >= 0) & (row < height)
            owner = covered.nonzero().flatten()
            places.append((row * width + column)[owner])
            owners.append(owner)
    if not places:
        return picture, torch.ones(height, width, dtype=torch.bool, device=xy.device)
    owner = torch.cat(owners)
    winner = _winners(torch.cat(places), owner, depth[owner], height * width, none=len(xy))
    covered = winner < len(xy)
    picture.view(-1, 3)[covered] = colours[winner[covered]]
    return picture, ~covered.view(height, width)


def _winners(place: Tensor, owner: Tensor, key: Tensor, places: int, *, none: int) -> Tensor:
    """For each of `places` the owner, of those [K] that claim it, with the least key; of equals the first."""
    least = torch.full((places,), torch.inf, device=key.device).scatter_reduce(0, place, key.float(), "amin")
    holds = key <= least[place]
    first = torch.full((places,), none, dtype=torch.long, device=key.device)
    return first.scatter_reduce(0, place[holds], owner[holds], "amin")


def _lens_ratio(paired: PairedTracks, t: int) -> float:
    return float(paired.target_camera.intrinsics[t, 0, 0] / paired.source_camera.intrinsics[t, 0, 0])


class _Memory:
    """Points that the source does not show at a time, but shows at another."""

    def __init__(self, paired: PairedTracks) -> None:
        self.paired = paired
        self.shown = (paired.visible & paired.source.inside).cpu()  # [T, N]
        self.index = torch.arange(len(self.shown))

    def fill(self, picture: Tensor, hole: Tensor, video: Tensor, t: int, reach: int) -> None:
        """Draw into the holes of frame t, in place, the patches that hidden points had when last or next seen."""
        target = self.paired.target
        hidden = (~self.shown[t] & target.inside[t].cpu()).nonzero().flatten()
        if not len(hidden) or not bool(hole.any()):
            return
        apart = (self.index[:, None] - t).abs() + (len(self.shown) + 1) * ~self.shown[:, hidden]
        when = apart.argmin(0)  # [n] the frame nearest in time that shows the point
        height, width = hole.shape
        source_xy = self.paired.source.xy.cpu()[when, hidden]
        affordable = int((MOST_CLAIMS / len(hidden)) ** 0.5 - 1) // 2
        radius = max(0, min((reach - 1) // 2, affordable))
        step = torch.arange(-radius, radius + 1)
        offset = torch.stack(torch.meshgrid(step, step, indexing="xy"), -1).reshape(-1, 2)
        pixel = source_xy.floor().long()[:, None] + offset  # [n, k, 2]
        inside = (pixel >= 0).all(-1) & (pixel[..., 0] < width) & (pixel[..., 1] < height)
        depth_then = self.paired.source.depth.cpu()[when, hidden]
        depth_now = target.depth.cpu()[t, hidden]
        side = _lens_ratio(self.paired, t) * depth_then / depth_now.clamp(min=NEAREST)
        moved = target.xy.cpu()[t, hidden][:, None] + (pixel + 0.5 - source_xy[:, None]) * side[:, None, None]
        many = offset.shape[0]
        pick = inside.flatten()
        frame = when[:, None].expand(-1, many).flatten()[pick]
        pixel = pixel.reshape(-1, 2)[pick]
        colours = video[frame.to(video.device), pixel[:, 1].to(video.device), pixel[:, 0].to(video.device)]
        drawn, still_hole = _squares(
            moved.reshape(-1, 2)[pick].to(picture.device),
            depth_now[:, None].expand(-1, many).flatten()[pick].to(picture.device),
            side[:, None].expand(-1, many).flatten()[pick].to(picture.device),
            colours.to(picture.device),
            (height, width),
        )
        filled = hole & ~still_hole
        picture[filled] = drawn[filled]
        hole &= still_hole


def _reach(paired: PairedTracks, width: int, height: int) -> int:
    """Pixels across a square that holds, on average, one visible track, twice over, so that neighbours meet."""
    count = max(1.0, float((paired.visible & paired.source.inside).sum(1).float().median()))
    return max(1, 2 * round((width * height / count) ** 0.5) + 1)


def _depth_of_frame(paired: PairedTracks, t: int, reach: int, device: torch.device | str) -> Tensor:
    """Depth [H, W] of frame t: that of the nearest visible track within `reach` / 2 px, NaN beyond."""
    height, width = paired.source_camera.height, paired.source_camera.width
    shown = (paired.visible[t] & paired.source.inside[t]).nonzero().flatten()
    xy, z = paired.source.xy[t, shown].to(device), paired.source.depth[t, shown].to(device)
    radius = max(0, (reach - 1) // 2)
    step = torch.arange(-radius, radius + 1, device=device)
    best = torch.full((height * width,), torch.inf, device=device)
    winner = torch.full((height * width,), len(shown), dtype=torch.long, device=device)
    whole = xy.floor().long()
    for down in range(-radius, radius + 1):  # row by row, so that a wide reach takes no more memory
        pixel = whole[:, None] + torch.stack([step, torch.full_like(step, down)], -1)  # [n, k, 2]
        inside = (pixel >= 0).all(-1) & (pixel[..., 0] < width) & (pixel[..., 1] < height)
        which, column = inside.nonzero(as_tuple=True)
        at = pixel[which, column]
        place, distance = at[:, 1] * width + at[:, 0], (at + 0.5 - xy[which]).square().sum(-1)
        nearer = distance < best[place]
        claim = _winners(place[nearer], which[nearer], distance[nearer], len(best), none=len(shown))
        winner = torch.where(claim < len(shown), claim, winner)
        best = best.scatter_reduce(0, place, distance, "amin")
    nearest = torch.cat([z, z.new_full((1,), torch.nan)])[winner].view(height, width)
    return 1 / _smoothed(1 / nearest, radius)


def _smoothed(inverse: Tensor, radius: int) -> Tensor:
    """Inverse depth [H, W] without the steps between the points of one surface; NaN and edges between two stay."""
    (height, width), step = inverse.shape, 1
    while step <= radius:
        total, weight = torch.nan_to_num(inverse), inverse.isfinite().float()
        padded = F.pad(inverse, (step, step, step, step), value=torch.nan)
        for down, right in ((0, step), (0, -step), (step, 0), (-step, 0)):
            other = padded[step + down : step + down + height, step + right : step + right + width]
            alike = (other - inverse).abs() < ONE_SURFACE * inverse
            total += torch.where(alike, other, 0.0)
            weight += alike
        inverse = torch.where(inverse.isfinite(), total / weight.clamp(min=1), torch.nan)
        step *= 2
    return inverse


def _resized(depth: Tensor, height: int, width: int, device: torch.device | str) -> Tensor:
    """A depth map [h, w] at [H, W], by the nearest of its pixels: between two surfaces there is none."""
    depth = depth.to(device, torch.float32)
    if tuple(depth.shape) == (height, width):
        return depth
    return F.interpolate(depth[None, None], (height, width), mode="nearest-exact")[0, 0]


def _unprojected(camera: CameraPath, t: int, xy: Tensor, depth: Tensor) -> Tensor:
    """World points [M, 3] of frame t at pixels [M, 2] and depth [M]."""
    lens = camera.intrinsics[t].to(xy.device, torch.float32)
    y = (xy[:, 1] - lens[1, 2]) / lens[1, 1]
    x = (xy[:, 0] - lens[0, 2] - lens[0, 1] * y) / lens[0, 0]
    local = torch.stack([x, y, torch.ones_like(x)], -1) * depth[:, None]
    pose = camera.world_from_camera[t].to(xy.device, torch.float32)
    return local @ pose[:3, :3].T + pose[:3, 3]


def _projected(camera: CameraPath, t: int, world: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels [M, 2] and depth [M] of world points in frame t; those not in front lie outside the picture."""
    pose = camera.camera_from_world[t].to(world.device, torch.float32)
    local = world @ pose[:3, :3].T + pose[:3, 3]
    lens = camera.intrinsics[t].to(world.device, torch.float32)
    depth = local[:, 2]
    pixels = (local @ lens[:2].T) / depth.clamp(min=NEAREST)[:, None]
    return torch.where((depth > NEAREST)[:, None], pixels.clamp(-1e6, 1e6), -1e6), depth
