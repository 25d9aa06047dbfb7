"""Whatever is not a clip is answered in one sentence that says what to do."""

from __future__ import annotations

import av
import numpy as np
import pytest
import torch

from track2view_core.errors import Track2ViewError
from track2view_core.video import prepare_file, read_clip, write_clip

from .conftest import make_clip, make_sound


def refusal(file, **options) -> str:
    messages = []
    for read in (read_clip, lambda *given, **more: prepare_file(*given, width=64, height=64, **more)):
        with pytest.raises(Track2ViewError) as caught:
            read(file, **options)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert "\n" not in messages[0]
    return messages[0]


def test_missing_empty_and_folder(tmp_path):
    assert refusal(tmp_path / "none.mp4").endswith("none.mp4 does not exist; give an existing video file.")
    (tmp_path / "empty.mp4").write_bytes(b"")
    assert "is empty (0 bytes); give a video file" in refusal(tmp_path / "empty.mp4")
    assert "is a folder; give a video file." in refusal(tmp_path)
    assert "does not exist" in refusal("https://example.org/clip.mp4")


@pytest.mark.parametrize("name", ["clip.mp4", "clip.txt", "clip.mov", "clip"])
def test_text_is_no_video(tmp_path, name):
    (tmp_path / name).write_text("These are only words.\n" * 40)
    assert "give a" in refusal(tmp_path / name)
    assert "video" in refusal(tmp_path / name)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi"])
def test_random_bytes_are_no_video(tmp_path, name):
    (tmp_path / name).write_bytes(np.random.default_rng(0).bytes(20_000))
    assert "video" in refusal(tmp_path / name)


def test_a_picture_is_no_video(tmp_path):
    frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
    for ending in ("png", "jpg"):
        path = tmp_path / f"still.{ending}"
        with av.open(str(path), "w", format="image2") as output:
            stream = output.add_stream("png" if ending == "png" else "mjpeg", rate=1)
            stream.width = stream.height = 32
            stream.pix_fmt = "rgb24" if ending == "png" else "yuvj420p"
            output.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
            output.mux(stream.encode(None))
        assert "is not a video" in refusal(path)


def test_sound_alone_has_no_pictures(tmp_path):
    path = tmp_path / "sound.m4a"
    with av.open(str(path), "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=44100, layout="stereo")
        frame = av.AudioFrame.from_ndarray(make_sound(0.5).waveform.numpy(), format="fltp", layout="stereo")
        frame.sample_rate = 44100
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    assert refusal(path).endswith("has no video stream; give a file with pictures in it.")


def test_a_file_without_its_index_is_refused(tmp_path):
    path = tmp_path / "clip.mp4"
    write_clip(make_clip(), path)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"moov")])
    assert "give a whole .mp4" in refusal(path)


def test_a_truncated_file_says_how_much_of_it_can_be_read(tmp_path):
    path = tmp_path / "clip.mp4"
    clip = make_clip(40, 128, 96)
    clip.frames[:] = torch.randint(0, 256, clip.frames.shape, generator=torch.Generator().manual_seed(1))
    write_clip(clip, path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    message = refusal(path)
    assert "is cut short or damaged" in message
    assert "of its 40 frames can be read" in message
    readable = int(message.split("set frames to ")[1].split()[0])
    assert 10 < readable < 40
    assert len(read_clip(path, frames=readable)) == readable
    assert len(prepare_file(path, width=64, height=64, frames=5)[0]) == 5


def test_limits_and_boxes_that_cannot_be(tmp_path):
    path = write_clip(make_clip(), tmp_path / "clip.mp4")
    assert "frames is 0; it must be 1 or more" in refusal(path, frames=0)
    with pytest.raises(Track2ViewError, match="width to work at is 8"):
        read_clip(path, box=(8, 64))


def test_places_that_cannot_be_written(tmp_path):
    clip = make_clip(2)
    for target, message in (
        (tmp_path / "clip.gif", "a video must end in .mp4"),
        (tmp_path / "none" / "clip.mp4", "does not exist; create it"),
    ):
        with pytest.raises(Track2ViewError, match=message):
            write_clip(clip, target)
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(Track2ViewError, match="is a folder"):
        write_clip(clip, tmp_path / "folder.mp4")
    with pytest.raises(Track2ViewError, match="quality is 99"):
        write_clip(clip, tmp_path / "clip.mp4", quality=99)
    assert [file.name for file in tmp_path.iterdir()] == ["folder.mp4"]
