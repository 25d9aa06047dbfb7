"""Workflow 01 in ComfyUI's own editor: it opens with nothing missing and queues the graph that the server runs."""

import json

import pytest


@pytest.fixture(scope="module")
def page(driver, server, tmp_path_factory):
    if driver.browser.find_chromium() is None:
        pytest.skip("no chromium on this machine; .ci/run installs it")
    with driver.browser.open_page(server.url, tmp_path_factory.mktemp("browser") / "profile") as opened:
        opened.wait_for("!!(window.app && window.app.graph && window.app.vueAppReady)")
        opened.wait_for("Object.keys(LiteGraph.registered_node_types).some(name => name.startsWith('Track2View_'))")
        yield opened


@pytest.fixture(scope="module", params=["litegraph", "vue"])
def loaded(page, request, workflow_file):
    """The template in either renderer, fetched as the template browser fetches it."""
    vue = "true" if request.param == "vue" else "false"
    page.evaluate(f"app.extensionManager.setting.set('Comfy.VueNodes.Enabled', {vue})")
    template = f"/api/workflow_templates/track2view/{workflow_file.stem}.json"
    page.evaluate(f"fetch('{template}').then(answer => answer.json()).then(json => app.loadGraphData(json))")
    page.wait_for("app.graph._nodes.length > 0")
    return page


def test_the_template_opens_without_missing_nodes(loaded, workflow_file):
    wanted = {node["type"] for node in json.loads(workflow_file.read_text(encoding="utf-8"))["nodes"]}
    assert set(loaded.evaluate("app.graph._nodes.map(node => node.type)")) == wanted
    assert loaded.evaluate("app.graph._nodes.filter(node => node.has_errors).map(node => node.type)") == []


def test_the_editor_queues_the_same_graph_as_the_saved_file(loaded, recamera):
    queued = json.loads(loaded.evaluate("app.graphToPrompt().then(graph => JSON.stringify(graph.output))"))
    plain = {name: {"class_type": node["class_type"], "inputs": node["inputs"]} for name, node in queued.items()}
    for node in plain.values():
        if node["class_type"] == "PreviewAny":
            node["inputs"].pop("preview")  # a widget that only the editor adds
    assert plain == recamera


def test_saving_it_again_keeps_every_widget_value(loaded, workflow_file):
    saved = {
        node["id"]: node["widgets_values"] for node in json.loads(workflow_file.read_text(encoding="utf-8"))["nodes"]
    }
    again = json.loads(loaded.evaluate("JSON.stringify(app.graph.serialize().nodes)"))
    assert {node["id"]: node.get("widgets_values") or [] for node in again} == saved


def test_the_page_raised_no_error(loaded, tmp_path):
    loaded.screenshot(tmp_path / "editor.png")
    assert (tmp_path / "editor.png").stat().st_size > 20_000
    assert [error for error in loaded.errors if "track2view" in error.lower()] == []
