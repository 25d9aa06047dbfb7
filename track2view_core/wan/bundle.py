"""The bundle: one .safetensors with conditioner (`track2view.*`), LoRA (`diffusion_model.*`) and settings as JSON.

The LoRA of a file may be of any common layout; loading brings it into ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from ..conditioner import ConditionerConfig, TrackConditioner
from ..errors import Track2ViewError
from .lora import PREFIX as LORA_PREFIX
from .lora_layouts import peft_settings, to_comfyui_lora
from .seams import ROTARY, SOURCE_TIMESTEPS, Rotary, SourceTimestep
from .tensor_files import cast_floats, check_shapes, read_tensors, write_tensors

CONDITIONER_PREFIX = "track2view."
METADATA_KEY = "track2view"
SCHEDULERS = ("euler", "unipc")
Scheduler = Literal["euler", "unipc"]
Fields = TypeVar("Fields", bound="_JsonFields")


def _known_fields(cls: type, values: Any, where: str) -> dict[str, Any]:
    """`values` as keyword arguments of the dataclass `cls`; refuses unknown and missing names by name."""
    names = [f.name for f in fields(cls)]
    if not isinstance(values, Mapping):
        kind = type(values).__name__
        raise Track2ViewError(f"{where} of the bundle is {kind}, not a JSON object; get the bundle again.")
    for name in values:
        if name not in names:
            raise Track2ViewError(
                f"{where} of the bundle has the unknown field {name}; allowed are {', '.join(names)}: "
                "update Track2View, or give a bundle made for this version."
            )
    try:
        return {name: values[name] for name in names}
    except KeyError as error:
        raise Track2ViewError(f"{where} of the bundle lacks {error.args[0]}; get the bundle again.") from error


class _JsonFields:
    """Dataclass of plain values <-> dict, refusing unknown fields."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_dict(cls: type[Fields], values: Any) -> Fields:
        return cls(**_known_fields(cls, values, cls.__name__))


@dataclass(frozen=True)
class SamplingConfig(_JsonFields):
    """How the model was trained to be sampled: defaults of nodes and command line."""

    steps: int
    guidance: float
    shift: float
    width: int
    height: int
    frames: int  # length of a window, 4n + 1
    scheduler: Scheduler = "euler"
    rotary: Rotary = "shared"
    source_timestep: SourceTimestep = "zero"
    uses_text: bool = True  # False: trained with an all-zero prompt

    def __post_init__(self) -> None:
        allowed = {"scheduler": SCHEDULERS, "rotary": ROTARY, "source_timestep": SOURCE_TIMESTEPS}
        for name, values in allowed.items():
            if (value := getattr(self, name)) not in values:
                raise Track2ViewError(f'{name} in the bundle is "{value}"; allowed are {", ".join(values)}.')
        if self.frames < 1 or self.frames % 4 != 1:
            raise Track2ViewError(f"frames in the bundle is {self.frames}; it must be 4n + 1, such as 17 or 81.")
        if self.width < 16 or self.height < 16 or self.width % 16 or self.height % 16:
            size = f"{self.width} x {self.height}"
            raise Track2ViewError(f"The size in the bundle is {size}; both sides must be multiples of 16.")
        if self.steps < 1:
            raise Track2ViewError(f"steps in the bundle is {self.steps}; it must be at least 1.")


@dataclass(frozen=True)
class BaseConfig(_JsonFields):
    """The WAN a bundle was trained on; another one is refused."""

    dim: int
    layers: int
    ffn_dim: int
    in_channels: int = 16

    @classmethod
    def of(cls, transformer: WanTransformer3DModel) -> BaseConfig:
        config = transformer.config
        dim = config.num_attention_heads * config.attention_head_dim
        return cls(dim, config.num_layers, config.ffn_dim, config.in_channels)

    def __str__(self) -> str:
        return f"{self.dim} wide with {self.layers} layers, ffn {self.ffn_dim}, {self.in_channels} latent channels"


@dataclass(frozen=True)
class BundleConfig:
    """Everything about a bundle but its weights. `card` is free text about the model, by title."""

    conditioner: ConditionerConfig
    sampling: SamplingConfig
    base: BaseConfig
    card: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        parts = {name: getattr(self, name).to_dict() for name in ("conditioner", "sampling", "base")}
        return {**parts, "card": dict(self.card)}

    @classmethod
    def from_dict(cls, values: Any) -> BundleConfig:
        known = _known_fields(cls, {"card": {}, **values} if isinstance(values, Mapping) else values, "The config")
        return cls(
            ConditionerConfig.from_dict(known["conditioner"]),
            SamplingConfig.from_dict(known["sampling"]),
            BaseConfig.from_dict(known["base"]),
            known["card"],
        )


@dataclass(frozen=True, eq=False)
class Bundle:
    """A trained Track2View for one WAN base."""

    conditioner: TrackConditioner
    lora: dict[str, Tensor]  # ComfyUI's keys, diffusion_model.*
    config: BundleConfig

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
    """Write a bundle in one file, whole or not at all; `dtype` converts the weights (alpha stays float32)."""
    conditioner = {CONDITIONER_PREFIX + k: v for k, v in bundle.conditioner.state_dict().items()}
    for key in bundle.lora:
        if not key.startswith(LORA_PREFIX):
            raise Track2ViewError(
                f"The LoRA key {key} does not start with {LORA_PREFIX}; convert the LoRA to ComfyUI's keys first."
            )
    state = cast_floats({**conditioner, **bundle.lora}, dtype)
    state |= {k: v for k, v in bundle.lora.items() if k.endswith(".alpha")}
    write_tensors(state, file, {METADATA_KEY: json.dumps(bundle.config.to_dict())})


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


def bundle_from(
    state: Mapping[str, Tensor], metadata: Mapping[str, str], name: str, dtype: torch.dtype = torch.float32
) -> Bundle:
    """The bundle in a file's tensors and metadata; `name` is the file's, for errors.

    What is not the conditioner's is LoRA, of any layout, and must fit the base that the bundle states.
    """
    config = _config_of(metadata, name)
    size = len(CONDITIONER_PREFIX)
    weights = {k[size:]: v.to(dtype) for k, v in state.items() if k.startswith(CONDITIONER_PREFIX)}
    what = f"The bundle {name}"
    lora = to_comfyui_lora(
        {k: v for k, v in state.items() if not k.startswith(CONDITIONER_PREFIX)},
        config=peft_settings(metadata, what),
        base=config.base,
        what=what,
    )
    conditioner = TrackConditioner(config.conditioner).to(dtype)
    check_shapes(weights, conditioner.state_dict(), what, "get the bundle again")
    conditioner.load_state_dict(weights)
    return Bundle(conditioner.eval().requires_grad_(False), lora, config)


def load_bundle(file: Path | str, *, dtype: torch.dtype = torch.float32) -> Bundle:
    """Read a bundle; the conditioner comes in `dtype`, in evaluation mode, on the CPU, the LoRA in our layout."""
    return bundle_from(*read_tensors(file, "The bundle"), Path(file).name, dtype)
