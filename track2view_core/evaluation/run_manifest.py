"""A run: a folder of one method's results, and `run.json`, which says what each clip is to be scored against.

Paths in it are relative to its folder. docs/EVALUATION.md has every field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..cameras.formats.parsing import mapping, number, whole
from ..cameras.formats.path_format import json_text
from ..cameras.formats.reading_and_writing import write_whole
from ..errors import Track2ViewError

MANIFEST = "run.json"
FORMAT, VERSION = "track2view-run", 1
VIDEO_ENDINGS = (".mp4", ".mov", ".mkv", ".webm", ".avi")


@dataclass(frozen=True)
class CameraFile:
    """A camera path in any format that `track2view path formats` lists."""

    file: str
    format: str | None = None  # told from the file where it is left out
    camera: str | None = None  # of a file that holds several


@dataclass(frozen=True)
class RenderedScene:
    """A scene of the project's renderer, which the photometric camera fit needs; camera files are in its world."""

    seed: int
    texture: str = "smooth"
    dynamic: float = 0.6


@dataclass(frozen=True)
class RunClip:
    """One generated clip and what is known of it; what is not known leaves its scores missing."""

    name: str
    generated: str
    source: str | None = None
    target: str | None = None  # the true target view, where there is one
    prompt: str | None = None
    reference_camera: CameraFile | None = None  # the path that was asked for
    source_camera: CameraFile | None = None  # what a copied source would score
    estimated_camera: CameraFile | None = None  # read off the generated clip by another program
    scene: RenderedScene | None = None
    group: str | None = None  # such as static, dynamic: means are given for each, too


@dataclass(frozen=True)
class Run:
    folder: Path
    method: str
    frames: int
    clips: tuple[RunClip, ...]
    protocol: Mapping[str, str] = field(default_factory=dict)
    """Whatever must be the same for two methods to be compared: data set, split, trajectories, ..."""

    def file(self, relative: str) -> Path:
        return self.folder / relative


def read_run(place: Path | str) -> Run:
    """The run of a folder with a `run.json`, or of that file.

    Raises:
        Track2ViewError: a field that is missing, unknown or of the wrong kind, by its name and clip.
    """
    place = Path(place)
    file = place / MANIFEST if place.is_dir() else place
    if not file.is_file():
        raise Track2ViewError(f"There is no {MANIFEST} in {place}; write one with `track2view manifest folders`.")
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Track2ViewError(f"{file} is no JSON ({str(error)[:80]}); write it again.") from error
    told = mapping(document, str(file))
    if told.get("format") != FORMAT or told.get("version") != VERSION:
        raise Track2ViewError(
            f"{file} has format {str(told.get('format'))[:40]!r} version {str(told.get('version'))[:10]}; "
            f"it must be {FORMAT!r} version {VERSION}."
        )
    _only(told, ("format", "version", "method", "frames", "clips", "protocol"), str(file))
    listed = told.get("clips")
    if not isinstance(listed, list) or not listed:
        raise Track2ViewError(f"{file} lists no clips; give clips as a list with one entry or more.")
    clips = tuple(_clip(entry, f"{file}, clip {place}") for place, entry in enumerate(listed))
    _refuse_twins(clips, file)
    protocol = mapping(told.get("protocol", {}), f"{file}, protocol,")
    return Run(
        folder=file.parent,
        method=_text(told.get("method"), f"{file}, method,"),
        frames=whole(told.get("frames"), f"{file}, frames,"),
        clips=clips,
        protocol={str(name): _text(value, f"{file}, protocol, {name},") for name, value in protocol.items()},
    )


def write_run(run: Run) -> Path:
    """Write the run's `run.json`, whole or not at all, and return its path."""
    clips = [{name: value for name, value in asdict(clip).items() if value is not None} for clip in run.clips]
    for clip in clips:
        for name in ("reference_camera", "source_camera", "estimated_camera"):
            if name in clip:
                only = {key: value for key, value in clip[name].items() if value is not None}
                clip[name] = only["file"] if set(only) == {"file"} else only
    document = {
        "format": FORMAT, "version": VERSION, "method": run.method, "frames": run.frames,
        "protocol": dict(run.protocol), "clips": clips,
    }  # fmt: skip
    file = run.folder / MANIFEST
    write_whole(json_text(document), file)
    return file


def run_of_folders(
    folder: Path,
    *,
    method: str,
    frames: int,
    generated: Path,
    others: Mapping[str, Path],  # source, target, prompt, reference_camera, source_camera, estimated_camera
    protocol: Mapping[str, str] | None = None,
) -> Run:
    """A run of folders whose files have equal names but for their endings; every generated clip needs all of them.

    Beside a clip of `track2view rerender`, its NAME_source_camera.json and NAME_target_camera.json are found as well.
    """
    for role, place in {"generated": generated, **others}.items():
        if not place.is_dir():
            raise Track2ViewError(f"The folder of {role}, {place}, does not exist; name a folder.")
    side = ("_side_by_side", "_source_camera", "_target_camera")
    found = sorted(file for file in generated.iterdir() if file.suffix.lower() in VIDEO_ENDINGS)
    found = [file for file in found if not file.stem.endswith(side)]
    if not found:
        raise Track2ViewError(f"The folder {generated} holds no clip ({', '.join(VIDEO_ENDINGS)}); name another.")
    clips = []
    for file in found:
        roles: dict[str, Any] = {role: _equal_name(place, file.stem, role) for role, place in others.items()}
        for role, ending in (("source_camera", "_source_camera.json"), ("reference_camera", "_target_camera.json")):
            beside = file.with_name(file.stem + ending)
            if role not in roles and beside.is_file():
                roles[role] = beside
        if "prompt" in roles:
            roles["prompt"] = roles["prompt"].read_text(encoding="utf-8").strip()
        for role, value in roles.items():
            if role.endswith("_camera"):
                roles[role] = CameraFile(relative_place(value, folder))
            elif role != "prompt":
                roles[role] = relative_place(value, folder)
        clips.append(RunClip(name=file.stem, generated=relative_place(file, folder), **roles))
    return Run(folder, method, frames, tuple(clips), protocol or {})


def _equal_name(place: Path, stem: str, role: str) -> Path:
    found = [file for file in place.iterdir() if (file.stem if file.is_file() else file.name) == stem]
    if len(found) != 1:
        raise Track2ViewError(
            f"The folder of {role}, {place}, holds {len(found) or 'no'} files named {stem!r}; each clip needs "
            "one of its own name there."
        )
    return found[0]


def relative_place(file: Path, folder: Path) -> str:
    """A file as run.json names it: relative to the run's folder, with /, on every system."""
    file, folder = file.resolve(), folder.resolve()
    try:
        return file.relative_to(folder, walk_up=True).as_posix()  # type: ignore[call-arg]
    except (TypeError, ValueError):  # Python 3.11 does not walk up; another drive cannot be reached by walking
        return _walked_up(file, folder)


def _walked_up(file: Path, folder: Path) -> str:
    shared = 0
    for own, other in zip(file.parts, folder.parts, strict=False):
        if own != other:
            break
        shared += 1
    if not shared:
        return file.as_posix()
    return Path(*[".."] * (len(folder.parts) - shared), *file.parts[shared:]).as_posix()


def _clip(entry: object, where: str) -> RunClip:
    told = dict(mapping(entry, where))
    _only(told, tuple(known.name for known in fields(RunClip)), where)
    for required in ("name", "generated"):
        if required not in told:
            raise Track2ViewError(
                f"{where} lacks the field {required!r}; every clip needs a name and a generated file."
            )
    values: dict[str, Any] = {}
    for name, value in told.items():
        if value is None:
            continue
        if name.endswith("_camera"):
            values[name] = _camera(value, f"{where}, {name},")
        elif name == "scene":
            values[name] = _scene(value, f"{where}, scene,")
        else:
            values[name] = _text(value, f"{where}, {name},")
    return RunClip(**values)


def _camera(value: object, where: str) -> CameraFile:
    if isinstance(value, str):
        return CameraFile(_text(value, where))
    told = mapping(value, where)
    _only(told, ("file", "format", "camera"), where)
    return CameraFile(**{name: _text(part, f"{where} {name},") for name, part in {"file": None, **told}.items()})


def _scene(value: object, where: str) -> RenderedScene:
    told = mapping(value, where)
    _only(told, ("seed", "texture", "dynamic"), where)
    texture = told.get("texture", RenderedScene.texture)
    if texture not in ("smooth", "detailed"):
        raise Track2ViewError(f"{where} has texture {str(texture)[:40]!r}; it must be smooth or detailed.")
    seed = number(told.get("seed"), f"{where} seed,")
    return RenderedScene(int(seed), texture, number(told.get("dynamic", RenderedScene.dynamic), f"{where} dynamic,"))


def _only(told: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    unknown = sorted(set(told) - set(known))
    if unknown:
        raise Track2ViewError(f"{where} has the unknown field {unknown[0][:40]!r}; known are {', '.join(known)}.")


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Track2ViewError(f"{where} is {str(value)[:40]!r}; it must be a text that is not empty.")
    return value


def _refuse_twins(clips: Sequence[RunClip], file: Path) -> None:
    names = [clip.name for clip in clips]
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise Track2ViewError(f"{file} names two clips {twins[0][:40]!r}; give every clip a name of its own.")
