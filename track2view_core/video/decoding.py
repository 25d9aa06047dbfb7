"""The frames of a file as they come from the decoder, each with its place in the clip, and deinterlaced."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.error import BlockingIOError as NotYet
from av.error import EOFError as Ended
from av.filter import Graph

from .time_stamps import TimeStamps

_WITH_TRANSPARENCY = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # FFmpeg's own decoders of these leave it out
_LEAST_SIDE = 4  # px, below which bwdif refuses
_STANDS_OUT = 10  # of 255, more than the noise of a coded picture
_COMBED = 0.002  # share of pixels in combs, beyond which a file may be woven
_AGREEING = 4  # frames that must look woven before a file is taken to be


def decoded_frames(container: Any, video: Any, stamps: TimeStamps) -> Iterator[tuple[int, Any]]:
    """The frames of a video stream in the order in which they are shown, each with its place."""
    decoder, places = _decoder(video), stamps.places
    packets = counted = 0
    for packet in container.demux(video):
        if places is not None and packet.size:
            # The decoder hands the number on to the frame that it makes of the packet.
            packet.pts = places[packets] if packets < len(places) else None
            packet.dts = None
        packets += bool(packet.size)
        for frame in decoder.decode(packet if packet.size else None):
            if places is None:
                yield counted, frame
            elif frame.pts is not None:
                yield frame.pts, frame
            counted += 1


def _decoder(video: Any) -> Any:
    name = _WITH_TRANSPARENCY.get(video.codec_context.name)
    tags = {key.lower(): value for key, value in video.metadata.items()}
    if name is None or tags.get("alpha_mode") != "1" or name not in av.codecs_available:
        return video.codec_context
    return av.Codec(name, "r").create("video")


def deinterlaced(frames: Iterable[tuple[int, Any]], woven: str | None = None) -> Iterator[tuple[int, Any]]:
    """The same, those that are flagged as interlaced woven apart by FFmpeg's bwdif, a frame for a frame.

    woven: `woven_order` of files that flag none; all their frames are woven apart.
    """
    graph, shape = None, None
    for place, frame in frames:
        if graph is not None and shape != _shape_of(frame):
            yield from _pulled(graph, None)
            graph = None
        interlaced = frame.interlaced_frame or woven is not None
        if graph is None and interlaced and min(frame.width, frame.height) >= _LEAST_SIDE:
            which = "deint=interlaced" if woven is None else f"deint=all:parity={woven}"
            graph, shape = _graph(frame, "bwdif", f"mode=send_frame:{which}"), _shape_of(frame)
        if graph is None:
            yield place, frame
        else:
            frame.pts, frame.time_base = place, Fraction(1)
            yield from _pulled(graph, frame)
    if graph is not None:
        yield from _pulled(graph, None)


def woven_order(frames: Sequence[Any]) -> str | None:
    """Which field comes first, `tff` or `bff`, in frames that show the combs of two fields; None where they show none.

    By FFmpeg's idet, of which all frames must agree, and by lines that stand out from both of their neighbours, as
    idet takes a smooth picture that moves up or down for a woven one. PyAV before 16 does not hand out what idet finds.
    """
    first = frames[0]
    if len(frames) < _AGREEING or min(first.width, first.height) < _LEAST_SIDE:
        return None
    if np.mean([_combs(frame) for frame in frames]) < _COMBED:
        return None
    graph = _graph(first, "idet")
    found: set[str | None] = set()
    for place, frame in enumerate((*frames, None)):
        if frame is not None:
            if _shape_of(frame) != _shape_of(first):
                return None
            frame.pts, frame.time_base = place, Fraction(1)
        told = (getattr(seen, "metadata", {}) for _, seen in _pulled(graph, frame))
        found |= {tags.get("lavfi.idet.multiple.current_frame") for tags in told}
    order = found.pop() if len(found) == 1 else None
    return order if order in ("tff", "bff") else None


def _combs(frame: Any) -> float:
    """The share of a frame's pixels that stand out from the pixel above and the one below alike."""
    steps = np.diff(frame.to_ndarray(format="gray").astype(np.int16), axis=0)
    return float(((steps[:-1] > _STANDS_OUT) & (steps[1:] < -_STANDS_OUT)).mean())


def _shape_of(frame: Any) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


def _graph(frame: Any, name: str, options: str | None = None) -> Graph:
    """A graph of one filter, for frames like this one."""
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1))
    graph.link_nodes(source, graph.add(name, options), graph.add("buffersink"))
    graph.configure()
    return graph


def _pulled(graph: Graph, frame: Any | None) -> Iterator[tuple[int, Any]]:
    """Push a frame, or None for the end, and take what is ready."""
    graph.vpush(frame)
    while True:
        try:
            ready = graph.vpull()
        except (NotYet, Ended):
            return
        yield round((ready.pts or 0) * (ready.time_base or 1)), ready
