"""Files whose clock starts anew, stands still or is not there: every frame in the order in which it was recorded."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from track2view_core.errors import Track2ViewError
from track2view_core.video import prepare_file, read_clip
from track2view_core.video.time_stamps import TimeStamps

from .conftest import grey_levels, write_greys

FIRST, SECOND = list(range(2, 14)), list(range(16, 30))
HIERARCHY = {"bf": "2", "g": "6"}


def codes(clip) -> list[str]:
    return [note.code for note in clip.notes]


def joined(tmp_path, ending, codec, *starts, **second):
    """Two recordings byte by byte in one file; their clocks start at frames `starts`."""
    parts = [
        write_greys(tmp_path / f"part.{ending}", levels, codec, first=start, **more)
        for levels, start, more in zip((FIRST, SECOND), starts, ({}, second), strict=True)
    ]
    file = tmp_path / f"joined.{ending}"
    file.write_bytes(b"".join(parts))
    return file


@pytest.mark.parametrize("starts", [(0, 0), (1200, 0), (0, 90_000)], ids=["again", "earlier", "an hour later"])
@pytest.mark.parametrize(("ending", "codec"), [("ts", "libx264"), ("ts", "libx265"), ("vob", "mpeg2video")])
def test_two_recordings_in_one_stream(tmp_path, ending, codec, starts):
    clip = read_clip(joined(tmp_path, ending, codec, *starts))
    assert grey_levels(clip) == pytest.approx(FIRST + SECOND, abs=1)
    assert (clip.fps, codes(clip)) == (24, ["recordings_joined"])
    assert clip.notes[0].facts == {"count": 2, "frames": (12,)}


@pytest.mark.parametrize(("ending", "codec"), [("mkv", "libx264"), ("webm", "libvpx-vp9"), ("m2ts", "mpeg2video")])
def test_two_recordings_in_other_containers(tmp_path, ending, codec):
    clip = read_clip(joined(tmp_path, ending, codec, 0, 0))
    assert grey_levels(clip) == pytest.approx(FIRST + SECOND, abs=1)
    assert codes(clip) == ["recordings_joined"]


def test_a_limit_reads_over_the_joint(tmp_path):
    file = joined(tmp_path, "ts", "libx264", 0, 0)
    assert grey_levels(read_clip(file, frames=16)) == FIRST + SECOND[:4]
    assert codes(read_clip(file, frames=12)) == []


@pytest.mark.parametrize("starts", [(0, 0), (0, 90_000)])
def test_the_sound_of_both_recordings_keeps_its_place(tmp_path, starts):
    parts = [
        write_greys(tmp_path / "part.ts", levels, first=start, clicks=(0.25,))
        for levels, start in zip((FIRST, SECOND), starts, strict=True)
    ]
    (tmp_path / "joined.ts").write_bytes(b"".join(parts))
    heard = read_clip(tmp_path / "joined.ts").audio
    loud = np.flatnonzero(heard.waveform[0].abs().numpy() > 0.5) / heard.sample_rate
    assert loud[0] == pytest.approx(0.25, abs=2e-3)
    assert loud[loud > 0.5][0] == pytest.approx(0.5 + 0.25, abs=2e-3)
    assert heard.seconds == pytest.approx(Fraction(26, 24), abs=2e-3)


def test_sound_that_changes_its_channels_at_the_joint(tmp_path):
    parts = [
        write_greys(tmp_path / "part.ts", levels, clicks=(0.25,), layout=layout)
        for levels, layout in ((FIRST, "stereo"), (SECOND, "mono"))
    ]
    (tmp_path / "joined.ts").write_bytes(b"".join(parts))
    heard = read_clip(tmp_path / "joined.ts").audio
    assert heard.waveform.shape == (2, round(26 / 24 * 48000))
    assert (heard.waveform[:, 24000:].abs() > 0.4).any(dim=1).all()


def test_a_joint_at_which_the_shape_changes_is_refused(tmp_path):
    file = joined(tmp_path, "ts", "libx264", 0, 0, size=(96, 48))
    with pytest.raises(Track2ViewError, match="from 64 x 48 to 96 x 48 after 12 frames; set frames to 12 or less"):
        read_clip(file)
    assert grey_levels(read_clip(file, frames=12)) == FIRST
    larger = joined(tmp_path, "ts", "libx264", 0, 0, size=(128, 96))
    assert grey_levels(read_clip(larger)) == FIRST + SECOND


@pytest.mark.parametrize("ending", ["flv", "mp4", "mov"])
def test_what_ffmpeg_cannot_read_on_is_told(tmp_path, ending):
    file = joined(tmp_path, ending, "libx264", 0, 0)
    clip = read_clip(file)
    assert (grey_levels(clip), codes(clip)) == (FIRST, ["second_file_unread"])
    assert clip.notes[0].facts["share"] == pytest.approx(0.5, abs=0.1)
    with file.open("rb") as content:
        assert codes(read_clip(content)) == ["second_file_unread"]
    assert codes(read_clip(tmp_path / f"part.{ending}")) == []


@pytest.mark.parametrize(
    ("ending", "codec", "options"),
    [
        ("h264", "libx264", {}),
        ("hevc", "libx265", {"x265-params": "log-level=none"}),
        ("m2v", "mpeg2video", HIERARCHY),
    ],
)
def test_a_raw_stream_is_read_whole_at_the_rate_it_names(tmp_path, ending, codec, options):
    write_greys(tmp_path / f"raw.{ending}", FIRST, codec, rate=30, options=options)
    clip = read_clip(tmp_path / f"raw.{ending}")
    assert grey_levels(clip) == pytest.approx(FIRST, abs=1)
    assert (clip.fps, codes(clip)) == (30, ["times_missing"])
    part, info = prepare_file(tmp_path / f"raw.{ending}", width=64, height=64, frames=5)
    assert (len(part), info.frames_in_file) == (5, 12)


@pytest.mark.parametrize(
    ("ending", "codec", "options", "format"),
    [
        ("hevc", "libx265", {"x265-params": "log-level=none:vui-timing-info=0"}, "yuv420p"),
        ("mjpeg", "mjpeg", {}, "yuvj420p"),
    ],
)
def test_a_raw_stream_that_names_no_rate_says_so(tmp_path, ending, codec, options, format):
    write_greys(tmp_path / f"raw.{ending}", FIRST, codec, rate=30, options=options, format=format)
    clip = read_clip(tmp_path / f"raw.{ending}")
    assert grey_levels(clip) == pytest.approx(FIRST, abs=1)
    assert (clip.fps, codes(clip)) == (25, ["times_and_rate_missing"])


def test_avi_stamps_its_frames_in_the_order_of_their_coding(tmp_path):
    write_greys(tmp_path / "clip.avi", FIRST, rate=30, options={"bf": "3"})
    clip = read_clip(tmp_path / "clip.avi")
    assert (grey_levels(clip), clip.fps, clip.notes) == (FIRST, 30, ())


@pytest.mark.parametrize(
    ("stamps", "shown", "code"),
    [
        ([0] * 12, FIRST, "times_senseless"),
        ([index // 2 for index in range(12)], FIRST, "times_senseless"),
        ([*range(5), *range(4, 11)], FIRST[:4] + FIRST[5:], "rate_varies"),
    ],
    ids=["all", "every second", "one"],
)
def test_stamps_that_repeat(tmp_path, stamps, shown, code):
    file = tmp_path / "repeats.mkv"
    with av.open(str(file), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index, level in enumerate(FIRST):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 8 * level, np.uint8), format="rgb24")
            frame.pts = index
            for packet in stream.encode(frame.reformat(format="yuv420p")):
                packet.pts = packet.dts = 40 * stamps[index]
                packet.time_base = Fraction(1, 1000)
                output.mux(packet)
    clip = read_clip(file)
    assert (grey_levels(clip), codes(clip)) == (shown, [code])


def test_a_recording_that_begins_between_key_frames_says_what_is_lost(tmp_path):
    content = write_greys(tmp_path / "whole.ts", list(range(30)), options={"g": "10", "x264-params": "scenecut=0"})
    packet = 188
    (tmp_path / "cut.ts").write_bytes(content[len(content) // packet // 4 * packet :])
    clip = read_clip(tmp_path / "cut.ts")
    assert grey_levels(clip) == list(range(10, 30))
    assert codes(clip) == ["beginning_lost"]


def test_a_packet_for_each_field_makes_a_frame_of_every_two():
    """As AVCHD camcorders record; the decoder gives the number of the first field's packet."""
    stamps = TimeStamps(range(0, 40, 2), list(range(20)), ((0, 0), (8, 5)), 20, True)
    halved, lost = stamps.as_decoded([2, 4, 6, 8, 10])
    assert (list(halved.ticks), lost) == ([4, 8, 12, 16, 20, 24, 28, 32, 36], 1)
    assert halved.places == [None, None, *(place // 2 if place % 2 == 0 else None for place in range(18))]
    assert list(halved.recordings) == [(0, 0), (3, 5)]
