"""The library's door: the whole job in one call, what the package hands out, and the examples of docs/LIBRARY.md."""

from __future__ import annotations

import ast
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import track2view_core
from track2view_core import CameraPath, Refilm, Track2ViewError, refilm
from track2view_core.cameras.formats import write_path
from track2view_core.commands.parser import build_parser
from track2view_core.render.known_pixels import keep_known_pixels
from track2view_core.tracks.pairing import pair_in_prepared_frame
from track2view_core.tracks.trackers import KltTracker
from track2view_core.video import open_stream, preparation, prepare_file, read_clip, restore_clip, take_clip, write_clip
from track2view_core.wan.models import load_models
from track2view_core.wan.rerender import rerender

ROOT = Path(track2view_core.__file__).parents[1]
STAGES = ["clip", "tracks", "geometry", "move", "coverage", "sampling", "render"]


@pytest.fixture(scope="module")
def clip(clip_from: Callable[..., Path]) -> Path:
    return clip_from("bikes", 6, 160, 68)


@pytest.fixture
def settings(random_weights: SimpleNamespace) -> Refilm:
    weights = {"model": random_weights.dit, "vae": random_weights.vae, "bundle": random_weights.bundle}
    return Refilm(amount=0.5, points=64, motion="static", **weights)


def test_the_whole_job_is_the_rooms_one_after_another(clip: Path, settings: Refilm):
    made = refilm(clip, "dolly_in", replace(settings, pixels="model"))
    taken, info = prepare_file(clip, width=64, height=64)
    frames = read_clip(clip).frames
    tracks = KltTracker().track(frames, points=64, motion="static")
    distance, found = track2view_core.subject_distance(tracks)
    assert distance != tracks.scene_scale and found in made.report["move"]
    path = track2view_core.preset_path("dolly_in", tracks.camera, amount=0.5, scene_scale=distance)
    models = load_models(settings.model, settings.vae, settings.bundle)
    by_hand = restore_clip(rerender(taken, pair_in_prepared_frame(tracks, path, info), models=models), info)
    assert torch.equal(made.source.frames, frames)
    assert torch.equal(made.tracks.positions, tracks.positions)
    assert torch.equal(made.path.world_from_camera, path.world_from_camera)
    assert torch.equal(made.clip.frames, by_hand.frames) and made.clip.fps == by_hand.fps
    assert made.known is None and [*made.report] == [s for s in STAGES if s not in ("geometry", "render")]


def test_the_clips_own_pixels_stand_where_it_shows_the_new_view(clip: Path, settings: Refilm):
    """By default over the picture of a small model, and over the geometric fill without one."""
    model = refilm(clip, "dolly_out", replace(settings, pixels="model"))
    kept = refilm(clip, "dolly_out", settings, tracks=model.tracks)
    alone = refilm(clip, "dolly_out", Refilm(amount=0.5), tracks=model.tracks)
    assert kept.known is not None and alone.known is not None and torch.equal(kept.known, alone.known)
    assert 0.3 < kept.known.float().mean() < 0.98
    by_hand = keep_known_pixels(model.clip.frames, alone.clip.frames, kept.known)
    assert torch.equal(kept.clip.frames, by_hand)
    assert [*kept.report] == STAGES and [*alone.report] == [s for s in STAGES if s not in ("coverage", "sampling")]


@pytest.mark.parametrize("changes", [{}, {"fill": "geometric"}, {"pixels": "keep"}])
def test_without_a_model_no_weights_are_loaded(clip: Path, monkeypatch: pytest.MonkeyPatch, changes):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("weights were loaded")

    monkeypatch.setattr("track2view_core.wan.models.load_models", refuse)
    made = refilm(clip, settings=Refilm(points=64, motion="static", **changes))
    assert made.clip.frames.shape == made.source.frames.shape


@pytest.mark.parametrize("changes", [{"pixels": "model"}, {"fill": "model"}, {"steps": 3}, {"size": (64, 64)}])
def test_whoever_asks_for_the_model_gets_it(clip: Path, monkeypatch: pytest.MonkeyPatch, changes):
    def found(*_: object, **__: object) -> None:
        raise LookupError

    monkeypatch.setattr("track2view_core.wan.models.load_models", found)
    with pytest.raises(LookupError):
        refilm(clip, settings=Refilm(points=64, motion="static", **changes))


@pytest.mark.parametrize("with_model", [True, False])
def test_a_move_of_amount_0_gives_the_clip(clip: Path, settings: Refilm, tmp_path: Path, with_model: bool):
    still = replace(settings, amount=0.0) if with_model else Refilm(amount=0.0, points=64, motion="static")
    made = refilm(clip, "orbit_left", still)
    frames = read_clip(clip).frames
    assert (made.clip.frames.short() - frames.short()).abs().max() <= 1 and made.known is not None and made.known.all()

    def loss(pictures: torch.Tensor) -> torch.Tensor:
        coded = read_clip(write_clip(replace(made.clip, frames=pictures), tmp_path / "coded.mp4")).frames
        return -10 * ((coded.float() - frames.float()) ** 2).mean().log10()

    assert loss(made.clip.frames) > loss(frames) - 0.5


def test_pixels_are_as_many_as_the_clip_has_whatever_was_analysed(clip: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.modules["track2view_core.refilm"], "TRACKED_SIDE", 96)
    still = Refilm(amount=0.0, points=64, motion="static")
    squeezed = replace(read_clip(clip), pixel_aspect=Fraction(3, 2))
    for came in (clip, read_clip(clip), squeezed):
        made = refilm(came, "orbit_left", still)
        assert max(made.source.frames.shape[1:3]) == 96 and made.clip.frames.shape[1:3] == (68, 160)
        assert (made.clip.frames.short() - read_clip(clip).frames.short()).abs().max() <= 1
        assert made.known is not None and made.known.shape == made.source.frames.shape[:3]
    assert made.clip.pixel_aspect == squeezed.pixel_aspect


def test_what_is_known_already_is_not_made_again(clip: Path, settings: Refilm, monkeypatch: pytest.MonkeyPatch):
    models = load_models(settings.model, settings.vae, settings.bundle)
    first = refilm(read_clip(clip), "pan_left", settings, models=models)
    monkeypatch.setattr(KltTracker, "track", None)
    nowhere = replace(settings, model=Path("nowhere.safetensors"))
    again = refilm(clip, "pan_left", nowhere, models=models, tracks=first.tracks)
    assert torch.equal(first.clip.frames, again.clip.frames)  # from memory and from the file, too


def test_whose_pixels_are_shown_is_the_bundles_to_say_and_the_users(clip: Path, settings: Refilm):
    models = load_models(settings.model, settings.vae, settings.bundle)
    config = models.bundle.config
    config = replace(config, sampling=replace(config.sampling, pixels="model"))
    models = replace(models, bundle=replace(models.bundle, config=config))
    few = Refilm(frames=2, points=64, motion="static")
    assert refilm(clip, settings=few, models=models).known is None
    assert refilm(clip, settings=replace(few, pixels="keep"), models=models).known is not None
    assert "sampling" not in refilm(clip, settings=replace(few, fill="geometric"), models=models).report


def test_a_path_and_its_file_make_the_same_move(clip: Path, settings: Refilm, tmp_path: Path):
    poses = torch.eye(4).repeat(6, 1, 1)
    poses[:, 0, 3] = 0.1 * torch.arange(6)
    lens = torch.tensor([[90.0, 0, 50], [0, 90, 50], [0, 0, 1]]).expand(6, 3, 3)
    path = CameraPath(poses, lens, 100, 100)
    write_path(path, tmp_path / "path.json", format="track2view_camera")
    drawn, read = (refilm(clip, move, settings) for move in (path, tmp_path / "path.json"))
    torch.testing.assert_close(drawn.path.world_from_camera, read.path.world_from_camera, atol=1e-9, rtol=0)
    half = refilm(clip, path, replace(settings, path_scale=2 * drawn.tracks.scene_scale))
    torch.testing.assert_close(2 * half.path.world_from_camera[:, 0, 3], drawn.path.world_from_camera[:, 0, 3])


def test_the_report_comes_stage_by_stage_and_stays(clip: Path, settings: Refilm):
    told: list[tuple[str, object]] = []

    def report(stage: str, notes: tuple[object, ...]) -> None:
        told.append((stage, notes))

    def progress(done: int, total: int, stage: str) -> None:
        told.append(("work", stage))

    made = refilm(clip, settings=settings, report=report, progress=progress)
    assert [stage for stage, _ in told if stage != "work"] == STAGES
    assert {stage: notes for stage, notes in told if stage != "work"} == made.report
    assert told.index(("sampling", made.report["sampling"])) < told.index(("work", "sample"))
    assert {note.code for note in made.report["tracks"]} >= {"tracks_count", "fov_assumed"}


@pytest.mark.parametrize(("side", "changes", "times"), [(832, {}, 1), (96, {"pixels": "model"}, 1), (96, {}, 2)])
def test_a_file_is_decoded_again_only_for_pixels_that_were_not_analysed(
    clip: Path, settings: Refilm, monkeypatch: pytest.MonkeyPatch, side: int, changes, times: int
):
    opened, decoded = [], []
    open_file, decode = preparation.open_stream, preparation.stream_pictures
    monkeypatch.setattr(sys.modules["track2view_core.refilm"], "TRACKED_SIDE", side)
    monkeypatch.setattr("track2view_core.video.open_stream", lambda *a, **k: opened.append(a) or open_file(*a, **k))
    monkeypatch.setattr(preparation, "stream_pictures", lambda *a, **k: decoded.append(a) or decode(*a, **k))
    refilm(clip, settings=replace(settings, **changes))
    assert len(opened) == 1 and len(decoded) == times


@pytest.mark.parametrize("side", [832, 96])
def test_both_sizes_of_a_clip_are_those_of_two_readings(clip: Path, side: int):
    taken = take_clip(open_stream(clip), width=64, height=64, longest_side=side)
    alone, info = prepare_file(clip, width=64, height=64)
    assert torch.equal(taken.prepared, alone) and taken.info.content == info.content
    small = read_clip(clip, box=(min(side, 160), min(side, 160)))
    assert torch.equal(taken.clip.frames, small.frames) and taken.clip.fps == small.fps
    unboxed = take_clip(open_stream(clip), longest_side=side)
    assert torch.equal(unboxed.clip.frames, small.frames) and unboxed.prepared is unboxed.clip.frames
    assert unboxed.info.content == (0, 0, small.width, small.height) and unboxed.info.prepared_frames == len(small)
    from_memory = take_clip(read_clip(clip), width=64, height=64, longest_side=side)
    assert torch.equal(from_memory.clip.frames, small.frames) and torch.equal(from_memory.prepared, alone)


@pytest.mark.parametrize(
    ("move", "changes", "named"),
    [
        ("orbit_lift", {}, "orbit_left"),
        (Path("gone.json"), {}, "gone.json"),
        ("orbit_left", {"ease": "bouncy"}, "ease"),
        ("orbit_left", {"amount": float("nan")}, "amount"),
        ("orbit_left", {"points": 0}, "points"),
        ("orbit_left", {"motion": "wild"}, "motion"),
        ("orbit_left", {"fov_degrees": 200}, "fov_degrees"),
        ("orbit_left", {"path_scale": 0.0}, "path_scale"),
        ("orbit_left", {"relative_to": "frist_frame"}, "first_frame"),
        ("orbit_left", {"dtype": "half"}, "float16"),
        ("orbit_left", {"pixels": "mine"}, "keep, model"),
        ("orbit_left", {"fill": "telea"}, "model, geometric"),
        ("orbit_left", {"fill": "geometric", "pixels": "model"}, "leave one of them out"),
        ("orbit_left", {"fill": "geometric", "steps": 4}, "steps is a setting of one"),
    ],
)
def test_settings_are_refused_before_the_clip_is_looked_for(move, changes, named: str):
    with pytest.raises(Track2ViewError, match=named):
        refilm(Path("no_clip.mp4"), move, Refilm(**changes))


def test_settings_of_the_built_in_tracker_are_not_dropped_beside_another():
    with pytest.raises(Track2ViewError, match="motion and fov_degrees"):
        refilm(Path("no_clip.mp4"), settings=Refilm(fov_degrees=60), tracker=KltTracker())


# The command line is a door to the same settings


def test_every_setting_has_an_option_with_the_same_default():
    options = vars(build_parser().parse_args(["rerender", "in.mp4", "out.mp4"]))
    decided_by_the_verb = {"device", "dtype"}  # auto there; the library guesses nothing
    for setting in fields(Refilm):
        assert setting.name in options, f"no option of rerender sets {setting.name}"
        if setting.name not in decided_by_the_verb:
            assert options[setting.name] in (None, setting.default), setting.name


# What the package hands out


def test_the_door_opens_without_torch():
    code = (
        "import sys\nfrom track2view_core import Refilm, __version__, refilm\n"
        "assert callable(refilm) and Refilm() and __version__\n"
        "import track2view_core.refilm\nassert callable(track2view_core.refilm)\n"  # the function, not its module
        "raise SystemExit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT.parent, check=False).returncode == 0


def test_every_name_of_the_door_is_there_and_known_to_type_checkers():
    for name in track2view_core.__all__:
        assert getattr(track2view_core, name) is not None
    assert {*track2view_core._ROOM_OF} <= set(track2view_core.__all__) <= set(dir(track2view_core))
    tree = ast.parse(Path(track2view_core.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    promised = {(alias.name, node.module) for node in block.body for alias in node.names}
    assert promised == set(track2view_core._ROOM_OF.items())
    with pytest.raises(AttributeError, match="no_such_name"):
        track2view_core.no_such_name  # noqa: B018


def test_the_examples_of_the_library_page_run(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    page = (ROOT / "docs" / "LIBRARY.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.+?)```", page, flags=re.DOTALL)
    assert len(examples) == 5
    shutil.copy(clip, tmp_path / "clip.mp4")
    monkeypatch.chdir(tmp_path)
    names = []
    for number, example in enumerate(examples):
        file = tmp_path / f"example_{number}.py"
        file.write_text(example, encoding="utf-8")
        names.append(runpy.run_path(str(file)))
    said = capsys.readouterr().out
    assert "render: INFO" in said and "own pixels" in said and "of the target's tokens" in said
    assert len(read_clip(tmp_path / "orbit.mp4")) == 6
    tokens, delta = (names[3][name] for name in ("tokens", "target_delta"))
    assert delta.shape == tokens.shape and not delta.any()
    assert names[4]["velocity"].shape == names[4]["target"].shape


@pytest.mark.parametrize("field", ["camera_name", "camera_format", "missing_frames", "quaternion_order"])
def test_what_is_of_a_camera_file_is_refused_without_one(clip: Path, field: str):
    with pytest.raises(Track2ViewError, match=f"{field} is 'fill' and the move is no camera file"):
        refilm(clip, "pan_left", Refilm(**{field: "fill"}))
