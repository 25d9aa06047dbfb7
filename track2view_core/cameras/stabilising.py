"""Operations on the recovered source camera, so that the clip is filmed again by a calmer one. All keep the length."""

from __future__ import annotations

from dataclasses import replace

from .operation import number, operation, switch
from .path import CameraPath
from .shaping import smooth


@operation(
    "Replace a shaky camera by a calm one that goes the same way.",
    seconds=number(0, 60, "length of the time over which the movement is averaged", "seconds"),
    amount=number(0, 1, "0 leaves the camera, 1 gives the calm one"),
    zoom=switch("hold the first frame's lens"),
)
def stabilise(path: CameraPath, *, seconds: float = 2.0, amount: float = 1.0, zoom: bool = False) -> CameraPath:
    """`smooth` over a long time, of turns and positions; the first and last frame stay where they are."""
    calm = smooth(path, seconds=seconds, amount=amount)
    if zoom and amount > 0:
        calm = replace(calm, intrinsics=path.intrinsics.lerp(path.intrinsics[:1], float(amount)))
    return calm


@operation(
    "Put the camera on a tripod: it stands as in one frame of the path all the time.",
    at=number(0, 1, "share of the clip at which it stands there already"),
)
def lock_off(path: CameraPath, *, at: float = 0.0) -> CameraPath:
    """Every frame has the pose and the lens of the frame at that share of the clip."""
    return path.with_frames([round(at * (len(path) - 1))] * len(path))


@operation(
    "Let the camera run up to a moment and stay there.",
    on_move=True,
    at=number(0, 1, "share of the clip after which it stands still"),
)
def freeze(path: CameraPath, *, at: float = 1.0) -> CameraPath:
    """The frames up to that share of the clip as they are, and the one there from then on; 1 changes nothing."""
    stop = round(at * (len(path) - 1))
    if stop == len(path) - 1:
        return path
    return path.with_frames([min(frame, stop) for frame in range(len(path))])
