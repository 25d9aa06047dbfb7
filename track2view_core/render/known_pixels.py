"""The clip's own pixels over a model's picture: what was seen stays as sharp as it was, the model paints the rest.

Known pixels are taken from the dense render, soft at the rim of what is known. There the model's colours are often
off by a little, which would stand as a seam: what they lack at the known pixels is spread smoothly into the holes and
added. A model's picture of another size, such as the 128 pixels of the built-in one, is brought to the render's.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..errors import Track2ViewError
from ..progress import Progress
from ..video.clip import check_frames
from ..video.resizing import resize_picture

FEATHER = 4.0
"""Pixels of the render over which what is known grows in from its rim: the width of a soft edge on a screen."""
COLOUR_CELLS = 64
"""Cells along the long side within which colours are compared: details of the rim would be drawn out into streaks by
smaller ones, and larger ones leave a seam."""
NO_WEIGHT = 1e-6


def keep_known_pixels(
    model: Tensor,  # [T, h, w, 3] uint8, a model's pictures at any size
    rendered: Tensor,  # [T, H, W, 3] uint8, the clip's pixels from the target camera
    known: Tensor,  # [T, H, W] bool, which of them are
    *,
    strength: float = 1.0,
    feather: float = FEATHER,
    progress: Progress | None = None,
) -> Tensor:
    """The known pixels of `rendered`, the rest the model's: [T, H, W, 3] uint8 on the CPU.

    strength: 1 keeps known pixels as they are, 0 gives the model's picture.
    feather: pixels at the rim of what is known over which the model's picture goes over into it.

    Raises:
        Track2ViewError: the three do not belong together, or a setting is out of range.
    """
    check_frames(model)
    check_frames(rendered)
    check_keeping(strength, feather)
    if known.shape != rendered.shape[:3]:
        raise Track2ViewError(
            f"The mask is {list(known.shape)} and the rendered frames are {list(rendered.shape[:3])}; give the mask "
            "that came with these frames."
        )
    if len(model) != len(rendered):
        raise Track2ViewError(
            f"The model gave {len(model)} frames and {len(rendered)} are rendered; give both of the same clip."
        )
    kept = torch.empty(rendered.shape, dtype=torch.uint8)
    for t in range(len(rendered)):
        pictures = (part[t].cpu().contiguous().numpy() for part in (model, rendered, known))
        kept.numpy()[t] = kept_picture(*pictures, strength=strength, feather=feather)
        if progress is not None:
            progress(t + 1, len(rendered), "keeping known pixels")
    return kept


def check_keeping(strength: float, feather: float) -> None:
    if not 0 <= strength <= 1:
        raise Track2ViewError(f"strength is {strength:g}; it must be from 0 (the model's picture) to 1.")
    if not 0 <= feather < float("inf"):
        raise Track2ViewError(f"feather is {feather:g}; it must be 0 pixels or more.")


def kept_picture(
    model: np.ndarray,  # [h, w, 3] uint8
    rendered: np.ndarray,  # [H, W, 3] uint8
    known: np.ndarray,  # [H, W] bool
    *,
    strength: float = 1.0,
    feather: float = FEATHER,
) -> np.ndarray:
    """`keep_known_pixels` of one frame, for who streams them: [H, W, 3] uint8."""
    painted = resize_picture(model, known.shape[1], known.shape[0])
    share = known_share(known, feather)
    if strength == 0 or not share.any():
        return painted
    lacking = colours_lacking(painted, rendered, share)
    kept = rendered.copy()
    at = (share < 1) | (strength < 1)
    own, weight = painted[at].astype(np.float32), strength * share[at][:, None]
    own += strength * lacking[at] * (1 - share[at][:, None]) + weight * (rendered[at] - own)
    kept[at] = np.rint(own.clip(0, 255)).astype(np.uint8)
    return kept


def known_share(known: np.ndarray, feather: float) -> np.ndarray:
    """How far a pixel is the render's, [H, W] float32: 0 where nothing is known, 1 beyond `feather` px of that."""
    import cv2

    if feather == 0 or known.all():
        return known.astype(np.float32)
    inside = cv2.distanceTransform(known.astype(np.uint8), cv2.DIST_L2, 5)  # 1 at the first known pixel
    grown = ((inside - 0.5) / feather).clip(0, 1)
    return grown * grown * (3 - 2 * grown)


def colours_lacking(painted: np.ndarray, rendered: np.ndarray, share: np.ndarray) -> np.ndarray:
    """What the model's colours lack of the render's, [H, W, 3] float32, smooth, and carried on over what is unknown."""
    import cv2

    height, width = share.shape
    scale = min(1.0, COLOUR_CELLS / max(height, width))
    cells = max(1, round(width * scale)), max(1, round(height * scale))
    lacking = (rendered.astype(np.float32) - painted) * share[..., None]
    weight = cv2.resize(share, cells, interpolation=cv2.INTER_AREA)
    spread = _spread(cv2.resize(lacking, cells, interpolation=cv2.INTER_AREA), weight)
    return cv2.resize(spread, (width, height), interpolation=cv2.INTER_LINEAR)


def _spread(weighted: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Values [h, w, 3] everywhere from those times their weights 0..1: where there is little of one, the mean of the
    surroundings, which are the larger the farther it is to the next."""
    import cv2

    height, width = weight.shape
    mean = weighted / np.maximum(weight, NO_WEIGHT)[..., None]
    if weight.min() > 1 - NO_WEIGHT or max(height, width) == 1:
        return mean
    padded = np.pad(np.dstack([weighted, weight]), ((0, height % 2), (0, width % 2), (0, 0)))
    pairs = padded.reshape(len(padded) // 2, 2, -1, 2, 4).sum((1, 3))
    sure = np.minimum(pairs[..., 3], 1)  # of four cells one that is known is enough
    coarser = _spread(pairs[..., :3] * (sure / np.maximum(pairs[..., 3], NO_WEIGHT))[..., None], sure)
    around = cv2.resize(coarser, (padded.shape[1], padded.shape[0]), interpolation=cv2.INTER_LINEAR)[:height, :width]
    return weight[..., None] * mean + (1 - weight[..., None]) * around
