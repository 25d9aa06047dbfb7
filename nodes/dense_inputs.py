"""What the nodes of the clip's own pixels share: depth and movers as linked, the render, one analysis a clip."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import torch
from comfy_api.latest import io
from torch import Tensor

from ..track2view_core.errors import Track2ViewError
from ..track2view_core.notes import Note
from .bridge.host import device_memory, progress_callback
from .depth_inputs import linked_geometry


@dataclass(frozen=True, eq=False)
class _Analysis:
    key: str  # of the pictures and what was linked
    tracks: Any  # SourceTracks
    geometry: Any  # ClipGeometry


KEPT = 2
"""Analyses of the last clips stay in memory, a few bytes a pixel each: after an edit of the path only the render runs
again, and two nodes of a graph share one. Two, so that a graph with the clip at two sizes keeps both."""

_kept: list[_Analysis] = []
_kept_lock = threading.Lock()


def movers_socket() -> io.Input:
    return io.Mask.Input(
        "movers",
        optional=True,
        tooltip="Silhouettes of what moves, one mask a frame or one for all, such as core's SAM3 nodes make; instead "
        "of those found.",
    )


def linked_movers(movers: Tensor | None, image: Tensor) -> Tensor | None:
    """A MASK `[T or 1, h, w]`, 0..1 -> `[T, H, W]` bool of the frames of `image`; None where none is linked."""
    if movers is None:
        return None
    masks = movers[None] if movers.ndim == 2 else movers
    frames, height, width = image.shape[:3]
    if masks.ndim != 3 or len(masks) not in (1, frames):
        raise Track2ViewError(
            f"movers is {list(movers.shape)} beside {frames} images; give one mask a frame, or one for all."
        )
    masks = masks.detach().to("cpu", torch.float32)
    if masks.shape[1:] != (height, width):
        masks = torch.nn.functional.interpolate(masks[:, None], size=(height, width), mode="bilinear", antialias=True)[
            :, 0
        ]
    return (masks > 0.5).expand(frames, -1, -1)


def linked_depth(image: Tensor, paired_tracks: Any, clip_info: Any = None, **depth_fields: Any) -> Tensor | None:
    """What `linked_geometry` finds, fitted to the tracks: `[T, h, w]` camera z; None without any."""
    from ..track2view_core.tracks.world_depth import aligned_depth

    geometry = linked_geometry(image, clip_info, **depth_fields)
    return None if geometry is None else aligned_depth(geometry.depth, paired_tracks)


def rendering_device() -> torch.device:
    """CUDA where ComfyUI has it: other devices of torch lack operations that the render needs."""
    device, _, _ = device_memory()
    return device if device.type == "cuda" else torch.device("cpu")


@dataclass(frozen=True, eq=False)
class RenderedView:
    """The clip as the target camera sees it, and what the user should know of it."""

    frames: Tensor  # [T, H, W, 3] uint8
    holes: Tensor  # [T, H, W] bool
    inverse: Tensor  # [T, H, W] float32, 1 / camera z in the target view, 0 where unknown
    notes: tuple[Note, ...] = ()


def dense_view(
    video: Tensor, paired_tracks: Any, *, depth: Tensor | None, movers: Tensor | None, remember: bool = True
) -> RenderedView:
    """The clip's own pixels from the target camera, holes filled from what lies around and behind them."""
    from ..track2view_core.render import render_target_view
    from ..track2view_core.render.view_notes import doubts

    progress = progress_callback()
    geometry = analysed_clip(video, paired_tracks, depth=depth, movers=movers, progress=progress)
    settings = {"geometry": geometry, "remember": remember, "device": rendering_device(), "progress": progress}
    view = render_target_view(video, paired_tracks, **settings)
    return RenderedView(view.frames, view.holes, 1 / view.depth, doubts(paired_tracks, geometry))


def analysed_clip(video: Tensor, tracks: Any, *, depth=None, movers=None, progress=None):
    """`clip_geometry`, or what it gave for the same pictures and tracks before.

    Of paired tracks it reads the source view and the notes alone: another target camera needs no other analysis, and
    the tracker's own, of the same frames, serves as well.
    """
    from ..track2view_core.render import clip_geometry
    from ..track2view_core.render.movers import stand_by_contact
    from ..track2view_core.render.source_tracks import SourceTracks
    from ..track2view_core.tracks.cache import cache_key

    height, width = video.shape[1:3]
    seen = SourceTracks.of(tracks, width, height)
    codes = frozenset(note.code for note in tracks.notes)  # whether the depth of what moves was assumed
    key = cache_key(video=video, depth=depth, movers=movers, notes=sorted(codes))
    read = not stand_by_contact(seen, codes)
    with _kept_lock:
        for kept in _kept:
            if kept.key == key and seen.agrees(kept.tracks, movers=read):
                _kept.remove(kept)
                _kept.append(kept)
                return kept.geometry
    geometry = clip_geometry(video, tracks, depth=depth, movers=movers, progress=progress)
    with _kept_lock:
        _kept.append(_Analysis(key, seen, geometry))
        del _kept[:-KEPT]
    return geometry
