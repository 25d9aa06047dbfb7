"""Two paths made one: a move on top of a camera or instead of it, one after another, and from scene to scene."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ...errors import Track2ViewError
from ..path import CameraPath, checked_scene_scale, inverse_intrinsics
from ..rotations import rigid_inverse
from .operation import choice, number, operation

PLACES = {"on_top": "the move rides on the path", "instead": "the move starts from the path's first frame, held"}
JOINS = {"continue": "the second path goes on from where the first ends", "cut": "both stay where they are"}


@operation(
    "Add another path's move to this one, or put it in this one's place.",
    place=choice(tuple(PLACES), "on_top: the move rides on this path; instead: it starts from its first frame"),
    other_scale=number(0, 1e9, "distance of the subject in the other path's scene; 0: it is this scene", "its units"),
)
def compose(
    path: CameraPath,
    *,
    other: CameraPath,
    scene_scale: float | None = None,
    place: str = "on_top",
    other_scale: float = 0.0,
) -> CameraPath:
    """Frame t is `path[t] @ move(t)` (on_top) or `path[0] @ move(t)` (instead).

    The move is the other path seen from its own first frame, its translation multiplied by scene_scale / other_scale
    (by 1 where other_scale is 0), its focal length as a factor on its first, and resampled in time where it has
    another length. Size and fps stay.

    Raises:
        Track2ViewError: other_scale is given without this scene's scale.
    """
    if other_scale and scene_scale is None:
        raise Track2ViewError(
            f"Operation compose: other_scale is {other_scale:g} and this scene's own scale is not known; connect the "
            "point tracks to its input scene_scale, or set other_scale to 0."
        )
    scale = checked_scene_scale(scene_scale) / other_scale if other_scale and scene_scale is not None else 1.0
    move = other.resampled(len(path)).relative_to_first()
    poses = move.world_from_camera.to(path.device)
    poses[:, :3, 3] *= scale
    zoom = torch.ones(len(path), 3, 3, dtype=torch.float64, device=path.device)
    zoom[:, :2, :2] = _zoom(move).to(path.device)[:, None, None]
    base = path if place == "on_top" else path.with_frames([0] * len(path))
    return replace(base, world_from_camera=base.world_from_camera @ poses, intrinsics=base.intrinsics * zoom)


@operation(
    "Move as the camera of another clip did, in this scene's own size.",
    other_scale=number(1e-9, 1e9, "distance of the subject in the other clip", "its units"),
)
def match(path: CameraPath, *, other: CameraPath, scene_scale: float, other_scale: float = 1.0) -> CameraPath:
    """From the path's first frame on, the other camera's movement: `compose` with place `instead`."""
    return compose(path, other=other, scene_scale=scene_scale, place="instead", other_scale=other_scale)


@operation(
    "Play one path after another.",
    length="both together; one less where the second continues the first",
    join=choice(tuple(JOINS), "continue: the second goes on where the first ends; cut: both stay where they are"),
)
def concatenate(path: CameraPath, *, other: CameraPath, join: str = "continue") -> CameraPath:
    """`cut`: T1 + T2 frames as they are. `continue`: the second path is moved so that its first frame falls on the
    first path's last, pose and focal length, and that frame is not repeated: T1 + T2 - 1 frames.

    Raises:
        Track2ViewError: the two differ in image size or fps.
    """
    for name in ("width", "height", "fps"):
        one, two = getattr(path, name), getattr(other, name)
        if one != two:
            raise Track2ViewError(
                f"Operation concatenate: the {name} is {one} in the first path and {two} in the second; bring one to "
                f"the other's {'with resampled' if name == 'fps' else 'with resized'} first."
            )
    poses, intrinsics = other.world_from_camera.to(path.device), other.intrinsics.to(path.device)
    if join == "continue":
        step = path.world_from_camera[-1] @ rigid_inverse(poses[0])
        lens = path.intrinsics[-1] @ inverse_intrinsics(intrinsics[0])
        poses, intrinsics = step @ poses[1:], lens @ intrinsics[1:]
    return replace(
        path,
        world_from_camera=torch.cat([path.world_from_camera, poses]),
        intrinsics=torch.cat([path.intrinsics, intrinsics]),
    )


@operation(
    "Bring a path from a scene of one size to a scene of another.",
    path_scale=number(1e-9, 1e9, "distance of the subject in the scene the path was made for", "its units"),
)
def fit_to_scene(path: CameraPath, *, scene_scale: float, path_scale: float = 1.0) -> CameraPath:
    """Positions times scene_scale / path_scale, about the world's origin; turns and lenses stay.

    With path_scale 1 it takes a path from scene scales to world units; exchange the two for the way back.
    """
    ratio = checked_scene_scale(scene_scale) / path_scale
    if ratio == 1:
        return path
    poses = path.world_from_camera.clone()
    poses[:, :3, 3] *= ratio
    return replace(path, world_from_camera=poses)


def _zoom(path: CameraPath) -> Tensor:
    """Focal length of each frame as a factor on the first's, `[T]`."""
    return path.intrinsics[:, 0, 0] / path.intrinsics[0, 0, 0]
