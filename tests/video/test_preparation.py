from __future__ import annotations

from fractions import Fraction

import cv2
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from track2view_core.errors import Track2ViewError
from track2view_core.notes import report_lines
from track2view_core.video import prepare_clip, prepare_file, read_clip, restore_clip, write_clip
from track2view_core.video.preparation import pad_as_prepared

from .conftest import make_clip, make_pictures


def noise_clip(frames, width, height, fps=Fraction(24)):
    clip = make_clip(frames, width, height, fps)
    clip.frames[:] = torch.randint(0, 256, clip.frames.shape, generator=torch.Generator().manual_seed(0))
    return clip


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 11), st.integers(16, 70), st.integers(16, 70))
def test_a_clip_that_needs_no_scaling_comes_back_bit_for_bit(frames, width, height):
    clip = noise_clip(frames, width, height, Fraction(30000, 1001))
    prepared, info = prepare_clip(clip, width=width, height=height)
    assert len(prepared) % 4 == 1
    assert prepared.shape[1] % 16 == prepared.shape[2] % 16 == 0
    assert not info.resized
    for size in ("original", "keep"):
        restored = restore_clip(prepared, info, size=size)
        assert torch.equal(restored.frames, clip.frames)
        assert restored.fps == clip.fps


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 7),
    st.integers(8, 90),
    st.integers(8, 90),
    st.integers(16, 96),
    st.integers(16, 96),
)
def test_size_length_and_rate_always_come_back(frames, width, height, box_width, box_height):
    clip = make_clip(frames, width, height, Fraction(24000, 1001))
    prepared, info = prepare_clip(clip, width=box_width, height=box_height)
    left, _, content_width, content_height = info.content
    assert left in ((info.prepared_width - content_width) // 2, (info.prepared_width - content_width + 1) // 2)
    assert max(content_width, content_height) <= max(box_width, box_height)
    assert prepared.shape == (info.prepared_frames, info.prepared_height, info.prepared_width, 3)
    restored = restore_clip(prepared, info)
    assert restored.frames.shape == clip.frames.shape
    assert restored.fps == clip.fps


def test_padding_repeats_edges_and_the_last_frame():
    clip = noise_clip(2, 30, 20)
    prepared, info = prepare_clip(clip, width=30, height=20)
    assert prepared.shape == (5, 32, 32, 3)
    left, top, width, height = info.content
    assert (left, top, width, height) == (1, 6, 30, 20)
    assert torch.equal(prepared[:2, top : top + height, left : left + width], clip.frames)
    assert (prepared[:, :top] == prepared[:, top : top + 1]).all()
    assert (prepared[:, top + height :] == prepared[:, top + height - 1 : top + height]).all()
    assert (prepared[:, :, :left] == prepared[:, :, left : left + 1]).all()
    assert (prepared[:, :, left + width :] == prepared[:, :, left + width - 1 : left + width]).all()
    assert (prepared[2:] == prepared[1]).all()


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_what_was_cut_off_is_padded_again_at_any_scale(scale):
    prepared, info = prepare_clip(noise_clip(6, 30, 20), width=30, height=20)
    larger = prepared.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
    clip = restore_clip(larger, info, size="keep").frames
    height, width = larger.shape[1:3]
    assert torch.equal(pad_as_prepared(clip, info, width=width, height=height), larger)
    with pytest.raises(Track2ViewError, match=r"6 of 30 x 20"):
        pad_as_prepared(clip[:5], info, width=32, height=32)


def test_scaling_down_and_up_again_stays_near_a_smooth_clip():
    clip = make_clip(3, 320, 180)
    restored = restore_clip(*prepare_clip(clip, width=160, height=160))
    assert (restored.frames.float() - clip.frames.float()).abs().mean() < 1.5


def test_scaling_down_is_antialiased():
    clip = make_clip(1, 256, 256)
    clip.frames[:] = torch.tensor([0, 255], dtype=torch.uint8).repeat(128)[None, None, :, None]  # one-pixel stripes
    prepared, _ = prepare_clip(clip, width=64, height=64)
    assert (prepared.int() - 128).abs().max() <= 1


@pytest.mark.parametrize("factor", [Fraction(2), Fraction(4), Fraction(3, 2), Fraction(1, 2), Fraction(11, 8)])
@pytest.mark.parametrize("size", [(64, 48), (60, 44), (50, 37)])
def test_restore_behind_an_upscaler(factor, size):
    clip = make_clip(3, *size)
    prepared, info = prepare_clip(clip, width=64, height=64)
    width, height = round(info.prepared_width * factor), round(info.prepared_height * factor)
    scaled = torch.stack([torch.from_numpy(cv2.resize(picture.numpy(), (width, height))) for picture in prepared])
    back = restore_clip(scaled, info)
    assert back.frames.shape == clip.frames.shape
    assert (back.frames.float() - clip.frames.float()).abs().mean() < (3 if factor > 1 else 8)
    kept = restore_clip(scaled, info, size="keep")
    assert abs(kept.width - info.content[2] * factor) <= 1
    assert abs(kept.height - info.content[3] * factor) <= 1
    # No padding is left: the kept content shows what the whole clip shows.
    target = torch.stack(
        [torch.from_numpy(cv2.resize(picture.numpy(), (kept.width, kept.height))) for picture in clip.frames]
    )
    assert (kept.frames.float() - target.float()).abs().mean() < 8


@given(st.integers(1, 40), st.integers(1, 9), st.booleans())
@settings(deadline=None, max_examples=80)
def test_restore_behind_frame_interpolation(frames, factor, closed):
    clip = make_clip(1, 16, 16, Fraction(30000, 1001))
    clip = type(clip)(clip.frames.expand(frames, -1, -1, -1), clip.fps)
    prepared, info = prepare_clip(clip, width=16, height=16)
    length = factor * (len(prepared) - 1) + 1 if closed else factor * len(prepared)
    restored = restore_clip(prepared[:1].expand(length, -1, -1, -1), info)
    if closed and len(prepared) == 1:
        factor = 1
    if closed and length % len(prepared) == 0 and len(prepared) > 1:
        factor, closed = length // len(prepared), False
    assert restored.fps == clip.fps * factor
    assert len(restored) == (factor * (frames - 1) + 1 if closed else factor * frames)
    assert 0 <= clip.seconds - restored.seconds < 1 / clip.fps


def test_interpolated_frames_keep_their_order():
    clip = make_clip(6)
    prepared, info = prepare_clip(clip, width=64, height=64)
    restored = restore_clip(prepared.repeat_interleave(3, dim=0), info)
    assert torch.equal(restored.frames, clip.frames.repeat_interleave(3, dim=0))


@pytest.mark.parametrize("count", [1, 6, 8, 10, 12, 100])
def test_any_other_count_is_refused(count):
    prepared, info = prepare_clip(make_clip(7), width=64, height=64)
    with pytest.raises(Track2ViewError, match="came back, but the clip was prepared as 9; give k x 9 or k x 8"):
        restore_clip(prepared[:1].expand(count, -1, -1, -1), info)


def test_uneven_scaling_is_refused():
    prepared, info = prepare_clip(make_clip(), width=64, height=64)
    with pytest.raises(Track2ViewError, match="scale both sides by the same factor"):
        restore_clip(prepared[:, :, :32], info)


def test_the_report_says_what_happened():
    clip = make_clip(20, 100, 50, Fraction(30000, 1001), sound=True)
    _, info = prepare_clip(clip, width=64, height=64, frames=6)
    assert "\n".join(report_lines(info.report())) == (
        "Clip: 100 x 50, 6 frames at 29.97 frames a second (0.20 s), 2 x 44100 Hz sound.\n"
        "Trimmed: the first 6 of 20 frames, and the sound to match.\n"
        "Scaled: 100 x 50 to 64 x 32, the whole picture, aspect kept.\n"
        "Lengthened: to 9 frames (4n + 1) by showing the last one 3 times more."
    )
    assert info.audio.seconds == pytest.approx(6 * 1001 / 30000, abs=1e-4)
    _, untouched = prepare_clip(make_clip(5, 64, 48), width=64, height=48)
    (note,) = untouched.report()
    assert note.text() == "Clip: 64 x 48, 5 frames at 24 frames a second (0.21 s), no sound."


def test_a_file_is_prepared_exactly_as_its_clip(tmp_path):
    file = write_clip(make_clip(14, 130, 98, Fraction(30000, 1001), sound=True), tmp_path / "clip.mp4")
    for frames in (None, 6):
        from_clip, clip_info = prepare_clip(read_clip(file), width=64, height=64, frames=frames)
        from_file, file_info = prepare_file(file, width=64, height=64, frames=frames)
        assert torch.equal(from_clip, from_file)
        assert clip_info.report() == file_info.report()
        assert torch.equal(clip_info.audio.waveform, file_info.audio.waveform)


def test_non_square_pixels_are_squared_for_the_model_and_given_back():
    clip = make_clip(5, 90, 96)
    clip = type(clip)(clip.frames, clip.fps, pixel_aspect=Fraction(16, 9))
    prepared, info = prepare_clip(clip, width=80, height=80)
    assert info.content[2:] == (80, 48)
    restored = restore_clip(prepared, info)
    assert (restored.width, restored.height, restored.pixel_aspect) == (90, 96, Fraction(16, 9))
    assert restore_clip(prepared, info, size="keep").pixel_aspect == 1


@pytest.mark.parametrize(
    "frames", [make_pictures(2, 16, 16).float(), make_pictures(2, 16, 16)[0], make_pictures(2, 16, 16)[:0]]
)
def test_frames_of_another_kind_are_refused(frames):
    _, info = prepare_clip(make_clip(5, 16, 16), width=16, height=16)
    with pytest.raises(Track2ViewError, match=r"The frames have shape .*; they must be"):
        restore_clip(frames, info)
    with pytest.raises(Track2ViewError, match=r"The frames have shape .*; they must be"):
        type(make_clip())(frames, Fraction(24))


def test_limits_below_one_frame_are_refused():
    with pytest.raises(Track2ViewError, match="frames is 0; it must be 1 or more"):
        prepare_clip(make_clip(), width=64, height=64, frames=0)
