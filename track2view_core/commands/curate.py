"""`track2view curate SOURCE ... OUT`: a data set of pairs for training, and what was left out of it, by reason."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from ..curation import (
    ClipEncoder,
    Cut,
    PairSettings,
    RecordedPairs,
    RecordedScene,
    Reencoding,
    RenderedScenes,
    SceneSettings,
    ShardMaker,
    curate,
)
from ..curation.contact_sheet import contact_sheet
from ..curation.sources import multicamvideo_scenes, realcamvid_scenes, synced_scenes
from ..curation.sources.clip_names import read_captions
from ..dataset import PairDataset, read_report
from ..errors import Track2ViewError
from ..preview import write_picture
from ..progress import Progress
from ..tracks.trackers import KltTracker, PointTracker, SpatialTrackerV2
from ..tracks.trackers.spatial_tracker import chosen_profile
from ..video import open_stream
from .console import progress_bars, say
from .hardware import chosen_device
from .tracking import profile_file

SHEET = "sheet.png"
NAMED = 12
"""Refused pairs that are told by name; report.json has all of them."""


def run(arguments: argparse.Namespace) -> None:
    if arguments.output.is_file():
        raise Track2ViewError(f"OUT is the file {arguments.output}; name a folder.")
    maker = {"render": rendered, "encode": reencoded}.get(arguments.source, recorded)(arguments)
    with progress_bars() as progress:
        try:
            counts = made(maker, arguments, progress)
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt(
                f"Interrupted; the finished shards stay in {arguments.output}, and the same command goes on from there."
            ) from stop
    tell(maker, counts, arguments)


def made(maker: ShardMaker, arguments: argparse.Namespace, progress: Progress) -> dict[str, int]:
    if not arguments.ray:
        return curate(maker, arguments.output, progress=progress)
    from ..curation.shard_maker import curate_with_ray

    return curate_with_ray(maker, arguments.output, device=str(chosen_device(arguments.device)), progress=progress)


def tell(maker: ShardMaker, counts: Mapping[str, int], arguments: argparse.Namespace) -> None:
    info = maker.info()
    for reason, count in counts.items():
        say("counts" if reason == next(iter(counts)) else "", f"{count:8d}  {reason}")
    refused = read_report(arguments.output)["refused"]
    for number, sentence in enumerate(list(refused.values())[:NAMED]):
        say("" if number else "refused", sentence)
    if len(refused) > NAMED:
        say("", f"and {len(refused) - NAMED} more, see report.json")
    data = PairDataset(arguments.output)
    say(
        "data set",
        f"{arguments.output}: {len(data)} pairs of {data.clip_count} clips in {len(maker)} shards, "
        f"{info.width} x {info.height}, {info.frames} frames",
        "no latents: give --vae, or encode it later" if info.vae is None else f"latents of {info.vae.name}",
    )
    used = encoder(arguments)
    sheet = contact_sheet(data, None if used.vae is None or info.has_frames else used.model())
    if sheet is not None:
        say("look at", str(write_picture(sheet, arguments.output / SHEET)))


def encoder(arguments: argparse.Namespace) -> ClipEncoder:
    return ClipEncoder(arguments.vae, arguments.text_encoder, str(chosen_device(arguments.device)))


def rendered(arguments: argparse.Namespace) -> ShardMaker:
    width, height = arguments.size
    how = SceneSettings(
        scenes=arguments.scenes, cameras=arguments.cameras, frames=arguments.frames, width=width, height=height,
        tracks=arguments.points, texture=arguments.texture, supersample=arguments.supersample,
        dynamic=arguments.dynamic, objects=arguments.objects, moves=arguments.moves, seed=arguments.seed,
        fps=arguments.fps, keep_frames=arguments.keep_frames,
    )  # fmt: skip
    if arguments.shards < 1:
        raise Track2ViewError(f"--shards is {arguments.shards}; it must be at least 1.")
    return RenderedScenes(arguments.shards, how, encoder(arguments), str(chosen_device(arguments.device)))


def reencoded(arguments: argparse.Namespace) -> ShardMaker:
    return Reencoding(arguments.input, encoder(arguments), arguments.size, arguments.keep_frames)


def recorded(arguments: argparse.Namespace) -> ShardMaker:
    captions = read_captions(arguments.captions) if arguments.captions else {}
    scenes = listed_scenes(arguments, captions)
    how = PairSettings(
        cut=Cut(*arguments.size, frames=arguments.frames, every=arguments.every), points=arguments.points,
        pairs_per_scene=arguments.pairs_per_scene, scenes_per_shard=arguments.scenes_per_shard, seed=arguments.seed,
        keep_frames=arguments.keep_frames,
    )  # fmt: skip
    fps = first_rate(scenes) / arguments.every
    return RecordedPairs(arguments.source, scenes, how, tracker(arguments), fps, encoder(arguments))


def listed_scenes(arguments: argparse.Namespace, captions: Mapping[str, str]) -> tuple[RecordedScene, ...]:
    if arguments.source == "multicamvideo":
        return multicamvideo_scenes(arguments.input, captions, arguments.fov)
    if arguments.source == "synced":
        return synced_scenes(arguments.input, captions, arguments.cameras, arguments.fov)
    return realcamvid_scenes(arguments.input, captions, arguments.videos)


def first_rate(scenes: tuple[RecordedScene, ...]) -> float:
    """Frames a second of the first clip that can be read; a data set has one rate."""
    problem = ""
    for clip in (clip for scene in scenes for clip in scene.clips):
        try:
            return float(open_stream(clip.video, frames=1).timing.rate)
        except Track2ViewError as error:
            problem = problem or str(error)
    raise Track2ViewError(f"No clip can be read; the first one's trouble: {problem}")


def tracker(arguments: argparse.Namespace) -> PointTracker:
    if arguments.tracker == "klt":
        if arguments.profile is not None:
            raise Track2ViewError(
                "--profile is of SpatialTrackerV2; add --tracker spatial_tracker_v2, or leave it out."
            )
        return KltTracker()
    profile = chosen_profile(
        Path(profile_file(os.environ)), os.environ, arguments.profile, option="--profile", instead="use --tracker klt"
    )
    profile.check("offline", os.environ)
    return SpatialTrackerV2(profile)
