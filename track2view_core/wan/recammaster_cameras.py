"""ReCamMaster's part of a WAN 2.1: the poses that it reads, and the two layers a block that read them.

ReCamMaster (Bai et al., 2025, arXiv 2503.11647) is WAN 2.1 1.3B, trained on to see [target, source] on the frame axis
with consecutive rotary positions and one timestep. In every block, with y the modulated tokens:

    x = x + gate * projector(self_attn(y + cam_encoder(pose)))

The pose of a latent frame is added to all its tokens, in both views. Its checkpoints are whole WANs, with these layers
as `blocks.N.cam_encoder` and `blocks.N.projector` among the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import torch
from einops import rearrange, repeat
from torch import Tensor

from ..cameras import CameraPath
from ..errors import Track2ViewError
from ..notes import Note
from ..tracks import PairedTracks
from ..tracks.point_tracks import median_depth
from ..video.arithmetic import FRAME_STRIDE
from .tensor_files import read_tensors

TRAINED_FRAMES, TRAINED_WIDTH, TRAINED_HEIGHT = 81, 832, 480
POSE_NUMBERS = 12
ZOOM = 0.01
"""Share by which a lens may differ from the source's: the model knows of none."""
FP8_ROUNDING = 1 / 16
_ATTENTION = re.compile(r"(?:.*\.)?blocks\.0\.self_attn\.q\.bias")
_KEY = re.compile(r"(?:.*\.)?blocks\.(\d+)\.((?:cam_encoder|projector)\.(?:weight|bias))")


class CameraLayers(torch.nn.Module):
    """What ReCamMaster has in one block beside WAN's own.

    linear: the class of both layers; a host gives one that follows the tokens' device and precision.
    """

    def __init__(self, width: int, linear: type[torch.nn.Linear] = torch.nn.Linear):
        super().__init__()
        self.cam_encoder = linear(POSE_NUMBERS, width)
        self.projector = linear(width, width)

    def forward(
        self,
        tokens: Tensor,  # [B, 2 F h w + more, D] of [target, source], modulated
        poses: Tensor,  # [F, 12]
        frame_tokens: int,  # h w
        self_attention: Callable[[Tensor], Tensor],  # [B, L, D] -> [B, L, D]
    ) -> Tensor:  # [B, 2 F h w + more, D]
        """What stands in the place of the block's self-attention."""
        cameras = repeat(self.cam_encoder(poses.to(tokens)), "f d -> (v f p) d", v=2, p=frame_tokens)
        following = tokens.shape[1] - len(cameras)  # of frames that a host appends
        return self.projector(self_attention(tokens + torch.nn.functional.pad(cameras, (0, 0, 0, following))))


def read_camera_layers(file: Path, linear: type[torch.nn.Linear] = torch.nn.Linear) -> list[CameraLayers]:
    """The camera layers of all blocks of a ReCamMaster checkpoint, in its own precision.

    Raises:
        Track2ViewError: the file is damaged, or has no such layers, or not for every block.
    """
    blocks: dict[int, dict[str, Tensor]] = {}
    for key, value in read_tensors(file, "The file", wanted=_KEY.fullmatch)[0].items():
        found = _KEY.fullmatch(key)
        assert found is not None
        blocks.setdefault(int(found[1]), {})[found[2]] = value
    if not blocks:
        raise Track2ViewError(
            f"{file.name} has no camera layers (blocks.0.cam_encoder.weight and so on), so it is no ReCamMaster; "
            "choose Wan2_1_kwai_recammaster_1_3B."
        )
    width = blocks[min(blocks)].get("projector.weight", torch.empty(0)).shape[0]
    with torch.device("meta"):
        layers = [CameraLayers(width, linear).requires_grad_(False).eval() for _ in blocks]
    shapes = {key: value.shape for key, value in layers[0].state_dict().items()}
    for number in range(len(blocks)):
        if {key: value.shape for key, value in blocks.get(number, {}).items()} != shapes:
            raise Track2ViewError(
                f"{file.name} lacks the camera layers of block {number}, or has them in another shape than ReCamMaster "
                f"(cam_encoder {width} x {POSE_NUMBERS}, projector {width} x {width}); get the file again."
            )
        layers[number].load_state_dict(blocks[number], assign=True)
    return layers


def is_trained_with(attention: Tensor, file: Path) -> bool:
    """Whether a MODEL is the checkpoint's own: `attention` is its `blocks.0.self_attn.q.bias`, in any precision.

    ReCamMaster trained its attention with the camera layers; they mean little on another WAN.
    """
    state, _ = read_tensors(file, "The file", wanted=_ATTENTION.fullmatch)
    given = attention.cpu().float()
    return all(torch.allclose(given, own.float(), rtol=FP8_ROUNDING, atol=1e-3) for own in state.values())


def pose_rows(source: CameraPath, target: CameraPath, *, metres: float) -> Tensor:
    """Where the target camera is at every latent frame, `[F, 12]` float32, as ReCamMaster reads it.

    Row k is the upper 3 x 4 of inverse(source pose of frame 0) @ target pose of frame 4k, row by row: OpenCV axes, the
    translation in metres.

    Args:
        metres: of one world unit.

    Raises:
        Track2ViewError: the target's lens is not the source's, of which the model could not be told.
    """
    zooms = target.resized(source.width, source.height).intrinsics[:, 0, 0] / source.intrinsics[:, 0, 0]
    frame = int((zooms - 1).abs().argmax())
    if abs(float(zooms[frame]) - 1) > ZOOM:
        raise Track2ViewError(
            f"The camera path zooms: its focal length in frame {frame} is {float(zooms[frame]):.2f} times the clip's, "
            "and ReCamMaster knows no lenses; take a path without zoom, such as dolly_in instead of dolly_zoom."
        )
    moves = source.camera_from_world[0] @ target.world_from_camera[::FRAME_STRIDE]
    scaled = torch.cat([moves[:, :3, :3], metres * moves[:, :3, 3:]], dim=2)
    return rearrange(scaled, "f i j -> f (i j)").float()


def poses_of_pairs(paired: PairedTracks, subject_distance: float) -> tuple[Tensor, Note]:
    """`pose_rows` of paired tracks, and how far they go.

    Args:
        subject_distance: metres from the camera to what it films in the first frame; the tracks' own units say nothing.
    """
    metres = subject_distance / median_depth(paired.source.depth, paired.visible)
    rows = pose_rows(paired.source_camera, paired.target_camera, metres=metres)
    moves = rearrange(rows, "f (i j) -> f i j", i=3)
    cosine = (moves[:, :, :3].diagonal(dim1=1, dim2=2).sum(1) - 1) / 2
    farthest = {"metres": moves[:, :, 3].norm(dim=1).max(), "degrees": cosine.clamp(-1, 1).acos().rad2deg().max()}
    return rows, Note.of("recammaster_path", **farthest, distance=subject_distance)


def size_notes(frames: int, width: int, height: int) -> tuple[Note, ...]:
    """How a clip differs from what ReCamMaster was trained on; empty when it does not."""
    if (frames, width, height) == (TRAINED_FRAMES, TRAINED_WIDTH, TRAINED_HEIGHT):
        return ()
    trained = {"trained_frames": TRAINED_FRAMES, "trained_width": TRAINED_WIDTH, "trained_height": TRAINED_HEIGHT}
    return (Note.of("recammaster_size", frames=frames, width=width, height=height, **trained),)
