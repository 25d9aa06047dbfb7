"""A ComfyUI inside this process, for benchmarks of the native route: its modules, the pack beside it, random WANs.

ComfyUI comes from --comfyui (any checkout; its own requirements must be importable), or from the copy that the tests
keep (`python tests/comfyui/driver/install.py`).
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
TESTS_COPY = Path(os.environ.get("TRACK2VIEW_COMFYUI_CACHE") or ROOT / "tests/comfyui/.cache")
# torchvision's wheel beside a CPU torch declares two operators that nothing defines; they live as long as this does.
_OPERATORS = torch.library.Library("torchvision", "FRAGMENT")
BASES = {
    "tiny": {"num_attention_heads": 1, "ffn_dim": 512, "num_layers": 8},
    "1.3B": {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30},
    "14B": {"num_attention_heads": 40, "ffn_dim": 13824, "num_layers": 40},
}


@dataclass(frozen=True)
class Host:
    """The modules a benchmark calls."""

    native: ModuleType  # the pack's nodes/bridge/native
    bridge: ModuleType  # and nodes/bridge/host
    kept_source: ModuleType  # and nodes/bridge/kept_source
    core: Callable[[str], ModuleType]  # a module of track2view_core as the pack imports it
    samplers: ModuleType
    device: torch.device


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--comfyui", type=Path, help="a ComfyUI checkout (default: the copy that the tests keep)")
    parser.add_argument("--cpu", action="store_true", help="on the CPU, also where there is a card")


def open_host(comfyui: Path | None, *, cpu: bool, low_memory: bool = False) -> Host:
    """Put ComfyUI and the pack on the path of this process; call it before anything else imports ComfyUI."""
    if comfyui is None:
        comfyui = TESTS_COPY / "ComfyUI"
        if not comfyui.is_dir():
            raise SystemExit("There is no ComfyUI; give --comfyui, or run python tests/comfyui/driver/install.py.")
        for operator in ("nms", "qnms"):
            _OPERATORS.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        sys.path.append(str(TESTS_COPY / "packages"))
    sys.path.insert(0, str(comfyui))
    options = importlib.import_module("comfy.cli_args").args
    options.cpu = cpu or not torch.cuda.is_available()
    options.lowvram = low_memory
    importlib.import_module("comfy_api.latest")
    management = importlib.import_module("comfy.model_management")
    name = "track2view_pack"
    spec = importlib.util.spec_from_file_location(name, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    return Host(
        importlib.import_module(f"{name}.nodes.bridge.native"),
        importlib.import_module(f"{name}.nodes.bridge.host"),
        importlib.import_module(f"{name}.nodes.bridge.kept_source"),
        lambda module: importlib.import_module(f"{name}.track2view_core.{module}"),
        importlib.import_module("comfy.samplers"),
        management.get_torch_device(),
    )


def random_wan(base: str, *, layers: int | None = None, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Random weights of a WAN in the original layout."""
    from diffusers import WanTransformer3DModel

    from track2view_core.wan.original_layout import dit_to_original

    settings = dict(BASES[base])
    if layers is not None:
        settings["num_layers"] = layers
    with torch.device("meta"):
        model = WanTransformer3DModel(attention_head_dim=128, **settings)
    generator = torch.Generator().manual_seed(0)

    def weights(name: str, like: Tensor) -> Tensor:
        if like.ndim == 1 and name.endswith("weight"):
            return torch.ones(like.shape, dtype=dtype)
        return (0.02 * torch.randn(like.shape, generator=generator)).to(dtype)

    return dit_to_original({name: weights(name, value) for name, value in model.state_dict().items()})


def open_model(state: dict[str, Tensor], **model_options: Any) -> Any:
    """core's MODEL of a state dict, as its loaders make it."""
    from comfy.sd import load_diffusion_model_state_dict

    return load_diffusion_model_state_dict(dict(state), model_options=model_options)


def random_condition(
    host: Host,
    model: Any,
    *,
    frames: int,
    height: int,
    width: int,
    tracks: int = 1000,
    conditioner_width: int | None = None,
    window: int | None = None,
    dtype: torch.dtype = torch.float32,
    **sampling: Any,
) -> Any:
    """A condition of random tracks, latent and conditioner weights for `model`; frames in video frames, sides in px."""
    conditioners, configs = host.core("conditioner"), host.core("wan.bundle_config")
    base = host.native.base_of(model)
    wide = conditioner_width or base.dim
    config = conditioners.ConditionerConfig(dim=base.dim, width=wide, heads=max(1, wide // 128))
    torch.manual_seed(0)
    conditioner = conditioners.TrackConditioner(config).to(dtype).eval().requires_grad_(False)
    for linear in conditioner.output.values():
        torch.nn.init.normal_(linear.weight, std=0.02)
    told = configs.SamplingConfig(
        steps=4, guidance=1.0, shift=5.0, width=width, height=height, frames=window or frames, **sampling
    )
    bundle = host.core("wan.bundle").Bundle(conditioner, {}, configs.BundleConfig(config, told, base))
    latent = torch.randn(1, 16, 1 + frames // 4, height // 8, width // 8)
    return host.core("wan.condition").TrackCondition(
        bundle, _random_tracks(host, frames, height, width, tracks), latent
    )


def _random_tracks(host: Host, frames: int, height: int, width: int, tracks: int) -> Any:
    """Points in a box before a still camera, and a target camera that moves to the right."""
    cameras, rooms = host.core("cameras"), host.core("tracks")
    focal = 0.8 * width
    intrinsics = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]]).expand(frames, 3, 3)
    depth = 2.0 + 3.0 * torch.rand(tracks)
    pixels = torch.rand(tracks, 2) * torch.tensor([width, height]) - torch.tensor([width / 2, height / 2])
    positions = torch.cat([pixels * depth[:, None] / focal, depth[:, None]], dim=1).expand(frames, tracks, 3)
    pose = torch.eye(4).repeat(frames, 1, 1)
    source = cameras.CameraPath(pose, intrinsics, width, height)
    moved = pose.clone()
    moved[:, 0, 3] = torch.linspace(0, 0.6, frames)
    visible = torch.rand(frames, tracks) > 0.1
    points = rooms.PointTracks(positions.clone(), visible, torch.ones(frames, tracks), source)
    return rooms.pair_tracks(points, cameras.CameraPath(moved, intrinsics, width, height))


def prompt(condition: Any | None, host: Host, *, seed: int = 1, frames: Tensor | None = None) -> list[Any]:
    """A random prompt of 512 tokens; with the condition, or with core's own extra frames behind the target."""
    text = torch.randn(1, 512, 4096, generator=torch.Generator().manual_seed(seed))
    conditioning = [[text, {} if frames is None else {"time_dim_concat": frames}]]
    return conditioning if condition is None else host.native.with_condition(conditioning, condition)


def guider_of(host: Host, model: Any, positive: list[Any], negative: list[Any] | None = None, cfg: float = 1.0) -> Any:
    guider = host.samplers.CFGGuider(model)
    guider.set_conds(positive, positive if negative is None else negative)
    guider.set_cfg(cfg)
    return guider
