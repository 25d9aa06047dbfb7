"""What writers share: which lens a format can hold, numbers with all their digits, and files that appear whole."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ...errors import Track2ViewError
from ..path import CameraPath

SAME_LENS = 1e-9  # relative difference below which two focal lengths or centres are one


def words(values: Tensor) -> list[str]:
    """Numbers as text with as many digits as bring the same 64-bit float back."""
    return [repr(value) for value in values.flatten().tolist()]


def json_text(document: object) -> bytes:
    return (json.dumps(document, indent=1, allow_nan=False) + "\n").encode("utf-8")


def refuse_skew(path: CameraPath, title: str) -> None:
    """Refuse a lens with skew, which hardly any format holds."""
    _refuse(path.intrinsics[:, 0, 1].abs() > SAME_LENS * path.width, "a skewed lens", title)


def refuse_two_focals(path: CameraPath, title: str) -> None:
    """Refuse pixels that are not square, for a format with a single focal length."""
    refuse_skew(path, title)
    fx, fy = path.intrinsics[:, 0, 0], path.intrinsics[:, 1, 1]
    _refuse((fx - fy).abs() > SAME_LENS * fx, "two focal lengths (pixels that are not square)", title)


def refuse_off_centre(path: CameraPath, title: str) -> None:
    """Refuse all but one focal length and the image's middle, for a format that holds a field of view alone."""
    refuse_two_focals(path, title)
    middle = torch.tensor([path.width / 2, path.height / 2], dtype=torch.float64)
    off = (path.intrinsics[:, :2, 2].cpu() - middle).abs().amax(dim=-1) > SAME_LENS * path.width
    _refuse(off, "a principal point beside the image's middle", title)


def _refuse(wrong: Tensor, what: str, title: str) -> None:
    if wrong.any():
        raise Track2ViewError(
            f"{title} cannot hold {what}, which the path has at frame {int(wrong.nonzero()[0])}; write it as "
            "track2view_camera, which holds every lens."
        )


def write_whole(contents: bytes | Mapping[str, bytes], target: Path) -> None:
    """Write a file, or a folder of files, that appears whole or not at all; nothing is left behind by a failure."""
    if not target.parent.is_dir():
        raise Track2ViewError(f"The folder {target.parent} does not exist; create it or name another file to write.")
    if isinstance(contents, bytes):
        if target.is_dir():
            raise Track2ViewError(f"The path {target} is a folder; name a file to write.")
        _write_all({target: contents})
        return
    made = not target.exists()
    if not made and not target.is_dir():
        raise Track2ViewError(f"The path {target} is a file; name a folder, because this format is a folder of files.")
    if made:
        target.mkdir()
    try:
        _write_all({target / name: content for name, content in contents.items()})
    except BaseException:
        if made:
            shutil.rmtree(target, ignore_errors=True)
        raise


def _write_all(contents: Mapping[Path, bytes]) -> None:
    """Write all under temporary names first, then rename: only a crash between two renames could part them."""
    parts: dict[Path, Path] = {}
    try:
        for file, content in contents.items():
            handle, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".part", dir=file.parent)
            parts[file] = Path(name)
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            parts[file].chmod(0o644)  # mkstemp's 0600 would hide the file from other users
        for file, part in parts.items():
            part.replace(file)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
