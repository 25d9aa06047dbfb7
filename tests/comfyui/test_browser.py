"""The workflows in ComfyUI's own editor: they open with nothing missing and queue the graphs that the server runs."""

import json
from pathlib import Path

import pytest

RENDERERS = ("litegraph", "vue")
SCREEN = {"width": 1920, "height": 1080}
OLDER = sorted((Path(__file__).parent / "graphs/version_0.1.0").glob("*.json"))
SIDEBAR, MENU = 60, 110  # px of the page, left and above
NUMBERS = sorted(file.name[:2] for file in (Path(__file__).resolve().parents[2] / "workflows").glob("*.json"))


@pytest.fixture(scope="module")
def page(driver, server, tmp_path_factory, object_info):
    if driver.browser.find_chromium() is None:
        pytest.skip("no chromium on this machine; .ci/run installs it")
    with driver.browser.open_page(server.url, tmp_path_factory.mktemp("browser") / "profile") as opened:
        opened.call("Emulation.setDeviceMetricsOverride", **SCREEN, deviceScaleFactor=1, mobile=False)
        opened.wait_for("!!(window.app && window.app.graph && window.app.vueAppReady)")
        opened.wait_for("Object.keys(LiteGraph.registered_node_types).some(name => name.startsWith('Track2View_'))")
        for name, definition in driver.later_core.NODES.items():
            if name not in object_info:
                opened.evaluate(f"app.registerNodeDef({json.dumps(name)}, {json.dumps(definition)})")
        yield opened


@pytest.fixture(scope="module", params=[(name, renderer) for renderer in RENDERERS for name in NUMBERS], ids="-".join)
def opened(page, request, workflow, driver):
    """(the page, the saved workflow) in either renderer, fetched as the template browser fetches it."""
    name, renderer = request.param
    vue = "true" if renderer == "vue" else "false"
    page.evaluate(f"app.extensionManager.setting.set('Comfy.VueNodes.Enabled', {vue})")
    page.evaluate("app.graph.clear()")
    template = f"/api/workflow_templates/track2view/{driver.graph.workflow_file(name).name}"
    page.evaluate(f"fetch({json.dumps(template)}).then(answer => answer.json()).then(json => app.loadGraphData(json))")
    saved = workflow(name)
    page.wait_for(f"app.graph._nodes.length === {len(saved['nodes'])}")
    return page, saved


def test_the_template_opens_without_missing_nodes(opened):
    page, saved = opened
    wanted = {node["type"] for node in saved["nodes"]}
    assert set(page.evaluate("app.graph._nodes.map(node => node.type)")) == wanted
    assert page.evaluate("app.graph._nodes.filter(node => node.has_errors).map(node => node.type)") == []


def test_the_editor_queues_the_same_graph_as_the_saved_file(opened, driver, object_info):
    page, saved = opened
    queued = json.loads(page.evaluate("app.graphToPrompt().then(graph => JSON.stringify(graph.output))"))
    plain = {name: {"class_type": node["class_type"], "inputs": node["inputs"]} for name, node in queued.items()}
    for node in plain.values():
        if node["class_type"] == "PreviewAny":
            node["inputs"].pop("preview")  # a widget that only the editor adds
    assert plain == driver.graph.to_prompt(saved, {**driver.later_core.NODES, **object_info})


def test_it_opens_in_view_at_a_zoom_that_shows_text(opened):
    page, _ = opened
    view = json.loads(page.evaluate("JSON.stringify([app.canvas.ds.scale, ...app.canvas.ds.offset])"))
    scale, left, top = view
    assert scale >= 0.6  # below it frontends draw no text
    for kind, x, y, width, height in bounds(page):
        assert (x + left) * scale > SIDEBAR and (y + top) * scale > MENU, kind
        assert (x + width + left) * scale < SCREEN["width"] and (y + height + top) * scale < SCREEN["height"], kind


def test_links_run_to_the_right_or_down(opened):
    _, saved = opened
    nodes = {node["id"]: node for node in saved["nodes"]}
    for _, source, _, target, _, _ in saved["links"]:
        (x, y), (right, below) = nodes[source]["pos"], nodes[target]["pos"]
        beside = right >= x + nodes[source]["size"][0]
        assert beside or (right >= x and below > y), (nodes[source]["type"], nodes[target]["type"])


def test_saving_it_again_keeps_every_widget_value_and_what_is_bypassed(opened):
    page, saved = opened
    again = json.loads(page.evaluate("JSON.stringify(app.graph.serialize().nodes)"))
    told = {node["id"]: (node.get("mode", 0), node.get("widgets_values") or []) for node in again}
    assert told == {node["id"]: (node.get("mode", 0), node["widgets_values"]) for node in saved["nodes"]}


def test_no_node_lies_on_another_before_a_run_or_after_it(opened):
    page, _ = opened
    assert overlaps(page) == []
    reporting = page.evaluate("""(async () => {
      const reporting = app.graph._nodes.filter((node) => node.outputs?.some(({ name }) => name === "report"));
      const headline = "A headline that is longer than the node is wide, so that it has to be broken. ".repeat(2);
      for (const node of reporting) {
        app.api.dispatchCustomEvent("progress_text", { nodeId: String(node.id), text: "a stage" });
        node.track2viewCard.show({ light: "amber", headline, table: "", lines: [] });
      }
      for (let count = 0; count < 8; count += 1) await new Promise(requestAnimationFrame);
      return reporting.length;
    })()""")
    assert reporting > 4 and overlaps(page) == []


def bounds(page) -> list[tuple[str, float, float, float, float]]:
    """Type, left, top, width and height of every node, with its title, in the graph's units."""
    return json.loads(page.evaluate("JSON.stringify(app.graph._nodes.map(node => [node.type, ...node.getBounding()]))"))


def overlaps(page) -> list[tuple[str, str]]:
    """The types of nodes of which one lies on the other."""
    nodes = bounds(page)
    return [
        (one, other)
        for first, (one, x, y, width, height) in enumerate(nodes)
        for other, left, top, wide, high in nodes[:first]
        if x < left + wide and left < x + width and y < top + high and top < y + height
    ]


def test_the_page_raised_no_error(opened, tmp_path):
    page, _ = opened
    page.screenshot(tmp_path / "editor.png")
    assert (tmp_path / "editor.png").stat().st_size > 20_000
    assert [error for error in page.errors if "track2view" in error.lower()] == []


@pytest.mark.parametrize("file", OLDER, ids=lambda file: file.stem)
def test_what_version_0_1_0_saved_queues_as_it_did(page, driver, object_info, file):
    saved = json.loads(file.read_text(encoding="utf-8"))
    page.evaluate(f"app.loadGraphData({json.dumps(saved)})")
    page.wait_for(f"app.graph._nodes.length === {len(saved['nodes'])}")
    assert page.evaluate("app.graph._nodes.every(node => node.type in LiteGraph.registered_node_types)")
    queued = json.loads(page.evaluate("app.graphToPrompt().then(graph => JSON.stringify(graph.output))"))
    expected = driver.graph.to_prompt(saved, object_info)
    expected = driver.graph.changed(expected, "Track2View_CameraPreset", subject="median")  # all there was then
    for name, node in expected.items():
        told = queued[name]["inputs"]
        assert {key: told.get(key) for key in node["inputs"]} == node["inputs"], node["class_type"]
