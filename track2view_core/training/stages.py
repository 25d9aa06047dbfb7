"""The three stages: what each builds from a config, validates by and writes when it is done."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch import Tensor

from ..conditioner import TrackConditioner
from ..dataset import PairDataset
from ..errors import Track2ViewError
from ..wan.bundle import Bundle, load_bundle, save_bundle
from ..wan.bundle_config import BaseConfig, BundleConfig, SamplingConfig
from ..wan.checkpoints import load_transformer, save_transformer
from ..wan.lora import ADAPTER, PREFIX, add_lora, fill_lora
from ..wan.original_layout import dit_name_to_original
from ..wan.vae import load_vae, save_vae
from .batches import BatchSource, PairShare, PairSource
from .config import DataShare, TrainConfig
from .empty_prompt import empty_prompt
from .loop import Objective, Validate
from .model_card import model_card
from .new_transformer import new_transformer
from .objectives import (
    BaseObjective,
    ConditionerObjective,
    PairObjective,
    keep_time_in_float32,
    recompute_activations,
)
from .seeds import seed_for
from .vae_objective import ClipSource, VaeObjective, fold_statistics, measured_statistics, new_vae
from .validation import PairValidation, VaeValidation, spread

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
STATISTICS_CLIPS = 96  # whose latents give the mean and std that are folded into a finished VAE


class Stage(Protocol):
    objective: Objective
    source: BatchSource
    validate: Validate | None

    def export(self, average: Mapping[str, Tensor], file: Path, facts: Mapping[str, str]) -> None:
        """Write the finished model; `facts` are lines for its card."""
        ...


def make_stage(config: TrainConfig) -> Stage:
    """Models and data of a run, before its first step."""
    with torch.random.fork_rng():  # the weights a run starts from depend on its seed alone
        torch.manual_seed(seed_for(config.run.seed, "initial weights"))
        return {"vae": VaeStage, "base": BaseStage, "conditioner": ConditionerStage}[config.stage](config)


class VaeStage:
    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.datasets = opened(config)
        for dataset in self.datasets:
            if not dataset.info.has_frames:
                raise Track2ViewError(f"{dataset.folder} holds no frames; make it again with --keep-frames.")
        self.vae: AutoencoderKLWan = new_vae(config.vae.base_width)
        self.objective = VaeObjective(self.vae)
        self.source = ClipSource(self.datasets, config.vae)
        held_out = config.validation
        self.validate = None
        if held_out.folder:
            clips = PairDataset(held_out.folder)
            self.validate = VaeValidation(self.vae, clips, held_out, Path(config.folder) / "samples")

    def export(self, average: Mapping[str, Tensor], file: Path, facts: Mapping[str, str]) -> None:
        self.vae.load_state_dict(average)
        data = self.datasets[0]
        clips = spread(data.clip_count, STATISTICS_CLIPS, data.clip_frames)
        fold_statistics(self.vae, *measured_statistics(self.vae, clips))
        save_vae(self.vae, file, DTYPES[self.config.export.dtype])


class BaseStage:
    def __init__(self, config: TrainConfig) -> None:
        self.config, model = config, config.model
        if model.transformer:
            self.transformer = load_transformer(model.transformer).requires_grad_(True)
        else:
            self.transformer = new_transformer(config.base, zero_prompt=not model.uses_text)
        if not model.uses_text:  # a prompt of zeros teaches this matrix nothing
            self.transformer.condition_embedder.text_embedder.linear_1.weight.requires_grad_(False)
        self.objective: PairObjective = BaseObjective(self.transformer, config.flow)
        self.source = pair_source(config)
        self.validate = pair_validation(config, self.objective, None)
        _prepare(config, self.transformer, None)

    def export(self, average: Mapping[str, Tensor], file: Path, facts: Mapping[str, str]) -> None:
        self.transformer.load_state_dict(average, strict=False)
        save_transformer(self.transformer, file, DTYPES[self.config.export.dtype])


class ConditionerStage:
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
        self.objective: PairObjective = ConditionerObjective(self.transformer, conditioner, config.flow)
        bundle = Bundle(conditioner, {}, self.bundle_config)
        self.validate = pair_validation(config, self.objective, bundle)
        _prepare(config, self.transformer, conditioner)

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
        config, info = self.config, opened(self.config)[-1].info
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
            uses_text=config.model.uses_text,
        )
        return BundleConfig(config.conditioner, sampling, self.base, dict(card))

    def export(self, average: Mapping[str, Tensor], file: Path, facts: Mapping[str, str]) -> None:
        card = {**model_card(self.config, opened(self.config)), **facts, **self.config.export.card}
        conditioner = TrackConditioner(self.config.conditioner)
        start = "conditioner."
        conditioner.load_state_dict(
            {name[len(start) :]: value.cpu() for name, value in average.items() if name.startswith(start)}
        )
        lora = lora_of(average, self.config.lora.alpha)
        save_bundle(file, Bundle(conditioner, lora, self._bundle_config(card)), dtype=DTYPES[self.config.export.dtype])


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


def opened(config: TrainConfig) -> list[PairDataset]:
    return [PairDataset(share.folder) for share in config.data]


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


def pair_source(config: TrainConfig) -> PairSource:
    check_one_vae(config)
    empty = empty_prompt(config)
    return PairSource([_share(config, share) for share in config.data], empty)


def _share(config: TrainConfig, share: DataShare) -> PairShare:
    dataset = PairDataset(share.folder)
    if config.model.uses_text and not dataset.info.has_text:
        raise Track2ViewError(
            f"{share.folder} holds no text embeddings; make it with --text-encoder, or set model.uses_text to false."
        )
    draw = replace(config.draw, batch=share.batch or config.draw.batch, tracks=share.tracks or config.draw.tracks)
    if not config.model.uses_text:
        draw = replace(draw, text_dropout=1.0)
    return PairShare(dataset, draw, share.start, share.name or Path(share.folder).name)


def pair_validation(config: TrainConfig, objective: PairObjective, bundle: Bundle | None) -> PairValidation | None:
    settings = config.validation
    if not settings.folder:
        return None
    vae = load_vae(settings.vae) if settings.vae and settings.samples and bundle is not None else None
    return PairValidation(
        objective,
        PairDataset(settings.folder),
        settings,
        Path(config.folder) / "samples",
        draw=config.draw,
        bundle=bundle,
        vae=vae,
        empty_text=empty_prompt(config),
        uses_text=config.model.uses_text,
    )


def _prepare(config: TrainConfig, transformer: WanTransformer3DModel, conditioner: Any) -> None:
    keep_time_in_float32(transformer)
    if config.model.gradient_checkpointing:
        recompute_activations(transformer, conditioner)
