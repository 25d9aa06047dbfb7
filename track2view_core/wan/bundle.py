"""The bundle: one .safetensors with conditioner (`track2view.*`), LoRA (`diffusion_model.*`) and settings as JSON, and
with the empty prompt (`source_text`) where the source reads that.

The LoRA of a file may be of any common layout; loading brings it into ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..conditioner import TrackConditioner
from ..errors import Track2ViewError
from .bundle_config import BaseConfig, BundleConfig
from .lora import PREFIX as LORA_PREFIX
from .lora import peft_settings, to_comfyui_lora
from .tensor_files import cast_floats, check_shapes, read_tensors, unwrapped, write_weights

if TYPE_CHECKING:
    from diffusers import WanTransformer3DModel

CONDITIONER_PREFIX = "track2view."
METADATA_KEY = "track2view"
SOURCE_TEXT = "source_text"


@dataclass(frozen=True, eq=False)
class Bundle:
    """A trained Track2View for one WAN base."""

    conditioner: TrackConditioner
    lora: dict[str, Tensor]  # ComfyUI's keys, diffusion_model.*
    config: BundleConfig
    source_text: Tensor | None = None
    """[n, text_dim] the empty prompt, which the source reads where `source_text` in the config is empty."""

    def __post_init__(self) -> None:
        if (self.source_text is not None) != (self.config.sampling.source_text == "empty"):
            raise Track2ViewError(
                f'source_text in the bundle is "{self.config.sampling.source_text}", and {SOURCE_TEXT}, the embedding '
                f"of the empty prompt, is {'missing' if self.source_text is None else 'there'}; get the bundle again."
            )

    def check_fits(self, transformer: WanTransformer3DModel) -> None:
        """Refuse a transformer other than the kind this bundle was trained on."""
        self.check_base(BaseConfig.of(transformer))

    def check_base(self, found: BaseConfig) -> None:
        """Refuse a base other than the one this bundle was trained on."""
        if found != self.config.base:
            raise Track2ViewError(
                f"The bundle was trained for a WAN {self.config.base}, but the model is {found}; "
                "load the base it was made for, or another bundle."
            )


def save_bundle(file: Path | str, bundle: Bundle, *, dtype: torch.dtype | None = None) -> None:
    """Write a bundle in one file, whole or not at all; `dtype` converts the weights (alpha and text stay float32)."""
    conditioner = {CONDITIONER_PREFIX + k: v for k, v in bundle.conditioner.state_dict().items()}
    for key in bundle.lora:
        if not key.startswith(LORA_PREFIX):
            raise Track2ViewError(
                f"The LoRA key {key} does not start with {LORA_PREFIX}; convert the LoRA to ComfyUI's keys first."
            )
    state = cast_floats({**conditioner, **bundle.lora}, dtype, "The bundle")
    state |= {k: v for k, v in bundle.lora.items() if k.endswith(".alpha")}
    if bundle.source_text is not None:
        state[SOURCE_TEXT] = bundle.source_text.float()
    write_weights(state, file, {METADATA_KEY: json.dumps(bundle.config.to_dict())})


def _config_of(metadata: Mapping[str, str], name: str) -> BundleConfig:
    if METADATA_KEY not in metadata:
        raise Track2ViewError(
            f"{name} is no Track2View bundle: its metadata has no {METADATA_KEY} entry; give a bundle file."
        )
    try:
        values = json.loads(metadata[METADATA_KEY])
    except json.JSONDecodeError as error:
        raise Track2ViewError(f"The config in the bundle {name} is no JSON ({error}); get the bundle again.") from error
    return BundleConfig.from_dict(values)


def _source_text(state: Mapping[str, Tensor], what: str) -> Tensor | None:
    text = state.get(SOURCE_TEXT)
    if text is None:
        return None
    if text.ndim != 2 or not len(text):
        raise Track2ViewError(
            f"{what} has {SOURCE_TEXT} of the shape {list(text.shape)}; it must be [tokens, text_dim]: get it again."
        )
    return cast_floats({SOURCE_TEXT: text}, torch.float32, what)[SOURCE_TEXT]


def bundle_from(
    state: Mapping[str, Tensor], metadata: Mapping[str, str], name: str, dtype: torch.dtype = torch.float32
) -> Bundle:
    """The bundle in a file's tensors and metadata; `name` is the file's, for errors.

    What is not the conditioner's is LoRA, of any layout, and must fit the base that the bundle states.
    """
    config = _config_of(metadata, name)
    size = len(CONDITIONER_PREFIX)
    what = f"The bundle {name}"
    found = {k: v for k, v in state.items() if k.startswith(CONDITIONER_PREFIX)}
    weights = {k[size:]: v for k, v in cast_floats(unwrapped(found, what), dtype, what).items()}
    lora = to_comfyui_lora(
        {k: v for k, v in state.items() if not k.startswith(CONDITIONER_PREFIX) and k != SOURCE_TEXT},
        config=peft_settings(metadata, what),
        base=config.base,
        what=what,
    )
    conditioner = TrackConditioner(config.conditioner).to(dtype)
    check_shapes(weights, conditioner.state_dict(), what, "get the bundle again")
    conditioner.load_state_dict(weights)
    return Bundle(conditioner.eval().requires_grad_(False), lora, config, _source_text(state, what))


def load_bundle(file: Path | str, *, dtype: torch.dtype = torch.float32) -> Bundle:
    """Read a bundle; the conditioner comes in `dtype`, in evaluation mode, on the CPU, the LoRA in our layout."""
    return bundle_from(*read_tensors(file, "The bundle"), Path(file).name, dtype)
