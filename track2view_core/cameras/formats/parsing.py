"""What stands in a camera file: its lines, JSON, numbers, frame names and times. Bounded; each complaint says where."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from ...errors import Track2ViewError
from ...notes import Door

MOST_FRAMES = 100_000
MOST_BYTES = 512 * 2**20  # of a file that is read whole
LONGEST_LINE = 32 * 2**20  # characters; COLMAP lists all points of an image in one line
DEEPEST_JSON = 100
HEAD_LINES = 40
BINARY_BEGINNINGS = (b"glTF", b"PK\x03\x04")
READ_PATH = Door(
    "read_path",
    {
        "size": "width and height (--width, --height)",
        "fov_degrees": "fov_degrees (--fov)",
        "fps": "fps (--fps)",
        "format": "format (--from)",
        "camera": "camera (--camera-name)",
        "missing_frames": "missing_frames (--missing-frames)",
        "quaternion_order": "quaternion_order (--quaternion-order)",
    },
)
"""What `read_path` and `track2view path convert` call what can be said of a camera file; other doors have less."""

Item = TypeVar("Item")


class Source:
    """One camera file that is being read, at a door that has its own words for what the user may say of it.

    `file` may also be a folder, for formats that are one.
    """

    def __init__(self, file: Path, door: Door = READ_PATH) -> None:
        self.file = file
        self.door = door
        self.name = f"The {'folder' if file.is_dir() else 'file'} {file.name or file}"  # begins every sentence

    def at_line(self, line: int) -> str:
        return f"{self.name}, line {line},"

    def refuse(self, problem: str) -> NoReturn:
        """Raise the sentence "The file <name> <problem>"; the problem begins with a verb and ends with a full stop."""
        raise Track2ViewError(f"{self.name} {problem}")

    def advice(self, always: str = "", **cures: str) -> str:
        """`always`, and of the settings that the door has what to do with each, `{}` being its name there."""
        return advised(self.door, always, **cures)

    @cached_property
    def data(self) -> bytes:
        """The whole file."""
        size = self.file.stat().st_size
        if size > MOST_BYTES:
            self.refuse(f"has {size / 2**20:.0f} MiB; a camera path needs less than {MOST_BYTES // 2**20}.")
        data = self.file.read_bytes()
        if not data.strip():
            self.refuse("is empty; export the camera again.")
        return data

    @cached_property
    def is_binary(self) -> bool:
        """Whether the file begins as .glb and .npz files do."""
        with self.file.open("rb") as stream:
            return stream.read(4) in BINARY_BEGINNINGS

    @cached_property
    def encoding(self) -> str:
        """UTF-8, or what a byte order mark or the pattern of zero bytes says; refuses what is no text."""
        with self.file.open("rb") as stream:
            head = stream.read(4096)
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            return "utf-16"
        if b"\x00" not in head:
            return "utf-8-sig"
        even, odd = head[0::2].count(0), head[1::2].count(0)
        if odd > 0.3 * len(head) and even < 0.05 * len(head):
            return "utf-16-le"
        if even > 0.3 * len(head) and odd < 0.05 * len(head):
            return "utf-16-be"
        self.refuse("is no text but binary data; give the camera file itself, exported as text.")

    def lines(self) -> Iterator[tuple[int, str]]:
        """(line number from 1, line without its end) of every line, read one at a time."""
        # A wrong byte becomes a replacement sign: it can only stand in names and comments, or a number is refused.
        with self.file.open("r", encoding=self.encoding, errors="replace") as stream:
            number = 0
            while line := stream.readline(LONGEST_LINE):
                number += 1
                if len(line) >= LONGEST_LINE and not line.endswith("\n"):
                    raise Track2ViewError(f"{self.at_line(number)} is longer than any camera file's; is it one?")
                yield number, line.rstrip("\n")
        if not number:
            self.refuse("is empty; export the camera again.")

    @cached_property
    def head(self) -> list[str]:
        """The first lines that are neither blank nor comments, for telling formats apart."""
        if self.is_binary:
            return []
        told = (line.strip() for _, line in self.lines())
        return list(islice((line for line in told if line and not line.startswith("#")), HEAD_LINES))

    @cached_property
    def comments(self) -> list[str]:
        """The comments that stand before the first other line."""
        if self.is_binary:
            return []
        told = (line.strip() for _, line in islice(self.lines(), HEAD_LINES))
        return list(takewhile(lambda line: line.startswith("#"), (line for line in told if line)))

    @cached_property
    def json(self) -> Any:
        """The file's JSON: of bounded depth, without NaN."""
        return parse_json(self.text, self)

    @cached_property
    def text(self) -> str:
        """The whole file as text."""
        return self.data.decode(self.encoding, errors="replace")

    @property
    def looks_like_json(self) -> bool:
        if self.is_binary:
            return False
        head = self.head
        return bool(head) and head[0].startswith(("{", "["))


def advised(door: Door, always: str = "", **cures: str) -> str:
    """Remedies as one sentence has them: `always`, and those of the settings that the door has."""
    told = [always] * bool(always)
    told += [cure.replace("{}", door.words[setting]) for setting, cure in cures.items() if setting in door.words]
    return ", or ".join(told)


def asked_rate(door: Door) -> str:
    return advised(door, fps="give {}, the clip's frames a second") or "write the clip's frames a second into it"


def place_of_row(lines: Sequence[int] | None, row: int) -> str:
    return f"key {row}" if lines is None else f"line {lines[row]}"


# --- JSON -------------------------------------------------------------------------------------------------------------


def parse_json(text: str, source: Source) -> Any:
    """JSON of bounded depth without NaN; what is wrong is told with its line."""

    def no_constant(word: str) -> NoReturn:
        source.refuse(f"holds {word}, which is no number; the export failed, so solve or export the camera again.")

    if _depth_exceeds(text, DEEPEST_JSON):
        source.refuse(f"nests deeper than {DEEPEST_JSON} levels; it is no camera file.")
    try:
        return json.loads(text, parse_constant=no_constant)
    except json.JSONDecodeError as error:
        cut = " (it ends too early, so it was likely cut short)" if error.pos >= len(text.rstrip()) else ""
        raise Track2ViewError(
            f"{source.at_line(error.lineno)} is not JSON: {error.msg.lower()}{cut}; export the camera again."
        ) from error
    except (ValueError, RecursionError) as error:  # digits without end
        if isinstance(error, Track2ViewError):
            raise
        source.refuse("holds a number of thousands of digits; it is no camera file.")


def _depth_exceeds(text: str, deepest: int) -> bool:
    """Whether brackets nest deeper, counted without regard to text in quotes, which holds hardly any."""
    depth = 0
    for bracket in re.finditer(r"[\[\]{}]", text):
        depth += 1 if bracket.group() in "[{" else -1
        if depth > deepest:
            return True
    return False


def mapping(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Track2ViewError(f"{where} holds {_shown(value)} where an object with named fields must stand.")
    return value


def field(value: dict[str, Any], name: str, where: str) -> Any:
    if name not in value:
        raise Track2ViewError(f"{where} lacks the field {name!r}; it is cut short or of another format.")
    return value[name]


def frames_list(value: object, where: str) -> list[Any]:
    """A JSON list of one to MOST_FRAMES frames."""
    if not isinstance(value, list) or not value:
        raise Track2ViewError(f"{where} must be a list with one entry a frame; it is empty or of another kind.")
    check_length(len(value), where)
    return value


def matrix(value: object, rows: int, columns: int, where: str) -> list[list[float]]:
    """A JSON list of `rows` lists of `columns` numbers."""
    if not isinstance(value, list) or len(value) != rows:
        raise Track2ViewError(f"{where} holds {_shown(value)} where a {rows} x {columns} matrix must stand.")
    return [numbers(row, columns, where) for row in value]


# --- numbers ----------------------------------------------------------------------------------------------------------


def number(value: object, where: str) -> float:
    """A finite float of a word or a JSON value. `where` opens the sentence of an error."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Track2ViewError(f"{where} holds {_shown(value)} where a number must stand; export the camera again.")
    try:
        if isinstance(value, str) and "_" in value:
            raise ValueError
        told = float(value)
    except (ValueError, OverflowError) as error:
        cause = "export the camera again"
        if isinstance(value, str) and "," in value:
            cause = "write decimals with a point and part columns with spaces"
        raise Track2ViewError(f"{where} holds {_shown(value)} where a number must stand; {cause}.") from error
    if not math.isfinite(told):
        raise Track2ViewError(
            f"{where} holds {_shown(value)}; the tracker or export failed there, so leave it out or solve again."
        )
    return told


def numbers(values: object, count: int, where: str) -> list[float]:
    """Exactly `count` finite floats of a JSON list."""
    if not isinstance(values, list) or len(values) != count:
        raise Track2ViewError(f"{where} holds {_shown(values)} where {count} numbers must stand; export it again.")
    return [number(value, where) for value in values]


def whole(value: object, where: str) -> int:
    """A whole number of at least 1."""
    told = number(value, where)
    if told != int(told) or told < 1:
        raise Track2ViewError(f"{where} is {told:g}; it must be a whole number of at least 1.")
    return int(told)


def rate(value: object, where: str) -> float:
    """Frames a second, above 0."""
    told = number(value, where)
    if told <= 0:
        raise Track2ViewError(f"{where} is {told:g}; it must be above 0.")
    return told


def check_length(frames: int, where: str) -> None:
    if frames > MOST_FRAMES:
        raise Track2ViewError(
            f"{where} goes past {MOST_FRAMES:,} frames, over an hour of video; it is likely a log or a point list, "
            "so give one clip's camera."
        )


def _shown(value: object) -> str:
    text = repr(value) if not isinstance(value, list | dict) else f"a {type(value).__name__} of {len(value)}"
    text = "".join(sign if sign.isprintable() else "?" for sign in text)
    return text if len(text) <= 40 else text[:37] + "..."


# --- rows of text -----------------------------------------------------------------------------------------------------


def table(
    source: Source, columns: Sequence[int], layout: str, *, header: bool = False
) -> tuple[list[list[float]], list[int]]:
    """Rows of numbers and the line each stands in; blank lines and `#` comments are passed over.

    Args:
        columns: the numbers of columns allowed; all rows have the same.
        layout: what the columns are, for the sentence of an error.
        header: whether the first line may be something else, as the URL of RealEstate10K.
    """
    rows: list[list[float]] = []
    places: list[int] = []
    first = True
    for line_number, line in source.lines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if first and header and len(words) not in columns and not _is_number(words[0]):
            first = False
            continue
        first = False
        where = source.at_line(line_number)
        allowed = columns if not rows else (len(rows[0]),)
        if len(words) not in allowed:
            wanted = " or ".join(map(str, allowed))
            cause = "the file is likely cut short there" if rows and len(words) < allowed[0] else "check the format"
            raise Track2ViewError(f"{where} has {len(words)} columns where {wanted} must stand ({layout}); {cause}.")
        check_length(len(rows) + 1, where)
        rows.append(_row(words, where))
        places.append(line_number)
    if not rows:
        source.refuse(f"holds no row of numbers ({layout}); it is empty or of another format.")
    return rows, places


def _row(words: list[str], where: str) -> list[float]:
    """`number` of every word, without its cost where all are well."""
    try:
        row = [float(word) for word in words]
    except ValueError:
        row = [math.nan]
    if all(map(math.isfinite, row)) and not any("_" in word for word in words):
        return row
    return [number(word, where) for word in words]


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def numeric_row(line: str) -> list[float] | None:
    """The numbers of a line, or None where a word is none."""
    words = line.split()
    return [float(word) for word in words] if words and all(map(_is_number, words)) else None


# --- the order of frames ----------------------------------------------------------------------------------------------


def frame_name(frame: int) -> str:
    return f"frame_{frame:06d}.png"


def natural_order(items: Sequence[Item], name: Callable[[Item], str]) -> list[Item]:
    """The items by their names, numbers within a name counted as numbers: frame_2 before frame_10."""

    def key(item: Item) -> list[tuple[int, int, str]]:
        # Digits beyond 18 are compared as text: a name may hold any number of them.
        parts = re.split(r"([0-9]{1,18})", name(item))
        return [(0, int(part), "") if index % 2 else (1, 0, part) for index, part in enumerate(parts)]

    return sorted(items, key=key)
