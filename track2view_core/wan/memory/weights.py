"""How many numbers the models hold, and where their bytes lie."""

from __future__ import annotations

from ...conditioner import ConditionerConfig
from .request import DTYPE_BYTES, Request, WanBase

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
