"""LoRA on WAN's transformer through peft, in ComfyUI's keys: `diffusion_model.blocks.N.self_attn.q.lora_A.weight`."""

import re
from collections.abc import Mapping

import torch
from diffusers import WanTransformer3DModel
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from ..errors import Track2ViewError
from .original_layout import dit_name_from_original, dit_name_to_original

ADAPTER = "track2view"
PREFIX = "diffusion_model."
_TARGETS = ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0", "ffn.net.0.proj", "ffn.net.2")
_KEY = re.compile(re.escape(PREFIX) + r"(?P<module>.+)\.(?P<part>lora_A\.weight|lora_B\.weight|alpha)")


def _layers(transformer: nn.Module) -> dict[str, BaseTunerLayer]:
    return {name: module for name, module in transformer.named_modules() if isinstance(module, BaseTunerLayer)}


def _refuse_second(transformer: nn.Module) -> None:
    if _layers(transformer):
        raise Track2ViewError("This transformer already carries a LoRA; remove it before another one is added.")


def add_lora(transformer: WanTransformer3DModel, rank: int, alpha: float) -> None:
    """Put a trainable LoRA (B zero: no change yet) on the self-attention's q, k, v, o and the FFN's two linears.

    Everything else of the transformer is frozen. The new parameters are float32, whatever the base is stored in.
    """
    _refuse_second(transformer)
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(_TARGETS), bias="none")
    inject_adapter_in_model(config, transformer, adapter_name=ADAPTER)
    for layer in _layers(transformer).values():
        layer.lora_A.float()
        layer.lora_B.float()


def _grouped(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Original module name -> {lora_A.weight, lora_B.weight, alpha?}; refuses other keys by name."""
    groups: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        match = _KEY.fullmatch(key)
        if match is None:
            raise Track2ViewError(
                f"The LoRA key {key} is unknown; allowed are {PREFIX}<module>.lora_A.weight, .lora_B.weight and "
                ".alpha: convert the file with track2view convert, or give another one."
            )
        groups.setdefault(match["module"], {})[match["part"]] = value
    return groups


def _checked_layer(original: str, parts: Mapping[str, Tensor], linears: Mapping[str, nn.Linear]) -> str:
    """diffusers' name of the linear that the LoRA pair changes, once it is known to exist and to fit."""
    name = dit_name_from_original(original)
    if name is None or name not in linears:
        raise Track2ViewError(
            f"The LoRA key {PREFIX}{original} matches no linear of this WAN; give a LoRA made for this base."
        )
    if not {"lora_A.weight", "lora_B.weight"} <= parts.keys():
        raise Track2ViewError(
            f"The LoRA for {PREFIX}{original} lacks lora_A.weight or lora_B.weight; get the whole file again."
        )
    linear, down, up = linears[name], parts["lora_A.weight"], parts["lora_B.weight"]
    rank = down.shape[0] if down.ndim == 2 else 0
    if tuple(down.shape) != (rank, linear.in_features) or tuple(up.shape) != (linear.out_features, rank):
        raise Track2ViewError(
            f"The LoRA for {PREFIX}{original} has shapes {tuple(down.shape)} and {tuple(up.shape)}, but this base "
            f"needs (rank, {linear.in_features}) and ({linear.out_features}, rank); give the one trained for this base."
        )
    return name


def load_lora(transformer: WanTransformer3DModel, state: Mapping[str, Tensor], strength: float = 1.0) -> None:
    """Apply a LoRA in ComfyUI's keys beside the unchanged base; a missing alpha means alpha = rank, as in ComfyUI.

    An empty state is no LoRA and leaves the transformer as it is.
    """
    if not state:
        return
    _refuse_second(transformer)
    linears = {name: module for name, module in transformer.named_modules() if isinstance(module, nn.Linear)}
    groups = {_checked_layer(original, parts, linears): parts for original, parts in _grouped(state).items()}
    ranks = {name: parts["lora_A.weight"].shape[0] for name, parts in groups.items()}
    alphas = {name: float(parts["alpha"]) if "alpha" in parts else float(ranks[name]) for name, parts in groups.items()}
    first = next(iter(groups))
    config = LoraConfig(
        r=ranks[first],
        lora_alpha=alphas[first],
        target_modules=list(groups),
        rank_pattern=ranks,
        alpha_pattern=alphas,
        bias="none",
    )
    inject_adapter_in_model(config, transformer, adapter_name=ADAPTER)
    for name, layer in _layers(transformer).items():
        weight = linears[name].weight
        dtype = weight.dtype if weight.is_floating_point() and weight.dtype.itemsize > 1 else torch.bfloat16
        for part, holder in (("lora_A.weight", layer.lora_A), ("lora_B.weight", layer.lora_B)):
            holder[ADAPTER].weight = nn.Parameter(groups[name][part].to(weight.device, dtype), requires_grad=False)
        layer.scaling[ADAPTER] = alphas[name] / ranks[name] * strength


def fill_lora(transformer: WanTransformer3DModel, state: Mapping[str, Tensor]) -> None:
    """Give the LoRA that `add_lora` put on this transformer the weights of `state`, in ComfyUI's keys, to train on."""
    groups = {dit_name_from_original(original): parts for original, parts in _grouped(state).items()}
    layers = _layers(transformer)
    if groups.keys() != layers.keys():
        raise Track2ViewError(
            f"The LoRA to start from changes {len(groups)} linears, and the one to train {len(layers)} (self-attention "
            "and feed-forward of every block); give a bundle that was trained here."
        )
    for name, layer in layers.items():
        rank, alpha = layer.r[ADAPTER], float(layer.lora_alpha[ADAPTER])
        found = groups[name]["lora_A.weight"].shape[0]
        found_alpha = float(groups[name].get("alpha", found))
        if (found, found_alpha) != (rank, alpha):
            raise Track2ViewError(
                f"The LoRA to start from has rank {found} and alpha {found_alpha:g}; set lora.rank to {found} and "
                f"lora.alpha to {found_alpha:g} (they are {rank} and {alpha:g})."
            )
        for part, holder in (("lora_A.weight", layer.lora_A), ("lora_B.weight", layer.lora_B)):
            with torch.no_grad():
                holder[ADAPTER].weight.copy_(groups[name][part])


def remove_lora(transformer: WanTransformer3DModel) -> None:
    """Put the original linears back, the very modules that were there; without a LoRA this does nothing."""
    for name, layer in _layers(transformer).items():
        parent, _, child = name.rpartition(".")
        setattr(transformer.get_submodule(parent), child, layer.base_layer)
    if hasattr(transformer, "peft_config"):
        del transformer.peft_config


def lora_state(transformer: WanTransformer3DModel) -> dict[str, Tensor]:
    """The LoRA on this transformer in ComfyUI's keys, detached copies on the CPU."""
    state = {}
    for name, layer in _layers(transformer).items():
        key = f"{PREFIX}{dit_name_to_original(name)}"
        state[f"{key}.lora_A.weight"] = layer.lora_A[ADAPTER].weight.detach().cpu().clone()
        state[f"{key}.lora_B.weight"] = layer.lora_B[ADAPTER].weight.detach().cpu().clone()
        state[f"{key}.alpha"] = torch.tensor(float(layer.lora_alpha[ADAPTER]))
    return state
