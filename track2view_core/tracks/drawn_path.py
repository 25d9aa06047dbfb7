"""What the Camera Path Editor's text means on a clip: the path, what the user should know, and keys to start from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..cameras import CameraPath, PathDocument, document_notes, parse_document, sample_document
from ..cameras.keyframes.fitting import fit_document
from ..notes import Note
from .point_tracks import PointTracks

DEFAULT_FRAMES, DEFAULT_SIZE, DEFAULT_FIELD = 81, (832, 480), 60.0  # degrees, horizontal


@dataclass(frozen=True, eq=False)
class DrawnPath:
    """A path on a clip, as it was drawn."""

    path: CameraPath
    notes: tuple[Note, ...]
    seed: PathDocument | None  # the linked path in keys, where nothing is drawn yet


def drawn_path(text: str, tracks: PointTracks | None = None, linked: CameraPath | None = None) -> DrawnPath:
    """The path of a keyframe document's text; of no text, the linked path itself.

    The keys ride on the tracks' camera, without tracks on the linked path, and with neither on a camera that stands
    still. A linked path never changes keys that are there.

    Raises:
        Track2ViewError: the text is no document; the tracks show nothing.
    """
    document = parse_document(text) if text.strip() else None
    notes: list[Note] = []
    source = tracks.camera if tracks is not None else linked
    if source is None:
        source = _standing_camera(document)
        notes.append(Note.of("path_stands"))
    scale = 1.0 if tracks is None else tracks.scene_scale
    if tracks is None:
        notes.append(Note.of("path_unit"))
    if document is not None:
        if linked is not None and tracks is not None:
            notes.append(Note.of("path_not_used"))
        path = sample_document(document, source, scene_scale=scale)
        return DrawnPath(path, (*notes, *document_notes(document, source)), None)
    if linked is None or tracks is None:
        return DrawnPath(source, (*notes, Note.of("path_of_base")), None)
    if len(linked) != len(source):
        notes.append(Note.of("path_resampled", frames=len(linked), clip=len(source)))
        linked = linked.resampled(len(source))
    notes.append(Note.of("path_of_link"))
    return DrawnPath(linked, tuple(notes), fit_document(linked, source, scene_scale=scale).document)


def _standing_camera(document: PathDocument | None) -> CameraPath:
    frames, (width, height), fps = DEFAULT_FRAMES, DEFAULT_SIZE, 16.0
    if document is not None:
        frames, fps = document.frames, document.fps
        width, height = document.aspect or DEFAULT_SIZE
    focal = width / 2 / math.tan(math.radians(DEFAULT_FIELD) / 2)
    lens = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float64)
    poses = torch.eye(4, dtype=torch.float64).repeat(frames, 1, 1)
    return CameraPath(poses, lens.repeat(frames, 1, 1), width, height, fps)
