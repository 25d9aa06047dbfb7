"""`track2view path convert IN OUT` and `track2view path formats`: camera files of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..cameras import CameraPath
from ..cameras.formats import FORMATS, PathFormat, read_camera, write_path
from ..errors import Track2ViewError
from ..notes import report_lines
from .console import say
from .door import PATH


def run(*, path_verb: str, **chosen: Any) -> None:
    {"convert": convert, "formats": list_formats}[path_verb](**chosen)


def convert(
    *, input: Path, output: Path, read_as: str | None, write_as: str | None, frames: int | None, **missing: Any
) -> None:
    """`missing` are arguments of `read_camera`: what IN may not hold."""
    if output.exists() and input.exists() and output.samefile(input):
        raise Track2ViewError(f"The path would be written over its own file {input}; give OUT another name.")
    given = {name: value for name, value in missing.items() if value is not None}
    path, notes = read_camera(input, format=read_as, **given)
    say("read", f"{input}: {described(path)}", *report_lines(notes, PATH))
    if frames is not None:
        path = path.resampled(frames)
        say("frames", f"resampled to {described(path)}")
    write_path(path, output, format=write_as)
    say("wrote", str(output))


def described(path: CameraPath) -> str:
    count = "1 frame" if len(path) == 1 else f"{len(path)} frames"
    return f"{count} of {path.width} x {path.height}, {path.fps:g} a second"


def list_formats() -> None:
    width = max(map(len, FORMATS))
    for told in FORMATS.values():
        print(f"{told.name:{width}}  {told.description}")
        print(f"{'':{width}}  {facts(told)}")


def facts(told: PathFormat) -> str:
    """Ending, direction and what the format holds, in one line."""
    ending = " ".join(told.endings) or "a folder"
    direction = "read and write" if told.write is not None else "read only"
    lens = {"none": None, "fov": "field of view", "focal": "focal length and centre"}.get(told.lens, "lens")
    holds = ["poses", lens, "size" if told.size else None, "fps" if told.fps else None]
    return f"{ending}; {direction}; holds {', '.join(filter(None, holds))}"
