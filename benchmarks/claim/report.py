"""The report, written anew after each run: means with their spread over seeds, loss curves, contact sheets."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.claim import arms
from benchmarks.claim.protocol import Protocol
from benchmarks.claim.train_and_score import COST, WEIGHTS, WITHOUT_MODEL, results_of
from benchmarks.held_out_clips import contact_sheet
from benchmarks.result_files import read_json, write_json
from track2view_core.evaluation import Interval, bootstrap_interval, paired_interval

SHEETS = 8
Figures = Mapping[str, object]  # of one clip


@dataclass(frozen=True)
class Measure:
    name: str
    header: str
    digits: int
    of: Callable[[Figures], float]
    compared: bool = True  # has a column in the table of differences


def _plain(name: str) -> Callable[[Figures], float]:
    return lambda figures: float(figures.get(name, np.nan))  # type: ignore[arg-type]


def _mean(name: str) -> Callable[[Figures], float]:
    return lambda figures: float(np.mean(figures[name]))  # type: ignore[arg-type]


MEASURES = (
    Measure("psnr", "PSNR, dB", 2, _plain("psnr")),
    Measure("disoccluded_psnr", "disoccluded, dB", 2, _plain("disoccluded_psnr")),
    Measure("rotation", "RotErr, deg", 2, _mean("rotation")),
    Measure("bare_rotation", "of the bare fit, deg", 2, _mean("bare_rotation")),
    Measure("translation", "TransErr", 3, _mean("translation")),
    Measure("unmeasurable", "unmeasurable, %", 0, lambda figures: 100 * _mean("unmeasurable")(figures), False),
    Measure("energy", "gradient energy", 2, _plain("energy"), False),
    Measure("loss", "held-out loss", 4, _plain("loss")),
)


@dataclass(frozen=True)
class Row:
    """One line of the table; `seeds` is the figures of every clip for every seed that is finished."""

    name: str
    label: str
    seeds: Mapping[int, Sequence[Figures]]
    parameters: int | None = None
    seconds_a_step: float | None = None

    def values(self, measure: Measure, seeds: Sequence[int] | None = None) -> np.ndarray:
        """[seeds, clips]."""
        return np.array([[measure.of(clip) for clip in self.seeds[seed]] for seed in seeds or sorted(self.seeds)])

    def interval(self, measure: Measure) -> Interval:
        return bootstrap_interval(self.values(measure).mean(0))

    def seed_means(self, measure: Measure) -> np.ndarray:
        return np.nanmean(self.values(measure), 1)

    def has(self, measure: Measure) -> bool:
        return measure.name in next(iter(self.seeds.values()))[0]


def difference(row: Row, reference: Row, measure: Measure) -> Interval | None:
    """The row less the reference, clip by clip, over the seeds that both have."""
    shared = sorted(set(row.seeds) & set(reference.seeds))
    if not shared or not (row.has(measure) and reference.has(measure)):
        return None
    return paired_interval(row.values(measure, shared).mean(0), reference.values(measure, shared).mean(0))


def main_table(rows: Sequence[Row]) -> str:
    lines = [
        "| | seeds | " + " | ".join(measure.header for measure in MEASURES) + " | trained, M | s a step |",
        "|---" * (len(MEASURES) + 4) + "|",
    ]
    for row in rows:
        trained = row.parameters is not None
        cells = [row.label, str(len(row.seeds)) if trained else "-"]
        cells += [_cell(row, measure) for measure in MEASURES]
        cells.append(f"{row.parameters / 1e6:.2f}" if row.parameters is not None else "-")
        cells.append(f"{row.seconds_a_step:.2f}" if row.seconds_a_step is not None else "-")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(row: Row, measure: Measure) -> str:
    if not row.has(measure):
        return "-"
    found, means = row.interval(measure), row.seed_means(measure)
    spread = f" ± {means.std(ddof=1):.{measure.digits}f}" if len(means) > 1 else ""
    return f"{found.mean:.{measure.digits}f}{spread} [{found.low:.{measure.digits}f}, {found.high:.{measure.digits}f}]"


def difference_table(rows: Sequence[Row], reference: Row) -> str:
    measures = [measure for measure in MEASURES if measure.compared]
    lines = [
        f"| less {reference.label} | " + " | ".join(measure.header for measure in measures) + " |",
        "|---" * (len(measures) + 1) + "|",
    ]
    for row in rows:
        if row.name != reference.name:
            cells = [_difference_cell(difference(row, reference, measure), measure.digits) for measure in measures]
            lines.append(f"| {row.label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _difference_cell(found: Interval | None, digits: int) -> str:
    if found is None:
        return "-"
    text = f"{found.mean:+.{digits}f} [{found.low:+.{digits}f}, {found.high:+.{digits}f}]"
    return f"**{text}**" if found.low > 0 or found.high < 0 else text


def csv_lines(rows: Sequence[Row]) -> list[str]:
    lines = ["name,label,seeds,measure,mean,seed_deviation,low,high,clips"]
    for row in rows:
        for measure in MEASURES:
            if row.has(measure):
                found, means = row.interval(measure), row.seed_means(measure)
                spread = f"{means.std(ddof=1):.6g}" if len(means) > 1 else ""
                numbers = f"{found.mean:.6g},{spread},{found.low:.6g},{found.high:.6g},{found.clips}"
                lines.append(f'{row.name},"{row.label}",{len(row.seeds)},{measure.name},{numbers}')
    return lines


def json_rows(rows: Sequence[Row]) -> list[dict]:
    return [
        {
            "name": row.name,
            "label": row.label,
            "parameters": row.parameters,
            "seconds_a_step": row.seconds_a_step,
            "clips": {
                str(seed): [
                    {measure.name: measure.of(clip) for measure in MEASURES if row.has(measure)} for clip in clips
                ]
                for seed, clips in row.seeds.items()
            },
        }
        for row in rows
    ]


_COLOURS = (
    (31, 119, 180),
    (23, 190, 207),
    (214, 39, 40),
    (255, 127, 14),
    (148, 103, 189),
    (44, 160, 44),
    (60, 60, 60),
)  # RGB
_PANEL, _LEGEND = (760, 560), 300  # pixels
_LEFT, _TOP, _BOTTOM, _RIGHT = 90, 60, 60, 20
_FONT, _LABEL_WIDTH = cv2.FONT_HERSHEY_SIMPLEX, 200
_SMOOTH = 0.95  # of the running mean


def losses(log: Path) -> np.ndarray:
    """[steps] of one run's log."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return np.array([line["loss"] for line in lines if "loss" in line])


def smoothed(values: np.ndarray) -> np.ndarray:
    """Running mean without a bias towards the start."""
    out, total, weight = np.empty(len(values)), 0.0, 0.0
    for i, value in enumerate(values):
        total, weight = _SMOOTH * total + (1 - _SMOOTH) * value, _SMOOTH * weight + (1 - _SMOOTH)
        out[i] = total / weight
    return out


def curves(runs: Mapping[str, Mapping[int, np.ndarray]], baseline: str) -> np.ndarray | None:
    """[h, w, 3] uint8, BGR: each arm's loss, and beside it the loss less the baseline's on the same pairs and noise.

    runs: for every arm the losses [steps] of its finished seeds; means are over the seeds that all of them have.
    """
    shared = set.intersection(*(set(seeds) for seeds in runs.values())) if runs else set()
    if not shared:
        return None
    means = {name: np.mean([seeds[seed] for seed in sorted(shared)], 0) for name, seeds in runs.items()}
    panels = [_panel({name: smoothed(values) for name, values in means.items()}, "training loss")]
    if baseline in means and len(means) > 1:
        less = {name: smoothed(values - means[baseline]) for name, values in means.items() if name != baseline}
        panels.append(_panel(less, f"the same less that of: {baseline}", list(means)))
    return np.concatenate([*panels, _legend(list(means))], 1)


def _legend(names: Sequence[str]) -> np.ndarray:
    picture = np.full((_PANEL[1], _LEGEND, 3), 255, np.uint8)
    for row, name in enumerate(names):
        y = _TOP + 20 + 30 * row
        cv2.line(picture, (10, y - 5), (40, y - 5), _colour(name, names), 3, cv2.LINE_AA)
        cv2.putText(picture, name, (50, y), _FONT, 0.55, (30, 30, 30), 1, cv2.LINE_AA)
    return picture


def _colour(name: str, names: Sequence[str]) -> tuple[int, ...]:
    return _COLOURS[names.index(name) % len(_COLOURS)][::-1]


def _panel(lines: Mapping[str, np.ndarray], title: str, order: Sequence[str] | None = None) -> np.ndarray:
    width, height = _PANEL
    picture = np.full((height, width, 3), 255, np.uint8)
    skipped = min(20, min(map(len, lines.values())) - 1)  # the first steps are all alike and stretch the scale
    shown = np.concatenate([values[skipped:] for values in lines.values()])
    low, high = float(shown.min()), float(shown.max()) + 1e-9
    steps = max(map(len, lines.values()))

    def place(step: float, value: float) -> tuple[int, int]:
        x = _LEFT + (width - _LEFT - _RIGHT) * step / max(1, steps - 1)
        return round(x), round(_TOP + (height - _TOP - _BOTTOM) * (high - value) / (high - low))

    for share in np.linspace(0, 1, 6):
        value = low + share * (high - low)
        (x, y), end = place(0, value), place(steps - 1, value)
        cv2.line(picture, (x, y), end, (225, 225, 225), 1)
        cv2.putText(picture, f"{value:.3f}", (8, y + 5), _FONT, 0.5, (60, 60, 60), 1, cv2.LINE_AA)
        mark = place(share * (steps - 1), low)
        cv2.putText(
            picture, f"{share * steps:.0f}", (mark[0] - 15, mark[1] + 25), _FONT, 0.5, (60, 60, 60), 1, cv2.LINE_AA
        )
    names = list(order or lines)
    for name, values in lines.items():
        points = np.array([place(step, value) for step, value in enumerate(values) if step >= skipped], np.int32)
        cv2.polylines(picture, [points], False, _colour(name, names), 2, cv2.LINE_AA)
    cv2.putText(picture, title, (_LEFT, 35), _FONT, 0.7, (30, 30, 30), 1, cv2.LINE_AA)
    return picture


def sheet(rows: Mapping[str, Path]) -> np.ndarray | None:
    """The frames of every row under each other; None where one is missing."""
    strips = {name: cv2.imread(str(file)) for name, file in rows.items()}
    return None if any(strip is None for strip in strips.values()) else contact_sheet(strips, _LABEL_WIDTH)


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
        kind.label: {seed_of(file.parent): losses(file.parent / "log.jsonl") for file in files}
        for name, kind in arms.MAIN.items()
        if (files := sorted((folder / name).glob(f"seed_*/{WEIGHTS}")))
    }
    drawn = curves(finished, arms.MAIN["none"].label)
    if drawn is not None:
        cv2.imwrite(str(out / "curves.png"), drawn)
    (out / "sheets").mkdir(exist_ok=True)
    for number in range(min(SHEETS, protocol.clips)):
        name = f"clip_{number:03d}.png"
        shown = {label: folder / row / name for row, label in WITHOUT_MODEL.items()}
        shown = {"truth": folder / "truth" / name, **shown}
        shown |= {kind.label: folder / arm / "seed_0" / name for arm, kind in arms.MAIN.items()}
        picture = sheet({label: file for label, file in shown.items() if file.exists()})
        if picture is not None:
            cv2.imwrite(str(out / "sheets" / name), picture)
