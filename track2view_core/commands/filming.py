"""The job both verbs share: a clip, its tracks and a preset in; the re-filmed clip and its pictures out."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ..cameras import CameraPath, preset_path
from ..cameras.formats import write_path
from ..cameras.formats.reading_and_writing import read_move
from ..cameras.operations.composing import compose
from ..cameras.presets import move_notes
from ..errors import Track2ViewError
from ..notes import Note, report_lines
from ..preview import pair_view, path_plot, side_by_side, write_picture
from ..tracks import PointTracks, pair_tracks
from ..tracks.pairing import pair_in_prepared_frame
from ..tracks.path_checks import coverage_notes
from ..video import ClipInfo, VideoClip, restore_clip, write_clip
from ..wan.models import Models, load_models
from ..wan.rerender import rerender, rerender_notes
from ..wan.sampler import make_scheduler
from .console import progress_bars, say
from .door import DOORS
from .hardware import chosen_device, chosen_dtype
from .staging import Staging

SOURCE_CAMERA, TARGET_CAMERA = "_source_camera.json", "_target_camera.json"


@dataclass(frozen=True, eq=False)
class Filming:
    """A clip at the size it was tracked at, and what is known of its geometry."""

    clip: VideoClip
    tracks: PointTracks
    target: CameraPath
    prepared: Tensor  # [T', H', W', 3] uint8, as the model takes it
    info: ClipInfo


def check_move(arguments: argparse.Namespace) -> None:
    """Refuse a move that cannot be before any work is done: a trial on a still camera."""
    still = CameraPath(torch.eye(4)[None], torch.eye(3)[None], width=1, height=1)
    options = {"amount": arguments.amount, "ease": arguments.ease, "relative_to": arguments.relative_to}
    preset_path(arguments.preset, still, scene_scale=1.0, **options)
    distance = getattr(arguments, "camera_distance", None)
    if distance is not None and (arguments.camera is None or not 0 < distance < math.inf):
        raise Track2ViewError(
            f"--camera-distance is {distance:g}; it must be above 0, and comes with --camera, in whose units it is."
        )
    if getattr(arguments, "camera", None) is not None:
        if arguments.given_move:
            raise Track2ViewError(
                f"--camera and {arguments.given_move[0]} both say how the camera moves; leave one of them out: a file "
                "has a move, an amount and an easing of its own."
            )
        read_move(arguments.camera, still)


def load(arguments: argparse.Namespace) -> Models:
    device = chosen_device(arguments.device)
    models = load_models(
        arguments.model,
        vae=arguments.vae,
        bundle=arguments.bundle,
        dtype=chosen_dtype(arguments.dtype, device),
        device=device,
    )
    sampling = models.bundle.config.sampling
    steps, shift = (getattr(arguments, name) for name in ("steps", "shift"))
    make_scheduler(  # refuses numbers that cannot be before the clip is tracked
        sampling.scheduler, sampling.steps if steps is None else steps, sampling.shift if shift is None else shift
    )
    for role, path in (("model", arguments.model), ("vae", arguments.vae), ("bundle", arguments.bundle)):
        say(role, str(path) if path else "built-in tiny one")
    return models


def working_size(arguments: argparse.Namespace, models: Models) -> tuple[int, int]:
    """Width and height to prepare the clip for: --size, or what the bundle was trained at."""
    sampling = models.bundle.config.sampling
    return getattr(arguments, "size", None) or (sampling.width, sampling.height)


def target_path(arguments: argparse.Namespace, tracks: PointTracks) -> CameraPath:
    """The target camera along the preset or the camera file; says what the move came to."""
    scale = tracks.scene_scale
    file = getattr(arguments, "camera", None)
    if file is None:
        say("move", *report_lines(move_notes(arguments.preset, arguments.amount, scale)))
    else:
        path = read_move(file, tracks.camera)
        said = f"{file.name}: {len(path)} frames" + ("" if len(path) == len(tracks) else ", spread over the clip")
        say("move", said, str(Note.of("scene_scale", scale=scale)))
    if file is None:
        return preset_path(
            arguments.preset, tracks.camera, amount=arguments.amount, scene_scale=scale,
            ease=arguments.ease, relative_to=arguments.relative_to,
        )  # fmt: skip
    place = "on_top" if arguments.relative_to == "source" else "instead"
    return compose(
        tracks.camera, other=path, scene_scale=scale, place=place, other_scale=arguments.camera_distance or 0.0
    )


def film(filming: Filming, models: Models, arguments: argparse.Namespace, output: Path, staging: Staging) -> None:
    """Re-render the clip and write OUT, the side-by-side video and both pictures."""
    paired = pair_in_prepared_frame(filming.tracks, filming.target, filming.info)
    say("coverage", *report_lines(coverage_notes(paired)))
    say("sampling", *sampling_notes(filming.prepared, models, arguments))
    with progress_bars() as progress:
        pictures = rerender(
            filming.prepared, paired, models=models, progress=progress,
            steps=arguments.steps, guidance=arguments.guidance, shift=arguments.shift, seed=arguments.seed,
            prompt=arguments.prompt, negative_prompt=arguments.negative,
        )  # fmt: skip
    result = restore_clip(pictures, filming.info)
    write_results(filming, result, paired.coverage()[: len(result)], output, staging)


def sampling_notes(prepared: Tensor, models: Models, arguments: argparse.Namespace) -> tuple[str, ...]:
    """Steps, guidance, shift and seed as they come to be, and what is unusual about them."""
    defaults = models.bundle.config.sampling
    used = {name: getattr(arguments, name) for name in ("steps", "guidance", "shift")}
    used = {name: getattr(defaults, name) if value is None else value for name, value in used.items()}
    height, width = prepared.shape[1:3]
    told = ", ".join(f"{name} {value:g}" for name, value in used.items())
    facts = f"{len(prepared)} frames of {width} x {height}, {told}, seed {arguments.seed}"
    notes = rerender_notes(prepared, models=models, prompt=arguments.prompt, guidance=arguments.guidance)
    return facts, *report_lines(notes, DOORS[arguments.verb])


def write_results(filming: Filming, result: VideoClip, coverage: Tensor, output: Path, staging: Staging) -> None:
    """OUT, its side-by-side video, pictures of tracks and paths, and both cameras, all of them staged."""
    write_clip(result, staging.path(output))
    compared = beside(output, "_side_by_side.mp4")
    frames = side_by_side(filming.clip.frames, result.frames, ("source", "re-filmed"))
    write_clip(VideoClip(frames, result.fps, result.audio), staging.path(compared))
    paired = pair_tracks(filming.tracks, filming.target)
    rows = sorted({0, len(paired) // 2, len(paired) - 1})
    view = pair_view(filming.clip.frames, paired, only=rows, coverage=coverage)
    write_picture(view.flatten(0, 1), staging.path(beside(output, "_tracks.png")))
    plot = path_plot(filming.tracks.camera, filming.target, filming.tracks.positions)
    write_picture(plot, staging.path(beside(output, "_paths.png")))
    for path, ending in ((filming.tracks.camera, SOURCE_CAMERA), (filming.target, TARGET_CAMERA)):
        timed = replace(path, fps=float(result.fps))
        write_path(timed, staging.path(beside(output, ending)), format="track2view_camera")


def result_files(output: Path) -> tuple[Path, ...]:
    endings = ("_side_by_side.mp4", "_tracks.png", "_paths.png", SOURCE_CAMERA, TARGET_CAMERA)
    return (output, *(beside(output, ending) for ending in endings))


def beside(output: Path, ending: str) -> Path:
    return output.with_name(output.stem + ending)
