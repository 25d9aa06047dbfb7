"""What is measured of a view from another camera, and of the geometry it comes from, against the truth."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from track2view_core.evaluation import psnr
from track2view_core.render import ClipGeometry

WRONG_DEPTH = 0.05
"""Share of the true depth; a pixel that is off by more lies on another surface."""
FEW = 64
"""Pixels of a mask; the PSNR of fewer is chance, and is left out."""


def picture_scores(
    film: Tensor,  # [T, H, W, 3] uint8, without holes
    holes: Tensor,  # [T, H, W] bool: what the method does not claim to know
    truth: Tensor,  # [J, H, W, 3] uint8, of the judged frames
    hidden: Tensor,  # [J, H, W] bool: the source's frame does not show this
    judged: tuple[int, ...],  # J frames
    source: Tensor,  # [T, H, W, 3] uint8
) -> dict[str, float]:
    """PSNR in dB, mean over the judged frames; holes and their flicker over all frames."""
    shown, unknown = film[list(judged)], holes[list(judged)]
    whole = torch.ones_like(hidden)
    masks = {"known": ~unknown, "seen": ~hidden, "all": whole, "disoccluded": hidden}
    return {
        **{name: _mean_psnr(shown, truth, mask) for name, mask in masks.items()},
        "holes": float(unknown.float().mean()),
        "flips": flips(holes),
        "jitter": second_difference(film) / second_difference(source),
    }


def _mean_psnr(film: Tensor, truth: Tensor, mask: Tensor) -> float:
    scores = psnr(film, truth, mask)[mask.sum((1, 2)) >= FEW]
    return float(scores.mean()) if len(scores) else float("nan")


def flips(holes: Tensor) -> float:
    """Share of all pixels that are a hole in one frame and none in the next, or the other way round."""
    return float((holes[1:] != holes[:-1]).float().mean()) if len(holes) > 1 else 0.0


def second_difference(film: Tensor) -> float:
    """Mean absolute second difference in time of [T, H, W, 3] uint8: 0 for what stands or fades evenly."""
    frames = film.to(torch.int16)
    return float((frames[2:] - 2 * frames[1:-1] + frames[:-2]).abs().float().mean())


def known_gradient_energy(film: Tensor, holes: Tensor) -> float:
    """Mean squared difference of neighbouring pixels that are both known, along x plus along y, over all frames."""
    frames, known = film.float(), ~holes
    across, both_across = (frames[:, :, 1:] - frames[:, :, :-1]).square().mean(-1), known[:, :, 1:] & known[:, :, :-1]
    down, both_down = (frames[:, 1:] - frames[:, :-1]).square().mean(-1), known[:, 1:] & known[:, :-1]
    return float(across[both_across].mean() + down[both_down].mean())


def telea(film: Tensor, holes: Tensor) -> Tensor:
    """The film [T, H, W, 3] uint8 with its holes [T, H, W] filled frame by frame by OpenCV's inpainting."""
    filled = [
        cv2.inpaint(picture.numpy(), hole.numpy().astype(np.uint8), 3, cv2.INPAINT_TELEA)
        for picture, hole in zip(film, holes, strict=True)
    ]
    return torch.from_numpy(np.stack(filled))


def standing_scores(
    standing: Tensor,  # [T, H, W] inverse depth of what stands
    depth: Tensor,  # [T, H, W] true camera z of what stands, also behind what moves
    moving: Tensor,  # [T, H, W] bool
) -> dict[str, float]:
    """Shares of the true depth and of the pixels; `standing_behind` is what movers hide."""
    off = (1 / standing / depth - 1).abs()
    seen, behind = off[~moving], off[moving]
    return {
        "standing_off": float((seen > WRONG_DEPTH).float().mean()),
        "standing_median": float(seen.median()),
        "behind_off": float((behind > WRONG_DEPTH).float().mean()) if len(behind) else float("nan"),
    }


def silhouette_scores(found: Tensor, moving: Tensor) -> dict[str, float]:
    """Silhouettes [T, h, w] bool against [T, H, W] at the silhouettes' size; `false_movers` where nothing moves."""
    true = resized(moving.float(), found.shape[1:], cv2.INTER_AREA) >= 0.5
    if not bool(true.any()):
        return {"iou": float("nan"), "recall": float("nan"), "precision": float("nan"),
                "false_movers": float(found.float().mean())}  # fmt: skip
    both, either = (found & true).sum(), (found | true).sum()
    return {
        "iou": float(both / either),
        "recall": float(both / true.sum()),
        "precision": float(both / found.sum().clamp(min=1)),
        "false_movers": float("nan"),
    }


def mover_scores(geometry: ClipGeometry, depth: Tensor, moving: Tensor) -> dict[str, float]:
    """Inverse depth of what truly moves and was found, over the truth: median error, median ratio."""
    size = geometry.silhouettes.shape[1:]
    true = resized(moving.float(), size, cv2.INTER_AREA) > 0.99  # the rim mixes two depths
    both = geometry.silhouettes & true & (geometry.mover_inverse > 0)
    ratio = (geometry.mover_inverse * resized(depth, size, cv2.INTER_NEAREST))[both]
    if not len(ratio):
        return {"mover_error": float("nan"), "mover_ratio": float("nan")}
    return {"mover_error": float((ratio - 1).abs().median()), "mover_ratio": float(ratio.median())}


def resized(maps: Tensor, size: tuple[int, ...], interpolation: int) -> Tensor:
    """Maps [T, H, W] float at [T, h, w] = size, by OpenCV."""
    if tuple(maps.shape[1:]) == tuple(size):
        return maps
    height, width = size
    return torch.from_numpy(
        np.stack([cv2.resize(one.numpy(), (width, height), interpolation=interpolation) for one in maps])
    )
