"""Memory Plan on a real server: its report, and that it needs no model."""

import pytest

PLAN = {
    "base": "1.3B", "width": 832, "height": 480, "frames": 81, "dtype": "bf16", "route": "native", "offload": False,
    "guidance": True, "points": 1024, "window": 81, "steps": 50, "card_memory": 24.0,
}  # fmt: skip


@pytest.fixture
def planned(server):
    def run(**changes):
        extra = changes.pop("graph", {})
        return server.run({**extra, "1": {"class_type": "Track2View_MemoryPlan", "inputs": {**PLAN, **changes}}})

    return run


def text(run):
    assert run.error is None, run.message
    return "".join(run.outputs["1"]["text"])


def test_the_report_holds_stages_verdict_and_time(planned):
    said = text(planned())
    for part in ("WAN 1.3B in bf16", "VAE decode", "The card has 24.0 GiB free", "It fits as asked.", "TFLOP/s"):
        assert part in said


def test_the_verdict_also_stands_on_the_node(planned):
    run = planned(base="14B", card_memory=12.0)
    assert "offloaded" in text(run) and any("Fits with" in said for _, said in run.texts)


def test_it_asks_the_machine_for_its_memory(planned):
    assert "The card has" in text(planned(card_memory=0.0))


def test_a_bundle_brings_its_base(planned):
    load = {"class_type": "Track2View_LoadBundle", "inputs": {"file": "track2view_tiny_bundle.safetensors"}}
    assert "WAN tiny" in text(planned(graph={"2": load}, bundle=["2", 0], frames=17, width=128, height=128))


def test_a_bundle_says_that_its_source_is_computed_once(planned, server, driver, tiny_bundle_file):
    file = server.base / "models/track2view/planned_own.safetensors"
    driver.weights.write_variant(tiny_bundle_file, file, source_attention="own")
    load = {"class_type": "Track2View_LoadBundle", "inputs": {"file": file.name}}
    said = text(planned(graph={"2": load}, bundle=["2", 0], frames=17, width=128, height=128, window=17))
    assert "source kept on the card" in said


def test_what_cannot_be_planned_is_one_sentence(planned):
    run = planned(dtype="fp8", route="diffusers")
    assert "native route" in run.message and "\n" not in run.message
