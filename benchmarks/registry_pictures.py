"""Draw the icon and the banner that the ComfyUI registry shows, with the project's own renderer.

python -m benchmarks.registry_pictures [FOLDER]

A scene seen from behind its cameras: the source path in blue, the new one in orange, and the tracks that moving points
leave. Both pictures show the same scene.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from track2view_core.cameras import CameraPath, preset_path, project
from track2view_core.preview import write_picture
from track2view_core.preview.drawing import SOURCE, TARGET, Color, draw_dot, draw_line
from track2view_core.scenes import Scene, exact_tracks, random_scenes, render
from track2view_core.tracks import PointTracks

FRAMES, SEED = 33, 12
SUBJECT = torch.tensor([0.0, 0.0, 0.7])  # what the cameras look at, world
SOURCE_FROM = torch.tensor([-0.7, -0.3, -1.7])
ICON_SIDE, BANNER_SIZE = 400, (1260, 540)
SHARPNESS = 3  # rays a pixel and side
FRUSTUM = 0.42  # m deep


@dataclass(frozen=True)
class Shot:
    """One look at the scene."""

    file: str
    size: tuple[int, int]  # px
    eye: tuple[float, float, float]
    at: tuple[float, float, float]
    fov: float  # degrees, horizontal
    points: int
    weight: float  # of the lines, px


SHOTS = (
    Shot("icon.png", (ICON_SIDE, ICON_SIDE), (0.3, -2.1, -4.3), (0.03, -0.28, -0.4), 50, 420, 1.6),
    Shot("banner.png", BANNER_SIZE, (0.9, -1.85, -4.6), (0.0, -0.2, -0.3), 70, 900, 1.4),
)
NOW = 0.6  # 0..1, the moment of the scene that is shown


@dataclass(frozen=True)
class Thing:
    centre: tuple[float, float, float]  # m
    half: float  # axis, m
    is_ellipsoid: bool
    velocity: tuple[float, float, float]
    spin: float  # radians about y over the clip
    colors: tuple[tuple[float, float, float], tuple[float, float, float]]  # 0..1, mixed in its texture


THINGS = (
    Thing((0.0, 0.15, 0.7), 0.62, True, (0.0, 0.0, 0.0), 1.1, ((1.0, 0.55, 0.2), (0.95, 0.35, 0.25))),
    Thing((-1.7, 0.3, 1.5), 0.46, False, (0.0, 0.0, -0.3), 1.4, ((0.15, 0.6, 0.7), (0.1, 0.35, 0.6))),
    Thing((1.3, 0.35, 1.4), 0.42, False, (0.7, 0.0, -0.6), -1.6, ((0.75, 0.3, 0.75), (0.4, 0.25, 0.7))),
    Thing((1.5, -0.75, 2.0), 0.34, True, (-1.8, -0.2, 0.0), 2.0, ((0.95, 0.85, 0.35), (0.7, 0.75, 0.3))),
)
WALLS = (0.16, 0.2, 0.28)


def looking(eye: Tensor, at: Tensor) -> Tensor:
    """World from camera [4, 4] float64 of a camera at `eye` whose middle shows `at`, upright (y is down)."""
    forward = torch.nn.functional.normalize((at - eye).double(), dim=0)
    right = torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64), forward)
    right = torch.nn.functional.normalize(right, dim=0)
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.stack([right, torch.linalg.cross(forward, right), forward], dim=1)
    pose[:3, 3] = eye.double()
    return pose


def lens(fov: float, width: int, height: int) -> Tensor:
    """[3, 3] float64."""
    focal = 0.5 * width / np.tan(np.radians(fov) / 2)
    return torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float64)


def room() -> Scene:
    """Four things in a dark room that holds the onlooker too; the first one is the subject."""
    scene = random_scenes(1, seed=SEED, texture="detailed", dynamic=1.0, objects=len(THINGS))
    shades = torch.tensor([thing.colors * 2 for thing in THINGS])  # [K, 4, 3]
    walls = torch.tensor(WALLS) * torch.tensor([0.75, 1.0, 1.2, 0.9])[:, None]
    return replace(
        scene,
        room=torch.tensor([[6.5, 2.2, 7.0]]),
        centre=torch.tensor([[thing.centre for thing in THINGS]]),
        size=torch.tensor([[[thing.half] * 3 for thing in THINGS]]),
        is_ellipsoid=torch.tensor([[thing.is_ellipsoid for thing in THINGS]]),
        velocity=torch.tensor([[thing.velocity for thing in THINGS]]),
        sway=torch.zeros_like(scene.sway),
        spin=torch.tensor([[(0.0, thing.spin, 0.0) for thing in THINGS]]),
        rotation=torch.eye(3).expand_as(scene.rotation),
        colour=torch.cat([walls[None], shades])[None],
    )


def source_path() -> CameraPath:
    """The filming camera: a short arc to the left, held on the subject."""
    places = SOURCE_FROM + torch.linspace(0, 1, FRAMES)[:, None] * torch.tensor([-1.0, 0.1, 0.6])
    poses = torch.stack([looking(place, SUBJECT) for place in places])
    return CameraPath(poses, lens(56, 320, 180).expand(FRAMES, 3, 3), 320, 180, 16.0)


def tracks_of(scene: Scene, source: CameraPath, points: int) -> PointTracks:
    """Exact tracks in the world of the scene."""
    time = torch.linspace(0, 1, FRAMES)[None]
    poses = source.world_from_camera.float()[None]
    lens_of_all = source.intrinsics[:1].float()
    view = render(scene, poses, lens_of_all, time, source.width, source.height)
    (tracks,) = exact_tracks(scene, view, poses, lens_of_all, time, points=points, seed=SEED)
    first = source.world_from_camera[0].float()
    return replace(tracks, positions=tracks.positions @ first[:3, :3].T + first[:3, 3], camera=source)


def draw(shot: Shot) -> Tensor:
    """[H, W, 3] uint8."""
    scene = room()
    source = source_path()
    distance = float((SUBJECT - SOURCE_FROM).norm())
    target = preset_path("orbit_right", source, amount=2.2, scene_scale=distance, relative_to="first_frame")
    width, height = shot.size
    pose, lens_of_shot = looking(torch.tensor(shot.eye), torch.tensor(shot.at)), lens(shot.fov, width, height)
    view = render(
        scene, pose.float()[None, None], lens_of_shot.float()[None], torch.tensor([[NOW]]), width, height,
        supersample=SHARPNESS,
    )  # fmt: skip
    picture = view.frames()[0].numpy().copy()
    onlooker = CameraPath(pose[None], lens_of_shot[None], width, height, 16.0)
    now = round(NOW * (FRAMES - 1))
    scale = shot.weight

    def pixels(points: Tensor) -> np.ndarray:
        return project(onlooker, points.float()[None]).xy[0].double().numpy()

    tracks = tracks_of(scene, source, shot.points)
    positions = tracks.positions
    flat = pixels(positions.reshape(-1, 3)).reshape(FRAMES, -1, 2)
    moved = (positions[-1] - positions[0]).norm(dim=-1) > 0.05
    seen = (tracks.visible.any(dim=0) & moved).numpy()
    for index in np.flatnonzero(seen):
        color = hue(index / positions.shape[1])
        draw_line(picture, flat[: now + 1, index], color, round(scale))
        draw_dot(picture, flat[now, index], 2.2 * scale, color)
    for path, color in ((source, SOURCE), (target, TARGET)):
        places = path.world_from_camera[:, :3, 3]
        draw_line(picture, pixels(places), color, round(3 * scale))
        for t in np.linspace(0, FRAMES - 1, 5).round().astype(int):
            draw_frustum(picture, path, int(t), pixels, color, strong=int(t) in (0, FRAMES - 1), scale=scale)
    return torch.from_numpy(picture)


def draw_frustum(
    picture: np.ndarray,  # [H, W, 3] uint8, drawn on in place
    path: CameraPath,
    t: int,
    pixels: Callable[[Tensor], np.ndarray],  # [N, 3] world -> [N, 2] px
    color: Color,
    *,
    strong: bool,
    scale: float,
) -> None:
    inverse = torch.linalg.inv(path.intrinsics[t])
    corners = torch.tensor([(0, 0, 1), (path.width, 0, 1), (path.width, path.height, 1), (0, path.height, 1)])
    pose = path.world_from_camera[t]
    world = (corners.double() @ inverse.T * FRUSTUM) @ pose[:3, :3].T + pose[:3, 3]
    drawn = pixels(torch.cat([pose[None, :3, 3], world]))
    if strong:
        shade = picture.copy()
        cv2.fillConvexPoly(shade, np.round(drawn[1:]).astype(np.int32), color, cv2.LINE_AA)
        picture[:] = (0.55 * picture + 0.45 * shade).astype(np.uint8)
    weight = round((2 if strong else 1) * scale)
    for corner in drawn[1:]:
        draw_line(picture, np.stack([drawn[0], corner]), color, weight)
    draw_line(picture, drawn[1:], color, weight, closed=True)


def hue(share: float) -> Color:
    red, green, blue = cv2.cvtColor(np.uint8([[[round(150 * share), 150, 255]]]), cv2.COLOR_HSV2RGB)[0, 0].tolist()
    return red, green, blue


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("docs/images"))
    folder = parser.parse_args().folder
    for shot in SHOTS:
        print(write_picture(draw(shot), folder / shot.file))


if __name__ == "__main__":
    main()
