"""Frames as a player shows them: upright, unmirrored, opaque, without combs, in the colours of BT.709."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from track2view_core.video import prepare_file, read_clip, write_clip
from track2view_core.video.tone_mapping import HLG, HLG_PEAK, PQ, hlg_scene_light, pq_code, pq_light, rolled_off

from .conftest import make_clip

MIRRORS: dict[str, tuple[tuple[int, int, int, int], Callable[[np.ndarray], np.ndarray]]] = {
    # (a, b, c, d) of x' = a x + c y, y' = b x + d y
    "left to right": ((-1, 0, 0, 1), lambda picture: picture[:, ::-1]),
    "top to bottom": ((1, 0, 0, -1), lambda picture: picture[::-1]),
    "along its diagonal": ((0, 1, 1, 0), lambda picture: picture.transpose(1, 0, 2)),
    "along its other diagonal": ((0, -1, -1, 0), lambda picture: picture[::-1, ::-1].transpose(1, 0, 2)),
}

OLD_PYAV = int(av.__version__.split(".")[0]) < 16


def with_matrix(file: Path, matrix: tuple[int, int, int, int]) -> Path:
    """The same file with another display matrix in its track header."""
    content = bytearray(file.read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    for slot, value in zip((0, 1, 3, 4), matrix, strict=True):
        content[at + 4 * slot : at + 4 * slot + 4] = (value * 0x10000).to_bytes(4, "big", signed=True)
    out = file.with_name("turned.mp4")
    out.write_bytes(content)
    return out


@pytest.mark.parametrize("way", MIRRORS)
def test_a_mirrored_file_is_mirrored_back(tmp_path, way):
    matrix, mirror = MIRRORS[way]
    file = write_clip(make_clip(3, 64, 48), tmp_path / "clip.mp4", quality=4)
    clip = read_clip(with_matrix(file, matrix))
    np.testing.assert_array_equal(clip.frames[1].numpy(), mirror(read_clip(file).frames[1].numpy()))
    assert [(note.code, note.facts) for note in clip.notes] == [("mirrored", {"way": way})]
    assert (prepare_file(tmp_path / "turned.mp4", width=64, height=64)[1].width) == clip.width


@pytest.mark.parametrize(("turn", "flip"), [("", "horizontal"), ("", "vertical"), ("90", "vertical"), ("90", "")])
def test_a_mirror_in_the_stream_itself(tmp_path, turn, flip):
    """H.264 can carry it in a message of its own (SEI), in any container."""
    file = write_clip(make_clip(3, 64, 48), tmp_path / "clip.mp4", quality=4)
    wanted = "".join([f":rotate={turn}"] * bool(turn) + [f":flip={flip}"] * bool(flip))
    with av.open(str(file)) as source, av.open(str(tmp_path / "sei.mkv"), "w") as output:
        track = source.streams.video[0]
        stream = output.add_stream_from_template(track)
        bsf = BitStreamFilterContext(f"h264_metadata=display_orientation=insert{wanted}", track, stream)
        for packet in source.demux(track):
            for changed in bsf.filter(packet if packet.size else None):
                changed.stream = stream
                output.mux(changed)
    stored, shown = read_clip(file).frames[1].numpy(), read_clip(tmp_path / "sei.mkv")
    # H.274: first the flip, then the turn counter-clockwise.
    expected = stored[:, ::-1] if flip == "horizontal" else stored[::-1] if flip else stored
    np.testing.assert_array_equal(shown.frames[1].numpy(), np.rot90(expected, 1 if turn else 0))
    assert [note.code for note in shown.notes] == ["mirrored" if flip else "set_upright"]


if OLD_PYAV:  # its bit stream filter writes no valid file
    del test_a_mirror_in_the_stream_itself


# --- interlaced -------------------------------------------------------------------------------------------------------


def moving_edge(field: int) -> np.ndarray:
    """A bright bar on grey that moves 3 px a field, [64, 96, 3]."""
    picture = np.full((64, 96, 3), 60, np.uint8)
    picture[:, 10 + 3 * field : 22 + 3 * field] = 220
    return picture


INTERLACED = [
    ("mp4", "libx264", "yuv420p", {"flags": "+ildct+ilme", "x264-params": "tff=1", "crf": "4"}),
    ("mpg", "mpeg2video", "yuv420p", {"flags": "+ildct+ilme", "b": "8000000"}),
    ("mkv", "libx264", "yuv422p", {"flags": "+ildct+ilme", "x264-params": "tff=1", "crf": "4"}),
    ("mov", "prores_ks", "yuv422p10le", {"flags": "+ildct"}),
    ("avi", "mpeg4", "yuv420p", {"flags": "+ildct+ilme", "q": "2"}),
    ("mp4", "libx264", "yuv420p", {"crf": "4"}),
]


@pytest.mark.parametrize(
    ("ending", "codec", "format", "options", "frames"),
    # What no flag tells is only found in enough frames, and not by an old PyAV.
    [
        (*kind, frames)
        for kind in INTERLACED
        for frames in (3, 8)
        if kind[3].get("flags") or (frames > 3 and not OLD_PYAV)
    ],
)
def test_interlaced_pictures_lose_their_combs(tmp_path, ending, codec, format, options, frames):
    file = tmp_path / f"interlaced.{ending}"
    with av.open(str(file), "w") as output:
        stream = output.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 64, format
        for index in range(frames):
            woven = moving_edge(2 * index)
            woven[1::2] = moving_edge(2 * index + 1)[1::2]
            frame = av.VideoFrame.from_ndarray(woven, format="rgb24").reformat(format=format)
            frame.pts = index
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    clip = read_clip(file)
    assert (len(clip), clip.fps) == (frames, 25)
    assert [note.code for note in clip.notes] == ["deinterlaced" if "flags" in options else "combs_found"]
    for index in range(frames):
        combs = np.abs(np.diff(clip.frames[index, 4:60].numpy().astype(int), axis=0)).mean()
        assert combs < 3, (index, combs)  # 8 and more where the fields stand as they are woven
        fields = moving_edge(2 * index), moving_edge(2 * index + 1)
        # The encoders flag either field as the first, and the frame shows that one: the other is 9 away.
        assert min(np.abs(clip.frames[index].numpy().astype(int) - field).mean() for field in fields) < 2


def test_a_progressive_file_is_left_as_it_is(tmp_path):
    clip = read_clip(write_clip(make_clip(5, 64, 48), tmp_path / "clip.mp4"))
    assert clip.notes == ()


# --- transparent ------------------------------------------------------------------------------------------------------

TRANSPARENT = [
    ("mov", "prores_ks", "yuva444p10le", {}),
    ("mov", "qtrle", "argb", {}),
    ("mov", "png", "rgba", {}),
    ("mkv", "ffv1", "yuva420p", {}),
    ("webm", "libvpx-vp9", "yuva420p", {"auto-alt-ref": "0", "crf": "4", "b": "0"}),
    ("webm", "libvpx", "yuva420p", {"auto-alt-ref": "0", "crf": "4", "b": "2000000"}),
]


@pytest.mark.parametrize(("ending", "codec", "format", "options"), TRANSPARENT)
@pytest.mark.parametrize("opaque", [False, True])
def test_what_is_transparent_lies_over_black(tmp_path, ending, codec, format, options, opaque):
    picture = np.full((48, 96, 4), (200, 120, 60, 255), np.uint8)
    if not opaque:
        picture[:, 32:64] = 255, 0, 255, 0
        picture[:, 64:] = 200, 120, 60, 128
    with av.open(str(tmp_path / f"clip.{ending}"), "w") as output:
        stream = output.add_stream(codec, rate=24, options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 48, format
        for index in range(3):
            frame = av.VideoFrame.from_ndarray(picture, format="rgba").reformat(format=format)
            frame.pts = index
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    clip = read_clip(tmp_path / f"clip.{ending}")
    shown = clip.frames[2, 24].numpy().astype(int)
    assert np.abs(shown[16] - (200, 120, 60)).max() <= 6
    assert np.abs(shown[48] - ((200, 120, 60) if opaque else 0)).max() <= 6
    assert np.abs(shown[80] - ((200, 120, 60) if opaque else (100, 60, 30))).max() <= 6
    assert [note.code for note in clip.notes] == [] if opaque else ["laid_over_black"]


# --- high dynamic range, wide gamuts ----------------------------------------------------------------------------------

# BT.2087-0, the way back: linear BT.709 in the primaries of BT.2020
BT2020_FROM_BT709 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
# SMPTE EG 432-1: the same in those of P3 with the white of D65
P3_FROM_BT709 = np.array([[0.8225, 0.1774, 0.0], [0.0332, 0.9669, 0.0], [0.0171, 0.0724, 0.9108]])
PATCHES = np.array([[1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.2, 0.1]])  # shares of a light, in BT.709


# Of a film this short x265 at times tells decoding times after its frames' own, when its threads take turns.
LOSSLESS_X265 = "log-level=none:lossless=1:bframes=0:frame-threads=1:pools=none"


def write_patches(
    file: Path, codes: np.ndarray, transfer: int, primaries: int, matrix: int = 9, codec: str = "ffv1", **options: str
) -> Path:
    """A file of patches [N, 3] of RGB codes 0..1 side by side, 32 px wide, as 10-bit Y'CbCr of 4:2:0."""
    red, blue = {9: (0.2627, 0.0593), 1: (0.2126, 0.0722)}[matrix]
    luma = codes @ np.array([red, 1 - red - blue, blue])
    planes = (
        64 + 876 * luma,
        512 + 896 * (codes[:, 2] - luma) / (2 * (1 - blue)),
        512 + 896 * (codes[:, 0] - luma) / (2 * (1 - red)),
    )
    frame = av.VideoFrame(32 * len(codes), 64, "yuv420p10le")
    for plane, values, wide in zip(frame.planes, planes, (32, 16, 16), strict=True):
        rows = np.zeros((plane.height, plane.line_size // 2), np.uint16)
        rows[:, : wide * len(codes)] = np.repeat(np.rint(values), wide)
        plane.update(rows.tobytes())
    with av.open(str(file), "w") as output:
        stream = output.add_stream(codec, rate=24, options=options)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace, context.color_range = (
            transfer, primaries, matrix, 1,
        )  # fmt: skip
        for index in range(2):
            frame.pts = index
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file


def patches_of(clip) -> np.ndarray:
    assert clip.frames[0, :, 8:24].float().std(dim=(0, 1)).max() < 1
    return clip.frames[1, 32, 16::32].numpy().astype(float)


def hlg_code(light: np.ndarray) -> np.ndarray:
    """Of a light [N, 3] in cd/m2: BT.2100-2, the inverse of the OOTF and then the OETF."""
    luminance = light @ np.array([[0.2627], [0.6780], [0.0593]])
    scene = light / HLG_PEAK * np.maximum(luminance / HLG_PEAK, 1e-12) ** (1 / 1.2 - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)


def test_the_curves_meet_the_figures_of_bt2408():
    """Table 1 of BT.2408: white at 203 cd/m2 is 58 % PQ and 75 % HLG; 1000 cd/m2 is 75 % PQ."""
    assert pq_code(203) == pytest.approx(0.58, abs=2e-3)
    assert pq_code(1000) == pytest.approx(0.7518, abs=1e-4)
    np.testing.assert_allclose(pq_light(pq_code([0.01, 1, 100, 10_000])), [0.01, 1, 100, 10_000], rtol=1e-9)
    assert HLG_PEAK * hlg_scene_light(np.array(0.75)) ** 1.2 == pytest.approx(203, abs=1)
    light = np.linspace(0.01, 1000, 2000)
    rolled = rolled_off(light, 1000)
    np.testing.assert_allclose(rolled[light < 88], light[light < 88], rtol=1e-9)
    assert (np.diff(rolled) > 0).all()
    assert rolled[-1] == pytest.approx(203, rel=1e-6)


@pytest.mark.parametrize("transfer", [PQ, HLG])
@pytest.mark.parametrize(("ending", "codec"), [("mkv", "ffv1"), ("ts", "libx265")])
def test_hdr_is_tone_mapped(tmp_path, transfer, ending, codec):
    """Below the knee, at 88 cd/m2, every colour of BT.709 is what a screen of 203 cd/m2 shows; above it whites stay
    white and in order, and 1000 cd/m2 is the brightest."""
    encode = pq_code if transfer == PQ else hlg_code
    quiet = {"x265-params": LOSSLESS_X265} if codec == "libx265" else {}
    light = np.concatenate([PATCHES * 80 @ BT2020_FROM_BT709.T, [[203] * 3, [600] * 3, [1000] * 3]])
    clip = read_clip(write_patches(tmp_path / f"hdr.{ending}", encode(light), transfer, 9, codec=codec, **quiet))
    shown = patches_of(clip)
    expected = 255 * (PATCHES * 80 / 203) ** (1 / 2.4)
    assert np.abs(shown[:5] - expected)[expected > 0].max() <= 3
    assert shown[:5][expected == 0].max() <= 25  # codes of 10 bits hold dark ones coarsely
    white, bright, brightest = shown[5:]
    assert (np.ptp(shown[[0, 5, 6, 7]], axis=1) <= 2).all()
    assert 225 < white[0] < bright[0] < brightest[0]
    assert brightest[0] >= 253
    assert [note.code for note in clip.notes] == ["hdr_tone_mapped"]
    assert clip.notes[0].facts == {"transfer": "PQ" if transfer == PQ else "HLG", "peak": 1000}


def test_the_peak_that_a_file_names_is_used(tmp_path):
    light = np.array([[1000.0] * 3, [4000.0] * 3])
    named = f"{LOSSLESS_X265}:max-cll=4000,400"
    file = write_patches(tmp_path / "bright.mkv", pq_code(light), PQ, 9, codec="libx265", **{"x265-params": named})
    clip = read_clip(file)
    assert clip.notes[0].facts["peak"] == 4000
    thousand, brightest = patches_of(clip)[:, 0]
    assert 240 < thousand < brightest - 4


@pytest.mark.parametrize(("primaries", "matrix", "to_wide"), [(9, 9, BT2020_FROM_BT709), (12, 1, P3_FROM_BT709)])
def test_wide_gamuts_come_back_to_bt709(tmp_path, primaries, matrix, to_wide):
    wide = np.clip(PATCHES @ to_wide.T, 0, 1)
    clip = read_clip(write_patches(tmp_path / "wide.mkv", wide ** (1 / 2.4), 1, primaries, matrix))
    expected = 255 * PATCHES ** (1 / 2.4)
    assert np.abs(patches_of(clip) - expected)[expected > 0].max() <= 3
    assert patches_of(clip)[expected == 0].max() <= 30
    assert [note.code for note in clip.notes] == ["gamut_mapped"]


@pytest.mark.parametrize("matrix", [5, 1])
@pytest.mark.parametrize("full", [False, True])
def test_range_and_matrix_are_those_of_the_file(tmp_path, full, matrix):
    """Phones and screen recorders use the full range, and PyAV 14 alone would not mind it."""
    red, blue = {5: (0.299, 0.114), 1: (0.2126, 0.0722)}[matrix]
    color = np.array([0.8, 0.35, 0.25])
    luma = color @ np.array([red, 1 - red - blue, blue])
    chroma = np.array([(color[2] - luma) / (2 * (1 - blue)), (color[0] - luma) / (2 * (1 - red))])
    coded = (255 * luma, *(128 + 255 * chroma)) if full else (16 + 219 * luma, *(128 + 224 * chroma))
    planes = np.rint(coded).astype(np.uint8)[:, None, None].repeat(64, 1).repeat(64, 2)
    frame = av.VideoFrame.from_ndarray(planes, format="yuv444p").reformat(format="yuv420p")
    frame.color_range, frame.colorspace = 2 if full else 1, matrix
    with av.open(str(tmp_path / "clip.mkv"), "w") as output:
        stream = output.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.color_range, stream.codec_context.colorspace = 2 if full else 1, matrix
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    clip = read_clip(tmp_path / "clip.mkv")
    assert np.abs(clip.frames[0, 32, 32].numpy() - 255 * color).max() <= 2


def test_ten_bits_of_bt709_are_no_hdr(tmp_path):
    codes = PATCHES**0.5
    clip = read_clip(write_patches(tmp_path / "plain.mkv", codes, 1, 1, matrix=1))
    assert np.abs(patches_of(clip) - 255 * codes).max() <= 2
    assert clip.notes == ()
