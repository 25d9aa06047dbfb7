"""What a bundle states of itself beside its weights: its conditioner, how it is sampled, the WAN it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from ..conditioner import ConditionerConfig
from ..errors import Track2ViewError
from .seams import (
    ROTARY,
    Rotary,
    SourceAttention,
    SourceText,
    SourceTimestep,
    check_source,
)

if TYPE_CHECKING:
    from diffusers import WanTransformer3DModel

SCHEDULERS = ("euler", "unipc")
Scheduler = Literal["euler", "unipc"]
PIXELS = ("keep", "model")
Pixels = Literal["keep", "model"]
LATENT_CHANNELS, SPATIAL_STRIDE = 16, 8  # of WAN 2.1's VAE
FULL_SIZE = 480
"""Pixels of the short side from which a model's picture is as sharp as a clip, where the bundle does not say."""
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


# Fields that older files lack, as those were sampled; where that is the value, newer files lack them, too.
_LATER: dict[str, Any] = {"pixels": None, "source_attention": "full", "source_text": "prompt"}


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
    pixels: Pixels | None = None  # "keep": those that the clip shows stay its own; None, as in older files: by the size
    source_attention: SourceAttention = "full"  # what the source's tokens attend to: both views, or the source alone
    source_text: SourceText = "prompt"  # what the source's tokens read; empty: the empty prompt, which the file holds

    @property
    def keeps_pixels(self) -> bool:
        """Whether the clip's own pixels shall stand where they are known, for who says nothing else."""
        return self.pixels == "keep" or (self.pixels is None and min(self.width, self.height) < FULL_SIZE)

    def to_dict(self) -> dict[str, Any]:
        told = super().to_dict()
        return {name: value for name, value in told.items() if name not in _LATER or value != _LATER[name]}

    @classmethod
    def from_dict(cls, values: Any) -> SamplingConfig:
        return super().from_dict({**_LATER, **values} if isinstance(values, Mapping) else values)

    def __post_init__(self) -> None:
        allowed = {"scheduler": SCHEDULERS, "rotary": ROTARY}
        for name, values in allowed.items():
            if (value := getattr(self, name)) not in values:
                raise Track2ViewError(f'{name} in the bundle is "{value}"; allowed are {", ".join(values)}.')
        check_source(self.source_attention, self.source_timestep, self.source_text)
        if self.pixels not in (None, *PIXELS):
            raise Track2ViewError(f'pixels in the bundle is "{self.pixels}"; allowed are {", ".join(PIXELS)}.')
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
        dim = config["num_attention_heads"] * config["attention_head_dim"]
        return cls(dim, config["num_layers"], config["ffn_dim"], config["in_channels"])

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
