"""What each stage of a generation takes, and what the largest comes to: weights, and the tensors that live at once.

Letters as in `docs/CONVENTIONS.md`: S tokens of both views, C cells (tokens of one view), D channels, W the
conditioner's width, R = tracks x latent frames. `b` is the size of a number. Attention keeps its scores to itself, as
every fused kernel does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ...conditioner import ConditionerConfig
from ...conditioner.temporal import PACKED_LENGTH
from ..kept_states import Home
from .request import DTYPE_BYTES, HEAD_SIZE, Request, WanBase

PATCH = 2 * 2
TEXT_ENCODER_PARAMETERS = 5_681_000_000  # UMT5-XXL: 256,384 x 4096 words and 24 layers of 193 M
# WAN's VAE at width 96 has 126.9 M, nearly all of them in convolutions of width x width.
VAE_PARAMETERS_PER_SQUARE = 126_892_531 / 96**2


def block_parameters(base: WanBase) -> int:
    """One block: eight D x D linears with four RMS norms, the FFN's two, one affine norm, six rows of modulation."""
    dim, ffn = base.dim, base.ffn_dim
    return 8 * (dim * dim + dim) + 4 * dim + 2 * dim * ffn + ffn + dim + 2 * dim + 6 * dim


def embedding_parameters(base: WanBase) -> int:
    """What stands around the blocks: patch, text and time embeddings, and the head with its two rows."""
    dim, channels = base.dim, base.in_channels * PATCH
    patch, head = channels * dim + dim, dim * channels + channels + 2 * dim
    text = base.text_dim * dim + dim + dim * dim + dim
    time = base.freq_dim * dim + dim + dim * dim + dim + 6 * (dim * dim + dim)
    return patch + text + time + head


def dit_parameters(base: WanBase) -> int:
    return base.layers * block_parameters(base) + embedding_parameters(base)


def conditioner_parameters(config: ConditionerConfig) -> int:
    """Blocks of 12 W^2 (qkv 3, projection 1, FFN 8) with biases and norms, the way in, depth, and both ways out."""
    dim, width = config.dim, config.width
    block = 12 * width * width + 9 * width + 4 * width
    around = dim * width + width + width + 2 * width + 2 * config.depth_bands * width + width + 2 * (width + 1) * dim
    latent = (config.latent_channels + 1) * PATCH * dim if config.scatter_level == "latent" else 0
    return config.layers * block + around + latent


def lora_parameters(request: Request) -> int:
    """Two factors at q, k, v, o (D x D) and at the FFN's two linears (D x ffn)."""
    base = request.base
    return base.layers * request.lora_rank * (4 * 2 * base.dim + 2 * (base.dim + base.ffn_dim))


def vae_parameters(width: int) -> int:
    """1 % up on the square law, and what narrow VAEs have in layers that do not widen."""
    return round(1.01 * VAE_PARAMETERS_PER_SQUARE * width**2) + 6_000 * width


def conditioner_on_card(request: Request) -> int:
    return conditioner_parameters(request.tracker_config) * request.conditioner_bytes


def vae_on_card(request: Request) -> int:
    return vae_parameters(request.base.vae_width) * request.vae_bytes


def dit_on_card(request: Request) -> int:
    """The DiT's weights while it runs.

    diffusers: all of them and the LoRA beside them; time embedding, modulation and one norm stay fp32.
    native: core merges the LoRA into the weights. fp8 weights are unpacked one linear at a time, the largest being the
    FFN's; offloaded, one block is on the card, the linear in use also as it is computed with.
    """
    base, size = request.base, DTYPE_BYTES[request.dtype]
    largest = base.dim * base.ffn_dim * request.compute_bytes
    if request.route == "diffusers":
        kept = base.layers * 8 * base.dim + 2 * base.dim + base.dim * (base.freq_dim + base.dim + 2)
        lora = lora_parameters(request) * size
        return dit_parameters(base) * size + kept * (4 - size) + lora
    if request.offload:
        return block_parameters(base) * size + largest
    return dit_parameters(base) * size + (largest if request.dtype == "fp8" else 0)


def dit_in_host_memory(request: Request) -> int:
    """native: offloaded weights whole; else core's copies of the weights that the LoRA was merged into."""
    base, size = request.base, DTYPE_BYTES[request.dtype]
    if request.route == "diffusers":
        return 0
    if request.offload:
        return dit_parameters(base) * size
    return base.layers * (4 * base.dim**2 + 2 * base.dim * base.ffn_dim) * size


FLOAT32 = 4
# VAE: frames of full resolution and base width that live at once (by b = 4, 2). Around the second convolution of a
# residual block at full resolution there are 24: four of the block's input, four of the activation, two of its cache
# and two of the new one, six joined with the cache, six of that padded; the other caches add 13 (encoder), or 27 in the
# decoder, which keeps three such blocks and their double-width inputs. In 16 bits the norm's float32 copies outgrow
# the padding.
ENCODE_FRAMES = {4: 38, 2: 40}
DECODE_FRAMES = {4: 51.5, 2: 54}
RGB, NARROW = 3, 10  # numbers a pixel of a picture, and of layers that do not widen with the VAE
# KltTracker, by measurement of its arrays: bytes of the camera solve, a pixel of one frame, and a followed point and
# frame; it follows 600 points at least.
TRACKER_ALWAYS, TRACKER_PER_PIXEL, TRACKER_PER_POINT, FEWEST_FOLLOWED = 32_000_000, 80, 300, 600


def tracker_working(request: Request) -> int:
    """The clip as bytes, one frame's pyramids, the tables of followed points and the camera solve; host memory."""
    points = max(request.tracks, FEWEST_FOLLOWED) * request.frames
    frame = request.height * request.width
    return _clip_numbers(request) + TRACKER_ALWAYS + TRACKER_PER_PIXEL * frame + TRACKER_PER_POINT * points


def _clip_numbers(request: Request) -> int:
    return RGB * request.frames * request.height * request.width


def encode_working(request: Request) -> int:
    """Four frames run through the encoder at a time, beside the whole clip; or the clip alone while it is scaled."""
    size, area, clip = request.vae_bytes, request.height * request.width, _clip_numbers(request)
    chunk = (ENCODE_FRAMES[size] * request.base.vae_width + NARROW) * area * size
    return round(max(chunk + clip * size, clip * (1 + 3 * size)))


def decode_working(request: Request) -> int:
    """One latent frame's four pictures at a time, beside those before; or, at the end, the clip and its copy."""
    size, area, clip = request.vae_bytes, request.height * request.width, _clip_numbers(request)
    chunk = (DECODE_FRAMES[size] * request.base.vae_width + NARROW) * area * size
    return round(max(chunk + clip * size, clip * (size + FLOAT32 + 1)))


def _around_blocks(request: Request, size: int) -> int:
    """Rotary table (cos and sin in float32) and latents in two precisions, both alive through all blocks; the text,
    embedded (two tensors), and its key, value and norm in the cross-attention (in 16 bits with float32 copies)."""
    tokens = request.views * request.cells
    rotary = tokens * 2 * HEAD_SIZE * FLOAT32
    latents = request.batch * tokens * request.base.in_channels * PATCH * (FLOAT32 + size)
    norm = 0 if size == FLOAT32 else 3 * FLOAT32
    numbers = request.base.dim * (4 * size + norm) + request.base.text_dim * size
    texts = 2 if request.source_text == "empty" and request.views == 2 else 1  # the source's own behind the prompt
    return rotary + latents + request.batch * texts * request.text_length * numbers


def dit_working(request: Request) -> int:
    """One forward of the DiT, all prompts that are batched: on both views, or on the target beside kept states."""
    part = _diffusers_block if request.route == "diffusers" else _native_block
    tokens = request.views * request.cells * request.batch
    return tokens * part(request) + _around_blocks(request, request.compute_bytes)


def _native_block(request: Request) -> int:
    """Bytes a token at the largest moment of core's first block; per-frame modulation is repeated to one tensor each.

    FFN: the sequence without and with deltas, the block's own copy, the FFN's input, and twice its hidden layer.
    Key: those three, the attention's input, q, k, and k's norm and rotation in float32 (4 + 4 + 4; in fp32 4 + 4).
    """
    size, dim = request.compute_bytes, request.base.dim
    ffn = 4 * dim * size + 2 * request.base.ffn_dim * size
    key = 6 * dim * size + dim * (8 if size == FLOAT32 else 12)
    return max(ffn, key, _joined(request))


def _joined(request: Request) -> int:
    """Bytes a token of the target where a block's keys and values stand before the source's: those three, the
    attention's input and result, q, k, v, and keys and values of both views."""
    return 0 if request.home == "nowhere" else 12 * request.base.dim * request.compute_bytes


def _diffusers_block(request: Request) -> int:
    """Bytes a token at the largest moment of diffusers' block.

    With a source timestep of zero every token has a modulation of its own: 7 D b stay through all blocks, and each
    block adds its table in float32 (6 D, and as much again for the cast copy while it is made).
    FFN: four tensors of D (the sequence before and in the block, the FFN's input, the cross-attention's output) and
    three of the hidden layer (linear, LoRA, scaled LoRA or their sum).
    Gate: those four and the FFN's output, and three of D in float32 (two where no copy is needed).
    """
    size, dim, rank = request.compute_bytes, request.base.dim, request.lora_rank
    ffn = 4 * dim * size + 3 * request.base.ffn_dim * size + rank * size
    gate = 5 * dim * size + dim * FLOAT32 * (2 if size == FLOAT32 else 3)
    if request.source_timestep == "same" or request.home != "nowhere":
        return max(ffn, gate, _joined(request))
    table = 6 * dim * FLOAT32
    modulation = dim * size + table * (1 if size == FLOAT32 else 2)
    return 7 * dim * size + max(table + max(ffn, gate), modulation)


def cached_deltas(request: Request) -> int:
    """What the conditioner adds to the tokens of both views, kept for all steps: S D b, of one window.

    Beside kept states those of the target once more, until the first step is over.
    """
    views = 2 if request.home == "nowhere" else 3
    return views * request.cells * request.base.dim * request.compute_bytes


def source_states(request: Request) -> int:
    """The source's keys and values in every block, of each text and window: 2 C D b a block, wherever they are."""
    kept = 0 if request.home == "nowhere" else request.sources * request.windows * request.base.layers
    return kept * 2 * request.cells * request.base.dim * request.compute_bytes


def home_of_states(states: int, beside: int, *, card: int, host: int, windows: int = 1) -> Home:
    """Where a source's states are to wait for the next step, of bytes that are free.

    On the card beside weights and working memory, or in at most half of the host memory that is left; those of several
    windows always there.
    """
    if windows == 1 and HEADROOM * (beside + states) <= card:
        return "card"
    return "host" if 2 * states <= host else "nowhere"


def states_on_card(request: Request) -> int:
    """All of them, or from host memory those of a block that computes and of the next, on their way."""
    if request.home == "host":
        return 2 * source_states(request) // (request.base.layers * request.windows)
    return source_states(request)


def window_deltas(request: Request) -> int:
    """The deltas of all windows, which wait in host memory where there are several."""
    return cached_deltas(request) * request.windows if request.windows > 1 else 0


def conditioner_working(request: Request) -> int:
    """The conditioner on one window, the tokens it reads included."""
    config, size, cells = request.tracker_config, request.conditioner_bytes, request.cells
    dim, token = config.dim, request.compute_bytes
    held = cells * (dim * (token + (size if size != token else 0)) + 2 * request.base.in_channels * PATCH * token)
    delivery = 2 * cells * dim * (size + token)
    if request.route == "native":  # inside a forward: both views' tokens, and the result joined, scaled, handed out
        # Of one prompt alone where the source's states are being made.
        batch = request.batch * 2 if request.home == "nowhere" else 1
        held = batch * cells * dim * token + request.views * cells * 2 * HEAD_SIZE * FLOAT32
        delivery = 6 * cells * dim * size
    rows = request.tracks * request.window_frames
    group = max(1, PACKED_LENGTH // request.window_frames)  # short tracks share a sequence, the last one filled up
    packed = -(-request.tracks // group) * group * request.window_frames
    moments = _sampling(rows, cells, dim, size), _temporal(request, packed, size), _scatter(request, rows, size)
    return held + max(*moments, delivery)


def _sampling(rows: int, cells: int, dim: int, size: int) -> int:
    """Tokens and samples in float32, and the samples in the conditioner's precision."""
    tokens = 0 if size == FLOAT32 else cells * dim * FLOAT32
    return tokens + rows * dim * (FLOAT32 + size) + 100 * rows


def _temporal(request: Request, rows: int, size: int) -> int:
    """A block's FFN: 8 W of hidden layer before and after GELU, its input, the sequence before and in the block (3 W),
    and of the attention qkv, rotated q and k and the result (6 W); beside the samples (D)."""
    config = request.tracker_config
    return rows * size * (17 * config.width + config.dim) + 100 * rows


def _scatter(request: Request, rows: int, size: int) -> int:
    """The target's turn. Spreading: the source's delta, values with and without depth and in float32, mean in float32
    and in the precision of the rest; indices and weights of four cells a row. Way out: both deltas, the mean twice."""
    config, cells = request.tracker_config, request.cells
    dim, width = config.dim, config.width
    values, delta = 2 * rows * width * size, cells * dim * size
    spreading = delta + values + FLOAT32 * width * (rows + cells) + (cells * width * size) + 400 * rows
    way_out = values + 2 * delta + 2 * cells * (width + 1) * size
    if config.scatter_level == "latent":
        way_out += 2 * delta + cells * PATCH * (config.latent_channels + 1) * (FLOAT32 + size)
    return max(spreading, way_out)


def sampling_memory(request: Request) -> int:
    """What sampling needs beside the weights of DiT and conditioner: a step with its deltas, or the conditioner."""
    step = dit_working(request) + cached_deltas(request) + states_on_card(request)
    return max(step, conditioner_working(request))


HEADROOM = 1.1
"""What a card should have free over what tensors take: its allocator's rounding and gaps, the kernels' own space."""
FLOAT_IMAGE = 12  # bytes a pixel of ComfyUI's IMAGE


@dataclass(frozen=True)
class Stage:
    """Bytes of one stage."""

    name: str
    where: Literal["card", "host"]
    weights: int
    """Of the models that lie there during the stage."""
    working: int
    """Everything else that lives at the stage's largest moment."""

    @property
    def peak(self) -> int:
        return self.weights + self.working

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "where": self.where,
            "weights": self.weights,
            "working": self.working,
            "peak": self.peak,
        }


@dataclass(frozen=True)
class MemoryPlan:
    """The stages of a request in the order in which they run, then what lies in host memory throughout."""

    request: Request
    stages: tuple[Stage, ...]

    def __getitem__(self, name: str) -> Stage:
        return next(stage for stage in self.stages if stage.name == name)

    @property
    def card_peak(self) -> int:
        return max(stage.peak for stage in self.stages if stage.where == "card")

    @property
    def needed(self) -> int:
        """Free card memory that the request should have: the largest stage with headroom."""
        return round(HEADROOM * self.card_peak)

    @property
    def host_peak(self) -> int:
        """Stages in host memory follow each other, and what is kept stays beside them."""
        host = [stage for stage in self.stages if stage.where == "host"]
        kept = sum(stage.peak for stage in host if stage.name != "tracker")
        return kept + self["tracker"].peak

    def fits(self, free: int) -> bool:
        return self.needed <= free

    def to_dict(self) -> dict[str, Any]:
        return {
            "request": self.request.to_dict(),
            "stages": [stage.to_dict() for stage in self.stages],
            "card_peak": self.card_peak,
            "needed": self.needed,
            "host_peak": self.host_peak,
        }


def plan_memory(request: Request) -> MemoryPlan:
    """Peak bytes of each stage.

    native: ComfyUI moves a model off the card when the next one needs the room, so each stage has its own weights, and
    the conditioner travels with the DiT. diffusers: the command line keeps DiT and VAE on the card from the start; the
    text encoder comes and goes beside them.
    """
    native = request.route == "native"
    dit, vae = dit_on_card(request), vae_on_card(request)
    dit_with_conditioner = dit + conditioner_on_card(request) + (0 if native else vae)
    vae_and_company = vae + (0 if native else dit)
    kept = cached_deltas(request) + states_on_card(request)
    stages = [Stage("tracker", "host", 0, tracker_working(request))]
    if request.base.uses_text:
        text = TEXT_ENCODER_PARAMETERS * request.compute_bytes
        # Core runs the text encoder on the card where it has room, and in host memory where it has not.
        stages.append(Stage("text encoder", "host" if native else "card", text + (0 if native else dit + vae), 0))
    stages += [
        Stage("VAE encode", "card", vae_and_company, encode_working(request)),
        Stage("conditioner", "card", dit_with_conditioner, conditioner_working(request)),
        Stage("DiT step", "card", dit_with_conditioner, kept + dit_working(request)),
        Stage("VAE decode", "card", vae_and_company, decode_working(request)),
        Stage("kept in host memory", "host", dit_in_host_memory(request), _kept(request)),
    ]
    return MemoryPlan(request, tuple(stages))


def _kept(request: Request) -> int:
    """The clip and the result as ComfyUI's float pictures or as bytes, and the deltas and states that wait."""
    pixels = request.frames * request.height * request.width
    waiting = window_deltas(request) + (source_states(request) if request.home == "host" else 0)
    return 2 * pixels * (FLOAT_IMAGE if request.route == "native" else 3) + waiting
