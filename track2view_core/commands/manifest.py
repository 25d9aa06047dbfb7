"""`track2view manifest`: run.json from folders, or of RealCam-Vid's test split."""

from __future__ import annotations

import argparse

from ..errors import Track2ViewError
from ..evaluation.realcam_split import prepare_split
from ..evaluation.run_manifest import MANIFEST, run_of_folders, write_run
from .console import progress_bars, say

ROLES = ("source", "target", "prompt", "reference_camera", "source_camera", "estimated_camera")


def run(arguments: argparse.Namespace) -> None:
    file = arguments.run / MANIFEST
    if file.exists() and not arguments.overwrite:
        raise Track2ViewError(f"There is a {file} already; add --overwrite to replace it, or name another folder.")
    if arguments.frames < 1:
        raise Track2ViewError(f"--frames is {arguments.frames}; give 1 or more, such as 81.")
    {"folders": folders, "realcam-vid": realcam_vid}[arguments.manifest_verb](arguments)


def folders(arguments: argparse.Namespace) -> None:
    others = {role: place for role in ROLES if (place := getattr(arguments, role)) is not None}
    protocol = {}
    for told in arguments.protocol:
        name, _, text = told.partition("=")
        if not name.strip() or not text.strip():
            raise Track2ViewError(f"--protocol is {told!r}; give NAME=TEXT, such as data=mine.")
        protocol[name.strip()] = text.strip()
    arguments.run.mkdir(parents=True, exist_ok=True)
    run = run_of_folders(
        arguments.run, method=arguments.method, frames=arguments.frames, generated=arguments.generated, others=others,
        protocol=protocol,
    )  # fmt: skip
    say(
        "wrote",
        f"{write_run(run)}: {len(run.clips)} {'clip' if len(run.clips) == 1 else 'clips'} of {run.frames} frames",
    )
    first = run.clips[0]
    lacking = [role for role in ROLES if getattr(first, role) is None]
    if lacking:
        say("", f"without {', '.join(lacking)}: the scores that need them will be missing")


def realcam_vid(arguments: argparse.Namespace) -> None:
    for name in ("static", "dynamic"):
        if getattr(arguments, name) < 0:
            raise Track2ViewError(f"--{name} is {getattr(arguments, name)}; give 0 or more clips.")
    arguments.run.mkdir(parents=True, exist_ok=True)
    with progress_bars() as progress:
        split = prepare_split(
            arguments.list, arguments.videos, arguments.run,
            frames=arguments.frames, static=arguments.static, dynamic=arguments.dynamic, seed=arguments.seed,
            trajectory=arguments.trajectory, method=arguments.method, progress=progress,
        )  # fmt: skip
    say("protocol", *split.run.protocol.values())
    say("wrote", f"{arguments.run / MANIFEST}: {len(split.run.clips)} clips; cameras/ has both paths of each")
    if split.passed_over:
        say("", f"{len(split.passed_over)} drawn clips could not be used and others took their place, such as:")
        say("", *list(split.passed_over.values())[:3])
    say("next", f"generate every clip along cameras/NAME_target.json into {arguments.run / 'generated'}/NAME.mp4")
