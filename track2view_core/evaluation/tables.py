"""A report as Markdown, for people, and as CSV, for spreadsheets."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence

from .intervals import Interval
from .measures import FID, PICTURE_SCORES, SCORES, Score
from .report import Report, rows
from .scoring import ClipScores, RunScores

HEADLINE = ("clip_t", "clip_f", "clip_v", "mat_pix", "rot_err", "trans_err")
FURTHER = tuple(score for score in SCORES if score not in (*HEADLINE, *PICTURE_SCORES))
MISSING = "missing"


def markdown(report: Report) -> str:
    """The whole report: protocol, means, differences, counts, what is missing, and every clip."""
    parts = [
        "# Scores\n",
        "Numbers of another protocol than this one may not stand beside these.\n",
        _table(("protocol", ""), report.protocol.items()),
        "## Means over clips\n",
        _means(report, HEADLINE, fid=True),
    ]
    for title, scores in (("Against the true target view", PICTURE_SCORES), ("Further camera errors", FURTHER)):
        if any(score in report.scores for score in scores):
            parts += [f"## {title}\n", _means(report, scores)]
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
    return _means(report, [score for score in (*HEADLINE, *PICTURE_SCORES) if score in report.scores], fid=True)


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


def _means(report: Report, scores: Sequence[str], fid: bool = False) -> str:
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
    return "; ".join([*blind, *clip.notes])


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
