"""What the seams on ComfyUI's MODEL keep and for how long, with stand-ins for core's executor and WAN's forward."""

from __future__ import annotations

import sys
from copy import deepcopy
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import Tensor

LATENT = torch.ones(1, 16, 2, 2, 2)  # one token a frame


@pytest.fixture
def native(pack, monkeypatch) -> ModuleType:
    """nodes/bridge/native, with deltas that are the source's own tokens: whose they are is then seen."""
    management = ModuleType("comfy.model_management")
    management.unet_offload_device = lambda: torch.device("cpu")
    comfy = ModuleType("comfy")
    comfy.model_management = management
    monkeypatch.setitem(sys.modules, "comfy", comfy)
    monkeypatch.setitem(sys.modules, "comfy.model_management", management)
    host_seams = pack("track2view_core.wan.host_seams")
    monkeypatch.setattr(host_seams, "token_deltas", lambda condition, tokens, index: tokens.repeat(1, 2, 1))
    return pack("nodes.bridge.native")


class Condition:
    """As a TrackCondition, told from others by what it is."""

    bundle = SimpleNamespace(
        config=SimpleNamespace(
            sampling=SimpleNamespace(source_timestep="same", rotary="shared", source_attention="full")
        )
    )
    source_latent = LATENT

    def active(self, sigma: float, sigma_at) -> bool:
        return True


@pytest.fixture
def condition() -> Condition:
    return Condition()


class Host:
    """Core around one MODEL whose patch embedding multiplies by `weight`: a guider, and the calls of its sampler."""

    def __init__(self, native: ModuleType, seams, condition, weight: float):
        self.native, self.seams, self.condition, self.weight = native, seams, condition, weight
        self.conds, self.model_options = {}, {"transformer_options": {}}
        self.class_obj = self

    def sample(self, sampling) -> None:
        """A run through core's own guider; `sampling` stands for the sampler's loop."""

        def executor(noise: Tensor) -> None:
            sampling()

        executor.class_obj = self
        self.seams.around_sampling(executor, torch.zeros_like(LATENT))

    def deltas(self, sigma: float = 1.0) -> float:
        """What one call of the model adds to its tokens."""
        added = []

        def block(args: dict) -> dict:
            added.append(args["img"] - self.weight)
            return args

        def forward(sequence, timestep, context, clip_fea, time_dim_concat, options, **conds):
            assert not conds
            tokens = self.weight * torch.ones(1, sequence.shape[2], 1)
            options["patches_replace"]["dit"]["double_block", 0]({"img": tokens}, {"original_block": block})
            return sequence

        def model(x, sigma, c_concat, c_crossattn, control, options, **conds):
            return self.seams.around_forward(forward, x, sigma, None, transformer_options=options, **conds)

        model.class_obj = SimpleNamespace(model_sampling=SimpleNamespace(percent_to_sigma=lambda share: 1 - share))
        told = {"transformer_options": self.model_options["transformer_options"], self.native.SEAMS: self.condition}
        self.seams.around_model(model, torch.zeros_like(LATENT), torch.tensor([sigma]), **told)
        (found,) = added
        assert (found == found.flatten()[0]).all()
        return float(found.flatten()[0])


def test_a_run_computes_its_deltas_once(native, condition):
    host = Host(native, native._Seams(condition.bundle), condition, weight=2.0)

    def steps() -> None:
        assert host.deltas(1.0) == 2.0
        host.weight = 3.0
        assert host.deltas(0.5) == 2.0

    host.sample(steps)
    assert host.model_options["transformer_options"] == {}


def test_runs_that_overlap_do_not_take_each_others_deltas(native, condition):
    """Clones of a MODEL share the seams, and may hold other weights."""
    seams = native._Seams(condition.bundle)
    one, other = (Host(native, seams, condition, weight) for weight in (2.0, 5.0))

    def inner() -> None:
        assert (one.deltas(), other.deltas()) == (2.0, 5.0)

    def outer() -> None:
        assert one.deltas() == 2.0
        other.sample(inner)
        assert one.deltas(0.5) == 2.0

    one.sample(outer)


def test_calls_outside_a_run_take_nothing_from_an_earlier_one(native, condition):
    host = Host(native, native._Seams(condition.bundle), condition, weight=2.0)
    host.sample(lambda: host.deltas())
    host.weight = 5.0
    assert host.deltas() == 5.0
    host.weight = 6.0
    assert host.deltas() == 6.0


def test_a_run_that_fails_leaves_nothing_behind(native, condition):
    host = Host(native, native._Seams(condition.bundle), condition, weight=2.0)

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        host.sample(interrupted)
    assert host.model_options["transformer_options"] == {}


def test_an_interrupted_run_lets_go_of_its_sources_even_where_a_node_copied_the_options(native, condition):
    own = SimpleNamespace(source_timestep="zero", rotary="shared", source_attention="own")
    bundle = SimpleNamespace(config=SimpleNamespace(sampling=own), source_text=None)
    host = Host(native, native._Seams(bundle), condition, weight=2.0)
    copied = []

    def interrupted() -> None:
        copied.append(deepcopy(host.model_options["transformer_options"])[native.KEPT])
        for computed in ("first", "other"):
            assert copied[0].get("key", 1.0, lambda computed=computed: computed) == "first"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        host.sample(interrupted)
    assert host.model_options["transformer_options"] == {}
    assert copied[0].get("key", 1.0, lambda: "anew") == "anew"


@pytest.mark.parametrize(("source_text", "sources"), [(None, 2), (LATENT, 1)], ids=["the prompt", "a text of its own"])
def test_room_is_made_for_the_sources_of_all_texts_that_they_read(native, condition, source_text, sources):
    seams, asked = native._Seams(SimpleNamespace(source_text=source_text)), []
    kept = SimpleNamespace(settle=lambda model, shape, frames, texts, handler: asked.append(texts))
    prompts = {"positive": [{"model_conds": {native.SEAMS: SimpleNamespace(cond=condition)}}]}
    prompts["negative"] = prompts["positive"]
    options = {"transformer_options": {native.KEPT: kept}}
    seams.around_preparing(lambda *args, **words: None, None, LATENT.shape, prompts, model_options=options)
    assert asked == [sources]


@pytest.mark.parametrize(
    ("card", "host", "home", "rows"),
    [
        (1981, 0, "card", 4 + 8),  # 800 bytes beside 600 of weights and 400 that core reckons with for four rows
        (1980, 1600, "host", 4 + 4),  # those of two of its four blocks
        (1980, 1599, "nowhere", 2 * 4),
    ],
)
def test_where_a_source_is_kept_is_settled_by_the_memory_there_is(pack, native, monkeypatch, card, host, home, rows):
    kept_source = pack("nodes.bridge.kept_source")
    memory = SimpleNamespace(device_memory=lambda: (torch.device("cpu"), "", card), host_memory=lambda: host)
    monkeypatch.setitem(sys.modules, f"{kept_source.__package__}.host", memory)
    dit = SimpleNamespace(num_layers=4, dim=5)
    inner = SimpleNamespace(
        diffusion_model=dit, manual_cast_dtype=torch.bfloat16, memory_required=lambda shape: 50 * shape[0] * shape[3]
    )
    model = SimpleNamespace(model=inner, model_size=lambda: 600, get_nested_additional_models=list)
    kept = kept_source.KeptSources()
    shape = kept.settle(model, [1, 16, 5, 4, 2], 5, 1, None)
    assert kept_source.states_of(model, [1, 16, 5, 4, 2], 1) == 4 * 2 * (5 * 2) * 5 * 2 == 800
    assert (kept.home, shape) == (home, [1, 16, 5, rows, 2])


def test_a_forward_without_its_wrappers_refuses_tracks_and_nothing_else(native, condition):
    forward = native._guarded_forward(lambda *args, **kwargs: (args, kwargs))
    assert forward(1, context=2) == ((1,), {"context": 2})
    with pytest.raises(ValueError, match="without its wrappers") as error:
        forward(1, **{native.SEAMS: condition})
    assert type(error.value).__name__ == "Track2ViewError"
    assert forward.before_track2view(3) == ((3,), {})


@pytest.mark.parametrize(("before", "shown"), [(None, (3, 4, 5)), (0, (0, 3, 4, 5))])
def test_a_window_says_itself_which_frames_it_shows(native, monkeypatch, before: int | None, shown: tuple[int, ...]):
    """Newer cores put a frame of before in front of a window's own, and cut its output away again."""
    condition, asked = Condition(), []
    condition.source_latent = torch.arange(8.0).view(1, 1, 8, 1, 1).expand(1, 16, 8, 2, 2)

    class Window:
        def __init__(self) -> None:
            self.index_list = [3, 4, 5]

        def get_tensor(self, full: Tensor, device=None, dim: int | None = None) -> Tensor:
            places = [*([] if before is None else [before]), *self.index_list]
            return full.index_select(2 if dim is None else dim, torch.tensor(places))

    def deltas(condition, tokens: Tensor, index: tuple[int, ...]) -> Tensor:
        asked.append(index)
        return tokens.repeat(1, 2, 1)

    def forward(sequence, timestep, context, clip_fea, time_dim_concat, options, **conds):
        tokens = {"img": torch.zeros(1, sequence.shape[2], 1)}
        options["patches_replace"]["dit"]["double_block", 0](tokens, {"original_block": lambda args: args})
        return sequence

    monkeypatch.setattr(sys.modules[native.__package__.rsplit(".", 2)[0] + ".track2view_core.wan.host_seams"],
                        "token_deltas", deltas)  # fmt: skip
    window, views = Window(), []
    target = window.get_tensor(torch.full((1, 16, 8, 2, 2), -1.0))
    options = {"context_window": window, native.ACTIVE: True, "sigmas": torch.ones(1)}

    def keeping(*args, **conds):
        views.append(args[0])
        return forward(*args, **conds)

    seams = native._Seams(condition.bundle)
    out = seams.around_forward(
        keeping, target, torch.ones(1), None, transformer_options=options, **{native.SEAMS: condition}
    )
    assert views[0][0, 0, len(shown) :, 0, 0].tolist() == list(shown)
    assert asked == [shown] and torch.equal(out, target)
