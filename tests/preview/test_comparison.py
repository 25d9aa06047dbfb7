"""Clips compared: in step by their own times, whole in cells of one size, and the sound and the words that go along."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from track2view_core.errors import Track2ViewError
from track2view_core.preview.comparison import LABEL_HEIGHT, ComparedClip, Comparison, labels_from
from track2view_core.video import Audio, read_clip, write_clip

DULL = 30  # of 255: below it nothing of a clip is seen


def counting(label: str, frames: int, fps, width: int = 64, height: int = 48, channel: int = 0, **more) -> ComparedClip:
    """Every picture is of one colour, which tells its number: 50, 60, 70 ..."""

    def pictures():
        for index in range(frames):
            picture = np.zeros((height, width, 3), np.uint8)
            picture[..., channel] = 50 + 10 * index
            yield picture

    return ComparedClip(label, pictures, frames, width, height, Fraction(fps), **more)


def shown(comparison: Comparison, number: int, channel: int = 0) -> list[int]:
    """The numbers of the frames that one clip shows through the film, read off the middle of its cell."""
    box = comparison.boxes[number]
    middle = (box.y + box.height // 2, box.x + box.width // 2, channel)
    return [(int(sheet[middle]) - 50) // 10 for sheet in comparison.film().pictures]


def test_each_clip_shows_at_every_moment_what_it_shows_by_itself():
    slow, fast = counting("slow", 4, 2), counting("fast", 9, 6)
    comparison = Comparison([slow, fast])
    moments = [Fraction(index, 6) for index in range(12)]
    assert comparison.fps == 6 and shown(comparison, 0) == [int(2 * moment) for moment in moments]
    assert shown(comparison, 1) == [min(int(6 * moment), 8) for moment in moments]  # held at its end
    assert shown(Comparison([slow, fast], length="shortest"), 1) == list(range(9))


def test_a_clip_of_another_shape_stands_whole_and_centred_in_its_cell():
    comparison = Comparison([counting("wide", 1, 8), counting("tall", 1, 8, 48, 64)], height=480)
    wide, tall = comparison.boxes
    assert (wide.width, wide.height) == (tall.width, tall.height) == (640, 480)
    (sheet,) = comparison.film().pictures
    lit = sheet[tall.y : tall.y + 480, tall.x : tall.x + 640].max(axis=-1) > DULL
    assert lit.all(axis=0).sum() == 360 and lit.any(axis=0).sum() == 360  # 3:4 at the cell's height
    assert (lit == lit[:, ::-1]).all()
    assert (sheet[wide.y : wide.y + 480, wide.x : wide.x + 640].max(axis=-1) > DULL).all()
    assert np.ptp(sheet[wide.y - LABEL_HEIGHT : wide.y, wide.x : wide.x + 640]) > 100  # a label above, not on, the clip


@pytest.mark.parametrize(("count", "size", "columns"), [(2, (832, 480), 2), (4, (832, 480), 2), (6, (832, 480), 3)])
def test_cells_fill_a_screen_and_never_overlap(count, size, columns):
    comparison = Comparison([counting(str(index), 1, 8, *size) for index in range(count)])
    assert comparison.columns == columns and comparison.width % 2 == comparison.height % 2 == 0
    owners = np.zeros((comparison.height, comparison.width), int)
    for box in comparison.boxes:
        owners[box.y - LABEL_HEIGHT : box.y + box.height, box.x : box.x + box.width] += 1
    assert owners.max() == 1


def test_a_sheet_no_player_takes_is_made_smaller_or_refused_with_the_height_that_fits():
    clips = [counting(str(index), 1, 8, 1920, 1080) for index in range(6)]
    assert Comparison(clips, columns=6).width <= 4096
    with pytest.raises(Track2ViewError, match=r"height is 1080.* set it to (\d+) or less") as refused:
        Comparison(clips, height=1080, columns=3)
    fits = int(str(refused.value).split(" or less")[0].split()[-1])
    assert Comparison(clips, height=fits, columns=3).width <= 4096
    with pytest.raises(Track2ViewError):
        Comparison(clips, height=fits + 2, columns=3)


@pytest.mark.parametrize("count", [1, 7])
def test_two_to_six_clips_are_compared(count):
    with pytest.raises(Track2ViewError, match="2 to 6"):
        Comparison([counting("", 1, 8)] * count)


def test_what_differs_is_told_and_what_agrees_is_not():
    def codes(*clips):
        return {note.code for note in Comparison(clips).notes()}

    first = counting("first", 4, 8)
    assert codes(first, counting("same", 4, 8)) == {"compared"}
    assert codes(first, counting("larger", 4, 8, 128, 96)) == {"compared", "compared_sizes"}
    assert codes(first, counting("wide", 4, 8, 96, 48)) == {"compared", "compared_sizes", "compared_shapes"}
    assert codes(first, counting("slow", 2, 4)) == {"compared", "compared_rates"}
    assert codes(first, counting("short", 3, 8)) == {"compared", "compared_to_longest"}


def test_the_file_keeps_the_rate_and_the_sound_of_the_first_that_has_some(tmp_path):
    tone = Audio(torch.sin(torch.arange(24_000) / 20)[None], 24_000)
    clips = [counting("still", 6, Fraction(24000, 1001)), counting("loud", 12, Fraction(24000, 1001), audio=tone)]
    comparison = Comparison(clips)
    film = read_clip(write_clip(comparison.film(), tmp_path / "film.mp4"))
    assert (film.fps, len(film), film.width, film.height) == (
        Fraction(24000, 1001), 12, comparison.width, comparison.height,
    )  # fmt: skip
    assert film.audio is not None and film.audio.waveform.abs().max() > 0.5
    assert "the sound is that of loud" in [note.text() for note in comparison.notes()]


def test_labels_are_told_by_commas_or_lines_and_numbered_where_they_lack():
    assert labels_from("source, result", 3) == ("source", "result", "video 3")
    assert labels_from("a\n,c,d", 3) == ("a", "video 2", "c")
