"""LoRA files: reading every layout, and writing ours, as a Track2View bundle or for stock LoRA loaders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import Track2ViewError
from .bundle import CONDITIONER_PREFIX, METADATA_KEY, bundle_from
from .lora import DIFFUSERS_METADATA, for_stock_loaders, lora_layout, peft_settings, to_comfyui_lora
from .tensor_files import read_json, read_tensors, write_weights

PEFT_WEIGHTS = "adapter_model.safetensors"
PEFT_SETTINGS = "adapter_config.json"


@dataclass(frozen=True)
class Conversion:
    """What was found in the file that came."""

    layout: str  # whose keys
    modules: int
    ranks: tuple[int, ...]  # ascending
    scales: tuple[float, ...]  # alpha / rank, ascending
    is_bundle: bool  # what was written

    def __str__(self) -> str:
        if not self.modules:
            return "no LoRA"
        modules = f"{self.modules} module{'s' * (self.modules > 1)}"
        return f"{self.layout} layout, {modules}, {_range('rank', self.ranks)}, {_range('scale', self.scales)}"


def _range(name: str, values: tuple[float, ...]) -> str:
    return f"{name} {values[0]:g}" if len(values) == 1 else f"{name}s {values[0]:g} to {values[-1]:g}"


def convert_lora(source: Path | str, target: Path | str, *, lora_only: bool = False) -> Conversion:
    """Write the LoRA of `source` in our layout to `target`.

    source: a .safetensors of any layout, peft's folder (adapter_config.json, adapter_model.safetensors), or a bundle.
    target: a .safetensors, another file than the source. A bundle stays a bundle, its conditioner and metadata
        unchanged; a LoRA, and with `lora_only` that of a bundle, is written so that stock LoRA loaders take it.

    Raises:
        Track2ViewError: what is no such file, a LoRA that `to_comfyui_lora` refuses, a target that is the source.
    """
    source, target = Path(source), Path(target)
    weights = source / PEFT_WEIGHTS if source.is_dir() else source
    _check_target(weights, target)
    state, metadata = read_tensors(weights)
    is_bundle = METADATA_KEY in metadata
    what = f"The {'bundle' if is_bundle else 'LoRA'} {source.name}"
    conditioner = {key: value for key, value in state.items() if is_bundle and key.startswith(CONDITIONER_PREFIX)}
    found = {key: value for key, value in state.items() if key not in conditioner}
    if is_bundle:
        lora = bundle_from(state, metadata, source.name).lora
    else:
        lora = to_comfyui_lora(found, config=_settings(weights, metadata, what), what=what)
    if not lora and (lora_only or not is_bundle):
        raise Track2ViewError(f"{what} holds no LoRA; give a file that has one.")
    kept = {key: value for key, value in metadata.items() if key != DIFFUSERS_METADATA}  # it is in .alpha now
    if is_bundle and not lora_only:
        write_weights({**conditioner, **lora}, target, kept)
    else:
        kept.pop(METADATA_KEY, None)
        write_weights(for_stock_loaders(lora), target, {**kept, "format": "pt"})
    return _described(lora, lora_layout(found), is_bundle and not lora_only)


def _check_target(weights: Path, target: Path) -> None:
    if target.suffix.lower() != ".safetensors" or target.is_dir():
        raise Track2ViewError(f"{target} cannot be written; name a .safetensors file for the result.")
    if target.resolve() == weights.resolve() or (target.exists() and weights.exists() and target.samefile(weights)):
        raise Track2ViewError(f"{target} is the file to convert; name another file for the result.")


def _settings(weights: Path, metadata: dict[str, str], what: str) -> Mapping[str, Any] | None:
    """peft's settings: those in the file, else those that peft keeps beside its adapter_model.safetensors."""
    beside = weights.with_name(PEFT_SETTINGS)
    if DIFFUSERS_METADATA in metadata or weights.name != PEFT_WEIGHTS or not beside.is_file():
        return peft_settings(metadata, what)
    if not isinstance(settings := read_json(beside), dict):
        raise Track2ViewError(f"{beside} is no JSON object; copy the folder again.")
    return settings


def _described(lora: dict[str, Tensor], layout: str, is_bundle: bool) -> Conversion:
    modules = {key.removesuffix(".lora_A.weight"): value for key, value in lora.items() if ".lora_A." in key}
    scales = {
        float(lora[f"{name}.alpha"]) / down.shape[0] if f"{name}.alpha" in lora else 1.0
        for name, down in modules.items()
    }
    ranks = {down.shape[0] for down in modules.values()}
    return Conversion(layout, len(modules), tuple(sorted(ranks)), tuple(sorted(scales)), is_bundle)
