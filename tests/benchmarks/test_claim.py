"""The claim's arms differ in what they are told and in nothing else; its table says what the clips say."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from track2view_core.wan.models import TINY_TRANSFORMER, TINY_VAE

ROOT = Path(__file__).resolve().parents[2]
ARMS = ("track2view", "own", "track2view_latent", "pose", "render", "trajectory", "none")
ABLATIONS = ("no_temporal", "no_source", "no_depth", "max1", "mean", "consecutive", "same")


@pytest.fixture(scope="module")
def claim(benchmark_module):
    """A module of benchmarks/claim."""
    return lambda name: benchmark_module(f"claim.{name}")


@pytest.fixture(scope="module")
def scored(claim):
    protocol = claim("protocol").Protocol(size=32, frames=9, tracks=32, clips=1, every=4)
    return claim("protocol").scored_clips(protocol, TINY_VAE)[0]


def built(claim, name, *, stirred=True):
    """The arm; with everything that starts at zero set to something, so that each part has a say."""
    arm = claim("arms").build(name, TINY_TRANSFORMER, rank=4, seed=0)
    generator = torch.Generator().manual_seed(1)
    for parameter in arm.trainable().values() if stirred else ():
        if not parameter.any():
            parameter.data.normal_(std=0.05, generator=generator)
    return arm


def velocity(arm, pair):
    noise = torch.randn(pair.target.shape, generator=torch.Generator().manual_seed(0))
    return arm.velocity(noise, torch.tensor([600.0]), pair, arm.deltas(pair))


def blind(pair):
    """The pair without any point that is seen."""
    return replace(pair, tracks=replace(pair.tracks, visible=torch.zeros_like(pair.tracks.visible)))


def test_arms_are_those_of_the_table(claim):
    assert tuple(claim("arms").MAIN) == ARMS
    assert tuple(claim("arms").ABLATIONS) == ABLATIONS


@torch.no_grad()
def test_every_arm_starts_as_the_one_without_a_camera(claim, scored):
    pair = scored.pair("last")
    wanted = velocity(built(claim, "none", stirred=False), pair)
    for name in (*ARMS, "no_temporal", "no_source", "no_depth", "max1", "mean"):
        start = velocity(built(claim, name, stirred=False), pair)
        if name == "own":  # whose source does not see the target; its tracks say nothing yet, either
            assert not torch.allclose(start, wanted, rtol=0, atol=1e-3)
            torch.testing.assert_close(start, velocity(built(claim, name, stirred=False), blind(pair)), rtol=0, atol=0)
        else:
            torch.testing.assert_close(start, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", [*ARMS, *ABLATIONS])
def test_the_base_stays_frozen_and_all_else_learns(claim, scored, name):
    arm = built(claim, name)
    pair = scored.pair(arm.anchor)
    claim("arms").FlowMatching(arm, 3.0).loss(pair, torch.Generator().manual_seed(0)).backward()
    silent = {key for key, parameter in arm.trainable().items() if parameter.grad is None or not parameter.grad.any()}
    assert silent <= ({"conditioner.output.source.weight"} if name == "no_source" else set())
    backbone = {key for key in arm.trainable() if key.startswith("transformer.") and "lora" not in key}
    assert not backbone
    assert all(parameter.grad is None for parameter in arm.parameters() if not parameter.requires_grad)


@torch.no_grad()
def test_an_arm_hears_of_the_camera_only_what_its_way_tells(claim, scored):
    pair = scored.pair("last")
    other_camera = replace(pair, target_camera=pair.source_camera)
    tracks = pair.tracks
    other_tracks = replace(pair, tracks=replace(tracks, target_xy=tracks.source_xy, target_inside=tracks.source_inside))
    hears = {name: (name == "pose", name not in ("pose", "none")) for name in ARMS}
    for name, (camera, points) in hears.items():
        arm = built(claim, name)
        alone = velocity(arm, pair)
        assert (not torch.equal(velocity(arm, other_camera), alone)) == camera, name
        assert (not torch.equal(velocity(arm, other_tracks), alone)) == points, name


@torch.no_grad()
def test_tracks_that_are_never_seen_say_nothing(claim, scored):
    pair = scored.pair("last")
    wanted = velocity(built(claim, "none", stirred=False), pair)
    for name in ("track2view", "track2view_latent", "render", "trajectory"):
        arm = built(claim, name)
        for key, parameter in arm.trainable().items():
            if "lora_B" in key:
                parameter.zero_()
        torch.testing.assert_close(velocity(arm, blind(pair)), wanted, rtol=0, atol=1e-6)


@torch.no_grad()
def test_ablations_lack_what_they_are_named_after(claim, scored):
    pair = scored.pair("last")
    deeper = replace(pair, tracks=replace(pair.tracks, target_depth=pair.tracks.target_depth.flip(2)))
    hidden = pair.tracks.visible.clone()
    hidden[:, 1] = False
    later_hidden = replace(pair, tracks=replace(pair.tracks, visible=hidden))
    whole = built(claim, "track2view")
    assert not torch.equal(whole.deltas(deeper).target, whole.deltas(pair).target)
    assert torch.equal(*(built(claim, "no_depth").deltas(of).target for of in (deeper, pair)))
    assert not torch.allclose(whole.deltas(later_hidden).source[:, :, 0], whole.deltas(pair).source[:, :, 0])
    frame_0 = [built(claim, "no_temporal").deltas(of).source[:, :, 0] for of in (later_hidden, pair)]
    torch.testing.assert_close(*frame_0)
    assert not built(claim, "no_source").deltas(pair).source.any()


def test_what_the_source_shows_is_not_disoccluded(claim, scored):
    assert not scored.disoccluded[0].any()  # both views start from one camera
    assert scored.disoccluded[-1].any()
    still = replace(scored.clip, target=scored.clip.source)
    assert not claim("protocol").disoccluded(still, still.view(still.source).depth).any()


def test_differences_are_taken_clip_by_clip(claim):
    results = claim("report")
    hard = np.linspace(10, 30, 8)

    def row(name, gain):
        clips = [
            {"psnr": x + gain, "energy": 1.0, "rotation": [1.0], "translation": [0.1], "unmeasurable": [0.0]}
            for x in hard
        ]
        return results.Row(name, name, {0: clips, 1: clips})

    worse, better, psnr = row("worse", 0.0), row("better", 0.5), results.MEASURES[0]
    found = results.difference(better, worse, psnr)
    assert (found.mean, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
    alone = worse.interval(psnr)
    assert alone.low < alone.mean - 2 and alone.high > alone.mean + 2
    assert "**+0.50 [+0.50, +0.50]**" in results.difference_table([better], worse)
    assert results.difference(better, worse, results.MEASURES[-1]) is None  # neither has a held-out loss


def test_the_command_goes_on_where_it_was_stopped(claim, tmp_path, capsys):
    words = "--size 32 --frames 5 --shards 1 --steps 2 --batch 1 --clips 2 --sample-steps 1 --tracks 16 --rank 2"
    options = ["--out", str(tmp_path), *words.split(), "--seeds", "1", "--ablation-seeds", "0", "--arms", "render"]
    command = claim("__main__")
    command.main(options)
    first = (tmp_path / "table.md").read_text()
    assert f"python -m benchmarks.claim --out FOLDER {words}" in first
    rows = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert [row["name"] for row in rows] == ["source", "splat", "round_trip", "render"]
    kept = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.safetensors")}
    next(tmp_path.rglob("render/seed_0/clip_001.json")).unlink()
    command.main(options)
    assert (tmp_path / "table.md").read_text() == first
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.safetensors")} == kept
    assert (tmp_path / "curves.png").exists() and len(list((tmp_path / "sheets").iterdir())) == 2
    assert capsys.readouterr().out.count("point render concatenated") >= 2
