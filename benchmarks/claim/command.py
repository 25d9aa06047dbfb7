"""The command: options, the order of the runs, and the report that is written anew after each of them."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

import cv2
import torch

from benchmarks.claim import arms, pictures
from benchmarks.claim.data import ScoredClip, scored_clips, training_pairs
from benchmarks.claim.protocol import Protocol
from benchmarks.claim.results import Row, csv_lines, difference_table, json_rows, main_table
from benchmarks.claim.running import COST, WEIGHTS, WITHOUT_MODEL, results_of, score_arm, score_without_model, trained
from benchmarks.result_files import read_json, weights_fingerprint, write_json
from track2view_core.training import Stopped
from track2view_core.wan.models import TINY_TRANSFORMER, TINY_VAE
from track2view_core.wan.vae import load_vae

SHEETS = 8
_HELP = {
    "size": "pixels, both sides",
    "frames": "4n + 1",
    "tracks": "tracks of every clip, in training and scoring",
    "shards": "of 8 scenes with 4 cameras, to train on",
    "clips": "held-out clips to score",
    "every": "the camera is fitted to every n-th frame",
}


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.claim", description=__doc__)
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


def rows_of(protocol: Protocol, folder: Path) -> list[Row]:
    """What is finished, in the table's order."""
    rows = []
    for name, label in WITHOUT_MODEL.items():
        if (clips := results_of(folder / name, protocol.clips)) is not None:
            rows.append(Row(name, label, {0: clips}))
    for name, kind in arms.ARMS.items():
        seeds, costs = {}, []
        for seed_folder in sorted((folder / name).glob("seed_*")):
            if (clips := results_of(seed_folder, protocol.clips)) is not None:
                seeds[seed_of(seed_folder)] = clips
                costs.append(read_json(seed_folder / COST))
        if seeds:
            step = min(cost["seconds_a_step"] for cost in costs)
            rows.append(Row(name, kind.label, seeds, costs[0]["parameters"], step))
    return rows


def seed_of(folder: Path) -> int:
    return int(folder.name.removeprefix("seed_"))


def header(protocol: Protocol, command: str, rows: Sequence[Row]) -> str:
    p = protocol
    hours = sum(len(row.seeds) * p.steps * (row.seconds_a_step or 0) for row in rows) / 3600
    sentences = (
        f"{p.clips} held-out clips (scenes and kinds of move that no training saw) of {p.size} x {p.size} x "
        f"{p.frames}, frame 0 left out; {p.tracks} exact tracks a clip, in training too.",
        f"Every arm: the tiny base frozen, LoRA of rank {p.rank}, {p.steps} steps of {p.batch} pairs out of "
        f"{p.shards * 8} scenes with 4 cameras, the same pairs and noise at the same step, Muon {p.muon_rate} and "
        f"AdamW {p.rate}, averaged weights; sampled in {p.sample_steps} Euler steps, shift {p.shift}, from one noise.",
        f"Cameras by photometric fit of every {p.every}th frame; an unmeasurable frame counts as the copied source's "
        "error. Splat: the same tracks, holes filled from coarser averages.",
        "± is the standard deviation over seeds, [ ] the 95 % bootstrap interval over clips.",
        f"Weights {p.weights}; one core of {processor()}, torch {torch.__version__}; training "
        f"took {hours:.1f} hours of processor time, rendering, encoding and scoring not counted.",
    )
    return f"    {command}\n\n" + "\n".join(sentences)


def processor() -> str:
    file = Path("/proc/cpuinfo")
    names = file.read_text().splitlines() if file.exists() else []
    named = [line.split(":", 1)[1].strip() for line in names if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def write_report(protocol: Protocol, folder: Path, out: Path, command: str) -> str:
    rows = rows_of(protocol, folder)
    if not rows:
        return ""
    text = [header(protocol, command, rows)]
    ablations = [row for row in rows if row.name in arms.ABLATIONS]
    main = [row for row in rows if row not in ablations]
    reference = next((row for row in rows if row.name == arms.REFERENCE), None)
    for title, some in (("", main), ("Ablations of the token level", ablations)):
        if some:
            text += [title, main_table(some)] if title else [main_table(some)]
            if reference is not None:
                text.append("Differences on the same clips and seeds; bold where the interval leaves out 0.")
                text.append(difference_table(some, reference))
    table = "\n\n".join(text) + "\n"
    (out / "table.md").write_text(table, encoding="utf-8")
    (out / "table.csv").write_text("\n".join(csv_lines(rows)) + "\n", encoding="utf-8")
    told = {"command": command, "protocol": asdict(protocol), "processor": processor(), "torch": torch.__version__}
    write_json({**told, "rows": json_rows(rows)}, out / "table.json")
    _draw(protocol, folder, out)
    return table


def _draw(protocol: Protocol, folder: Path, out: Path) -> None:
    finished = {
        kind.label: {seed_of(file.parent): pictures.losses(file.parent / "log.jsonl") for file in files}
        for name, kind in arms.MAIN.items()
        if (files := sorted((folder / name).glob(f"seed_*/{WEIGHTS}")))
    }
    drawn = pictures.curves(finished, arms.MAIN["none"].label)
    if drawn is not None:
        cv2.imwrite(str(out / "curves.png"), drawn)
    (out / "sheets").mkdir(exist_ok=True)
    for number in range(min(SHEETS, protocol.clips)):
        name = f"clip_{number:03d}.png"
        shown = {label: folder / row / name for row, label in WITHOUT_MODEL.items()}
        shown = {"truth": folder / "truth" / name, **shown}
        shown |= {kind.label: folder / arm / "seed_0" / name for arm, kind in arms.MAIN.items()}
        picture = pictures.sheet({label: file for label, file in shown.items() if file.exists()})
        if picture is not None:
            cv2.imwrite(str(out / "sheets" / name), picture)


def tell(what: str):
    def progress(done: int, total: int, stage: str) -> None:
        if done % 25 == 0 or done == total or stage == "scoring":
            print(f"{what}: {stage} {done}/{total}", file=sys.stderr, flush=True)

    return progress


def measure(options: argparse.Namespace, protocol: Protocol, folder: Path, report) -> None:
    vae = load_vae(options.vae, torch.float32)
    clips: list[ScoredClip] = scored_clips(protocol, options.vae)
    number, parts = (int(part) for part in options.part.split("/"))
    if number == 1:
        for name in ("truth", *WITHOUT_MODEL):
            score_without_model(name, clips, vae, folder / name, tell(name))
    pairs = training_pairs(protocol, options.vae, options.out / protocol.data_name(), tell("data"))
    for name, seed in runs(options)[number - 1 :: parts]:
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
