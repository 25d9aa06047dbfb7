"""LPIPS: distance of pictures in the features of AlexNet or VGG-16, weighed as people see it.

Zhang et al. 2018, version 0.1. Two files in one folder: the backbone as torchvision publishes it (`alexnet-owt-*.pth`
or `vgg16-*.pth`, tensors `features.N.weight`) and the paper's linear weights (`alex.pth` or `vgg.pth`, tensors
`lin0.model.1.weight` ...).

Own code for a checked reason: torchmetrics 1.9, lpips 0.1 and piq 0.8 build the backbone by torchvision.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ..errors import Track2ViewError
from .weight_files import fill, read_weights, weight_files

_WHAT = "LPIPS weights"
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of pictures in -1..1
_EPS = 1e-8  # under the root of a feature's length, as in the field's maintained implementations
_AT_ONCE = 8  # frames

# Layers by their place in torchvision's `features`: a convolution (outputs, kernel, stride, padding), "pool" or "tap",
# which is the rectifier whose output is compared.
_ALEX = ((64, 11, 4, 2), "tap", "pool", (192, 5, 1, 2), "tap", "pool", (384, 3, 1, 1), "tap", (256, 3, 1, 1), "tap")
_ALEX = (*_ALEX, (256, 3, 1, 1), "tap")
_VGG_WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def _vgg() -> tuple[tuple[int, int, int, int] | str, ...]:
    layers: list[tuple[int, int, int, int] | str] = []
    for stage, widths in enumerate(_VGG_WIDTHS):
        layers += ["pool"] if stage else []
        for place, width in enumerate(widths):
            layers += [(width, 3, 1, 1), "tap" if place == len(widths) - 1 else "relu"]
    return tuple(layers)


class Lpips(nn.Module):
    """Distance of two sets of frames [B, H, W, 3], uint8 or floats in 0..1 -> [B]."""

    def __init__(self, backbone: str) -> None:
        super().__init__()
        self.backbone = backbone
        alex = backbone == "alex"
        self.features, self.lins = nn.Module(), nn.ModuleList()
        self._layers = _ALEX if alex else _vgg()
        self._pool = 3 if alex else 2
        width = 3
        for place, layer in enumerate(self._layers):
            if isinstance(layer, tuple):
                outputs, kernel, stride, padding = layer
                self.features.add_module(str(place), nn.Conv2d(width, outputs, kernel, stride, padding))
                width = outputs
            elif layer == "tap":
                self.lins.append(nn.Conv2d(width, 1, 1, bias=False))

    @torch.no_grad()
    def forward(self, video: Tensor, reference: Tensor) -> Tensor:
        if video.shape != reference.shape:
            raise Track2ViewError(
                f"The video has shape {tuple(video.shape)} and the reference {tuple(reference.shape)}; "
                "resize or cut one of them so that they agree."
            )
        pairs = zip(video.split(_AT_ONCE), reference.split(_AT_ONCE), strict=True)
        return torch.cat([self._distance(own, true) for own, true in pairs])

    def _distance(self, own: Tensor, true: Tensor) -> Tensor:
        seen = self._taps(torch.cat([own, true]))
        total = torch.zeros(len(own), device=seen[0].device)
        for feature, weigh in zip(seen, self.lins, strict=True):
            unit = feature / (feature.square().sum(1, keepdim=True) + _EPS).sqrt()
            first, second = unit.chunk(2)
            total = total + weigh((first - second).square()).mean((1, 2, 3))
        return total

    def _taps(self, frames: Tensor) -> list[Tensor]:
        device = next(self.parameters()).device
        x = rearrange(frames.to(device), "b h w c -> b c h w").float() / (255 if frames.dtype == torch.uint8 else 1)
        shift, scale = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (_SHIFT, _SCALE))
        x = (2 * x - 1 - shift) / scale
        taps = []
        for place, layer in enumerate(self._layers):
            if isinstance(layer, tuple):
                x = self.features.get_submodule(str(place))(x)
            elif layer == "pool":
                x = F.max_pool2d(x, self._pool, 2)
            else:
                x = F.relu(x)
                if layer == "tap":
                    taps.append(x)
        return taps


def load_lpips(folder: Path | str) -> Lpips:
    """The metric from a folder with a backbone's and the linear weights; which backbone it is, the files tell."""
    backbone: tuple[str, dict[str, Tensor]] | None = None
    linear: tuple[str, dict[str, Tensor]] | None = None
    for file in weight_files(Path(folder), _WHAT):
        state = read_weights(file, _WHAT)
        if "features.0.weight" in state:
            backbone = file.name, state
        elif "lin0.model.1.weight" in state:
            linear = file.name, state
    if backbone is None or linear is None:
        lacking = "a backbone (features.0.weight ...)" if backbone is None else "linear weights (lin0.model.1.weight)"
        raise Track2ViewError(f"{_WHAT}: {folder} holds no {lacking}; put both files of one backbone there.")
    metric = Lpips("alex" if backbone[1]["features.0.weight"].shape[-1] == 11 else "vgg")
    wanted = {name: value for name, value in backbone[1].items() if name.startswith("features.")}
    fill(metric.features, {name.removeprefix("features."): value for name, value in wanted.items()}, _WHAT, backbone[0])
    numbered = {f"{i}.weight": linear[1].get(f"lin{i}.model.1.weight", torch.empty(0)) for i in range(len(metric.lins))}
    fill(metric.lins, numbered, _WHAT, linear[0])
    return metric.eval()
