"""Rendered scenes with the whole truth, for what re-films a clip without a model: held out, made once, kept in a file.

What moves stands on the floor and slides over it, as people and cars do, and the camera looks a little down, so that
the floor is seen: a floating thing, or one whose feet no frame shows, tells nobody its distance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import track2view_core.tracks
from track2view_core.cameras import CameraPath, preset_path
from track2view_core.cameras.rotations import rotation_exponential
from track2view_core.scenes import Scene, View, exact_tracks, random_paths, random_scenes, render, source_camera
from track2view_core.scenes.scene import Texture
from track2view_core.tracks import PointTracks, load_tracks, save_tracks
from track2view_core.tracks.cache import code_version
from track2view_core.tracks.trackers import KltTracker

SEED = 950_000  # held out: no training uses them, and no constant of the render room was chosen on them
WIDTH, HEIGHT, FRAMES, POINTS = 480, 272, 25, 1024
MOVES = ("orbit_left", "truck_left", "dolly_in")
AMOUNT = 0.4
JUDGED = (6, 12, 18, 24)
"""Frames whose truth is rendered in the target view."""
SOURCES = ("truck", "arc", "pan_truck", "truck", "dolly", "arc")
"""How the clip's own camera moves, scene by scene."""
DOWN = 15.0
"""Degrees by which the camera looks below the horizon."""


@dataclass(frozen=True, eq=False)
class TrueScene:
    """One clip with everything that is true of it; the world is the camera of frame 0, lengths are the scene's."""

    name: str
    frames: Tensor  # [T, H, W, 3] uint8
    depth: Tensor  # [T, H, W] float32, camera z
    empty_depth: Tensor  # [T, H, W] float32, camera z of what stands, also behind what moves
    moving: Tensor  # [T, H, W] bool
    truth: Tensor  # [moves, judged, H, W, 3] uint8
    hidden: Tensor  # [moves, judged, H, W] bool: the source's frame does not show this
    tracks: dict[str, PointTracks]  # "exact" and "klt"

    def target(self, move: str, tracks: PointTracks) -> CameraPath:
        """The same path for all trackers: the world is the true camera's."""
        scale = self.tracks["exact"].scene_scale
        return preset_path(move, tracks.camera, amount=AMOUNT, scene_scale=scale, relative_to="source")


def true_scenes(count: int, folder: Path) -> Iterator[TrueScene]:
    """Scene i does not depend on `count`; detailed and smooth textures take turns, two of three have movers.

    What is rendered stays in `folder`; the built-in tracker's tracks do for as long as the tracker's code is the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        texture: Texture = "smooth" if index % 2 else "detailed"
        source, moves = SOURCES[index // 2 % len(SOURCES)], index // 2 % 3 != 1
        name = f"{index:02d}_{texture}_{source}{'_movers' if moves else ''}"
        if not (folder / f"{name}.npz").exists():
            _write(_made(name, texture, source, moves, SEED + index), folder)
        yield _read(name, folder)


def _made(name: str, texture: Texture, source: str, moves: bool, seed: int) -> TrueScene:
    scene = _on_the_floor(random_scenes(1, seed=seed, texture=texture, dynamic=float(moves)))
    paths = random_paths(1, FRAMES, seed=seed, width=WIDTH, height=HEIGHT, source_moves=(source,))
    tilt = torch.eye(4)
    tilt[:3, :3] = rotation_exponential(torch.tensor([-math.radians(DOWN), 0.0, 0.0]))
    poses, lens, time = paths.world_from_camera[:, 0] @ tilt, paths.intrinsics, paths.time
    view = _seen(scene, poses, lens, time)
    moved = (scene.velocity.abs().sum(-1) > 0)[0]  # [K]
    stage = replace(scene, centre=torch.where(moved[None, :, None], torch.full_like(scene.centre, 50.0), scene.centre))
    is_mover = torch.cat([torch.zeros(1, dtype=torch.bool), moved])
    camera = source_camera(poses[0], lens[0], WIDTH, HEIGHT, fps=16.0)
    exact = exact_tracks(scene, view, poses, lens, time, points=POINTS, seed=1)[0]
    truth, hidden = [], []
    for move in MOVES:
        path = preset_path(move, camera, amount=AMOUNT, scene_scale=exact.scene_scale, relative_to="source")
        target = (poses[0, :1].double() @ path.world_from_camera)[None].float()
        index = list(JUDGED)
        seen = _seen(scene, target[:, index], lens, time[:, index])
        truth.append(seen.frames())
        hidden.append(torch.stack([_hidden(seen, view, target[0, t], poses[0, t], lens[0], j, t)
                                   for j, t in enumerate(JUDGED)]))  # fmt: skip
    return TrueScene(
        name,
        view.frames(),
        view.depth[0],
        _seen(stage, poses, lens, time, supersample=1).depth[0],
        is_mover[view.surface[0]],
        torch.stack(truth),
        torch.stack(hidden),
        {"exact": exact},
    )


def _on_the_floor(scene: Scene) -> Scene:
    """Objects that move stand on the floor in the far half of the room, keep their height, turn about the vertical."""
    moves = scene.velocity.abs().sum(-1, keepdim=True) > 0
    upright = torch.eye(3).expand_as(scene.rotation)
    floor = scene.room[:, None, 1:2] - scene.size[..., 1:2]
    flat, vertical = torch.tensor([1.0, 0.0, 0.5]), torch.tensor([0.0, 1.0, 0.0])
    back = torch.tensor([0.0, 0.0, 1.1])
    return replace(
        scene,
        size=torch.where(moves, scene.size * torch.tensor([1.0, 2.0, 1.0]), scene.size),
        rotation=torch.where(moves[..., None], upright, scene.rotation),
        centre=torch.where(
            moves, scene.centre * flat + back + (floor - scene.size[..., 1:2] * moves) * vertical, scene.centre
        ),
        velocity=scene.velocity * flat,
        sway=scene.sway * flat,
        spin=scene.spin * vertical,
    )


def _seen(scene: Scene, poses: Tensor, lens: Tensor, time: Tensor, supersample: int = 2) -> View:
    views = [
        render(scene, poses[:, t : t + 1], lens, time[:, t : t + 1], WIDTH, HEIGHT, supersample)
        for t in range(poses.shape[1])
    ]
    return View(*(torch.cat([getattr(view, field.name) for view in views], 1) for field in fields(View)))


def _hidden(seen: View, source: View, target: Tensor, pose: Tensor, lens: Tensor, j: int, t: int) -> Tensor:
    """Which pixels [H, W] of the target view the source's frame `t` does not show."""
    y, x = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
    rays = torch.stack([x, y, torch.ones_like(x)], -1) @ torch.linalg.inv(lens).T
    world = (rays * seen.depth[0, j, ..., None]) @ target[:3, :3].T + target[:3, 3]
    local = (world - pose[:3, 3]) @ pose[:3, :3]
    pixel = local @ lens.T / local[..., 2:].clamp(min=1e-6)
    column, row = pixel[..., 0].floor().long(), pixel[..., 1].floor().long()
    inside = (local[..., 2] > 0) & (column >= 0) & (row >= 0) & (column < WIDTH) & (row < HEIGHT)
    first = source.depth[0, t][row.clamp(0, HEIGHT - 1), column.clamp(0, WIDTH - 1)]
    return ~inside | (local[..., 2] > 1.03 * first)


_ARRAYS = ("frames", "depth", "empty_depth", "moving", "truth", "hidden")


def _write(scene: TrueScene, folder: Path) -> None:
    save_tracks(scene.tracks["exact"], folder / f"{scene.name}.exact.safetensors")
    arrays = {name: getattr(scene, name).numpy() for name in _ARRAYS}
    np.savez(folder / f"{scene.name}.npz", **arrays)  # last, so that a broken run leaves no half of a scene


def _read(name: str, folder: Path) -> TrueScene:
    with np.load(folder / f"{name}.npz") as file:
        arrays = {key: torch.from_numpy(file[key]) for key in _ARRAYS}
    exact = load_tracks(folder / f"{name}.exact.safetensors")
    klt = built_in_tracks(arrays["frames"], folder, name, points=POINTS, camera=exact.camera)
    return TrueScene(name, **arrays, tracks={"exact": exact, "klt": klt})


def built_in_tracks(video: Tensor, folder: Path, name: str, **settings: Any) -> PointTracks:
    """What `KltTracker` of today's code finds in the clip of that name, kept in `folder`."""
    code = code_version(Path(track2view_core.tracks.__file__).parent)[:12]
    file = folder / f"{name}.klt.{code}.safetensors"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        save_tracks(KltTracker().track(video, **settings), file)
    return load_tracks(file)
