"""What the pack hands to ComfyUI: its node classes, and the shipped weights in the model folders."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import (
    backends,
    camera_files,
    camera_sockets,
    clip,
    conditioning,
    loading,
    path_editor,
    path_operations,
    planning,
    sampling,
    spatial_tracker,
    tracking,
    tracks_2d,
    trajectory,
)
from .folders import register_model_folders

NODES: tuple[type[io.ComfyNode], ...] = (
    *clip.NODES,
    *tracking.NODES,
    *spatial_tracker.NODES,
    *tracks_2d.NODES,
    *trajectory.NODES,
    *path_editor.NODES,
    *path_operations.NODES,
    *camera_files.NODES,
    *camera_sockets.NODES,
    *conditioning.NODES,
    *loading.NODES,
    *sampling.NODES,
    *planning.NODES,
    *backends.NODES,
)


class Track2ViewExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        register_model_folders()  # not in on_load, which older cores never call; schemas list the files
        return list(NODES)
