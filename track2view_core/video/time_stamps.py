"""When the pictures of a file are shown: the time stamps of its packets, on one clock from its start to its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

from av.error import FFmpegError

_NO_TIME_STAMPS = 0x80  # FFmpeg's AVFMT_NOTIMESTAMPS: raw streams, for which it makes times up
_CLOCK_MAY_JUMP = 0x200  # AVFMT_TS_DISCONT: broadcast formats, whose clock may start anew anywhere
_JUMP = Fraction(10)  # s, beyond which FFmpeg too takes a step of such a clock for a new one
_FALL = Fraction(1)  # s, by which a clock falls back for certain; at a key frame any fall is one
_WITHOUT_INDEX = ("flv",)  # containers that end with their last packet
_REORDERED = 32  # pictures, more than any codec holds back


class _Stamp(NamedTuple):
    shown: int | None
    decoded: int | None
    key: bool


@dataclass(frozen=True, eq=False)
class TimeStamps:
    """The pictures of a file in the order in which they are shown; the n-th of them has the place n."""

    ticks: Sequence[int]
    """[N] when each is shown, never falling, in units of the stream's time base."""
    places: Sequence[int | None] | None
    """Of each packet in the order of the file; None for one that shows nothing of its own. No list at all: the packets
    tell no order, and pictures are shown as they come from the decoder."""
    recordings: Sequence[tuple[int, int]]
    """Where the clock started anew: (place of the first picture, ticks that were added to its stamps); one entry for
    each recording in the file, so that most files have one, and none has less."""
    packets: int
    whole: bool
    """The packets are those of the whole file."""
    unread: float = 0.0
    """The share of the file behind the last packet, in containers of which FFmpeg stops at the header of a second."""
    made_up: bool = False
    """The file has no stamps: FFmpeg or this module counted pictures instead."""

    def __len__(self) -> int:
        return len(self.ticks)

    def as_decoded(self, seen: Sequence[int]) -> tuple[TimeStamps, int]:
        """What the decoder made of it: `seen` are the places of the first pictures that came out.

        Returns the stamps of pictures that do come out, and how many were lost before the first of them.
        """
        if self.places is None or not seen:
            return self, 0
        steps = [later - earlier for earlier, later in pairwise(seen)]
        if min(steps, default=1) < 1:  # AVI has no stamps for pictures that are coded out of order
            return replace(self, places=None), 0
        if len(steps) >= 3 and set(steps) == {2}:  # AVCHD: a packet for each field, a picture for every two
            return self._from(seen[0], 2), seen[0] // 2
        return self._from(seen[0], 1), seen[0]

    def _from(self, first: int, step: int) -> TimeStamps:
        """Without the places before `first`, and only every `step`-th of the others."""
        if (first, step) == (0, 1):
            return self
        assert self.places is not None
        places = [
            None if place is None or place < first or (place - first) % step else (place - first) // step
            for place in self.places
        ]
        recordings = [(max(0, -(-(place - first) // step)), offset) for place, offset in self.recordings]
        return replace(self, ticks=self.ticks[first::step], places=places, recordings=recordings)


def scan_time_stamps(container: Any, video: Any, limit: int | None) -> TimeStamps:
    """The stamps of a file's packets, without decoding a picture; with a `limit`, of a few more than so many pictures.

    A clock that starts anew, as where two recordings were joined byte by byte, goes on where the one before it ended.
    """
    made_up = bool(int(container.format.flags) & _NO_TIME_STAMPS)
    # Without stamps there is no duration either: only counting tells how long the file is.
    enough = None if limit is None or made_up else 2 * limit + 2 * _REORDERED
    stamps: list[_Stamp] = []
    shown, end, whole = 0, 0, True
    try:
        for packet in container.demux(video):
            if not packet.size:
                continue
            hidden = packet.is_discard
            stamps.append(_Stamp(None if hidden else packet.pts, packet.dts, packet.is_keyframe))
            shown += not hidden
            end = (packet.pos or 0) + packet.size
            if shown == enough:
                whole = False
                break
    except FFmpegError:
        whole = False  # decoding finds the same spot and reports it
    clock = Clock(container, video)
    found = replace(_on_one_clock(stamps, clock), packets=len(stamps), whole=whole)
    if made_up:
        found = replace(found, made_up=True)
    if whole and container.format.name in _WITHOUT_INDEX and container.size > 0:
        found = replace(found, unread=max(0.0, 1 - end / container.size))
    if whole or enough is None:
        return found
    # Packets come in decoding order: near the point where reading stopped some stamps are still missing.
    kept = max(0, len(found) - _REORDERED)
    recordings = [begun for begun in found.recordings if begun[0] < kept] or found.recordings[:1]
    return replace(found, ticks=found.ticks[:kept], recordings=recordings)


class Clock:
    """Watches the stamps of a stream's packets, in the order of the file, for the beginning of another recording."""

    def __init__(self, container: Any, stream: Any) -> None:
        self._base: Fraction = stream.time_base
        self._may_jump = bool(int(container.format.flags) & _CLOCK_MAY_JUMP)
        self._before: int | None = None

    def starts_anew(self, shown: int | None, decoded: int | None, key: bool) -> bool:
        """With the packet of these stamps (of presentation, of decoding, at a key frame)."""
        now, before = shown if decoded is None else decoded, self._before
        if now is None:
            return False
        self._before = now
        if before is None:
            return False
        step = (now - before) * self._base
        certain = step < 0 and key and decoded is not None
        return certain or step < -_FALL or (self._may_jump and step > _JUMP)

    def shown(self, recording: Sequence[_Stamp], first: int) -> list[tuple[int, int]]:
        """(when it is shown, number of the packet) of a recording's packets in the order in which they are shown.

        Where FFmpeg reckons the stamp of a recording's last packet from the recording that follows, the delay of the
        other packets tells it.
        """
        known = [
            (stamp.shown, 0 if stamp.decoded is None else stamp.shown - stamp.decoded, number)
            for number, stamp in enumerate(recording, first)
            if stamp.shown is not None
        ]
        usual = max((delay for _, delay, _ in known if delay * self._base <= _JUMP), default=0)
        return sorted(
            (shown - delay + usual if self._may_jump and delay * self._base > _JUMP else shown, number)
            for shown, delay, number in known
        )


def _on_one_clock(stamps: Sequence[_Stamp], clock: Clock) -> TimeStamps:
    """The stamps of packets in order and without falls."""
    if all(stamp.shown is None for stamp in stamps):
        return TimeStamps(range(len(stamps)), None, ((0, 0),), len(stamps), True, made_up=True)
    places: list[int | None] = [None] * len(stamps)
    ticks: list[int] = []
    recordings: list[tuple[int, int]] = []
    begun = [0, *(number for number, stamp in enumerate(stamps) if clock.starts_anew(*stamp)), len(stamps)]
    for first, last in pairwise(begun):
        known = clock.shown(stamps[first:last], first)
        if not known:
            continue
        offset = ticks[-1] + _step(known, ticks) - known[0][0] if ticks else 0
        recordings.append((len(ticks), offset))
        for shown, number in known:
            places[number] = len(ticks)
            ticks.append(shown + offset)
    return TimeStamps(ticks, places, recordings, len(stamps), True)


def _step(known: Sequence[tuple[int, int]], before: Sequence[int]) -> int:
    """Ticks from the last picture of one recording to the first of the next: the usual ones of either."""
    steps = [later - earlier for (earlier, _), (later, _) in pairwise(known)]
    steps = steps or [later - earlier for earlier, later in pairwise(before)]
    return max(1, round(median(steps))) if steps else 1
