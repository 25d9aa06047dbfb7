"""What a plan is asked for: the clip, the base, and the settings that change what lives at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from ...conditioner import ConditionerConfig
from ...errors import Track2ViewError
from ..kept_states import HOMES, Home
from ..seams import SourceAttention, SourceText, SourceTimestep, check_source
from ..windows import plan_windows

if TYPE_CHECKING:
    from ..bundle_config import BundleConfig

Dtype = Literal["fp32", "bf16", "fp16", "fp8"]
Route = Literal["native", "diffusers"]
DTYPE_BYTES: Mapping[str, int] = {"fp32": 4, "bf16": 2, "fp16": 2, "fp8": 1}
ROUTES = ("native", "diffusers")
HEAD_SIZE = 128
BOTTLENECK = 1536  # width of the conditioner beside a base wider than that


@dataclass(frozen=True)
class WanBase:
    """The sizes of a WAN and of what goes with it."""

    name: str
    dim: int
    layers: int
    ffn_dim: int
    in_channels: int = 16
    text_dim: int = 4096
    freq_dim: int = 256
    vae_width: int = 96
    uses_text: bool = True

    @classmethod
    def of(cls, config: Any, *, uses_text: bool = True) -> WanBase:
        """The base of a `BaseConfig` (a bundle's `config.base`); a known one keeps its name."""
        sizes = (config.dim, config.layers, config.ffn_dim)
        for base in BASES.values():
            if (base.dim, base.layers, base.ffn_dim) == sizes:
                return replace(base, uses_text=uses_text)
        return cls(f"{config.dim} wide", *sizes, config.in_channels, uses_text=uses_text)


BASES: Mapping[str, WanBase] = {
    "1.3B": WanBase("1.3B", 1536, 30, 8960),
    "14B": WanBase("14B", 5120, 40, 13824),
    "tiny": WanBase("tiny", 128, 8, 512, vae_width=8, uses_text=False),
}
_TINY_CONDITIONER = ConditionerConfig(dim=128, width=64, heads=2, scatter_level="latent")


def known_base(name: str) -> WanBase:
    """The base called `name`: 1.3B, 14B or tiny."""
    if name not in BASES:
        raise Track2ViewError(f'base is "{name}"; allowed are {", ".join(BASES)}.')
    return BASES[name]


def usual_conditioner(base: WanBase) -> ConditionerConfig:
    """The conditioner a bundle for this base has unless it says otherwise: as wide as the base, at most 1536."""
    if base == BASES["tiny"]:
        return _TINY_CONDITIONER
    width = min(base.dim, BOTTLENECK)
    return ConditionerConfig(dim=base.dim, width=width, heads=max(1, width // HEAD_SIZE))


@dataclass(frozen=True)
class Request:
    """One generation.

    Raises:
        Track2ViewError: a field is out of range; the message names it.
    """

    base: WanBase
    frames: int = 81
    """T, 4n + 1."""
    height: int = 480
    width: int = 832
    dtype: Dtype = "bf16"
    """Of the DiT's weights; with fp8 everything else computes in bf16."""
    route: Route = "native"
    """`native` is ComfyUI's own MODEL; `diffusers` is the command line, which keeps every model on the card."""
    offload: bool = False
    """The DiT's weights stay in host memory and pass through the card block by block (native only)."""
    guidance: bool = True
    batched: bool = True
    """Both prompts of the guidance in one forward, as core does where it has room; the command line never does."""
    tracks: int = 1024
    window: int = 81
    """Video frames that are denoised at once, 4n + 1; longer clips run in overlapping windows."""
    source_timestep: SourceTimestep = "zero"
    source_attention: SourceAttention = "full"
    source_text: SourceText = "prompt"
    """`empty`: the source reads the empty prompt, so that what is kept of it serves both prompts."""
    source_states: Home = "card"
    """With `source_attention` own: where the source's keys and values wait for the next step. Those of several windows
    wait in host memory; nowhere computes the source beside the target in every step."""
    conditioner: ConditionerConfig | None = None
    """None takes the usual one of the base."""
    steps: int = 50
    lora_rank: int = 64
    text_tokens: int = 512

    def __post_init__(self) -> None:
        allowed = {
            "dtype": tuple(DTYPE_BYTES),
            "route": ROUTES,
            "source_states": HOMES,
        }
        for name, values in allowed.items():
            if (value := getattr(self, name)) not in values:
                raise Track2ViewError(f'{name} is "{value}"; allowed are {", ".join(values)}.')
        check_source(self.source_attention, self.source_timestep, self.source_text)
        for name in ("frames", "window"):
            if (value := getattr(self, name)) < 1 or value % 4 != 1:
                raise Track2ViewError(f"{name} is {value}; it must be 4n + 1, such as 25, 49 or 81.")
        if min(self.width, self.height) < 16 or self.width % 16 or self.height % 16:
            raise Track2ViewError(
                f"The size is {self.width} x {self.height}; both sides must be multiples of 16, such as 832 x 480."
            )
        for name in ("tracks", "steps", "lora_rank", "text_tokens"):
            if (value := getattr(self, name)) < 1:
                raise Track2ViewError(f"{name} is {value}; it must be at least 1.")
        if self.route == "diffusers" and (self.offload or self.dtype == "fp8"):
            what = "offload" if self.offload else "fp8"
            raise Track2ViewError(
                f"{what} was asked for on the diffusers route, which keeps whole, unpacked weights on the card; "
                "choose the native route, or bf16 without offload."
            )

    @cached_property
    def tracker_config(self) -> ConditionerConfig:
        return self.conditioner or usual_conditioner(self.base)

    @property
    def compute_bytes(self) -> int:
        """Bytes a number takes while it is computed with."""
        return 4 if self.dtype == "fp32" else 2

    @property
    def conditioner_bytes(self) -> int:
        """The command line keeps the conditioner in fp32; ComfyUI loads it in what it computes in."""
        return 4 if self.route == "diffusers" else self.compute_bytes

    @property
    def vae_bytes(self) -> int:
        return 4 if self.route == "diffusers" else self.compute_bytes

    @property
    def latent_frames(self) -> int:
        """F of the whole clip."""
        return 1 + self.frames // 4

    @property
    def window_frames(self) -> int:
        """Latent frames that are denoised at once."""
        return min(self.latent_frames, 1 + self.window // 4)

    @cached_property
    def windows(self) -> int:
        return len(plan_windows(self.latent_frames, self.window_frames))

    @property
    def cells(self) -> int:
        """Tokens of one view of one window."""
        return self.window_frames * (self.height // 16) * (self.width // 16)

    @property
    def home(self) -> Home:
        """Where the source's states are."""
        if self.source_attention == "full":
            return "nowhere"
        return "host" if self.source_states == "card" and self.windows > 1 else self.source_states

    @property
    def views(self) -> int:
        """Views whose tokens go through the DiT together."""
        return 2 if self.home == "nowhere" else 1

    @property
    def prompts(self) -> int:
        return 2 if self.guidance else 1

    @property
    def sources(self) -> int:
        """Sources of a window, each with a text of its own, of which states are kept."""
        return 1 if self.source_text == "empty" else self.prompts

    @property
    def text_length(self) -> int:
        """Text tokens of a prompt; the command line gives a base without text a single one."""
        return 1 if self.route == "diffusers" and not self.base.uses_text else self.text_tokens

    @property
    def batch(self) -> int:
        return 2 if self.guidance and self.batched else 1

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "base": self.base.name, "conditioner": self.tracker_config.to_dict()}


def usual_settings(base: WanBase) -> dict[str, Any]:
    """Size, length and sampling that a base is meant for, as fields of a Request."""
    if base.name == "tiny":
        return {"frames": 17, "height": 128, "width": 128, "window": 17, "steps": 10, "guidance": False}
    return {"frames": 81, "height": 480, "width": 832, "window": 81, "steps": 50, "guidance": base.uses_text}


def bundle_settings(config: BundleConfig) -> dict[str, Any]:
    """What a bundle says of its base, its conditioner and how it is sampled, as fields of a Request."""
    sampling = config.sampling
    return {
        "base": WanBase.of(config.base, uses_text=sampling.uses_text),
        "conditioner": config.conditioner,
        "frames": sampling.frames,
        "height": sampling.height,
        "width": sampling.width,
        "window": sampling.frames,
        "steps": sampling.steps,
        "guidance": sampling.uses_text and sampling.guidance != 1.0,
        "source_timestep": sampling.source_timestep,
        "source_attention": sampling.source_attention,
        "source_text": sampling.source_text,
    }
