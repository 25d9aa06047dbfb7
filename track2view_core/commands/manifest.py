"""`track2view manifest`: run.json from folders, or of RealCam-Vid's test split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import Track2ViewError
from ..evaluation.realcam_split import prepare_split
from ..evaluation.run_manifest import MANIFEST, run_of_folders, write_run
from .console import progress_bars, say

ROLES = ("source", "target", "prompt", "reference_camera", "source_camera", "estimated_camera")


def run(*, manifest_verb: str, folder: Path, frames: int, overwrite: bool, **chosen: Any) -> None:
    file = folder / MANIFEST
    if file.exists() and not overwrite:
        raise Track2ViewError(f"There is a {file} already; add --overwrite to replace it, or name another folder.")
    if frames < 1:
        raise Track2ViewError(f"--frames is {frames}; give 1 or more, such as 81.")
    {"folders": folders, "realcam-vid": realcam_vid}[manifest_verb](folder=folder, frames=frames, **chosen)


def folders(
    *, folder: Path, frames: int, method: str, generated: Path, facts: list[str], **places: Path | None
) -> None:
    """`places` are the folders of the other `ROLES`, None where there is none."""
    others = {role: place for role in ROLES if (place := places[role]) is not None}
    protocol = {}
    for told in facts:
        name, _, text = told.partition("=")
        if not name.strip() or not text.strip():
            raise Track2ViewError(f"--protocol is {told!r}; give NAME=TEXT, such as data=mine.")
        protocol[name.strip()] = text.strip()
    folder.mkdir(parents=True, exist_ok=True)
    run = run_of_folders(folder, method=method, frames=frames, generated=generated, others=others, protocol=protocol)
    say(
        "wrote",
        f"{write_run(run)}: {len(run.clips)} {'clip' if len(run.clips) == 1 else 'clips'} of {run.frames} frames",
    )
    first = run.clips[0]
    lacking = [role for role in ROLES if getattr(first, role) is None]
    if lacking:
        say("", f"without {', '.join(lacking)}: the scores that need them will be missing")


def realcam_vid(*, folder: Path, list: Path, videos: Path, static: int, dynamic: int, **chosen: Any) -> None:
    """`chosen` are arguments of `prepare_split`."""
    for option, value in (("--static", static), ("--dynamic", dynamic)):
        if value < 0:
            raise Track2ViewError(f"{option} is {value}; give 0 or more clips.")
    folder.mkdir(parents=True, exist_ok=True)
    with progress_bars() as progress:
        split = prepare_split(list, videos, folder, static=static, dynamic=dynamic, progress=progress, **chosen)
    say("protocol", *split.run.protocol.values())
    say("wrote", f"{folder / MANIFEST}: {len(split.run.clips)} clips; cameras/ has both paths of each")
    if split.passed_over:
        say("", f"{len(split.passed_over)} drawn clips could not be used and others took their place, such as:")
        say("", *[*split.passed_over.values()][:3])
    say("next", f"generate every clip along cameras/NAME_target.json into {folder / 'generated'}/NAME.mp4")
