"""Two to six clips in step, each with its name, as one film: every clip keeps its own time, shape and colours."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..errors import Track2ViewError
from ..notes import Note
from ..progress import Progress
from ..video.arithmetic import rate_in_words, square_size
from ..video.clip import Audio
from ..video.resizing import resize_picture
from ..video.writing import Film
from .drawing import FAINT, GAP, GROUND, PANEL, TARGET, TEXT, pane_size, text_size, write_text

FEWEST, MOST = 2, 6
LENGTHS = ("longest", "shortest")
LABEL_HEIGHT = 32  # px, above each picture
_LETTERS = 11  # px tall
_WIDEST = 4096  # px of a sheet: larger ones no decoder of a graphics card plays
_SAME_SHAPE = 0.01
_SCREEN = 16 / 9


@dataclass(frozen=True, eq=False)
class ComparedClip:
    """One clip of a comparison; its pictures are asked for once, one after the other."""

    label: str
    pictures: Callable[[], Iterator[np.ndarray]]  # each [height, width, 3] uint8
    frames: int
    width: int
    height: int
    fps: Fraction
    audio: Audio | None = None
    pixel_aspect: Fraction = Fraction(1)

    @property
    def seconds(self) -> Fraction:
        return self.frames / self.fps

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in square pixels."""
        return square_size(self.width, self.height, self.pixel_aspect)


@dataclass(frozen=True)
class Box:
    """Where something lies on a sheet, px."""

    x: int
    y: int
    width: int
    height: int


class Comparison:
    """Clips as the cells of a sheet, all of one size and in step by their own times.

    The sheet runs at the fastest clip's rate; a clip shows at every moment the frame that it shows then by itself.
    `length` "longest" holds the last frame of clips that end before, "shortest" ends with the first that ends.
    Cells have the shape of the first clip; a clip of another shape stands whole in its cell, with margins.

    Args:
        columns: cells in a row; 0 takes what comes nearest to the shape of a screen.
        height: of a cell in px; 0 takes that of the largest clip, with its longer side in 512 to 960 px.

    Raises:
        Track2ViewError: fewer than two clips or more than six, or a height at which the sheet has more than 4096 px.
    """

    def __init__(
        self, clips: Sequence[ComparedClip], *, columns: int = 0, height: int = 0, length: str = LENGTHS[0]
    ) -> None:
        if not FEWEST <= len(clips) <= MOST:
            raise Track2ViewError(f"{len(clips)} videos came to compare; it must be {FEWEST} to {MOST} of them.")
        if length not in LENGTHS:
            raise Track2ViewError(f"length is {length!r}; it must be one of {', '.join(LENGTHS)}.")
        self.clips, self.length = tuple(clips), length
        self.fps = max(clip.fps for clip in clips)
        seconds = [clip.seconds for clip in clips]
        shown = max(seconds) if length == "longest" else min(seconds)
        self.frames = max(1, math.ceil(shown * self.fps))
        wide, tall = _cell_size(self.clips, height)
        self.columns = min(columns, len(clips)) if columns else _best_columns(len(clips), wide, tall)
        rows = math.ceil(len(clips) / self.columns)
        most = min((_WIDEST + GAP) // self.columns - GAP, ((_WIDEST + GAP) // rows - GAP - LABEL_HEIGHT) * wide / tall)
        if height and wide > most:
            raise Track2ViewError(
                f"height is {height}, which makes a comparison of more than {_WIDEST} px; set it to "
                f"{math.floor(most * tall / wide)} or less, or change columns."
            )
        self.cell = (wide, tall) if wide <= most else (_even(most), _even(most * tall / wide))
        self.width = self.columns * (self.cell[0] + GAP) - GAP
        self.height = rows * (LABEL_HEIGHT + self.cell[1] + GAP) - GAP

    @property
    def boxes(self) -> tuple[Box, ...]:
        """Every clip's cell, without its label."""
        wide, tall = self.cell
        return tuple(
            Box(
                (number % self.columns) * (wide + GAP),
                (number // self.columns) * (LABEL_HEIGHT + tall + GAP) + LABEL_HEIGHT,
                wide,
                tall,
            )
            for number in range(len(self.clips))
        )

    @property
    def audio(self) -> Audio | None:
        """The sound of the first clip that has some."""
        return next((clip.audio for clip in self.clips if clip.audio is not None), None)

    def frame_at(self, clip: ComparedClip, index: int) -> int:
        """The frame that `clip` shows in frame `index` of the sheet."""
        return min(math.floor(index * clip.fps / self.fps), clip.frames - 1)

    def film(self, progress: Progress | None = None) -> Film:
        """The sheet for `write_clip`; no more than a picture of each clip is in memory at once."""
        return Film(self._pictures(progress), self.frames, self.width, self.height, self.fps, self.audio)

    def _pictures(self, progress: Progress | None) -> Iterator[np.ndarray]:
        cells = [_Cell(clip, self.cell) for clip in self.clips]
        for index in range(self.frames):
            sheet = np.full((self.height, self.width, 3), GROUND, np.uint8)
            for cell, box in zip(cells, self.boxes, strict=True):
                picture = cell.picture(self.frame_at(cell.clip, index))
                sheet[box.y : box.y + box.height, box.x : box.x + box.width] = picture
                ended = index >= cell.clip.seconds * self.fps
                sheet[box.y - LABEL_HEIGHT : box.y, box.x : box.x + box.width] = _label(cell.clip, box.width, ended)
            yield sheet
            if progress is not None:
                progress(index + 1, self.frames, "Comparing")

    def notes(self) -> tuple[Note, ...]:
        """What is shown, and where the clips differ."""
        clips = self.clips
        told = {"count": len(clips), "seconds": float(self.frames / self.fps), "rate": rate_in_words(self.fps)}
        notes = [Note.of("compared", width=self.cell[0], height=self.cell[1], **told)]
        if len({clip.size for clip in clips}) > 1:
            sizes = ", ".join(f"{clip.label} {clip.size[0]} x {clip.size[1]}" for clip in clips)
            notes.append(Note.of("compared_sizes", sizes=sizes))
        others = [clip.label for clip in clips[1:] if not _same_shape(clip, clips[0])]
        if others:
            notes.append(Note.of("compared_shapes", first=clips[0].label, others=", ".join(others)))
        if len({clip.fps for clip in clips}) > 1:
            rates = ", ".join(f"{clip.label} {rate_in_words(clip.fps)}" for clip in clips)
            notes.append(Note.of("compared_rates", rates=rates))
        if len({math.ceil(clip.seconds * self.fps) for clip in clips}) > 1:
            lengths = ", ".join(f"{clip.label} {float(clip.seconds):.2f} s" for clip in clips)
            held = self.length == "longest"
            notes.append(Note.of("compared_to_longest" if held else "compared_to_shortest", lengths=lengths))
        sounding = [clip.label for clip in clips if clip.audio is not None]
        if sounding:
            notes.append(Note.of("compared_sound", label=sounding[0]))
        return tuple(notes)


def labels_from(text: str, count: int) -> tuple[str, ...]:
    """`count` names out of text with one a line or between commas; what is missing is called by its number."""
    named = [name.strip() for name in text.replace("\n", ",").split(",")]
    named += [""] * max(0, count - len(named))
    return tuple(name or f"video {number}" for number, name in enumerate(named[:count], 1))


class _Cell:
    """One clip on its way through the sheet: a picture is made only where the frame changes."""

    def __init__(self, clip: ComparedClip, size: tuple[int, int]) -> None:
        self.clip, self._size = clip, size
        self._pictures, self._place = clip.pictures(), -1
        self._shown = np.full((size[1], size[0], 3), GROUND, np.uint8)

    def picture(self, frame: int) -> np.ndarray:
        """Frame `frame`, not before the one asked for last, in the cell. [height, width, 3] uint8."""
        taken = None
        while self._place < frame and (coming := next(self._pictures, None)) is not None:
            taken, self._place = coming, self._place + 1
        if taken is not None:
            self._shown = self._placed(taken)
        return self._shown

    def _placed(self, picture: np.ndarray) -> np.ndarray:
        wide, tall = self._size
        width, height = self.clip.size
        scale = min(wide / width, tall / height)
        # A hair of another shape is a rounding of some other node: it fills the cell, so that a wipe lies on the edge.
        fills = abs(wide * height / (tall * width) - 1) <= _SAME_SHAPE
        across, down = (wide, tall) if fills else (max(1, round(width * scale)), max(1, round(height * scale)))
        shown = resize_picture(np.ascontiguousarray(picture), across, down)
        if (across, down) == (wide, tall):
            return shown
        cell = np.zeros((tall, wide, 3), np.uint8)
        left, top = (wide - across) // 2, (tall - down) // 2
        cell[top : top + down, left : left + across] = shown
        return cell


def _label(clip: ComparedClip, width: int, ended: bool) -> np.ndarray:
    """The strip above a picture, [LABEL_HEIGHT, width, 3] uint8."""
    strip = np.full((LABEL_HEIGHT, width, 3), PANEL, np.uint8)
    base = (LABEL_HEIGHT + _LETTERS) / 2
    name = clip.label + (" (ended)" if ended else "")
    write_text(strip, name, (10, base), _LETTERS, TARGET if ended else TEXT)
    facts = f"{clip.size[0]} x {clip.size[1]}, {rate_in_words(clip.fps)} fps"
    if text_size(name, _LETTERS)[0] + text_size(facts, 9)[0] + 40 < width:
        write_text(strip, facts, (width - 10, base), 9, FAINT, "right")
    return strip


def _cell_size(clips: Sequence[ComparedClip], height: int) -> tuple[int, int]:
    largest = max((clip.size for clip in clips), key=lambda size: size[0] * size[1])
    wide, tall = clips[0].size
    tall_cell = height or pane_size(*largest)[1]
    width = round(wide * tall_cell / tall)
    if not height and not 512 <= max(width, tall_cell) <= 960:  # the largest clip is of another shape than the cell
        return pane_size(width, tall_cell)
    return max(2, 2 * round(width / 2)), max(2, 2 * round(tall_cell / 2))


def _even(side: float) -> int:
    return max(2, 2 * math.floor(side / 2))


def _same_shape(one: ComparedClip, other: ComparedClip) -> bool:
    return abs(one.size[0] * other.size[1] / (one.size[1] * other.size[0]) - 1) <= _SAME_SHAPE


def _best_columns(count: int, width: int, height: int) -> int:
    def off_screen(columns: int) -> float:
        rows = math.ceil(count / columns)
        return abs(math.log(columns * width / (rows * (height + LABEL_HEIGHT)) / _SCREEN))

    fitting = [columns for columns in range(1, count + 1) if columns * (width + GAP) - GAP <= _WIDEST]
    return min(fitting, key=off_screen)
