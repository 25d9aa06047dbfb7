"""`track2view evaluate RUN...`: scores of one or more methods as Markdown, CSV, JSON and two pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import Track2ViewError
from ..evaluation.report import (
    FORMAT,
    Report,
    check_comparable,
    csv_text,
    join_reports,
    make_report,
    markdown,
    read_report,
    report_document,
    summary,
)
from ..evaluation.report_pictures import clip_sheet, error_curves
from ..evaluation.run_manifest import Run, read_run
from ..evaluation.scoring import Measures, load_measures, score_run
from ..preview import write_picture
from .console import progress_bars, say
from .hardware import chosen_device
from .staging import Staging

FILES: tuple[str, ...] = ("scores.md", "scores.csv", "scores.json", "errors.png", "clips.png")


def run(
    *, runs: list[Path], out: Path | None, join: bool, overwrite: bool, interval: str, seed: int, **chosen: Any
) -> None:
    """`chosen` are arguments of `load_measures`."""
    first = runs[0]
    beside = first.parent if first.is_file() else first
    folder = out or beside / ("joined" if join else "evaluation")
    check_folder(folder, overwrite=overwrite)
    if join:
        write(join_reports([read_report(file) for file in runs]), (), folder)
        return
    methods = [read_run(place) for place in runs]
    check_comparable(methods)
    report = make_report(methods, *scored(methods, **chosen), interval=interval, seed=seed)
    write(report, methods, folder)


def scored(runs: list[Run], *, estimator: str | None, device: str, **models: Any) -> tuple[list, Measures]:
    measures = load_measures(estimator or usual_estimator(runs), device=chosen_device(device), **models)
    say("cameras", measures.estimator.name)
    for reason in dict.fromkeys(measures.lacking.values()):
        say("missing", reason)
    with progress_bars() as progress:
        return [score_run(run, measures, progress) for run in runs], measures


def usual_estimator(runs: list[Run]) -> str:
    """One for all clips of all methods: mixing would compare estimators."""
    clips = [clip for run in runs for clip in run.clips]
    if all(clip.estimated_camera is not None for clip in clips):
        return "files"
    return "photometric" if all(clip.scene is not None for clip in clips) else "klt"


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Refuse to write over anything but an earlier evaluation."""
    if folder.exists() and not folder.is_dir():
        raise Track2ViewError(f"--out {folder} is a file; name a folder.")
    there = [name for name in FILES if (folder / name).exists()]
    if not there or overwrite or is_ours(folder / "scores.json"):
        return
    raise Track2ViewError(
        f"{folder} has a {there[0]} that no evaluation wrote; name another --out, or add --overwrite to replace it."
    )


def is_ours(file: Path) -> bool:
    try:
        return json.loads(file.read_text(encoding="utf-8"))["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write(report: Report, runs: list[Run] | tuple[()], folder: Path) -> None:
    """All files of the report appear together, or none."""
    document = json.dumps(report_document(report), indent=1, allow_nan=False)
    with Staging() as staging:
        staging.make_folder(folder)
        for name, text in (
            ("scores.md", markdown(report)),
            ("scores.csv", csv_text(report)),
            ("scores.json", document),
        ):
            staging.path(folder / name).write_text(text + "\n" if name.endswith("json") else text, encoding="utf-8")
        written = [*FILES[:3]]
        if any("rot_err" in clip.curves for run in report.runs for clip in run.clips):
            write_picture(error_curves(report), staging.path(folder / "errors.png"))
            written.append("errors.png")
        if runs:
            write_picture(clip_sheet(report, runs), staging.path(folder / "clips.png"))
            written.append("clips.png")
    print(summary(report), end="")
    for name in report.broken:
        say("broken", f"{name}: {report.broken[name]}")
    for name in written:
        say("wrote", str(folder / name))
