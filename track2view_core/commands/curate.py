"""`track2view curate SOURCE ... OUT`: a data set of pairs for training, and what was left out of it, by reason."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
from ..tracks.trackers import KltTracker
from ..video import open_stream
from .console import progress_bars, say
from .hardware import chosen_device
from .own_tracker import chosen_tracker

SHEET = "sheet.png"
NAMED = 12
"""Refused pairs that are told by name; report.json has all of them."""


def run(
    *,
    source: str,
    output: Path,
    vae: Path | None,
    text_encoder: Path | None,
    keep_frames: bool,
    device: str,
    ray: bool,
    **chosen: Any,
) -> None:
    """`chosen` are the options of `source` alone."""
    if output.is_file():
        raise Track2ViewError(f"OUT is the file {output}; name a folder.")
    place = str(chosen_device(device))
    encoder = ClipEncoder(vae, text_encoder, place)
    make = {"render": rendered, "encode": reencoded}.get(source, recorded)
    maker = make(source, encoder, keep_frames, **chosen)
    with progress_bars() as progress:
        try:
            if ray:
                from ..curation.shard_maker import curate_with_ray

                counts = curate_with_ray(maker, output, device=place, progress=progress)
            else:
                counts = curate(maker, output, progress=progress)
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt(
                f"Interrupted; the finished shards stay in {output}, and the same command goes on from there."
            ) from stop
    tell(maker, counts, output, encoder)


def tell(maker: ShardMaker, counts: Mapping[str, int], output: Path, encoder: ClipEncoder) -> None:
    info = maker.info()
    for reason, count in counts.items():
        say("counts" if reason == next(iter(counts)) else "", f"{count:8d}  {reason}")
    refused = read_report(output)["refused"]
    for number, sentence in enumerate(list(refused.values())[:NAMED]):
        say("" if number else "refused", sentence)
    if len(refused) > NAMED:
        say("", f"and {len(refused) - NAMED} more, see report.json")
    data = PairDataset(output)
    say(
        "data set",
        f"{output}: {len(data)} pairs of {data.clip_count} clips in {len(maker)} shards, "
        f"{info.width} x {info.height}, {info.frames} frames",
        "no latents: give --vae, or encode it later" if info.vae is None else f"latents of {info.vae.name}",
    )
    sheet = contact_sheet(data, None if encoder.vae is None or info.has_frames else encoder.model())
    if sheet is not None:
        say("look at", str(write_picture(sheet, output / SHEET)))


def rendered(
    source: str, encoder: ClipEncoder, keep_frames: bool, *, shards: int, size: tuple[int, int], **chosen: Any
) -> ShardMaker:
    """`chosen` are fields of `SceneSettings`."""
    if shards < 1:
        raise Track2ViewError(f"--shards is {shards}; it must be at least 1.")
    how = SceneSettings(width=size[0], height=size[1], keep_frames=keep_frames, **chosen)
    return RenderedScenes(shards, how, encoder, encoder.device)


def reencoded(
    source: str, encoder: ClipEncoder, keep_frames: bool, *, input: Path, size: tuple[int, int] | None
) -> ShardMaker:
    return Reencoding(input, encoder, size, keep_frames)


def recorded(
    source: str,
    encoder: ClipEncoder,
    keep_frames: bool,
    *,
    input: Path,
    captions: Path | None,
    size: tuple[int, int],
    frames: int,
    every: int,
    tracker: str,
    profile: str | None,
    points: int,
    pairs_per_scene: int | None,
    scenes_per_shard: int,
    seed: int,
    **layout: Any,
) -> ShardMaker:
    """`layout` is what only this kind of source may say: its lens, its cameras' format, its videos' folder."""
    scenes = SOURCES[source](input, read_captions(captions) if captions else {}, **layout)
    how = PairSettings(
        cut=Cut(*size, frames=frames, every=every), points=points, pairs_per_scene=pairs_per_scene,
        scenes_per_shard=scenes_per_shard, seed=seed, keep_frames=keep_frames,
    )  # fmt: skip
    own = chosen_tracker(tracker, profile)
    follower = KltTracker() if own is None else own.tracker
    return RecordedPairs(source, scenes, how, follower, first_rate(scenes) / every, encoder)


SOURCES = {"multicamvideo": multicamvideo_scenes, "synced": synced_scenes, "realcamvid": realcamvid_scenes}


def first_rate(scenes: tuple[RecordedScene, ...]) -> float:
    """Frames a second of the first clip that can be read; a data set has one rate."""
    problem = ""
    for clip in (clip for scene in scenes for clip in scene.clips):
        try:
            return float(open_stream(clip.video, frames=1).timing.rate)
        except Track2ViewError as error:
            problem = problem or str(error)
    raise Track2ViewError(f"No clip can be read; the first one's trouble: {problem}")
