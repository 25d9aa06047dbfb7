"""`track2view plan`: the table, the verdict, JSON, and requests that cannot be planned."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from track2view_core.cli import main


@pytest.fixture
def plan(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Run the verb at a given matrix rate; gives (code, standard output, standard error)."""
    from track2view_core.commands import plan as verb

    monkeypatch.setattr(verb, "matrix_rate", lambda *_: 272e12)

    def run(*options: object):
        code = main(["plan", *map(str, options)])
        return code, *capsys.readouterr()

    return run


def test_the_table_names_every_stage_and_the_verdict(plan):
    code, said, complaint = plan("--memory", 24)
    assert (code, complaint) == (0, "")
    for stage in ("tracker", "text encoder", "VAE encode", "conditioner", "DiT step", "VAE decode"):
        assert f"\n{stage} " in said
    assert "It fits as asked." in said and "81 frames of 832 x 480" in said and "24.0 GiB" in said


def test_the_first_setting_that_fits_is_told(plan):
    assert "The first setting that fits: weights offloaded to host memory;" in plan("--base", "14B", "--memory", 24)[1]
    assert "Nothing fits" in plan("--base", "14B", "--memory", 0.5)[1]


def test_the_time_on_an_a100_is_near_the_published_one(plan):
    """590 s for 50 guided steps at 81 frames; its large products reach about 272 TFLOP/s."""
    seconds = json.loads(plan("--memory", 80, "--json")[1])["seconds"]
    assert seconds["steps"] * seconds["step"] == pytest.approx(590, rel=0.05)
    assert seconds["total_range"][0] < seconds["total"] < seconds["total_range"][1]


def test_json_holds_the_request_the_stages_and_the_verdict(plan):
    options = ("--base", "14B", "--frames", 161, "--size", "480x832", "--dtype", "fp8", "--points", 500, "--offload")
    told = json.loads(plan(*options, "--window", 49, "--steps", 8, "--memory", 6, "--json")[1])
    request = told["request"]
    wanted = {"base": "14B", "frames": 161, "width": 480, "height": 832, "dtype": "fp8", "tracks": 500, "steps": 8}
    assert {name: request[name] for name in wanted} == wanted and request["offload"] and request["window"] == 49
    assert told["card_peak"] == max(stage["peak"] for stage in told["stages"] if stage["where"] == "card")
    verdict = told["verdict"]
    assert told["free"] == 6 * 2**30 and bool(verdict["changes"]) == (told["needed"] > told["free"])
    assert verdict["plan"] is None or verdict["plan"]["needed"] <= told["free"]


def test_the_command_lines_own_route_runs_prompts_one_by_one(plan):
    request = json.loads(plan("--route", "diffusers", "--memory", 80, "--json")[1])["request"]
    assert request["route"] == "diffusers" and not request["batched"] and request["guidance"]


def test_a_bundle_brings_its_own_settings(plan, random_weights):
    request = json.loads(plan("--bundle", random_weights.bundle, "--memory", 4, "--json")[1])["request"]
    wanted = {"frames": 17, "width": 64, "height": 64, "window": 17, "steps": 2, "guidance": False}
    assert {name: request[name] for name in wanted} == wanted
    assert request["conditioner"]["width"] == 32


@pytest.mark.parametrize(
    ("options", "word"),
    [(("--frames", 80), "4n + 1"), (("--size", "833x480"), "multiples of 16"), (("--base", "5B"), "1.3B, 14B, tiny"),
     (("--memory", -1), "--memory"), (("--points", 0), "tracks"), (("--route", "diffusers", "--offload"), "native"),
     (("--bundle", "missing.safetensors"), "missing.safetensors")],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_planned(plan, options, word):
    code, said, complaint = plan(*options)
    assert code == 2 and not said and word in complaint and complaint.count("\n") == 1


def test_the_verb_loads_no_diffusers():
    code = "import sys; from track2view_core.commands import plan; print('diffusers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
