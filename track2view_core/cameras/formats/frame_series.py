"""Names of pictures as a series: which camera took each, and whether frames of it are missing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath

from .parsing import Source, natural_order

SHARED = 0.5  # of the numbers of the smaller of two series: from here on they are two cameras of one time
EVERY = "all"
_DIGITS = re.compile(r"([0-9]{1,20})")
_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,4}$")


@dataclass(frozen=True)
class Series:
    """Pictures of one camera: where they stand in the list that was given, in the order of their numbers."""

    name: str
    places: tuple[int, ...]
    numbers: tuple[int, ...] | None  # rising; None where the names do not count


def series_of(names: Sequence[str]) -> list[Series]:
    """The cameras that took pictures of these names; one where they cannot be told apart.

    Names of one pattern differ in their numbers. The number that differs most counts the frames; the rest of the name,
    its folder above all, is the camera's, if the same frames are there of another camera too.
    """
    taken: dict[tuple[str, ...], list[int]] = {}
    parts = [_DIGITS.split(_ENDING.sub("", name.replace("\\", "/"))) for name in names]
    for place, part in enumerate(parts):
        taken.setdefault(tuple(part[::2]), []).append(place)
    groups: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for pattern, places in taken.items():
        counts = [len({parts[place][slot] for place in places}) for slot in range(1, 2 * len(pattern) - 1, 2)]
        if not counts:
            return [_one(names)]
        slot = 2 * max(range(len(counts)), key=lambda index: (counts[index], index)) + 1
        for place in places:
            key = (*parts[place][:slot], "#", *parts[place][slot + 1 :])
            groups.setdefault(key, []).append((int(parts[place][slot]), place))
    found = [sorted(group) for group in groups.values()]
    if len(found) > 1 and not _side_by_side(found):
        return [_one(names)]
    series = []
    for name, group in zip(_short(["".join(key) for key in groups]), found, strict=True):
        numbers = tuple(number for number, _ in group)
        rising = all(after > before for before, after in pairwise(numbers))
        series.append(Series(name, tuple(place for _, place in group), numbers if rising else None))
    return sorted(series, key=lambda one: one.name)


def gap_in(numbers: Sequence[int] | None) -> tuple[tuple[int, ...], tuple[int, int] | None]:
    """(frame of each picture from 0, the numbers around the first gap) of rising numbers by their least step."""
    if numbers is None or len(numbers) < 3:
        return tuple(range(len(numbers or ()))), None
    step = min(after - before for before, after in pairwise(numbers))
    frames, gap = [0], None
    for before, after in pairwise(numbers):
        frames.append(frames[-1] + round((after - before) / step))
        if gap is None and frames[-1] - frames[-2] > 1:
            gap = before, after
    return tuple(frames), gap


def missing_frames(source: Source, names: Sequence[str], one: Series) -> tuple[tuple[int, ...] | None, str | None]:
    """(the frame of each picture, the sentence on frames that are missing), both None where none is."""
    frames, gap = gap_in(one.numbers)
    if gap is None:
        return None, None
    assert one.numbers is not None
    before, after = (PurePosixPath(names[one.places[one.numbers.index(number)]]).name[:60] for number in gap)
    missing = frames[-1] + 1 - len(frames)
    cure = source.advice(
        "solve or export every frame", missing_frames="give {} as fill, or as join to take the rest as all there is"
    )
    return frames, (
        f"has {after!r} right after {before!r}, so frames are missing ({missing} in all), likely as they could not be "
        f"registered; {cure}."
    )


def chosen_series(source: Source, names: Sequence[str], camera: str | None) -> Series:
    """The pictures of the camera that is asked for, or of the only one.

    Raises:
        Track2ViewError: several cameras and none is named, or one that is not there.
    """
    if camera == EVERY:
        return _one(names)
    series = series_of(names)
    if camera is None and len(series) == 1:
        return series[0]
    found = [one for one in series if one.name == camera]
    if found and len(series) > 1:
        return found[0]
    listed = ", ".join(one.name[:40] for one in series[:12])
    asked = source.advice(camera=f"give {{}} as one of {listed}, or as {EVERY} to take their pictures as one path")
    asked = asked or f"export one of {listed} alone"
    if camera is None:
        source.refuse(f"holds {len(series)} cameras; {asked}.")
    if len(series) == 1:
        asked = source.advice(camera="leave {} out")
        source.refuse(f"holds one camera, and {camera[:40]!r} is asked for; {asked}.")
    source.refuse(f"has no camera {camera[:40]!r}; {asked}.")


def _one(names: Sequence[str]) -> Series:
    """All pictures as one camera's, in the order of their names."""
    return Series("", tuple(natural_order(range(len(names)), lambda place: names[place])), None)


def _side_by_side(groups: Sequence[Sequence[tuple[int, int]]]) -> bool:
    """Whether the groups have the same frames, as cameras that ran side by side do."""
    numbers = [{number for number, _ in group} for group in groups]
    largest = max(numbers, key=len)
    return all(len(one) > 1 and len(one & largest) >= SHARED * len(one) for one in numbers)


def _short(keys: Sequence[str]) -> list[str]:
    """What tells the keys apart, without what they share, as long as that leaves different names."""
    folders = [key.rpartition("/")[0].split("/") for key in keys]
    shared = 0
    while all(len(folder) > shared and folder[shared] == folders[0][shared] for folder in folders):
        shared += 1
    for names in (
        ["/".join(folder[shared:]) for folder in folders],
        [key.rpartition("/")[2].replace("#", "").strip("_-. ") for key in keys],
    ):
        if all(names) and len(set(names)) == len(keys):
            return names
    return list(keys)
