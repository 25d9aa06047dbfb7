"""What the command line takes: every verb with its options, read without loading torch.

What a verb hands to a settings class of the core bears the name of that class's field (`dest`), so that a verb passes
it on as it is. Defaults that a bundle or the core knows better are None here.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

from ..refilm import DTYPES, FILLS, MISSING_FRAMES, PIXELS, QUATERNION_ORDERS, RELATIVE_TO, Refilm

EXIT_MISTAKE = 2


def build_parser() -> argparse.ArgumentParser:
    parser = _OneSentenceParser(prog="track2view", description="Re-film a video along a new camera path.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=_OneSentenceParser)
    _add_demo(verbs.add_parser("demo", help="re-film the built-in sample clip: no file, no download, about a minute"))
    _add_rerender(verbs.add_parser("rerender", help="re-film a video file along a camera move"))
    _add_batch(verbs.add_parser("batch", help="re-film every clip of a folder; goes on where it was stopped"))
    verbs.add_parser("presets", help="list the preset camera moves and what amount 1.0 means for each")
    _add_plan(verbs.add_parser("plan", help="what a generation takes: memory by stage, what fits, and the time"))
    _add_path(verbs.add_parser("path", help="convert camera files of other programs, or list their formats"))
    _add_convert(verbs.add_parser("convert", help="write a LoRA of any layout, or a bundle's, in the one used here"))
    _add_convert_model(
        verbs.add_parser("convert-model", help="make another model's published files those that ComfyUI loads")
    )
    _add_curate(verbs.add_parser("curate", help="make a data set of pairs for training"))
    _add_train(verbs.add_parser("train", help="train a VAE, a base, or LoRA and conditioner from one config"))
    _add_evaluate(verbs.add_parser("evaluate", help="score results: a table, with intervals, of one or more methods"))
    _add_manifest(verbs.add_parser("manifest", help="write the run.json that `evaluate` scores by"))
    return parser


class _OneSentenceParser(argparse.ArgumentParser):
    """argparse without the usage dump in front of its message."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_MISTAKE, f"{self.prog}: {message}; see {self.prog} --help.\n")


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} came; give WIDTHxHEIGHT such as 832x480")
    return int(width), int(height)


# demo and rerender


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("track2view_demo"), metavar="DIR", help="default: %(default)s")
    _add_move(parser.add_argument_group("camera move"), amount=0.5)
    _add_pixels(parser.add_argument_group("pixels"))
    _add_model(parser.add_argument_group("model"))


def _add_rerender(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", type=Path, metavar="IN", help="the video to re-film")
    parser.add_argument("output", type=Path, metavar="OUT", help="the .mp4 to write; pictures are written beside it")
    _add_film(parser)
    tracking = _add_tracking(parser.add_argument_group("tracking"))
    tracking.add_argument(
        "--tracks", type=Path, metavar="FILE", help="3D tracks of this clip (.npz or .safetensors) instead of tracking"
    )
    tracking.add_argument(
        "--save-tracks", dest="save_tracks_to", type=Path, metavar="FILE",
        help="write the 3D tracks (.npz or .safetensors)",
    )  # fmt: skip


def _add_batch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the clips to re-film")
    parser.add_argument("output", type=Path, metavar="OUT", help="the folder to write into; made if it is not there")
    _add_film(parser)
    _add_tracking(parser.add_argument_group("tracking"))


def _add_film(parser: argparse.ArgumentParser) -> None:
    """What a clip is filmed by, but the tracks."""
    clip = parser.add_argument_group("clip")
    clip.add_argument("--frames", type=int, metavar="N", help="only the clip's first N frames (default: all)")
    clip.add_argument(
        "--size", type=_size, metavar="WxH", help="size the model works at, turned for a portrait clip"
        " (default: the bundle's); the result has the clip's own size"
    )  # fmt: skip
    _add_move(parser.add_argument_group("camera move"), amount=Refilm.amount)
    file = parser.add_argument_group("camera move of a file, instead of a preset")
    file.add_argument(
        "--camera", type=Path, metavar="FILE",
        help="a camera path of any format of `track2view path formats`: its move from its own first frame is made",
    )  # fmt: skip
    file.add_argument(
        "--camera-distance", dest="path_scale", type=float, metavar="X",
        help="the subject's distance in FILE's units (default: FILE is in the units of the tracks)",
    )  # fmt: skip
    file.add_argument("--camera-name", metavar="NAME", help="which camera, where FILE holds several")
    file.add_argument("--camera-format", metavar="FORMAT", help="FILE's format (default: told from the file)")
    _add_doubtful(file)
    _add_pixels(parser.add_argument_group("pixels"))
    _add_model(parser.add_argument_group("model"))


def _add_doubtful(group: argparse._ArgumentGroup) -> None:
    """What camera files leave open. None where nothing is given."""
    group.add_argument(
        "--missing-frames", choices=MISSING_FRAMES, help="where the file lacks frames of its clip: fill them in between"
        " the others, or join these as if they were all (default: refuse the file)"
    )  # fmt: skip
    group.add_argument(
        "--quaternion-order", choices=QUATERNION_ORDERS,
        help="whether w stands last or first in a TUM file (default: as its comments say, else last)",
    )  # fmt: skip


def _add_move(group: argparse._ArgumentGroup, *, amount: float) -> None:
    """--preset, --amount and --ease are None where they are not given: a camera file stands instead of them."""
    group.add_argument("--preset", metavar="NAME", help="see `track2view presets` (default: orbit_left)")
    group.add_argument("--amount", type=float, metavar="X", help=f"1.0 is the nominal move (default: {amount:g})")
    group.add_argument("--ease", metavar="NAME", help=f"linear, smooth, ease_in or ease_out (default: {Refilm.ease})")
    group.add_argument(
        "--relative-to", default=Refilm.relative_to, choices=RELATIVE_TO,
        help="ride on the clip's own moving camera, or start from its held first pose (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--subject", metavar="WHAT", help="what a preset turns around and measures by: auto (what moves, or is central"
        " and near), median (the median depth), or X,Y or X,Y,FRAME, a place in pixels of the clip"
        f" (default: {Refilm.subject})",
    )  # fmt: skip


def _add_tracking(group: argparse._ArgumentGroup) -> argparse._ArgumentGroup:
    group.add_argument(
        "--tracker", default="klt", choices=("klt", "spatial_tracker_v2"),
        help="the built-in one, or your own install of SpatialTrackerV2, see docs/TRACKERS.md (default: %(default)s)",
    )  # fmt: skip
    group.add_argument("--profile", metavar="NAME", help="which install of SpatialTrackerV2 (default: the only one)")
    group.add_argument("--variant", choices=("offline", "online"), help="of SpatialTrackerV2 (default: offline)")
    group.add_argument(
        "--points", type=int, default=Refilm.points, metavar="N", help="points to track (default: %(default)s)"
    )
    group.add_argument(
        "--motion", default=Refilm.motion, choices=("auto", "static", "rotation", "general"),
        help="how the clip's own camera moves (default: found out from the clip)",
    )  # fmt: skip
    group.add_argument(
        "--fov", dest="fov_degrees", type=float, metavar="DEGREES", help="horizontal field of view (default: estimated)"
    )
    return group


def _add_pixels(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--pixels", choices=PIXELS, help="keep: the clip's own pixels wherever it shows the new view; model: the"
        " model's picture alone (default: keep, or what the bundle of --bundle says)"
    )  # fmt: skip
    group.add_argument(
        "--fill", choices=FILLS, help="what the clip never shows is painted by the model, or filled from what is around"
        " it, which loads no weights (default: model where an option of it is given, else geometric)"
    )  # fmt: skip
    group.add_argument(
        "--no-model", dest="fill", action="store_const", const="geometric", help="the same as --fill geometric"
    )


def _add_model(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--model", type=Path, metavar="PATH",
        help="WAN transformer: file or diffusers folder (default: the built-in tiny one)",
    )  # fmt: skip
    group.add_argument(
        "--vae", type=Path, metavar="PATH", help="WAN VAE: file or diffusers folder (default: the built-in tiny one)"
    )
    group.add_argument("--bundle", type=Path, metavar="FILE", help="Track2View bundle (default: the built-in tiny one)")
    group.add_argument(
        "--prompt", default=Refilm.prompt, metavar="TEXT", help="caption of the clip, for a base with a text encoder"
    )
    group.add_argument(
        "--negative", dest="negative_prompt", default=Refilm.negative_prompt, metavar="TEXT",
        help="what the result should not show",
    )  # fmt: skip
    group.add_argument("--steps", type=int, metavar="N", help="sampling steps (default: the bundle's)")
    group.add_argument("--guidance", type=float, metavar="X", help="text guidance (default: the bundle's)")
    group.add_argument("--shift", type=float, metavar="X", help="flow shift (default: the bundle's)")
    group.add_argument("--seed", type=int, default=Refilm.seed, metavar="N", help="default: %(default)s")
    group.add_argument(
        "--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:1, mps (default: %(default)s)"
    )
    group.add_argument("--dtype", default="auto", choices=("auto", *DTYPES), help="default: %(default)s")


# plan, path, convert, convert-model


def _add_plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base", default="1.3B", metavar="NAME", help="1.3B, 14B or tiny (default: %(default)s)")
    parser.add_argument("--bundle", type=Path, metavar="FILE", help="a Track2View bundle, which knows its base")
    parser.add_argument("--frames", type=int, metavar="N", help="4n + 1 (default: what the base is meant for)")
    parser.add_argument("--size", type=_size, metavar="WxH", help="multiples of 16 (default: as above)")
    parser.add_argument("--window", type=int, metavar="N", help="frames that are denoised at once (default: as above)")
    parser.add_argument("--steps", type=int, metavar="N", help="sampling steps (default: as above)")
    parser.add_argument(
        "--points", dest="tracks", type=int, default=1024, metavar="N", help="tracks (default: %(default)s)"
    )
    parser.add_argument(
        "--dtype", default="bf16", choices=("fp32", "bf16", "fp16", "fp8"), help="of the weights (default: %(default)s)"
    )
    parser.add_argument(
        "--route", default="native", choices=("native", "diffusers"),
        help="native: ComfyUI's own MODEL; diffusers: this command line (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--offload", action="store_true", help="keep the weights in host memory (native route)")
    parser.add_argument("--memory", type=float, metavar="GIB", help="free memory of the card (default: this one's)")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print the plan as JSON")


def _add_path(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="path_verb", required=True, metavar="VERB", parser_class=_OneSentenceParser)
    verbs.add_parser("formats", help="list the camera formats and what each holds")
    convert = verbs.add_parser("convert", help="convert a camera file to another format")
    convert.add_argument("input", type=Path, metavar="IN", help="the camera file, or a COLMAP folder")
    convert.add_argument("output", type=Path, metavar="OUT", help="the file to write, or a folder for COLMAP")
    convert.add_argument("--from", dest="read_as", metavar="FORMAT", help="IN's format (default: told from the file)")
    convert.add_argument("--to", dest="write_as", metavar="FORMAT", help="OUT's format (default: told from its name)")
    convert.add_argument(
        "--camera-name", "--camera", dest="camera", metavar="NAME", help="which camera of a file that holds several"
    )
    group = convert.add_argument_group("what IN may not hold")
    group.add_argument("--width", type=int, metavar="PX", help="width of the images")
    group.add_argument("--height", type=int, metavar="PX", help="height of the images")
    group.add_argument(
        "--fov",
        dest="fov_degrees",
        type=float,
        metavar="DEGREES",
        help="horizontal field of view, instead of IN's lens",
    )
    group.add_argument("--fps", type=float, metavar="N", help="frames a second, instead of IN's")
    _add_doubtful(group)
    convert.add_argument("--frames", type=int, metavar="N", help="resample the move to N frames in the same time")


def _add_convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "input", type=Path, metavar="IN", help="a LoRA (.safetensors, or peft's folder) or a Track2View bundle"
    )
    parser.add_argument("output", type=Path, metavar="OUT", help="the .safetensors to write; a bundle stays a bundle")
    parser.add_argument("--lora-only", action="store_true", help="write only the LoRA, for stock LoRA loaders")


def _add_convert_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", choices=("neoverse",), help="whose files they are")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the folder with the shards and their index.json")
    parser.add_argument(
        "output", type=Path, metavar="OUT",
        help="the .safetensors to write, in ComfyUI's models/diffusion_models; a small one is written beside it",
    )  # fmt: skip


# curate


def _add_curate(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="source", required=True, metavar="SOURCE", parser_class=type(parser))
    render = kinds.add_parser("render", help="scenes that this project renders: exact tracks, any number of pairs")
    _add_output(render)
    _add_scenes(render)
    _add_encoder(render)
    encode = kinds.add_parser("encode", help="a data set with kept frames again, by another VAE or at a smaller size")
    _add_input(encode, "a data set made with --keep-frames")
    _add_output(encode)
    encode.add_argument("--size", type=_size, metavar="WxH", help="of the clips (default: as they are)")
    _add_encoder(encode)
    many = kinds.add_parser("multicamvideo", help="MultiCamVideo's scenes of ten synced cameras")
    _add_input(many, "the data set's folder, or one in it")
    _add_output(many)
    many.add_argument(
        "--fov",
        dest="fov_degrees",
        type=float,
        metavar="DEGREES",
        help="instead of the lens that the folder's name states",
    )
    _add_pairs(many)
    _add_encoder(many)
    synced = kinds.add_parser("synced", help="a folder a scene: synced clips that share frame 0, with their cameras")
    _add_input(synced, "the folder of scenes: SCENE/cam01.mp4 beside cam01.json or cameras.json")
    _add_output(synced)
    synced.add_argument(
        "--cameras",
        dest="camera_format",
        metavar="FORMAT",
        help="see `track2view path formats` (default: told from the file)",
    )
    synced.add_argument(
        "--fov", dest="fov_degrees", type=float, metavar="DEGREES", help="horizontal, where the cameras hold no lens"
    )
    _add_pairs(synced)
    _add_encoder(synced)
    single = kinds.add_parser("realcamvid", help="RealCam-Vid's single clips: identity pairs, for validation alone")
    _add_input(single, "the .npz list")
    _add_output(single)
    single.add_argument(
        "--videos", type=Path, metavar="DIR", help="what the list's paths start at (default: its folder)"
    )
    _add_pairs(single)
    _add_encoder(single)


def _add_pairs(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("pairs")
    number = {"type": int, "metavar": "N"}
    group.add_argument(
        "--size", type=_size, default=(832, 480), metavar="WxH", help="cut from the middle (default: 832x480)"
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


def _add_input(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("input", type=Path, metavar="IN", help=what)


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "output", type=Path, metavar="OUT", help="the data set's folder; an unfinished one is gone on with"
    )


def _add_scenes(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("scenes")
    number = {"type": int, "metavar": "N"}
    group.add_argument("--shards", default=8, **number, help="default: %(default)s; more may be added later")
    group.add_argument("--scenes", default=8, **number, help="a shard (default: %(default)s)")
    group.add_argument("--cameras", default=4, **number, help="a scene; all share frame 0 (default: %(default)s)")
    group.add_argument("--frames", default=17, **number, help="4n + 1 (default: %(default)s)")
    group.add_argument("--size", type=_size, default=(128, 128), metavar="WxH", help="default: 128x128")
    group.add_argument("--points", dest="tracks", default=384, **number, help="tracks a camera (default: %(default)s)")
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


# train


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the run's .toml; see configs/")
    parser.add_argument("--resume", action="store_true", help="go on with the run that the config's folder holds")
    parser.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="replace a field, such as run.steps=100",
    )
    parser.add_argument(
        "--export", type=Path, metavar="FILE", help="only write what the newest checkpoint holds, without training"
    )


# evaluate and manifest


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="folders with a run.json, one a method; or, with --join, the"
        " scores.json of earlier evaluations"
    )  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: RUN/evaluation)")
    parser.add_argument("--join", action="store_true", help="put earlier scores of one protocol into one table")
    parser.add_argument("--overwrite", action="store_true", help="write over files that no evaluation wrote")
    parser.add_argument(
        "--estimator", choices=("files", "klt", "photometric"), help="where the generated clips' cameras come from:"
        " estimated_camera of run.json, the built-in tracker, or a fit against rendered scenes (default: files or"
        " photometric where every clip of every run has what it needs, else klt)"
    )  # fmt: skip
    models = parser.add_argument_group("weights, from files of yours; what is not named is reported as missing")
    models.add_argument("--clip", type=Path, metavar="DIR", help="CLIP in transformers' layout: CLIP-T, CLIP-F, CLIP-V")
    models.add_argument("--inception", type=Path, metavar="FILE", help="pt_inception-2015-12-05-6726825d.pth: FID")
    models.add_argument("--lpips", type=Path, metavar="DIR", help="a backbone and the linear weights: LPIPS")
    models.add_argument(
        "--matcher", default="sift", metavar="DIR", help="LightGlue, SuperGlue or EfficientLoFTR in transformers'"
        " layout, or sift, or none: Mat.Pix. (default: %(default)s)"
    )  # fmt: skip
    models.add_argument(
        "--match-threshold", dest="threshold", type=float, metavar="X",
        help="least confidence of a match (default: 0.2), or SIFT's largest ratio (default: 0.8)",
    )  # fmt: skip
    models.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, mps (default: %(default)s)")
    sure = parser.add_argument_group("intervals of the means over clips, 95 %")
    sure.add_argument("--interval", default="bootstrap", choices=("bootstrap", "t"), help="default: %(default)s")
    sure.add_argument("--seed", type=int, default=0, metavar="N", help="of the bootstrap (default: %(default)s)")


def _add_manifest(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="manifest_verb", required=True, metavar="VERB", parser_class=_OneSentenceParser)
    folders = verbs.add_parser("folders", help="from folders whose files have equal names but for their endings")
    _add_run(folders)
    folders.add_argument("--generated", type=Path, required=True, metavar="DIR", help="the generated clips")
    for role, told in (
        ("source", "the source clips"),
        ("target", "the true target views, where there are any"),
        ("prompt", "texts, one a clip"),
        ("reference-camera", "the camera paths that were asked for, in any format of `track2view path formats`"),
        ("source-camera", "the source clips' cameras"),
        ("estimated-camera", "cameras that another program read off the generated clips"),
    ):
        folders.add_argument(f"--{role}", type=Path, metavar="DIR", help=told)
    folders.add_argument(
        "--protocol", dest="facts", action="append", default=[], metavar="NAME=TEXT",
        help='what must be equal for methods to share a table, such as data="my 20 clips"; may be repeated',
    )  # fmt: skip
    split = verbs.add_parser("realcam-vid", help="RealCam-Vid's test split: draws clips, writes cameras to film along")
    _add_run(split)
    split.add_argument("list", type=Path, metavar="NPZ", help="RealCam-Vid_test.npz")
    split.add_argument("--videos", type=Path, required=True, metavar="DIR", help="the data set's root folder")
    split.add_argument(
        "--static", type=int, default=200, metavar="N", help="RealEstate10K clips (default: %(default)s)"
    )
    split.add_argument("--dynamic", type=int, default=200, metavar="N", help="MiraData clips (default: %(default)s)")
    split.add_argument("--seed", type=int, default=0, metavar="N", help="of the draw (default: %(default)s)")
    split.add_argument(
        "--trajectory", default="moves", choices=("moves", "exchanged"), help="ten named moves, or the path of another"
        " drawn clip (default: %(default)s)"
    )  # fmt: skip


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="RUN", help="the folder to write run.json into")
    parser.add_argument("--frames", type=int, required=True, metavar="N", help="frames that are scored, such as 81")
    parser.add_argument("--method", required=True, metavar="NAME", help="as the tables call it")
    parser.add_argument("--overwrite", action="store_true", help="replace a run.json that is there")
