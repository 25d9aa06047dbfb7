"""Clips to latents and captions to embeddings, by the models that the user names.

ClipEncoder serves every maker of shards; Reencoding makes the same data set again through another VAE, or at a smaller
size, from the pictures that were kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from einops import rearrange
from torch import Tensor

from ..dataset import DatasetInfo, Shard, VaeIdentity
from ..dataset.shard import ShardReader, shard_files
from ..errors import Track2ViewError
from ..progress import Progress
from ..video.resizing import resize_picture
from ..wan.models import TextEncoder
from ..wan.tensor_files import find_part
from ..wan.vae import WANTED, encode, encode_whole_clip, latent_statistics, load_vae

WHOLE_CLIP_ELEMENTS = 2**27
"""Pixels times base width up to which a clip goes through the VAE in one piece, several times faster on a CPU."""
CLIPS_AT_ONCE_ELEMENTS = 2**25
"""The same up to which several clips go through it together, which keeps a card busy."""


@dataclass(frozen=True)
class ClipEncoder:
    """Models are loaded on first use and stay behind when the encoder travels to another process."""

    vae: Path | None = None  # file or diffusers folder; None: no latents
    text_encoder: Path | None = None  # a diffusers pipeline's folder; None: no embeddings
    device: str = "cpu"
    _loaded: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.text_encoder is not None and not TextEncoder.is_in(self.text_encoder):
            raise Track2ViewError(
                f"{self.text_encoder} holds no text_encoder and tokenizer; give a diffusers folder of WAN 2.1."
            )

    def __getstate__(self) -> dict[str, Any]:
        return {"vae": self.vae, "text_encoder": self.text_encoder, "device": self.device, "_loaded": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def identity(self) -> VaeIdentity | None:
        """Name and weights of the VAE, which its latents belong to."""
        if self.vae is None:
            return None
        if "identity" not in self._loaded:
            digest = hashlib.sha256()
            for file in _weights(self.vae):
                with file.open("rb") as stream:
                    while block := stream.read(2**22):
                        digest.update(block)
            self._loaded["identity"] = VaeIdentity(self.vae.name, digest.hexdigest())
        return self._loaded["identity"]

    def model(self) -> AutoencoderKLWan:
        """The VAE, on the device."""
        if self.vae is None:
            raise Track2ViewError(f"No VAE came; {WANTED}.")
        if "vae" not in self._loaded:
            self._loaded["vae"] = load_vae(self.vae, torch.float32, self.device)
        return self._loaded["vae"]

    @torch.no_grad()
    def latents(self, clips: Sequence[Tensor], progress: Progress | None = None) -> Tensor | None:
        """uint8 [T, H, W, 3] each -> [M, 16, F, h, w] float16 on the CPU, normalised as WAN's."""
        if self.vae is None:
            return None
        if not clips:
            return None
        vae = self.model()
        elements = clips[0].numel() // 3 * vae.config["base_dim"]
        at_once = max(1, CLIPS_AT_ONCE_ELEMENTS // elements)
        latents = []
        for done in range(0, len(clips), at_once):
            if progress is not None:
                progress(done, len(clips), "encoding")
            some = clips[done : done + at_once]
            found = encode(vae, some[0]) if elements > WHOLE_CLIP_ELEMENTS else self._whole(torch.stack(list(some)))
            latents.append(found.half().cpu())
        return torch.cat(latents)

    def _whole(self, clips: Tensor) -> Tensor:
        """uint8 [M, T, H, W, 3] -> [M, 16, F, h, w], in one piece."""
        vae = self.model()
        pixels = rearrange(clips.to(vae.device), "m t h w c -> m t c h w").float() / 127.5 - 1
        raw = rearrange(encode_whole_clip(vae, pixels), "b t c h w -> b c t h w")
        mean, std = latent_statistics(vae)
        return (raw - mean.to(raw)) / std.to(raw)

    def embeddings(self, captions: Sequence[str]) -> tuple[Tensor | None, ...]:
        """Each caption [L, 4096] bfloat16 up to its last token; nothing where no text encoder is given."""
        if self.text_encoder is None:
            return ()
        known: dict[str, Tensor] = {}
        asked = list(dict.fromkeys(captions))
        # Half the weight of float32, and what WAN itself runs it in.
        for caption, embedding in zip(
            asked, TextEncoder(self.text_encoder, torch.bfloat16, self.device).encode(asked), strict=True
        ):
            rows = embedding[0].abs().amax(1).nonzero()
            known[caption] = embedding[0, : int(rows[-1]) + 1 if len(rows) else 1].to(torch.bfloat16)
        return tuple(known[caption] for caption in captions)


def _weights(path: Path) -> list[Path]:
    if not path.is_dir():
        if not path.is_file():
            raise Track2ViewError(f"The VAE {path} does not exist; {WANTED}.")
        return [path]
    return sorted(find_part(path, "vae", WANTED).glob("*.safetensors"))


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
            raise Track2ViewError(f"The data set {self.folder} holds no frames; make it again and keep them.")
        if self.size is not None and self.size[0] * begun.height != self.size[1] * begun.width:
            raise Track2ViewError(
                f"The size is {self.size[0]} x {self.size[1]} and the data set is {begun.width} x {begun.height}; keep "
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
