"""What a bundle says about its making."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path

import torch

from ..dataset import PairDataset
from .config import TrainConfig


def model_card(config: TrainConfig, datasets: Sequence[PairDataset]) -> dict[str, str]:
    """Data, steps, settings, hardware; the config's own lines come on top."""
    run, optimiser, draw = config.run, config.run.optimiser, config.draw
    shares = zip(config.data, datasets, strict=True)
    data = "; ".join(
        f"{len(dataset)} pairs ({dataset.info.source}, tracks: {dataset.info.tracker}) at {dataset.info.width} x "
        f"{dataset.info.height} x {dataset.info.frames}, {share.batch or draw.batch} a batch"
        for share, dataset in shares
    )
    trained = "; ".join(
        [
            f"{optimiser.name} at {optimiser.rate:g}",
            f"shift {config.flow.shift:g}",
            f"LoRA rank {config.lora.rank}",
            f"{config.model.dtype} base, {run.precision} products",
            f"{draw.identity:.0%} identity pairs, {draw.text_dropout:.0%} text dropout" if config.model.uses_text
            else f"{draw.identity:.0%} identity pairs, an all-zero prompt",
        ]
    )  # fmt: skip
    start = {"start": Path(config.model.bundle).name} if config.model.bundle else {}
    return {
        **start,
        "data": data,
        "base": f"{Path(config.model.transformer).name}, frozen",
        "training": trained,
        "hardware": _hardware(),
    }


def _hardware() -> str:
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    return f"CPU ({platform.machine()}), {torch.get_num_threads()} threads, torch {torch.__version__}"
