"""The report: scores of one or more methods under one protocol, as means with intervals, as JSON, Markdown and CSV.

Numbers of different protocols never share a table: joining refuses, and names the first thing that differs.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..cameras.formats.parsing import mapping
from ..errors import Track2ViewError
from ..notes import Note
from .confidence_intervals import LEVEL, RESAMPLES, Interval, mean_interval, paired_interval
from .run_manifest import Run
from .scoring import FID, PICTURE_SCORES, SCORES, UNMEASURABLE, ClipScores, Measures, RunScores, Score, known_values

FORMAT, VERSION = "track2view-scores", 1
HEADLINE = ("clip_t", "clip_f", "clip_v", "mat_pix", "rot_err", "trans_err")
FURTHER = tuple(score for score in SCORES if score not in (*HEADLINE, *PICTURE_SCORES))
MISSING = "missing"


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
        groups = {group: _json_means(report, run, group) for group in report.groups}
        methods.append({
            "method": run.method,
            "fid": _plain(run.fid), "fid_missing": run.fid_missing, "fid_frames": run.fid_frames,
            "means": _json_means(report, run), "groups": groups,
            "clips": [{**_plain(asdict(clip)), "notes": [note.data() for note in clip.notes]} for clip in run.clips],
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
        clip.notes = [Note.from_data(note) for note in clip.notes]
        clip.curves = {
            str(name): [math.nan if value is None else float(value) for value in values]
            for name, values in clip.curves.items()
        }
        clips.append(clip)
    fid = math.nan if told["fid"] is None else float(told["fid"])
    return RunScores(str(told["method"]), clips, fid, told["fid_missing"], int(told["fid_frames"]))


def _json_means(report: Report, run: RunScores, group: str | None = None) -> dict[str, Any]:
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


# --- as Markdown and CSV ----------------------------------------------------------------------------------------------


def rows(report: Report) -> Iterator[tuple[RunScores, str | None]]:
    """Every line of a table of means: a method, and then each of its groups."""
    for run in report.runs:
        yield run, None
        if len(report.groups) > 1:
            yield from ((run, group) for group in report.groups)


def markdown(report: Report) -> str:
    """The whole report: protocol, means, differences, counts, what is missing, and every clip."""
    parts = [
        "# Scores\n",
        "Numbers of another protocol than this one may not stand beside these.\n",
        _table(("protocol", ""), report.protocol.items()),
        "## Means over clips\n",
        _means_table(report, HEADLINE, fid=True),
    ]
    for title, scores in (("Against the true target view", PICTURE_SCORES), ("Further camera errors", FURTHER)):
        if any(score in report.scores for score in scores):
            parts += [f"## {title}\n", _means_table(report, scores)]
    if len(report.runs) > 1:
        parts += [
            f"## Difference to {report.runs[0].method}, clip by clip\n",
            "Mean over clips of the method less the first one; an interval that leaves out 0 tells the two apart.\n",
            _differences(report),
        ]
    parts += ["## What could not be scored\n", _counts(report), _missing(report)]
    for run in report.runs:
        parts += [f"## Clips: {run.method}\n", _clips(report, run)]
    return "\n".join(parts)


def summary(report: Report) -> str:
    """The table of means, for the terminal."""
    return _means_table(report, [score for score in (*HEADLINE, *PICTURE_SCORES) if score in report.scores], fid=True)


def csv_text(report: Report) -> str:
    """One line a clip; then a line each for mean, low and high of every method and group."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["method", "clip", "group", "status", "unmeasurable", "fid", *report.scores])
    for run in report.runs:
        for clip in run.clips:
            status = "broken" if clip.broken else "left out" if clip.name in report.broken else "scored"
            values = [_number(clip.values.get(score, math.nan)) for score in report.scores]
            writer.writerow([run.method, clip.name, clip.group or "", status, f"{clip.unmeasurable:.4f}", "", *values])
    for run, group in rows(report):
        means = [report.mean(run, score, group) for score in report.scores]
        for kind in ("mean", "low", "high"):
            fid = _number(run.fid) if kind == "mean" and group is None else ""
            values = [_number(getattr(mean, kind)) for mean in means]
            writer.writerow([run.method, f"({kind})", group or "", "", "", fid, *values])
    return out.getvalue()


def _means_table(report: Report, scores: Sequence[str], fid: bool = False) -> str:
    shown = scores if fid else [score for score in scores if score in report.scores]
    head = ["method", "clips", *([FID.heading] if fid else []), *(SCORES[score].heading for score in shown)]
    lines = []
    for run, group in rows(report):
        name = run.method if group is None else f"{run.method}, {group}"
        distance = _rounded(run.fid, FID) if group is None and run.fid_missing is None else MISSING
        cells = [_interval(report.mean(run, score, group), SCORES[score]) for score in shown]
        lines.append([name, str(len(report.counted(run, group))), *([distance] if fid else []), *cells])
    return _table(head, lines)


def _differences(report: Report) -> str:
    first, *others = report.runs
    shown = [score for score in (*HEADLINE, *PICTURE_SCORES) if score in report.scores]
    lines = [
        [run.method, *(_interval(report.difference(run, first, score), SCORES[score], sign=True) for score in shown)]
        for run in others
    ]
    return _table(["method", *(SCORES[score].heading for score in shown)], lines)


def _counts(report: Report) -> str:
    lines = []
    for run in report.runs:
        scored = [clip for clip in run.clips if clip.broken is None]
        blind = [clip for clip in scored if clip.unmeasurable]
        share = sum(clip.unmeasurable for clip in scored) / len(scored) if scored else math.nan
        sizes = ", ".join(sorted({clip.size for clip in scored if clip.size}))
        lines.append(
            [run.method, str(len(run.clips)), str(len(run.clips) - len(scored)), str(len(blind)),
             "" if math.isnan(share) else f"{share:.1%}", str(run.fid_frames), sizes]
        )  # fmt: skip
    head = ("method", "clips", "broken", "with unmeasurable frames", "unmeasurable frames", "frames in FID", "size")
    text = _table(head, lines)
    if any(run.fid_missing is None for run in report.runs):
        text += "\nFID grows as frames get fewer: it compares only between methods of as many frames.\n"
    if report.broken:
        text += (
            "\nLeft out of every method's means, because one method's clip is broken (FID has what could be read):\n\n"
        )
        text += "".join(f"- `{name}` — {why}\n" for name, why in report.broken.items())
    return text


def _missing(report: Report) -> str:
    lines = []
    for run in report.runs:
        reasons: dict[tuple[str, str], list[str]] = {}
        if run.fid_missing is not None:
            reasons[run.fid_missing, "all"] = [FID.title]
        for (score, reason), clips in report.missing(run).items():
            count = "all" if clips == len(run.clips) else str(clips)
            reasons.setdefault((reason, count), []).append(f"{SCORES[score].title} {SCORES[score].unit}".strip())
        lines += [[run.method, ", ".join(titles), count, reason] for (reason, count), titles in reasons.items()]
    return _table(("method", "missing", "clips", "why"), lines) if lines else "Nothing is missing.\n"


def _clips(report: Report, run: RunScores) -> str:
    shown = [score for score in SCORES if score in report.scores]
    lines = [
        [clip.name, clip.group or "", *(_rounded(clip.values.get(s, math.nan), SCORES[s]) for s in shown), _notes(clip)]
        for clip in run.clips
    ]
    return _table(["clip", "group", *(SCORES[score].heading for score in shown), "notes"], lines)


def _notes(clip: ClipScores) -> str:
    if clip.broken:
        return f"broken: {clip.broken}"
    blind = [f"{clip.unmeasurable:.0%} of the frames not measurable"] if clip.unmeasurable else []
    return "; ".join([*blind, *map(str, clip.notes)])


def _interval(told: Interval, score: Score, sign: bool = False) -> str:
    if math.isnan(told.mean):
        return MISSING
    text = _rounded(told.mean, score, sign)
    if not math.isnan(told.low):
        text += f" [{_rounded(told.low, score, sign)}, {_rounded(told.high, score, sign)}]"
    return text


def _rounded(value: float, score: Score, sign: bool = False) -> str:
    if math.isnan(value):
        return MISSING
    return f"{value:{'+' if sign else ''}.{score.digits}f}"


def _number(value: float) -> str:
    return "" if math.isnan(value) else repr(value)


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    written = [head, ["---"] * len(head), *lines]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in written)


def _cell(text: str) -> str:
    """A cell may not end its row or its column."""
    return " ".join(text.split()).replace("|", "\\|")
