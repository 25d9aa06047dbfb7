"""Procedural scenes with exact geometry: the renderer behind training data, benchmarks, tests and the demo."""

from .camera_moves import HELD_OUT_MOVES, TRAIN_MOVES, ScenePaths, random_paths
from .ray_casting import View, render
from .rendered_clips import (
    DEMOS,
    DemoClip,
    RenderedClip,
    ShippedClip,
    demo_clip,
    furnished_clip,
    rendered_clip,
    shipped_clip,
)
from .scene import Scene, random_scenes
from .surface_points import exact_tracks, follow_points, source_camera, visible_points

__all__ = [
    "DEMOS",
    "HELD_OUT_MOVES",
    "TRAIN_MOVES",
    "DemoClip",
    "RenderedClip",
    "Scene",
    "ScenePaths",
    "ShippedClip",
    "View",
    "demo_clip",
    "exact_tracks",
    "follow_points",
    "furnished_clip",
    "random_paths",
    "random_scenes",
    "render",
    "rendered_clip",
    "shipped_clip",
    "source_camera",
    "visible_points",
]
