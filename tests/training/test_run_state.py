"""What a run carries: the average of its weights by closed form, and the settings that make it one run."""

import json
import math
from dataclasses import dataclass, field

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from track2view_core.errors import Track2ViewError
from track2view_core.training import TrackerErrors, train
from track2view_core.training.run_state import Checkpoints, RunIdentity
from track2view_core.training.settings import BatchDraw, DataShare, config_from

from .pair_data import Toy, ToySource, small_settings


@pytest.mark.parametrize("ema", [0.3, 0.0])
def test_the_average_is_its_closed_form(tmp_path, ema):
    """The sum of (1 - d_k) w_k times all later d, for d_k = min(ema, (k + 1) / (k + 10)); a lost step adds nothing."""
    toy = Toy(not_finite={5})
    weights = [toy.module["blocks"].weight.detach().clone()]

    def watch(done, total, stage):
        weights.append(toy.module["blocks"].weight.detach().clone())

    average = train(toy, ToySource(), small_settings(7, ema=ema), tmp_path, progress=watch)
    decays = [min(ema, (k + 1) / (k + 10)) for k in range(7)]
    decays[4] = 1.0
    wanted = weights[0] * math.prod(decays)
    for k, decay in enumerate(decays):
        wanted = wanted + (1 - decay) * math.prod(decays[k + 1 :]) * weights[k + 1]
    assert len({weight.sum().item() for weight in weights}) == 7  # the lost step moved nothing, every other did
    torch.testing.assert_close(average["blocks.weight"], wanted, rtol=0, atol=1e-6)


def conditioner_config(**sections):
    draw = {"identity": 0.2, **sections.pop("draw", {})}
    base = {"stage": "conditioner", "folder": "runs/a", "data": [{"folder": "data/a"}], "run": {"steps": 3}}
    return config_from({**base, "draw": draw, **sections})


def identity_of(config):
    return RunIdentity.of(config.run, config.identity())


def test_a_run_that_is_older_than_a_field_goes_on_with_the_field_s_default(tmp_path):
    """Of every section, also of one in a list; with another value than its default, the field is refused by name."""
    identity = identity_of(conditioner_config())
    newer = ("clip_norm", "data[0].start", "draw.errors.flipped", "conditioner.frame_anchor", "flow.rotary")
    begun = json.loads(json.dumps(identity.values))
    for name in newer:
        del begun[name]
    identity.check(begun, tmp_path)
    for changed, said in (
        (conditioner_config(run={"steps": 3, "clip_norm": 0.5}), r"with clip_norm = 1\.0, and now it is 0\.5"),
        (
            conditioner_config(flow={"rotary": "consecutive"}),
            "with flow.rotary = 'shared', and now it is 'consecutive'",
        ),
    ):
        with pytest.raises(Track2ViewError, match=said):
            identity_of(changed).check(begun, tmp_path)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"draw": {"identity": 0.3}}, {}, r"draw.identity = 0\.3, and now it is 0\.2"),
        (
            {},
            {"data": [{"folder": "data/a"}, {"folder": "data/b"}]},
            r"data\[1\].folder = unset, and now it is 'data/b'",
        ),
        (
            {"data": [{"folder": "data/a"}, {"folder": "data/b"}]},
            {},
            r"data\[1\].folder = 'data/b', and now it is unset",
        ),
        ({"run": {"optimiser": {"points": [[0.0, 1.0]]}}}, {}, r"optimiser.points\[1\] = unset"),
    ],
)
def test_other_settings_are_refused_also_where_they_come_to_a_default(tmp_path, before, after, said):
    with pytest.raises(Track2ViewError, match=said):
        identity_of(conditioner_config(**after)).check(identity_of(conditioner_config(**before)).values, tmp_path)


def test_a_section_that_was_left_out_is_no_section_of_defaults(tmp_path):
    """Exact tracks (no errors at all) and the default errors are two runs, either way round."""
    exact, erring = (
        RunIdentity.of(small_settings(1), {"draw": BatchDraw(errors=errors)}) for errors in (None, TrackerErrors())
    )
    for now, begun in ((exact, erring), (erring, exact)):
        with pytest.raises(Track2ViewError, match=r"draw\.errors"):
            now.check(begun.values, tmp_path)


def test_a_default_that_the_owner_sets_counts_before_that_of_the_class(tmp_path):
    @dataclass(frozen=True)
    class Owner:
        share: DataShare = field(default_factory=lambda: DataShare("data/a", start=0.5))

    identity = RunIdentity.of(small_settings(1), {"owner": Owner()})
    assert identity.defaults["owner.share.start"] == 0.5


def test_a_checkpoint_without_a_field_is_gone_on_with(tmp_path):
    """The same from a file on disk, to the weights of an unbroken run."""
    whole = train(Toy(), ToySource(), small_settings(4), tmp_path / "whole")
    train(Toy(), ToySource(), small_settings(2), tmp_path / "parts")
    ((_, file),) = Checkpoints(tmp_path / "parts", 3).newest_first()
    with safe_open(file, "pt") as handle:
        tensors, metadata = {name: handle.get_tensor(name) for name in handle.keys()}, handle.metadata()
    state = json.loads(metadata["track2view-training"])
    del state["settings"]["precision"], state["settings"]["accumulation"]
    save_file(tensors, file, {"track2view-training": json.dumps(state)})
    with pytest.raises(Track2ViewError, match="begun with accumulation = 1, and now it is 2"):
        train(Toy(), ToySource(), small_settings(4, accumulation=2), tmp_path / "parts")
    found = train(Toy(), ToySource(), small_settings(4), tmp_path / "parts")
    for name, value in whole.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-6)
