"""Held-out clips (scenes and kinds of move that no training has seen), and figures against their truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from track2view_core.evaluation import CameraFitter, counted_errors, gradient_energy, psnr, rotation_error, ssim
from track2view_core.scenes import HELD_OUT_MOVES, Scene, View, random_paths, random_scenes, render
from track2view_core.scenes.scene import Texture

EVALUATION_SEED = 900_000
CALIBRATION_SEED = 910_000  # thresholds are set on these scenes, never on those evaluated
_RAYS_AT_ONCE = 1 << 16
SHEET_FRAMES, _LABEL_WIDTH, _LABEL_SCALE = 5, 96, 0.45


@dataclass(frozen=True, eq=False)
class HeldOutClip:
    scene: Scene  # a batch of 1
    source: Tensor  # [T, 4, 4] world_from_camera in the scene's world
    target: Tensor  # [T, 4, 4], shares frame 0 with the source
    intrinsics: Tensor  # [3, 3] pixels of size x size
    time: Tensor  # [T]
    size: int
    moves: tuple[str, str]  # of source and target
    seed: int

    def textured(self, texture: Texture) -> HeldOutClip:
        """The same geometry, motion and cameras under another texture; clips are smooth from the start."""
        return replace(self, scene=random_scenes(1, seed=self.seed, texture=texture))

    def view(self, cameras: Tensor, size: int | None = None) -> View:
        """Render cameras [T, 4, 4]; `size` other than the clip's scales the picture."""
        size = size or self.size
        intrinsics = self.intrinsics * torch.tensor([size / self.size, size / self.size, 1.0])[:, None]
        at_once = max(1, _RAYS_AT_ONCE // size**2)
        views = [
            render(self.scene, poses[None], intrinsics[None], time[None], size, size)
            for poses, time in zip(cameras.split(at_once), self.time.split(at_once), strict=True)
        ]
        fields = ("rgb", "depth", "surface", "local")
        return View(*(torch.cat([getattr(view, name) for view in views], 1) for name in fields))


def held_out_clips(count: int, *, seed: int, size: int, frames: int) -> Iterator[HeldOutClip]:
    """`count` scenes, each with a random source move and a held-out target move; scene i does not depend on `count`."""
    for index in range(count):
        scene = random_scenes(1, seed=seed + index)
        paths = random_paths(1, frames, seed=seed + index, width=size, height=size, moves=HELD_OUT_MOVES)
        source, target = paths.world_from_camera[0]
        moves = (paths.kinds[0][0], paths.kinds[0][1])
        yield HeldOutClip(scene, source, target, paths.intrinsics[0], paths.time[0], size, moves, seed + index)


def picture_figures(video: Tensor, truth: Tensor) -> dict[str, float]:
    """PSNR, SSIM and gradient energy over the truth's; frame 0, which both views share, is left out."""
    energy = gradient_energy(video)[1:].mean() / gradient_energy(truth)[1:].mean()
    return {
        "psnr": float(psnr(video, truth)[1:].mean()),
        "ssim": float(ssim(video, truth)[1:].mean()),
        "energy": float(energy),
    }


def camera_figures(fitter: CameraFitter, video: Tensor, source: Tensor, target: Tensor) -> dict[str, list[float]]:
    """Errors of the fitted frames against the prescribed cameras `target` [T, 4, 4], JSON all through.

    `bare_rotation` is without the rule for unmeasurable frames: it tells soft pictures apart, but a ghost may pass.
    """
    fit = fitter.fit(video)
    errors = counted_errors(fit, source, target)
    return {
        "bare_rotation": rotation_error(fit.world_from_camera, target[fit.frames])[1:].tolist(),
        "rotation": errors.rotation.tolist(),
        "translation": errors.translation.tolist(),
        "metric": errors.metric_translation.tolist(),
        "unmeasurable": errors.unmeasurable.double().tolist(),
    }


def strip(video: Tensor) -> np.ndarray:
    """A few frames of [T, H, W, 3] uint8 side by side: [H, w, 3] uint8, BGR."""
    shown = torch.linspace(0, len(video) - 1, SHEET_FRAMES).round().long()
    return np.ascontiguousarray(torch.cat(list(video[shown]), 1).numpy()[..., ::-1])


def contact_sheet(strips: Mapping[str, np.ndarray], label_width: int = _LABEL_WIDTH) -> np.ndarray:
    """The strips under each other, each with its name: [h, w, 3] uint8, BGR."""
    lines = []
    for name, row in strips.items():
        label = np.full((row.shape[0], label_width, 3), 24, np.uint8)
        place = (4, row.shape[0] // 2)
        cv2.putText(label, name, place, cv2.FONT_HERSHEY_SIMPLEX, _LABEL_SCALE, (230, 230, 230), 1, cv2.LINE_AA)
        lines.append(np.concatenate([label, row], 1))
    return np.concatenate(lines)
