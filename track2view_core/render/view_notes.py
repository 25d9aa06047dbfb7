"""What to know of a rendered view: how much of it is known, and what is doubtful in the depth it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from ..notes import Note, doubtful
from ..tracks import PairedTracks, PointTracks
from .geometry import ClipGeometry
from .hole_masks import LATENT_FRAMES

LITTLE_KNOWN = 0.6
"""Share of the new view in its worst frame; below it much of what is seen is invented."""

Fill = Literal["surroundings", "model"]
CODES = {None: "view_covered", "surroundings": "pixels_kept", "model": "pixels_kept_over_model"}


def known_notes(
    known: Sequence[float],  # T shares, of each frame
    fill: Fill | None = None,
) -> tuple[Note, ...]:
    """How much of the view is the clip's own pixels.

    fill: who paints the rest; None: nobody.
    """
    frame = min(range(len(known)), key=known.__getitem__)
    code = CODES[fill]
    share = Note.of(code, mean=sum(known) / len(known), lowest=known[frame], frame=frame)
    return (share, Note.of("little_known")) if fill and known[frame] < LITTLE_KNOWN else (share,)


def shares(
    known: Tensor,  # [T, H, W] bool
) -> list[float]:
    """T shares, of each frame's pixels."""
    return known.float().mean(dim=(1, 2)).tolist()


def movers_note(
    silhouettes: Tensor,  # [T, H, W] bool
) -> Note:
    """How much of the clip moves by itself."""
    return Note.of("movers_share", share=silhouettes.float().mean())


def length_notes(frames: int) -> tuple[Note, ...]:
    """A note where there is no mask that VACE takes, since the clip is not 4n + 1 frames long."""
    return () if frames % LATENT_FRAMES == 1 else (Note.of("vace_length", frames=frames),)


def doubts(tracks: PointTracks | PairedTracks, geometry: ClipGeometry | None = None) -> tuple[Note, ...]:
    """What the analysis found, and of what the tracker found all that is more than a plain fact, each once."""
    found = () if geometry is None else tuple(geometry.notes)
    told = {note.code for note in found}
    return (*found, *(note for note in doubtful(tracks.notes) if note.code not in told))
