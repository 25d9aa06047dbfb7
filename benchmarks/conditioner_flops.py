"""The conditioner's operations as a share of one WAN forward on both views: `python -m benchmarks.conditioner_flops`.

Shapes alone, on the meta device, at 480 x 832 and 81 frames with 1,000 tracks. torch's FlopCounterMode counts matrix
products and attention; what it does not see of the conditioner (bilinear reads and writes, softmax, GELU, norms) is
added by hand, generously; nothing is added to the transformer's side.
"""

from __future__ import annotations

import argparse

import torch
from diffusers import WanTransformer3DModel
from torch.utils.flop_counter import FlopCounterMode

from track2view_core.conditioner import ConditionerConfig, TrackConditioner
from track2view_core.tracks import TrackBatch

HEIGHT, WIDTH, LATENT_FRAMES, CHANNELS, TEXT = 480, 832, 21, 16, 512
LIMIT = 0.015

BASES = {
    "1.3B": {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30},
    "14B": {"num_attention_heads": 40, "ffn_dim": 13824, "num_layers": 40},
}


def transformer_operations(base: str) -> int:
    """One forward on [target, source] side by side on the frame axis, one prompt."""
    with torch.device("meta"):
        model = WanTransformer3DModel(
            attention_head_dim=128, in_channels=CHANNELS, out_channels=CHANNELS, **BASES[base]
        )
        latents = torch.empty(1, CHANNELS, 2 * LATENT_FRAMES, HEIGHT // 8, WIDTH // 8)
        text, timestep = torch.empty(1, TEXT, 4096), torch.empty(1)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(latents, timestep, text)
    return counter.get_total_flops()


def conditioner_operations(config: ConditionerConfig, tracks: int) -> tuple[int, int]:
    """(counted, by hand): every track visible throughout, so that none is dropped."""
    rows, columns = HEIGHT // 16, WIDTH // 16
    with torch.device("meta"):
        module = TrackConditioner(config)
        tokens = torch.empty(1, config.dim, LATENT_FRAMES, rows, columns)
        latents = torch.empty(1, CHANNELS, LATENT_FRAMES, 2 * rows, 2 * columns)
        points = torch.empty(1, LATENT_FRAMES, tracks)
        mask = points.bool()
        xy = torch.empty(1, LATENT_FRAMES, tracks, 2)
        batch = TrackBatch(xy, xy, points, points, points, points, mask, mask, mask, (HEIGHT, WIDTH))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(tokens, batch, latents)
    return counter.get_total_flops(), _uncounted(config, LATENT_FRAMES * tracks, LATENT_FRAMES * rows * columns)


def _uncounted(config: ConditionerConfig, entries: int, cells: int) -> int:
    """Four weighted cells a value in each bilinear read and write, and an ample price for every elementwise step."""
    bilinear = 8 * entries * (config.dim + 2 * config.width)
    if config.scatter_level == "latent":
        bilinear += 16 * entries * config.latent_channels
    # At width: two norms (8 each), rotary of q and k (12), two residual sums (2). At 4 x width: GELU (20). A score:
    # softmax (10).
    block = entries * (config.width * (16 + 12 + 2 + 80) + 10 * LATENT_FRAMES * config.heads)
    scatter = 2 * (entries * (config.width + 40 * config.depth_bands + 4 * 40) + 2 * cells * config.width)
    return bilinear + config.layers * block + scatter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, default=1000)
    arguments = parser.parse_args()
    arms = [
        ("1.3B", ConditionerConfig()),
        ("1.3B", ConditionerConfig(scatter_level="latent")),
        ("14B", ConditionerConfig(dim=5120, width=1536)),
    ]
    transformer = {base: transformer_operations(base) for base in dict(arms)}
    print(f"{WIDTH} x {HEIGHT}, {LATENT_FRAMES} latent frames, {arguments.tracks} tracks; TFLOP (one multiply-add = 2)")
    print(f"{'base':6}{'level':8}{'width':>6}{'WAN forward':>13}{'conditioner':>13}{'by hand':>10}{'share':>9}")
    for base, config in arms:
        counted, by_hand = conditioner_operations(config, arguments.tracks)
        share = (counted + by_hand) / transformer[base]
        print(
            f"{base:6}{config.scatter_level:8}{config.width:6}{transformer[base] / 1e12:13.1f}{counted / 1e12:13.2f}"
            f"{by_hand / 1e12:10.3f}{share:9.2%}"
        )
        if arguments.tracks <= 1000 and share > LIMIT:
            raise SystemExit(f"the conditioner takes {share:.2%} of one forward; the limit is {LIMIT:.1%}")


if __name__ == "__main__":
    main()
