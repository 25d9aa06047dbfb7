"""The workflow on Uni3C, which a core before 0.29 has no node for: all else of it validates there."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def prompt(workflow, driver, object_info):
    return driver.graph.to_prompt(workflow("06"), {**driver.later_core.NODES, **object_info})


def test_nothing_is_missing_but_the_newer_cores_node(server, driver, prompt, object_info):
    missing = {node["class_type"] for node in prompt.values()} - object_info.keys()
    assert missing <= {driver.later_core.UNI3C}
    error = server.refusal(prompt)["error"]
    assert (driver.later_core.UNI3C in error["message"]) == bool(missing), error


def test_without_that_node_it_lacks_its_files_alone(server, driver, prompt):
    own = driver.graph.node_id(prompt, driver.later_core.UNI3C)
    model = prompt[own]["inputs"]["model"]
    rest = {
        name: {**node, "inputs": {key: model if value == [own, 0] else value for key, value in node["inputs"].items()}}
        for name, node in prompt.items()
        if name != own
    }
    files = [value for node in rest.values() if node["class_type"] != "ModelPatchLoader"  # it led to that node alone
             for value in node["inputs"].values() if str(value).endswith(("tensors", ".mp4"))]  # fmt: skip
    told = [error["details"] for node in server.refusal(rest)["node_errors"].values() for error in node["errors"]]
    assert len(told) == len(files) > 4 and all(any(file in error for error in told) for file in files), told


def test_every_file_has_its_download_link(workflow):
    nodes = workflow("06")["nodes"]
    links = {link["name"]: link["url"] for node in nodes for link in node["properties"].get("models", [])}
    chosen = {value for node in nodes for value in node["widgets_values"] if str(value).endswith("tensors")}
    assert chosen == links.keys()
    assert all(url.startswith("https://huggingface.co/") and url.endswith("/" + name) for name, url in links.items())


def test_the_patch_and_the_start_are_of_one_render_with_grey_holes(prompt, driver):
    def source(kind: str, name: str) -> str:
        return driver.graph.source_of(prompt, kind, name)

    render = driver.graph.node_id(prompt, "Track2View_RenderTargetView")
    assert source(driver.later_core.UNI3C, "render_video") == source("ImageFromBatch", "image") == render
    assert source("WanImageToVideo", "start_image") == source("CLIPVisionEncode", "image")
    assert prompt[render]["inputs"]["hole_colour"] == "grey"
