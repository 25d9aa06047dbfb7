"""Report cards in a real browser: on both frontends and in both renderers of nodes they say it, and go on saying it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

RENDERERS = {"litegraph": "false", "vue": "true"}
ON_THE_WAY = ("TrackPoints", "PairTracks", "PreviewRecamera", "CameraEditor", "ConditionOnTracks")
ALL_TOLD = "Object.values(cardProbe.cards()).every(({light}) => light !== 'none')"
SCENE = "standing_scene.png"
GRAPH = {
    "picture": ("LoadImage", {"image": SCENE}),
    "clip": ("RepeatImageBatch", {"image": ["picture", 0], "amount": 9}),
    "prepared": (
        "Track2View_PrepareClip",
        {"width": 128, "height": 128, "max_frames": 0, "fps": 8.0, "image": ["clip", 0]},
    ),
    "tracks": (
        "Track2View_TrackPoints",
        {"image": ["prepared", 0], "points": 200, "motion": "auto", "field_of_view": 0.0, "depth_is": "near is bright"},
    ),
    "path": (
        "Track2View_CameraPreset",
        {"point_tracks": ["tracks", 0], "preset": "truck_left", "amount": 0.2, "ease": "smooth"}
        | {"relative_to": "source"},
    ),
    "pairs": ("Track2View_PairTracks", {"point_tracks": ["tracks", 0], "camera_path": ["path", 0]}),
    "preview": ("Track2View_PreviewRecamera", {"paired_tracks": ["pairs", 0], "image": ["prepared", 0]}),
    "editor": ("Track2View_CameraEditor", {"document": "", "point_tracks": ["tracks", 0]}),
    "bundle": ("Track2View_LoadBundle", {"file": "track2view_tiny_bundle.safetensors"}),
    "vae": ("VAELoader", {"vae_name": "track2view_tiny_vae.safetensors"}),
    "latent": ("VAEEncode", {"pixels": ["prepared", 0], "vae": ["vae", 0]}),
    "condition": (
        "Track2View_ConditionOnTracks",
        {"bundle": ["bundle", 0], "paired_tracks": ["pairs", 0], "source_latent": ["latent", 0], "strength": 1.0}
        | {"start": 0.0, "end": 1.0},
    ),
    "end": ("PreviewAny", {"source": ["condition", 1]}),
    "plan": (
        "Track2View_MemoryPlan",
        {"base": "1.3B", "width": 832, "height": 480, "frames": 81, "dtype": "bf16", "route": "native"}
        | {"offload": False, "guidance": True, "points": 1024, "window": 81, "steps": 50, "card_memory": 24.0},
    ),
}  # fmt: skip
PROBE = """
window.cardProbe = {
  node: (type) => app.graph._nodes.find((node) => node.type === `Track2View_${type}`),
  cards: () => Object.fromEntries(app.graph._nodes.filter((node) => node.track2viewCard).map((node) => {
    const { element } = node.track2viewCard;
    return [node.type.replace("Track2View_", ""), {
      light: element.dataset.light, headline: element.querySelector(".t2v-card-headline").textContent,
      body: element.querySelector(".t2v-card-body").textContent,
    }];
  })),
  /** Whether a node's card is on the screen, with its words in view. */
  shown(type) {
    const { element } = cardProbe.node(type).track2viewCard;
    const box = element.querySelector(".t2v-card-headline").getBoundingClientRect();
    return element.isConnected && box.width > 20 && box.height > 5;
  },
  async look(type) {
    const node = cardProbe.node(type);
    app.canvas.ds.scale = 1;
    app.canvas.ds.offset = [300 - node.pos[0], 200 - node.pos[1]];
    app.canvas.setDirty(true, true);
    for (let count = 0; count < 8; count += 1) await new Promise(requestAnimationFrame);
  },
  async run() {
    const ended = new Promise((done) => {
      for (const name of ["execution_success", "execution_error"]) {
        app.api.addEventListener(name, ({ detail }) => done(detail.exception_message ?? ""), { once: true });
      }
    });
    await app.queuePrompt(0, 1);
    const message = await ended;
    for (let count = 0; count < 4; count += 1) await new Promise(requestAnimationFrame);
    return message;
  },
};
"""


def prompt(points: int) -> dict:
    numbers = {name: str(number) for number, name in enumerate(GRAPH, 1)}
    graph = {}
    for name, (kind, inputs) in GRAPH.items():
        told = {key: [numbers[it[0]], it[1]] if isinstance(it, list) else it for key, it in inputs.items()}
        graph[numbers[name]] = {"class_type": kind, "inputs": told}
    graph[numbers["tracks"]]["inputs"]["points"] = points  # another for each renderer, or there were nothing to run
    return graph


def write_scene(file: Path) -> None:
    """A picture with much to follow."""
    noise = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
    Image.fromarray(noise).resize((128, 128), Image.Resampling.BICUBIC).save(file)


def ready(page) -> None:
    page.wait_for("!!(window.app && window.app.graph && window.app.vueAppReady)")
    page.wait_for("Object.keys(LiteGraph.registered_node_types).some(name => name.startsWith('Track2View_'))")
    page.evaluate(PROBE)


@pytest.fixture(scope="module")
def page(browser, frontend):
    write_scene(frontend[1].base / "input" / SCENE)
    ready(browser)
    browser.evaluate("app.extensionManager.setting.set('Comfy.Window.UnloadConfirmation', false)")
    yield browser
    browser.evaluate("app.graph.clear()")


def open_graph(page, renderer: str) -> None:
    graph = prompt(200 + len(renderer))
    page.evaluate(f"app.loadApiJson({json.dumps(graph)}, 'cards.json')")
    page.wait_for(f"app.graph._nodes.length === {len(graph)}")


@pytest.fixture(scope="module", params=list(RENDERERS))
def ran(request, page):
    """The graph of a clip whose camera stands, opened and run once; the cards right afterwards."""
    page.evaluate(f"app.extensionManager.setting.set('Comfy.VueNodes.Enabled', {RENDERERS[request.param]})")
    open_graph(page, request.param)
    assert page.evaluate("Object.values(cardProbe.cards()).every(({light}) => light === 'none')")
    page.evaluate("window.stages = new Set(); window.watch = setInterval(() => document.querySelectorAll('[data-busy]')"
                  ".forEach((card) => stages.add(card.textContent)), 20)")  # fmt: skip
    assert page.evaluate("cardProbe.run()") == ""
    page.evaluate("clearInterval(window.watch)")
    page.wait_for(ALL_TOLD, 10)
    return page, page.evaluate("cardProbe.cards()")


def test_a_doubt_is_seen_on_every_node_that_builds_on_it(ran):
    _, cards = ran
    for name in ON_THE_WAY:
        assert cards[name]["light"] == "amber", name
        assert "epth assumed" in cards[name]["headline"] and "flat backdrop" in cards[name]["body"], name
    assert cards["LoadBundle"]["light"] == cards["PrepareClip"]["light"] == "green"
    assert "9 frames, 128 x 128" in cards["PrepareClip"]["headline"]


def test_the_plan_is_read_on_its_node(ran, tmp_path):
    page, cards = ran
    plan = cards["MemoryPlan"]
    assert plan["light"] == "green" and "24.0 GiB free" in plan["headline"] and "VAE decode" in plan["body"]
    page.evaluate("cardProbe.look('MemoryPlan')")
    assert page.evaluate("cardProbe.shown('MemoryPlan')")
    before = page.evaluate("cardProbe.node('MemoryPlan').size[1]")
    page.evaluate("cardProbe.node('MemoryPlan').track2viewCard.details.querySelector('summary').click()")
    time.sleep(0.3)
    page.screenshot(tmp_path / "plan.png")
    body = "cardProbe.node('MemoryPlan').track2viewCard.body.getBoundingClientRect().height"
    assert page.evaluate(body) > 100 and page.evaluate("cardProbe.node('MemoryPlan').size[1]") > before + 50
    page.evaluate("cardProbe.node('MemoryPlan').track2viewCard.details.querySelector('summary').click()")
    time.sleep(0.3)
    assert page.evaluate("cardProbe.node('MemoryPlan').size[1]") == pytest.approx(before, abs=1)


def test_what_a_node_is_at_is_told_while_it_runs_and_not_after(ran):
    page, _ = ran
    assert page.evaluate("stages.size") > 0
    assert page.evaluate("document.querySelectorAll('[data-busy]').length") == 0
    left = "app.graph._nodes.flatMap(n => n.widgets ?? []).filter(w => w.name === '$$node-text-preview' && !w.hidden)"
    assert page.evaluate(f"{left}.length") == 0


def test_screen_readers_hear_light_and_headline(ran):
    page, cards = ran
    said = page.evaluate(
        "cardProbe.node('TrackPoints').track2viewCard.element.querySelector('[role=status]').textContent"
    )
    assert said == "To be looked at: " + cards["TrackPoints"]["headline"]


def test_a_run_from_the_cache_keeps_every_card(ran):
    page, cards = ran
    assert page.evaluate("cardProbe.run()") == "" and page.evaluate("cardProbe.cards()") == cards


def test_undo_takes_back_what_the_user_did_and_no_report(ran):
    page, cards = ran
    tracker = "app.extensionManager.workflow.activeWorkflow.changeTracker"
    amount = "cardProbe.node('CameraPreset').widgets.find(({name}) => name === 'amount').value"
    note = f"({tracker}.captureCanvasState ?? {tracker}.checkState).call({tracker})"
    page.evaluate(note)
    steps = page.evaluate(f"{tracker}.undoQueue.length")
    page.evaluate(f"{amount} = 0.3, {note}")
    assert page.evaluate(f"{tracker}.undoQueue.length") == steps + 1
    assert page.evaluate("cardProbe.run()") == ""
    other = page.evaluate("cardProbe.cards()")
    assert other != cards and page.evaluate(f"{note}, {tracker}.undoQueue.length") == steps + 1  # a run is no step
    page.evaluate(f"{tracker}.undo()")
    page.wait_for(f"{amount} === 0.2", 10)
    assert page.evaluate("cardProbe.cards()") == other
    assert page.evaluate("cardProbe.run()") == "" and page.evaluate("cardProbe.cards()") == cards


def test_another_tab_and_back_keeps_every_card(ran):
    page, cards = ran
    page.evaluate("window.tab = app.extensionManager.workflow.activeWorkflow.path")
    page.evaluate("app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
    page.wait_for("app.graph._nodes.every(node => !node.type.startsWith('Track2View_'))", 20)
    page.evaluate("""(async () => {
      const { workflow, command } = app.extensionManager;
      for (let count = 0; count < 9 && workflow.activeWorkflow.path !== tab; count += 1) {
        await command.execute("Workspace.PreviousOpenedWorkflow");
      }
    })()""")
    page.wait_for(f"app.graph._nodes.length === {len(GRAPH)}", 20)
    assert page.evaluate("cardProbe.cards()") == cards


def test_a_graph_opened_anew_tells_what_the_server_has_at_hand(ran, request):
    page, cards = ran
    open_graph(page, request.node.callspec.params["ran"])
    assert page.evaluate("cardProbe.cards().TrackPoints.light") == "none"
    assert page.evaluate("cardProbe.run()") == ""
    page.wait_for(ALL_TOLD, 10)
    assert page.evaluate("cardProbe.cards()") == cards


def test_a_reload_of_the_page_keeps_every_card_and_the_preview(ran):
    page, cards = ran
    time.sleep(0.8)  # the frontend writes a graph down a little later
    page.evaluate("window.isBefore = true")
    page.call("Page.reload")
    time.sleep(1)  # while it navigates it answers nothing
    page.wait_for("!window.isBefore && document.readyState === 'complete'", 60)
    ready(page)
    page.wait_for(f"app.graph._nodes.length === {len(GRAPH)} && {ALL_TOLD}", 30)
    assert page.evaluate("cardProbe.cards()") == cards
    page.wait_for("cardProbe.node('PreviewRecamera').track2viewPairs.video.videoWidth > 0", 20)
    assert [error for error in page.errors if "track2view" in error.lower()] == []
