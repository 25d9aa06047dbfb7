"""What pip installs, what ComfyUI installs, and that continuous integration runs the README's own command."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def requirement_lines() -> set[str]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def test_pip_and_comfyui_install_the_same():
    ours = set(PROJECT["project"]["dependencies"])
    assert {line for line in requirement_lines() if not line.startswith("comfyui-frontend-package")} == ours


def test_requirements_are_lower_bounds():
    """An upper bound or a pin could change the torch, or the numpy, of a working ComfyUI."""
    wrong = [line for line in requirement_lines() if not re.fullmatch(r"[A-Za-z0-9_.-]+>=[0-9.]+", line)]
    assert not wrong, "\n".join(wrong)


def test_the_wheel_holds_the_core_and_its_weights_alone(tmp_path: Path):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "__init__.py"):
        shutil.copy(ROOT / name, source)
    for name in ("track2view_core", "nodes", "workflows"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", tmp_path, source]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("track2view-*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info" not in name}
    wanted = {str(file.relative_to(ROOT).as_posix()) for file in (ROOT / "track2view_core").rglob("*.py")}
    weights = {file.name for file in (ROOT / "track2view_core" / "weights").glob("*.safetensors")}
    assert names == wanted | {f"track2view_core/weights/{name}" for name in weights}


def test_continuous_integration_runs_the_readme_command():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (command,) = re.findall(r"<!-- test command -->\s*```\w*\n(.+?)\n```", readme, flags=re.DOTALL)
    assert command in script


def test_links_lead_somewhere():
    wrong = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "benchmarks" / "README.md"]
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert not wrong, "\n".join(wrong)


def test_the_readme_stays_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 200
