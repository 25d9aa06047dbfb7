"""One protocol a table: what may stand together, what is left out, and that nothing missing becomes a number."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from track2view_core.errors import Track2ViewError
from track2view_core.evaluation.camera_estimators import FileEstimator
from track2view_core.evaluation.report import (
    Report,
    check_comparable,
    csv_text,
    join_reports,
    make_report,
    markdown,
    read_report,
    report_document,
)
from track2view_core.evaluation.report_pictures import clip_sheet, error_curves
from track2view_core.evaluation.run_manifest import Run, RunClip
from track2view_core.evaluation.scoring import ClipScores, Measures, RunScores
from track2view_core.notes import Note

MEASURES = Measures(FileEstimator(), lacking={name: "no weights" for name in ("clip", "fid", "lpips", "mat_pix")})


def run(method: str, *, frames: int = 25, names: str = "abcd", data: str = "mine") -> Run:
    clips = tuple(RunClip(name, f"{name}.mp4", group="static" if name < "c" else "dynamic") for name in names)
    return Run(Path("nowhere"), method, frames, clips, {"data": data})


def scores(method: str, values: dict[str, float], broken: str = "") -> RunScores:
    clips = []
    for place, (name, value) in enumerate(values.items()):
        clip = ClipScores(name, "static" if name < "c" else "dynamic", size="64 x 64")
        if name in broken:
            clip.broken = "The clip is | cut\nshort."
        elif math.isnan(value):
            clip.miss(["psnr"], "the clip has no target")
        else:
            clip.values["psnr"] = value
        if name not in broken:
            clip.values["rot_err"] = float(place)
            clip.curves = {"frames": [1.0, 2.0], "rot_err": [float(place), float(place)]}
        clips.append(clip)
    return RunScores(method, clips, fid_missing="no weights")


def report() -> Report:
    nan = math.nan
    own = scores("Ours", {"d": 20.0, "c": 30.0, "a": 10.0, "b": nan})
    other = scores("Other", {"a": 9.0, "b": 18.0, "c": 25.0, "d": 1.0}, broken="d")
    return make_report([run("Ours"), run("Other")], [own, other], MEASURES)


def test_means_are_over_the_clips_that_no_method_has_broken():
    told = report()
    own, other = told.runs
    assert [clip.name for clip in own.clips] == ["a", "b", "c", "d"]
    assert told.mean(own, "psnr").mean == 20.0 and told.mean(own, "psnr").clips == 2
    assert told.mean(other, "psnr").mean == pytest.approx(52 / 3)
    assert told.difference(own, other, "psnr").mean == 3.0
    assert told.mean(own, "psnr", "dynamic").mean == 30.0
    assert math.isnan(told.mean(own, "ssim").mean)


def test_the_tables_name_what_is_missing_and_never_write_zero_for_it():
    text = markdown(report())
    assert "| Ours | 3 | missing | missing | missing | missing | missing |" in text
    assert "| Ours | PSNR dB | 1 | the clip has no target |" in text
    assert "`d` — Other: The clip is" in text and "broken: The clip is \\| cut short." in text
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")
    lines = list(csv.reader(io.StringIO(csv_text(report()))))
    assert len({len(line) for line in lines}) == 1
    (row,) = [line for line in lines if line[:2] == ["Ours", "b"]]
    assert row[lines[0].index("psnr")] == ""
    assert [line[3] for line in lines if line[1] == "d"] == ["left out", "broken"]
    (mean,) = [line for line in lines if line[:3] == ["Ours", "(mean)", ""]]
    assert float(mean[lines[0].index("psnr")]) == 20.0


def test_json_comes_back_and_holds_no_nan(tmp_path: Path):
    told = report()
    told.runs[0].clips[2].values["psnr"] = math.inf
    told.runs[0].clips[2].curves["psnr"] = [math.inf, math.nan]
    told.runs[0].clips[2].notes = [Note.of("prompt_cut")]
    text = json.dumps(report_document(told), allow_nan=False)
    (tmp_path / "scores.json").write_text(text)
    back = read_report(tmp_path / "scores.json")
    assert markdown(back) == markdown(told)
    assert json.dumps(report_document(back)) == text
    document = json.loads(text)
    document["methods"][0]["clips"][2]["notes"] = [str(Note.of("prompt_cut"))]  # as 0.1.0 wrote it
    (tmp_path / "scores.json").write_text(json.dumps(document))
    assert markdown(read_report(tmp_path / "scores.json")) == markdown(told)
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(Track2ViewError, match=r"scores\.json"):
        read_report(tmp_path / "other.json")


def test_only_one_protocol_may_be_joined():
    told = report()
    alone = [Report(told.protocol, (scored,)) for scored in told.runs]
    joined = join_reports(alone)
    assert markdown(joined) == markdown(told)
    before = joined.difference(*joined.runs, "psnr")
    joined.runs[1].clips.reverse()
    assert joined.difference(*joined.runs, "psnr") == before
    joined.runs[1].clips.reverse()
    for name, text in (("frames", "81"), ("pose estimator", "COLMAP"), ("new", "field")):
        other = replace(alone[1], protocol={**told.protocol, name: text})
        with pytest.raises(Track2ViewError, match=f"'{name}' differs.*never share a table"):
            join_reports([alone[0], other])
    with pytest.raises(Track2ViewError, match="one name"):
        join_reports([alone[0], alone[0]])


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (run("Other", frames=49), "25 and 49 frames"),
        (run("Other", names="abc"), "'d' is in one alone"),
        (run("Other", data="yours"), "'data' differs"),
        (run("Ours"), "Two of the runs"),
    ],
)
def test_runs_of_other_protocols_are_refused_before_they_are_scored(other: Run, words: str):
    check_comparable([run("Ours"), run("Other")])
    with pytest.raises(Track2ViewError, match=words):
        check_comparable([run("Ours"), other])


def test_the_pictures_have_something_on_them_even_without_scores():
    told = report()
    curves = error_curves(told)
    assert curves.shape == (460, 1100, 3) and curves.float().std() > 5
    empty = Report({}, (RunScores("Ours", []),))
    assert error_curves(empty).float().std() > 1 and clip_sheet(empty, [run("Ours")]).float().std() > 1
    assert clip_sheet(told, [run("Ours"), run("Other")]).shape[1] == 640  # the clips are not there: titles alone
