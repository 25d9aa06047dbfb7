"""Scores of one or more methods under one protocol: means with intervals, differences, and what is missing.

Numbers of different protocols never share a table: joining refuses, and names the first thing that differs.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..cameras.formats.parsing import mapping
from ..errors import Track2ViewError
from .intervals import LEVEL, RESAMPLES, Interval, mean_interval, paired_interval
from .measures import SCORES, Measures
from .runs import Run
from .scoring import UNMEASURABLE, ClipScores, RunScores, known_values

FORMAT, VERSION = "track2view-scores", 1


@dataclass(frozen=True, eq=False)
class Report:
    """Methods scored on the same clips under the same protocol."""

    protocol: Mapping[str, str]
    runs: tuple[RunScores, ...]
    interval: str = "bootstrap"
    seed: int = 0

    @property
    def broken(self) -> dict[str, str]:
        """Clips left out of every method's means, because one method's is broken: name -> whose and why."""
        return {clip.name: f"{run.method}: {clip.broken}" for run in self.runs for clip in run.clips if clip.broken}

    @property
    def scores(self) -> list[str]:
        """The scores that at least one clip has, in the order of the tables."""
        return [name for name in SCORES if any(name in clip.values for run in self.runs for clip in run.clips)]

    @property
    def groups(self) -> list[str]:
        return sorted({clip.group for run in self.runs for clip in run.clips if clip.group})

    def counted(self, run: RunScores, group: str | None = None) -> list[ClipScores]:
        """The clips of a run that its means are over."""
        broken = self.broken
        return [clip for clip in run.clips if clip.name not in broken and group in (None, clip.group)]

    def mean(self, run: RunScores, score: str, group: str | None = None) -> Interval:
        return mean_interval(known_values(self.counted(run, group), score), self.interval, seed=self.seed)

    def difference(self, run: RunScores, other: RunScores, score: str) -> Interval:
        """Mean of run - other over the same clips."""
        own, theirs = ({clip.name: clip for clip in self.counted(told)} for told in (run, other))
        first = known_values(own.values(), score)
        second = known_values((theirs[name] for name in own), score)  # joined reports may list clips in other orders
        return paired_interval(first, second, self.interval, seed=self.seed)

    def missing(self, run: RunScores) -> dict[tuple[str, str], int]:
        """(score, reason) -> number of clips."""
        counts: dict[tuple[str, str], int] = {}
        for clip in run.clips:
            for score, reason in clip.missing.items():
                if clip.broken is None:
                    counts[score, reason] = counts.get((score, reason), 0) + 1
        return counts


def check_comparable(runs: Sequence[Run]) -> None:
    """Refuse runs that may not share a table, before any work is done on them."""
    first = runs[0]
    for other in runs[1:]:
        told = f"{first.method} and {other.method}"
        if other.method == first.method or len({run.method for run in runs}) < len(runs):
            raise Track2ViewError(f"Two of the runs are called {other.method!r}; give each method its own name.")
        if other.frames != first.frames:
            raise Track2ViewError(
                f"{told} are scored on {first.frames} and {other.frames} frames; numbers of different protocols never "
                "share a table, so evaluate them apart."
            )
        if {clip.name for clip in other.clips} != {clip.name for clip in first.clips}:
            odd = sorted({clip.name for clip in other.clips} ^ {clip.name for clip in first.clips})
            raise Track2ViewError(
                f"{told} have not the same clips ({odd[0]!r} is in one alone); give both the same clip names."
            )
        _check_equal(first.protocol, other.protocol, told)


def make_report(
    runs: Sequence[Run], scored: Sequence[RunScores], measures: Measures, *, interval: str = "bootstrap", seed: int = 0
) -> Report:
    """The report of runs that `check_comparable` lets pass."""
    order = [clip.name for clip in runs[0].clips]
    for told in scored:
        told.clips.sort(key=lambda clip: order.index(clip.name))
    names = ", ".join(sorted(order))
    model = lambda score: measures.names.get(score) or f"missing, {measures.lacking[score]}"  # noqa: E731
    draws = f"percentile bootstrap, {RESAMPLES:,} resamples, seed {seed}" if interval == "bootstrap" else "Student's t"
    protocol = {
        **runs[0].protocol,
        "frames": str(runs[0].frames),
        "clips": f"{len(order)}, SHA-256 of their names {hashlib.sha256(names.encode()).hexdigest()[:8]}",
        "pose estimator": measures.estimator.name,
        "camera errors": "poses relative to frame 0, means over frames 1..T-1, TransErr as a share of the reference "
        f"path's extent after a fit of scale; {UNMEASURABLE}",
        "Mat.Pix. matcher": model("mat_pix"),
        "CLIP model": model("clip"),
        "FID": f"Inception-V3 {model('fid')}, generated against source frames, without an interval",
        "LPIPS": model("lpips"),
        "against the true target": "frames 1..T-1",
        "intervals": f"{LEVEL:.0%} over clips, {draws}",
    }
    return Report(protocol, tuple(scored), interval, seed)


def join_reports(reports: Sequence[Report]) -> Report:
    """One report of several, if their protocols are the same to the letter."""
    first = reports[0]
    for other in reports[1:]:
        told = f"the scores of {first.runs[0].method} and {other.runs[0].method}"
        _check_equal(first.protocol, other.protocol, told)
    runs = tuple(run for report in reports for run in report.runs)
    if len({run.method for run in runs}) < len(runs):
        raise Track2ViewError("Two of the scored methods have one name; give each run's method its own.")
    return Report(first.protocol, runs, first.interval, first.seed)


def _check_equal(first: Mapping[str, str], other: Mapping[str, str], told: str) -> None:
    for name in [*first, *(name for name in other if name not in first)]:
        if first.get(name) != other.get(name):
            one, two = (str(protocol.get(name))[:80] for protocol in (first, other))
            raise Track2ViewError(
                f"In {told}, {name!r} differs ({one!r} and {two!r}); numbers of different protocols never share a "
                "table, so evaluate them in one run or show them apart."
            )


# --- as JSON ----------------------------------------------------------------------------------------------------------


def report_document(report: Report) -> dict[str, Any]:
    """Everything, for programs and for `--join`; a number that is not finite is a text or null."""
    methods = []
    for run in report.runs:
        groups = {group: _means(report, run, group) for group in report.groups}
        methods.append({
            "method": run.method,
            "fid": _plain(run.fid), "fid_missing": run.fid_missing, "fid_frames": run.fid_frames,
            "means": _means(report, run), "groups": groups,
            "clips": [_plain(asdict(clip)) for clip in run.clips],
        })  # fmt: skip
    return {
        "format": FORMAT, "version": VERSION, "protocol": dict(report.protocol),
        "interval": report.interval, "seed": report.seed, "methods": methods,
    }  # fmt: skip


def read_report(file: Path | str) -> Report:
    """The report that an evaluation wrote as scores.json."""
    file = Path(file)
    if not file.is_file():
        raise Track2ViewError(f"There is no file {file}; give the scores.json of an evaluation.")
    try:
        document = mapping(json.loads(file.read_text(encoding="utf-8")), str(file))
        if document.get("format") != FORMAT or document.get("version") != VERSION:
            raise ValueError
        runs = tuple(_run(told) for told in document["methods"])
        protocol = {str(name): str(value) for name, value in document["protocol"].items()}
        if not runs:
            raise ValueError
        return Report(protocol, runs, str(document["interval"]), int(document["seed"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Track2ViewError(f"{file} holds no scores of `track2view evaluate`; give its scores.json.") from error


def _run(told: Mapping[str, Any]) -> RunScores:
    known = {field.name for field in fields(ClipScores)}
    clips = []
    for entry in told["clips"]:
        clip = ClipScores(**{name: value for name, value in entry.items() if name in known})
        clip.values = {str(name): float(value) for name, value in clip.values.items()}
        clip.curves = {
            str(name): [math.nan if value is None else float(value) for value in values]
            for name, values in clip.curves.items()
        }
        clips.append(clip)
    fid = math.nan if told["fid"] is None else float(told["fid"])
    return RunScores(str(told["method"]), clips, fid, told["fid_missing"], int(told["fid_frames"]))


def _means(report: Report, run: RunScores, group: str | None = None) -> dict[str, Any]:
    return {score: _plain(asdict(report.mean(run, score, group))) for score in report.scores}


def _plain(value: Any) -> Any:
    """JSON without NaN, which it does not know: null; and "inf" for a PSNR of equal frames."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value


def rows(report: Report) -> Iterator[tuple[RunScores, str | None]]:
    """Every line of a table of means: a method, and then each of its groups."""
    for run in report.runs:
        yield run, None
        if len(report.groups) > 1:
            yield from ((run, group) for group in report.groups)
