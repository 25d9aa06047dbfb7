"""Clips longer than a window on ComfyUI's own MODEL: `python -m benchmarks.native_windows --out FOLDER`.

Memory: the peak of what lives while 161 frames are sampled in windows of 81, beside 81 frames in one piece, on random
weights in the tiny model's shape. Deltas of the windows at rest lie in the host's memory where there is a card; here
they are told apart.

Seams: neighbouring windows predict the frames they share each for itself. On held-out scenes of 33 frames, in windows
of 17 by the shipped tiny model with exact tracks, how far apart are the two predictions of the last step, in pixels,
with the tracks and without? Beside the figures lies a picture of the frames of both windows.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from track2view_core.evaluation import psnr
from track2view_core.preview import write_picture

from .comfyui_host import Host, add_arguments, guider_of, open_host, open_model, prompt, random_condition, random_wan
from .held_out_clips import EVALUATION_SEED, held_out_clips
from .meters import LivePeak

LATENT_WINDOW, LATENT_OVERLAP = 5, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures of the seams")
    parser.add_argument("--scenes", type=int, default=4, help="scenes for the seams (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=10, help="sampling steps for the seams (default: %(default)s)")
    parser.add_argument("--size", type=int, default=192, help="side in px for the memory (default: %(default)s)")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    host = open_host(arguments.comfyui, cpu=arguments.cpu)
    with torch.inference_mode():
        report_memory(host, arguments.size)
        report_seams(host, arguments.scenes, arguments.steps, arguments.out)


def windowed(model: Any, length: int, overlap: int) -> Any:
    """The MODEL as core's WAN Context Windows node makes it; lengths in latent frames."""
    from comfy import context_windows

    windowed = model.clone()
    windowed.model_options["context_handler"] = context_windows.IndexListContextHandler(
        context_schedule=context_windows.get_matching_context_schedule("standard_static"),
        fuse_method=context_windows.get_matching_fuse_method("pyramid"),
        context_length=length,
        context_overlap=overlap,
        dim=2,
    )
    context_windows.create_prepare_sampling_wrapper(windowed)
    return windowed


def sampled(host: Host, model: Any, condition: Any, steps: int, *, empty: bool = False) -> Tensor:
    """Euler steps from noise along the bundle's own schedule."""
    from comfy.samplers import sampler_object

    sampling = condition.bundle.config.sampling
    sigmas = host.core("wan.sampler").make_scheduler("euler", steps, sampling.shift).sigmas
    conditioning = [[torch.zeros(1, 512, 4096), {}]] if empty else prompt(None, host)
    conditioning = host.native.with_condition(conditioning, condition)
    noise = host.core("wan.sampler").initial_noise(condition.source_latent, 5)
    guider = guider_of(host, model, conditioning)
    euler = sampler_object("euler")
    return guider.sample(noise, torch.zeros_like(noise), euler, sigmas, disable_pbar=True, seed=5)


def report_memory(host: Host, side: int) -> None:
    model = open_model(random_wan("tiny"))
    peaks, latents, deltas = {}, {}, 0
    for frames in (81, 161):
        condition = random_condition(
            host, model, frames=frames, height=side, width=side, conditioner_width=64, window=81
        )
        patched = host.native.with_seams(model, condition, host.bridge.managed(condition.bundle.conditioner))
        with LivePeak() as peak:
            sampled(host, windowed(patched, 21, 8), condition, 2)
        peaks[frames] = peak.bytes
        latents[frames] = condition.source_latent.nbytes
        deltas = 2 * 21 * (side // 16) ** 2 * 128 * 4
    resting = 2 * deltas  # of three windows one is at work
    longer = latents[161] - latents[81]
    print(
        f"peak at {side} x {side}: 81 frames {peaks[81] / 2**20:.1f} MiB, 161 frames in windows of 81 "
        f"{peaks[161] / 2**20:.1f} MiB, {peaks[161] / peaks[81]:.3f} times"
    )
    print(
        f"  {resting / 2**20:.1f} MiB of it are deltas of windows at rest, in the host's memory where there is a card"
    )
    print(f"  without them {(peaks[161] - resting) / peaks[81]:.3f} times; a latent is {longer / 2**20:.2f} MiB longer")


def report_seams(host: Host, scenes: int, steps: int, out: Path) -> None:
    models = host.core("wan.models")
    base = open_model(load_file(models.TINY_TRANSFORMER))
    bundle = host.core("wan.bundle").load_bundle(models.TINY_BUNDLE)
    vae = host.core("wan.vae").load_vae(models.TINY_VAE)
    base = host.native.with_lora(base, bundle, 1.0)
    rows = []
    for number, clip in enumerate(held_out_clips(scenes, seed=EVALUATION_SEED, size=128, frames=33)):
        truth = clip.view(clip.target).frames()
        for strength in (1.0, 0.0):
            condition = condition_of(host, clip, bundle, vae, strength)
            pictures = shared_frames(host, base, condition, vae, steps)
            apart = torch.cat([psnr(one, other) for _, one, other in pictures]).mean()
            right = torch.cat([psnr(one, truth[places]) for places, one, _ in pictures]).mean()
            rows.append((strength, float(apart), float(right)))
            if strength:
                write_picture(contact(pictures, truth), out / f"seams_{number}.png")
    print(f"frames that two windows share, {scenes} scenes of 33 frames in windows of 17, {steps} steps:")
    for strength, name in ((1.0, "with tracks"), (0.0, "without tracks")):
        mine = torch.tensor([row[1:] for row in rows if row[0] == strength]).mean(0)
        print(f"  {name}: the two predictions differ by {mine[0]:.2f} dB PSNR; each to the truth {mine[1]:.2f} dB")


def condition_of(host: Host, clip: Any, bundle: Any, vae: Any, strength: float) -> Any:
    scenes, tracks = host.core("scenes.surface_points"), host.core("tracks")
    view = clip.view(clip.source)
    (points,) = scenes.exact_tracks(
        clip.scene, view, clip.source[None], clip.intrinsics[None], clip.time[None], points=800, seed=1
    )
    world = torch.linalg.inv(clip.source[0].double())
    target = host.core("cameras").CameraPath(
        world @ clip.target.double(), clip.intrinsics.double().expand(33, 3, 3), clip.size, clip.size
    )
    latent = host.core("wan.vae").encode(vae, view.frames())
    return host.core("wan.condition").TrackCondition(
        bundle, tracks.pair_tracks(points, target), latent, strength=strength
    )


Shared = tuple[list[int], Tensor, Tensor]  # video frames of the clip, and the pictures that two windows made of them


def shared_frames(host: Host, base: Any, condition: Any, vae: Any, steps: int) -> list[Shared]:
    """Both windows' pictures of every overlap, from the predictions of the last step."""
    patched = host.native.with_seams(base, condition, host.bridge.managed(condition.bundle.conditioner))
    model = windowed(patched, LATENT_WINDOW, LATENT_OVERLAP)
    predictions: dict[int, tuple[list[int], Tensor]] = {}

    def keep(
        _handler: Any, _x: Tensor, predicted: list[Tensor], _conds: Any, window: Any, number: int, *_: Any
    ) -> None:
        predictions[number] = (list(window.index_list), predicted[0].clone())  # the last step's stay

    handler = model.model_options["context_handler"]
    handler.callbacks = {"callbacks": {"combine_context_window_results": {"seams": [keep]}}}
    sampled(host, model, condition, steps, empty=True)
    decode = host.core("wan.vae").decode
    decoded = [(index, decode(vae, latent)) for index, latent in (predictions[n] for n in sorted(predictions))]
    found = []
    for (first, before), (second, after) in itertools.pairwise(decoded):
        shared = [frame for frame in second[1:] if frame in first]  # a first latent frame is one video frame
        places = [4 * frame - 3 + part for frame in shared for part in range(4)]
        mine, theirs = ([place - 4 * index[0] for place in places] for index in (first, second))
        found.append((places, before[mine], after[theirs]))
    return found


def contact(pictures: list[Shared], truth: Tensor) -> Tensor:
    """Rows: the earlier window, the later one, their difference times 4, the truth."""
    columns = []
    for places, before, after in pictures:
        difference = (4 * (before.int() - after.int()).abs()).clamp(max=255).to(torch.uint8)
        columns += [torch.cat(rows) for rows in zip(before, after, difference, truth[places], strict=True)]
    return torch.cat(columns[:: max(1, len(columns) // 8)], dim=1)


if __name__ == "__main__":
    main()
