"""`python -m benchmarks.claim --out FOLDER`: the options, and the runs in their order; a stopped command goes on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

import torch

from benchmarks import claim
from benchmarks.claim import arms
from benchmarks.claim.protocol import Protocol, ScoredClip, scored_clips, training_pairs
from benchmarks.claim.report import write_report
from benchmarks.claim.train_and_score import WITHOUT_MODEL, results_of, score_arm, score_without_model, trained
from benchmarks.result_files import every_nth, weights_fingerprint, write_json
from track2view_core.training import Stopped
from track2view_core.wan.models import TINY_TRANSFORMER, TINY_VAE
from track2view_core.wan.vae import load_vae

_HELP = {
    "size": "pixels, both sides",
    "frames": "4n + 1",
    "tracks": "tracks of every clip, in training and scoring",
    "shards": "of 8 scenes with 4 cameras, to train on",
    "clips": "held-out clips to score",
    "every": "the camera is fitted to every n-th frame",
    "precision": "fp32, or bf16 with trained weights and optimiser in float32",
}


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.claim", description=claim.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="data, weights, figures and the report")
    parser.add_argument("--seeds", type=int, default=2, help="runs of every arm")
    parser.add_argument("--ablation-seeds", type=int, default=2, help="runs of every ablation; 0 leaves them out")
    parser.add_argument("--arms", nargs="+", choices=list(arms.ARMS), help="only these")
    for field in fields(Protocol):
        if field.name != "weights":
            option = f"--{field.name.replace('_', '-')}"
            told = f"{_HELP.get(field.name, field.name)}; default {field.default}"
            parser.add_argument(option, type=type(field.default), default=field.default, help=told)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--part", default="1/1", help="i/n: one of n processes that share the runs and --out")
    parser.add_argument("--transformer", type=Path, default=TINY_TRANSFORMER)
    parser.add_argument("--vae", type=Path, default=TINY_VAE)
    return parser.parse_args(argv)


def runs(options: argparse.Namespace) -> list[tuple[str, int]]:
    """(arm, seed) in order: all arms with one seed, then with the next; ablations last."""
    planned = [(name, seed) for seed in range(options.seeds) for name in arms.MAIN]
    planned += [(name, seed) for seed in range(options.ablation_seeds) for name in arms.ABLATIONS]
    return [run for run in planned if options.arms is None or run[0] in options.arms]


def tell(what: str):
    def progress(done: int, total: int, stage: str) -> None:
        if done % 25 == 0 or done == total or stage == "scoring":
            print(f"{what}: {stage} {done}/{total}", file=sys.stderr, flush=True)

    return progress


def measure(options: argparse.Namespace, protocol: Protocol, folder: Path, report) -> None:
    vae = load_vae(options.vae, torch.float32)
    clips: list[ScoredClip] = scored_clips(protocol, options.vae)
    own_part = every_nth(options.part)
    if own_part.start == 0:
        for name in ("truth", *WITHOUT_MODEL):
            score_without_model(name, clips, vae, folder / name, tell(name))
    pairs = training_pairs(protocol, options.vae, options.out / protocol.data_name(), tell("data"))
    for name, seed in runs(options)[own_part]:
        own = folder / name / f"seed_{seed}"
        if results_of(own, protocol.clips) is None:
            what = f"{name}, seed {seed}"
            arm = trained(name, seed, pairs, protocol, options.transformer, own, tell(what))
            score_arm(arm, clips, vae, own, tell(what))
        report()


def main(argv: Sequence[str] | None = None) -> None:
    options = parse(argv)
    torch.set_num_threads(options.threads)
    values = {field.name: getattr(options, field.name) for field in fields(Protocol) if field.name != "weights"}
    protocol = replace(Protocol(**values), weights=weights_fingerprint([options.transformer, options.vae]))
    folder = options.out / protocol.fingerprint()
    given = sys.argv[1:] if argv is None else list(argv)
    hidden = {"--out", "--part"}
    shown = [word for i, word in enumerate(given) if word not in hidden and (i == 0 or given[i - 1] not in hidden)]
    command = " ".join(["python -m benchmarks.claim --out FOLDER", *shown])
    folder.mkdir(parents=True, exist_ok=True)
    write_json(asdict(protocol), folder / "protocol.json")
    try:
        measure(options, protocol, folder, lambda: write_report(protocol, folder, options.out, command))
    except Stopped:
        sys.exit("Stopped; the same command goes on from here.")
    print(write_report(protocol, folder, options.out, command))


if __name__ == "__main__":
    main()
