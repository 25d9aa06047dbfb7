"""What the pack hands to ComfyUI: its node classes, and the shipped weights in the model folders."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import (
    camera_exchange_nodes,
    clip_nodes,
    conditioning_nodes,
    loading_nodes,
    neoverse_nodes,
    other_models_nodes,
    recammaster_nodes,
    report_nodes,
    sampling_nodes,
    tracking_nodes,
    trajectory_nodes,
)
from .bridge.folders import register_model_folders

NODES: tuple[type[io.ComfyNode], ...] = (
    *clip_nodes.NODES,
    *tracking_nodes.NODES,
    *trajectory_nodes.NODES,
    *camera_exchange_nodes.NODES,
    *conditioning_nodes.NODES,
    *loading_nodes.NODES,
    *sampling_nodes.NODES,
    *other_models_nodes.NODES,
    *recammaster_nodes.NODES,
    *neoverse_nodes.NODES,
    *report_nodes.NODES,
)


class Track2ViewExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        register_model_folders()  # not in on_load, which older cores never call; schemas list the files
        return list(NODES)
