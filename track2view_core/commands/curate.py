"""`track2view curate SOURCE ... OUT`: a data set of pairs for training, and what was left out of it, by reason."""

from __future__ import annotations

import argparse

from ..curation import ClipEncoder, Reencoding, RenderedScenes, ShardMaker, curate
from ..curation.rendered import SceneSettings
from ..dataset import PairDataset
from ..errors import Track2ViewError
from .console import progress_bars, say
from .hardware import chosen_device


def run(arguments: argparse.Namespace) -> None:
    if arguments.output.is_file():
        raise Track2ViewError(f"OUT is the file {arguments.output}; name a folder.")
    maker = {"render": rendered, "encode": reencoded}[arguments.source](arguments)
    with progress_bars() as progress:
        counts = curate(maker, arguments.output, progress=progress)
    tell(maker, counts, arguments)


def tell(maker: ShardMaker, counts: dict[str, int], arguments: argparse.Namespace) -> None:
    info = maker.info()
    data = PairDataset(arguments.output)
    say(
        "data set",
        f"{arguments.output}: {len(data)} pairs of {data.clip_count} clips in {len(maker)} shards, "
        f"{info.width} x {info.height}, {info.frames} frames",
        "no latents: give --vae, or encode it later" if info.vae is None else f"latents of {info.vae.name}",
    )
    for reason, count in counts.items():
        say("", f"{count:8d}  {reason}")


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
