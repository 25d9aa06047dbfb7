"""ReCamMaster on ComfyUI's own MODEL: the source behind the target, and the camera layers around every self-attention.

Core loads a ReCamMaster checkpoint as the WAN that it is, and leaves its camera layers in the file. They are added as
object patches on the self-attention's forward; every prompt gets the same source and camera, so that all of it is a
matter of the MODEL.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...track2view_core.errors import Track2ViewError
from .native import base_of
from .two_views import claimed, counted_twice, forward_both, frames_shown, wrap

if TYPE_CHECKING:
    from ...track2view_core.wan.recammaster_cameras import CameraLayers

KEY = "track2view_recammaster"  # ours among a MODEL's wrappers and additional models
POSES = "track2view_recammaster_poses"  # among transformer_options: the poses of this call, and the tokens of a frame
ATTENTION = "diffusion_model.blocks.{}.self_attn.forward"


def with_recammaster(
    model: Any,
    file: Path,
    poses: Tensor,  # [F, 12]
    source: Tensor,  # [1, 16, F, h8, w8] clean, normalised
) -> Any:
    """A clone of the MODEL that films `source` again from `poses`; applied again, it replaces.

    file: the ReCamMaster checkpoint that the MODEL was loaded from. No weight is patched.
    """
    from comfy.ops import manual_cast
    from comfy.patcher_extension import WrappersMP

    from ...track2view_core.wan.recammaster_cameras import read_camera_layers
    from .host import managed

    base = base_of(model, "ReCamMaster is a WAN 2.1 text-to-video 1.3B")
    layers = read_camera_layers(file, manual_cast.Linear)
    width = layers[0].projector.out_features
    if (base.dim, base.layers) != (width, len(layers)):
        raise Track2ViewError(
            f"The MODEL is {base.dim} wide with {base.layers} blocks and the camera layers of {file.name} are for "
            f"{width} with {len(layers)}; load the same file in Load Diffusion Model."
        )
    patched = claimed(model, "ReCamMaster")
    for number, block in enumerate(layers):
        name = ATTENTION.format(number)
        attention = patched.get_model_object(name)
        patched.add_object_patch(name, _with_camera(getattr(attention, "before_recammaster", attention), block))
    views = _Views(poses, source)
    wrappers = {
        WrappersMP.OUTER_SAMPLE: views.around_sampling,
        WrappersMP.PREPARE_SAMPLING: views.around_preparing,
        WrappersMP.DIFFUSION_MODEL: views.around_forward,
    }
    wrap(patched, KEY, wrappers)
    patched.set_additional_models(KEY, [managed(torch.nn.ModuleList(layers))])
    return patched


def is_of_file(model: Any, file: Path) -> bool:
    """Whether the MODEL's weights are those of the checkpoint."""
    from ...track2view_core.wan.recammaster_cameras import is_trained_with

    return is_trained_with(model.get_model_object("diffusion_model.blocks.0.self_attn.q.bias"), file)


class _Views:
    """What stands around a MODEL's sampling and its forward. It holds what was linked to the node, and nothing else."""

    def __init__(self, poses: Tensor, source: Tensor):
        self._poses, self._source = poses, source

    def around_sampling(self, executor: Any, noise: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Refuse a latent that is not of the clip before anything is loaded."""
        from ...track2view_core.wan.host_seams import check_same_clip

        check_same_clip(self._source.shape, noise.shape, "Apply ReCamMaster")
        return executor(noise, *args, **kwargs)

    def around_preparing(self, executor: Any, model: Any, noise_shape: Any, *args: Any, **kwargs: Any) -> Any:
        return executor(model, counted_twice(noise_shape), *args, **kwargs)

    def around_forward(
        self,
        executor: Any,
        x: Tensor,  # [B, 16, F', h8, w8]
        timestep: Tensor,  # [B]
        context: Any,
        clip_fea: Any = None,
        time_dim_concat: Tensor | None = None,
        transformer_options: dict[str, Any] | None = None,
        **conds: Any,
    ) -> Tensor:  # [B, 16, F', h8, w8]
        """WAN's forward over [target, source] at one timestep and consecutive positions, as ReCamMaster was trained."""
        from ...track2view_core.wan.host_seams import check_same_clip

        options = transformer_options or {}
        index = list(frames_shown(options, len(self._poses)))
        source = self._source[:, :, index]
        check_same_clip(source.shape, x.shape, "Apply ReCamMaster")  # of nodes that sample on their own
        options = {**options, POSES: (self._poses[index], ((source.shape[3] + 1) // 2) * ((source.shape[4] + 1) // 2))}
        return forward_both(
            executor, x, timestep, context, clip_fea, time_dim_concat, options,
            source=source, source_timestep="same", **conds,
        )  # fmt: skip


def _with_camera(attention: Any, layers: CameraLayers) -> Any:
    """A block's self-attention inside its camera layers."""

    def forward(x: Tensor, freqs: Tensor, transformer_options: Any = None, **kwargs: Any) -> Tensor:
        options = transformer_options or {}
        if POSES not in options:  # core calls it without them only where it left the wrappers out
            raise Track2ViewError(
                "The node that samples calls the MODEL without its wrappers, where ReCamMaster's camera cannot reach "
                "it; sample with KSampler, SamplerCustomAdvanced or another node that uses ComfyUI's guiders."
            )
        poses, frame_tokens = options[POSES]

        def attend(tokens: Tensor) -> Tensor:
            return attention(tokens, freqs, transformer_options=options, **kwargs)

        return layers(x, poses, frame_tokens, attend)

    forward.before_recammaster = attention
    return forward
