"""The tiny models from nothing on one card, by the clock: `python -m benchmarks.train_tiny --out FOLDER`.

Renders the scenes, trains VAE, base, LoRA and conditioner as configs/tiny_gpu*.toml say, and leaves the three weights,
a contact sheet of each and `report.json` in FOLDER. --minutes is for everything; each stage takes its share of what is
left, and the last one the rest. Cut short (Ctrl-C, a termination request), it still writes what the running stage has.

--small does the same with a few scenes and small batches: whether everything runs, on any machine.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from track2view_core.curation import ClipEncoder, Reencoding, RenderedScenes, SceneSettings
from track2view_core.curation.shard_maker import curate
from track2view_core.dataset import shard_file, start_dataset, write_report, write_shard
from track2view_core.preview import write_picture
from track2view_core.training import Stopped
from track2view_core.training.run import export_run, run_config
from track2view_core.training.run_log import contact_sheet
from track2view_core.training.settings import TrainConfig, load_config
from track2view_core.wan.checkpoints import load_transformer
from track2view_core.wan.sampler import TRAIN_TIMESTEPS, make_scheduler
from track2view_core.wan.vae import decode, load_vae

DATA = Path("data/tiny_gpu")  # as in the configs
STAGES = {"vae": "configs/tiny_gpu_vae.toml", "base": "configs/tiny_gpu_base.toml", "bundle": "configs/tiny_gpu.toml"}
_SCENES = SceneSettings(scenes=8, cameras=3, tracks=640, keep_frames=True)
DATA_SETS = {  # name -> shards, settings; seeds apart, so that no scene comes twice
    "held_out": (2, replace(_SCENES, moves="held_out", seed=0)),
    "smooth": (64, replace(_SCENES, seed=100_000)),
    "smooth_2x": (96, replace(_SCENES, supersample=2, seed=200_000)),
    "detailed_2x": (48, replace(_SCENES, supersample=2, texture="detailed", seed=300_000)),
}
SHARES = {"render": 0.12, "vae": 0.3, "base": 0.42, "bundle": 1.0}  # of the time that is left when its turn comes
WRITING = 0.05  # share of all the time kept back for encoding, validation and files
SMALL = [
    "run.steps=6", "run.log_every=2", "run.checkpoint_every=4", "validation.pairs=2",
]  # fmt: skip
SMALL_OF = {
    "vae": ["vae.image_batch=2", "vae.clip_pixels=40000", "validation.samples=1"],
    "base": ["draw.batch=2"],
    "bundle": ["draw.batch=2", "validation.samples=1"],
}


@dataclass
class Clock:
    minutes: float
    began: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Minutes, less what is kept back."""
        return self.minutes * (1 - WRITING) - (time.monotonic() - self.began) / 60


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="weights, sheets and report")
    parser.add_argument("--minutes", type=float, default=8.0, help="for everything (default: %(default)s)")
    parser.add_argument("--small", action="store_true", help="a few scenes and small batches")
    parser.add_argument("--set", dest="changes", action="append", default=[], help="STAGE:FIELD=VALUE of a config")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    options = parse(argv)
    clock, device = Clock(options.minutes), "cuda" if torch.cuda.is_available() else "cpu"
    options.out.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {"options": {k: str(v) for k, v in vars(options).items()}, "device": device}
    try:
        report["render"] = timed(lambda: rendered(clock, device, options.small))
        say("rendered", report["render"])
        for stage in STAGES:
            config = configured(stage, clock, options)
            try:
                report[stage] = timed(lambda config=config: trained(config))
            finally:
                publish(config, options.out)
            say(stage, report[stage])
            if stage == "vae":
                report["encode"] = timed(lambda config=config: encoded(Path(config.export.file), device))
            if stage == "base":
                sheet = base_samples(Path(config.export.file), device, options.small)
                write_picture(sheet, options.out / "base_samples.png")
    finally:
        (options.out / "report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
        with (options.out / "log.jsonl").open("w", encoding="utf-8") as log:
            for stage in STAGES:
                lines = Path(load_config(STAGES[stage]).folder) / "log.jsonl"
                if lines.is_file():
                    log.writelines(json.dumps({"stage": stage, **json.loads(line)}) + "\n" for line in lines.open())


def say(what: str, figures: dict[str, Any]) -> None:
    print(f"{what}: {json.dumps(figures)}", flush=True)


def timed(work: Any) -> dict[str, Any]:
    began = time.monotonic()
    return {**work(), "seconds": round(time.monotonic() - began, 1)}


def rendered(clock: Clock, device: str, small: bool) -> dict[str, int]:
    """The data sets' shards in turn, until all are there or their share of the time is over; files that exist stay."""
    makers = {
        name: RenderedScenes(1 if small else shards, replace(how, scenes=2 if small else how.scenes), device=device)
        for name, (shards, how) in DATA_SETS.items()
    }
    for name, maker in makers.items():
        start_dataset(DATA / name, maker.info())
    ends = clock.left * (1 - SHARES["render"])
    places = ((number / len(maker), name, number) for name, maker in makers.items() for number in range(len(maker)))
    with ThreadPoolExecutor(2) as pool:  # a shard is written while the next ones are rendered
        waiting = []
        for share, name, number in sorted(places):
            if clock.left < ends and share > 0:
                break
            if not shard_file(DATA / name, number).exists():
                shard = makers[name].make(number)
                waiting.append(pool.submit(write_shard, shard, DATA / name, number, makers[name].info()))
        for written in waiting:
            written.result()
    return {name: write_report(DATA / name)["clips"] for name in makers}


def encoded(vae: Path, device: str) -> dict[str, int]:
    encoder, clips = ClipEncoder(vae, device=device), {}
    for name in DATA_SETS:
        shutil.rmtree(DATA / f"{name}_latents", ignore_errors=True)  # of another VAE
        clips[name] = curate(Reencoding(DATA / name, encoder), DATA / f"{name}_latents")["clips"]
    return clips


def configured(stage: str, clock: Clock, options: argparse.Namespace) -> TrainConfig:
    """The stage's config with its part of the minutes, begun anew."""
    changes = [change.partition(":")[2] for change in options.changes if change.startswith(f"{stage}:")]
    minutes = max(0.05, clock.left * SHARES[stage])
    small = [*SMALL, *SMALL_OF[stage]] if options.small else []
    config = load_config(STAGES[stage], [f"run.minutes={minutes}", *small, *changes])
    shutil.rmtree(config.folder, ignore_errors=True)
    Path(config.export.file).unlink(missing_ok=True)
    return config


def trained(config: TrainConfig) -> dict[str, Any]:
    """Run a stage to its end, or export what it has when it is stopped; its last figures."""
    try:
        steps = run_config(config).steps
    except Stopped:
        export_run(config, Path(config.export.file))
        raise
    lines = [json.loads(line) for line in (Path(config.folder) / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    figures: dict[str, Any] = {"minutes": round(config.run.minutes or 0, 2), "steps": steps}
    for line in lines[-2:]:
        figures |= {name: value for name, value in line.items() if isinstance(value, float)}
    return figures


def publish(config: TrainConfig, out: Path) -> None:
    """Weights, if there are any, and the newest sheet of samples."""
    if Path(config.export.file).is_file():
        shutil.copy2(config.export.file, out)
    for sheet in sorted((Path(config.folder) / "samples").glob("*.png"))[-1:]:
        shutil.copy2(sheet, out / f"{Path(config.folder).name}_samples.png")


@torch.no_grad()
def base_samples(file: Path, device: str, small: bool) -> Tensor:
    """What the base makes of noise alone, as a contact sheet: its clips have to hold to the last frame."""
    transformer = load_transformer(file).to(device).eval()
    vae = load_vae(Path(load_config(STAGES["vae"]).export.file), device=device)
    count, steps = (1, 2) if small else (6, 24)
    latent = torch.randn(count, 16, 5, 16, 16, generator=torch.Generator().manual_seed(0))
    schedule = make_scheduler("euler", steps, 3.0)
    assert isinstance(schedule.sigmas, Tensor) and isinstance(schedule.timesteps, Tensor)
    text = torch.zeros(count, 1, transformer.config["text_dim"], device=device)
    for sigma, time_now in zip(schedule.sigmas, schedule.timesteps, strict=False):
        when = (sigma * TRAIN_TIMESTEPS).expand(count).to(device)
        velocity = transformer(latent.to(device), when, text, return_dict=False)[0].float().cpu()
        latent = schedule.step(velocity, time_now, latent, return_dict=False)[0]  # pyright: ignore[reportArgumentType]
    return contact_sheet([{"base": decode(vae, clip[None])} for clip in latent])


if __name__ == "__main__":
    main()
