"""The newest frontend on PyPI beside the one that the cached ComfyUI asks for; users have either."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from .install import CACHE, pip

PACKAGE = "comfyui-frontend-package"


def newest_frontend() -> Path:
    """The folder to hand to `--front-end-root`; fetched once, 30 MB, and kept in the cache."""
    folder = CACHE / "newest_frontend"
    static = folder / "comfyui_frontend_package/static"
    if (static / "index.html").is_file():
        return static
    shutil.rmtree(folder, ignore_errors=True)
    pip("download", "--no-deps", "--dest", str(folder), PACKAGE)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    wheel.unlink()
    return static
