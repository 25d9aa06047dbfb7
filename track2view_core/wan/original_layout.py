"""Names of WAN's weights: diffusers' layout <-> the original layout, that of ComfyUI and of the published files."""

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from ..errors import Track2ViewError

Value = TypeVar("Value")

# diffusers module -> original module, outside the blocks
_DIT_MODULES = {
    "patch_embedding": "patch_embedding",
    "condition_embedder.time_embedder.linear_1": "time_embedding.0",
    "condition_embedder.time_embedder.linear_2": "time_embedding.2",
    "condition_embedder.time_proj": "time_projection.1",
    "condition_embedder.text_embedder.linear_1": "text_embedding.0",
    "condition_embedder.text_embedder.linear_2": "text_embedding.2",
    "scale_shift_table": "head.modulation",
    "proj_out": "head.head",
}
_DIT_ATTENTION = {"to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "o", "norm_q": "norm_q", "norm_k": "norm_k"}
# the same inside "blocks.N."; diffusers numbers the norms in the order of use, the original does not
_DIT_BLOCK = {
    **{
        f"{ours}.{a}": f"{original}.{b}"
        for ours, original in (("attn1", "self_attn"), ("attn2", "cross_attn"))
        for a, b in _DIT_ATTENTION.items()
    },
    "norm2": "norm3",
    "ffn.net.0.proj": "ffn.0",
    "ffn.net.2": "ffn.2",
    "scale_shift_table": "modulation",
}
_VAE_TOP = {"quant_conv": "conv1", "post_quant_conv": "conv2"}
_VAE_CODER = {
    "conv_in": "conv1",
    "norm_out": "head.0",
    "conv_out": "head.2",
    "mid_block.resnets.0": "middle.0",
    "mid_block.attentions.0": "middle.1",
    "mid_block.resnets.1": "middle.2",
}
_VAE_RESIDUAL = {
    "norm1": "residual.0",
    "conv1": "residual.2",
    "norm2": "residual.3",
    "conv2": "residual.6",
    "conv_shortcut": "shortcut",
}
_UP_STRIDE = 4  # modules an up block takes in the original's flat list: three residual blocks and the upsampler


def _inverse(table: Mapping[str, str]) -> dict[str, str]:
    return {value: key for key, value in table.items()}


def _swap_head(name: str, table: Mapping[str, str]) -> str | None:
    """`name` with the module path at its start exchanged by the table; None when no entry fits."""
    for ours, theirs in table.items():
        if name == ours or name.startswith(ours + "."):
            return theirs + name[len(ours) :]
    return None


def _block_name(name: str, modules: Mapping[str, str], block: Mapping[str, str]) -> str | None:
    match = re.match(r"(blocks\.\d+\.)(.+)", name)
    if match is None:
        return _swap_head(name, modules)
    inner = _swap_head(match[2], block)
    return None if inner is None else match[1] + inner


def dit_name_to_original(name: str) -> str | None:
    """Original name of a DiT module or parameter: blocks.0.attn1.to_q -> blocks.0.self_attn.q; None if unknown."""
    return _block_name(name, _DIT_MODULES, _DIT_BLOCK)


def dit_name_from_original(name: str) -> str | None:
    """diffusers' name of a DiT module or parameter of the original layout; None if unknown."""
    return _block_name(name, _inverse(_DIT_MODULES), _inverse(_DIT_BLOCK))


def _swap_residual(name: str, table: Mapping[str, str]) -> str:
    swapped = _swap_head(name, table)
    return name if swapped is None else swapped


def vae_name_to_original(name: str) -> str | None:
    """Original name of a parameter of AutoencoderKLWan (WAN 2.1: two residual blocks a level); None if unknown."""
    coder, _, rest = name.partition(".")
    if coder not in ("encoder", "decoder"):
        return _swap_head(name, _VAE_TOP)
    if match := re.match(r"down_blocks\.(\d+)\.(.+)", rest):
        return f"encoder.downsamples.{match[1]}.{_swap_residual(match[2], _VAE_RESIDUAL)}"
    if match := re.match(r"up_blocks\.(\d+)\.resnets\.(\d+)\.(.+)", rest):
        index = int(match[1]) * _UP_STRIDE + int(match[2])
        return f"decoder.upsamples.{index}.{_swap_residual(match[3], _VAE_RESIDUAL)}"
    if match := re.match(r"up_blocks\.(\d+)\.upsamplers\.0\.(.+)", rest):
        return f"decoder.upsamples.{int(match[1]) * _UP_STRIDE + _UP_STRIDE - 1}.{match[2]}"
    if match := re.match(r"(mid_block\.resnets\.\d)\.(.+)", rest):
        return f"{coder}.{_VAE_CODER[match[1]]}.{_swap_residual(match[2], _VAE_RESIDUAL)}"
    inner = _swap_head(rest, _VAE_CODER)
    return None if inner is None else f"{coder}.{inner}"


def vae_name_from_original(name: str) -> str | None:
    """diffusers' name of a parameter of WAN 2.1's VAE in the original layout; None if unknown."""
    coder, _, rest = name.partition(".")
    residual = _inverse(_VAE_RESIDUAL)
    if coder not in ("encoder", "decoder"):
        return _swap_head(name, _inverse(_VAE_TOP))
    if match := re.match(r"downsamples\.(\d+)\.(.+)", rest):
        return f"encoder.down_blocks.{match[1]}.{_swap_residual(match[2], residual)}"
    if match := re.match(r"upsamples\.(\d+)\.(.+)", rest):
        block, index = divmod(int(match[1]), _UP_STRIDE)
        place = "upsamplers.0" if index == _UP_STRIDE - 1 else f"resnets.{index}"
        return f"decoder.up_blocks.{block}.{place}.{_swap_residual(match[2], residual)}"
    if match := re.match(r"(middle\.[02])\.(.+)", rest):
        return f"{coder}.{_inverse(_VAE_CODER)[match[1]]}.{_swap_residual(match[2], residual)}"
    inner = _swap_head(rest, _inverse(_VAE_CODER))
    return None if inner is None else f"{coder}.{inner}"


def _renamed(state: Mapping[str, Value], rename: Callable[[str], str | None], what: str) -> dict[str, Value]:
    out = {}
    for key, value in state.items():
        name = rename(key)
        if name is None:
            raise Track2ViewError(f"The key {key} belongs to no {what}; give the weights of plain WAN 2.1.")
        out[name] = value
    return out


def dit_to_original(state: Mapping[str, Value]) -> dict[str, Value]:
    """State dict of diffusers' WanTransformer3DModel -> WAN's original key layout (what ComfyUI's UNETLoader opens)."""
    return _renamed(state, dit_name_to_original, "WAN text-to-video transformer")


def dit_from_original(state: Mapping[str, Value]) -> dict[str, Value]:
    """WAN's original key layout -> state dict of diffusers' WanTransformer3DModel."""
    return _renamed(state, dit_name_from_original, "WAN text-to-video transformer")


def vae_to_original(state: Mapping[str, Value]) -> dict[str, Value]:
    """State dict of diffusers' AutoencoderKLWan -> the original layout (what ComfyUI's VAELoader opens)."""
    return _renamed(state, vae_name_to_original, "WAN 2.1 VAE")


def vae_from_original(state: Mapping[str, Value]) -> dict[str, Value]:
    """The original layout of WAN 2.1's VAE -> state dict of diffusers' AutoencoderKLWan."""
    return _renamed(state, vae_name_from_original, "WAN 2.1 VAE")
