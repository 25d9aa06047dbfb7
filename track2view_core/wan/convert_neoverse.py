"""NeoVerse's published files made into one that ComfyUI loads as VACE, and its camera embedding into one beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import Track2ViewError
from ..progress import Progress
from .neoverse import EMBEDDING_PREFIX, CameraEmbedding
from .tensor_files import Place, copy_tensors, read_json, replacing, tensor_shapes

INDEX = "diffusion_pytorch_model.safetensors.index.json"
EMBEDDING_SUFFIX = "_camera_embedding.safetensors"
RENAMED = {"control_blocks.": "vace_blocks.", "control_patch_embedding.": "vace_patch_embedding."}
WANTED = (
    "give the folder of Yuppie1204/NeoVerse that holds diffusion_pytorch_model-*.safetensors and their index.json, "
    "downloaded whole"
)


@dataclass(frozen=True)
class ConvertedModel:
    """What was written."""

    model: Path
    embedding: Path
    blocks: int
    control_blocks: int

    def __str__(self) -> str:
        return f"{self.blocks} blocks, {self.control_blocks} of control"


def embedding_file(model: Path) -> Path:
    """Where the camera embedding of a converted model lies."""
    return model.with_name(model.stem + EMBEDDING_SUFFIX)


def convert_neoverse(folder: Path | str, target: Path | str, progress: Progress | None = None) -> ConvertedModel:
    """Write NeoVerse's model to `target` under the names of core's VACE, and its camera embedding beside it.

    One tensor at a time is in memory. Numbers and precision stay as they are; both files appear, or neither.

    Args:
        folder: NeoVerse's shards with their index, or one .safetensors of all; text encoder, VAE and what else lies
            there is not read.
        target: a .safetensors, in ComfyUI's models/diffusion_models.

    Raises:
        Track2ViewError: the folder holds no whole NeoVerse, a weight is not finite, or the target cannot be written.
    """
    folder, target = Path(folder), Path(target)
    if target.suffix.lower() != ".safetensors" or target.is_dir():
        raise Track2ViewError(f"{target} cannot be written; name a .safetensors file for the result.")
    places = _places(folder)
    if any(target.resolve() == file.resolve() for file, _ in places.values()):
        raise Track2ViewError(f"{target} is one of the files to convert; name another file for the result.")
    blocks, control_blocks = _checked(places, folder)
    embedding = {key: place for key, place in places.items() if key.startswith(EMBEDDING_PREFIX)}
    model = {_renamed(key): place for key, place in places.items() if key not in embedding}
    beside = embedding_file(target)
    with replacing(target) as large, replacing(beside) as small:
        copy_tensors(model, large, progress)
        copy_tensors(embedding, small)
    return ConvertedModel(target, beside, blocks, control_blocks)


def _renamed(key: str) -> str:
    for old, new in RENAMED.items():
        if key.startswith(old):
            return new + key.removeprefix(old)
    return key


def _places(folder: Path) -> dict[str, Place]:
    """Name of a weight -> the file that holds it, and its name there."""
    if not folder.is_dir():
        raise Track2ViewError(f"{folder} is no folder; {WANTED}.")
    index = folder / INDEX
    if index.is_file():
        shards = read_json(index)
        if not isinstance(shards, dict) or not isinstance(shards.get("weight_map"), dict):
            raise Track2ViewError(f"{index} lists no weights; {WANTED}.")
        return {key: (folder / str(name), key) for key, name in shards["weight_map"].items()}
    files = sorted(folder.glob("*.safetensors"))
    if len(files) != 1:
        raise Track2ViewError(f"{folder} holds {len(files)} .safetensors files and no {INDEX}; {WANTED}.")
    return {key: (files[0], key) for key in tensor_shapes(files[0])}


def _checked(places: Mapping[str, Place], folder: Path) -> tuple[int, int]:
    """The number of blocks and of control blocks of a whole NeoVerse whose control core attaches where it belongs."""
    for key in ("control_patch_embedding.weight", "control_blocks.0.before_proj.weight", "head.modulation"):
        if key not in places:
            raise Track2ViewError(f"{folder} is no NeoVerse model: it lacks {key}; {WANTED}.")
    for name, weight in CameraEmbedding().layers.state_dict().items():
        key, shape = EMBEDDING_PREFIX + name, list(weight.shape)
        if key not in places or tensor_shapes(places[key][0]).get(key) != shape:
            raise Track2ViewError(f"{folder} is no NeoVerse model: it lacks {key} of shape {shape}; {WANTED}.")
    blocks, control_blocks = (_whole_blocks(places, kind, folder) for kind in ("blocks", "control_blocks"))
    if blocks % control_blocks:
        raise Track2ViewError(
            f"{folder} has {blocks} blocks and {control_blocks} of control, which divide them unevenly; {WANTED}."
        )
    return blocks, control_blocks


def _whole_blocks(places: Mapping[str, Place], kind: str, folder: Path) -> int:
    """How many there are, numbered without a gap, each with the weights that the last has."""
    parts: dict[int, set[str]] = {}
    for key in places:
        if found := re.fullmatch(rf"{kind}\.(\d+)\.(.+)", key):
            parts.setdefault(int(found[1]), set()).add(found[2])
    for number in range(max(parts, default=-1) + 1):
        if missing := parts[max(parts)] - parts.get(number, set()):
            raise Track2ViewError(f"{folder} lacks {kind}.{number}.{sorted(missing)[0]}; {WANTED}.")
    return len(parts)
