"""What the nodes' own widgets do in a real browser: fields of the chosen operation, uploads, errors, search."""

from __future__ import annotations

import json
import time

import pytest

EDIT, IMPORT = "Track2View_EditPath", "Track2View_ImportCamera"
TUM = "0 0 0 0 0 0 0 1\n1 0 0 1 0 0 0 1\n2 0 0 2 0 0 0 1\n"
OLD_GRAPH = {
    "nodes": [
        {"id": 1, "type": EDIT, "pos": [300, 200], "size": [300, 200], "flags": {}, "order": 0, "mode": 0, "inputs": [],
         "outputs": [], "properties": {}, "widgets_values": ["orbit", 1.0, "linear", 7, "degrees=45"]}
    ],
    "links": [], "groups": [], "config": {}, "extra": {}, "version": 0.4, "last_node_id": 1, "last_link_id": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def page(nodes, browser):
    browser.evaluate("app.graph.clear(), app.canvas.ds.scale = 1, app.canvas.ds.offset = [0, 0]")
    return browser


def add(page, kind: str) -> None:
    page.evaluate(f"app.graph.clear(), window.made = LiteGraph.createNode('{kind}'), made.pos = [300, 200]")
    page.evaluate("app.graph.add(made), app.canvas.setDirty(true, true)")
    settle(page)


def settle(page) -> None:
    page.evaluate("(async () => { for (let n = 0; n < 8; n += 1) await new Promise(requestAnimationFrame); })()")
    time.sleep(0.2)


def shown(page) -> list[str]:
    return page.evaluate("made.widgets.filter(w => !w.hidden && !w.element).map(w => w.name)")


def on_screen(page) -> list[str]:
    """Labels of the fields that Vue's nodes show; none of LiteGraph's, which are drawn."""
    return page.evaluate("[...document.querySelectorAll('.lg-node-widget')].map(row => row.textContent.trim())")


def choose(page, operation: str) -> None:
    script = f"w => (w.value = '{operation}', w.callback('{operation}'))"
    page.evaluate(f"({script})(made.widgets.find(w => w.name === 'operation'))")
    settle(page)


def test_only_the_fields_of_the_chosen_operation_are_there(page):
    add(page, EDIT)
    assert shown(page) == ["operation", "ease"]
    low = page.evaluate("made.size[1]")
    choose(page, "handheld")
    fields = ["amount", "seed", "handheld_degrees", "handheld_shift", "handheld_frequency"]
    assert shown(page) == ["operation", *fields] and page.evaluate("made.size[1]") > low
    rows = on_screen(page)
    assert not rows or (any("handheld_degrees" in row for row in rows) and not any("orbit" in row for row in rows))
    choose(page, "reverse")
    assert shown(page) == ["operation"]
    queued = page.evaluate("app.graphToPrompt().then(p => Object.keys(Object.values(p.output)[0].inputs))")
    assert {"operation", "settings", "orbit_degrees"} <= set(queued)  # a field out of sight keeps its value


def test_a_graph_of_an_older_version_keeps_its_settings_in_sight(page):
    page.evaluate(f"app.loadGraphData({json.dumps(OLD_GRAPH)}).then(() => {{ window.made = app.graph._nodes[0]; }})")
    page.wait_for("window.made?.type === 'Track2View_EditPath'", 20)
    settle(page)
    assert shown(page) == ["operation", "ease", "settings", "orbit_degrees", "orbit_rise"]
    values = page.evaluate("Object.fromEntries(made.widgets.map(w => [w.name, w.value]))")
    assert values["settings"] == "degrees=45" and values["seed"] == 7 and values["orbit_degrees"] == 30


def test_an_uploaded_file_is_chosen_and_several_make_a_folder(page):
    add(page, IMPORT)
    upload = "made.widgets.find(w => w.name === 'file').track2viewUpload"
    value = "made.widgets.find(w => w.name === 'file').value"
    page.evaluate(f"{upload}([new File([{json.dumps(TUM)}], 'walk.tum')])")
    assert page.evaluate(value) == "walk.tum"
    page.evaluate(f"{upload}([new File(['x'], 'images.txt'), new File(['y'], 'cameras.txt')])")
    folder = page.evaluate(value)
    assert folder.startswith("camera_") and "/" not in folder
    page.evaluate(f"{upload}([new File(['x'], 'notes.doc')])")
    assert page.evaluate(value) == folder
    page.wait_for("document.body.textContent.includes('holds nothing that this node reads')", 10)


def test_an_error_says_its_sentence_in_a_toast_and_on_the_card(page):
    poses = "Track2View_CameraFromPoses"
    prompt = {
        "1": {"class_type": poses, "inputs": {"width": 0, "height": 0, "field_of_view": 0, "fps": 0, "frames": 0}}
    }
    prompt["2"] = {"class_type": "Track2View_ExportCamera", "inputs": {"camera_path": ["1", 0]}}
    prompt["2"]["inputs"] |= {"filename_prefix": "none", "file_format": "track2view_camera"}
    page.evaluate(f"app.loadApiJson({json.dumps(prompt)}, 'failing.json')")
    page.wait_for(f"app.graph._nodes.some(node => node.type === '{poses}')", 20)
    page.evaluate("app.queuePrompt(0, 1)")
    card = f"app.graph._nodes.find(node => node.type === '{poses}').track2viewCard"
    page.wait_for(f"{card}.element.dataset.light === 'red'", 20)
    sentence = page.evaluate(f"{card}.headline.textContent")
    assert sentence.startswith("width and height are 0")
    toasts = "[...document.querySelectorAll('[role=alert], [data-sonner-toast], .p-toast-message')]"
    page.wait_for(f"{toasts}.some(toast => toast.textContent.includes('width and height are 0'))", 10)
    page.evaluate(f"{card}.at('')")


def test_people_find_nodes_by_their_own_words_and_see_plain_titles(page, frontend):
    _, server = frontend
    told = server.get("/object_info")
    wanted = {"orbit": "CameraPreset", "dolly": "CameraPreset", "VRAM": "MemoryPlan", "stabilise": "EditPath"}
    for word, node in {**wanted, "reproject": "RenderTargetView", "VACE": "RenderTargetView"}.items():
        info = told[f"Track2View_{node}"]
        at = info["display_name"].find(word)  # the search of older frontends looks no farther than some 30 letters
        assert 0 <= at < 30 or word in info.get("search_aliases", []), word
        add(page, f"Track2View_{node}")
        assert "|" not in page.evaluate("made.title") and page.evaluate("made.title").strip()
    assert [error for error in page.errors if "track2view" in error.lower()] == []
