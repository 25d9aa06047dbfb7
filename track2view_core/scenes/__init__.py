"""Procedural scenes with exact geometry: the renderer behind training data, benchmarks, tests and the demo."""

from .demo import DemoClip, demo_clip
from .moves import HELD_OUT_MOVES, TRAIN_MOVES, ScenePaths, random_paths
from .rendering import View, render
from .scene import Scene, random_scenes
from .tracking import exact_tracks, follow_points, source_camera, visible_points

__all__ = [
    "HELD_OUT_MOVES",
    "TRAIN_MOVES",
    "DemoClip",
    "Scene",
    "ScenePaths",
    "View",
    "demo_clip",
    "exact_tracks",
    "follow_points",
    "random_paths",
    "random_scenes",
    "render",
    "source_camera",
    "visible_points",
]
