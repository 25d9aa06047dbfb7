"""The command line: `track2view <verb>`. Parses, calls one function a verb, and turns errors into one sentence."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from .errors import Track2ViewError

EXIT_MISTAKE = 2
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code: 0 done, 2 something the user can mend, 130 interrupted."""
    arguments = build_parser().parse_args(argv)
    try:
        # Verbs are imported on use: --help and a mistyped option answer without loading torch.
        verb = importlib.import_module(f".commands.{arguments.verb}", package=__package__)
        verb.run(arguments)
    except Track2ViewError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(_said_by_the_system(error))
    except KeyboardInterrupt as stop:  # a verb that leaves something behind says what
        return _fail(str(stop) or "Interrupted; nothing was written.", EXIT_INTERRUPTED)
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        return _fail("The memory did not suffice; lower --size, --frames or --points, or choose another --device.")
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The parser of all verbs. Defaults that a bundle or the core knows better are None here."""
    parser = _OneSentenceParser(prog="track2view", description="Re-film a video along a new camera path.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=_OneSentenceParser)
    demo = verbs.add_parser("demo", help="re-render the built-in sample clip: no file, no download, about a minute")
    demo.add_argument("--out", type=Path, default=Path("track2view_demo"), metavar="DIR", help="default: %(default)s")
    _add_move(demo, preset="orbit_left", amount=0.5)
    _add_model(demo)
    rerender = verbs.add_parser("rerender", help="re-render a video file along a preset camera move")
    rerender.add_argument("input", type=Path, metavar="IN", help="the video to re-film")
    rerender.add_argument("output", type=Path, metavar="OUT", help="the .mp4 to write; pictures are written beside it")
    _add_clip(rerender)
    _add_move(rerender, preset="orbit_left", amount=0.3)
    _add_camera_file(rerender)
    _add_tracking(rerender)
    _add_model(rerender)
    verbs.add_parser("presets", help="list the preset camera moves and what amount 1.0 means for each")
    _add_plan(verbs.add_parser("plan", help="what a generation takes: memory by stage, what fits, and the time"))
    _add_path(verbs.add_parser("path", help="convert camera files of other programs, or list their formats"))
    _add_convert(verbs.add_parser("convert", help="write a LoRA of any layout, or a bundle's, in the one used here"))
    _add_curate(verbs.add_parser("curate", help="make a data set of pairs for training"))
    _add_train(verbs.add_parser("train", help="train a VAE, a base, or LoRA and conditioner from one config"))
    _add_evaluate(verbs.add_parser("evaluate", help="score results: a table, with intervals, of one or more methods"))
    _add_manifest(verbs.add_parser("manifest", help="write the run.json that `evaluate` scores by"))
    return parser


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    from .commands.evaluate_options import add_evaluate

    add_evaluate(parser)


def _add_manifest(parser: argparse.ArgumentParser) -> None:
    from .commands.evaluate_options import add_manifest

    add_manifest(parser, _OneSentenceParser)


def _add_train(parser: argparse.ArgumentParser) -> None:
    from .commands.train_options import add_train

    add_train(parser)


def _add_curate(parser: argparse.ArgumentParser) -> None:
    from .commands.curate_options import add_curate

    add_curate(parser, _size)


def _add_plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base", default="1.3B", metavar="NAME", help="1.3B, 14B or tiny (default: %(default)s)")
    parser.add_argument("--bundle", type=Path, metavar="FILE", help="a Track2View bundle, which knows its base")
    parser.add_argument("--frames", type=int, metavar="N", help="4n + 1 (default: what the base is meant for)")
    parser.add_argument("--size", type=_size, metavar="WxH", help="multiples of 16 (default: as above)")
    parser.add_argument("--window", type=int, metavar="N", help="frames that are denoised at once (default: as above)")
    parser.add_argument("--steps", type=int, metavar="N", help="sampling steps (default: as above)")
    parser.add_argument("--points", type=int, default=1024, metavar="N", help="tracks (default: %(default)s)")
    parser.add_argument(
        "--dtype", default="bf16", choices=("fp32", "bf16", "fp16", "fp8"), help="of the weights (default: %(default)s)"
    )
    parser.add_argument(
        "--route", default="native", choices=("native", "diffusers"),
        help="native: ComfyUI's own MODEL; diffusers: this command line (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--offload", action="store_true", help="keep the weights in host memory (native route)")
    parser.add_argument("--memory", type=float, metavar="GIB", help="free memory of the card (default: this one's)")
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")


def _add_convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "input", type=Path, metavar="IN", help="a LoRA (.safetensors, or peft's folder) or a Track2View bundle"
    )
    parser.add_argument("output", type=Path, metavar="OUT", help="the .safetensors to write; a bundle stays a bundle")
    parser.add_argument(
        "--lora-only", action="store_true", help="write only the LoRA, for stock LoRA loaders"
    )  # fmt: skip


def _add_clip(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("clip")
    group.add_argument("--frames", type=int, metavar="N", help="only the clip's first N frames (default: all)")
    group.add_argument(
        "--size", type=_size, metavar="WxH", help="size the model works at, turned for a portrait clip"
        " (default: the bundle's); the result has the clip's own size"
    )  # fmt: skip


class _GivenMove(argparse.Action):
    """Stores the value and notes in `given_move` that the option was asked for: a camera file stands instead of it."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        setattr(namespace, self.dest, values)
        namespace.given_move = (*namespace.given_move, option)


def _add_move(parser: argparse.ArgumentParser, *, preset: str, amount: float) -> None:
    group = parser.add_argument_group("camera move")
    parser.set_defaults(given_move=())
    group.add_argument(
        "--preset",
        default=preset,
        metavar="NAME",
        action=_GivenMove,
        help="see `track2view presets` (default: %(default)s)",
    )
    group.add_argument(
        "--amount", type=float, default=amount, metavar="X", action=_GivenMove,
        help="1.0 is the nominal move (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--ease",
        default="smooth",
        metavar="NAME",
        action=_GivenMove,
        help="linear, smooth, ease_in or ease_out (default: %(default)s)",
    )
    group.add_argument(
        "--relative-to", default="source", choices=("source", "first_frame"),
        help="ride on the clip's own moving camera, or start from its held first pose (default: %(default)s)",
    )  # fmt: skip


def _add_camera_file(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("camera move of a file, instead of a preset")
    group.add_argument(
        "--camera", type=Path, metavar="FILE",
        help="a camera path of any format of `track2view path formats`: its move from its own first frame is made",
    )  # fmt: skip
    group.add_argument(
        "--camera-distance", type=float, metavar="X",
        help="the subject's distance in FILE's units (default: FILE is in the units of the tracks)",
    )  # fmt: skip


def _add_tracking(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("tracking")
    group.add_argument(
        "--tracker", default="klt", choices=("klt", "spatial_tracker_v2"),
        help="the built-in one, or your own install of SpatialTrackerV2, see docs/TRACKERS.md (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--profile", metavar="NAME", help="which install of SpatialTrackerV2 (default: the only one)"
    )  # fmt: skip
    group.add_argument(
        "--variant", choices=("offline", "online"), help="of SpatialTrackerV2 (default: offline)"
    )  # fmt: skip
    group.add_argument("--points", type=int, default=1024, metavar="N", help="points to track (default: %(default)s)")
    group.add_argument(
        "--motion", default="auto", choices=("auto", "static", "rotation", "general"),
        help="how the clip's own camera moves (default: found out from the clip)",
    )  # fmt: skip
    group.add_argument("--fov", type=float, metavar="DEGREES", help="horizontal field of view (default: estimated)")
    group.add_argument(
        "--tracks", type=Path, metavar="FILE", help="3D tracks of this clip (.npz or .safetensors) instead of tracking"
    )
    group.add_argument("--save-tracks", type=Path, metavar="FILE", help="write the 3D tracks (.npz or .safetensors)")


def _add_model(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model",
        type=Path,
        metavar="PATH",
        help="WAN transformer: file or diffusers folder (default: the built-in tiny one)",
    )
    group.add_argument(
        "--vae", type=Path, metavar="PATH", help="WAN VAE: file or diffusers folder (default: the built-in tiny one)"
    )
    group.add_argument("--bundle", type=Path, metavar="FILE", help="Track2View bundle (default: the built-in tiny one)")
    group.add_argument(
        "--prompt", default="", metavar="TEXT", help="caption of the clip, for a base with a text encoder"
    )
    group.add_argument("--negative", default="", metavar="TEXT", help="what the result should not show")
    group.add_argument("--steps", type=int, metavar="N", help="sampling steps (default: the bundle's)")
    group.add_argument("--guidance", type=float, metavar="X", help="text guidance (default: the bundle's)")
    group.add_argument("--shift", type=float, metavar="X", help="flow shift (default: the bundle's)")
    group.add_argument("--seed", type=int, default=0, metavar="N", help="default: %(default)s")
    group.add_argument(
        "--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:1, mps (default: %(default)s)"
    )
    group.add_argument(
        "--dtype", default="auto", choices=("auto", "float32", "bfloat16", "float16"), help="default: %(default)s"
    )  # fmt: skip


def _add_path(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="path_verb", required=True, metavar="VERB", parser_class=_OneSentenceParser)
    verbs.add_parser("formats", help="list the camera formats and what each holds")
    convert = verbs.add_parser("convert", help="convert a camera file to another format")
    convert.add_argument("input", type=Path, metavar="IN", help="the camera file, or a COLMAP folder")
    convert.add_argument("output", type=Path, metavar="OUT", help="the file to write, or a folder for COLMAP")
    convert.add_argument("--from", dest="read_as", metavar="FORMAT", help="IN's format (default: told from the file)")
    convert.add_argument("--to", dest="write_as", metavar="FORMAT", help="OUT's format (default: told from its name)")
    convert.add_argument("--camera", metavar="NAME", help="which camera of a file that holds several")
    group = convert.add_argument_group("what IN may not hold")
    group.add_argument("--width", type=int, metavar="PX", help="width of the images")
    group.add_argument("--height", type=int, metavar="PX", help="height of the images")
    group.add_argument("--fov", type=float, metavar="DEGREES", help="horizontal field of view, instead of IN's lens")
    group.add_argument("--fps", type=float, metavar="N", help="frames a second, instead of IN's")
    convert.add_argument("--frames", type=int, metavar="N", help="resample the move to N frames in the same time")


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} came; give WIDTHxHEIGHT such as 832x480")
    return int(width), int(height)


class _OneSentenceParser(argparse.ArgumentParser):
    """argparse without the usage dump in front of its message."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_MISTAKE, f"{self.prog}: {message}; see {self.prog} --help.\n")


def _fail(sentence: str, code: int = EXIT_MISTAKE) -> int:
    print(f"track2view: {sentence.rstrip('.')}.", file=sys.stderr)
    return code


def _said_by_the_system(error: OSError) -> str:
    where = f"{os.fspath(error.filename)}: " if isinstance(error.filename, str | os.PathLike) else ""
    return f"{where}{error.strerror or error}."


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def entry() -> NoReturn:
    """The console script: a termination request cleans up as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    raise SystemExit(main())


if __name__ == "__main__":
    entry()
