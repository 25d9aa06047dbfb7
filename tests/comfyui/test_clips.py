"""Clips that nobody made for the model: portrait with sound, images of an odd size, a trimmed length."""

from fractions import Fraction

import av
import pytest
import torch

PREPARE, RESTORE = "Track2View_PrepareClip", "Track2View_RestoreClip"


def there_and_back(source, **inputs):
    """Prepare Clip and Restore Clip with nothing between, saved by core's node."""
    return {
        **source,
        "2": {"class_type": PREPARE, "inputs": {"width": 128, "height": 64, "max_frames": 0, "fps": 16.0, **inputs}},
        "3": {"class_type": RESTORE, "inputs": {"image": ["2", 0], "clip_info": ["2", 1], "size": "original"}},
        "4": {
            "class_type": "SaveVideo",
            "inputs": {"video": ["3", 0], "filename_prefix": "clips/back", "format": "auto", "codec": "auto"},
        },
        "5": {"class_type": "PreviewAny", "inputs": {"source": ["2", 2]}},
    }


def saved(server, run):
    assert run.error is None, run.error
    (entry,) = run.outputs["4"]["images"]
    return av.open(str(server.base / "output" / entry["subfolder"] / entry["filename"]))


@pytest.fixture(scope="module")
def portrait(server):
    """A file of 7 frames, 90 x 160, at 30000/1001, with sound, in ComfyUI's input folder."""
    from track2view_core.video import Audio, VideoClip, write_clip

    fps = Fraction(30000, 1001)
    frames = torch.randint(0, 255, (7, 160, 90, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    sound = torch.sin(torch.arange(int(7 / fps * 48000)) * 0.05).repeat(2, 1)
    write_clip(VideoClip(frames, fps, Audio(sound, 48000)), server.base / "input/portrait.mp4")
    return {"1": {"class_type": "LoadVideo", "inputs": {"file": "portrait.mp4"}}}


def test_a_portrait_file_with_sound_comes_back_as_it_was(server, portrait):
    run = server.run(there_and_back(portrait, video=["1", 0]))
    with saved(server, run) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (90, 160, Fraction(30000, 1001))
        assert sum(1 for _ in container.decode(stream)) == 7
        assert container.streams.audio
    assert any("90 x 160" in text and "padded" in text.lower() for _, text in run.texts)


def test_only_the_first_frames_are_taken_and_the_report_says_so(server, portrait):
    run = server.run(there_and_back(portrait, video=["1", 0], max_frames=3))
    with saved(server, run) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3
    assert any("first 3 of 7" in text for _, text in run.texts)


def test_a_file_is_shown_as_it_asks_to_be(server, portrait):
    """Mirrored by its display matrix, which core's own reader leaves out; and the report says so."""
    content = bytearray((server.base / "input/portrait.mp4").read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    content[at : at + 4] = (-0x10000).to_bytes(4, "big", signed=True)
    (server.base / "input/mirrored.mp4").write_bytes(content)
    graph = there_and_back({"1": {"class_type": "LoadVideo", "inputs": {"file": "mirrored.mp4"}}}, video=["1", 0])
    shown = []
    for run in (server.run(graph), server.run(there_and_back(portrait, video=["1", 0]))):
        with saved(server, run) as container:
            shown.append(next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int))
        shown.append(any("mirrored, left to right" in text for _, text in run.texts))
    assert shown[1] and not shown[3]
    assert 2 * abs(shown[0][:, ::-1] - shown[2]).mean() < abs(shown[0] - shown[2]).mean()


def test_images_of_an_odd_size_play_everywhere_and_take_the_given_rate(server):
    images = {"1": {"class_type": "EmptyImage", "inputs": {"width": 75, "height": 33, "batch_size": 2, "color": 255}}}
    with saved(server, server.run(there_and_back(images, image=["1", 0], fps=23.976))) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (76, 34, Fraction(24000, 1001))
        assert stream.pix_fmt == "yuv420p"
        assert sum(1 for _ in container.decode(stream)) == 2


def test_an_upscaled_and_interpolated_clip_keeps_its_duration(server, portrait):
    graph = there_and_back(portrait, video=["1", 0])
    larger = {"image": ["2", 0], "upscale_method": "bilinear", "scale_by": 2.0}
    graph["6"] = {"class_type": "ImageScaleBy", "inputs": larger}
    graph["7"] = {"class_type": "RepeatImageBatch", "inputs": {"image": ["6", 0], "amount": 2}}
    graph["3"]["inputs"] |= {"image": ["7", 0], "size": "keep"}
    with saved(server, server.run(graph)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == Fraction(60000, 1001)
        assert sum(1 for _ in container.decode(stream)) == 14
        assert (stream.width, stream.height) == (128, 228)  # twice the 64 x 114 that fit the turned box
