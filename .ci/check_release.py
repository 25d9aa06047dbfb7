"""Refuse to publish to the ComfyUI registry until all that it asks for is there; docs/RELEASE.md is the checklist.

python .ci/check_release.py [FOLDER] && comfy node publish

Fields and limits: https://docs.comfy.org/registry/specifications.
"""

from __future__ import annotations

import re
import struct
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

PICTURES = {"Icon": "docs/images/icon.png", "Banner": "docs/images/banner.png"}
ACCELERATORS = {
    *(f"Environment :: GPU :: {name}" for name in ("NVIDIA CUDA", "AMD ROCm", "Intel Arc", "Apple Metal")),
    "Environment :: NPU :: Huawei Ascend",
}
LARGEST_ICON = 400  # px, square
BANNER_SHAPE = 21 / 9


def problems(folder: Path) -> list[str]:
    """What stands in the way of publishing the pack in `folder`, one sentence each; empty when nothing does."""
    settings = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    project, comfy = settings["project"], settings["tool"]["comfy"]
    repository = project.get("urls", {}).get("Repository", "")
    return [
        *_about_the_publisher(comfy.get("PublisherId", ""), repository),
        *_about_the_version(folder, project.get("version", "")),
        *_about_the_name(project, comfy),
        *(
            problem
            for field in PICTURES
            for problem in _about_a_picture(folder, field, comfy.get(field, ""), repository)
        ),
    ]


def _about_the_publisher(publisher: str, repository: str) -> list[str]:
    found = []
    if not re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)*", publisher, re.IGNORECASE):
        found.append(f"[tool.comfy] PublisherId is {publisher!r}: write your publisher's id from registry.comfy.org.")
    parts = urlsplit(repository)
    if parts.scheme != "https" or not parts.hostname or len(parts.path.strip("/").split("/")) < 2:
        found.append(f"[project.urls] Repository is {repository!r}: write the https address of the public repository.")
    return found


def _about_the_version(folder: Path, version: str) -> list[str]:
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        return [f"[project] version is {version!r}: write three numbers, such as 1.2.3."]
    found = []
    door = (folder / "track2view_core" / "__init__.py").read_text(encoding="utf-8")
    if f'__version__ = "{version}"' not in door.splitlines():
        found.append(f"track2view_core/__init__.py states another __version__ than pyproject.toml: {version}.")
    changes = (folder / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changes, re.MULTILINE):
        found.append(f"CHANGELOG.md has no dated part for {version}: head it `## [{version}] - YYYY-MM-DD`.")
    return found


def _about_the_name(project: dict, comfy: dict) -> list[str]:
    found = []
    name = project.get("name", "")
    if len(name) >= 100 or not re.fullmatch(r"(?!.*comfyui)[a-z](?:[-_.]?[a-z0-9])*", name, re.IGNORECASE):
        found.append(
            f"[project] name is {name!r}: it is the pack's id, of letters, digits and single - _ . in between."
        )
    if not any(line.startswith("Operating System :: ") for line in project.get("classifiers", [])):
        found.append("[project] classifiers name no operating system: add `Operating System :: OS Independent`.")
    odd = {line for line in project.get("classifiers", []) if line.startswith("Environment :: ")} - ACCELERATORS
    if odd:
        found.append(
            f"[project] classifiers hold {sorted(odd)}: the registry takes there {sorted(ACCELERATORS)} alone."
        )
    for field, given in (("description", project), ("requires-python", project), ("DisplayName", comfy)):
        if not given.get(field):
            found.append(f"pyproject.toml gives no {field}.")
    bound = comfy.get("requires-comfyui", "")
    if not re.fullmatch(r"(?:[<>=!~]=?\d+\.\d+\.\d+,?)+", bound):
        found.append(f"[tool.comfy] requires-comfyui is {bound!r}: write a bound such as >=1.2.3.")
    return found


def _about_a_picture(folder: Path, field: str, address: str, repository: str) -> list[str]:
    file = PICTURES[field]
    found = []
    owner_and_name = urlsplit(repository).path.strip("/").removesuffix(".git")
    if not (address.startswith("https://") and owner_and_name and owner_and_name in address and address.endswith(file)):
        found.append(
            f"[tool.comfy] {field} is {address!r}: write the address of {file} in the public repository, such as"
            f" https://raw.githubusercontent.com/OWNER/NAME/main/{file}."
        )
    if not (folder / file).is_file():
        return [*found, f"{file} is missing: python -m benchmarks.registry_pictures draws it."]
    width, height = png_size(folder / file)
    if field == "Icon" and not (width == height <= LARGEST_ICON):
        found.append(f"{file} is {width} x {height}: an icon is square, {LARGEST_ICON} px at most.")
    if field == "Banner" and abs(width / height - BANNER_SHAPE) > 0.005:
        found.append(f"{file} is {width} x {height}: a banner is 21:9.")
    return found


def png_size(file: Path) -> tuple[int, int]:
    """(width, height) by the file's first chunk."""
    head = file.read_bytes()[:24]
    if head[:8] != b"\x89PNG\r\n\x1a\n" or head[12:16] != b"IHDR":
        raise SystemExit(f"{file} is no PNG.")
    return struct.unpack(">II", head[16:24])


if __name__ == "__main__":
    found = problems(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1])
    if found:
        raise SystemExit("Not ready to publish:\n" + "\n".join(f"- {problem}" for problem in found))
    sys.stdout.write("Ready to publish: comfy node publish\n")
