"""What a run's stage builds from a config, is validated by and writes when it is done; and the stage `conditioner`.

The stages `vae` and `base`, which only the tiny models need, are in `tiny/`.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Protocol

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from ..conditioner import TrackConditioner
from ..dataset import PairDataset
from ..errors import Track2ViewError
from ..wan.bundle import Bundle, load_bundle, save_bundle
from ..wan.bundle_config import BaseConfig, BundleConfig, SamplingConfig
from ..wan.checkpoints import load_transformer
from ..wan.lora import ADAPTER, PREFIX, add_lora, fill_lora
from ..wan.models import TextEncoder
from ..wan.original_layout import dit_name_to_original
from ..wan.tensor_files import read_tensors
from ..wan.vae import load_vae
from .batches import BatchSource, PairShare, PairSource
from .loop import Objective, Validate
from .objectives import (
    ConditionerObjective,
    PairObjective,
    keep_time_in_float32,
    recompute_activations,
)
from .resident import ResidentPairs, ResidentShare
from .run_state import write_durably
from .settings import DataShare, TrainConfig
from .validation import PairValidation

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Stage(Protocol):
    objective: Objective
    source: BatchSource
    validate: Validate | None

    def export(self, average: Mapping[str, Tensor], file: Path, facts: Mapping[str, str]) -> None:
        """Write the finished model; `facts` are lines for its card."""
        ...


class ConditionerStage:
    """LoRA and conditioner on a frozen base, into a bundle."""

    def __init__(self, config: TrainConfig) -> None:
        self.config, model = config, config.model
        if not model.transformer:
            raise Track2ViewError("model.transformer is empty; stage conditioner trains on a base: give its file.")
        self.transformer = load_transformer(model.transformer, DTYPES[model.dtype])
        self.base = BaseConfig.of(self.transformer)
        if config.conditioner.dim != self.base.dim:
            raise Track2ViewError(
                f"conditioner.dim is {config.conditioner.dim}, and the tokens of {model.transformer} are "
                f"{self.base.dim} wide; set it to {self.base.dim}."
            )
        self.source = pair_source(config)
        self.bundle_config = self._bundle_config({})
        add_lora(self.transformer, config.lora.rank, config.lora.alpha)
        conditioner = TrackConditioner(config.conditioner)
        if model.bundle:
            self._start_from(load_bundle(model.bundle), conditioner)
        self.source_text = source_text(config)
        self.objective: PairObjective = ConditionerObjective(
            self.transformer, conditioner, config.flow, self.source_text
        )
        bundle = Bundle(conditioner, {}, self.bundle_config, self.source_text)
        self.validate = pair_validation(config, self.objective, bundle)
        prepare(config, self.transformer, conditioner)

    def _start_from(self, bundle: Bundle, conditioner: TrackConditioner) -> None:
        wanted = self.config.conditioner
        for name, value in asdict(bundle.config.conditioner).items():
            if value != getattr(wanted, name):
                raise Track2ViewError(
                    f"conditioner.{name} is {getattr(wanted, name)!r}, and in {self.config.model.bundle} it is "
                    f"{value!r}; set it to that, or leave model.bundle empty to train a new conditioner."
                )
        bundle.check_base(self.base)
        fill_lora(self.transformer, bundle.lora)
        conditioner.load_state_dict(bundle.conditioner.state_dict())

    def _bundle_config(self, card: Mapping[str, str]) -> BundleConfig:
        config, info = self.config, open_datasets(self.config)[-1].info
        sampling = SamplingConfig(
            steps=config.sampling.steps,
            guidance=config.sampling.guidance,
            shift=config.flow.shift,
            width=info.width,
            height=info.height,
            frames=info.frames,
            scheduler=config.sampling.scheduler,
            rotary=config.flow.rotary,
            source_timestep=config.flow.source_timestep,
            source_attention=config.flow.source_attention,
            source_text=config.flow.source_text,
            uses_text=config.model.uses_text,
            pixels=config.sampling.pixels,
        )
        return BundleConfig(config.conditioner, sampling, self.base, dict(card))

    def export(self, average: Mapping[str, Tensor], file: Path, facts: Mapping[str, str]) -> None:
        card = {**model_card(self.config, open_datasets(self.config)), **facts, **self.config.export.card}
        conditioner = TrackConditioner(self.config.conditioner)
        start = "conditioner."
        conditioner.load_state_dict(
            {name[len(start) :]: value.cpu() for name, value in average.items() if name.startswith(start)}
        )
        lora = lora_of(average, self.config.lora.alpha)
        bundle = Bundle(conditioner, lora, self._bundle_config(card), self.source_text)
        save_bundle(file, bundle, dtype=DTYPES[self.config.export.dtype])


def lora_of(average: Mapping[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """The LoRA among averaged weights, in ComfyUI's keys."""
    lora: dict[str, Tensor] = {}
    for name, value in average.items():
        for part in ("lora_A", "lora_B"):
            ending = f".{part}.{ADAPTER}.weight"
            if name.startswith("transformer.") and name.endswith(ending):
                key = f"{PREFIX}{dit_name_to_original(name[len('transformer.') : -len(ending)])}"
                lora[f"{key}.{part}.weight"] = value.cpu()
                lora[f"{key}.alpha"] = torch.tensor(float(alpha))
    return lora


def model_card(config: TrainConfig, datasets: Sequence[PairDataset]) -> dict[str, str]:
    """What a bundle says about its making: data, settings, hardware; the config's own lines come on top."""
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


def open_datasets(config: TrainConfig) -> list[PairDataset]:
    return [PairDataset(share.folder) for share in config.data]


def pair_source(config: TrainConfig) -> PairSource:
    check_one_vae(config)
    empty = empty_prompt(config)
    return PairSource([_share(config, share) for share in config.data], empty)


def run_device(config: TrainConfig) -> torch.device:
    """Where the run will be: the CPU, or what accelerate finds."""
    if config.run.device == "cpu":
        return torch.device("cpu")
    from accelerate import PartialState

    return torch.device(PartialState().device or "cpu")


def _share(config: TrainConfig, share: DataShare) -> PairShare | ResidentShare:
    dataset = PairDataset(share.folder)
    if config.model.uses_text and not dataset.info.has_text:
        raise Track2ViewError(
            f"{share.folder} holds no text embeddings; make it with --text-encoder, or set model.uses_text to false."
        )
    draw = replace(config.draw, batch=share.batch or config.draw.batch, tracks=share.tracks or config.draw.tracks)
    if not config.model.uses_text:
        draw = replace(draw, text_dropout=1.0)
    if share.resident:
        if config.model.uses_text:
            raise Track2ViewError(
                f"{share.folder} is resident, which takes no texts; set model.uses_text or resident to false."
            )
        resident = ResidentPairs(share.folder, run_device(config))
        return ResidentShare(resident, draw, share.start, share.name or Path(share.folder).name)
    return PairShare(dataset, draw, share.start, share.name or Path(share.folder).name)


def check_one_vae(config: TrainConfig) -> None:
    """Latents of two VAEs mean different things; the decoder of validation pictures must be theirs, too."""
    found: dict[str, str] = {}
    for folder in [*(share.folder for share in config.data), config.validation.folder]:
        if folder and (vae := PairDataset(folder).info.vae) is not None:
            found.setdefault(vae.sha256, folder)
    decoder = Path(config.validation.vae)
    if config.validation.vae and decoder.is_file():
        found.setdefault(hashlib.sha256(decoder.read_bytes()).hexdigest(), str(decoder))
    if len(found) > 1:
        first, second, *_ = found.values()
        raise Track2ViewError(
            f"The latents of {first} and {second} belong to different VAEs; encode all data of a run with one, and "
            "name that in validation.vae."
        )


def empty_prompt(config: TrainConfig) -> Tensor | None:
    """What a dropped text becomes [L, 4096]: the empty prompt's embedding, made once and kept in the run's folder.

    None for a run without text.
    """
    if not config.model.uses_text:
        return None
    file = Path(config.folder) / "empty_prompt.safetensors"
    if file.is_file():
        return read_tensors(file, "The empty prompt")[0]["embedding"]
    folder = Path(config.model.text_encoder or config.model.transformer)
    if not TextEncoder.is_in(folder):
        raise Track2ViewError(
            f"{folder} holds no text encoder to embed the empty prompt with; set model.text_encoder to a diffusers "
            "folder of WAN 2.1, or model.uses_text to false."
        )
    embedding = TextEncoder(folder, torch.bfloat16).encode([""])[0][0]
    embedding = embedding[: int(embedding.abs().amax(1).nonzero()[-1]) + 1]
    file.parent.mkdir(parents=True, exist_ok=True)
    write_durably({"embedding": embedding}, file, {})
    return embedding


def source_text(config: TrainConfig) -> Tensor | None:
    """What the source reads in the place of the prompt: the empty prompt's embedding, or nothing."""
    return empty_prompt(config) if config.flow.source_text == "empty" else None


def pair_validation(config: TrainConfig, objective: PairObjective, bundle: Bundle | None) -> PairValidation | None:
    settings = config.validation
    if not settings.folder:
        return None
    vae = load_vae(settings.vae) if settings.vae and settings.samples and bundle is not None else None
    return PairValidation(
        objective,
        PairDataset(settings.folder),
        settings,
        draw=config.draw,
        bundle=bundle,
        vae=vae,
        empty_text=empty_prompt(config),
        uses_text=config.model.uses_text,
    )


def prepare(config: TrainConfig, transformer: WanTransformer3DModel, conditioner: TrackConditioner | None) -> None:
    """What precision and memory ask of the models, whatever is trained of them."""
    keep_time_in_float32(transformer)
    if config.model.gradient_checkpointing:
        recompute_activations(transformer, conditioner)
