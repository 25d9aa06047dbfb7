"""Feed every camera reader files that are damaged at random, and count what becomes of them.

    python -m benchmarks.fuzz_formats                  # 20,000 files a reader
    python -m benchmarks.fuzz_formats --examples 500   # a first look

A reader may return a path or raise Track2ViewError with one sentence; anything else is a crash, which ends the run and
is printed with the file that caused it. Hypothesis seeds the damage. Set TMPDIR to a folder in memory to save time.
"""

from __future__ import annotations

import argparse
import io
import json
import pickle
import re
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from track2view_core.cameras import CameraPath
from track2view_core.cameras.formats import FORMATS, read_path
from track2view_core.cameras.rotations import matrix_from_axis_angle, rigid
from track2view_core.errors import Track2ViewError

Files = dict[str, bytes]  # name -> content; one file, or those of a folder
_PLAIN_WORDS = b"nan NaN inf -Infinity 1e999 1e308 -1e308 1e-320 0 -0 -1 1 2 1_0 0,5 1.5 1e6 0x10 true null frame0"
_SIGNS = [b"[]", b"{}", b'""', b'"x"', b"[", b"}", b"#", b"\x00", b"\r", b"\n", b"\n\n", b"\t", b"a b"]
_ENCODED = [b"\xff\xfe", b"\xef\xbb\xbf", b"\xe4\xf6", b"\xf0\x9f\x98\x80", "\u0661".encode()]
WORDS = [*_PLAIN_WORDS.split(), *_SIGNS, *_ENCODED, b"9" * 30, b"9" * 5000]
_NUMBERS: list[Any] = [0, 1, -1, 2, 3.5, 1e308, -1e308, 10**400, 10**18, 1e-320, 5123, 100_001, True, False, None]
_TEXTS: list[Any] = ["", "x", "1", "nan", "[1 0 0 0] [0 1 0 0] [0 0 1 0] [0 0 0 1]", "STEP", "MAT4", "../a", "data:,"]
_SHAPES: list[Any] = [[], {}, [[]], [0], [0, 0, 0], [0, 0, 0, 1], {"x": 1}]
VALUES = [*_NUMBERS, *_TEXTS, *_SHAPES]


@cache
def valid_files(name: str) -> list[Files]:
    """Sound files of a format, small, to be damaged."""
    path = _path()
    if name == "realcamvid":
        return [{"clips.npz": _clips([_clip()], protocol)} for protocol in (2, 3, 4)]
    if name == "nerfstudio_path":
        return [{"camera.json": _viewer_path(path)}]
    told = FORMATS[name]
    assert told.write is not None
    endings = told.endings or ("",)
    written = [told.write(path, Path(f"camera{ending}")) for ending in endings]
    return [
        {f"camera{ending}": content} if isinstance(content, bytes) else dict(content)
        for ending, content in zip(endings, written, strict=True)
    ]


def _path() -> CameraPath:
    steps = torch.tensor([[0.1, 0.2, -0.1, 1, 2, 3]], dtype=torch.float64) * torch.arange(3)[:, None]
    lens = torch.tensor([[50.0, 0, 32], [0, 50, 24], [0, 0, 1]], dtype=torch.float64).repeat(3, 1, 1)
    return CameraPath(rigid(matrix_from_axis_angle(steps[:, :3]), steps[:, 3:]), lens, 64, 48, 25.0)


def _viewer_path(path: CameraPath) -> bytes:
    """As the nerfstudio viewer exports it."""
    frames = [
        {"camera_to_world": pose.flatten().tolist(), "fov": 45, "aspect": 4 / 3} for pose in path.world_from_camera
    ]
    told = {"camera_type": "perspective", "render_width": 64, "render_height": 48, "fps": 24, "camera_path": frames}
    return json.dumps(told).encode()


def _clip() -> dict[str, Any]:
    """One clip in RealCam-Vid's layout, of the kinds of numbers its files come with."""
    return {
        "video_path": "a.mp4",
        "camera_extrinsics": _path().camera_from_world.numpy(),
        "camera_intrinsics": np.array([0.5, 0.8, 0.5, 0.5], np.float32),
        "align_factor": np.float64(2.0),
        "caption": "a clip",
    }


def _clips(clips: list[Any], protocol: int) -> bytes:
    listed = np.empty(len(clips), dtype=object)
    listed[:] = clips
    array = io.BytesIO()
    np.lib.format.write_array_header_1_0(array, {"descr": "|O", "fortran_order": False, "shape": (len(clips),)})
    return _zipped(array.getvalue() + pickle.dumps(listed, protocol=protocol))


def _zipped(content: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("arr_0.npy", content)
    return archive.getvalue()


# --- damage -----------------------------------------------------------------------------------------------------------


def damaged_files(name: str, random: Random) -> Files:
    """One of the format's sound files with one part damaged; now and then nothing but noise."""
    files = dict(random.choice(valid_files(name)))
    part = random.choice(sorted(files))
    kind = random.randrange(20)
    if kind == 0:
        files[part] = random.randbytes(random.randrange(300))
    elif kind == 1 and len(files) > 1:
        del files[part]
    elif kind < 10 and part.endswith((".json", ".gltf")):
        files[part] = json.dumps(_damaged_value(json.loads(files[part]), random)).encode()
    elif kind < 10 and part.endswith(".npz"):
        clip = {name: value.tolist() if hasattr(value, "tolist") else value for name, value in _clip().items()}
        files[part] = _clips([_damaged_value(clip, random)], random.choice([2, 3, 4]))
    elif kind < 18 and part.endswith(".npz"):
        with zipfile.ZipFile(io.BytesIO(files[part])) as archive:
            files[part] = _zipped(_damaged_bytes(archive.read("arr_0.npy"), random))
    else:
        files[part] = _damaged_bytes(files[part], random)
    return files


def _damaged_value(value: Any, random: Random) -> Any:
    """A JSON value with one to three of its parts exchanged, dropped or repeated."""
    for _ in range(random.randint(1, 3)):
        value = _exchanged(value, random)
    return value


def _exchanged(value: Any, random: Random) -> Any:
    if not isinstance(value, list | dict) or not value or random.randrange(12) == 0:
        return random.choice(VALUES)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = random.choice(keys)
    changed: Any = dict(value) if isinstance(value, dict) else list(value)
    action = random.randrange(7)
    if action == 0:
        del changed[key]
    elif action == 1 and isinstance(changed, list):
        changed.insert(key, changed[key])
    else:
        changed[key] = _exchanged(changed[key], random)
    return changed


def _damaged_bytes(content: bytes, random: Random) -> bytes:
    """Bytes with one to four damages: cut, doubled, words exchanged, another encoding or line end."""
    for _ in range(random.randint(1, 4)):
        content = random.choice(_DAMAGES)(content, random)
    return content


def _place(content: bytes, random: Random) -> int:
    return random.randrange(max(len(content), 1))


def _cut(content: bytes, random: Random) -> bytes:
    return content[: _place(content, random)]


def _drop(content: bytes, random: Random) -> bytes:
    place = _place(content, random)
    return content[:place] + content[place + random.randint(1, 60) :]


def _double(content: bytes, random: Random) -> bytes:
    place, size = _place(content, random), random.randint(1, 200)
    return content[: place + size] + content[place:]


def _flip(content: bytes, random: Random) -> bytes:
    place = _place(content, random)
    return content[:place] + random.randbytes(1) + content[place + 1 :]


def _insert(content: bytes, random: Random) -> bytes:
    place = _place(content, random)
    return content[:place] + random.choice(WORDS) + content[place:]


def _exchange_word(content: bytes, random: Random) -> bytes:
    found = [match.span() for match in re.finditer(rb"[-+.\w]+", content)]
    if not found:
        return content
    start, end = random.choice(found)
    return content[:start] + random.choice(WORDS) + content[end:]


def _drop_line(content: bytes, random: Random) -> bytes:
    lines = content.split(b"\n")
    del lines[random.randrange(len(lines))]
    return b"\n".join(lines)


def _recode(content: bytes, random: Random) -> bytes:
    encoding = random.choice(["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32"])
    return content.decode("latin-1").encode(encoding)


def _line_ends(content: bytes, random: Random) -> bytes:
    return content.replace(b"\n", random.choice([b"\r\n", b"\r", b"\n\n", b" ", b"\x0b"]))


_DAMAGES: list[Callable[[bytes, Random], bytes]] = [
    _cut, _drop, _double, _flip, _flip, _insert, _exchange_word, _exchange_word, _drop_line, _recode, _line_ends,
]  # fmt: skip


# --- reading ----------------------------------------------------------------------------------------------------------


def outcome(name: str, files: Files, folder: Path, *, told: bool, given_fields: bool) -> str:
    """`path` or `refused`; anything else is raised. `told`: the format is named, and not to be found out."""
    for file, content in files.items():
        (folder / file).write_bytes(content)
    target = folder if FORMATS[name].folder else folder / next(iter(files))
    try:
        path = read_path(
            target,
            format=name if told else None,
            width=64,
            height=48,
            fps=25.0 if given_fields else None,
            fov_degrees=60.0 if given_fields else None,
            missing_frames="fill" if told else "refuse",
        )
    except Track2ViewError as error:
        check_sentence(str(error))
        return "refused"
    assert len(path) >= 1
    return "path"


def check_sentence(sentence: str) -> None:
    """One sentence: capital first, full stop last, one line of printable signs that a person can read to its end."""
    assert sentence[:1].isupper() and sentence.endswith("."), sentence
    assert sentence.isprintable() and len(sentence) < 600, sentence


def fuzz(name: str, examples: int) -> Counter[str]:
    """Counts of the outcomes of so many damaged files of one format; raises what is no outcome, with the files."""
    counts: Counter[str] = Counter()

    @settings(max_examples=examples, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.randoms(use_true_random=True))
    def law(random: Random) -> None:
        files = damaged_files(name, random)
        told, given_fields = random.random() < 0.5, random.random() < 0.8
        with tempfile.TemporaryDirectory() as folder:
            try:
                counts[outcome(name, files, Path(folder), told=told, given_fields=given_fields)] += 1
            except Exception as error:
                error.add_note(f"{name}, told={told}, given_fields={given_fields}: {files!r:.6000}")
                raise

    law()
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=20_000, help="files a reader (default: %(default)s)")
    parser.add_argument("--format", action="append", choices=sorted(FORMATS), help="only this reader")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'reader':18} {'files':>7} {'path':>7} {'refused':>8} {'crashes':>8}")
    for name in arguments.format or FORMATS:
        counts = fuzz(name, arguments.examples)
        print(f"{name:18} {counts.total():7} {counts['path']:7} {counts['refused']:8} {0:8}", flush=True)


if __name__ == "__main__":
    main()
