"""Camera files in and out: every format by name, `read_path`, `write_path`, and a file's path for a clip."""

from __future__ import annotations

import difflib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import torch

from ...errors import Track2ViewError
from ...notes import Door, Note, Severity
from ..path import CameraPath
from . import (
    aftereffects,
    blender,
    chan,
    colmap,
    gltf,
    nerfstudio,
    nerfstudio_path,
    realcamvid,
    realestate10k,
    recammaster,
    track2view_json,
    tum,
)
from .frame_times import FASTEST, SLOWEST
from .parsing import READ_PATH, Source
from .path_format import QUATERNION_ORDERS, PathFormat, RecordedCamera, Wanted, complete
from .track2view_json import KEYFRAME_DOCUMENT, states_format

FORMATS: Mapping[str, PathFormat] = MappingProxyType(
    {
        told.name: told
        for told in (
            track2view_json.FORMAT,
            realestate10k.FORMAT,
            realcamvid.FORMAT,
            recammaster.FORMAT,
            colmap.FORMAT,
            nerfstudio.FORMAT,
            tum.TUM,
            tum.KITTI,
            blender.FORMAT,
            chan.FORMAT,
            aftereffects.FORMAT,
            gltf.FORMAT,
            nerfstudio_path.FORMAT,
        )
    }
)

OF_SIZE_AND_RATE = ("times_unit", "lens_in_shares", "lens_of_other_size")  # notes on what a movement is without
ANY_SIZE, ANY_LENS, ANY_RATE = (1920, 1080), 60.0, 25.0  # pixels, degrees, Hz: where only the movement is wanted


def read_path(
    file: str | Path,
    *,
    width: int | None = None,
    height: int | None = None,
    format: str | None = None,
    fov_degrees: float | None = None,
    fps: float | None = None,
    camera: str | None = None,
    missing_frames: str = "refuse",
    quaternion_order: str | None = None,
) -> CameraPath:
    """The camera path of a file of another program, in OpenCV axes and the file's own world and units.

    What the file does not hold must be given; what it does hold need not.

    Args:
        file: the file, or the folder of a format that is one.
        width, height: the image size in pixels. A file that states its own is resized to this one, which must have
            the same aspect.
        format: one of FORMATS; None tells it from the file's name and content.
        fov_degrees: the horizontal field of view of a centred lens, instead of the file's own lens.
        fps: frames a second, instead of the file's own. Rows of a file with uneven times then count as one frame each.
        camera: which camera of a file that holds several.
        missing_frames: what becomes of a file that lacks frames of its clip, one of MISSING_FRAMES.
        quaternion_order: "xyzw" or "wxyz", where programs differ in it (TUM); None: as the file's comments say, else
            the format's own.

    Raises:
        Track2ViewError: one sentence that names the file, the line or frame, and the likely cause; or the argument
            that is missing. Also where the reading is likely wrong, as the path has no place to say so:
            `read_camera` hands it out with a note.
    """
    with _told_of(Path(file)) as file:
        source = Source(file)
        recording = recorded(source, format, Wanted(camera, quaternion_order))
        refuse_doubtful(source, recording.notes)
        path, notes = complete(
            recording, source.name, width=width, height=height, fov_degrees=fov_degrees, fps=fps,
            missing_frames=missing_frames,
        )  # fmt: skip
        refuse_doubtful(source, notes)
    return path


def read_camera(
    file: str | Path,
    *,
    width: int | None = None,
    height: int | None = None,
    format: str | None = None,
    fov_degrees: float | None = None,
    fps: float | None = None,
    camera: str | None = None,
    missing_frames: str = "refuse",
    quaternion_order: str | None = None,
    door: Door = READ_PATH,
) -> tuple[CameraPath, tuple[Note, ...]]:
    """As `read_path`, with what is to be known of the path: what was filled in, taken for granted, or is doubtful.

    Args:
        door: how sentences name these arguments.

    Raises:
        Track2ViewError: as `read_path`, but for a doubtful reading.
    """
    with _told_of(Path(file)) as file:
        source = Source(file, door)
        recording = recorded(source, format, Wanted(camera, quaternion_order))
        return complete(
            recording, source.name, width=width, height=height, fov_degrees=fov_degrees, fps=fps,
            missing_frames=missing_frames, door=door,
        )  # fmt: skip


def recorded(source: Source, format: str | None, wanted: Wanted) -> RecordedCamera:
    """What the file holds, by itself.

    Raises:
        Track2ViewError: it is missing, of no or another format, damaged, or holds no such camera.
    """
    if not source.file.exists():
        raise Track2ViewError(f"The camera file {source.file} does not exist; check its name and folder.")
    chosen = _named(format) if format is not None else recognised(source)
    if source.file.is_dir() and not chosen.folder:
        raise Track2ViewError(f"The path {source.file} is a folder, and {chosen.title} is a file; name the file in it.")
    if wanted.camera is not None and not chosen.several:
        raise Track2ViewError(f"{chosen.title} holds one camera; {source.advice(camera='leave {} out')}.")
    order = wanted.quaternion_order
    if order is not None and order not in QUATERNION_ORDERS:
        raise Track2ViewError(f"quaternion_order is {order[:40]!r}; it must be one of {', '.join(QUATERNION_ORDERS)}.")
    if order is not None and not chosen.ordered:
        asked = source.advice(quaternion_order="leave {} out")
        raise Track2ViewError(f"{chosen.title} has no quaternions whose order could differ; {asked}.")
    return chosen.read(source, wanted)


def refuse_doubtful(source: Source, notes: Iterable[Note]) -> None:
    """Raise the first note that says that the path is likely wrong, where there is no place to show it."""
    for note in notes:
        if note.severity is Severity.WARNING:
            source.refuse(f"is likely read wrongly: {note.text(source.door)}.")


@contextmanager
def _told_of(file: Path) -> Iterator[Path]:
    """Errors of reading the file, each as one printable sentence."""
    try:
        yield file
    except Track2ViewError as error:
        if str(error).isprintable():
            raise
        # A name out of a damaged file may hold anything, line ends included.
        raise Track2ViewError("".join(sign if sign.isprintable() else "?" for sign in str(error))) from error
    except OSError as error:
        raise Track2ViewError(
            f"The camera file {file} cannot be read ({error.strerror or error}); check that it may be opened."
        ) from error
    except MemoryError as error:
        raise Track2ViewError(f"The camera file {file} is too large for this machine's memory.") from error


def recognised(source: Source) -> PathFormat:
    """The one format the file has by its ending and content; an ending that no format has leaves the content."""
    file = source.file
    ending = file.suffix.lower()
    if file.is_dir():
        asked = [told for told in FORMATS.values() if told.folder]
    else:
        known = any(ending in told.endings for told in FORMATS.values())
        asked = [told for told in FORMATS.values() if told.folder or not known or ending in told.endings]
        if not source.is_binary and states_format(source, KEYFRAME_DOCUMENT):
            source.refuse("is a drawing of the Camera Path Editor; load it in that node, or export the path it makes.")
    found = [told for told in asked if told.recognises(source)]
    if len(found) == 1:
        return found[0]
    if found:
        asked_for = source.advice(format="give {} as one of them") or "name it as only one of them is named"
        raise Track2ViewError(f"{source.name} could be {_listed(found)}; {asked_for}.")
    listed = _listed([told for told in asked if told.folder == file.is_dir()])
    asked_for = source.advice(format=f"give {{}} as one of {listed} to hear what is wrong with it")
    raise Track2ViewError(
        f"{source.name} is in none of the known formats, or damaged at its beginning; {asked_for or 'export it again'}."
    )


# --- for a clip -------------------------------------------------------------------------------------------------------


def read_for_clip(
    file: Path,
    *,
    clip: CameraPath | None = None,
    width: int | None = None,
    height: int | None = None,
    format: str | None = None,
    fov_degrees: float | None = None,
    fps: float | None = None,
    camera: str | None = None,
    missing_frames: str = "refuse",
    quaternion_order: str | None = None,
    door: Door = READ_PATH,
) -> tuple[CameraPath, tuple[Note, ...]]:
    """`read_camera`, then, with the camera of a clip, resampled to its number of frames. The world stays the file's.

    Args:
        clip: its size and rate stand in where none are given.

    Raises:
        Track2ViewError: as `read_camera`.
    """
    with _told_of(file):
        source = Source(file, door)
        recording = recorded(source, format, Wanted(camera, quaternion_order))
        if clip is not None:
            recording = _with_rate(recording, clip.fps)
            if width is None and height is None:
                width, height = clip.width, clip.height
        path, found = complete(
            recording, source.name, width=width, height=height, fov_degrees=fov_degrees, fps=fps,
            missing_frames=missing_frames, door=door,
        )  # fmt: skip
    size = {"width": path.width, "height": path.height}
    notes = [Note.of("camera_read", name=file.name, frames=len(path), **size, rate=path.fps), *found]
    if clip is None:
        return path, tuple(notes)
    if len(path) != len(clip):
        notes.append(Note.of("camera_resampled", frames=len(clip)))
        path = path.resampled(len(clip))
    return replace(path, fps=clip.fps), tuple(notes)


def read_move(
    file: Path,
    *,
    format: str | None = None,
    camera: str | None = None,
    missing_frames: str = "refuse",
    quaternion_order: str | None = None,
    door: Door = READ_PATH,
) -> tuple[CameraPath, tuple[Note, ...]]:
    """The path of a file of which only the movement counts, and what to know of it.

    Size, rate or lens that it does not hold, or that a path cannot hold, are made up.

    Raises:
        Track2ViewError: as `read_camera`.
    """
    with _told_of(file):
        source = Source(file, door)
        recording = _with_rate(recorded(source, format, Wanted(camera, quaternion_order)), ANY_RATE)
        width, height = (None, None) if recording.size else ANY_SIZE
        holds_lens = recording.lens is not None and recording.lens_problem is None
        path, notes = complete(
            recording, source.name, width=width, height=height, fov_degrees=None if holds_lens else ANY_LENS, fps=None,
            missing_frames=missing_frames, door=door,
        )  # fmt: skip
    return path, tuple(note for note in notes if note.code not in OF_SIZE_AND_RATE)


def _with_rate(recording: RecordedCamera, fps: float) -> RecordedCamera:
    """The recording, at this rate where it tells none; frames that are missing stay missing."""
    told = recording.fps is not None and recording.fps_problem is None and SLOWEST <= recording.fps <= FASTEST
    return recording if told else replace(recording, fps=fps, fps_problem=None)


# --- writing ----------------------------------------------------------------------------------------------------------


def write_path(path: CameraPath, file: str | Path, *, format: str | None = None) -> None:
    """Write a path for another program; an older file is replaced by the whole new one.

    Args:
        path: world units are written as they are, except that recammaster writes them as metres (100 centimetres)
            and aftereffects as 100 pixels.
        file: the file, or the folder of a format that is one.
        format: one of FORMATS; None takes the only one whose files end as `file` does.

    Raises:
        Track2ViewError: an unknown or unwritable format, a lens it cannot hold, or a file that cannot be written.
            Nothing is written then.
    """
    file = Path(file)
    chosen = _named(format) if format is not None else _by_ending(file)
    if chosen.write is None:
        raise Track2ViewError(f"{chosen.title} can only be read; write {_listed(_writable())} instead.")
    contents = chosen.write(path.to(torch.device("cpu")), file)
    try:
        write_whole(contents, file)
    except OSError as error:
        raise Track2ViewError(
            f"The camera file {file} cannot be written ({error.strerror or error}); check the disk and the folder."
        ) from error


def _by_ending(file: Path) -> PathFormat:
    ending = file.suffix.lower()
    fitting = [told for told in _writable() if ending in told.endings]
    if len(fitting) == 1:
        return fitting[0]
    candidates = fitting or _writable()
    raise Track2ViewError(
        f"The name {file.name} does not say which format to write; give format (--to) as one of {_listed(candidates)}."
    )


def write_whole(contents: bytes | Mapping[str, bytes], target: Path) -> None:
    """Write a file, or a folder of files, that appears whole or not at all; nothing is left behind by a failure."""
    if not target.parent.is_dir():
        raise Track2ViewError(f"The folder {target.parent} does not exist; create it or name another file to write.")
    if isinstance(contents, bytes):
        if target.is_dir():
            raise Track2ViewError(f"The path {target} is a folder; name a file to write.")
        _write_all({target: contents})
        return
    made = not target.exists()
    if not made and not target.is_dir():
        raise Track2ViewError(f"The path {target} is a file; name a folder, because this format is a folder of files.")
    if made:
        target.mkdir()
    try:
        _write_all({target / name: content for name, content in contents.items()})
    except BaseException:
        if made:
            shutil.rmtree(target, ignore_errors=True)
        raise


def _write_all(contents: Mapping[Path, bytes]) -> None:
    """Write all under temporary names first, then rename: only a crash between two renames could part them."""
    parts: dict[Path, Path] = {}
    try:
        for file, content in contents.items():
            handle, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".part", dir=file.parent)
            parts[file] = Path(name)
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            parts[file].chmod(0o644)  # mkstemp's 0600 would hide the file from other users
        for file, part in parts.items():
            part.replace(file)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


# --- names ------------------------------------------------------------------------------------------------------------


def _named(name: str) -> PathFormat:
    if name not in FORMATS:
        near = difflib.get_close_matches(str(name), FORMATS, n=1)
        hint = f" (perhaps {near[0]!r} is meant)" if near else ""
        listed = ", ".join(FORMATS)
        raise Track2ViewError(f"There is no camera format {str(name)[:40]!r}{hint}; it must be one of {listed}.")
    return FORMATS[name]


def _writable() -> list[PathFormat]:
    return [told for told in FORMATS.values() if told.write is not None]


def _listed(formats: list[PathFormat]) -> str:
    return ", ".join(told.name for told in formats)
