"""The built-in camera solver beside COLMAP's, on the same followed points of rendered clips, in the same run.

Both get the points that the built-in tracker follows, and by default only those that truly stand: which things move is
not for COLMAP to find out. `--with-movers` gives both all the points, as a real clip would. Both begin from the same
wrong focal length. Points are scored where both solved them.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.meters import cpu_and_wall
from track2view_core.evaluation import rotation_error
from track2view_core.evaluation.camera_errors import path_scores
from track2view_core.evaluation.tracker_scores import point_scores
from track2view_core.scenes import RenderedClip
from track2view_core.scenes.ray_casting import cast
from track2view_core.tracks.trackers.camera_solver import Cameras
from track2view_core.tracks.trackers.flow import PixelTracks, follow_points
from track2view_core.tracks.trackers.footage import gray_frames
from track2view_core.tracks.trackers.reconstruction import reconstruct
from track2view_core.tracks.trackers.shots import USUAL_FOCAL
from track2view_core.tracks.trackers.triangulation import lift_travelling

Row = dict[str, Any]
HEAD = (
    "move      frames seed solver    placed  focal %  rot deg   ATE %  points  APD3D   CPU s  wall s\n"
    "(rotation: the largest error; ATE: of the path's length; APD3D: of the points that both solved)"
)
SEPARATE = 1e-6
FIGURES = ("ate", "degrees", "focal", "cpu", "wall")


@dataclass(frozen=True, eq=False)
class Solved:
    frames: np.ndarray  # [R]
    poses: np.ndarray  # [R, 4, 4] world_from_camera
    focal: float
    points: np.ndarray  # [N, 3]
    solved: np.ndarray  # [N] bool
    cpu: float
    wall: float


def followed(clip: RenderedClip, *, with_movers: bool, density: int = 1024) -> PixelTracks:
    flow = follow_points(gray_frames(clip.frames.numpy(), 1.0), len(clip.frames), density=density)
    return flow if with_movers else flow.select(standing_points(clip, flow))


def standing_points(clip: RenderedClip, flow: PixelTracks) -> np.ndarray:
    """[N] bool: points that lie on something standing wherever they were followed."""
    scene = clip.scene
    moves = (scene.velocity.abs() + scene.sway.abs() + scene.spin.abs()).sum(-1)[0] > 0
    moves = torch.cat([torch.zeros(1, dtype=torch.bool), moves])  # the room stands
    standing = np.ones(flow.seen.shape[1], bool)
    for t in range(len(flow.xy)):
        here = np.flatnonzero(flow.seen[t])
        surface, _ = _hit(clip, t, flow.xy[t, here])
        standing[here[moves[surface].numpy()]] = False
    return standing


def true_points(clip: RenderedClip, flow: PixelTracks) -> Tensor:
    """[N, 3] where the points lie, by the pixel at which each was first seen; world = true camera of frame 0."""
    first = flow.seen.argmax(0)
    out = torch.zeros(len(first), 3)
    for t in np.unique(first):
        here = np.flatnonzero(first == t)
        _, out[here] = _hit(clip, int(t), flow.xy[t, here])
    return out


def _hit(clip: RenderedClip, t: int, xy: np.ndarray) -> tuple[Tensor, Tensor]:
    """Surface [n] and place [n, 3] that frame t shows at pixels [n, 2]."""
    pose, lens = clip.scene_from_camera[t], clip.camera.intrinsics[t].float()
    pixels = torch.cat([torch.from_numpy(xy).float(), torch.ones(len(xy), 1)], 1)
    rays = pixels @ torch.linalg.inv(lens).T @ pose[:3, :3].T
    origin = pose[:3, 3].expand(len(rays), 3)
    hits = cast(clip.scene, origin[None, None], rays[None, None], clip.time[None, t : t + 1])
    place = origin + hits.distance[0, 0, :, None] * rays
    start = clip.scene_from_camera[0]
    return hits.surface[0, 0], (place - start[:3, 3]) @ start[:3, :3]


def built_in(flow: PixelTracks, clip: RenderedClip, focal: float, limit: float) -> Solved | None:
    width, height = clip.camera.width, clip.camera.height

    def solved_and_lifted():
        found = reconstruct(flow, np.array([width / 2, height / 2]), focal=focal, focal_known=False, limit=limit)
        if found is None:
            return None
        return found, lift_travelling(flow, found.cameras, found.registered, None, limit=limit)

    answer, cpu, wall = cpu_and_wall(solved_and_lifted)
    if answer is None:
        return None
    found, lifted = answer
    placed = np.flatnonzero(found.registered)
    solved = lifted.kept & ~lifted.moving
    return Solved(
        placed, _poses(found.cameras)[placed], float(found.cameras.focal[0]), lifted.positions[0], solved, cpu, wall
    )


def _poses(cameras: Cameras) -> np.ndarray:
    poses = np.tile(np.eye(4), (len(cameras), 1, 1))
    poses[:, :3, :3], poses[:, :3, 3] = cameras.rotation.transpose(0, 2, 1), cameras.centers()
    return poses


def of_colmap(flow: PixelTracks, clip: RenderedClip, focal: float, limit: float, threads: int) -> Solved | None:
    import pycolmap  # noqa: F401  # loading it is not solving

    width, height = clip.camera.width, clip.camera.height
    model, cpu, wall = cpu_and_wall(lambda: colmap_model(flow, width, height, focal, limit=limit, threads=threads))
    if model is None:
        return None
    return Solved(model.frames, model.poses, model.focal, model.points, model.solved, cpu, wall)


def beside_colmap(clip: RenderedClip, *, threads: int, with_movers: bool) -> Row:
    """Both solvers on one clip, as a row."""
    flow = followed(clip, with_movers=with_movers)
    side = max(clip.camera.width, clip.camera.height)
    focal, limit = USUAL_FOCAL * side, max(1.0, 0.0012 * side)
    answers = {
        "built-in": built_in(flow, clip, focal, limit),
        "pycolmap": of_colmap(flow, clip, focal, limit, threads),
    }
    common = np.logical_and.reduce([answer.solved for answer in answers.values() if answer is not None])
    return {
        "followed": int(flow.seen.shape[1]),
        "solvers": {name: _figures(answer, flow, clip, common) for name, answer in answers.items()},
    }


def _figures(answer: Solved | None, flow: PixelTracks, clip: RenderedClip, common: np.ndarray) -> Row | None:
    if answer is None:
        return None
    own, true = torch.from_numpy(answer.poses), clip.camera.world_from_camera[torch.from_numpy(answer.frames)]
    seen = torch.from_numpy(flow.seen[answer.frames][:, common])
    local = _in_camera(own, torch.from_numpy(answer.points[common]))
    truth = _in_camera(true, true_points(clip, flow)[common].double())
    true_focal = float(clip.camera.intrinsics[0, 0, 0])
    return {
        "frames": len(answer.frames),
        "focal": answer.focal / true_focal - 1,
        "degrees": float(rotation_error(own, true).max()),
        "ate": path_scores(own, true).ate,
        "points": int(answer.solved.sum()),
        "apd3d": point_scores(local, seen, truth, seen, true_focal).apd3d,
        "cpu": answer.cpu,
        "wall": answer.wall,
    }


def _in_camera(poses: Tensor, points: Tensor) -> Tensor:
    """[R, N, 3] world points [N, 3] in the axes of each camera."""
    return (points[None] - poses[:, None, :3, 3]) @ poses[:, :3, :3]


def lines(row: Row) -> Iterator[str]:
    head = f"{row['move']:9s} {row['frames']:6d} {row['seed']:4d}"
    for name, it in row["solvers"].items():
        if it is None:
            yield f"{head} {name:9s} no model"
            continue
        yield (
            f"{head} {name:9s} {it['frames']:6d} {100 * it['focal']:+8.2f} {it['degrees']:8.3f} {100 * it['ate']:7.3f}"
            f" {it['points']:4d}/{row['followed']:<4d} {it['apd3d']:5.3f} {it['cpu']:7.1f} {it['wall']:7.1f}"
        )
    if all(row["solvers"].values()):
        ratio = _ratios(row)
        yield (
            f"{head} built-in over pycolmap: ATE {ratio['ate']:.2f}, rotation {ratio['degrees']:.2f}, focal error "
            f"{ratio['focal']:.2f}, CPU {ratio['cpu']:.2f}, wall {ratio['wall']:.2f}"
        )


def _ratios(row: Row) -> dict[str, float]:
    own, other = row["solvers"]["built-in"], row["solvers"]["pycolmap"]
    return {key: max(abs(own[key]), SEPARATE) / max(abs(other[key]), SEPARATE) for key in FIGURES}


def verdict(rows: Iterable[Row]) -> str:
    """Over all rows: the geometric means of the ratios, and how often the built-in solver did better."""
    solved = [_ratios(row) for row in rows if all(row["solvers"].values())]
    if not solved:
        return "No clip was solved by both."
    told = []
    for key, word in zip(FIGURES, ("ATE", "rotation", "focal error", "CPU time", "wall time"), strict=True):
        values = [ratio[key] for ratio in solved]
        mean = math.exp(sum(map(math.log, values)) / len(values))
        told.append(f"{word} {mean:.2f} ({sum(value < 1 for value in values)} of {len(values)} better)")
    return "built-in over pycolmap, geometric mean: " + ", ".join(told)


FEWEST_SHARED = 20
VERIFIED_WITHIN = 4.0  # px, COLMAP's own
FIRST_PAIR_DEGREES, FIRST_PAIR_POINTS = 4.0, 50  # COLMAP's own 16 and 100 are for photographs
SMALLEST_ANGLE = 1.5  # degrees, COLMAP's own
POLISH_ROUNDS, POLISH_LOSS = 2, 0.3  # rounds, and px at which the loss turns from squares to lines


@dataclass(frozen=True, eq=False)
class ColmapModel:
    frames: np.ndarray  # [R] the registered ones, in order
    poses: np.ndarray  # [R, 4, 4] world_from_camera
    focal: float  # px
    points: np.ndarray  # [N, 3] world, of the followed points; 0 where not solved
    solved: np.ndarray  # [N] bool


def colmap_model(
    flow: PixelTracks, width: int, height: int, focal: float, *, limit: float, threads: int
) -> ColmapModel | None:
    """Incremental mapping from a first guess of the focal length; None where it finds no model."""
    import pycolmap

    pycolmap.logging.minloglevel = 3
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = _write_database(pycolmap, folder, flow, width, height, focal)
        verification = pycolmap.TwoViewGeometryOptions()
        verification.ransac.max_error = VERIFIED_WITHIN
        pycolmap.verify_matches(folder / "database.db", folder / "pairs.txt", verification)
        options = pycolmap.IncrementalPipelineOptions()
        options.extract_colors, options.multiple_models = False, False
        options.num_threads, options.random_seed = threads, 0
        options.mapper.init_min_tri_angle, options.mapper.init_min_num_inliers = FIRST_PAIR_DEGREES, FIRST_PAIR_POINTS
        models = pycolmap.incremental_mapping(folder / "database.db", folder, folder, options)
    if not models:
        return None
    model = max(models.values(), key=lambda found: found.num_reg_images())
    _polish(pycolmap, model, limit, threads)
    return _read(model, flow, images)


def _polish(pycolmap: Any, model: Any, limit: float, threads: int) -> None:
    options = pycolmap.BundleAdjustmentOptions()
    options.print_summary = False
    options.ceres.loss_function_type = pycolmap.LossFunctionType.SOFT_L1
    options.ceres.loss_function_scale = POLISH_LOSS
    options.ceres.solver_options.num_threads = threads
    for _ in range(POLISH_ROUNDS):
        pycolmap.ObservationManager(model).filter_all_points3D(limit, SMALLEST_ANGLE)
        pycolmap.bundle_adjustment(model, options)


def _read(model: Any, flow: PixelTracks, images: list[int]) -> ColmapModel:
    frame_of = {image: t for t, image in enumerate(images)}
    poses = {}
    for number, image in model.images.items():
        if image.has_pose:
            pose = np.eye(4)
            pose[:3] = image.cam_from_world().inverse().matrix()
            poses[frame_of[number]] = pose
    columns = [np.flatnonzero(seen) for seen in flow.seen]
    points, views = np.zeros((flow.seen.shape[1], 3)), np.zeros(flow.seen.shape[1], int)
    for point in model.points3D.values():  # a followed point may have fallen apart into several: the longest counts
        elements = point.track.elements
        first = elements[0]
        column = columns[frame_of[first.image_id]][first.point2D_idx]
        if len(elements) > views[column]:
            points[column], views[column] = point.xyz, len(elements)
    frames = np.array(sorted(poses))
    focal = float(next(iter(model.cameras.values())).focal_length)
    return ColmapModel(frames, np.stack([poses[t] for t in frames]), focal, points, views > 0)


def _write_database(pycolmap: Any, folder: Path, flow: PixelTracks, width: int, height: int, focal: float) -> list[int]:
    """database.db with one image a frame, and pairs.txt; gives the images' numbers."""
    with pycolmap.Database.open(folder / "database.db") as database:
        lens = [focal, width / 2, height / 2]
        camera = pycolmap.Camera(model="SIMPLE_PINHOLE", width=width, height=height, params=lens)
        camera.has_prior_focal_length = True  # calibrated two-view geometry; without it no short clip is solved
        camera.camera_id = database.write_camera(camera)
        rig = pycolmap.Rig()
        rig.add_ref_sensor(camera.sensor_id)
        rig.rig_id = database.write_rig(rig)
        images = []
        for t in range(len(flow.xy)):
            image = pycolmap.Image(name=f"{t:05d}.png", camera_id=camera.camera_id)
            image.image_id = database.write_image(image)
            frame = pycolmap.Frame()
            frame.rig_id = rig.rig_id
            frame.add_data_id(image.data_id)
            frame.frame_id = database.write_frame(frame)
            database.write_keypoints(image.image_id, flow.xy[t, flow.seen[t]].astype(np.float32))
            images.append(image.image_id)
        lines = _write_matches(database, flow, images)
    (folder / "pairs.txt").write_text("\n".join(lines), encoding="utf-8")
    return images


def _write_matches(database: Any, flow: PixelTracks, images: list[int]) -> list[str]:
    lines, place = [], np.cumsum(flow.seen, 1) - 1
    for gap in sorted({gap for k in range(12) for gap in (2**k, 3 * 2**k)}):
        for t in range(len(images) - gap):
            shared = np.flatnonzero(flow.seen[t] & flow.seen[t + gap])
            if len(shared) >= FEWEST_SHARED:
                matches = np.stack([place[t, shared], place[t + gap, shared]], 1).astype(np.uint32)
                database.write_matches(images[t], images[t + gap], matches)
                lines.append(f"{t:05d}.png {t + gap:05d}.png")
    return lines
