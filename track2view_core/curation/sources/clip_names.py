"""Scenes and clips by name: sorted as people count, captions looked up."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from ...errors import Track2ViewError

VIDEO_ENDINGS = (".mp4", ".mov", ".mkv", ".webm", ".avi")
MOST_BYTES = 2**30


def natural_order(name: str) -> list[tuple[int, str]]:
    """A sorting key that puts scene2 before scene10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def read_captions(file: Path) -> Mapping[str, str]:
    """Captions by the name of a clip (scene12/cam01) or of a scene: a JSON object, or lines of name, tab, caption."""
    try:
        if file.stat().st_size > MOST_BYTES:
            raise Track2ViewError(
                f"The file of captions {file} is larger than {MOST_BYTES >> 20} MiB; split the data set."
            )
        text = file.read_text(encoding="utf-8-sig")
        if file.suffix.lower() != ".json":
            return {
                name.strip(): told.strip()
                for name, tab, told in (line.partition("\t") for line in text.splitlines())
                if tab
            }
        document = json.loads(text)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise Track2ViewError(
            f"The captions {file} cannot be read ({error}); give a JSON object or a text file."
        ) from error
    if not isinstance(document, dict) or not all(isinstance(told, str) for told in document.values()):
        raise Track2ViewError(f'The captions {file} must be a JSON object such as {{"scene12/cam01": "A man walks."}}.')
    return document


def caption_of(clip: str, captions: Mapping[str, str]) -> str:
    """The clip's own caption, else its scene's, else none."""
    return captions.get(clip) or captions.get(clip.rpartition("/")[0], "")
