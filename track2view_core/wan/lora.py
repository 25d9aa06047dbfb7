"""LoRA on WAN's transformer: put on and taken off through peft, and read from every layout that programs write.

Inside there is one layout, ComfyUI's keys on WAN's modules: `diffusion_model.blocks.N.self_attn.q.lora_A.weight`,
`.lora_B.weight` and `.alpha`; `to_comfyui_lora` brings every other one there. diffusers has converters too, which are
only the tests' oracle: private, one way, exact for ComfyUI's and kohya's blocks alone; the rest they drop or fail at.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import torch
from torch import Tensor, nn

from ..errors import Track2ViewError
from .bundle_config import BaseConfig
from .original_layout import dit_name_from_original, dit_name_to_original
from .tensor_files import cast_float, check_finite, without_wrappers

# peft and diffusers load for seconds, and only a LoRA on diffusers' own model needs them.
if TYPE_CHECKING:
    from diffusers import WanTransformer3DModel
    from peft.tuners.lora import LoraLayer

ADAPTER = "track2view"
PREFIX = "diffusion_model."
_TARGETS = ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0", "ffn.net.0.proj", "ffn.net.2")
_KEY = re.compile(re.escape(PREFIX) + r"(?P<module>.+)\.(?P<part>lora_A\.weight|lora_B\.weight|alpha)")


# On the transformer.


def _layers(transformer: nn.Module) -> dict[str, LoraLayer]:
    """The layers with a LoRA by the names that they have here, where compiled and wrapped modules add their own."""
    from peft.tuners.lora import LoraLayer

    return {name: module for name, module in transformer.named_modules() if isinstance(module, LoraLayer)}


@contextmanager
def _whole_or_not_at_all(transformer: WanTransformer3DModel) -> Iterator[None]:
    """Around what puts a LoRA on: where one is already, nothing is done, and what fails half-way is taken off again."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    if any(isinstance(module, BaseTunerLayer) for module in transformer.modules()):
        raise Track2ViewError("This transformer already carries a LoRA; remove it before another one is added.")
    try:
        yield
    except BaseException:  # an interrupt and a full card, too
        remove_lora(transformer)
        raise


def add_lora(transformer: WanTransformer3DModel, rank: int, alpha: float) -> None:
    """Put a trainable LoRA (B zero: no change yet) on the self-attention's q, k, v, o and the FFN's two linears.

    Everything else of the transformer is frozen. The new parameters are float32, whatever the base is stored in.
    """
    from peft import LoraConfig, inject_adapter_in_model

    # peft annotates alpha as a whole number and takes any.
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(_TARGETS), bias="none")  # pyright: ignore[reportArgumentType]
    with _whole_or_not_at_all(transformer):
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
    """diffusers' name of the linear that the LoRA pair changes, once it is known to exist, to fit and to be finite."""
    name = dit_name_from_original(original)
    if name is None or name not in linears:
        raise Track2ViewError(
            f"The LoRA key {PREFIX}{original} matches no linear of this WAN; give a LoRA made for this base."
        )
    if not {"lora_A.weight", "lora_B.weight"} <= parts.keys():
        raise Track2ViewError(
            f"The LoRA for {PREFIX}{original} lacks lora_A.weight or lora_B.weight; get the whole file again."
        )
    check_finite({f"{PREFIX}{original}.{part}": value for part, value in parts.items()}, "The LoRA")
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

    An empty state is no LoRA and leaves the transformer as it is. The transformer, or blocks of it, may be compiled.
    """
    if not math.isfinite(strength):
        raise Track2ViewError(f"The LoRA's strength is {strength}; give a finite number, 1 as trained.")
    if not state:
        return
    from peft import LoraConfig, inject_adapter_in_model

    with _whole_or_not_at_all(transformer):
        linears = {name: module for name, module in transformer.named_modules() if isinstance(module, nn.Linear)}
        name_here = {without_wrappers(name): name for name in linears}
        plain = {name: linears[here] for name, here in name_here.items()}
        groups = {
            name_here[_checked_layer(original, parts, plain)]: parts for original, parts in _grouped(state).items()
        }
        ranks = {name: parts["lora_A.weight"].shape[0] for name, parts in groups.items()}
        alphas = {
            name: float(parts["alpha"]) if "alpha" in parts else float(ranks[name]) for name, parts in groups.items()
        }
        first = next(iter(groups))
        config = LoraConfig(
            r=ranks[first],
            lora_alpha=alphas[first],  # pyright: ignore[reportArgumentType]: as above
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
                value = cast_float(f"{name}.{part}", groups[name][part], dtype, "The LoRA").to(weight.device)
                holder[ADAPTER].weight = nn.Parameter(value, requires_grad=False)
            layer.scaling[ADAPTER] = alphas[name] / ranks[name] * strength


def fill_lora(transformer: WanTransformer3DModel, state: Mapping[str, Tensor]) -> None:
    """Give the LoRA that `add_lora` put on this transformer the weights of `state`, in ComfyUI's keys, to train on."""
    groups = {dit_name_from_original(original): parts for original, parts in _grouped(state).items()}
    layers = {without_wrappers(name): layer for name, layer in _layers(transformer).items()}
    check_finite(state, "The LoRA to start from")
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
    with torch.no_grad():
        for name, layer in layers.items():
            _weight(layer.lora_A).copy_(groups[name]["lora_A.weight"])
            _weight(layer.lora_B).copy_(groups[name]["lora_B.weight"])


def remove_lora(transformer: WanTransformer3DModel) -> None:
    """Put the original linears back, the very modules that were there; without a LoRA this does nothing."""
    for name, layer in _layers(transformer).items():
        parent, _, child = name.rpartition(".")
        setattr(transformer.get_submodule(parent), child, layer.base_layer)
    if hasattr(transformer, "peft_config"):
        del transformer.peft_config


def _weight(half: nn.ModuleDict) -> Tensor:
    """The matrix of one half of a layer's LoRA."""
    weight = half[ADAPTER].weight
    assert isinstance(weight, Tensor)
    return weight


def lora_state(transformer: WanTransformer3DModel) -> dict[str, Tensor]:
    """The LoRA on this transformer in ComfyUI's keys, detached copies on the CPU."""
    state = {}
    for name, layer in _layers(transformer).items():
        key = f"{PREFIX}{dit_name_to_original(without_wrappers(name))}"
        state[f"{key}.lora_A.weight"] = _weight(layer.lora_A).detach().cpu().clone()
        state[f"{key}.lora_B.weight"] = _weight(layer.lora_B).detach().cpu().clone()
        state[f"{key}.alpha"] = torch.tensor(float(layer.lora_alpha[ADAPTER]))
    return state


# In files: other programs' layouts -> ours.

DIFFUSERS_METADATA = "lora_adapter_metadata"
_ALLOWED = "pairs of lora_A and lora_B, or lora_down and lora_up, with an optional alpha"

# What stands in front of a module's name, and who writes it; several may follow each other.
_PREFIXES = {
    "base_model.model.": "peft",
    "pipe.dit.": "DiffSynth",
    "model.diffusion_model.": "ComfyUI",
    PREFIX: "ComfyUI",
    "lora_unet__": "WAN Fun",
    "lora_unet_": "kohya",
    "lora_transformer_": "kohya",
    "lycoris_": "kohya",
    "transformer.": "diffusers",
    "dit.": "DiffSynth",
    "unet.": "ComfyUI",
}
# What stands behind it: .lora_A.weight .lora_A.NAME.weight .lora_A .lora_down.weight .lora.down.weight
# _lora.down.weight .lora_linear_layer.down.weight, the same for the other half, and .alpha
_PART = re.compile(
    r"(?P<module>.+?)(?:[._]lora(?:_linear_layer)?[._](?P<half>A|B|down|up)(?:(?:\.[\w-]+)?\.weight)?|\.alpha)"
)
_HALVES = {"A": "lora_A.weight", "down": "lora_A.weight", "B": "lora_B.weight", "up": "lora_B.weight", None: "alpha"}

# Other ways to change a model, by what their keys hold.
_OTHER_KINDS = {
    r"dora_scale|lora_magnitude_vector": "DoRA",
    r"hada_": "LoHa",
    r"lokr_": "LoKr",
    r"oft_|\.a\d\.|lora_mid": "another kind of adapter",
    r"\.(diff|diff_b|set_weight|w_norm|b_norm|reshape_weight)$": "a difference of whole weights",
    r"lora_B(\.[\w-]+)?\.bias$": "a LoRA with biases",
}
_IMAGE_MODULES = re.compile(r"k_img|v_img|img_emb|add_[kqv]_proj|image_embedder")
# peft has these change the base's own weights, so what they learned fits no plain base.
_CHANGED_BASE = ("pissa", "corda", "olora", "loftq", "lora_ga")

# WAN's linears: module -> (inputs, outputs), as fields of BaseConfig where it knows the size.
_SIZES: dict[str, tuple[str | None, str | None]] = {
    **{f"blocks.0.{attention}.{x}": ("dim", "dim") for attention in ("self_attn", "cross_attn") for x in "qkvo"},
    "blocks.0.ffn.0": ("dim", "ffn_dim"),
    "blocks.0.ffn.2": ("ffn_dim", "dim"),
    "text_embedding.0": (None, "dim"),
    "text_embedding.2": ("dim", "dim"),
    "time_embedding.0": (None, "dim"),
    "time_embedding.2": ("dim", "dim"),
    "time_projection.1": ("dim", None),
    "head.head": ("dim", None),
}


def _flat(name: str) -> str:
    return name.replace(".", "_")


# kohya's names have underscores for dots, so every name is looked up in that form: the list is finite and unambiguous.
_ORIGINAL_OF = {_flat(name): name for name in _SIZES}
_ORIGINAL_OF_DIFFUSERS = {_flat(dit_name_from_original(name) or ""): name for name in _SIZES}


class _Place(NamedTuple):
    """What one key of a file stands for."""

    module: str  # WAN's original name
    part: str  # lora_A.weight, lora_B.weight or alpha
    name: str  # the module as the file calls it, without prefixes
    layout: str


@dataclass(frozen=True)
class _Found:
    key: str
    name: str
    value: Tensor


def to_comfyui_lora(
    state: Mapping[str, Tensor],
    *,
    config: Mapping[str, Any] | None = None,
    base: BaseConfig | None = None,
    what: str = "The LoRA",
) -> dict[str, Tensor]:
    """A LoRA of any common layout in ours: `diffusion_model.<module>.lora_A.weight`, `.lora_B.weight`, `.alpha`.

    Read are the layouts of ComfyUI, diffusers, peft, DiffSynth, kohya / musubi and WAN Fun; ours comes back as it is.
    What compiled and wrapped modules put into a name (`without_wrappers`) may stand anywhere in a key.
    What a pair (A [rank, in], B [out, rank]) adds to the module's weight is alpha / rank * B A, and alpha is

    - the key `.alpha`, where the file has one (ComfyUI, kohya, musubi);
    - else what `config` says, the settings of peft's LoraConfig (lora_alpha, alpha_pattern, use_rslora);
    - else the rank, in other words the scale 1: no `.alpha` is written. So ComfyUI, diffusers and DiffSynth take it.

    Args:
        config: settings from adapter_config.json or a diffusers file's metadata (`peft_settings`).
        base: the WAN that the LoRA must fit, where it is known.
        what: opens the sentence of an error.

    Raises:
        Track2ViewError: a key that is no part of a plain LoRA on a linear of text-to-video WAN, half a pair, two keys
            for one thing, shapes that do not fit each other or the base, NaN or infinity. Names the key; nothing is
            left out.
    """
    _check_settings(config, what)
    modules: dict[str, dict[str, _Found]] = {}
    for key, value in state.items():
        place = _place(key, what)
        parts = modules.setdefault(place.module, {})
        if place.part in parts:
            raise Track2ViewError(
                f"{what} has both {parts[place.part].key} and {key} for {place.module}; each may come once: "
                "give a file with one LoRA."
            )
        parts[place.part] = _Found(key, place.name, value)
    out = {}
    for module, parts in modules.items():
        rank = _checked_rank(module, parts, base, what)
        out |= {f"{PREFIX}{module}.{part}": parts[part].value for part in ("lora_A.weight", "lora_B.weight")}
        if "alpha" in parts:
            out[f"{PREFIX}{module}.alpha"] = _checked_alpha(parts["alpha"], what)
        elif config is not None:
            out[f"{PREFIX}{module}.alpha"] = _alpha_by_settings(config, parts["lora_A.weight"].name, rank, what)
    return out


def lora_layout(state: Mapping[str, Tensor]) -> str:
    """Whose layout these keys are, for people: "kohya", or "ComfyUI and diffusers" for a mixture."""
    return " and ".join(sorted({_place(key, "The LoRA").layout for key in state}))


def peft_settings(metadata: Mapping[str, str], what: str = "The LoRA") -> dict[str, Any] | None:
    """The settings that diffusers (from 0.34) writes into the metadata of a LoRA file; None where there are none."""
    if (text := metadata.get(DIFFUSERS_METADATA)) is None:
        return None
    try:
        settings = json.loads(text)
    except json.JSONDecodeError as error:
        raise Track2ViewError(f"{what} has a {DIFFUSERS_METADATA} that is no JSON ({error}); get it again.") from error
    if not isinstance(settings, dict):
        raise Track2ViewError(f"{what} has a {DIFFUSERS_METADATA} that is no JSON object; get it again.")
    # A pipeline's file names the model in front of each setting, a transformer's own does not.
    return {key.removeprefix("transformer."): value for key, value in settings.items()}


def for_stock_loaders(lora: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same LoRA, in our layout, as ComfyUI's and diffusers' own loaders both take it.

    diffusers knows alpha inside the blocks only: elsewhere alpha / rank goes into lora_B.
    """
    out = dict(lora)
    for key in [key for key in lora if key.endswith(".alpha") and not key.startswith(f"{PREFIX}blocks.")]:
        module = key.removesuffix(".alpha")
        up = lora[f"{module}.lora_B.weight"]
        scale = float(out.pop(key)) / up.shape[1]
        out[f"{module}.lora_B.weight"] = (up.float() * scale).to(up.dtype)
    return out


def _place(key: str, what: str) -> _Place:
    match = _PART.fullmatch(without_wrappers(key))
    if match is None:
        _refuse_part(key, what)
    name, layout = match["module"], None
    while prefix := next((prefix for prefix in _PREFIXES if name.startswith(prefix)), None):
        name, layout = name[len(prefix) :], layout or _PREFIXES[prefix]
    block = re.fullmatch(r"blocks_(0|[1-9]\d*)_(.+)", _flat(name))
    flat = _flat(name) if block is None else f"blocks_0_{block[2]}"
    original = _ORIGINAL_OF.get(flat, _ORIGINAL_OF_DIFFUSERS.get(flat))
    if original is None:
        _refuse_module(key, name, what)
    if block is not None:
        original = original.replace("blocks.0.", f"blocks.{block[1]}.")
    layout = layout or ("DiffSynth" if flat in _ORIGINAL_OF else "diffusers")
    return _Place(original, _HALVES[match["half"]], name, layout)


def _refuse_part(key: str, what: str) -> NoReturn:
    kind = next((kind for pattern, kind in _OTHER_KINDS.items() if re.search(pattern, key)), None)
    has = f"the unknown key {key}" if kind is None else f"the key {key}, which is {kind}"
    raise Track2ViewError(f"{what} has {has}; allowed are {_ALLOWED}: give a plain LoRA.")


def _refuse_module(key: str, name: str, what: str) -> NoReturn:
    if _IMAGE_MODULES.search(name):
        raise Track2ViewError(
            f"{what} has the key {key}, so it is for an image-to-video WAN; give one for a text-to-video WAN."
        )
    raise Track2ViewError(
        f"{what} has the unknown key {key}; allowed are q, k, v and o of self_attn and cross_attn, ffn.0 and ffn.2 in "
        "the blocks, text_embedding, time_embedding, time_projection and head: give a LoRA for plain WAN 2.1."
    )


def _checked_rank(module: str, parts: Mapping[str, _Found], base: BaseConfig | None, what: str) -> int:
    """The rank of a whole pair that fits together, and fits the base where that is known."""
    for part, other in (("lora_A.weight", "lora_B.weight"), ("lora_B.weight", "lora_A.weight")):
        if part not in parts:
            there = parts.get(other, parts.get("alpha"))
            raise Track2ViewError(
                f"{what} has {there and there.key} without the {part} of {module}; get the whole file again."
            )
    down, up = parts["lora_A.weight"], parts["lora_B.weight"]
    for found in (down, up):
        if not found.value.is_floating_point():
            kind = str(found.value.dtype).removeprefix("torch.")
            raise Track2ViewError(f"{what} has {found.key} in {kind}; the weights must be floating-point numbers.")
        check_finite({found.key: found.value}, what)
    shapes = [list(found.value.shape) for found in (down, up)]
    rank = down.value.shape[0] if down.value.ndim == 2 else 0
    if rank < 1 or up.value.ndim != 2 or up.value.shape[1] != rank:
        raise Track2ViewError(
            f"{what} has {down.key} of shape {shapes[0]} and {up.key} of shape {shapes[1]}; "
            "needed are [rank, in] and [out, rank] with one rank: get the file again."
        )
    if base is not None:
        _check_base(module, down, up, base, what)
    return rank


def _check_base(module: str, down: _Found, up: _Found, base: BaseConfig, what: str) -> None:
    block = re.match(r"blocks\.(\d+)\.", module)
    if block is not None and int(block[1]) >= base.layers:
        raise Track2ViewError(
            f"{what} has {down.key} for layer {block[1]}, but its base has {base.layers} layers, counted from 0; "
            "give a LoRA made for this base."
        )
    general = module if block is None else f"blocks.0.{module[block.end() :]}"
    for found, axis, side, size in zip((down, up), (1, 0), ("inputs", "outputs"), _SIZES[general], strict=True):
        wanted = None if size is None else getattr(base, size)
        if wanted is not None and found.value.shape[axis] != wanted:
            raise Track2ViewError(
                f"{what} has {found.key} of shape {list(found.value.shape)}, but {module} of its base has {wanted} "
                f"{side} (a WAN {base}); give a LoRA made for this base."
            )


def _checked_alpha(found: _Found, what: str) -> Tensor:
    alpha = float(found.value) if found.value.numel() == 1 else math.nan
    if not math.isfinite(alpha):
        raise Track2ViewError(f"{what} has {found.key}, which is not one finite number; get the file again.")
    return torch.tensor(alpha)


def _check_settings(config: Mapping[str, Any] | None, what: str) -> None:
    start = (config or {}).get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_CHANGED_BASE):
        raise Track2ViewError(
            f"{what} was started with init_lora_weights {start}, which changes the base's own weights too; save it as "
            "a plain LoRA with peft's path_initial_model_for_weight_conversion first."
        )


def _alpha_by_settings(config: Mapping[str, Any], name: str, rank: int, what: str) -> Tensor:
    """alpha as peft finds it for the module `name`: by the first pattern that ends it, else lora_alpha."""
    try:
        patterns = {without_wrappers(k): v for k, v in dict(config.get("alpha_pattern") or {}).items()}
        alpha = float(next((v for k, v in patterns.items() if re.match(rf"(.*\.)?({k})$", name)), config["lora_alpha"]))
        if not math.isfinite(alpha):
            raise ValueError(f"{alpha} for {name}")
        return torch.tensor(alpha * (math.sqrt(rank) if config.get("use_rslora") else 1.0))
    except (KeyError, TypeError, ValueError, re.error) as error:
        raise Track2ViewError(
            f"{what} comes with settings whose lora_alpha or alpha_pattern is missing or no finite number ({error!r}); "
            "mend them, or remove them for alpha = rank."
        ) from error
