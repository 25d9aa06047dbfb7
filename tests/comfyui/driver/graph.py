"""From a saved workflow (UI format) to the graph that /prompt takes (API format)."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

WORKFLOWS = Path(__file__).resolve().parents[3] / "workflows"
CONTROL_AFTER_GENERATE = ("fixed", "increment", "decrement", "randomize")
WIDGET_TYPES = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
OF_THE_EDITOR = ("Note", "MarkdownNote", "PrimitiveNode")  # the last one's value is that of the widget it leads to, too
MUTED, BYPASSED = 2, 4  # modes of nodes that do not run; a bypassed one hands on what comes in


def workflow_file(number: str) -> Path:
    """The template that its name begins with."""
    (file,) = WORKFLOWS.glob(f"{number} *.json")
    return file


def load_workflow(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))


def to_prompt(workflow: dict[str, Any], object_info: dict[str, Any]) -> dict[str, Any]:
    """The prompt of a workflow without subgraphs, as the editor would queue it."""
    prompt = {}
    for node in workflow["nodes"]:
        if node.get("mode", 0) in (MUTED, BYPASSED) or node["type"] in OF_THE_EDITOR:
            continue
        inputs = widget_values(node, object_info[node["type"]])
        for socket in node.get("inputs", []):
            source = link_source(workflow, socket.get("link"))
            if source is not None:
                inputs[socket["name"]] = source
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    return prompt


def link_source(workflow: dict[str, Any], link: int | None) -> list[Any] | None:
    """[node id, output] that a link comes from, through bypassed nodes: by the slot, else the first of the type."""
    if link is None:
        return None
    _, name, slot, _, _, kind = next(found for found in workflow["links"] if found[0] == link)
    node = next(found for found in workflow["nodes"] if found["id"] == name)
    if node.get("mode", 0) == MUTED or node["type"] in OF_THE_EDITOR:
        return None
    if node.get("mode", 0) != BYPASSED:
        return [str(name), slot]
    sockets = node["inputs"][slot : slot + 1] + node["inputs"]
    return link_source(workflow, next((socket["link"] for socket in sockets if socket["type"] == kind), None))


def switched_on(workflow: dict[str, Any], *types: str) -> dict[str, Any]:
    """A copy of the workflow in which the bypassed nodes of these types run."""
    other = copy.deepcopy(workflow)
    bypassed = [node for node in other["nodes"] if node["type"] in types and node.get("mode", 0) == BYPASSED]
    assert {node["type"] for node in bypassed} == set(types)
    for node in bypassed:
        node["mode"] = 0
    return other


def widget_values(node: dict[str, Any], info: dict[str, Any]) -> dict[str, Any]:
    """The saved widget values by name: they are a plain list, in the order of the schema's widgets."""
    saved = list(node.get("widgets_values", []))
    values = {}
    for name, spec in widgets(info).items():
        if not saved:  # saved before the schema grew: the browser leaves the new widgets at their defaults
            if "default" in spec:
                values[name] = spec["default"]
            continue
        values[name] = saved.pop(0)
        if spec.get("control_after_generate") and saved and saved[0] in CONTROL_AFTER_GENERATE:
            saved.pop(0)
        if spec.get("video_upload") and saved:
            saved.pop(0)  # the upload button
    assert not saved, f"{node['type']} has {len(saved)} widget values too many: {saved}"
    return values


def widgets(info: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Name -> options of the inputs that are widgets, in order."""
    found = {}
    for group in ("required", "optional"):
        for name in info["input_order"].get(group, []):
            kind, *options = info["input"][group][name]
            if isinstance(kind, list) or kind in WIDGET_TYPES:
                found[name] = options[0] if options else {}
    return found


def changed(prompt: dict[str, Any], class_type: str, **inputs: Any) -> dict[str, Any]:
    """A copy of the graph with other inputs at its nodes of `class_type`; None takes an input away."""
    other = copy.deepcopy(prompt)
    for node in other.values():
        if node["class_type"] == class_type:
            kept = {**node["inputs"], **inputs}
            node["inputs"] = {name: value for name, value in kept.items() if value is not None}
    return other


def node_id(prompt: dict[str, Any], class_type: str) -> str:
    (found,) = [name for name, node in prompt.items() if node["class_type"] == class_type]
    return found


def source_of(prompt: dict[str, Any], class_type: str, name: str) -> str:
    """The id of the node that the input `name` of the one node of `class_type` is linked to."""
    return prompt[node_id(prompt, class_type)]["inputs"][name][0]


def classes(prompt: dict[str, Any], ids: list[str]) -> list[str]:
    return [prompt[name]["class_type"] for name in ids]
