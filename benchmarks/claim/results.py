"""From figures of clips to rows of a table: means, their spread over seeds, and how sure the clips make them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from track2view_core.evaluation import Interval, bootstrap_interval, paired_interval

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
