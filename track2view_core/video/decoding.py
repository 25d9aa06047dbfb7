"""The frames of a file as they come from the decoder, each with its place in the clip, and deinterlaced."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import av
from av.error import BlockingIOError as NotYet
from av.error import EOFError as Ended
from av.filter import Graph

from .time_stamps import TimeStamps

_WITH_TRANSPARENCY = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # FFmpeg's own decoders of these leave it out
_LEAST_SIDE = 4  # px, below which bwdif refuses


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


def deinterlaced(frames: Iterable[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
    """The same, those that are flagged as interlaced woven apart by FFmpeg's bwdif, a frame for a frame."""
    graph, shape = None, None
    for place, frame in frames:
        if graph is not None and shape != _shape_of(frame):
            yield from _pulled(graph, None)
            graph = None
        if graph is None and frame.interlaced_frame and min(frame.width, frame.height) >= _LEAST_SIDE:
            graph, shape = _bwdif(frame), _shape_of(frame)
        if graph is None:
            yield place, frame
        else:
            frame.pts, frame.time_base = place, Fraction(1)
            yield from _pulled(graph, frame)
    if graph is not None:
        yield from _pulled(graph, None)


def _shape_of(frame: Any) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


def _bwdif(frame: Any) -> Graph:
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1))
    graph.link_nodes(source, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink"))
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
