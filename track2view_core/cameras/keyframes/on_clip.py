"""A keyframe document's text on a clip: the path it means there, what to know of it, and keys to start from."""

from __future__ import annotations

from dataclasses import dataclass

from ...notes import Note
from ..path import CameraPath
from .documents import PathDocument, parse_document
from .fitting import fit_document
from .sampling import document_notes, sample_document

DEFAULT_FRAMES, DEFAULT_SIZE = 81, (832, 480)


@dataclass(frozen=True, eq=False)
class PathOnClip:
    """A path as long as its clip."""

    path: CameraPath
    notes: tuple[Note, ...]
    seed: PathDocument | None  # the linked path in keys, where nothing is drawn yet


def path_on_clip(
    text: str,
    source: CameraPath | None = None,
    *,
    scene_scale: float | None = None,
    linked: CameraPath | None = None,
) -> PathOnClip:
    """The path of a keyframe document's text; of no text, the linked path itself.

    The keys ride on `source`, the clip's own camera, without one on the linked path, and with neither on a camera that
    stands still. A linked path never changes keys that are there.

    Args:
        scene_scale: of the clip's tracks; None takes one scene scale to be 1 of the path's units.

    Raises:
        Track2ViewError: the text is no document, or the scene scale is not above 0.
    """
    document = parse_document(text) if text.strip() else None
    notes: list[Note] = []
    base = linked if source is None else source
    if base is None:
        base = _standing_camera(document)
        notes.append(Note.of("path_stands"))
    if scene_scale is None:
        notes.append(Note.of("path_unit"))
    scale = 1.0 if scene_scale is None else scene_scale
    if document is not None:
        if linked is not None and source is not None:
            notes.append(Note.of("path_not_used"))
        path = sample_document(document, base, scene_scale=scale)
        return PathOnClip(path, (*notes, *document_notes(document, base)), None)
    if linked is None or source is None:
        return PathOnClip(base, (*notes, Note.of("path_of_base")), None)
    if len(linked) != len(base):
        notes.append(Note.of("path_resampled", frames=len(linked), clip=len(base)))
        linked = linked.resampled(len(base))
    notes.append(Note.of("path_of_link"))
    return PathOnClip(linked, tuple(notes), fit_document(linked, base, scene_scale=scale).document)


def _standing_camera(document: PathDocument | None) -> CameraPath:
    frames, (width, height), fps = DEFAULT_FRAMES, DEFAULT_SIZE, 16.0
    if document is not None:
        frames, fps = document.frames, document.fps
        width, height = document.aspect or DEFAULT_SIZE
    return CameraPath.standing(frames, width, height, fps=fps)
