"""Loading from a folder in diffusers' format: local files only, and complete or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import ModelMixin

from ..errors import Track2ViewError

Model = TypeVar("Model", bound=ModelMixin)


def read_json(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Track2ViewError(f"{file} is no JSON file ({error}); copy the folder again.") from error


def find_part(folder: Path, name: str, remedy: str) -> Path:
    """The folder of a model: `folder` itself, or the part called `name` of a pipeline's folder."""
    inner = folder if (folder / "config.json").is_file() else folder / name
    if not (inner / "config.json").is_file():
        raise Track2ViewError(
            f"The folder {folder} holds no diffusers {name} (neither config.json nor {name}/config.json); {remedy}."
        )
    return inner


def load_part(model_class: type[Model], inner: Path, dtype: torch.dtype) -> Model:
    """The model in `inner`; weights that are missing or left over are refused, where diffusers would only warn."""
    try:
        model, found = model_class.from_pretrained(
            inner, torch_dtype=dtype, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # whatever diffusers finds wrong with the user's folder is one sentence to them
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise Track2ViewError(f"diffusers cannot load {inner} ({reason}); copy the folder again.") from error
    for problem in ("missing_keys", "unexpected_keys"):
        if found[problem]:
            word = problem.removesuffix("_keys")
            raise Track2ViewError(
                f"The weight {sorted(found[problem])[0]} is {word} in {inner}; copy the folder again."
            )
    return model
