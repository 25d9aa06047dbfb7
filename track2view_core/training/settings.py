"""Everything that can be set for a run: one TOML file, read and checked before anything is loaded.

Every field is documented here with its default; a field that is misspelt, of the wrong type or out of range is refused
by name. Paths are relative to the working directory.
"""

from __future__ import annotations

import json
import math
import tomllib
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ..conditioner import ConditionerConfig
from ..errors import Track2ViewError
from ..tracks.pairing import FrameAnchor
from ..wan.bundle_config import Pixels, Scheduler
from ..wan.seams import (
    ROTARY,
    Rotary,
    SourceAttention,
    SourceText,
    SourceTimestep,
    check_source,
)

Optimiser = Literal["adamw", "adamw8bit", "muon"]
Precision = Literal["fp32", "bf16"]
StageName = Literal["vae", "base", "conditioner"]
WeightType = Literal["fp32", "bf16", "fp16"]
TargetPositions = Literal["reprojected", "tracked"]
COSINE = ((0.0, 1.0), (1.0, 0.02))


@dataclass(frozen=True)
class OptimiserSettings:
    """The optimiser and how its rate runs."""

    name: Optimiser = "adamw"
    """`adamw`; `adamw8bit`: the same with moments in 8 bits (needs bitsandbytes); `muon`: Muon for the hidden matrices
    and kernels, AdamW for all else, for small networks trained from nothing."""
    rate: float = 1e-4
    """Learning rate of AdamW."""
    muon_rate: float = 0.02
    """Learning rate of Muon."""
    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW's decays of the two moments."""
    weight_decay: float = 0.01
    """AdamW's decay of weights."""
    warmup: int = 100
    """Steps over which the rate rises from nothing."""
    points: tuple[tuple[float, float], ...] = COSINE
    """Factor of the rate over the run, as [share of the steps, factor]: half a cosine from each point to the next, and
    level before the first and after the last. [[0, 1], [1, 0.02]] is a cosine, [[0, 1]] a constant rate."""

    def __post_init__(self) -> None:
        _check_choices(self, name=("adamw", "adamw8bit", "muon"))
        _check_positive(self, "rate", "muon_rate")
        _check_at_least(self, 0, "warmup", "weight_decay")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise Track2ViewError(f"betas is {list(self.betas)}; both must be at least 0 and below 1.")
        shares = [share for share, _ in self.points]
        if not shares or shares != sorted(set(shares)) or shares[0] < 0 or shares[-1] > 1:
            raise Track2ViewError(
                f"points has the shares {shares}; give [share, factor] pairs whose shares rise between 0 and 1."
            )
        if any(factor < 0 for _, factor in self.points):
            raise Track2ViewError("points has a factor below 0; every factor must be at least 0.")


@dataclass(frozen=True)
class TrainSettings:
    """The loop. `accelerate` adds what belongs to the machine: how many processes, FSDP, DeepSpeed."""

    steps: int = 1000
    """Steps of the optimiser."""
    minutes: float | None = None
    """The run ends after so much time on the clock if its steps are not done before; the course of the rates and all
    other shares of the run then go by the time. No two such runs are alike."""
    seed: int = 0
    """Of initial weights, data order and noise."""
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    accumulation: int = 1
    """Batches whose gradients make one step."""
    clip_norm: float = 1.0
    """The gradient is scaled down to this norm."""
    ema: float = 0.999
    """Decay of the averaged weights, which are what is validated and exported; 0 keeps the last weights."""
    precision: Precision = "fp32"
    """`fp32`, or `bf16`: matrix products in bfloat16, trained weights and optimiser in float32."""
    device: Literal["auto", "cpu"] = "auto"
    """`auto` is what accelerate finds, `cpu` the CPU."""
    noise: Literal["cpu", "device"] = "cpu"
    """Where noise is drawn: on the `cpu`, so that a seed means the same everywhere, or faster on the run's `device`."""
    prefetch: int = 2
    """Batches that are read ahead, each in a thread; 0 reads them in turn."""
    checkpoint_every: int = 200
    """Steps between checkpoints."""
    keep_checkpoints: int = 3
    """The last so many are kept."""
    log_every: int = 10
    """Steps between lines of the log."""
    validate_every: int = 500
    """Steps between validations; 0 validates at the end alone."""
    max_skipped: int = 20
    """So many steps in a row whose loss or gradient is not finite end the run."""
    tensorboard: bool = True
    """Write events for TensorBoard beside log.jsonl."""

    def __post_init__(self) -> None:
        _check_at_least(self, 1, "steps", "accumulation", "checkpoint_every", "keep_checkpoints", "log_every")
        _check_at_least(self, 1, "max_skipped")
        _check_at_least(self, 0, "seed", "prefetch", "validate_every")
        _check_positive(self, "clip_norm")
        _check_shares(self, "ema")
        _check_choices(self, precision=("fp32", "bf16"), device=("auto", "cpu"), noise=("cpu", "device"))
        if self.minutes is not None:
            _check_positive(self, "minutes")


# What may change between two parts of one run without making it another run.
FREE_TO_CHANGE = frozenset(
    {
        "steps",
        "minutes",
        "device",
        "prefetch",
        "checkpoint_every",
        "keep_checkpoints",
        "log_every",
        "validate_every",
        "max_skipped",
        "tensorboard",
    }
)


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
    resident: bool = False
    """Read once and held in the memory of the run's device, where batches are then drawn: for many small clips on a
    fast card, which reading from files would keep waiting."""

    def __post_init__(self) -> None:
        _check_shares(self, "start")


@dataclass(frozen=True)
class TrackerErrors:
    """How exact tracks are made to err as a tracker's do, so that the model meets at training what it meets in use.

    All are upper ends; every clip draws its own share of each, so that clean tracks are seen too.
    """

    jitter: float = 0.0015
    """Of the image's width, a frame."""
    drift: float = 0.004
    """Of the image's width, reached at the last frame."""
    depth: float = 0.08
    """Relative, constant along a track."""
    flipped: float = 0.04
    """Share of wrong visibilities."""


@dataclass(frozen=True)
class BatchDraw:
    """How a batch is drawn. Shares are probabilities between 0 and 1."""

    batch: int = 1
    """Pairs a batch (of one process)."""
    tracks: tuple[int, int] = (500, 1500)
    """Least and most tracks of a batch; a pair that has fewer gives what it has."""
    track_dropout: float = 0.0
    """Upper end of the share of those tracks that a pair loses again, its own share each time."""
    identity: float = 0.1
    """Share of pairs whose target is the source itself."""
    text_dropout: float = 0.1
    """Share of pairs whose text is the empty prompt."""
    late_window: float = 0.25
    """Share of batches cut to latent frames that start after frame 0, as the later windows of a long clip do."""
    target_positions: TargetPositions = "reprojected"
    """Where the tracks lie in the target view: the source's points `reprojected`, as in use, or `tracked` there,
    where the data set holds that."""
    frame_anchor: FrameAnchor = "last"
    """Which video frames a latent frame's tracks stand for."""
    errors: TrackerErrors | None = TrackerErrors()
    """How the tracks err; None leaves them as the data set holds them."""

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise Track2ViewError(f"batch is {self.batch}; it must be at least 1.")
        low, high = self.tracks
        if not 0 < low <= high:
            raise Track2ViewError(f"tracks is {list(self.tracks)}; it must be [least, most] with 0 < least <= most.")
        _check_shares(self, "track_dropout", "identity", "text_dropout", "late_window")
        _check_choices(self, target_positions=("reprojected", "tracked"), frame_anchor=("last", "mean"))


@dataclass(frozen=True)
class FlowSettings:
    """Flow matching and the sequence of both views; stored in the bundle, which is sampled as it was trained."""

    shift: float = 5.0
    """Noise levels are s = shift u / (1 + (shift - 1) u) for uniform u: the higher, the more noise."""
    rotary: Rotary = "shared"
    """Temporal positions: `shared` by both views, or `consecutive`."""
    source_timestep: SourceTimestep = "zero"
    """Timestep of the clean source's tokens: `zero`, or the `same` as the target's."""
    source_attention: SourceAttention = "full"
    """What the source's tokens attend to: both views (`full`), or their `own` view alone, so that sampling computes the
    source once and not at every step, at half the cost of each; needs source_timestep `zero`."""
    source_text: SourceText = "prompt"
    """What the source's tokens read: the `prompt`, or the `empty` one, so that what is kept of the source serves both
    prompts of the guidance and takes half the memory; needs source_attention `own` and a model with text."""

    def __post_init__(self) -> None:
        _check_positive(self, "shift")
        _check_choices(self, rotary=ROTARY)
        check_source(self.source_attention, self.source_timestep, self.source_text)


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
class LoraSettings:
    """LoRA on the self-attention's q, k, v, o and the feed-forward's two linears of every block."""

    rank: int = 64
    alpha: float = 64.0
    """The update is scaled by alpha / rank."""

    def __post_init__(self) -> None:
        _check_at_least(self, 1, "rank")
        _check_positive(self, "alpha")


@dataclass(frozen=True)
class SamplingDefaults:
    """How the finished bundle is sampled where a user says nothing else; validation samples so too."""

    steps: int = 50
    guidance: float = 5.0
    """Of the text; 1 is none, and half the cost."""
    scheduler: Scheduler = "unipc"
    pixels: Pixels | None = None
    """`keep`: what a clip shows of the new view keeps its own pixels; `model`: the model's picture alone; left out, the
    size decides: bundles under 480p keep."""

    def __post_init__(self) -> None:
        _check_at_least(self, 1, "steps")
        _check_positive(self, "guidance")
        _check_choices(self, scheduler=("euler", "unipc"))
        if self.pixels is not None:
            _check_choices(self, pixels=("keep", "model"))


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
        _check_at_least(self, 1, "pairs", "tracks")
        _check_at_least(self, 0, "samples")
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
class BaseSettings:
    """A new transformer of WAN 2.1's architecture, for stage `base`."""

    width: int = 128
    """A multiple of 128, the size of WAN's heads."""
    layers: int = 8
    ffn: int = 512
    """Width inside the feed-forward."""

    def __post_init__(self) -> None:
        _check_at_least(self, 1, "layers", "ffn")
        if self.width < 128 or self.width % 128:
            raise Track2ViewError(f"width is {self.width}; it must be a multiple of 128, the size of WAN's heads.")


@dataclass(frozen=True)
class VaeSettings:
    """The VAE and what it is trained on."""

    base_width: int = 8
    """Channels of the widest resolution; WAN 2.1's is 96. ComfyUI reads it from the file."""
    decoder_of: str = ""
    """A VAE file to start from, of which the decoder alone is trained: latents stay what they were, and so models that
    read and write them still fit. `base_width` is the file's."""
    frames_until: float = 0.65
    """Share of the run with single frames alone; after it clips come in, every other step."""
    image_batch: int = 12
    """Single frames a batch."""
    image_crop: int = 64
    """Their side in pixels."""
    clip_shapes: tuple[tuple[int, int], ...] = ((17, 32), (9, 48), (17, 32), (33, 32), (9, 64))
    """[frames, side] of clips, in turn; longer than the data's clips means there and back again. Train at the longest
    length that is to be decoded at once: trained on 9 frames alone, colours drift from frame 10 on."""
    clip_pixels: int = 72_000
    """Pixels a batch of clips, which sets how many there are."""
    gradient: float = 0.0
    """Weight of the L1 of differences between neighbouring pixels and frames: edges."""
    sharpness: float = 0.0
    """Weight of how far the size of those differences, averaged over 8 x 8 pixels, is from the clip's: against blur."""
    latent_noise: float = 0.0
    """Noise on the latents, in shares of their standard deviation: pictures that forgive a model's small errors."""
    coarse: float = 0.0
    """Share of the batches in which latents averaged over 2 x 2 have to give the picture averaged so: latents that are
    smooth in space, which are easier to learn for the transformer."""

    def __post_init__(self) -> None:
        _check_at_least(self, 1, "base_width", "image_batch", "clip_pixels")
        _check_at_least(self, 0, "gradient", "sharpness", "latent_noise")
        _check_shares(self, "frames_until", "coarse")
        if not self.clip_shapes:
            raise Track2ViewError("clip_shapes is empty; give at least one [frames, side].")
        for frames, side in (*self.clip_shapes, (1, self.image_crop)):
            if frames % 4 != 1 or frames < 1 or side % 16 or side < 16:
                raise Track2ViewError(
                    f"clip_shapes or image_crop has {frames} frames of {side} px; frames must be 4n + 1 and the side a "
                    "multiple of 16."
                )


@dataclass(frozen=True)
class TrainConfig:
    """A whole run."""

    stage: StageName
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
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name in names}


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
    _refuse_unknown(table, [*_ALWAYS, *_SECTIONS[stage]], "")
    if "frame_anchor" in table.get("draw", {}):
        raise Track2ViewError("draw.frame_anchor is unknown; set conditioner.frame_anchor, which the bundle carries.")
    config = read_settings(TrainConfig, table, "")
    if config.model.bundle and stage != "conditioner":
        raise Track2ViewError("model.bundle is what stage conditioner starts from; leave it out of the others.")
    if config.flow.source_text == "empty" and not config.model.uses_text:
        raise Track2ViewError(
            'flow.source_text is "empty" and model.uses_text is false, where every prompt is; leave one of them out.'
        )
    if not config.data:
        raise Track2ViewError("data is empty; give at least one [[data]] with the folder of a data set.")
    return replace(config, draw=replace(config.draw, frame_anchor=config.conditioner.frame_anchor))


Settings = TypeVar("Settings")
_NAMES = {int: "a whole number", float: "a number", str: "text in quotes", bool: "true or false"}


def read_settings(cls: type[Settings], table: Any, where: str) -> Settings:
    """`table` as the dataclass `cls`; `where` is its dotted name in the file.

    Raises:
        Track2ViewError: a field is unknown, missing, of another type or out of range; the message names it.
    """
    if not isinstance(table, Mapping):
        raise Track2ViewError(f"{where} is {table!r}; it must be a table of settings.")
    hints = get_type_hints(cls)
    known = fields(cls)  # type: ignore[arg-type]
    _refuse_unknown(table, [one.name for one in known], where)
    values = {}
    for one in known:
        name = f"{where}.{one.name}" if where else one.name
        if one.name in table:
            values[one.name] = _value(hints[one.name], table[one.name], name)
        elif one.default is MISSING and one.default_factory is MISSING:
            raise Track2ViewError(f"{name} is missing; add it to the config.")
    try:
        return cls(**values)
    except Track2ViewError as error:
        raise Track2ViewError(f"In {where or 'the config'}: {error}") from error


def _refuse_unknown(table: Mapping[str, Any], known: list[str], where: str) -> None:
    for name in table:
        if name not in known:
            place = f"of {where}" if where else "at the top of the config"
            full = f"{where}.{name}" if where else name
            raise Track2ViewError(f"{full} is unknown; the fields {place} are {', '.join(sorted(known))}.")


def _value(hint: Any, value: Any, name: str) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):  # X | None
        return _value(next(part for part in inner if part is not type(None)), value, name)
    if origin is Literal:
        if value not in inner or isinstance(value, bool):
            raise Track2ViewError(f"{name} is {value!r}; allowed are {', '.join(map(str, inner))}.")
        return value
    if origin is tuple:
        return _items(inner, value, name)
    if origin in (dict, Mapping):
        if not isinstance(value, dict):
            raise Track2ViewError(f"{name} is {value!r}; it must be a table.")
        return {key: _value(inner[1], entry, f"{name}.{key}") for key, entry in value.items()}
    if isinstance(hint, type) and is_dataclass(hint):
        return read_settings(hint, value, name)
    return _plain(hint, value, name)


def _items(inner: tuple[Any, ...], value: Any, name: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise Track2ViewError(f"{name} is {value!r}; it must be a list in square brackets.")
    kinds = [inner[0]] * len(value) if len(inner) == 2 and inner[1] is Ellipsis else list(inner)
    if len(kinds) != len(value):
        raise Track2ViewError(f"{name} has {len(value)} entries; it must have {len(kinds)}.")
    return tuple(_value(kind, entry, f"{name}[{i}]") for i, (kind, entry) in enumerate(zip(kinds, value, strict=True)))


def _plain(kind: type, value: Any, name: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise Track2ViewError(f"{name} is {value!r}; it must be {_NAMES[kind]}.")
    return value


def _check_shares(settings: Any, *names: str) -> None:
    for name in names:
        if not 0.0 <= getattr(settings, name) <= 1.0:
            raise Track2ViewError(f"{name} is {getattr(settings, name)}; it must be between 0 and 1.")


def _check_at_least(settings: Any, least: int, *names: str) -> None:
    for name in names:
        if getattr(settings, name) < least:
            raise Track2ViewError(f"{name} is {getattr(settings, name)}; it must be at least {least}.")


def _check_positive(settings: Any, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if not (math.isfinite(value) and value > 0):
            raise Track2ViewError(f"{name} is {value}; it must be a finite number above 0.")


def _check_choices(settings: Any, **choices: tuple[str, ...]) -> None:
    for name, allowed in choices.items():
        if getattr(settings, name) not in allowed:
            raise Track2ViewError(f'{name} is "{getattr(settings, name)}"; allowed are {", ".join(allowed)}.')
