"""The conditioner and its settings: against one track at a time by hand, and what must not matter to it."""

import json
import math
from dataclasses import replace

import pytest
import torch

from track2view_core.conditioner import ConditionerConfig, TrackConditioner, sample_along_tracks, scatter_to_grid
from track2view_core.conditioner.temporal import rotary_table
from track2view_core.errors import Track2ViewError
from track2view_core.tracks import TrackBatch


def test_survives_json():
    config = ConditionerConfig(
        dim=128, width=96, heads=3, scatter_level="latent", scatter_norm="max1", zbuffer_beta=4.0
    )
    assert ConditionerConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_file_that_says_less_gets_the_defaults():
    assert ConditionerConfig.from_dict({"dim": 1536}) == ConditionerConfig()


def test_the_default_is_the_method_as_published():
    config = ConditionerConfig()
    assert (config.layers, config.depth_bands, config.scatter_level, config.scatter_norm) == (
        8,
        10,
        "token",
        "mean_coverage",
    )


def test_an_unknown_field_is_refused():
    with pytest.raises(Track2ViewError, match="'hats'"):
        ConditionerConfig.from_dict({"dim": 128, "hats": 3})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dim", 0),
        ("layers", 1.5),
        ("width", True),
        ("depth_bands", "10"),
        ("scatter_norm", "sum"),
        ("frame_anchor", "first"),
        ("scatter_level", "pixel"),
        ("zbuffer_beta", -1.0),
        ("zbuffer_beta", float("nan")),
        ("heads", 7),
        ("heads", 512),  # head size 3 has no pairs to rotate
    ],
)
def test_a_wrong_value_is_refused_by_name(field, value):
    with pytest.raises(Track2ViewError, match=f"ConditionerConfig.{field}"):
        ConditionerConfig.from_dict({field: value})


DIM, CHANNELS = 12, 4
GRID = (3, 4)  # of 48 x 64 px
LEVELS = ["token", "latent"]


def conditioner(level="token", *, trained=True, **changes):
    """A small one; `trained` fills the zero-initialised weights too."""
    torch.manual_seed(0)
    config = ConditionerConfig(
        **{"dim": DIM, "width": 16, "layers": 2, "heads": 2, "scatter_level": level, "latent_channels": CHANNELS}
        | changes
    )
    module = TrackConditioner(config)
    if trained:
        for weight in (*module.output.parameters(), *(module.latent_patch.parameters() if level == "latent" else ())):
            torch.nn.init.normal_(weight, std=0.3)
    return module


def inputs(count=2, frames=3, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(count, DIM, frames, *GRID, generator=generator)
    latents = torch.randn(count, CHANNELS, frames, 2 * GRID[0], 2 * GRID[1], generator=generator)
    return tokens.to(dtype), latents.to(dtype)


def double(batch: TrackBatch) -> TrackBatch:
    return batch._map(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor)


def changed(batch: TrackBatch, **tensors) -> TrackBatch:
    return replace(batch, **tensors)


def by_hand(module, tokens, batch, latents):
    """Every track on its own through the transformer, then both scatters, as the method tells it."""
    config = module.config
    count, frames, tracks = batch.visible.shape
    sampled = sample_along_tracks(tokens, batch.source_xy, batch.image_size)
    table = rotary_table(frames, config.width // config.heads, tokens.device)
    out = {view: torch.zeros(count, frames, tracks, config.width, dtype=tokens.dtype) for view in ("source", "target")}
    reach = {view: torch.zeros(count, frames, tracks, dtype=torch.bool) for view in out}
    carried = torch.zeros(count, frames, tracks, latents.shape[1], dtype=tokens.dtype)
    read = sample_along_tracks(latents, batch.source_xy, batch.image_size)
    for b in range(count):
        for n in range(tracks):
            valid = batch.visible[b, :, n] & batch.source_inside[b, :, n]
            if not valid.any():
                continue
            track = torch.stack(
                [module.input(sampled[b, f, n]) if valid[f] else module.mask_token for f in range(frames)]
            )[None]
            for block in module.blocks:
                track = block(track, valid[None, None, None], table)
            track = module.norm(track)[0]
            for f in range(frames):
                for view in out:
                    z = getattr(batch, f"{view}_disparity")[b, f, n].item()
                    bands = [
                        wave(math.pi * 2**k * z) for wave in (math.sin, math.cos) for k in range(config.depth_bands)
                    ]
                    out[view][b, f, n] = track[f] + module.depth_embedding(torch.tensor(bands, dtype=tokens.dtype))
                nearest = min((abs(f - g), g) for g in range(frames) if valid[g])[1]
                carried[b, f, n] = read[b, nearest, n]
            reach["source"][b, :, n] = valid
            reach["target"][b, :, n] = batch.target_inside[b, :, n]
    deltas = {}
    for view, values in out.items():
        place = (getattr(batch, f"{view}_xy"), getattr(batch, f"{view}_depth"), reach[view])
        mean, coverage = scatter_to_grid(values, *place, GRID, batch.image_size, norm=config.scatter_norm)
        weight = module.output[view].weight
        deltas[view] = torch.einsum("bcfhw,dc->bdfhw", torch.cat([mean, coverage], 1), weight)
    if config.scatter_level == "latent":
        place = (batch.target_xy, batch.target_depth, reach["target"])
        warped = torch.cat(scatter_to_grid(carried, *place, (2 * GRID[0], 2 * GRID[1]), batch.image_size), 1)
        deltas["target"] = deltas["target"] + module.latent_patch(warped)
    return deltas["source"], deltas["target"]


@pytest.mark.parametrize("level", LEVELS)
def test_matches_one_track_at_a_time(level, random_batch):
    module = conditioner(level).double()
    tokens, latents = inputs(dtype=torch.float64)
    batch = double(random_batch(tracks=16))
    assert (~(batch.visible & batch.source_inside).any(1)).any(), "some track must never be seen"
    expected = by_hand(module, tokens, batch, latents)
    torch.testing.assert_close(module(tokens, batch, latents), expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("level", LEVELS)
def test_single_precision_is_near_double(level, random_batch):
    module, (tokens, latents), batch = conditioner(level), inputs(), random_batch(tracks=40)
    single = module(tokens, batch, latents)
    exact = module.double()(tokens.double(), double(batch), latents.double())
    torch.testing.assert_close(tuple(part.double() for part in single), exact, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("level", LEVELS)
def test_bfloat16_is_finite_and_near(level, random_batch):
    module, (tokens, latents), batch = conditioner(level), inputs(), random_batch(tracks=40)
    exact = module(tokens, batch, latents)
    half = module.bfloat16()(tokens.bfloat16(), batch, latents.bfloat16())
    for rough, precise in zip(half, exact, strict=True):
        assert rough.dtype == torch.bfloat16
        assert (rough.float() - precise).norm() < 0.03 * precise.norm()


def test_autocast_is_finite_and_near(random_batch):
    module, (tokens, latents), batch = conditioner("latent"), inputs(), random_batch(tracks=40)
    exact = module(tokens, batch, latents)
    with torch.autocast("cpu", torch.bfloat16):
        rough = module(tokens, batch, latents)
    for one, other in zip(rough, exact, strict=True):
        assert (one - other).norm() < 0.03 * other.norm()
    sum(part.square().sum() for part in rough).backward()
    assert all(parameter.grad.isfinite().all() for parameter in module.parameters())


@pytest.mark.parametrize("level", LEVELS)
def test_fresh_it_adds_exactly_nothing_and_can_learn(level, random_batch):
    module, (tokens, latents), batch = conditioner(level, trained=False), inputs(), random_batch()
    source, target = module(tokens, batch, latents)
    assert (source == 0).all()
    assert (target == 0).all()
    (source.sum() + target.sum()).backward()
    learning = {name.split(".")[0] for name, weight in module.named_parameters() if weight.grad.abs().max() > 0}
    assert learning == {"output"} | ({"latent_patch"} if level == "latent" else set())


@pytest.mark.parametrize("level", LEVELS)
def test_every_weight_takes_part(level, random_batch):
    module, (tokens, latents) = conditioner(level), inputs()
    source, target = module(tokens, random_batch(), latents)
    (source.square().sum() + target.square().sum()).backward()
    for name, weight in module.named_parameters():
        assert weight.grad.abs().max() > 0, name


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "case", ["no tracks", "never visible", "empty frame", "padded", "one frame", "nothing in target"]
)
def test_emptiness_gives_no_nan_in_output_or_gradient(level, case, random_batch):
    module = conditioner(level)
    frames = 1 if case == "one frame" else 3
    tokens, latents = (part.requires_grad_() for part in inputs(frames=frames))
    batch = random_batch(frames=frames, tracks=0 if case == "no tracks" else 12)
    visible, inside = batch.visible.clone(), batch.target_inside.clone()
    if case == "never visible":
        visible[:] = False
    elif case == "empty frame":
        visible[:, 1], inside[:, 1] = False, False
    elif case == "nothing in target":
        inside[:] = False
    batch = changed(batch, visible=visible, target_inside=inside)
    if case == "padded":
        kept = torch.arange(12) < 5
        batch = batch._map(lambda tensor: tensor * kept.view(-1, *[1] * (tensor.ndim - 3)).to(tensor.dtype))
    source, target = module(tokens, batch, latents)
    (source.square().sum() + target.square().sum() + target.sum()).backward()
    for tensor in (source, target, tokens.grad, latents.grad):
        assert tensor is None or tensor.isfinite().all()
    for name, weight in module.named_parameters():
        assert weight.grad is None or weight.grad.isfinite().all(), name
    if case in ("no tracks", "never visible"):
        assert (source == 0).all()
        assert (target == 0).all()
    if case == "empty frame":
        assert (source[:, :, 1] == 0).all()
        assert (target[:, :, 1] == 0).all()


@pytest.mark.parametrize("level", LEVELS)
def test_a_track_that_is_never_seen_contributes_exactly_nothing(level, random_batch):
    module, (tokens, latents), batch = conditioner(level), inputs(), random_batch()
    visible = batch.visible.clone()
    visible[:, :, 4:7] = False
    batch = changed(batch, visible=visible)
    before = module(tokens, batch, latents)
    moved = {name: getattr(batch, name).clone() for name in ("source_xy", "target_xy", "target_depth", "target_inside")}
    for tensor in moved.values():
        tensor[:, :, 4:7] = 1  # in front of everything, in the middle of cell (0, 0)
    after = module(tokens, changed(batch, **moved), latents)
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    without = batch._map(lambda tensor: torch.cat([tensor[:, :, :4], tensor[:, :, 7:]], 2))
    torch.testing.assert_close(module(tokens, without, latents), before, atol=1e-6, rtol=0)


@pytest.mark.parametrize("level", LEVELS)
def test_what_the_source_cannot_show_is_not_read(level, random_batch):
    """Features under a point in a frame where it is hidden belong to something else."""
    module, (tokens, latents), batch = conditioner(level), inputs(), random_batch(tracks=1)
    batch = changed(batch, visible=torch.tensor([True, False, True]).view(1, 3, 1).expand(2, 3, 1))
    before = module(tokens, batch, latents)
    tokens, latents = tokens.clone(), latents.clone()
    tokens[:, :, 1], latents[:, :, 1] = 7.0, 7.0
    after = module(tokens, batch, latents)
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert (before[0][:, :, 1] == 0).all()


@pytest.mark.parametrize("level", LEVELS)
def test_clips_are_independent(level, random_batch):
    module, (tokens, latents), batch = conditioner(level), inputs(), random_batch()
    whole = module(tokens, batch, latents)
    for b in range(2):
        alone = module(tokens[b : b + 1], batch._map(lambda tensor, b=b: tensor[b : b + 1]), latents[b : b + 1])
        torch.testing.assert_close(alone, tuple(part[b : b + 1] for part in whole), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("level", LEVELS)
def test_the_order_of_tracks_does_not_matter(level, random_batch):
    module, (tokens, latents), batch = conditioner(level), inputs(), random_batch()
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    shuffled = module(tokens, batch._map(lambda tensor: tensor[:, :, order]), latents)
    torch.testing.assert_close(shuffled, module(tokens, batch, latents), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("level", LEVELS)
def test_nothing_leaks_into_a_window(level, random_batch):
    """A window of a clip equals the clip whose other frames show nothing."""
    module, (tokens, latents), batch = conditioner(level), inputs(frames=6), random_batch(frames=6)
    index = [2, 3, 4]
    window = module(tokens[:, :, index], batch.window(index), latents[:, :, index])
    elsewhere = torch.tensor([f not in index for f in range(6)]).view(1, 6, 1)
    blind = changed(batch, visible=batch.visible & ~elsewhere)
    whole = module(tokens, blind, latents)
    torch.testing.assert_close(window, tuple(part[:, :, index] for part in whole), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("level", LEVELS)
def test_latents_and_tokens_are_differentiable(level, random_batch):
    module = conditioner(level, layers=1).double()
    batch = double(random_batch(1, 2, 5))
    tokens, latents = (part.requires_grad_() for part in inputs(1, 2, torch.float64))
    assert torch.autograd.gradcheck(lambda x, z: module(x, batch, z), (tokens, latents), fast_mode=True)


def test_the_setting_max1_reaches_the_scatter(random_batch):
    (tokens, latents), batch = inputs(dtype=torch.float64), double(random_batch())
    module = conditioner(scatter_norm="max1").double()
    torch.testing.assert_close(module(tokens, batch), by_hand(module, tokens, batch, latents), atol=1e-9, rtol=0)
    assert not torch.allclose(module(tokens, batch)[1], conditioner().double()(tokens, batch)[1])


def test_names_in_files():
    """They are written into bundle files: renaming one makes every file unreadable."""
    block = [
        f"{part}.{kind}" for part in ("norm1", "qkv", "proj", "norm2", "ffn.0", "ffn.2") for kind in ("weight", "bias")
    ]
    names = {f"blocks.{i}.{part}" for i in range(2) for part in block}
    names |= {f"{part}.{kind}" for part in ("input", "norm", "depth_embedding") for kind in ("weight", "bias")}
    names |= {"mask_token", "output.source.weight", "output.target.weight"}
    assert set(conditioner().state_dict()) == names
    assert set(conditioner("latent").state_dict()) == names | {"latent_patch.weight"}


def test_the_published_size():
    with torch.device("meta"):
        module = TrackConditioner(ConditionerConfig())
    blocks = sum(weight.numel() for weight in module.blocks.parameters())
    assert blocks == pytest.approx(226e6, rel=0.01)


def test_input_that_does_not_belong_together_is_refused(random_batch):
    module, (tokens, latents), batch = conditioner("latent"), inputs(), random_batch()
    with pytest.raises(Track2ViewError, match="trained for this base model"):
        module(tokens[:, :5], batch, latents)
    with pytest.raises(Track2ViewError, match="latent frames"):
        module(tokens[:, :, :2], batch, latents)
    with pytest.raises(Track2ViewError, match="source_latents"):
        module(tokens, batch)
    with pytest.raises(Track2ViewError, match="source_latents"):
        module(tokens, batch, latents[..., :4])
