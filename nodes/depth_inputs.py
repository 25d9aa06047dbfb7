"""The inputs by which nodes take depth, and what is linked to them as the core takes it."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..track2view_core.errors import Track2ViewError
from ..track2view_core.tracks.model_geometry import DEPTH_KINDS
from .sockets import DA3_GEOMETRY, MOGE_GEOMETRY


def depth_kind() -> io.Input:
    return io.Combo.Input(
        "depth_is",
        options=list(DEPTH_KINDS),
        default=DEPTH_KINDS[0],
        tooltip="What the depth images hold: near is bright for disparity (Depth Anything and most), far is bright for "
        "depth; the metric kinds run from depth_near to depth_far.",
    )


def depth_distances() -> list[io.Input]:
    told = {"depth_near": "begin, in any unit; tracks get this unit", "depth_far": "end"}
    return [
        io.Float.Input(
            name,
            optional=True,
            default=0.0,
            min=0.0,
            max=1e6,
            step=0.01,
            tooltip=f"For metric depth images: the distance at which they {what}.",
        )
        for name, what in told.items()
    ]


def geometry_sockets() -> list[io.Input]:
    return [
        DA3_GEOMETRY.Input(
            "da3_geometry",
            optional=True,
            tooltip="Depth of core's Depth Anything 3 on these frames, instead of depth images; from several views at "
            "once also its camera path, used where the tracks agree with it.",
        ),
        MOGE_GEOMETRY.Input(
            "moge_geometry",
            optional=True,
            tooltip="Depth and field of view of core's MoGe on these frames, instead of depth images.",
        ),
    ]


def linked_geometry(
    image, clip_info, *, depth_is, depth=None, depth_near=0.0, depth_far=0.0, da3_geometry=None, moge_geometry=None
):
    """The one source of depth that is linked, as the core takes it, of the clip without padding; None without any.

    The fields are those of the inputs above, by which nodes hand them on.
    """
    from ..track2view_core.tracks import model_geometry

    sources = {"depth": depth, "da3_geometry": da3_geometry, "moge_geometry": moge_geometry}
    linked = [name for name, value in sources.items() if value is not None]
    if len(linked) > 1:
        raise Track2ViewError(f"{' and '.join(linked)} are both linked; leave one source of depth.")
    if not linked:
        return None
    frames, height, width = image.shape[:3]
    if da3_geometry is not None:
        geometry = model_geometry.geometry_from_da3(da3_geometry, frames=frames, width=width, height=height)
    elif moge_geometry is not None:
        geometry = model_geometry.geometry_from_moge(moge_geometry, frames=frames, width=width, height=height)
    else:
        geometry = model_geometry.geometry_from_pictures(_gray(depth, image), depth_is, near=depth_near, far=depth_far)
    if clip_info is None:
        return geometry
    return geometry.cropped(clip_info.content, (width, height), clip_info.frames)


def _gray(depth, image):
    """Depth images `[T, H, W, C]` -> `[T, h, w]` of the frames' size."""
    if len(depth) != len(image):
        raise Track2ViewError(
            f"depth has {len(depth)} images and image has {len(image)}; give one depth image a frame."
        )
    gray = depth[..., :3].float().mean(dim=-1)
    if gray.shape[1:] != image.shape[1:3]:
        gray = torch.nn.functional.interpolate(
            gray[:, None], size=tuple(image.shape[1:3]), mode="bilinear", antialias=True
        )[:, 0]
    return gray
