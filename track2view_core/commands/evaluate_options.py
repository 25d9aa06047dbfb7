"""The options of `track2view evaluate` and `track2view manifest`, without torch."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_evaluate(parser: argparse.ArgumentParser) -> None:
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
        "--match-threshold", type=float, metavar="X", help="least confidence of a match (default: 0.2), or SIFT's"
        " largest ratio (default: 0.8)"
    )  # fmt: skip
    models.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, mps (default: %(default)s)")
    sure = parser.add_argument_group("intervals of the means over clips, 95 %")
    sure.add_argument("--interval", default="bootstrap", choices=("bootstrap", "t"), help="default: %(default)s")
    sure.add_argument("--seed", type=int, default=0, metavar="N", help="of the bootstrap (default: %(default)s)")


def add_manifest(parser: argparse.ArgumentParser, parser_class: type[argparse.ArgumentParser]) -> None:
    verbs = parser.add_subparsers(dest="manifest_verb", required=True, metavar="VERB", parser_class=parser_class)
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
        "--protocol", action="append", default=[], metavar="NAME=TEXT", help="what must be equal for methods to share a"
        " table, such as data=\"my 20 clips\"; may be repeated"
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
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder to write run.json into")
    parser.add_argument("--frames", type=int, required=True, metavar="N", help="frames that are scored, such as 81")
    parser.add_argument("--method", required=True, metavar="NAME", help="as the tables call it")
    parser.add_argument("--overwrite", action="store_true", help="replace a run.json that is there")
