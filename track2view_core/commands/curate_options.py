"""The options of `track2view curate`, apart from the verb itself: --help answers without loading torch."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

Size = Callable[[str], tuple[int, int]]


def add_curate(parser: argparse.ArgumentParser, size: Size) -> None:
    kinds = parser.add_subparsers(dest="source", required=True, metavar="SOURCE", parser_class=type(parser))
    render = kinds.add_parser("render", help="scenes that this project renders: exact tracks, any number of pairs")
    _add_out(render)
    _add_scenes(render, size)
    _add_encoder(render)
    encode = kinds.add_parser("encode", help="a data set with kept frames again, by another VAE or at a smaller size")
    _add_in(encode, "a data set made with --keep-frames")
    _add_out(encode)
    encode.add_argument("--size", type=size, metavar="WxH", help="of the clips (default: as they are)")
    _add_encoder(encode)
    many = kinds.add_parser("multicamvideo", help="MultiCamVideo's scenes of ten synced cameras")
    _add_in(many, "the data set's folder, or one in it")
    _add_out(many)
    many.add_argument("--fov", type=float, metavar="DEGREES", help="instead of the lens that the folder's name states")
    _add_pairs(many, size)
    _add_encoder(many)
    synced = kinds.add_parser("synced", help="a folder a scene: synced clips that share frame 0, with their cameras")
    _add_in(synced, "the folder of scenes: SCENE/cam01.mp4 beside cam01.json or cameras.json")
    _add_out(synced)
    synced.add_argument(
        "--cameras", metavar="FORMAT", help="see `track2view path formats` (default: told from the file)"
    )
    synced.add_argument("--fov", type=float, metavar="DEGREES", help="horizontal, where the cameras hold no lens")
    _add_pairs(synced, size)
    _add_encoder(synced)
    single = kinds.add_parser("realcamvid", help="RealCam-Vid's single clips: identity pairs, for validation alone")
    _add_in(single, "the .npz list")
    _add_out(single)
    single.add_argument(
        "--videos", type=Path, metavar="DIR", help="what the list's paths start at (default: its folder)"
    )
    _add_pairs(single, size)
    _add_encoder(single)


def _add_pairs(parser: argparse.ArgumentParser, size: Size) -> None:
    group = parser.add_argument_group("pairs")
    number = {"type": int, "metavar": "N"}
    group.add_argument(
        "--size", type=size, default=(832, 480), metavar="WxH", help="cut from the middle (default: 832x480)"
    )
    group.add_argument("--frames", default=81, **number, help="4n + 1 (default: %(default)s)")
    group.add_argument("--every", default=1, **number, help="take every Nth frame (default: %(default)s)")
    group.add_argument("--points", default=1024, **number, help="tracks a pair, at most (default: %(default)s)")
    group.add_argument("--pairs-per-scene", **number, help="drawn by --seed (default: all ordered pairs)")
    group.add_argument("--scenes-per-shard", default=4, **number, help="default: %(default)s")
    group.add_argument("--seed", default=0, **number, help="of the draw (default: %(default)s)")
    group.add_argument(
        "--captions",
        type=Path,
        metavar="FILE",
        help="captions by clip or scene: a JSON object, or lines of name, tab, text",
    )
    group.add_argument(
        "--tracker", default="klt", choices=("klt", "spatial_tracker_v2"),
        help="the built-in one, or your own install of SpatialTrackerV2, see docs/TRACKERS.md (default: %(default)s)",
    )  # fmt: skip
    group.add_argument("--profile", metavar="NAME", help="which install of SpatialTrackerV2 (default: the only one)")


def _add_in(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("input", type=Path, metavar="IN", help=what)


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "output", type=Path, metavar="OUT", help="the data set's folder; an unfinished one is gone on with"
    )


def _add_scenes(parser: argparse.ArgumentParser, size: Size) -> None:
    group = parser.add_argument_group("scenes")
    number = {"type": int, "metavar": "N"}
    group.add_argument("--shards", default=8, **number, help="default: %(default)s; more may be added later")
    group.add_argument("--scenes", default=8, **number, help="a shard (default: %(default)s)")
    group.add_argument("--cameras", default=4, **number, help="a scene; all share frame 0 (default: %(default)s)")
    group.add_argument("--frames", default=17, **number, help="4n + 1 (default: %(default)s)")
    group.add_argument("--size", type=size, default=(128, 128), metavar="WxH", help="default: 128x128")
    group.add_argument("--points", default=384, **number, help="tracks a camera (default: %(default)s)")
    group.add_argument(
        "--texture", default="smooth", choices=("smooth", "detailed"), help="default: %(default)s, for small models"
    )
    group.add_argument("--supersample", default=1, **number, help="rays a pixel along each side (default: %(default)s)")
    group.add_argument(
        "--dynamic", type=float, default=0.6, metavar="X", help="share of scenes with movers (default: %(default)s)"
    )
    group.add_argument("--objects", default=6, **number, help="a scene, at most (default: %(default)s)")
    group.add_argument(
        "--moves", default="train", choices=("train", "held_out"),
        help="held_out: the kinds of move, and the scenes, that training never sees (default: %(default)s)",
    )  # fmt: skip
    group.add_argument("--seed", default=0, **number, help="of the first shard (default: %(default)s)")
    group.add_argument("--fps", type=float, default=16.0, metavar="N", help="default: %(default)s")


def _add_encoder(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("encoding")
    group.add_argument(
        "--vae", type=Path, metavar="PATH", help="WAN 2.1 VAE, file or diffusers folder, that makes the latents"
    )
    group.add_argument(
        "--text-encoder", type=Path, metavar="DIR", help="diffusers folder whose text encoder embeds the captions"
    )
    group.add_argument(
        "--keep-frames", action="store_true", help="keep the pictures too: to train a VAE on, or to encode again"
    )
    group.add_argument(
        "--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:1 (default: %(default)s)"
    )
    parser.add_argument(
        "--ray",
        action="store_true",
        help="spread the shards over GPUs and machines; pip install 'track2view[curation]'",
    )
