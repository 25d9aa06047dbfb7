"""NeoVerse: what its model is told of the new view, and the embedding of its camera.

NeoVerse (arXiv 2601.00393) is WAN 2.1 T2V-14B with a control branch of VACE's shape. Where VACE's branch takes a mask
packed into 64 channels, this one takes 64 channels of a small embedding: of what is known, and of every pixel's ray.
`convert_neoverse` makes its weights VACE's, and puts the embedding into a file of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ..cameras import CameraPath
from ..cameras.rotations import rigid_inverse
from ..errors import Track2ViewError
from ..notes import Note
from ..tracks import PairedTracks
from ..tracks.point_tracks import median_depth
from .tensor_files import cast_floats, check_shapes, read_tensors

EMBEDDING_PREFIX = "control_mask_cam_embedding."
KNOWN_AND_RAYS = 7
CHANNELS = 64
STRIDE = (4, 8, 8)  # video frames, rows and columns of one latent pixel
TOKEN = 16  # pixels along a side of one of WAN's tokens
FAR_SHARE = 0.98
"""Share of all depths, those of holes among them, that lie before what is white."""
MOST_SAMPLED = 2**24
"""Depths of which the share is taken, evenly spread: torch sorts no more."""
SAME_VIEW = 1e-3
"""Shares of the scene's scale, of the picture's width and of a turn by one radian within which two views are one."""


@dataclass(frozen=True, eq=False)
class ControlView:
    """The new view as NeoVerse takes it."""

    pictures: Tensor  # [T, H, W, 3] uint8, black in holes
    depth: Tensor  # [T, H, W] float32, 0..1, far is bright, 0 in holes
    known: Tensor  # [T, H, W] bool, what the model shall not repaint


def control_view(
    paired: PairedTracks,
    source: Tensor,  # [T, H, W, 3] uint8
    frames: Tensor,  # [T, H, W, 3] uint8, the source from the target camera
    holes: Tensor,  # [T, H, W] bool
    inverse: Tensor,  # [T, H, W] float32, 1 / camera z of `frames`
    *,
    keep_render: bool = False,
) -> ControlView:
    """What the published inference makes of a render.

    Where the path starts at the source camera, frame 0 is the source's own, known as a whole; its depth stays the
    render's. Of all other frames nothing is known, so that the model repaints them after the render; `keep_render`: all
    but the holes.
    """
    pictures = frames.masked_fill(holes[..., None], 0)
    known = ~holes if keep_render else torch.zeros_like(holes)
    if starts_at_source(paired):
        pictures[0], known[0] = source[0], True
    return ControlView(pictures, relative_depth(torch.where(holes, 0.0, 1 / inverse)), known)


def starts_at_source(paired: PairedTracks) -> bool:
    """Whether the target camera's frame 0 shows what the source camera's does."""
    source, target = paired.source_camera, paired.target_camera
    apart = rigid_inverse(source.world_from_camera[0]) @ target.world_from_camera[0]
    shift = apart[:3, 3].norm() / median_depth(paired.source.depth, paired.visible)
    turn = (apart[:3, :3] - torch.eye(3, dtype=apart.dtype, device=apart.device)).abs().max()
    lens = (target.resized(source.width, source.height).intrinsics[0] - source.intrinsics[0]).abs().max()
    return bool(max(shift, turn, lens / source.width) < SAME_VIEW)


def start_notes(paired: PairedTracks) -> tuple[Note, ...]:
    return () if starts_at_source(paired) else (Note.of("starts_elsewhere"),)


def check_pictures(frames: int, height: int, width: int) -> None:
    """Refuse a clip that is not of WAN's sizes, before any work is done on it."""
    if frames % STRIDE[0] != 1 or height % TOKEN or width % TOKEN:
        raise Track2ViewError(
            f"The pictures are {frames} of {width} x {height}; NeoVerse takes 4n + 1 frames and sides that are "
            "multiples of 16: make the clip so with Prepare Clip."
        )


def relative_depth(
    z: Tensor,  # [T, H, W] camera z, 0 where nothing is known
) -> Tensor:
    """Camera z in shares of the clip's 98th percentile, at most 1, as published: `[T, H, W]` float32."""
    sample = z.flatten()[:: -(-z.numel() // MOST_SAMPLED)].float()
    far = torch.quantile(sample, FAR_SHARE).clamp(min=1e-6)
    return (z / far).clamp(max=1).float()


def control_camera(paired: PairedTracks, width: int, height: int, scene_depth: float = 1.0) -> CameraPath:
    """The target camera as NeoVerse counts: from the source camera of frame 0, for pictures of `width` x `height`.

    scene_depth: how far the scene's median depth is in NeoVerse's units, which are those of its own reconstruction.
    """
    target = paired.target_camera.resized(width, height)
    poses = rigid_inverse(paired.source_camera.world_from_camera[0]) @ target.world_from_camera
    poses[:, :3, 3] *= scene_depth / median_depth(paired.source.depth, paired.visible)
    return replace(target, world_from_camera=poses)


def plucker_rays(camera: CameraPath) -> Tensor:
    """Every pixel's ray in Plücker coordinates [d, o x d]: `[T, 6, H, W]` float32.

    d = normalise(R K^-1 [x, y, 1]) and o the camera's place, both in the world. x and y are whole numbers, as NeoVerse
    was trained, and so half a pixel off this project's pixel centres.
    """
    rows, columns = torch.arange(camera.height), torch.arange(camera.width)
    y, x = torch.meshgrid(rows.double(), columns.double(), indexing="ij")
    pixels = torch.stack([x, y, torch.ones_like(x)]).flatten(1).to(camera.device)
    to_world = camera.world_from_camera[:, :3, :3] @ torch.linalg.inv(camera.intrinsics)
    direction = nn.functional.normalize(to_world @ pixels, dim=1)
    origin = camera.world_from_camera[:, :3, 3:].expand_as(direction)
    rays = torch.cat([direction, torch.linalg.cross(origin, direction, dim=1)], 1)
    return rays.unflatten(2, (camera.height, camera.width)).float()


class CameraEmbedding(nn.Module):
    """SiLU(GroupNorm(Conv3d([known, rays]))), a convolution over the very pixels of each latent pixel."""

    def __init__(self) -> None:
        super().__init__()
        convolution = nn.Conv3d(KNOWN_AND_RAYS, CHANNELS, STRIDE, STRIDE)
        self.layers = nn.Sequential(convolution, nn.GroupNorm(CHANNELS // 8, CHANNELS), nn.SiLU())

    def forward(
        self,
        known: Tensor,  # [T, H, W] bool
        camera: CameraPath,  # T frames of W x H
    ) -> Tensor:
        """`[1, 64, F, H / 8, W / 8]`; three frames of zeros before the first make it a latent frame.

        Raises:
            Track2ViewError: T is not 4n + 1, a side no multiple of 16, or the camera is of other pictures.
        """
        frames, height, width = known.shape
        check_pictures(frames, height, width)
        if (len(camera), camera.height, camera.width) != (frames, height, width):
            raise Track2ViewError(
                f"The camera has {len(camera)} frames of {camera.width} x {camera.height} and the pictures are "
                f"{frames} of {width} x {height}; give both of one clip."
            )
        # A latent frame at a time, since all the rays of a clip would take more memory than the rest of the work.
        parts = [self._latent_frame(known, camera, last) for last in range(0, frames, STRIDE[0])]
        return self.layers[1:](torch.cat(parts, 2))

    def _latent_frame(self, known: Tensor, camera: CameraPath, last: int) -> Tensor:
        of = slice(max(last - STRIDE[0] + 1, 0), last + 1)
        rays = plucker_rays(camera.with_frames(of))
        told = torch.cat([known[of, None].to(rays), rays], 1).movedim(0, 1)
        before = STRIDE[0] - told.shape[1]
        return self.layers[0](nn.functional.pad(told, (0, 0, 0, 0, before, 0))[None])


def load_camera_embedding(file: Path | str) -> CameraEmbedding:
    """The embedding that `convert_neoverse` put into a file, in float32, frozen.

    Raises:
        Track2ViewError: there is no such file, or it holds something else.
    """
    what = f"The camera embedding {Path(file).name}"
    found = read_tensors(file, "The camera embedding")[0]
    state = {key.removeprefix(EMBEDDING_PREFIX): value for key, value in found.items()}
    embedding = CameraEmbedding().requires_grad_(False)
    remedy = "give the file that `track2view convert-model neoverse` wrote beside the model"
    check_shapes(state, embedding.layers.state_dict(), what, remedy)
    embedding.layers.load_state_dict(cast_floats(state, torch.float32, what))
    return embedding.eval()
