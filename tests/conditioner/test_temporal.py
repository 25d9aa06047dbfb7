"""The temporal block against attention written out for one track, one head, one frame at a time."""

import math

import pytest
import torch
import torch.nn.functional as F

from track2view_core.conditioner.temporal import ROTARY_BASE, TemporalBlock, pack_tracks, rotary_table, unpack_tracks

WIDTH, HEADS = 12, 2


def turn(vector, frame):
    """Each pair (2i, 2i + 1) rotated by frame * base^(-2i / head_dim)."""
    out = torch.empty_like(vector)
    for i in range(0, len(vector), 2):
        angle = frame * ROTARY_BASE ** (-i / len(vector))
        cosine, sine = math.cos(angle), math.sin(angle)
        out[i] = vector[i] * cosine - vector[i + 1] * sine
        out[i + 1] = vector[i] * sine + vector[i + 1] * cosine
    return out


def block_by_hand(block, track, keys):
    """One track `[F, width]`; only its valid frames are attended to."""
    frames, width = track.shape
    size = width // block.heads
    q, k, v = block.qkv(block.norm1(track)).chunk(3, -1)
    mixed = torch.zeros_like(track)
    for head in range(block.heads):
        part = slice(head * size, (head + 1) * size)
        for f in range(frames):
            valid = [g for g in range(frames) if keys[g]]
            scores = torch.stack([turn(q[f, part], f) @ turn(k[g, part], g) for g in valid]) / math.sqrt(size)
            mixed[f, part] = sum(s * v[g, part] for s, g in zip(scores.softmax(0), valid, strict=True))
    track = track + block.proj(mixed)
    hidden = F.gelu(block.ffn[0](block.norm2(track)))
    return track + block.ffn[2](hidden)


def setup(tracks=5, frames=4, seed=0):
    torch.manual_seed(seed)
    block = TemporalBlock(WIDTH, HEADS).double()
    keys = torch.rand(tracks, frames) < 0.6
    keys[:, min(1, frames - 1)] = True
    return block, torch.randn(tracks, frames, WIDTH, dtype=torch.float64), keys


def table(frames):
    return rotary_table(frames, WIDTH // HEADS, torch.device("cpu"))


def test_matches_attention_written_out():
    block, x, keys = setup()
    expected = torch.stack([block_by_hand(block, *one) for one in zip(x, keys, strict=True)])
    torch.testing.assert_close(block(x, keys[:, None, None], table(4)), expected, atol=1e-6, rtol=0)


def test_hidden_frames_are_filled_in_but_never_attended_to():
    block, x, keys = setup()
    changed = torch.where(keys[..., None], x, torch.randn_like(x))
    before, after = block(x, keys[:, None, None], table(4)), block(changed, keys[:, None, None], table(4))
    assert torch.equal(before[keys], after[keys])
    assert not torch.equal(before[~keys], after[~keys])


def test_time_is_relative():
    """The same frames, started later, in a longer clip whose other frames are hidden, give the same result."""
    block, x, keys = setup()
    longer = F.pad(x, (0, 0, 3, 2))
    result = block(longer, F.pad(keys, (3, 2))[:, None, None], table(9))
    torch.testing.assert_close(result[:, 3:7], block(x, keys[:, None, None], table(4)), atol=1e-6, rtol=0)


def test_frames_have_an_order():
    block, x, keys = setup()
    turned = block(x.flip(1), keys.flip(1)[:, None, None], table(4)).flip(1)
    assert (turned - block(x, keys[:, None, None], table(4))).abs().max() > 1e-3


def test_tracks_do_not_mix():
    block, x, keys = setup()
    torch.testing.assert_close(
        block(x[2:3], keys[2:3, None, None], table(4)), block(x, keys[:, None, None], table(4))[2:3]
    )


@pytest.mark.parametrize("frames", [1, 4, 5, 9, 21])
@pytest.mark.parametrize("tracks", [1, 7])
def test_tracks_packed_into_one_sequence_do_not_mix(tracks, frames):
    block, x, keys = setup(tracks, frames)
    packed, mask = pack_tracks(x, keys)
    result = block(packed, mask, table(frames).repeat(packed.shape[1] // frames, 1, 1))
    torch.testing.assert_close(unpack_tracks(result, tracks, frames), block(x, keys[:, None, None], table(frames)))
