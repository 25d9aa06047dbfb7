"""Load the pack as ComfyUI does, in a process of its own, and print what it imported and its schemas as JSON.

`inspect_pack.py COMFYUI PACKAGES PACK`
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys

comfyui, packages, pack = sys.argv[1:]
sys.argv = ["main.py", "--cpu"]
sys.path[:] = [comfyui, *sys.path[1:], packages]

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import comfy.utils  # noqa: E402  (what core itself brings, safetensors among it, costs the pack nothing)
import comfy_api.latest  # noqa: E402, F401
import folder_paths  # noqa: E402, F401
import torch  # noqa: E402, F401

before = set(sys.modules)
spec = importlib.util.spec_from_file_location(
    "/custom_nodes/track2view", f"{pack}/__init__.py", submodule_search_locations=[pack]
)
module = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = module
spec.loader.exec_module(module)
nodes = asyncio.run(asyncio.run(module.comfy_entrypoint()).get_node_list())
schemas = {}
for node in nodes:
    schema = node.GET_SCHEMA()
    schemas[schema.node_id] = {
        "inputs": [(entry.id, bool(entry.optional)) for entry in schema.inputs],
        "outputs": [entry.id for entry in schema.outputs],
    }
json.dump({"imported": sorted(set(sys.modules) - before), "schemas": schemas}, sys.stdout)
