"""Scatter and sample against the time to copy the bytes they touch, in one run: `python -m benchmarks.scatter`.

The bytes are the values read and the grid written (and the reverse for sampling), each once; the copy moves as many
from one buffer to another. Runs on the GPU if there is one.
"""

from __future__ import annotations

import argparse

import torch

from benchmarks.meters import device_name, median_seconds
from track2view_core.conditioner import sample_along_tracks, scatter_to_grid

SHAPES = {  # name: B, D, F, N, (h, w)
    "tiny": (8, 128, 5, 128, (8, 8)),
    "full": (1, 1536, 21, 1000, (30, 52)),
}


def measure(name: str, device: torch.device, dtype: torch.dtype, repeats: int) -> None:
    batch, dim, frames, tracks, (rows, columns) = SHAPES[name]
    image = (rows * 16, columns * 16)
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(batch, frames, tracks, dim, generator=generator).to(device, dtype)
    xy = (torch.rand(batch, frames, tracks, 2, generator=generator) * torch.tensor([image[1], image[0]])).to(device)
    depth = (1 + torch.rand(batch, frames, tracks, generator=generator)).to(device)
    inside = torch.ones_like(depth, dtype=torch.bool)
    tokens = torch.randn(batch, dim, frames, rows, columns, generator=generator).to(device, dtype)
    size = (values.numel() + tokens.numel()) * values.element_size()
    here, there = (torch.empty(size, dtype=torch.uint8, device=device) for _ in range(2))

    copy = median_seconds(lambda: there.copy_(here), device, repeats)
    with_gradient = values.clone().requires_grad_()

    def both_ways() -> None:
        mean, _ = scatter_to_grid(with_gradient, xy, depth, inside, (rows, columns), image)
        mean.backward(tokens)

    steps = {
        "scatter": lambda: scatter_to_grid(values, xy, depth, inside, (rows, columns), image),
        "scatter, both ways": both_ways,
        "sample": lambda: sample_along_tracks(tokens, xy, image),
    }
    print(f"{name}: {size / 2**20:.1f} MiB as {dtype}, copied in {copy * 1e3:.2f} ms")
    for label, run in steps.items():
        seconds = median_seconds(run, device, repeats)
        print(f"  {label:20}{seconds * 1e3:9.2f} ms{seconds / copy:8.1f} x the copy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    kind = device_name(device) + ("" if device.type == "cuda" else f", {torch.get_num_threads()} threads")
    print(f"{kind}; medians of {arguments.repeats}")
    for name in SHAPES:
        measure(name, device, torch.float32, arguments.repeats)
    if device.type == "cuda":
        measure("full", device, torch.bfloat16, arguments.repeats)


if __name__ == "__main__":
    main()
