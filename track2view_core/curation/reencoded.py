"""The same data set through another VAE, or at a smaller size: made from the pictures that were kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..dataset import DatasetInfo, Shard
from ..dataset.shard_reader import ShardReader, shard_files
from ..errors import Track2ViewError
from ..progress import Progress
from ..video.resizing import resize_picture
from .encoding import ClipEncoder


@dataclass(frozen=True)
class Reencoding:
    """A ShardMaker over a data set that holds frames; tracks, cameras, captions and pairs stay."""

    folder: Path
    encoder: ClipEncoder
    size: tuple[int, int] | None = None  # (width, height); None: as it is
    keep_frames: bool = False

    def __post_init__(self) -> None:
        begun = DatasetInfo.read(self.folder)
        if not begun.has_frames:
            raise Track2ViewError(f"The data set {self.folder} holds no frames; make it again with --keep-frames.")
        if self.size is not None and self.size[0] * begun.height != self.size[1] * begun.width:
            raise Track2ViewError(
                f"--size is {self.size[0]}x{self.size[1]} and the data set is {begun.width} x {begun.height}; keep "
                "its aspect."
            )

    def __len__(self) -> int:
        return len(shard_files(self.folder))

    def info(self) -> DatasetInfo:
        begun = DatasetInfo.read(self.folder)
        width, height = self.size or (begun.width, begun.height)
        return replace(
            begun, width=width, height=height, vae=self.encoder.identity(), has_frames=self.keep_frames,
            has_text=self.encoder.text_encoder is not None or begun.has_text,
        )  # fmt: skip

    def make(self, number: int, progress: Progress | None = None) -> Shard:
        reader, info = ShardReader(shard_files(self.folder)[number]), self.info()
        begun = DatasetInfo.read(self.folder)
        reader.check(begun)
        held = reader.whole()
        assert held.frames is not None  # begun.has_frames, and the shard was checked against it
        frames = torch.stack([_resized(clip, info.width, info.height) for clip in held.frames])
        scale = torch.tensor([info.width / begun.width, info.height / begun.height, 1.0], dtype=torch.float64)
        return replace(
            held,
            intrinsics=held.intrinsics * scale[:, None],
            latents=self.encoder.latents(list(frames), progress),
            frames=frames if self.keep_frames else None,
            text=self.encoder.embeddings(held.captions) or held.text,
        )


def _resized(frames: Tensor, width: int, height: int) -> Tensor:
    """uint8 [T, H, W, 3] -> [T, height, width, 3]."""
    if frames.shape[1:3] == (height, width):
        return frames
    return torch.from_numpy(np.stack([resize_picture(picture, width, height) for picture in frames.numpy()]))
