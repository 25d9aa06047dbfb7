"""FID: how far apart two sets of pictures are, as the Frechet distance of Gaussians through Inception-V3's features.

Own code for a checked reason: the packages that hold this Inception (torch-fidelity 0.4, on which torchmetrics builds,
and pytorch-fid 0.3) import torchvision; torchmetrics 1.9's distance, on given features, takes 13 s instead of 0.02 s
and is off by 5e-4, even negative, where there are fewer pictures than features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ..errors import Track2ViewError
from .weight_files import fill, read_weights, weight_files

FEATURES = 2048
SIDE = 299  # pixels
_WHAT = "FID's Inception weights"
_HINT = "FID is defined by pt_inception-2015-12-05-6726825d.pth"


@dataclass(eq=False)
class FeatureStatistics:
    """Mean and covariance of features that come in pieces, so that no large set needs to be held in memory.

    A set of fewer pictures than features is kept as it is: its covariance is singular, and the distance is both exact
    and quick from the features themselves.
    """

    width: int
    count: int = 0
    _total: Tensor = field(init=False)
    _products: Tensor | None = field(init=False, default=None)
    _kept: list[Tensor] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._total = torch.zeros(self.width, dtype=torch.float64)

    def add(self, features: Tensor) -> None:
        """Features [n, width] of further pictures."""
        if features.dim() != 2 or features.shape[1] != self.width:
            raise Track2ViewError(f"The features have shape {list(features.shape)}; give [pictures, {self.width}].")
        features = features.detach().cpu().double()
        self.count += len(features)
        self._total += features.sum(0)
        self._kept.append(features)
        if self._products is not None or self.count > self.width:
            held = torch.cat(self._kept)
            self._kept.clear()
            self._products = (0 if self._products is None else self._products) + held.T @ held

    @property
    def mean(self) -> Tensor:
        return self._total / max(self.count, 1)

    @property
    def covariance(self) -> Tensor:
        """[width, width], of a sample (n - 1)."""
        self._check()
        if self._products is None:
            rows = self.rows()
            assert rows is not None
            return rows.T @ rows
        return (self._products - self.count * torch.outer(self.mean, self.mean)) / (self.count - 1)

    def rows(self) -> Tensor | None:
        """[n, width] whose product with itself is the covariance; None for a set that was too large to keep."""
        self._check()
        if self._products is not None:
            return None
        return (torch.cat(self._kept) - self.mean) / (self.count - 1) ** 0.5

    def _check(self) -> None:
        if self.count < 2:
            raise Track2ViewError(f"A Frechet distance got {self.count} pictures in one set; give at least 2 to each.")


def frechet_distance(first: FeatureStatistics, second: FeatureStatistics) -> float:
    """|mean - mean'|^2 + trace(C + C' - 2 sqrt(C C')), never below 0.

    The root's trace is the sum of the roots of the eigenvalues of R C' R, R the root of C: symmetric, so that
    no offset is needed. With C = A^T A and C' = B^T B it is the sum of the singular values of A B^T.
    """
    shift = (first.mean - second.mean).square().sum()
    one, other = first.rows(), second.rows()
    if one is not None and other is not None:
        total = one.square().sum() + other.square().sum()
        between = torch.linalg.svdvals(one @ other.T).sum()
    else:
        values, vectors = torch.linalg.eigh(first.covariance)
        root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
        total = first.covariance.trace() + second.covariance.trace()
        between = torch.linalg.eigvalsh(root @ second.covariance @ root).clamp(min=0).sqrt().sum()
    return max(0.0, float(shift + total - 2 * between))


# A convolution: name, outputs, kernel, stride; what it pads follows from them. Convolutions in one bracket share their
# input, those in a branch follow each other.
_Conv = tuple[str, int, tuple[int, int], int]
_Branch = tuple[tuple[_Conv, ...], ...]


def _conv(name: str, outputs: int, kernel: int | tuple[int, int] = 1, stride: int = 1) -> tuple[_Conv]:
    return ((name, outputs, (kernel, kernel) if isinstance(kernel, int) else kernel, stride),)


def _block_a(pooled: int) -> tuple[_Branch, ...]:
    return (
        (_conv("branch1x1", 64),),
        (_conv("branch5x5_1", 48), _conv("branch5x5_2", 64, 5)),
        (_conv("branch3x3dbl_1", 64), _conv("branch3x3dbl_2", 96, 3), _conv("branch3x3dbl_3", 96, 3)),
        (_conv("branch_pool", pooled),),
    )


_BLOCK_B: tuple[_Branch, ...] = (
    (_conv("branch3x3", 384, 3, 2),),
    (_conv("branch3x3dbl_1", 64), _conv("branch3x3dbl_2", 96, 3), _conv("branch3x3dbl_3", 96, 3, 2)),
)


def _block_c(inner: int) -> tuple[_Branch, ...]:
    across, down = (1, 7), (7, 1)
    return (
        (_conv("branch1x1", 192),),
        (_conv("branch7x7_1", inner), _conv("branch7x7_2", inner, across), _conv("branch7x7_3", 192, down)),
        (
            _conv("branch7x7dbl_1", inner),
            _conv("branch7x7dbl_2", inner, down),
            _conv("branch7x7dbl_3", inner, across),
            _conv("branch7x7dbl_4", inner, down),
            _conv("branch7x7dbl_5", 192, across),
        ),
        (_conv("branch_pool", 192),),
    )


_BLOCK_D: tuple[_Branch, ...] = (
    (_conv("branch3x3_1", 192), _conv("branch3x3_2", 320, 3, 2)),
    (
        _conv("branch7x7x3_1", 192),
        _conv("branch7x7x3_2", 192, (1, 7)),
        _conv("branch7x7x3_3", 192, (7, 1)),
        _conv("branch7x7x3_4", 192, 3, 2),
    ),
)


def _fork(name: str) -> tuple[_Conv, ...]:
    return (*_conv(f"{name}a", 384, (1, 3)), *_conv(f"{name}b", 384, (3, 1)))


_BLOCK_E: tuple[_Branch, ...] = (
    (_conv("branch1x1", 320),),
    (_conv("branch3x3_1", 384), _fork("branch3x3_2")),
    (_conv("branch3x3dbl_1", 448), _conv("branch3x3dbl_2", 384, 3), _fork("branch3x3dbl_3")),
    (_conv("branch_pool", 192),),
)
_BLOCKS: tuple[tuple[str, tuple[_Branch, ...], str], ...] = (  # name, branches, pooling of the last one
    *((f"Mixed_5{letter}", _block_a(pooled), "mean") for letter, pooled in (("b", 32), ("c", 64), ("d", 64))),
    ("Mixed_6a", _BLOCK_B, "halve"),
    *(
        (f"Mixed_6{letter}", _block_c(inner), "mean")
        for letter, inner in (("b", 128), ("c", 160), ("d", 160), ("e", 192))
    ),
    ("Mixed_7a", _BLOCK_D, "halve"),
    ("Mixed_7b", _BLOCK_E, "mean"),
    ("Mixed_7c", _BLOCK_E, "max"),
)


class _Convolution(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int], stride: int, padded: bool) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2) if padded else 0
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class _Mixed(nn.Module):
    def __init__(self, inputs: int, branches: tuple[_Branch, ...], pooling: str) -> None:
        super().__init__()
        self._branches, self._pooling = branches, pooling
        self.outputs = inputs if pooling == "halve" else 0
        for branch in branches:
            width = inputs
            for step in branch:
                for name, outputs, kernel, stride in step:
                    self.add_module(name, _Convolution(width, outputs, kernel, stride, padded=stride == 1))
                width = sum(outputs for _, outputs, _, _ in step)
            self.outputs += width

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(list(self._seen(x)), 1)

    def _seen(self, x: Tensor) -> Iterator[Tensor]:
        for branch in self._branches:
            y = self._pooled(x) if branch[0][0][0] == "branch_pool" else x
            for step in branch:
                y = torch.cat([self.get_submodule(name)(y) for name, *_ in step], 1)
            yield y
        if self._pooling == "halve":
            yield F.max_pool2d(x, 3, 2)

    def _pooled(self, x: Tensor) -> Tensor:
        if self._pooling == "max":
            return F.max_pool2d(x, 3, 1, 1)
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


class Inception(nn.Module):
    """Frames [B, H, W, 3], uint8 or floats in 0..1, of any size -> features [B, 2048]."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Convolution(3, 32, (3, 3), 2, padded=False)
        self.Conv2d_2a_3x3 = _Convolution(32, 32, (3, 3), 1, padded=False)
        self.Conv2d_2b_3x3 = _Convolution(32, 64, (3, 3), 1, padded=True)
        self.Conv2d_3b_1x1 = _Convolution(64, 80, (1, 1), 1, padded=False)
        self.Conv2d_4a_3x3 = _Convolution(80, 192, (3, 3), 1, padded=False)
        width = 192
        for name, branches, pooling in _BLOCKS:
            block = _Mixed(width, branches, pooling)
            self.add_module(name, block)
            width = block.outputs

    def forward(self, frames: Tensor) -> Tensor:
        x = rearrange(frames, "b h w c -> b c h w").float() / (255 if frames.dtype == torch.uint8 else 1)
        x = 2 * F.interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=False) - 1
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = F.max_pool2d(x, 3, 2)
        for name, _, _ in _BLOCKS:
            x = self.get_submodule(name)(x)
        return x.mean((2, 3))


def load_inception(path: Path | str) -> Inception:
    """The network with the weights of a file, or of the only file in a folder."""
    files = weight_files(Path(path), _WHAT)
    if len(files) > 1:
        raise Track2ViewError(f"{_WHAT}: {path} holds {len(files)} files of weights; name the one to take.")
    state = read_weights(files[0], _WHAT)
    if any(name.startswith("AuxLogits") for name in state):
        raise Track2ViewError(f"{_WHAT}: {files[0].name} is an image classifier's own Inception; {_HINT}.")
    network = Inception()
    fill(network, state, _WHAT, files[0].name)
    return network
