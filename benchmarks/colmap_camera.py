"""COLMAP's camera and points from followed points, through pycolmap: a peer for the built-in solver.

pycolmap is no dependency of the project. It may live in a folder of its own (`pip install --no-deps --target DIR
pycolmap`, then `PYTHONPATH=DIR`).

COLMAP is used as for a short video: frames matched in sequence and at doubling distances, every pair verified, one
SIMPLE_PINHOLE camera whose focal length is refined, a first pair of less parallax than photographs have, COLMAP's own
tolerances while the model grows. At the end the model gets what the built-in solver also gives itself: two rounds over
the points that fit within `limit`, with a robust loss. Both put the centre of the first pixel at 0.5, so nothing is
shifted. Moving things are a trap for it: they are rigid as well, and with a free focal length the growing model bends
around them.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from track2view_core.tracks.trackers.flow import PixelTracks

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
