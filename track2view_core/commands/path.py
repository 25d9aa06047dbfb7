"""`track2view path convert IN OUT` and `track2view path formats`: camera files of other programs."""

from __future__ import annotations

import argparse

from ..cameras import CameraPath
from ..cameras.formats import FORMATS, PathFormat, read_path, write_path
from ..errors import Track2ViewError
from .console import say


def run(arguments: argparse.Namespace) -> None:
    {"convert": convert, "formats": list_formats}[arguments.path_verb](arguments)


def convert(arguments: argparse.Namespace) -> None:
    if arguments.output.exists() and arguments.input.exists() and arguments.output.samefile(arguments.input):
        raise Track2ViewError(f"The path would be written over its own file {arguments.input}; give OUT another name.")
    path = read_path(
        arguments.input, width=arguments.width, height=arguments.height, format=arguments.read_as,
        fov_degrees=arguments.fov, fps=arguments.fps, camera=arguments.camera,
    )  # fmt: skip
    say("read", f"{arguments.input}: {described(path)}")
    if arguments.frames is not None:
        path = path.resampled(arguments.frames)
        say("frames", f"resampled to {described(path)}")
    write_path(path, arguments.output, format=arguments.write_as)
    say("wrote", str(arguments.output))


def described(path: CameraPath) -> str:
    count = "1 frame" if len(path) == 1 else f"{len(path)} frames"
    return f"{count} of {path.width} x {path.height}, {path.fps:g} a second"


def list_formats(arguments: argparse.Namespace) -> None:
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
