"""Files written here and read again: what goes in comes out."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import textwrap
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from track2view_core.errors import Track2ViewError
from track2view_core.video import (
    Audio,
    VideoClip,
    notes_of_writing,
    prepare_file,
    read_clip,
    read_part,
    restore_clip,
    write_clip,
)

from .conftest import grey_levels, lag, make_clip, make_pictures, make_sound

ROOT = Path(__file__).resolve().parents[2]


def sound_packets(file: Path | io.BytesIO) -> list[bytes]:
    with av.open(file if isinstance(file, io.BytesIO) else str(file)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


RATES = [Fraction(24), Fraction(24000, 1001), Fraction(30000, 1001), Fraction(16), Fraction(2997, 100)]


@pytest.mark.parametrize("fps", RATES)
def test_every_rate_is_exact(tmp_path, fps):
    clip = make_clip(17, fps=fps)
    read = read_clip(write_clip(clip, tmp_path / "clip.mp4"))
    assert read.fps == fps
    assert len(read) == 17
    assert read.notes == ()
    assert read.frames_in_file == 17


@pytest.mark.parametrize("size", [(64, 48), (63, 48), (64, 47), (127, 33), (2, 2), (1, 1), (3, 200)])
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_every_size_and_length_plays_everywhere(tmp_path, size, frames):
    """As 4:2:0, for which an odd side gets its last line twice; nothing is lost and nothing moves."""
    clip = make_clip(frames, *size)
    width, height = (side + side % 2 for side in size)
    file = write_clip(clip, tmp_path / "clip.mp4", quality=4)
    with av.open(str(file)) as container:
        assert container.streams.video[0].codec_context.profile in ("High", "Main", "Constrained Baseline")
    read = read_clip(file)
    assert read.frames.shape == (frames, height, width, 3)
    assert (read.frames[:, : size[1], : size[0]].float() - clip.frames.float()).abs().mean() < 4
    last = read.frames[:, : size[1], size[0] - 1 :].float() - clip.frames[:, :, -1:].float()
    assert last.abs().mean() < 12
    evened = [(note.code, note.facts["written_width"], note.facts["written_height"]) for note in notes_of_writing(clip)]
    assert evened == ([("written_even", width, height)] if size != (width, height) else [])


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".m4v", ".mkv"])
def test_every_container_holds_picture_and_sound(tmp_path, ending):
    clip = make_clip(24, fps=Fraction(24000, 1001), sound=True)
    read = read_clip(write_clip(clip, tmp_path / f"clip{ending}"))
    assert (read.fps, len(read)) == (clip.fps, 24)
    assert abs(lag(clip.audio.waveform[0], read.audio.waveform[0])) < 50


def test_colors_are_true(tmp_path):
    """Flat colours come back within rounding, at a small and at an HD size (where players assume another matrix)."""
    colors = torch.tensor([[255, 255, 255], [0, 0, 0], [128, 128, 128], [200, 30, 30], [30, 200, 30], [30, 30, 200]])
    for width, height in ((96, 64), (1280, 64)):
        frames = colors.to(torch.uint8)[:, None, None, :].expand(-1, height, width, -1).contiguous()
        read = read_clip(write_clip(VideoClip(frames, Fraction(6)), tmp_path / "colors.mp4", quality=1))
        assert (read.frames.float() - frames.float()).abs().max() <= 4


def test_sound_stays_in_step_and_is_carried_without_loss(tmp_path):
    clip = make_clip(48, sound=True)
    first = read_clip(write_clip(clip, tmp_path / "first.mp4"))
    assert lag(clip.audio.waveform[0], first.audio.waveform[0]) == 0
    assert abs(first.audio.seconds - clip.seconds) < Fraction(1, 1000)
    second = read_clip(write_clip(first, tmp_path / "second.mp4"))
    assert torch.equal(first.audio.waveform, second.audio.waveform)
    assert sound_packets(tmp_path / "first.mp4") == sound_packets(tmp_path / "second.mp4")


def test_a_limit_cuts_picture_and_sound(tmp_path):
    whole = read_clip(write_clip(make_clip(48, sound=True), tmp_path / "clip.mp4"))
    part = read_clip(tmp_path / "clip.mp4", frames=12)
    assert torch.equal(part.frames, whole.frames[:12])
    assert part.frames_in_file == 48
    assert part.audio.waveform.shape[1] == round(0.5 * 44100)
    assert torch.equal(part.audio.waveform, whole.audio.waveform[:, : part.audio.waveform.shape[1]])
    again = read_clip(write_clip(part, tmp_path / "part.mp4"))
    assert torch.equal(again.audio.waveform, part.audio.waveform)
    assert len(read_clip(tmp_path / "clip.mp4", frames=1000)) == 48
    cut = whole.first(12)
    assert torch.equal(cut.audio.waveform, part.audio.waveform)


def test_a_part_is_what_lies_there_in_the_whole(tmp_path):
    whole = read_clip(write_clip(make_clip(48, sound=True), tmp_path / "clip.mp4"))
    part = read_part(tmp_path / "clip.mp4", start=Fraction(1, 2), seconds=Fraction(3, 4))
    assert torch.equal(part.frames, whole.frames[12:30])
    assert torch.equal(part.audio.waveform, whole.audio.waveform[:, 22050:55125])
    assert (part.fps, part.frames_in_file) == (24, None)
    again = read_clip(write_clip(part, tmp_path / "part.mp4"))
    assert abs(lag(part.audio.waveform[0], again.audio.waveform[0])) < 50
    assert torch.equal(read_part(tmp_path / "clip.mp4", start=Fraction(3, 2)).frames, whole.frames[36:])
    with pytest.raises(Track2ViewError, match=r"48 frames, 2\.00 s, and none of them from 2\.50 s on"):
        read_part(tmp_path / "clip.mp4", start=Fraction(5, 2))


def test_a_limit_finds_the_same_rate_as_the_whole_file(tmp_path):
    """Packets come in decoding order, so that a partial look at the stamps has holes near its end."""
    write_clip(make_clip(250, 16, 16, Fraction(30000, 1001)), tmp_path / "clip.mp4")
    for frames in (1, 2, 17, 81):
        part = read_clip(tmp_path / "clip.mp4", frames=frames)
        assert (part.fps, len(part), part.notes, part.frames_in_file) == (Fraction(30000, 1001), frames, (), 250)


@pytest.mark.parametrize("rate", [48000, 44100, 22050, 8000, 96000, 192000, 11000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_sound_of_every_rate_is_written(tmp_path, rate, channels):
    clip = VideoClip(make_pictures(24, 16, 16), Fraction(24), make_sound(1, rate, channels))
    read = read_clip(write_clip(clip, tmp_path / "clip.mp4"))
    assert read.audio.waveform.shape[0] == channels
    assert read.audio.seconds == pytest.approx(1, abs=2e-3)


def test_sound_that_starts_late_or_early_keeps_its_time(tmp_path):
    tone = make_sound(1).waveform
    for offset in (0.25, -0.25):
        path = tmp_path / f"offset{offset}.mkv"
        with av.open(str(path), "w") as output:
            video = output.add_stream("libx264", rate=24)
            video.width = video.height = 32
            audio = output.add_stream("pcm_s16le", rate=44100, layout="stereo")
            for index in range(24):
                frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
                frame.pts, frame.time_base = index + 12, Fraction(1, 24)
                output.mux(video.encode(frame))
            samples = (tone * 32767).to(torch.int16).T.reshape(1, -1).contiguous().numpy()
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
            frame.sample_rate, frame.time_base = 44100, Fraction(1, 44100)
            frame.pts = round((0.5 + offset) * 44100)
            output.mux(audio.encode(frame))
            for stream in (video, audio):
                output.mux(stream.encode(None))
        heard = read_clip(path).audio
        assert lag(tone[0], heard.waveform[0]) == pytest.approx(offset * 44100, abs=45)
        assert heard.encoded is None
        rewritten = read_clip(write_clip(read_clip(path), tmp_path / "again.mp4")).audio
        assert lag(tone[0], rewritten.waveform[0]) == pytest.approx(offset * 44100, abs=45)
        twice = read_clip(write_clip(read_clip(tmp_path / "again.mp4"), tmp_path / "twice.mp4")).audio
        assert lag(tone[0], twice.waveform[0]) == pytest.approx(offset * 44100, abs=45)


def test_a_frozen_stretch_is_filled(write_stamped):
    file = write_stamped([3000 * index for index in range(6)] + [3000 * (index + 10) for index in range(6)])
    clip = read_clip(file)
    assert clip.fps == 30
    assert grey_levels(clip) == [0, 1, 2, 3, 4, 5, 5, 5, 5, 5, 6, 7, 8, 9, 10, 11]
    assert clip.notes[0].code == "rate_varies"
    assert grey_levels(read_clip(file, frames=8)) == [0, 1, 2, 3, 4, 5, 5, 5]


def test_a_file_that_does_not_start_at_zero(write_stamped):
    clip = read_clip(write_stamped([90000 + 3750 * index for index in range(5)], "late.mkv"))
    assert (clip.fps, grey_levels(clip)) == (24, [0, 1, 2, 3, 4])


def turned(file: Path, quarter: int) -> Path:
    """The same file with a rotation in its track header, as phones write it."""
    content = bytearray(file.read_bytes())
    one = 0x10000
    matrix = {1: (0, one, -one, 0), 2: (-one, 0, 0, -one), 3: (0, -one, one, 0)}[quarter]
    at = content.index(b"tkhd") + 4 + 40
    for slot, value in zip((0, 1, 3, 4), matrix, strict=True):
        content[at + 4 * slot : at + 4 * slot + 4] = value.to_bytes(4, "big", signed=True)
    out = file.with_name(f"turned{quarter}.mp4")
    out.write_bytes(content)
    return out


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_a_turned_file_is_set_upright(tmp_path, quarter):
    """The matrix (0, 1, -1, 0) of a phone held upright asks for a quarter turn clockwise."""
    file = write_clip(make_clip(3, 64, 48, sound=True), tmp_path / "clip.mp4", quality=4)
    clip = read_clip(turned(file, quarter))
    stored = read_clip(file).frames
    assert torch.equal(clip.frames, torch.rot90(stored, -quarter, (1, 2)))
    assert clip.notes[0].code == "set_upright"


def test_pixel_aspect_comes_back(tmp_path):
    clip = VideoClip(make_pictures(3, 64, 48), Fraction(24), pixel_aspect=Fraction(16, 11))
    read = read_clip(write_clip(clip, tmp_path / "clip.mp4"))
    assert (read.width, read.height, read.pixel_aspect) == (64, 48, Fraction(16, 11))
    boxed = read_clip(tmp_path / "clip.mp4", box=(32, 32))
    assert (boxed.width, boxed.height, boxed.pixel_aspect) == (32, 17, 1)


def test_tags_in_another_encoding_are_no_hindrance(tmp_path):
    """Titles in Latin 1 or GBK stand in many an old AVI."""
    file = tmp_path / "clip.avi"
    with av.open(str(file), "w") as output:
        output.metadata["title"] = "a title"
        stream = output.add_stream("mpeg4", rate=24)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        output.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        output.mux(stream.encode(None))
    content = file.read_bytes()
    assert b"a title" in content
    file.write_bytes(content.replace(b"a title", b"\xfcber t\xfc"))
    assert len(read_clip(file)) == 1


def test_reading_into_a_box(tmp_path):
    file = write_clip(make_clip(3, 160, 90), tmp_path / "clip.mp4")
    assert read_clip(file, box=(80, 80)).frames.shape == (3, 45, 80, 3)
    portrait = write_clip(make_clip(3, 90, 160), tmp_path / "portrait.mp4")
    assert read_clip(portrait, box=(80, 48)).frames.shape == (3, 80, 45, 3)


def test_names_in_any_script_and_files_in_memory(tmp_path):
    file = write_clip(make_clip(sound=True), tmp_path / "Übergröße 日本 clip.mp4")
    named = read_clip(str(file))
    in_memory = read_clip(io.BytesIO(file.read_bytes()))
    assert torch.equal(named.frames, in_memory.frames)
    assert torch.equal(named.audio.waveform, in_memory.audio.waveform)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize(
    "name", ["10:30.mp4", "data:x.mp4", "file:a.mp4", "pipe:0.mp4", "concat:a|b.mp4", "subfile,,:a.mp4"]
)
def test_names_that_ffmpeg_takes_for_protocols(tmp_path, monkeypatch, name):
    """Written and read by their relative names, sound and all, and streamed."""
    monkeypatch.chdir(tmp_path)
    written = write_clip(make_clip(5, sound=True), name)
    assert written == Path(name)
    assert [file.name for file in tmp_path.iterdir()] == [name]
    clip = read_clip(name)
    assert (len(clip), clip.audio is None) == (5, False)
    assert prepare_file(Path(name), width=64, height=64)[1].frames == 5


@pytest.mark.parametrize("name", ["bikes", "bigbuckbunny", "carphone_pristine"])
def test_real_clips_keep_size_rate_and_sound(real_clips, name, tmp_path):
    whole, size, fps = {
        "bikes": (250, (640, 272), Fraction(25)),
        "bigbuckbunny": (132, (1280, 720), Fraction(25)),
        "carphone_pristine": (120, (176, 144), Fraction(30000, 1001)),
    }[name]
    frames, info = prepare_file(real_clips[name], width=128, height=128, frames=9)
    assert (info.frames_in_file, info.fps) == (whole, fps)
    read = read_clip(write_clip(restore_clip(frames, info), tmp_path / "out.mp4"))
    assert (len(read), read.width, read.height, read.fps) == (9, *size, fps)
    if name == "bigbuckbunny":
        assert torch.equal(read.audio.waveform, info.audio.waveform)
        packets = sound_packets(real_clips[name])
        carried = sound_packets(tmp_path / "out.mp4")
        assert carried == packets[: len(carried)]


def test_an_interrupt_leaves_nothing_behind(tmp_path):
    class Stop(Exception):
        pass

    def stop(done, total, stage):
        if done == 3:
            raise Stop

    target = tmp_path / "clip.mp4"
    target.write_bytes(b"what was there before")
    with pytest.raises(Stop):
        write_clip(make_clip(sound=True), target, progress=stop)
    assert [file.name for file in tmp_path.iterdir()] == ["clip.mp4"]
    assert target.read_bytes() == b"what was there before"
    write_clip(make_clip(), target)
    with pytest.raises(Stop):
        read_clip(target, progress=stop)
    assert len(read_clip(target)) == 12


def test_progress_counts_to_the_end(tmp_path):
    seen = []
    write_clip(make_clip(5), tmp_path / "clip.mp4", progress=lambda *step: seen.append(step))
    read_clip(tmp_path / "clip.mp4", progress=lambda *step: seen.append(step))
    assert seen == [(k, 5, "Writing") for k in range(1, 6)] + [(k, 5, "Reading") for k in range(1, 6)]


def test_memory_stays_near_the_size_of_the_result(tmp_path):
    """40 frames of 1080p are 249 MB; reading them small must not hold a fraction of that."""
    path = tmp_path / "hd.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.full((1620, 1920), 128, np.uint8), format="yuv420p")
        for index in range(40):
            frame.pts = index
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    script = f"""
        import resource
        from track2view_core.video import prepare_file
        prepare_file({str(path)!r}, width=128, height=128, frames=2)  # what the decoder itself needs
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        prepared, _ = prepare_file({str(path)!r}, width=128, height=128)
        assert len(prepared) == 41
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        assert grown < prepared.numel() + 40 * 2**20, grown
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, check=True)


def test_sound_that_is_no_sound_is_refused():
    with pytest.raises(Track2ViewError, match=r"it must be \[C, S\] floats"):
        Audio(torch.zeros(1, 2, 100), 44100)
    with pytest.raises(Track2ViewError, match=r"sample_rate is .*above 0"):
        Audio(torch.zeros(2, 100), 0)
