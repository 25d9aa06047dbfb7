"""What a call of a MODEL with ReCamMaster is given, with stand-ins for core's executor and a block's self-attention."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor


@pytest.fixture
def module(pack):
    return pack("nodes.bridge.recammaster_model")


def test_a_window_gets_the_poses_and_the_source_of_its_own_frames(module):
    poses = torch.arange(6.0)[:, None].expand(6, 12)
    source = torch.arange(6.0).view(1, 1, 6, 1, 1).expand(1, 16, 6, 4, 6)
    window = SimpleNamespace(get_tensor=lambda full, dim: full.index_select(dim, torch.tensor([0, 3, 4])))
    given = []

    def executor(sequence: Tensor, timestep, context, clip_fea, time_dim_concat, options):
        given.append((sequence, timestep, options[module.POSES]))
        return sequence

    views, target = module._Views(poses, source), torch.full((2, 16, 3, 4, 6), -1.0)
    timestep = torch.tensor([700.0, 700.0])
    out = views.around_forward(executor, target, timestep, None, transformer_options={"context_window": window})
    ((sequence, told, (rows, frame_tokens)),) = given
    assert torch.equal(out, target) and told is timestep
    assert sequence[:, 0, :, 0, 0].tolist() == 2 * [[-1, -1, -1, 0, 3, 4]]
    assert rows[:, 0].tolist() == [0, 3, 4] and frame_tokens == 6


def test_memory_is_counted_for_both_views(module):
    views = module._Views(torch.zeros(3, 12), torch.zeros(1, 16, 3, 4, 6))
    shape = views.around_preparing(lambda model, shape, conds: shape, None, [1, 16, 3, 4, 6], {})
    assert shape == [1, 16, 3, 8, 6]


def test_the_original_attention_is_reached_with_the_calls_own_options(module):
    class Layers:
        def __call__(self, tokens, poses, frame_tokens, attend):
            return poses * attend(tokens + frame_tokens)

    options = {module.POSES: (2, 10), "other": 1}
    patched = module._with_camera(lambda x, freqs, transformer_options: (x + freqs) * transformer_options["other"],
                                  Layers())  # fmt: skip
    assert patched(1, 100, transformer_options=options) == 222
    with pytest.raises(ValueError, match="without its wrappers"):
        patched(1, 100, transformer_options={})
