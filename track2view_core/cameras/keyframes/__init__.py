"""Keyframes: a camera path as a person draws it, sampled on a clip, and fitted to a path that came from elsewhere."""

from .documents import Keyframe, Orbit, PathDocument, parse_document, to_json
from .fitting import FittedDocument, fit_document
from .sampling import document_notes, sample_document

__all__ = [
    "FittedDocument",
    "Keyframe",
    "Orbit",
    "PathDocument",
    "document_notes",
    "fit_document",
    "parse_document",
    "sample_document",
    "to_json",
]
