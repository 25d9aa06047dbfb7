"""Nodes that workflows use of a newer core than the one that the tests run, as its /object_info tells of them."""

from __future__ import annotations

from typing import Any


def _share(default: float) -> list[Any]:
    return ["FLOAT", {"default": default, "min": 0.0, "max": 1.0, "step": 0.001}]


UNI3C = "WanUni3CControlnetApply"
NODES: dict[str, dict[str, Any]] = {
    UNI3C: {  # since 0.29.0
        "input": {
            "required": {
                "model": ["MODEL"],
                "model_patch": ["MODEL_PATCH"],
                "vae": ["VAE"],
                "render_video": ["IMAGE"],
                "strength": ["FLOAT", {"default": 1.0, "min": -10.0, "max": 10.0, "step": 0.01}],
                "start_percent": _share(0.0),
                "end_percent": _share(1.0),
            }
        },
        "input_order": {
            "required": ["model", "model_patch", "vae", "render_video", "strength", "start_percent", "end_percent"]
        },
        "output": ["MODEL"],
        "output_is_list": [False],
        "output_name": ["MODEL"],
        "output_node": False,
        "name": UNI3C,
        "display_name": "Apply Wan Uni3C ControlNet",
        "description": "",
        "category": "model/patch/wan",
        "python_module": "comfy_extras.nodes_model_patch",
    }
}
