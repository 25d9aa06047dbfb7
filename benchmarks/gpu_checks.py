"""What only a card can tell, in a minute: `python -m benchmarks.gpu_checks --json FILE`.

- Time of a step and peak memory at WAN 2.1's full size (random weights): source attention `full`, `own` in one pass,
  `own` with the source's kept states, and one view alone; interleaved, with quartiles.
- The dense render on the card against the CPU's: share of the pixels within one grey level.
- The tiny bundle on the card against the CPU: the conditioner's deltas, the sampled latent with either source
  attention, and the decoded pictures.

Without a card it runs a small transformer and compares the CPU with itself: whether everything works.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import meters
from benchmarks.training_full_size import random_transformer
from track2view_core.cameras import preset_path
from track2view_core.render import clip_geometry, target_frames
from track2view_core.scenes import HELD_OUT_MOVES, exact_tracks, furnished_clip, random_paths, random_scenes, render
from track2view_core.tracks import PointTracks, pair_tracks
from track2view_core.wan.bundle import Bundle, load_bundle
from track2view_core.wan.checkpoints import load_transformer
from track2view_core.wan.condition import TrackCondition
from track2view_core.wan.models import TINY_BUNDLE, TINY_TRANSFORMER, TINY_VAE
from track2view_core.wan.sampler import sample
from track2view_core.wan.seams import attach_seams
from track2view_core.wan.vae import decode, encode, load_vae

WITHIN_ONE = 0.999  # share of the render's pixels that must be within a grey level
LATENT_ERROR = 1e-3  # relative, of a sampled latent in float32


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    card = torch.cuda.is_available()
    parser.add_argument("--base", default="1.3B")
    parser.add_argument("--size", default="832x480" if card else "32x32", help="WxH (default: %(default)s)")
    parser.add_argument("--frames", type=int, nargs="+", default=[25, 49, 81] if card else [5])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=40.0, help="the steps' time; longer clips are repeated less")
    parser.add_argument("--only", nargs="+", choices=("steps", "render", "tiny"), default=["render", "tiny", "steps"])
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> None:
    options, found = parse(), {}
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found["device"] = f"{meters.device_name(device)}, torch {torch.__version__}"
    checks: dict[str, Callable[[], Any]] = {
        "render": lambda: render_agreement(device),
        "tiny": lambda: tiny_agreement(device),
        "steps": lambda: step_times(options, device),
    }
    failed = False
    for name in options.only:
        began = time.perf_counter()
        found[name] = checks[name]()
        failed |= not all(value for key, value in _flat(found[name]) if key == "holds")
        print(f"{name}, {time.perf_counter() - began:.0f} s: {json.dumps(found[name], indent=1)}", flush=True)
        if options.json:
            options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    if "steps" in found:
        print(table(found["steps"]))
    sys.exit(int(failed))


def _flat(found: Any) -> list[tuple[str, Any]]:
    if isinstance(found, list):
        return [pair for one in found for pair in _flat(one)]
    if isinstance(found, dict):
        return [pair for key, value in found.items() for pair in [(key, value), *_flat(value)]]
    return []


@torch.no_grad()
def step_times(options: argparse.Namespace, device: torch.device) -> list[dict[str, Any]]:
    weights = torch.bfloat16 if device.type == "cuda" else torch.float32
    transformer = random_transformer(options.base, weights, device)
    width, height = map(int, options.size.split("x"))
    budget = options.seconds / sum(frames**2 for frames in options.frames)
    rows = []
    for frames in options.frames:
        shape = (1, 16, 1 + frames // 4, height // 8, width // 8)
        target, source = (torch.randn(shape, device=device) for _ in range(2))
        when, text = torch.tensor([500.0], device=device), torch.randn(1, 512, 4096, device=device)
        row = {"frames": frames, "size": options.size, "base": options.base}
        rows.append(row | _measured(options.repeats, budget * frames**2, transformer, target, source, when, text))
    return rows


def _measured(
    repeats: int, seconds: float, transformer: Any, target: Tensor, source: Tensor, when: Tensor, text: Tensor
) -> dict[str, Any]:
    """Seconds of every kind of step, in turn, `repeats` times or as often as the time allows."""
    device = target.device
    with attach_seams(transformer, None, source_attention="own") as seams:
        once = meters.seconds(lambda: seams.source_states(source, text), device)
        states = seams.source_states(source, text)

    def both(attention: Any) -> Callable[[], Any]:
        def step() -> None:
            with attach_seams(transformer, None, source_attention=attention) as seams:
                seams.forward(target, source, when, text)

        return step

    def kept_states() -> None:
        with attach_seams(transformer, None, source_attention="own") as seams:
            seams.forward_target(target, when, text, states)

    def one_view() -> None:
        transformer(target.to(transformer.patch_embedding.weight.dtype), when, text.to(states[0][0].dtype))

    steps = {"one view": one_view, "own, kept": kept_states, "own, one pass": both("own"), "full": both("full")}
    peaks, took = {}, {name: [] for name in steps}
    begin = time.perf_counter()
    for name, step in steps.items():
        meters.start_peak(device)
        step()
        peaks[name] = meters.peak_bytes(device)
    for number in range(repeats):
        for name, step in steps.items():
            took[name].append(meters.seconds(step, device))
        spent = time.perf_counter() - begin
        if number >= 1 and spent * (number + 2) / (number + 1) > seconds:
            break
    row: dict[str, Any] = {"source once": once, "kept bytes": states.bytes, "repeats": len(took["full"])}
    for name, values in took.items():
        row[name] = {"quartiles": list(meters.quartiles(values)), "peak": peaks[name]}
    return row


def table(rows: list[dict[str, Any]]) -> str:
    lines = ["| frames | step | s, quartiles | of full | peak, GiB |", "|---|---|---|---|---|"]
    for row in rows:
        for name in ("full", "own, one pass", "own, kept", "one view"):
            one = row[name]
            share = one["quartiles"][1] / row["full"]["quartiles"][1]
            peak = "-" if one["peak"] is None else f"{one['peak'] / 2**30:.1f}"
            spread = " ".join(f"{value:.3f}" for value in one["quartiles"])
            lines.append(f"| {row['frames']} | {name} | {spread} | {share:.2f} | {peak} |")
        lines.append(
            f"| {row['frames']} | kept states | {row['source once']:.3f} | | {row['kept bytes'] / 2**30:.1f} |"
        )
    return "\n".join(lines)


def render_agreement(device: torch.device) -> dict[str, Any]:
    """The room's clip from another camera, drawn by the CPU and by the card from one geometry."""
    clip = furnished_clip(frames=9, width=320, height=192)
    tracks = tracks_of_depth(clip)
    geometry = clip_geometry(clip.frames, tracks)
    target = preset_path("orbit_left", tracks.camera, amount=0.4, scene_scale=3.0)
    pictures, holes, took = [], [], []
    for place in (torch.device("cpu"), device):
        began = time.perf_counter()
        frames = list(target_frames(clip.frames, geometry, target, plates=clip.frames, device=place))
        took.append(time.perf_counter() - began)
        pictures.append(torch.stack([frame.picture.cpu() for frame in frames]).int())
        holes.append(torch.stack([frame.hole.cpu() for frame in frames]))
    near = ((pictures[0] - pictures[1]).abs().amax(-1) <= 1).double()
    share = float(near.mean())
    return {
        "pixels within one grey level": share,
        "least of a frame": float(near.mean((1, 2)).min()),
        "mask pixels alike": float((holes[0] == holes[1]).double().mean()),
        "holes": float(holes[0].double().mean()),
        "seconds, CPU and device": took,
        "holds": share >= WITHIN_ONE,
    }


def tracks_of_depth(clip: Any, step: int = 8) -> PointTracks:
    """Points of a pixel raster of every frame, by its true depth and seen in it alone."""
    frames, height, width = clip.depth.shape
    y, x = torch.meshgrid(torch.arange(step // 2, height, step), torch.arange(step // 2, width, step), indexing="ij")
    pixel = torch.stack([x + 0.5, y + 0.5, torch.ones_like(x)], -1).double().flatten(0, 1)
    count = len(pixel)
    ray = pixel @ torch.linalg.inv(clip.camera.intrinsics).mT
    points = ray * clip.depth[:, y, x].flatten(1)[..., None].double()
    poses = clip.camera.world_from_camera
    world = (points @ poses[:, :3, :3].mT + poses[:, None, :3, 3]).flatten(0, 1)
    visible = torch.eye(frames, dtype=torch.bool).repeat_interleave(count, 1)
    positions = world.float().expand(frames, -1, -1).clone()
    return PointTracks(positions, visible, torch.ones(visible.shape), clip.camera)


@torch.no_grad()
def tiny_agreement(device: torch.device) -> dict[str, Any]:
    """The bundle that comes with the package on one held-out scene, in float32 without the card's shorter products."""
    torch.backends.cudnn.allow_tf32 = False
    scene = random_scenes(1, seed=1_234_567)
    paths = random_paths(1, 17, seed=1_234_567, width=128, height=128, moves=HELD_OUT_MOVES)
    lens, times = paths.intrinsics, paths.time
    view = render(scene, paths.world_from_camera[:, 0], lens, times, 128, 128)
    (tracks,) = exact_tracks(scene, view, paths.world_from_camera[:, 0], lens, times, points=256, seed=0)
    first = torch.linalg.inv(paths.world_from_camera[0, 0, 0].double())
    target = replace(tracks.camera, world_from_camera=first @ paths.world_from_camera[0, 1].double())
    latent = encode(load_vae(TINY_VAE), view.frames())
    bundle = load_bundle(TINY_BUNDLE)
    found: dict[str, Any] = {}
    for attention in ("full", "own"):
        config = replace(bundle.config, sampling=replace(bundle.config.sampling, source_attention=attention))
        condition = TrackCondition(Bundle(bundle.conditioner, bundle.lora, config), pair_tracks(tracks, target), latent)
        latents = [sampled(condition, place) for place in ("cpu", device)]
        error = float((latents[0] - latents[1]).norm() / latents[0].norm())
        films = [decode(load_vae(TINY_VAE, device=place), latents[0]).int() for place in ("cpu", device)]
        near = float(((films[0] - films[1]).abs().amax(-1) <= 1).double().mean())
        found[attention] = {
            "latent, relative": error,
            "decoded pixels within one grey level": near,
            "holds": error < LATENT_ERROR and near >= WITHIN_ONE,
        }
    deltas = []
    for place in ("cpu", device):
        transformer = load_transformer(TINY_TRANSFORMER).to(place)
        with attach_seams(transformer, load_bundle(TINY_BUNDLE).conditioner.to(place)) as seams:
            deltas.append(seams.deltas(latent.to(place), condition.track_batch().to(place)).to("cpu").target)
    error = float((deltas[0] - deltas[1]).norm() / deltas[0].norm())
    return {**found, "deltas": {"relative": error, "holds": error < LATENT_ERROR}}


def sampled(condition: TrackCondition, device: torch.device | str) -> Tensor:
    transformer = load_transformer(TINY_TRANSFORMER).to(device)
    text = torch.zeros(1, 1, transformer.config["text_dim"])
    return sample(transformer, condition, positive=text, steps=4, guidance=1.0, shift=3.0, seed=0)


if __name__ == "__main__":
    main()
