"""One TOML file a run: what is trained, on what, and what comes out. Paths are relative to the working directory."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ..conditioner import ConditionerConfig
from ..errors import Track2ViewError
from ..wan.bundle_config import Scheduler
from .batches import BatchDraw
from .objectives import FlowSettings
from .reading_settings import read_settings, refuse_unknown
from .settings import TrainSettings
from .settings_checks import check_at_least, check_choices, check_positive, check_shares
from .vae_objective import VaeSettings

Stage = Literal["vae", "base", "conditioner"]
WeightType = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class DataShare:
    """A data set that takes part, made by `track2view curate`. Several take turns, one a batch."""

    folder: str
    """Its folder."""
    batch: int | None = None
    """Pairs a batch, instead of draw.batch."""
    tracks: tuple[int, int] | None = None
    """Least and most tracks a batch, instead of draw.tracks."""
    start: float = 0.0
    """Share of the run from which on it takes part."""
    name: str = ""
    """For the log; the folder's name when empty."""

    def __post_init__(self) -> None:
        check_shares(self, "start")


@dataclass(frozen=True)
class ModelSettings:
    """The WAN transformer."""

    transformer: str = ""
    """A diffusers folder or one .safetensors file. Stage `base` starts a new one when it is empty."""
    bundle: str = ""
    """A bundle whose LoRA and conditioner the training starts from; empty starts new ones. Stage `conditioner` only."""
    dtype: WeightType = "fp32"
    """Of the frozen weights; what WAN keeps in float32 stays so, and what is trained is always float32."""
    gradient_checkpointing: bool = False
    """Compute a block's activations again in the backward pass instead of keeping them: a third slower, far smaller."""
    uses_text: bool = True
    """Whether captions are read; false trains with an all-zero prompt, as the tiny models are."""
    text_encoder: str = ""
    """Diffusers folder whose text encoder embeds the empty prompt of dropped texts; `transformer`'s when empty."""


@dataclass(frozen=True)
class BaseSettings:
    """A new transformer of WAN 2.1's architecture, for stage `base`."""

    width: int = 128
    """A multiple of 128, the size of WAN's heads."""
    layers: int = 8
    ffn: int = 512
    """Width inside the feed-forward."""

    def __post_init__(self) -> None:
        check_at_least(self, 1, "layers", "ffn")
        if self.width < 128 or self.width % 128:
            raise Track2ViewError(f"width is {self.width}; it must be a multiple of 128, the size of WAN's heads.")


@dataclass(frozen=True)
class LoraSettings:
    """LoRA on the self-attention's q, k, v, o and the feed-forward's two linears of every block."""

    rank: int = 64
    alpha: float = 64.0
    """The update is scaled by alpha / rank."""

    def __post_init__(self) -> None:
        check_at_least(self, 1, "rank")
        check_positive(self, "alpha")


@dataclass(frozen=True)
class SamplingDefaults:
    """How the finished bundle is sampled where a user says nothing else; validation samples so too."""

    steps: int = 50
    guidance: float = 5.0
    """Of the text; 1 is none, and half the cost."""
    scheduler: Scheduler = "unipc"

    def __post_init__(self) -> None:
        check_at_least(self, 1, "steps")
        check_positive(self, "guidance")
        check_choices(self, scheduler=("euler", "unipc"))


@dataclass(frozen=True)
class ValidationSettings:
    """What is measured and shown on held-out data every run.validate_every steps, with fixed noise."""

    folder: str = ""
    """A data set that training never sees; empty means no validation."""
    pairs: int = 8
    """Pairs (or clips, in stage `vae`) whose loss is measured."""
    levels: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8)
    """Noise levels of the held-out loss, between 0 and 1."""
    samples: int = 2
    """Pairs that are sampled to pictures; 0 makes none."""
    vae: str = ""
    """VAE of the data's latents, for pictures; empty makes none."""
    tracks: int = 1000
    """Tracks of each pair."""

    def __post_init__(self) -> None:
        check_at_least(self, 1, "pairs", "tracks")
        check_at_least(self, 0, "samples")
        if not self.levels or not all(0 < level <= 1 for level in self.levels):
            raise Track2ViewError(f"levels is {list(self.levels)}; give noise levels above 0 and up to 1.")


@dataclass(frozen=True)
class ExportSettings:
    """The finished file: bundle, transformer or VAE, by the stage."""

    file: str = ""
    """A .safetensors file, written when the run is done; empty writes none."""
    dtype: WeightType = "fp16"
    """Of its weights."""
    card: dict[str, str] = field(default_factory=dict)
    """More lines for a bundle's model card, such as purpose, licence, limits."""


@dataclass(frozen=True)
class TrainConfig:
    """A whole run."""

    stage: Stage
    """`vae`, `base` (the transformer), or `conditioner` (LoRA and conditioner on the frozen base)."""
    folder: str
    """Where checkpoints, log and samples go."""
    data: tuple[DataShare, ...]
    """One or more data sets."""
    run: TrainSettings
    draw: BatchDraw = field(default_factory=BatchDraw)
    model: ModelSettings = field(default_factory=ModelSettings)
    vae: VaeSettings = field(default_factory=VaeSettings)
    base: BaseSettings = field(default_factory=BaseSettings)
    lora: LoraSettings = field(default_factory=LoraSettings)
    conditioner: ConditionerConfig = field(default_factory=ConditionerConfig)
    flow: FlowSettings = field(default_factory=FlowSettings)
    sampling: SamplingDefaults = field(default_factory=SamplingDefaults)
    validation: ValidationSettings = field(default_factory=ValidationSettings)
    export: ExportSettings = field(default_factory=ExportSettings)

    def identity(self) -> dict[str, Any]:
        """What, besides the loop's own settings, must stay the same for a run to be one run."""
        names = ("stage", "data", "draw", *_SECTIONS[self.stage])
        return {name: value for name, value in asdict(self).items() if name in names}


_ALWAYS = ("stage", "folder", "data", "run", "validation", "export")
_SECTIONS: dict[str, tuple[str, ...]] = {
    "vae": ("vae",),
    "base": ("draw", "model", "base", "flow"),
    "conditioner": ("draw", "model", "lora", "conditioner", "flow", "sampling"),
}


def load_config(file: Path | str, changes: Sequence[str] = ()) -> TrainConfig:
    """Read a run's config.

    changes: assignments such as `run.steps=100` that replace fields of the file; text needs no quotes.

    Raises:
        Track2ViewError: the file, or a field of it, cannot be used; the message names it.
    """
    file = Path(file)
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Track2ViewError(f"The config {file} cannot be read ({error}); give a .toml file.") from error
    for change in changes:
        table = _merged(table, _assignment(change))
    return config_from(table)


def _assignment(change: str) -> dict[str, Any]:
    name, equals, value = change.partition("=")
    for written in (value, json.dumps(value.strip())):  # as TOML, else as text
        try:
            if equals:
                return tomllib.loads(f"{name} = {written}")
        except tomllib.TOMLDecodeError:
            continue
    raise Track2ViewError(f"{change!r} is no assignment; give FIELD=VALUE such as run.steps=100.")


def _merged(table: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(table)
    for name, value in change.items():
        inner = merged.get(name)
        merged[name] = _merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return merged


def config_from(table: Mapping[str, Any]) -> TrainConfig:
    """The config in a TOML document."""
    stage = table.get("stage")
    if stage not in _SECTIONS:
        raise Track2ViewError(f"stage is {stage!r}; allowed are {', '.join(_SECTIONS)}.")
    refuse_unknown(table, [*_ALWAYS, *_SECTIONS[stage]], "")
    if "frame_anchor" in table.get("draw", {}):
        raise Track2ViewError("draw.frame_anchor is unknown; set conditioner.frame_anchor, which the bundle carries.")
    config = read_settings(TrainConfig, table, "")
    if config.model.bundle and stage != "conditioner":
        raise Track2ViewError("model.bundle is what stage conditioner starts from; leave it out of the others.")
    if not config.data:
        raise Track2ViewError("data is empty; give at least one [[data]] with the folder of a data set.")
    return replace(config, draw=replace(config.draw, frame_anchor=config.conditioner.frame_anchor))
