"""Runs of rendered scenes through every score, from files to tables."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from track2view_core.cameras import CameraPath
from track2view_core.cameras.formats import write_path
from track2view_core.cli import main
from track2view_core.evaluation.camera_estimators import (
    FileEstimator,
    PhotometricEstimator,
    chosen_estimator,
    frames_before_a_cut,
)
from track2view_core.evaluation.fid import Inception
from track2view_core.evaluation.run_manifest import CameraFile, Run, write_run
from track2view_core.evaluation.scoring import CAMERA_SCORES, SCORES, Measures, load_measures, score_clip, score_run
from track2view_core.scenes import rendered_clip
from track2view_core.video import VideoClip, read_clip, write_clip

from .learned_models import WORDS, alexnet_features, clip_folder, lpips_folder
from .rendered_runs import FRAMES, rendered_run

LACKING = {name: "no weights" for name in ("clip", "fid", "lpips", "mat_pix")}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("runs")
    return {shown: rendered_run(folder / shown, f"Shows {shown}", shown) for shown in ("source", "target", "grey")}


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Measures:
    """Every learned score, with random weights; Inception's are not saved, to spare the time."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "clip").mkdir()
    linear = {f"lin{i}.model.1.weight": torch.rand(1, width, 1, 1) for i, width in enumerate((64, 192, 384, 256, 256))}
    lpips = lpips_folder(folder, alexnet_features(), linear)
    measures = load_measures("files", clip=clip_folder(folder / "clip"), lpips=lpips)
    measures.inception = Inception().eval().requires_grad_(False)
    measures.names["fid"] = "random"
    return measures


def with_estimates(run: Run) -> Run:
    """The generated clip's camera is the one that its frames show, in other units and another world."""
    clips = []
    for clip in run.clips:
        document = json.loads(run.file("clips/0_target.json".replace("0", clip.name[-1])).read_text())
        poses = torch.tensor([frame["world_from_camera"] for frame in document["frames"]], dtype=torch.float64)
        poses[:, :3, 3] *= 3.0
        turn = torch.tensor([[0.0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]], dtype=torch.float64)
        lens = torch.tensor([frame["intrinsics"] for frame in document["frames"]])
        file = f"clips/{clip.name[-1]}_estimated.json"
        write_path(CameraPath(turn @ poses, lens, 64, 64, 8.0), run.file(file), format="track2view_camera")
        clips.append(replace(clip, estimated_camera=CameraFile(file)))
    return replace(run, clips=tuple(clips))


def test_every_score_of_the_truth_is_its_best(runs, learned):
    run = with_estimates(runs["target"])
    told = score_run(run, learned)
    for clip in told.clips:
        assert not clip.missing and set(clip.values) == set(SCORES)
        best = {"rot_err": 0, "trans_err": 0, "ate": 0, "rpe": 0, "rpe_degrees": 0, "psnr": math.inf, "ssim": 1}
        for score, value in {**best, "lpips": 0, "gradient_ratio": 1, "cami2v_trans_err": 0}.items():
            assert clip.values[score] == pytest.approx(value, abs=1e-5), score
        assert clip.values["trans_err_metric"] > 0.5  # the estimate's units are not the reference's
        assert len(clip.curves["rot_err"]) == FRAMES - 1 and clip.unmeasurable == 0
    copied = score_run(with_estimates(runs["source"]), learned)
    assert copied.fid == pytest.approx(0, abs=1e-6) and told.fid > 0 and told.fid_frames == 2 * FRAMES
    for own, other in zip(told.clips, copied.clips, strict=True):
        assert other.values["clip_v"] == pytest.approx(100, abs=1e-3) and own.values["clip_v"] < 100
        assert other.values["mat_pix"] >= own.values["mat_pix"] and other.values["psnr"] < 30
        assert own.notes == other.notes == [] and len(WORDS) == 6


def test_what_is_not_known_is_missing_with_its_reason(runs):
    measures = Measures(FileEstimator(), lacking=LACKING)
    run = runs["target"]
    bare = replace(run.clips[0], source=None, target=None, prompt=None, reference_camera=None)
    told = score_clip(run, bare, measures)
    assert not told.values and set(told.missing) == set(SCORES)
    assert told.missing["psnr"] == "the clip has no target" and told.missing["clip_t"] == "no weights"
    assert told.missing["rot_err"] == "the clip has no reference_camera"
    blind = replace(run.clips[0], source_camera=None, estimated_camera=None)
    assert "no source_camera" in score_clip(run, blind, measures).missing["rot_err"]
    assert math.isnan(score_run(run, measures).fid)


def test_a_clip_without_a_measurable_camera_counts_as_the_copied_source(runs):
    grey = score_clip(runs["grey"], runs["grey"].clips[0], Measures(PhotometricEstimator(), lacking=LACKING))
    files = Measures(FileEstimator(), lacking=LACKING)
    copied = replace(runs["grey"].clips[0], estimated_camera=runs["grey"].clips[0].source_camera)
    copied = score_clip(runs["grey"], copied, files)
    nothing = score_clip(runs["grey"], runs["grey"].clips[0], files)  # no estimate was made
    assert grey.unmeasurable == nothing.unmeasurable == 1.0 and copied.unmeasurable == 0.0
    for score in ("rot_err", "trans_err"):
        assert grey.values[score] == pytest.approx(copied.values[score]) == nothing.values[score]
    assert nothing.notes[0].code == "camera_not_measurable"
    assert "ate" in grey.missing and "ate" in copied.values


def test_a_clip_that_was_written_even_is_scored_against_its_odd_target(runs, tmp_path: Path):
    target = read_clip(runs["target"].file(runs["target"].clips[0].target)).frames[:, :-1, :-3]
    write_clip(VideoClip(target, Fraction(8)), tmp_path / "generated.mp4", quality=1)
    with av.open(str(tmp_path / "target.mkv"), "w") as output:
        stream = output.add_stream("ffv1", rate=8)
        stream.width, stream.height, stream.pix_fmt = target.shape[2], target.shape[1], "bgr0"
        for picture in target:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture.contiguous().numpy(), format="rgb24")))
        output.mux(stream.encode(None))
    clip = replace(runs["target"].clips[0], generated="generated.mp4", target="target.mkv", source=None)
    told = score_clip(replace(runs["target"], folder=tmp_path), clip, Measures(FileEstimator(), lacking=LACKING))
    assert told.values["psnr"] > 30


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:200]), ""),
        (lambda file: file.unlink(), ""),
        (lambda file: file.write_bytes(b""), ""),
    ],
)
def test_a_broken_clip_costs_that_clip(runs, tmp_path: Path, spoil: Callable[[Path], object], words: str):
    run = rendered_run(tmp_path / "run", "Ours", "source", frames=2)
    spoil(run.file(run.clips[0].generated))
    told = score_run(run, Measures(FileEstimator(), lacking=LACKING))
    assert told.clips[0].broken and told.clips[0].broken.endswith(".") and not told.clips[0].values
    assert told.clips[1].broken is None and "psnr" in told.clips[1].values
    short = replace(run, frames=3)
    assert "has 2 frames" in (score_run(short, Measures(FileEstimator(), lacking=LACKING)).clips[1].broken or "")
    run.file(run.clips[1].target or "").write_bytes(b"no clip")
    again = score_run(run, Measures(FileEstimator(), lacking=LACKING)).clips[1]
    assert again.broken is None and again.missing["psnr"].startswith("target: ")


def test_the_built_in_tracker_reads_the_camera_off_a_clip(tmp_path: Path):
    from track2view_core.evaluation.camera_errors import rotation_error
    from track2view_core.evaluation.camera_estimators import ClipCameras, KnownCamera

    clip = rendered_clip("pan", frames=5, width=160, height=96, seed=1, amplitude=0.2)
    known = KnownCamera(clip.camera.world_from_camera, clip.camera.intrinsics)
    run = Run(tmp_path, "any", 5, ())
    told = chosen_estimator("klt").estimate(clip.frames, run, None, ClipCameras(known, None, 160, 96), None)
    assert told.measurable.all() and rotation_error(told.world_from_camera, clip.camera).max() < 0.5


def test_frames_after_a_cut_have_no_camera_of_the_first_shot(tmp_path: Path):
    visible = torch.tensor([[1, 0], [1, 0], [0, 1], [0, 1]], dtype=torch.bool)
    assert frames_before_a_cut(visible) == 2 and frames_before_a_cut(visible[:, :1].expand(4, 2)) == 2
    assert frames_before_a_cut(torch.ones(4, 3, dtype=torch.bool)) == 4
    assert frames_before_a_cut(torch.tensor([[1], [0], [1]], dtype=torch.bool)) == 3


def test_the_command_writes_all_files_and_spares_those_of_others(runs, tmp_path: Path, capsys):
    pair = [str(runs[shown].folder) for shown in ("source", "target")]
    out = tmp_path / "out"
    arguments = ["evaluate", *pair, "--out", str(out), "--matcher", "none", "--device", "cpu"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "photometric" in said and "no weights were named (--clip)" in said
    assert {file.name for file in out.iterdir()} == {
        "scores.md",
        "scores.csv",
        "scores.json",
        "errors.png",
        "clips.png",
    }
    document = json.loads((out / "scores.json").read_text())
    copied, truth = (method["means"] for method in document["methods"])
    assert truth["rot_err"]["mean"] < copied["rot_err"]["mean"] and truth["psnr"]["mean"] == "inf"
    assert truth["rot_err"]["clips"] == 2 and set(document["methods"][0]["groups"]) == {"static", "dynamic"}
    (out / "scores.json").write_text("of somebody else")
    assert main(arguments) == 2 and "no evaluation wrote" in capsys.readouterr().err
    assert (out / "scores.json").read_text() == "of somebody else"


def test_the_command_joins_scores_of_one_protocol_alone(runs, tmp_path: Path, capsys):
    for shown in ("source", "target"):
        told = with_estimates(runs[shown])
        write_run(told)
        out = ["--out", str(tmp_path / shown), "--matcher", "none", "--device", "cpu"]
        assert main(["evaluate", str(told.folder), "--estimator", "files", *out]) == 0
    files = [str(tmp_path / shown / "scores.json") for shown in ("source", "target")]
    assert main(["evaluate", "--join", *files, "--out", str(tmp_path / "both")]) == 0
    assert "Difference to Shows source" in (tmp_path / "both" / "scores.md").read_text(encoding="utf-8")
    text = Path(files[1]).read_text()
    Path(files[1]).write_text(text.replace('"frames": "5"', '"frames": "81"'))
    assert main(["evaluate", "--join", *files, "--out", str(tmp_path / "both")]) == 2
    assert "'frames' differs ('5' and '81')" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "words"),
    [("--clip", "no config.json"), ("--inception", "no file or folder"), ("--lpips", "no file or folder")],
)
def test_weights_that_are_named_and_not_there_stop_the_run_at_once(runs, option, words, tmp_path, capsys):
    assert main(["evaluate", str(runs["grey"].folder), option, str(tmp_path / "nowhere")]) == 2
    assert words in capsys.readouterr().err and not (runs["grey"].folder / "evaluation").exists()


def test_camera_scores_are_those_of_the_table():
    assert set(CAMERA_SCORES) == {
        name for name in SCORES if name.split("_")[0] in ("rot", "trans", "ate", "rpe", "cami2v")
    }
    assert np.isfinite([score.digits for score in SCORES.values()]).all()
