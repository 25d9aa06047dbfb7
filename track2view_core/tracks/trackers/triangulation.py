"""From followed pixels and solved cameras to world points: here the depth of every point is decided.

Parallax decides it for a point that stands still before a travelling camera. What moves, what parallax leaves
uncertain, and everything before a camera that stands or only turns takes it from depth maps brought into line with what
is known (`depth_maps.py`). Without maps it is assumed, and said to be: what moves before a travelling camera rests on
what stands around it (`moving_objects.py`); before a camera that stands or only turns there is a flat backdrop with
what moves upright in front of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import KDTree

from ...notes import Note
from ..moving_objects import moving_objects, resting_inverse_depth, standing_again
from .camera_solver import CORRELATED, LEAST_NOISE, Cameras, Observations, huber_weight, jacobians, residuals, summed
from .depth_maps import align_to_each_other, align_to_points, nan_median, smoothed
from .flow import PixelTracks

BEHIND = 1e3
"""Stands for the pixel error of a point behind the camera."""
STANDS, MOVES = 1.5, 2.5
"""Root mean square residual, in limits, up to which a point stands and from which it moves; between, it is dropped."""
FEWEST_VIEWS, SHORTEST_MOVER = 2, 4
"""Frames that must have seen a standing point, and a moving one; a single frame does not tell what stands."""
SURELY_MOVES = 10.0
"""From so many limits a point moves, though it moves with no other; nearer to standing, its window has slipped along an
edge or where one thing hides another. In scenes that stand all but a few movers were such points."""
DEPTH_KNOWN = 0.12
"""Relative deviation up to which a depth by parallax is believed; beyond it maps have the word, if there are any."""
LEAST_EXPLAINED = 0.2
"""Share that the points explained are taken to have at least, where errors are held to be the larger, the fewer are."""
FAR, FARTHEST = 3.0, 20.0
"""In median depths: from where on an uncertain depth does no harm, and the largest depth that is handed out."""
MAP_DISAGREES = 0.4
"""Log depth; maps off by this share of it at the standing points are too poor to say what moves."""
SURELY_OTHER = (0.15, 0.4)
"""Maps that agree well with the standing points deny others from the first difference (log depth) on, poor ones from
the second."""
BACKDROP = 0.62
"""Inverse depth of an assumed backdrop, where that of what moves in front of it is 1: a parallax that looks right in
small camera moves, whatever is there."""
MEASURED, ON_BACKDROP, BY_CONTACT = 0, 1, 2
"""How a point's depth came about; the last two are assumptions."""
STANDS_STILL = 1e-9
"""Change of a rotation matrix up to which a camera does not turn."""


# --- parallax ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Triangulated:
    points: np.ndarray  # [N, 3] world
    worst: np.ndarray  # [N] largest reprojection error, pixels
    middle: np.ndarray  # [N] root mean square reprojection error, pixels
    depth_deviation: np.ndarray  # [N] standard deviation of the depth as a share of it, for one pixel of noise
    views: np.ndarray  # [N] how many cameras saw it


def triangulate(cameras: Cameras, seen: Observations, count: int) -> np.ndarray:
    """Points [count, 3] nearest to all their viewing rays; exact on exact data."""
    ray = cameras.rays(seen.camera, seen.xy)
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    ray = np.einsum("mij,mi->mj", cameras.rotation[seen.camera], ray)
    across = np.eye(3)[:, :, None] - ray.T[:, None] * ray.T
    normal = summed(across, seen.point, count).transpose(2, 0, 1)
    right = summed((across * cameras.centers()[seen.camera].T).sum(1), seen.point, count).T
    return np.linalg.solve(normal + 1e-9 * np.eye(3), right[:, :, None])[:, :, 0]


def refine_points(
    cameras: Cameras, points: np.ndarray, seen: Observations, *, huber: float = 0.5, rounds: int = 4
) -> Triangulated:
    """Minimises every point's reprojection error with the cameras held, and tells how well its depth is known."""
    count = len(points)
    for last in (False,) * rounds + (True,):
        error, local = residuals(cameras, points, seen)
        size = np.linalg.norm(error, axis=1)
        weight = huber_weight(size, huber) * (local[:, 2] > 1e-3)
        _, by_point = jacobians(cameras, local, seen.camera)
        weighted = weight * by_point
        normal = summed(np.einsum("ram,rbm->abm", weighted, by_point), seen.point, count).transpose(2, 0, 1)
        gradient = summed(np.einsum("ram,mr->am", weighted, error), seen.point, count).T
        damped = normal + 1e-3 * np.einsum("nii->ni", normal)[:, :, None] * np.eye(3) + 1e-9 * np.eye(3)
        if last:
            break
        step = -np.linalg.solve(damped, gradient[:, :, None])[:, :, 0]
        limit = 0.5 * np.linalg.norm(points - cameras.centers().mean(0), axis=1)
        points = points + step * np.minimum(1, limit / np.maximum(np.linalg.norm(step, axis=1), 1e-12))[:, None]
    size[local[:, 2] <= 0] = BEHIND
    views = np.bincount(seen.point, minlength=count)
    worst = np.zeros(count)
    np.maximum.at(worst, seen.point, size)
    squares = np.bincount(seen.point, size**2, minlength=count)
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(np.linalg.inv(damped))[:, -1], 0))
    near = np.full(count, np.inf)
    np.minimum.at(near, seen.point, np.maximum(local[:, 2], 1e-6))
    return Triangulated(points, worst, np.sqrt(squares / np.maximum(views, 1)), spread / near, views)


# --- world points -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Lifted:
    positions: np.ndarray  # [T, N, 3] world, finite everywhere
    moving: np.ndarray  # [N] bool
    error: np.ndarray  # [N] pixels; of moving points, which nothing contradicts, what a good one may err
    kept: np.ndarray  # [N] bool
    assumed: np.ndarray  # [N] int: MEASURED, ON_BACKDROP or BY_CONTACT
    depth_error: np.ndarray | None = None  # [N] what a depth by parallax may err by, share; 0 of other depths
    standing_error: float = np.nan  # of a usual standing point
    map_error: float = np.nan  # share by which a map's depth differs, from parallax or from the other frames

    def select(self, chosen: np.ndarray) -> Lifted:
        return replace(
            self,
            positions=self.positions[:, chosen],
            moving=self.moving[chosen],
            error=self.error[chosen],
            kept=self.kept[chosen],
            assumed=self.assumed[chosen],
            depth_error=None if self.depth_error is None else self.depth_error[chosen],
        )


def assumption_notes(assumed: np.ndarray) -> list[Note]:
    """What to know of depth that was assumed [N]; nothing where all was measured."""
    codes = {ON_BACKDROP: "depth_assumed", BY_CONTACT: "mover_depth_assumed"}
    return [Note.of(code, count=int((assumed == how).sum())) for how, code in codes.items() if (assumed == how).any()]


def lift_turning(
    flow: PixelTracks,
    cameras: Cameras,
    measured: np.ndarray | None,  # [T, N] inverse depth of the maps
    *,
    limit: float,
    lone_movers: bool = False,
) -> Lifted:
    """Points before a camera that stands or only turns; all depth comes from the maps or is a flat backdrop's.

    The backdrop is a plane before a camera that stands and a sphere around one that turns; what moves stands upright
    and nearer, one depth an object. `lone_movers` as in `lift_travelling`."""
    frames, count = flow.seen.shape
    rays, bearing = _rays_and_bearings(flow, cameras)
    stretch = np.linalg.norm(rays, axis=2)
    local = np.einsum("tij,nj->tni", cameras.rotation, bearing)
    placed = cameras.focal[:, None, None] * local[..., :2] / np.maximum(local[..., 2:], 1e-6) + cameras.center
    error = _root_mean_square(np.linalg.norm(placed - flow.xy, axis=2), flow.seen)
    views = flow.seen.sum(0)
    standing = (error < STANDS * limit) & (views >= min(FEWEST_VIEWS, frames))
    assumed, map_error = np.zeros(count, int), np.nan
    if measured is None:
        flat = np.abs(cameras.rotation - cameras.rotation[0]).max() < STANDS_STILL
        apart = np.maximum(bearing @ cameras.rotation[0, 2], 0.1) if flat else np.ones(count)
        inverse_distance = BACKDROP * apart
        inverse = np.ones((frames, count)) if flat else _upright(stretch, flow, ~standing, 2 * cameras.center[0])
        assumed[:] = ON_BACKDROP
    else:
        alignment, inverse_distance = align_to_each_other(measured, stretch, standing)
        inverse = alignment.inverse(measured)
        map_error = _spread(np.where(standing, inverse / stretch, np.nan), inverse_distance)
        unknown = ~np.isfinite(inverse_distance)
        inverse_distance[unknown] = 0.5 * np.nanmin(inverse_distance) if (~unknown).any() else 1.0
    positions = np.broadcast_to(bearing / inverse_distance[:, None], (frames, count, 3)).copy()
    moving = ~standing & (views >= min(SHORTEST_MOVER, frames))
    if not lone_movers:
        moving &= ~_slipped(flow, moving, error, limit, cameras)
    positions[:, moving] = place_movers(flow.xy[:, moving], flow.seen[:, moving], cameras, inverse[:, moving])
    error = np.where(moving, limit, error)
    return Lifted(positions, moving, error, standing | moving, assumed, map_error=map_error)


def lift_travelling(
    flow: PixelTracks,
    cameras: Cameras,
    registered: np.ndarray,  # [T] bool
    measured: np.ndarray | None,
    *,
    limit: float,
    lone_movers: bool = False,
) -> Lifted:
    """Before a travelling camera, parallax gives the depth of standing points, maps or contact that of moving ones.

    A point that seems to move with no other is doubtful unless it moves far, or `lone_movers` are to be kept.
    """
    frames, count = flow.seen.shape
    rays, _ = _rays_and_bearings(flow, cameras)
    usable = flow.seen & registered[:, None]
    seen = Observations.of(flow.xy, usable)
    found = refine_points(cameras, triangulate(cameras, seen, count), seen, huber=0.5 * limit)
    found, again = _standing_again(found, flow.xy, usable, cameras, limit)
    depth = cameras.depths(found.points)
    good = ((found.views >= FEWEST_VIEWS) & (found.middle < STANDS * limit)) | again
    certain = good & (0.5 * limit * found.depth_deviation < DEPTH_KNOWN)
    typical = float(np.median(depth[usable & certain])) if certain.any() else 1.0
    first = np.where(flow.seen.any(0), flow.seen.argmax(0), 0)
    far = good & ~certain & (depth[first, np.arange(count)] > FAR * typical)
    moving = (found.middle > MOVES * limit) & (found.views >= min(SHORTEST_MOVER, frames)) & ~again
    slipped = np.zeros(count, bool) if lone_movers else _slipped(flow, moving, found.middle, limit, cameras)
    moving &= ~slipped
    expected = np.where(usable & certain & (depth > 0), 1 / np.maximum(depth, 1e-9), np.nan)
    assumed, map_error, by_map = np.zeros(count, int), np.nan, np.zeros(count, bool)
    points = found.points.copy()
    if measured is None:
        width, height = 2 * cameras.center
        inverse = resting_inverse_depth(flow.xy, flow.seen, moving, expected, width, height)
        assumed[moving] = BY_CONTACT
        kept = certain | far | moving
    else:
        alignment = align_to_points(measured, expected)
        inverse = alignment.inverse(measured)
        moving |= _contradicted(inverse, expected, certain) & (found.views >= min(SHORTEST_MOVER, frames))
        map_error = _spread(np.where(certain & ~moving, inverse, np.nan), expected)
        by_map = good & ~certain & ~moving & np.isfinite(inverse).any(0)
        points[by_map] = _along_rays(inverse, rays, cameras, flow.seen)[by_map]
        kept = certain | far | moving | by_map
    points = _clamped(points, cameras, first, FARTHEST * typical)
    positions = np.broadcast_to(points, (frames, count, 3)).copy()
    positions[:, moving] = place_movers(flow.xy[:, moving], flow.seen[:, moving], cameras, inverse[:, moving])
    surely = certain & ~moving
    noise = CORRELATED * max(float(np.median(found.middle[surely])), LEAST_NOISE) if surely.any() else np.nan
    # What fits no scene and moves as nothing does tells that the solve errs by more than the points that it chose show.
    long = found.views > FEWEST_VIEWS
    explained = max(float((good & long).sum()) / max(int((long & ~moving).sum()), 1), LEAST_EXPLAINED)
    standing_error = noise * float(np.median(found.depth_deviation[surely])) / explained if surely.any() else np.nan
    off = np.maximum(found.middle, np.nan_to_num(noise) / CORRELATED)
    depth_error = np.minimum(CORRELATED * off * found.depth_deviation / explained, 1.0)
    distance = np.maximum(depth[first, np.arange(count)], 1e-9)
    depth_error = np.where(moving | by_map, 0.0, depth_error * np.minimum(typical / distance, 1))
    error = np.where(moving, limit, found.middle)
    return Lifted(positions, moving, error, kept, assumed, depth_error, standing_error, map_error)


def _slipped(flow: PixelTracks, moving: np.ndarray, error: np.ndarray, limit: float, cameras: Cameras) -> np.ndarray:
    """Which points [N] only seem to move: with no other, and not far."""
    return (
        moving
        & (error < SURELY_MOVES * limit)
        & (moving_objects(flow.xy, flow.seen, moving, 2 * cameras.center[0]) < 0)
    )


def _standing_again(
    found: Triangulated, xy: np.ndarray, usable: np.ndarray, cameras: Cameras, limit: float
) -> tuple[Triangulated, np.ndarray]:
    """Points that seem to move and stand after all [N] bool, in their place."""
    doubted = np.flatnonzero(found.middle > STANDS * limit)
    stands = found.middle < STANDS * limit
    depth = cameras.depths(found.points)
    well = usable & stands & (depth > 0)
    none = np.zeros(len(stands), bool)
    if not len(doubted) or not well.any():
        return found, none
    typical = float(np.median(depth[well]))
    again = standing_again(xy[:, doubted], usable[:, doubted], cameras, typical=typical, limit=limit)
    index = doubted[again.stands]
    if not len(index):
        return found, none
    none[index] = True
    told = refine_points(
        cameras, again.points[again.stands], Observations.of(xy[:, index], usable[:, index]), huber=0.5 * limit,
        rounds=0,
    )  # fmt: skip
    fields = {
        "points": told.points, "worst": told.worst, "middle": again.error[again.stands],
        "depth_deviation": told.depth_deviation,
    }  # fmt: skip
    changed = {name: getattr(found, name).copy() for name in fields}
    for name, values in fields.items():
        changed[name][index] = values
    return replace(found, **changed), none


def _rays_and_bearings(flow: PixelTracks, cameras: Cameras) -> tuple[np.ndarray, np.ndarray]:
    """Viewing rays with z = 1 in camera axes [T, N, 3], and each point's mean unit bearing in world axes [N, 3]."""
    rays = _rays(flow.xy, cameras)
    unit = rays / np.linalg.norm(rays, axis=2, keepdims=True)
    total = np.einsum("tji,tnj,tn->ni", cameras.rotation, unit, flow.seen.astype(float))
    return rays, total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9)


def _upright(inverse: np.ndarray, flow: PixelTracks, moving: np.ndarray, width: float) -> np.ndarray:
    """Inverse depth [T, N] with one value an object and frame, the median of its tracks."""
    out = inverse.copy()
    labels = moving_objects(flow.xy, flow.seen, moving, width)
    for label in range(labels.max(initial=-1) + 1):
        mine = labels == label
        middle = nan_median(np.where(flow.seen[:, mine], inverse[:, mine], np.nan).T)
        out[:, mine] = np.where(flow.seen[:, mine], middle[:, None], inverse[:, mine])
    return out


def _rays(xy: np.ndarray, cameras: Cameras) -> np.ndarray:
    """Viewing rays with z = 1 in camera axes [T, N, 3] of pixels [T, N, 2]."""
    flat = (xy - cameras.center) / cameras.focal[:, None, None]
    return np.concatenate([flat, np.ones((*flat.shape[:2], 1))], 2)


def place_movers(
    xy: np.ndarray,  # [T, n, 2] pixels
    life: np.ndarray,  # [T, n] bool, where they were followed
    cameras: Cameras,
    inverse: np.ndarray,  # [T, n] inverse depth, NaN where unknown
) -> np.ndarray:
    """The path [T, n, 3] of moving points: unprojected where followed, carried along with neighbours elsewhere."""
    if not xy.shape[1]:
        return np.zeros((*life.shape, 3))
    depth_inverse = smoothed(inverse, life)
    fallback = float(np.nanmedian(depth_inverse[life])) if np.isfinite(depth_inverse[life]).any() else 1.0
    depth_inverse = np.where(np.isfinite(depth_inverse), depth_inverse, fallback)
    local = _rays(xy, cameras) / depth_inverse[..., None] - cameras.translation[:, None]
    return carried(np.einsum("tji,tnj->tni", cameras.rotation, local), life)


def carried(path: np.ndarray, life: np.ndarray) -> np.ndarray:
    """Moving points [T, N, 3] beyond their life [T, N]: they go on with the living movers nearest to them, or wait.

    Before its first and after its last frame a point takes the step that its three nearest living neighbours take.
    """
    path, frames = path.copy(), len(path)
    for order in (range(frames - 1), range(frames - 1, 0, -1)):
        step = 1 if order.step > 0 else -1
        known = life.copy()
        for t in order:
            known[t] |= known[t - step] if 0 <= t - step < frames else False
            gone = known[t] & ~life[t + step] & _past_life(life, t + step, step)
            guides = np.flatnonzero(life[t] & life[t + step])
            path[t + step, gone] = path[t, gone]
            if gone.any() and len(guides):
                near = min(3, len(guides))
                distance, guide = KDTree(path[t, guides]).query(path[t, gone], k=near)
                distance, guide = distance.reshape(-1, near), guide.reshape(-1, near)
                reach = 0.15 * np.linalg.norm(path[t, gone], axis=1, keepdims=True)
                weight = (distance < reach).astype(float)
                motion = path[t + step, guides] - path[t, guides]
                share = weight / np.maximum(weight.sum(1, keepdims=True), 1)
                path[t + step, gone] += np.einsum("nk,nkd->nd", share, motion[guide])
    return path


def _past_life(life: np.ndarray, t: int, step: int) -> np.ndarray:
    """Which points have no living frame from `t` on in this direction."""
    rest = life[t:] if step > 0 else life[: t + 1]
    return np.asarray(~rest.any(0))


def _contradicted(inverse: np.ndarray, expected: np.ndarray, certain: np.ndarray) -> np.ndarray:
    """Points whose parallax depth the aligned maps deny: they move along with it. None where the maps are poor."""
    off = np.abs(np.log(nan_median(inverse / np.where(np.isfinite(expected), expected, np.nan))))
    known = np.isfinite(off) & certain
    if known.sum() < 20 or np.median(off[known]) > 0.4 * MAP_DISAGREES:
        return np.zeros(len(certain), bool)
    return known & (off > np.clip(6 * np.median(off[known]), *SURELY_OTHER))


def _along_rays(inverse: np.ndarray, rays: np.ndarray, cameras: Cameras, seen: np.ndarray) -> np.ndarray:
    """World points [N, 3]: the median over frames of the aligned maps' unprojections."""
    local = rays / inverse[..., None] - cameras.translation[:, None]
    world = np.einsum("tji,tnj->tni", cameras.rotation, local)
    world[~seen] = np.nan
    return np.stack([nan_median(world[..., axis]) for axis in range(3)], 1)


def _clamped(points: np.ndarray, cameras: Cameras, first: np.ndarray, farthest: float) -> np.ndarray:
    """Points pulled along their first viewing ray to at most `farthest` from that camera."""
    origin = cameras.centers()[first]
    offset = np.where(np.isfinite(points), points, 0) - origin
    length = np.linalg.norm(offset, axis=1, keepdims=True)
    return origin + offset * np.minimum(1, farthest / np.maximum(length, 1e-12))


def _spread(values: np.ndarray, expected: np.ndarray) -> float:
    """Standard deviation of inverse depths about what is expected, as a share, read off the median deviation."""
    ratio = values / expected
    off = np.abs(ratio[np.isfinite(ratio) & (ratio > 0)] - 1)
    return 1.4826 * float(np.median(off)) if len(off) else np.nan


def _root_mean_square(error: np.ndarray, seen: np.ndarray) -> np.ndarray:
    return np.sqrt((error**2 * seen).sum(0) / np.maximum(seen.sum(0), 1))
