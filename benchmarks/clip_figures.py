"""Figures of one generated clip against the truth of a held-out one, and the contact sheets to look at beside them."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import torch
from torch import Tensor

from track2view_core.evaluation import CameraFitter, counted_errors, gradient_energy, psnr, rotation_error, ssim

SHEET_FRAMES, _LABEL_WIDTH, _LABEL_SCALE = 5, 96, 0.45


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
