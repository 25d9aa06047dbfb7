"""The sound of a clip: decoded to samples, and its packets kept so that it can be written again without loss."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
import torch
from av.error import FFmpegError

from ..notes import Note
from .clip import Audio
from .source import ClipFile, opened
from .time_stamps import Clock

# What MP4 holds and common players decode.
_CARRIED = ("aac", "mp3", "alac", "ac3", "eac3", "flac", "opus")
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_BLOCK = 1024


def read_audio(
    file: ClipFile, *, start: Fraction, seconds: Fraction, offsets: Sequence[Fraction] = (Fraction(0),)
) -> tuple[Audio | None, tuple[Note, ...]]:
    """The first sound track from `start` on the file's clock, `seconds` long, and notes on what was left out.

    offsets: seconds to add to the clock of each recording in the file, where it holds several.
    """
    with opened(file) as container:
        if not container.streams.audio:
            return None, ()
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            return None, (Note.of("sound_left_out"),)
        # At a joint the packets of two recordings overlap or leave a hole, which samples can mend and packets cannot.
        carried = stream.codec_context.name in _CARRIED and len(offsets) == 1
        keeper = _PacketKeeper(stream, start) if carried else None
        samples = _Samples(stream, start, seconds)
        notes: tuple[Note, ...] = ()
        try:
            _decode(container, stream, samples, keeper, offsets)
        except FFmpegError as error:
            notes = (Note.of("sound_damaged", reason=error.strerror),)
            keeper = None
        waveform = samples.joined()
        if waveform is None:
            return None, notes
        return Audio(waveform, samples.rate, keeper.finished() if keeper else None), notes


def _decode(
    container: Any, stream: Any, samples: _Samples, keeper: _PacketKeeper | None, offsets: Sequence[Fraction]
) -> None:
    clock, recording = Clock(container, stream), 0
    for packet in container.demux(stream):
        if clock.starts_anew(packet.pts, packet.dts, packet.is_keyframe) and recording + 1 < len(offsets):
            recording += 1
            samples.join()
        if recording and packet.pts is not None:
            packet.pts += round(offsets[recording] / stream.time_base)
            packet.dts = None
        late = packet.pts is not None and packet.pts * packet.time_base >= samples.end
        for frame in packet.decode():
            samples.add(frame)
        if keeper is not None and not late:
            keeper.add(packet)
        if late and recording + 1 == len(offsets):
            return


class _Samples:
    """Decoded sound, laid on the clip's clock: silence where the track starts late or has holes."""

    def __init__(self, stream: Any, start: Fraction, seconds: Fraction) -> None:
        self.rate = int(stream.codec_context.sample_rate)
        self.start, self.end = start, start + seconds
        self._length = round(seconds * self.rate)
        self._parts: list[np.ndarray] = []
        self._position: int | None = None
        self._resampler: Any = None
        self._kind: tuple[str, str, int] | None = None
        self._layout: Any = None  # of its first frame, and of all that is handed out
        self._joined = False

    def join(self) -> None:
        """What comes next begins a recording: it is placed by its time to the sample."""
        self._joined = True

    def add(self, frame: Any) -> None:
        at = None if frame.pts is None else round((frame.pts * frame.time_base - self.start) * self.rate)
        if self._position is None:
            self._position = min(at or 0, 0)
            self._layout = frame.layout
        skipped = 0
        if at is not None:
            ahead = at - self._position
            if ahead > (self.rate // 10 if self._parts and not self._joined else 0):
                self._silence(ahead)
            elif self._joined:
                skipped = -ahead
            self._joined = False
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or kind != self._kind:  # it changes where recordings were joined
            self._resampler = av.AudioResampler(format="fltp", layout=self._layout.name, rate=self.rate)
            self._kind = kind
        for block in self._resampler.resample(frame):
            self._append(block.to_ndarray()[:, skipped:])

    def _silence(self, samples: int) -> None:
        """No more of it than the clip is long: a stray time stamp may ask for days."""
        position = self._position or 0
        wanted = max(0, min(position + samples, self._length) - max(position, 0))
        if wanted:
            self._parts.append(np.zeros((self._layout.nb_channels, wanted), np.float32))
        self._position = position + samples

    def _append(self, block: np.ndarray) -> None:
        """Keep what lies between the clip's start and end."""
        position = self._position or 0
        self._position = position + block.shape[1]
        kept = block[:, max(0, -position) : max(0, self._length - position)]
        if kept.shape[1]:
            self._parts.append(kept)

    def joined(self) -> torch.Tensor | None:
        if not self._parts:
            return None
        return torch.from_numpy(np.ascontiguousarray(np.concatenate(self._parts, axis=1)))


class _PacketKeeper:
    """Copies a sound track's packets into an MP4 in memory, moved to the clip's clock."""

    def __init__(self, stream: Any, start: Fraction) -> None:
        self._memory = io.BytesIO()
        self._container = av.open(self._memory, "w", format="mp4")
        self._stream = self._container.add_stream_from_template(stream)
        self._shift = round(start / stream.time_base)
        self._count = 0

    def add(self, packet: Any) -> None:
        if not packet.size or packet.pts is None or packet.dts is None:
            return
        packet.pts -= self._shift
        packet.dts -= self._shift
        packet.stream = self._stream
        self._container.mux(packet)
        self._count += 1

    def finished(self) -> bytes | None:
        try:
            self._container.close()
        except FFmpegError:  # a codec that MP4 refuses: the samples are still there
            return None
        return self._memory.getvalue() if self._count else None


def add_sound(output: Any, audio: Audio, seconds: Fraction) -> Callable[[Fraction], None]:
    """Give an output container a sound track; the returned function writes it up to a time in seconds.

    Kept packets are carried over as they are; samples are encoded as AAC.
    """
    packets = _carried_packets(output, audio, seconds) if audio.encoded else _encoded_packets(output, audio, seconds)
    waiting: list[tuple[Fraction, Any]] = []

    def write_until(time: Fraction) -> None:
        while True:
            if not waiting:
                following = next(packets, None)
                if following is None:
                    return
                waiting.append(following)
            if waiting[0][0] > time:
                return
            output.mux(waiting.pop()[1])

    return write_until


def _carried_packets(output: Any, audio: Audio, seconds: Fraction) -> Iterator[tuple[Fraction, Any]]:
    source = av.open(io.BytesIO(audio.encoded or b""), "r")
    track = source.streams.audio[0]
    stream = output.add_stream_from_template(track)

    def packets() -> Iterator[tuple[Fraction, Any]]:
        with source:
            for packet in source.demux(track):
                if not packet.size or packet.pts is None:
                    continue
                time = packet.pts * packet.time_base
                if time >= seconds:
                    return
                packet.stream = stream
                yield time, packet

    return packets()


def _encoded_packets(output: Any, audio: Audio, seconds: Fraction) -> Iterator[tuple[Fraction, Any]]:
    audio = audio.trimmed(seconds)
    waveform = audio.waveform.detach().to(device="cpu", dtype=torch.float32).numpy()
    channels = min(waveform.shape[0], 8)
    rate = audio.sample_rate
    coded_rate = min(_AAC_RATES, key=lambda known: (known < rate, abs(known - rate)))
    stream = output.add_stream("aac", rate=coded_rate, layout=_LAYOUTS[channels])
    stream.bit_rate = 96_000 * channels

    def packets() -> Iterator[tuple[Fraction, Any]]:
        resampler = av.AudioResampler(format="fltp", layout=_LAYOUTS[channels], rate=coded_rate, frame_size=_BLOCK)
        for at in range(0, waveform.shape[1], _BLOCK):
            block = np.ascontiguousarray(waveform[:channels, at : at + _BLOCK])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=_LAYOUTS[channels])
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            for ready in resampler.resample(frame):
                yield from timed(stream.encode(ready))
        for ready in resampler.resample(None):
            yield from timed(stream.encode(ready))
        yield from timed(stream.encode(None))

    def timed(coded: list[Any]) -> Iterator[tuple[Fraction, Any]]:
        for packet in coded:
            yield (packet.pts or 0) * packet.time_base, packet

    return packets()
