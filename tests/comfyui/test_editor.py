"""The Camera Path Editor in a real browser: both frontends, both renderers of nodes, two zooms of the graph."""

from __future__ import annotations

import base64
import copy
import json
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

HERE = Path(__file__).parent
GRAPH = HERE / "graphs/camera_editor.json"
PROBE = HERE / "editor_probe.js"
EMPTY = (1700, 600)  # of the page, beside the editor
ZOOM = {"litegraph": 0.5, "vue": 1.5}


@pytest.fixture(scope="module")
def page(browser):
    ready(browser)
    return browser


def ready(page) -> None:
    page.wait_for("!!(window.app && window.app.graph && window.app.vueAppReady)")
    page.wait_for("Object.keys(LiteGraph.registered_node_types).some(name => name.startsWith('Track2View_'))")
    page.evaluate(PROBE.read_text(encoding="utf-8"))


class Desk:
    """A page with the test graph open, the editor in view."""

    def __init__(self, page, pointer, zoom: float):
        self.page, self.pointer, self.zoom = page, pointer, zoom

    def load(self, graph: dict) -> None:
        self.page.evaluate(f"probe.load({json.dumps(graph)}, {self.zoom})")

    def __call__(self, script: str):
        return self.page.evaluate(script)

    def settle(self) -> None:
        self("probe.settle()")

    def click(self, place: str, **how) -> None:
        self.pointer.click(*self(place), **how)
        self.settle()

    def choose(self, preset: str) -> dict:
        self.click(f"probe.chip('{preset}')")
        return self("probe.document()")


@pytest.fixture
def desk(driver, page, nodes, graph):
    made = Desk(page, driver.pointer.Pointer(page), ZOOM[nodes])
    made.load(graph)
    yield made
    assert [error for error in page.errors if "track2view" in error.lower()] == []


@pytest.fixture
def graph() -> dict:
    return json.loads(GRAPH.read_text(encoding="utf-8"))


def test_it_helps_before_anything_ran_and_writes_only_when_asked(desk):
    assert desk("probe.text()") == ""
    assert "Run the node once" in desk("probe.editor().element.querySelector('[role=status]').textContent")
    drawn = desk.choose("orbit_left")
    assert [key["frame"] for key in drawn["keys"]] == [0, 80]
    assert desk("app.graphToPrompt().then(p => p.output[20].inputs.document)") == json.dumps(
        drawn, separators=(",", ":")
    )


def test_a_dragged_key_moves_the_camera_at_once_and_the_text_when_let_go(desk):
    desk.choose("orbit_left")
    before, seen = desk("probe.text()"), None
    x, y = desk("probe.key(1)")
    desk.pointer.click(x, y)
    desk.settle()
    seen = desk("probe.camera()")
    desk.pointer.drag((x, y), (x + 40, y - 25), keep=True)
    desk.settle()
    assert desk("probe.text()") == before and desk("probe.camera()") != seen
    desk.pointer.release(x + 40, y - 25)
    desk.settle()
    after = desk("probe.text()")
    assert after != before
    found = desk("probe.key(1)")
    assert found == pytest.approx([x + 40, y - 25], abs=2)  # the key is under the pointer, at any zoom
    node = desk("probe.node().id")
    desk.pointer.press("z", "ctrl")
    time.sleep(0.3)
    assert (
        desk("probe.text()") == before and desk("probe.node().id") == node and desk("probe.editor().disposed") is False
    )
    desk.pointer.press("z", "ctrl", "shift")
    desk.settle()
    assert desk("probe.text()") == after


def test_a_locked_axis_holds_the_other_two(desk):
    desk.choose("truck_right")
    before = desk("probe.document().keys[1].position")
    x, y = desk("probe.key(1)")
    desk.pointer.drag((x, y), (x + 5, y - 30), keep=True)
    desk.pointer.press("y")
    desk.pointer.release(x + 5, y - 30)
    desk.settle()
    after = desk("probe.document().keys[1].position")
    assert after[0] == pytest.approx(before[0]) and after[2] == pytest.approx(before[2]) and after[1] < before[1] - 0.01


def test_keys_are_set_in_flight_and_moved_in_time(desk):
    desk.click("probe.time(20)")
    desk.click("probe.middle('.t2v-pane:nth-child(2)')")
    desk.pointer.press("w")
    desk.settle()
    assert desk("probe.text()") == "" and desk("probe.editor().store.draft !== null")
    desk.pointer.press("i")
    desk.settle()
    (key,) = desk("probe.document().keys")
    assert key["frame"] == 20 and key["position"][2] > 0
    desk.pointer.drag(tuple(desk("probe.time(20)")), tuple(desk("probe.time(31)")))
    desk.settle()
    assert [key["frame"] for key in desk("probe.document().keys")] == [31]
    desk.pointer.press("Delete")
    desk.settle()
    assert desk("probe.document().keys") == []


def test_wheel_and_keys_are_the_graphs_until_the_editor_has_the_focus(desk):
    x, y = desk("probe.middle('.t2v-pane')")
    start, distance = desk("probe.graph()"), desk("probe.editor().viewpoint.distance")
    desk.pointer.wheel(x, y, -240)
    desk.settle()
    moved = desk("probe.graph()")
    assert moved != start and desk("probe.editor().viewpoint.distance") == distance
    desk.pointer.click(*desk("probe.middle('.t2v-pane', 0.5, 0.8)"))
    desk.pointer.wheel(*desk("probe.middle('.t2v-pane')"), -240)
    desk.settle()
    assert desk("probe.graph()") == moved and desk("probe.editor().viewpoint.distance") < distance
    desk.pointer.press(".")
    desk.settle()
    assert desk("probe.graph()") == moved and desk("probe.editor().store.draft.roll") == 2
    for _ in range(2):
        desk.pointer.press("Escape")
    desk.pointer.press(".")  # ComfyUI's own key for showing the whole graph, in a flight of some frames
    desk.page.wait_for(f"JSON.stringify(probe.graph()) !== '{json.dumps(moved, separators=(',', ':'))}'", 10)
    desk("probe.rest()")


def test_a_middle_drag_over_an_unfocused_editor_pans_the_graph(desk):
    x, y = desk("probe.middle('.t2v-pane')")
    start = desk("probe.graph()")
    desk.pointer.drag((x, y), (x + 60, y + 10), button="middle")
    desk.settle()
    found = desk("probe.graph()")
    assert found["scale"] == start["scale"] == desk.zoom
    assert found["offset"][0] > start["offset"][0] + 20 / desk.zoom


def test_two_editors_share_nothing(desk, graph):
    other = copy.deepcopy(next(node for node in graph["nodes"] if node["id"] == 20))
    other.update(id=21, pos=[1010, 1100], inputs=[], outputs=[])
    desk.load({**graph, "nodes": [*graph["nodes"], other], "last_node_id": 21})
    first, second = "probe.editors()[0].track2viewEditor", "probe.editors()[1].track2viewEditor"
    view = desk(f"JSON.stringify({second}.view)")
    desk.choose("dolly_in")
    desk(f"{first}.turnView(30, 5)")
    texts = desk("probe.editors().map(node => node.widgets.find(widget => widget.name === 'document').value)")
    assert texts[0] != "" and texts[1] == ""
    assert desk(f"JSON.stringify({second}.view)") == view and desk(f"{second}.store.canUndo") is False


def test_a_path_is_copied_and_pasted_as_text(desk):
    drawn = desk.choose("spiral")
    text = desk("probe.clipboard('copy')")
    assert json.loads(text) == drawn
    desk.choose("static")
    assert desk("probe.document().keys") == []
    desk(f"probe.clipboard('paste', {json.dumps(text)})")
    assert desk("probe.text()") == text
    desk("probe.clipboard('paste', 'no path at all')")
    desk.settle()
    assert desk("probe.text()") == text
    assert "is no JSON" in desk("probe.editor().element.querySelector('[role=status]').textContent")


def test_the_graphs_own_undo_takes_a_drawing_back(desk):
    first = desk.choose("pan_left")
    desk.choose("tilt_up")
    desk.pointer.click(*EMPTY)
    desk.settle()
    desk.pointer.press("z", "ctrl")
    desk.page.wait_for(f"probe.text() === {json.dumps(json.dumps(first, separators=(',', ':')))}", 10)


def test_an_idle_editor_draws_nothing(desk):
    desk.settle()
    drawn = desk("probe.editor().draws")
    time.sleep(0.6)
    assert desk("probe.editor().draws") == drawn


def test_deleting_the_node_frees_context_listeners_and_frames(desk, graph):
    def listeners() -> list[int]:
        counts = []
        for place in ("gone.element", *(f"gone.element.querySelectorAll('.t2v-pane')[{n}]" for n in (0, 1)), "area"):
            found = desk.page.call("Runtime.evaluate", expression=place)["result"]["objectId"]
            counts.append(len(desk.page.call("DOMDebugger.getEventListeners", objectId=found)["listeners"]))
        return counts

    desk("app.extensionManager.setting.set('Track2View.PointRenderer', 'webgl2')")
    desk.load(graph)
    desk("app.extensionManager.setting.set('Track2View.PointRenderer', 'auto')")
    assert desk("probe.editor().painter.kind") == "webgl2"
    desk("window.gone = probe.editor(), window.gl = gone.painter.renderer.gl, gone.togglePlay()")
    desk("window.area = gone.element.querySelector('.t2v-timeline')")
    assert min(listeners()) > 0
    desk("app.graph.remove(probe.node())")
    desk.settle()
    drawn = desk("gone.draws")
    desk("gone.redraw()")
    desk.settle()
    assert desk("[gl.isContextLost(), gone.disposed, gone.playing, gone.element.isConnected]") == [
        True,
        True,
        False,
        False,
    ]
    assert desk("gone.draws") == drawn and listeners() == [0, 0, 0, 0]


def test_the_drawn_path_is_what_a_run_makes_and_a_run_writes_nothing(desk):
    desk("probe.run()")
    assert desk("probe.text()") == ""
    drawn = desk.choose("arc_right")
    assert drawn["frames"] == desk("probe.editor().store.clip.frames") == 17
    counted = desk("""(async () => {
      const { coverageOf, seenAtAll } = await probe.module("editor/coverage");
      const { positionsAt } = await probe.module("math/points");
      const { store } = probe.editor();
      const { points, clip } = store, seen = seenAtAll(points);
      const frames = Array.from({ length: clip.frames }, (_, t) => t);
      return frames.map((t) => coverageOf(store.cameraAt(t), clip.width, clip.height, positionsAt(points, t), seen));
    })()""")
    text = desk("probe.text()")
    ran = desk("probe.run()")
    assert desk("probe.text()") == text
    assert ran["track2view_coverage"][0] == pytest.approx(counted, abs=1e-6)  # of the path that ran, in Python
    assert "Nothing is drawn" not in ran["text"][0]


def test_a_point_of_the_clip_is_looked_at(desk):
    desk("probe.run()")
    desk.choose("truck_right")
    desk.click("probe.point(100)", times=2)
    desk.click("probe.middle('.t2v-menu button')")
    first, last = desk("probe.document().keys")
    assert first["quaternion"] == [1, 0, 0, 0] and last["look_at"]  # from the clip's own picture to the point


def test_a_chip_turns_about_what_was_clicked_and_plays_once(desk):
    desk("probe.run()")
    before = desk.choose("orbit_left")
    desk.page.wait_for("!probe.editor().playing && probe.editor().store.frame === 16", 20)
    desk.page.wait_for("probe.editor().coverage?.every(Number.isFinite)")
    assert before["keys"][0]["quaternion"] == [1, 0, 0, 0]  # it starts from the clip's own picture
    desk.click("probe.time(0)")
    desk.click("probe.point(100)")
    after = desk("probe.document()")
    assert desk("probe.editor().store.about.how") == "point"
    for key in ("target", "distance"):
        assert after["keys"][0]["orbit"][key] != before["keys"][0]["orbit"][key]
    assert desk.choose("orbit_right")["keys"][0] == after["keys"][0]
    desk("probe.editor().setViewpoint({ ...probe.editor().viewpoint, distance: 100 })")
    desk.click("probe.middle('.t2v-pane', 0.1, 0.7)", times=2)
    assert "No point of the clip lies near" in desk("probe.editor().element.querySelector('[role=status]').textContent")


def pixels_of(found: dict) -> np.ndarray:
    """[H, W, 4] int, from the top."""
    flat = np.frombuffer(base64.b64decode(found["pixels"]), np.uint8)
    rows = flat.reshape(found["height"], found["width"], 4)[::-1]
    x, y, width, height = found["box"]
    return rows[y + 1 : y + height - 1, x + 1 : x + width - 1].astype(int)


def test_the_new_cameras_pane_shows_what_the_render_of_that_frame_shows(desk, frontend):
    _, server = frontend
    desk("probe.run()")
    desk("probe.editor().painter.retryPicture()")  # however slow this machine is
    drawn = [desk("probe.text()"), json.dumps(desk.choose("orbit_left"))]
    x, y = desk("probe.key(1)")
    desk.pointer.drag((x, y), (x + 12, y - 8))
    desk.click("probe.time(8)")
    desk.pointer.press("i")
    desk.settle()
    assert [key["frame"] for key in desk("probe.document().keys")] == [0, 8, 16]
    prompt = desk("app.graphToPrompt().then(p => p.output)")
    saved = {"reach": 0, "remember": True, "latent_holes": False, "depth_is": "near is bright", "hole_colour": "filled"}
    prompt["30"] = {
        "class_type": "Track2View_RenderTargetView",
        "inputs": {"paired_tracks": ["5", 0], "image": ["17", 0], **saved},
    }
    prompt["31"] = {"class_type": "SaveImage", "inputs": {"images": ["30", 0], "filename_prefix": "pane/view"}}
    prompt["32"] = {"class_type": "MaskToImage", "inputs": {"mask": ["30", 1]}}
    prompt["33"] = {"class_type": "SaveImage", "inputs": {"images": ["32", 0], "filename_prefix": "pane/holes"}}
    run = server.run(prompt)
    assert run.error is None, run.message
    views, holes = ([entry["filename"] for entry in run.outputs[node]["images"]] for node in ("31", "33"))
    desk.page.wait_for("probe.editor().coverage?.every(Number.isFinite)")
    for frame, most_empty in ((0, 0.02), (8, 0.3), (16, 0.6)):
        shown = pixels_of(desk(f"probe.picture({frame})"))
        size = (shown.shape[1], shown.shape[0])
        view, hole = (
            np.asarray(Image.open(server.base / "output/pane" / files[frame]).convert("RGB").resize(size, Image.BOX))
            for files in (views, holes)
        )
        known = (shown[..., 3] > 0) & (hole[..., 0] == 0)
        assert known.mean() > 1 - most_empty
        assert np.abs(shown[..., :3] - view.astype(int)).mean(axis=-1)[known].mean() < 4
        assert desk(f"probe.editor().coverage[{frame}]") == pytest.approx(1 - hole[..., 0].mean() / 255, abs=0.1)
    desk.pointer.press("z", "ctrl")
    desk.pointer.press("z", "ctrl")
    desk.settle()
    assert json.loads(desk("probe.text()")) == json.loads(drawn[1]) and drawn[0] == ""
    desk("window.gone = [probe.editor().painter.picture.gl, probe.editor()], app.graph.remove(probe.node())")
    desk.settle()
    assert desk("[gone[0].isContextLost(), gone[1].painter.picture]") == [True, None]


def test_a_track_under_the_pointer_is_found_in_both_views_of_the_preview(desk):
    desk("probe.run()")
    desk("window.pairs = app.graph._nodes.find(n => n.type === 'Track2View_PreviewRecamera').track2viewPairs, 0")
    desk.page.wait_for("pairs.video.videoWidth > 0 && pairs.size !== null", 30)
    desk("pairs.video.pause()")
    found = desk("""(async () => {
      const { target } = (await probe.module("pair_view/picture_layout")).viewsOf(pairs.size);
      return [pairs.video.videoWidth, target.x + target.width];
    })()""")
    assert found[0] == found[1]
    tracks = desk("""(async () => {
      const tracks = new Set();
      pairs.video.currentTime = 0;
      await probe.settle();
      for (let x = 0.05; x < 0.5; x += 0.02) {
        const [px, py] = probe.place(pairs.stage, x * pairs.stage.clientWidth, 0.3 * pairs.stage.clientHeight);
        pairs.stage.dispatchEvent(new PointerEvent("pointermove", { clientX: px, clientY: py, bubbles: true }));
        const track = pairs.draw();
        if (track !== null) tracks.add(pairs.words.textContent);
      }
      return [...tracks];
    })()""")
    assert len(tracks) > 1 and all(words.startswith("Track ") for words in tracks)


def test_both_renderers_show_the_same_points(desk):
    desk("probe.run()")
    lit = desk("""(async () => {
      const { createPointsRenderer } = await probe.module("editor/points_renderer");
      const { Scene } = await probe.module("editor/scene");
      const editor = probe.editor(), scene = new Scene(editor.store.points), shown = {};
      const lens = editor.cameraLens();
      for (const kind of ["webgl2", "2d"]) {
        const canvas = Object.assign(document.createElement("canvas"), { width: lens.width, height: lens.height });
        const renderer = createPointsRenderer(canvas, kind);
        renderer.setColours(scene.colours);
        renderer.setPositions(scene.positions, scene.seen);
        renderer.draw([{ lens, left: 0, top: 0, size: 0.02 * editor.store.clip.sceneScale, smallest: 3 }], 1);
        const copy = new OffscreenCanvas(lens.width, lens.height).getContext("2d");
        copy.drawImage(canvas, 0, 0);
        const pixels = copy.getImageData(0, 0, lens.width, lens.height).data;
        shown[renderer.kind] = Array.from({ length: pixels.length / 4 }, (_, at) => (pixels[4 * at + 3] > 0 ? 1 : 0));
        renderer.dispose();
      }
      const both = shown.webgl2.filter((value, at) => value && shown["2d"][at]).length;
      return [shown.webgl2, shown["2d"]].map((all) => all.reduce((a, b) => a + b, 0)).concat(both);
    })()""")
    webgl, plain, both = lit
    assert webgl > 500 and both > 0.8 * max(webgl, plain)


def test_the_path_is_found_again_after_the_page_was_reloaded(desk, nodes):
    drawn = desk.choose("crane_up")
    desk("probe.editor().turnView(20, 0)")
    desk.click("probe.time(40)")
    desk.pointer.click(*EMPTY)
    kept = "Object.values({...localStorage, ...sessionStorage}).some(text => /frame\\W+40\\b/.test(text))"
    desk.page.wait_for(kept, 20)
    view = desk("JSON.stringify(probe.editor().view)")
    desk("app.extensionManager.setting.set('Comfy.Window.UnloadConfirmation', false)")  # its question would wait
    desk.page.call("Page.reload")
    time.sleep(1)
    ready(desk.page)
    desk.page.wait_for("probe.editors().length === 1 && probe.text() !== ''", 30)
    assert desk("probe.document()") == drawn
    assert desk("JSON.stringify(probe.editor().view)") == view
    assert desk("probe.editor().store.document.keys.length") == len(drawn["keys"])
