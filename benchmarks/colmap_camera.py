"""COLMAP's camera from the same followed points, through pycolmap: an oracle for the built-in solver.

pycolmap is no dependency of the project. It may live in a folder of its own (`pip install --no-deps --target DIR
pycolmap`, then `PYTHONPATH=DIR`).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from track2view_core.tracks.trackers.flow import PixelTracks

FEWEST_SHARED = 20


def colmap_camera(
    flow: PixelTracks, width: float, height: float, focal: float, *, limit: float, threads: int
) -> tuple[np.ndarray, np.ndarray, float] | None:
    """Incremental mapping: frame numbers [R], world_from_camera [R, 4, 4] and focal; None where it finds no model.

    Frames are matched as in a video, at distances of 1, 2, 3, 4, 6, 8, 12 and so on. One camera, its focal refined.
    `limit` is the error in pixels that a good point may have, for both solvers: COLMAP's own is made for photographs.
    """
    import pycolmap

    pycolmap.logging.minloglevel = 3
    with tempfile.TemporaryDirectory() as folder:
        database_path = Path(folder) / "database.db"
        pairs_path = Path(folder) / "pairs.txt"
        _write_database(pycolmap, database_path, pairs_path, flow, width, height, focal)
        verification = pycolmap.TwoViewGeometryOptions()
        verification.ransac.max_error = limit
        pycolmap.verify_matches(database_path, pairs_path, verification)
        options = pycolmap.IncrementalPipelineOptions()
        options.extract_colors, options.multiple_models = False, False
        options.num_threads, options.random_seed = threads, 0
        options.mapper.init_min_tri_angle, options.mapper.init_min_num_inliers = 4.0, 50  # a clip, no photo collection
        options.mapper.filter_max_reproj_error, options.mapper.abs_pose_max_error = limit, 3 * limit
        models = pycolmap.incremental_mapping(database_path, folder, folder, options)
        if not models:
            return None
        model = max(models.values(), key=lambda m: m.num_reg_images())
        frames, poses = [], []
        for image in model.images.values():
            if image.has_pose:
                pose = np.eye(4)
                pose[:3] = image.cam_from_world().inverse().matrix()
                frames.append(int(image.name.split(".")[0]))
                poses.append(pose)
        order = np.argsort(frames)
        return np.array(frames)[order], np.stack(poses)[order], float(next(iter(model.cameras.values())).focal_length)


def _write_database(
    pycolmap, path: Path, pairs: Path, flow: PixelTracks, width: float, height: float, focal: float
) -> None:
    frames = len(flow.xy)
    lines = []
    with pycolmap.Database.open(path) as database:
        camera = pycolmap.Camera(
            model="SIMPLE_PINHOLE",
            width=round(width),
            height=round(height),
            params=[focal, width / 2, height / 2],
        )
        camera.has_prior_focal_length = True  # calibrated two-view geometry; without it no short clip is solved
        camera.camera_id = database.write_camera(camera)
        rig = pycolmap.Rig()
        rig.add_ref_sensor(camera.sensor_id)
        rig.rig_id = database.write_rig(rig)
        identifiers = []
        for t in range(frames):
            image = pycolmap.Image(name=f"{t:05d}.png", camera_id=camera.camera_id)
            image.image_id = database.write_image(image)
            frame = pycolmap.Frame()
            frame.rig_id = rig.rig_id
            frame.add_data_id(image.data_id)
            frame.frame_id = database.write_frame(frame)
            database.write_keypoints(image.image_id, flow.xy[t, flow.seen[t]].astype(np.float32))
            identifiers.append(image.image_id)
        place = np.cumsum(flow.seen, 1) - 1
        for gap in sorted({g for k in range(12) for g in (2**k, 3 * 2**k)}):
            for t in range(frames - gap):
                shared = np.flatnonzero(flow.seen[t] & flow.seen[t + gap])
                if len(shared) >= FEWEST_SHARED:
                    matches = np.stack([place[t, shared], place[t + gap, shared]], 1).astype(np.uint32)
                    database.write_matches(identifiers[t], identifiers[t + gap], matches)
                    lines.append(f"{t:05d}.png {t + gap:05d}.png")
    pairs.write_text("\n".join(lines))
