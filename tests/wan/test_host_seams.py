"""The seams for a host that owns WAN's forward: the same as the hooks on diffusers, without any host."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from threading import Barrier
from time import sleep

import pytest
import torch
from torch import Tensor

from track2view_core.errors import Track2ViewError
from track2view_core.wan.condition import TrackCondition
from track2view_core.wan.host_seams import RunCache, check_latent, frame_timesteps, sequence_rotary, token_deltas
from track2view_core.wan.seams import attach_seams


@pytest.fixture
def condition(make):
    transformer = make.transformer()
    return TrackCondition(make.bundle(transformer), make.tracks(), make.latent(), strength=0.7)


def table_of(frames: int) -> torch.Tensor:
    """A rotary table of 2 tokens a frame that tells its positions."""
    return torch.arange(frames).repeat_interleave(2)[None, :, None].float()


def test_both_views_share_the_target_s_positions_and_what_follows_goes_on():
    shared = sequence_rotary(table_of, 7, 3, "shared").flatten().tolist()
    assert shared == [0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2, 3, 3]
    assert torch.equal(sequence_rotary(table_of, 7, 3, "consecutive"), table_of(7))


def test_only_the_source_has_timestep_0():
    timestep = torch.tensor([900.0, 400.0])
    assert frame_timesteps(timestep, 2, "zero", 1).tolist() == [[900, 900, 0, 0, 900], [400, 400, 0, 0, 400]]
    assert frame_timesteps(timestep, 2, "same", 1) is timestep


def test_deltas_are_those_of_the_hooks_of_the_whole_clip_and_of_a_window(make, condition):
    transformer = make.transformer()
    index = [1, 2]
    with attach_seams(transformer, condition.bundle.conditioner) as seams:
        for frames in (range(3), index):
            frames = list(frames)
            source = condition.source_latent[:, :, frames]
            expected = seams.deltas(source, condition.track_batch().window(frames)).scaled(0.7)
            tokens = transformer.patch_embedding(source).flatten(2).transpose(1, 2)
            found = token_deltas(condition, tokens, frames)
            joined = torch.cat([expected.target, expected.source], 2).flatten(2).transpose(1, 2)
            torch.testing.assert_close(found, joined)


def test_half_precision_tokens_do_not_round_the_tracks(make, condition):
    tokens = make.transformer().patch_embedding(condition.source_latent).flatten(2).transpose(1, 2)
    exact = token_deltas(condition, tokens, range(3))
    found = token_deltas(condition, tokens.bfloat16(), range(3))
    assert found.dtype == torch.bfloat16
    assert (found.float() - exact).norm() < 0.02 * exact.norm()


def test_the_cache_computes_once_and_drops_what_a_whole_step_did_not_ask_for(condition):
    cache, computed = RunCache(), []

    def ask(window: int, step: float) -> None:
        cache.get((condition, (window,)), step, lambda: computed.append(window) or torch.zeros(1))

    for step in (1.0, 0.9):
        ask(0, step), ask(1, step), ask(0, step)
    assert computed == [0, 1]
    ask(0, 0.8), ask(0, 0.7), ask(1, 0.7)
    assert computed == [0, 1, 1]


def test_copied_options_keep_the_cache_of_their_run():
    options = {"run": RunCache()}
    assert deepcopy(options)["run"] is options["run"]


def test_threads_of_one_run_compute_once_and_each_takes_its_own(condition):
    """Both windows are asked for by two threads while the first of them is still being computed."""
    cache, computed, asking = RunCache(), [], Barrier(4)

    def ask(window: int) -> Tensor:
        def compute() -> Tensor:
            computed.append(window)
            sleep(0.05)
            return torch.tensor(window)

        asking.wait()
        return cache.get((condition, (window,)), 1.0, compute)

    with ThreadPoolExecutor(4) as threads:
        assert [int(found) for found in threads.map(ask, [0, 0, 1, 1])] == [0, 0, 1, 1]
    assert sorted(computed) == [0, 1]


@pytest.mark.parametrize(
    ("shape", "words"),
    [((1, 16, 5, 4, 8), "17 frames of 64 x 32"), ((1, 48, 3, 4, 8), "48 channels"), ((1, 16, 4, 8), "shape")],
)
def test_another_latent_is_refused_with_both_sizes(condition, shape, words):
    with pytest.raises(Track2ViewError, match="9 frames of 64 x 32 in 16 channels") as error:
        check_latent(condition, shape)
    assert words in str(error.value)


@pytest.mark.parametrize(("start", "end"), [(0.0, 1.0), (0.25, 0.75), (0.0, 0.5), (0.5, 0.5), (0.125, 1.0)])
@pytest.mark.parametrize("shift", [1.0, 5.0, 8.0])
def test_start_and_end_are_shares_of_the_steps_whatever_the_shift(make, start, end, shift):
    from track2view_core.wan.sampler import make_scheduler, shifted_sigma

    condition = TrackCondition(make.bundle(make.transformer()), make.tracks(), make.latent(), start=start, end=end)
    sigmas = make_scheduler("euler", 8, shift).sigmas[:8].tolist()
    active = [condition.active(sigma, lambda share: shifted_sigma(share, shift)) for sigma in sigmas]
    assert active == [start <= step / 8 < end for step in range(8)]
