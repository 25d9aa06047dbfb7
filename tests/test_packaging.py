"""What pip installs, what ComfyUI installs, and that continuous integration runs the README's own command."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

import track2view_core

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


def test_the_wheel_holds_the_core_its_weights_and_sample_clips_alone(tmp_path: Path):
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
    for kind in ("weights/*/*.safetensors", "scenes/clips/*.mp4"):
        shipped = {file.relative_to(ROOT).as_posix() for file in (ROOT / "track2view_core").glob(kind)}
        assert len(shipped) >= 2
        wanted |= shipped
    assert names == wanted | {"track2view_core/py.typed"}


def test_one_version_everywhere():
    assert PROJECT["project"]["version"] == track2view_core.__version__
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[(\d+\.\d+\.\d+)\]", changes, flags=re.MULTILINE)[0] == track2view_core.__version__


def script(name: str) -> ModuleType:
    """A script of .ci/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FILLED_IN = (
    ('PublisherId = ""', 'PublisherId = "someone"'),
    ('Icon = ""', 'Icon = "https://raw.githubusercontent.com/someone/track2view/main/docs/images/icon.png"'),
    ('Banner = ""', 'Banner = "https://raw.githubusercontent.com/someone/track2view/main/docs/images/banner.png"'),
    ("[project.scripts]", '[project.urls]\nRepository = "https://github.com/someone/track2view"\n\n[project.scripts]'),
)


@pytest.fixture
def filled_in(tmp_path: Path) -> Path:
    """A copy of what the release check reads, with what only a publisher can fill in."""
    for name in ("pyproject.toml", "CHANGELOG.md", "track2view_core/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "docs" / "images", tmp_path / "docs" / "images")
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for before, after in FILLED_IN:
        assert text.count(before) == 1
        text = text.replace(before, after)
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    return tmp_path


def test_the_checkout_is_not_published_without_a_publisher():
    result = subprocess.run(
        [sys.executable, ROOT / ".ci" / "check_release.py"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    for field in ("PublisherId", "Repository", "Icon", "Banner"):
        assert f"{field} is ''" in result.stderr
    assert result.stderr.count("\n- ") == 4, result.stderr


def test_a_filled_in_copy_is_ready_to_publish(filled_in: Path):
    command = [sys.executable, ROOT / ".ci" / "check_release.py", filled_in]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("file", "before", "after", "named"),
    [
        ("pyproject.toml", 'PublisherId = "someone"', 'PublisherId = "some one"', "PublisherId"),
        ("pyproject.toml", "https://github.com/someone/track2view", "https://github.com", "Repository"),
        ("pyproject.toml", '"https://raw.githubusercontent.com/someone/', '"https://raw.example.org/another/', "Icon"),
        ("pyproject.toml", 'requires-comfyui = ">=', 'requires-comfyui = "newer than ', "requires-comfyui"),
        ("pyproject.toml", 'name = "track2view"', 'name = "comfyui-track2view"', "name"),
        ("pyproject.toml", "Operating System :: OS Independent", "Natural Language :: English", "operating system"),
        ("pyproject.toml", "Topic :: Multimedia :: Video", "Environment :: Console", "Environment :: Console"),
        ("pyproject.toml", f'"{track2view_core.__version__}"', '"1.0"', "three numbers"),
        ("track2view_core/__init__.py", f'"{track2view_core.__version__}"', '"9.9.9"', "another __version__"),
        ("CHANGELOG.md", f"## [{track2view_core.__version__}]", "## [Unreleased]", "no dated part"),
    ],
)
def test_what_the_registry_would_not_take_is_named(filled_in: Path, file: str, before: str, after: str, named: str):
    text = (filled_in / file).read_text(encoding="utf-8")
    assert before in text
    (filled_in / file).write_text(text.replace(before, after), encoding="utf-8")
    found = script("check_release").problems(filled_in)
    assert found and named in found[0]


def test_pictures_that_the_registry_would_not_show_are_named(filled_in: Path):
    shutil.copy(filled_in / "docs/images/banner.png", filled_in / "docs/images/icon.png")
    (filled_in / "docs/images/banner.png").unlink()
    found = script("check_release").problems(filled_in)
    assert len(found) == 2 and "square" in found[0] and "missing" in found[1]


def test_lower_bounds_are_what_the_project_states():
    text = '[project]\ndependencies = ["torch>=2.4", "numpy>=1.26"]\n'
    text += '[project.optional-dependencies]\ntest = ["ruff==0.1.2", "ray[data]>=2.40"]\ntrain = ["tqdm>=4"]\n'
    assert script("lower_bounds").lower_bounds(text, "test") == ["numpy==1.26", "ray==2.40", "ruff==0.1.2"]


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
