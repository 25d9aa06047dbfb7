"""Shards of rendered scenes: several cameras that share frame 0, exact tracks queried in each of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Literal

import torch
from einops import rearrange, repeat
from torch import Tensor

from ..dataset import DatasetInfo, Shard
from ..errors import Track2ViewError
from ..progress import Progress
from ..scenes import (
    HELD_OUT_MOVES,
    TRAIN_MOVES,
    Scene,
    ScenePaths,
    follow_points,
    random_paths,
    random_scenes,
    render,
    visible_points,
)
from ..scenes.scene import Texture
from ..scenes.surface_points import query_points
from .latent_caching import ClipEncoder

HELD_OUT_SEED = 1_000_000  # no training shard comes near it
RAYS_AT_ONCE = {"cpu": 2**21, "cuda": 2**23}  # a card is kept busy by more of them


@dataclass(frozen=True)
class SceneSettings:
    """How hard the scenes are and what is kept of them."""

    scenes: int = 8  # a shard
    cameras: int = 4  # a scene; camera 0 moves gently
    frames: int = 17
    width: int = 128
    height: int = 128
    tracks: int = 384  # a camera
    texture: Texture = "smooth"
    supersample: int = 1  # rays a pixel along each axis
    dynamic: float = 0.6  # share of scenes in which objects move
    objects: int = 6
    moves: Literal["train", "held_out"] = "train"
    seed: int = 0
    fps: float = 16.0
    keep_frames: bool = False

    def __post_init__(self) -> None:
        for name in ("scenes", "frames", "tracks", "supersample", "objects"):
            if getattr(self, name) < 1:
                raise Track2ViewError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if self.cameras < 2:
            raise Track2ViewError(f"cameras is {self.cameras}; a pair needs at least 2.")
        if not 0 <= self.dynamic <= 1:
            raise Track2ViewError(f"dynamic is {self.dynamic}; it must be from 0 to 1.")
        if self.moves not in ("train", "held_out"):
            raise Track2ViewError(f"moves is {self.moves!r}; it must be 'train' or 'held_out'.")
        if not 0 <= self.seed < HELD_OUT_SEED:
            raise Track2ViewError(f"seed is {self.seed}; it must be from 0 to {HELD_OUT_SEED - 1}.")


@dataclass(frozen=True)
class RenderedScenes:
    """A ShardMaker: shard n is the scenes of seed `settings.seed + n`; held-out scenes have seeds of their own."""

    shards: int
    settings: SceneSettings = SceneSettings()
    encoder: ClipEncoder = field(default_factory=ClipEncoder)
    device: str = "cpu"

    def __len__(self) -> int:
        return self.shards

    def info(self) -> DatasetInfo:
        told = asdict(self.settings)
        shared = {name: told.pop(name) for name in ("width", "height", "frames", "fps")}
        return DatasetInfo(
            **shared,
            source="render",
            tracker="exact",
            vae=self.encoder.identity(),
            has_frames=told.pop("keep_frames"),
            settings=told,
        )

    @torch.inference_mode()
    def make(self, number: int, progress: Progress | None = None) -> Shard:
        how = self.settings
        seed = how.seed + number + (HELD_OUT_SEED if how.moves == "held_out" else 0)
        scenes, paths = drawn_scenes(how, seed, self.device)
        positions, visible = camera_tracks(scenes, paths, how, seed)
        frames = None
        if how.keep_frames or self.encoder.vae is not None:
            frames = camera_frames(scenes, paths, how.supersample, progress)
            frames = rearrange(frames, "scene camera ... -> (scene camera) ...")
        latents = None if frames is None else self.encoder.latents(list(frames), progress)
        return rendered_shard(paths, positions, visible, how, seed, latents, frames if how.keep_frames else None)


def drawn_scenes(how: SceneSettings, seed: int, device: str = "cpu") -> tuple[Scene, ScenePaths]:
    """The scenes and camera paths of one shard; the same on every device."""
    scenes = random_scenes(
        how.scenes, seed=seed, texture=how.texture, dynamic=how.dynamic, objects=how.objects, device=device
    )
    moves = TRAIN_MOVES if how.moves == "train" else HELD_OUT_MOVES
    paths = random_paths(
        how.scenes, how.frames, seed=seed, width=how.width, height=how.height, moves=moves, targets=how.cameras - 1
    )
    return scenes, paths.to(device)


def camera_tracks(scenes: Scene, paths: ScenePaths, how: SceneSettings, seed: int) -> tuple[Tensor, Tensor]:
    """Positions [S, C, T, N, 3] in the scenes' world and visibility [S, C, T, N], queried in each camera."""
    generator = torch.Generator().manual_seed(seed)
    positions, visible = [], []
    for poses in paths.world_from_camera.unbind(1):
        lens, time, size = paths.intrinsics, paths.time, (paths.width, paths.height)
        points = follow_points(
            scenes, *query_points(scenes, poses, lens, time, *size, how.tracks, generator), paths.time
        )
        positions.append(points)
        visible.append(visible_points(scenes, points, poses, lens, time, *size))
    return torch.stack(positions, 1), torch.stack(visible, 1)


def camera_frames(scenes: Scene, paths: ScenePaths, supersample: int, progress: Progress | None = None) -> Tensor:
    """uint8 [S, C, T, H, W, 3] on the CPU, rendered a few frames at a time."""
    cameras, frames = paths.world_from_camera.shape[1:3]
    at_once = RAYS_AT_ONCE.get(paths.time.device.type, RAYS_AT_ONCE["cpu"])
    step = max(1, at_once // (len(scenes) * paths.width * paths.height * supersample**2))
    step = -(-frames // -(-frames // step))  # parts of about one size
    clips = []
    for camera, poses in enumerate(paths.world_from_camera.unbind(1)):
        pictures = []
        for t in range(0, frames, step):
            if progress is not None:
                progress(camera * frames + t, cameras * frames, "rendering")
            some = slice(t, t + step)
            view = render(
                scenes, poses[:, some], paths.intrinsics, paths.time[:, some], paths.width, paths.height, supersample
            )
            pictures.append((view.rgb * 255).round().to(torch.uint8).cpu())
        clips.append(torch.cat(pictures, 1))
    return torch.stack(clips, 1)


def rendered_shard(
    paths: ScenePaths,
    positions: Tensor,  # [S, C, T, N, 3] scenes' world
    visible: Tensor,  # [S, C, T, N]
    how: SceneSettings,
    seed: int,
    latents: Tensor | None,  # [S * C, 16, F, h, w]
    frames: Tensor | None,  # [S * C, T, H, W, 3]
) -> Shard:
    """Every ordered pair of cameras of a scene; of held-out scenes only those that end in a held-out move."""
    poses = paths.world_from_camera.cpu().double()
    scenes, cameras, length = poses.shape[:3]
    camera_from_scene = torch.linalg.inv(poses[:, :1, :1])  # all cameras share frame 0, which becomes the world
    moved = positions.cpu().double() @ camera_from_scene[..., :3, :3].mT + camera_from_scene[..., None, :3, 3]
    targets = range(how.moves == "held_out", cameras)
    pairs = [
        [scene * cameras + source, scene * cameras + target, scene * cameras + source]
        for scene in range(scenes)
        for source in range(cameras)
        for target in targets
        if source != target
    ]
    relative = camera_from_scene @ poses
    relative[:, :, 0] = torch.eye(4, dtype=torch.float64)
    names = tuple(f"scene{seed:06d}_{s}/cam{c}" for s in range(scenes) for c in range(cameras))
    clips = partial(rearrange, pattern="scene camera ... -> (scene camera) ...")
    lens = repeat(paths.intrinsics.cpu().double(), "scene i j -> (scene camera) t i j", camera=cameras, t=length)
    return Shard(
        world_from_camera=clips(relative),
        intrinsics=lens,
        positions=clips(moved.float()),
        visible=clips(visible.cpu()),
        track_counts=torch.full((scenes * cameras,), positions.shape[3]),
        pairs=torch.tensor(pairs),
        names=names,
        captions=("",) * len(names),
        latents=latents,
        frames=frames,
        counts={"clips": len(names), "pairs kept": len(pairs)},
    )
