"""The loop: the same run twice, stopped or killed and gone on with, on broken data and on a full disk."""

import errno
import math

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from track2view_core.errors import Track2ViewError
from track2view_core.training import OptimiserSettings, Stopped, train
from track2view_core.training import run_state as run_state_module
from track2view_core.training.optimisers import Muon
from track2view_core.training.run_log import Samples
from track2view_core.training.run_state import Checkpoints

from .pair_data import (
    PairsInMemory,
    Rows,
    Toy,
    ToySource,
    curve,
    events,
    lines,
    small_settings,
    small_source,
    tiny_pair_objective,
)


def run(folder, steps=6, *, data=None, objective=None, validate=None, progress=None, **changes):
    settings = small_settings(steps, **changes)
    return train(
        objective or tiny_pair_objective(),
        data or small_source(),
        settings,
        folder,
        validate=validate,
        progress=progress,
    )


def assert_same_weights(found, wanted):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert torch.allclose(found[name], value, atol=1e-6), name


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of six steps: its averaged weights and its curve."""
    folder = tmp_path_factory.mktemp("whole")
    return run(folder), curve(folder)


def test_the_same_seed_gives_the_same_curve_and_reading_ahead_changes_nothing(whole, tmp_path):
    weights, losses = whole
    assert [step for step, _ in losses] == [1, 2, 3, 4, 5, 6]
    assert_same_weights(run(tmp_path, prefetch=3, tensorboard=True), weights)
    assert curve(tmp_path) == losses
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_another_seed_gives_another_curve(whole, tmp_path):
    run(tmp_path, 1, seed=1)
    assert curve(tmp_path)[0] != whole[1][0]


@pytest.mark.parametrize("at", [1, 3])
def test_an_interrupted_run_is_saved_and_goes_on_to_the_same_end(whole, tmp_path, at):
    def interrupts(done, total, stage):
        assert (total, stage) == (6, "training")
        if done == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, progress=interrupts)
    assert Checkpoints(tmp_path, 1).newest_first()[0][0] == at
    assert_same_weights(run(tmp_path), whole[0])
    assert curve(tmp_path) == whole[1]


def test_a_termination_request_ends_the_run_after_its_step(whole, tmp_path):
    import os
    import signal

    class Source:
        inner = small_source()

        def draw(self, step, steps, generator):
            if step == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            return self.inner.draw(step, steps, generator)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped):
        run(tmp_path, data=Source())
    assert signal.getsignal(signal.SIGTERM) is before
    assert Checkpoints(tmp_path, 1).newest_first()[0][0] == 3
    assert_same_weights(run(tmp_path), whole[0])


def test_only_lora_and_conditioner_learn(tmp_path):
    objective = tiny_pair_objective()
    before = {name: value.clone() for name, value in objective.module.state_dict().items()}
    average = run(tmp_path, 2, objective=objective)
    moved = {name for name, value in objective.module.state_dict().items() if not torch.equal(value, before[name])}
    trainable = {name for name, p in objective.module.named_parameters() if p.requires_grad}
    assert moved <= trainable == average.keys()
    assert all("lora_" in name or name.startswith("conditioner.") for name in trainable)
    assert any("lora_B" in name for name in moved) and any(name.startswith("conditioner.output") for name in moved)
    objective.loss(small_source().draw(0, 1, torch.Generator().manual_seed(0)), torch.Generator()).backward()
    assert all(p.grad is None for p in objective.module.parameters() if not p.requires_grad)


def test_half_precision_products_train_float32_weights(whole, tmp_path):
    weights = run(tmp_path, 2, precision="bf16")
    assert {value.dtype for value in weights.values()} == {torch.float32}
    assert [loss for _, loss in curve(tmp_path)] == pytest.approx([loss for _, loss in whole[1][:2]], rel=0.02)
    assert curve(tmp_path) != whole[1][:2]


class InTurn:
    """The same rows, however many a batch takes of them."""

    def __init__(self, batch):
        self.batch, self.rows, self.taken = batch, torch.randn(8, 4, generator=torch.Generator().manual_seed(3)), 0

    def draw(self, step, steps, generator):
        self.taken += self.batch
        return Rows(self.rows[self.taken - self.batch : self.taken], "rows")


def test_losses_and_gradients_of_accumulated_batches_are_their_means(tmp_path):
    """Two batches of one make the step of one batch of two."""
    found = []
    for accumulation, batch in ((1, 2), (2, 1)):
        folder = tmp_path / str(accumulation)
        changes = {"accumulation": accumulation, "clip_norm": 1e9, "optimiser": OptimiserSettings(rate=0.1, warmup=0)}
        found.append((run(folder, 4, objective=Toy(), data=InTurn(batch), **changes), lines(folder)))
    (weights, wanted), (accumulated, logged) = found
    for name in ("loss", "gradient_norm"):
        assert [line[name] for line in logged] == pytest.approx([line[name] for line in wanted], rel=1e-5), name
    assert_same_weights(accumulated, weights)


@pytest.mark.parametrize("stopped", [None, 3])
def test_the_schedule_reaches_every_optimiser(tmp_path, stopped):
    """The rate at which each optimiser steps, also after a stop: rising over two steps, level, then half a cosine."""
    settings = OptimiserSettings("muon", rate=0.01, muon_rate=0.2, warmup=2, points=((0.5, 1.0), (1.0, 0.1)))
    used = {}

    def watch(optimiser, _args, _options):
        (rate,) = {group["lr"] for group in optimiser.param_groups}
        used.setdefault(type(optimiser), []).append(rate)

    handle = register_optimizer_step_pre_hook(watch)
    try:
        if stopped:
            with pytest.raises(KeyboardInterrupt):
                run(tmp_path, 6, objective=Toy(), data=ToySource(), progress=interrupted_at(3), optimiser=settings)
        run(tmp_path, 6, objective=Toy(), data=ToySource(), optimiser=settings)
    finally:
        handle.remove()
    factors = [0.5, 1.0, 1.0, 1.0] + [0.55 + 0.45 * math.cos(math.pi * share) for share in (1 / 3, 2 / 3)]
    assert used.keys() == {Muon, torch.optim.AdamW}
    assert used[Muon] == pytest.approx([0.2 * factor for factor in factors])
    assert used[torch.optim.AdamW] == pytest.approx([0.01 * factor for factor in factors])


@pytest.mark.parametrize("ahead", [0, 3])
def test_a_lost_step_takes_its_other_batches_with_it(tmp_path, ahead):
    """Of the second step's three batches the first is not finite; the third sees its own, as in a resumed run."""
    changes = {"accumulation": 3, "prefetch": ahead}
    toy = Toy(not_finite={4})
    weights = run(tmp_path / "whole", 4, objective=toy, data=ToySource(), **changes)
    assert toy.seen == ["step 0"] * 3 + ["step 1"] + ["step 2"] * 3 + ["step 3"] * 3
    run(tmp_path / "parts", 2, objective=Toy(not_finite={4}), data=ToySource(), **changes)
    assert_same_weights(run(tmp_path / "parts", 4, objective=Toy(), data=ToySource(), **changes), weights)


def test_every_batch_and_its_noise_have_seeds_of_their_own_and_a_resumed_run_has_the_same(tmp_path):
    seeds = []
    for folder, stops in ((tmp_path / "whole", (6,)), (tmp_path / "parts", (3, 6))):
        noise, data = [], []
        for steps in stops:
            toy, source = Toy(), ToySource()
            run(folder, steps, objective=toy, data=source, accumulation=2)
            noise, data = noise + toy.noise, data + source.seeds
        seeds.append((noise, data))
    assert seeds[0] == seeds[1]
    assert len({*seeds[0][0], *seeds[0][1]}) == 6 * 2 * 2


def interrupted_at(step):
    def progress(done, total, stage):
        if done == step:
            raise KeyboardInterrupt

    return progress


def test_a_broken_sample_costs_itself_and_is_named(tmp_path):
    sound, damaged = (small_source(PairsInMemory(broken=broken), batch=8) for broken in ((), (1,)))
    run(tmp_path, 4, data=damaged)
    told = events(tmp_path, "broken_sample")
    assert told and all("shard_000000 pair 1" in event["text"] for event in told)
    generators = [torch.Generator().manual_seed(5) for _ in range(2)]
    one, other = (source.draw(0, 1, generator) for source, generator in zip((sound, damaged), generators, strict=True))
    same = [torch.equal(a, b) for a, b in zip(one.source, other.source, strict=True)]
    assert 0 < same.count(False) < 8 and other.replaced  # its neighbours are what they were


def test_a_data_set_of_broken_samples_ends_the_run(tmp_path):
    with pytest.raises(Track2ViewError, match="in a row are broken"):
        run(tmp_path, data=small_source(PairsInMemory(broken=range(4))))


class NotFinite:
    """An objective whose loss is NaN at some steps."""

    def __init__(self, at):
        self.inner, self.at, self.calls = tiny_pair_objective(), at, 0
        self.module = self.inner.module

    def loss(self, batch, generator):
        self.calls += 1
        loss = self.inner.loss(batch, generator)
        return loss * math.nan if self.calls in self.at else loss


def test_a_step_without_a_finite_loss_is_skipped_and_counted(tmp_path):
    run(tmp_path, 4, objective=NotFinite({2}))
    assert [step for step, _ in curve(tmp_path)] == [1, 3, 4]
    (event,) = events(tmp_path, "skipped_step")
    assert event["step"] == 2


def test_many_of_them_end_the_run(tmp_path):
    with pytest.raises(Track2ViewError, match="3 steps in a row, up to step 4"):
        run(tmp_path, 9, objective=NotFinite({2, 3, 4}), max_skipped=3)


def test_a_full_disk_costs_a_save_and_neither_the_run_nor_the_last_good_checkpoint(whole, tmp_path, monkeypatch):
    run(tmp_path, 2)
    real = run_state_module.save_file

    def full(tensors, file, metadata):
        file.write_bytes(b"half a checkpoint")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run_state_module, "save_file", full)
    weights = run(tmp_path, 6)
    assert_same_weights(weights, run(tmp_path / "other", 6, checkpoint_every=100))
    told = events(tmp_path, "failed_write")
    assert [event["step"] for event in told] == [4, 6] and "No space left" in told[0]["text"]
    assert [file.name for file in (tmp_path / "checkpoints").iterdir()] == ["step_00000002.safetensors"]
    monkeypatch.setattr(run_state_module, "save_file", real)
    assert Checkpoints(tmp_path, 3).load().step == 2


def test_the_last_checkpoints_are_kept_and_an_unreadable_one_is_passed_over(whole, tmp_path):
    run(tmp_path, 4, checkpoint_every=1, keep_checkpoints=2)
    files = sorted((tmp_path / "checkpoints").iterdir())
    assert [file.name for file in files] == ["step_00000003.safetensors", "step_00000004.safetensors"]
    files[-1].write_bytes(files[-1].read_bytes()[:5000])
    (tmp_path / "checkpoints" / ".step_00000005.safetensors.1.tmp").write_bytes(b"left by a kill")
    assert_same_weights(run(tmp_path), whole[0])
    assert events(tmp_path, "checkpoint_passed_over") and not list((tmp_path / "checkpoints").glob(".*"))


def test_a_run_of_other_settings_is_refused_by_name(tmp_path):
    run(tmp_path, 2)
    with pytest.raises(Track2ViewError, match=r"begun with seed = 0, and now it is 3"):
        run(tmp_path, 4, seed=3)
    with pytest.raises(Track2ViewError, match=r"2 steps, and steps is 1"):
        run(tmp_path, 1)


def test_validation_sees_the_averaged_weights_and_training_goes_on_with_the_last(whole, tmp_path):
    objective = tiny_pair_objective()
    seen = []

    def validate(step):
        seen.append({name: p.clone() for name, p in objective.module.named_parameters() if p.requires_grad})
        return {"held_out_loss": 0.5, "samples": Samples([{"clip": torch.zeros(2, 16, 16, 3).byte()}], 8.0)}

    weights = run(tmp_path, objective=objective, validate=validate, validate_every=3)
    assert len(seen) == 2 and curve(tmp_path) == whole[1]
    assert_same_weights(seen[-1], weights)


def test_a_run_of_set_minutes_ends_by_the_clock_and_lowers_its_rates_by_it(tmp_path, monkeypatch):
    """Each step takes six seconds of a clock of our own: ten of them are a minute, however many steps are set."""
    now, totals = [0.0], []

    class Source:
        inner = small_source()

        def draw(self, step, steps, generator):
            now[0] += 6.0
            totals.append(steps)
            return self.inner.draw(step, steps, generator)

    monkeypatch.setattr("track2view_core.training.loop.time.monotonic", lambda: now[0])
    rates = OptimiserSettings(rate=1e-3, warmup=0, points=((0.0, 1.0), (1.0, 0.0)))
    run(tmp_path, 500, minutes=1.0, data=Source(), optimiser=rates)
    assert Checkpoints(tmp_path, 1).newest_first()[0][0] == 10
    assert totals == [500, *[10] * 9]
    found = [line["rate"] for line in lines(tmp_path) if "rate" in line]
    wanted = [1e-3 * (0.5 + 0.5 * math.cos(math.pi * step / 10)) for step in range(10)]
    assert found == pytest.approx(wanted, rel=1e-6)


def test_noise_may_be_drawn_on_the_device_of_the_run(tmp_path):
    """On a CPU that is the same noise."""
    assert_same_weights(run(tmp_path / "cpu", 2), run(tmp_path / "device", 2, noise="device"))
