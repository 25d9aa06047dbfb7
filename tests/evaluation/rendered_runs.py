"""Runs on scenes of the project's renderer, so that truth, source and cameras are known."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import torch

from track2view_core.cameras import CameraPath
from track2view_core.cameras.formats import write_path
from track2view_core.evaluation.run_manifest import CameraFile, RenderedScene, Run, RunClip, write_run
from track2view_core.scenes import HELD_OUT_MOVES, random_paths, random_scenes, render
from track2view_core.video import VideoClip, write_clip

FRAMES, SIZE = 5, 64


def rendered_run(folder: Path, method: str, shown: str, *, clips: int = 2, frames: int = FRAMES) -> Run:
    """A method whose generated clip is the `source`, the true `target`, or the `grey` one."""
    (folder / "clips").mkdir(parents=True)
    listed = []
    for seed in range(clips):
        scene = random_scenes(1, seed=seed)
        paths = random_paths(1, frames, seed=seed, width=SIZE, height=SIZE, moves=HELD_OUT_MOVES)
        views = [
            render(scene, poses[None], paths.intrinsics, paths.time, SIZE, SIZE) for poses in paths.world_from_camera[0]
        ]
        roles = {"source": views[0].frames(), "target": views[1].frames()}
        names = {role: f"clips/{seed}_{role}.mp4" for role in (*roles, "generated")}
        for role, pictures in roles.items():
            write_clip(VideoClip(pictures, Fraction(8)), folder / names[role])
        if shown in roles:  # a copy: x264 does not code a clip the same way twice
            shutil.copy(folder / names[shown], folder / names["generated"])
        else:
            grey = torch.full_like(roles["source"], 128)
            write_clip(VideoClip(grey, Fraction(8)), folder / names["generated"])
        for role, poses in zip(("source", "target"), paths.world_from_camera[0], strict=True):
            camera = CameraPath(poses, paths.intrinsics[0].expand(frames, 3, 3), SIZE, SIZE, 8.0)
            write_path(camera, folder / f"clips/{seed}_{role}.json", format="track2view_camera")
        listed.append(
            RunClip(
                name=f"scene {seed}", **names, prompt="a red ball on the floor",
                reference_camera=CameraFile(f"clips/{seed}_target.json"),
                source_camera=CameraFile(f"clips/{seed}_source.json"),
                scene=RenderedScene(seed), group=("static", "dynamic")[seed % 2],
            )
        )  # fmt: skip
    run = Run(folder, method, frames, tuple(listed), {"data": "two rendered scenes"})
    write_run(run)
    return run
