"""Training: one loop for every objective, batches that depend on the step alone, checkpoints that are whole."""

from .batches import BatchDraw, BatchSource, CameraBatch, PairBatch, PairShare, PairSource, draw_batch
from .loop import Objective, Stopped, Validate, train
from .objectives import BaseObjective, ConditionerObjective, FlowSettings
from .settings import OptimiserSettings, TrainSettings
from .tracker_errors import TrackerErrors

__all__ = [
    "BaseObjective",
    "BatchDraw",
    "BatchSource",
    "CameraBatch",
    "ConditionerObjective",
    "FlowSettings",
    "Objective",
    "OptimiserSettings",
    "PairBatch",
    "PairShare",
    "PairSource",
    "Stopped",
    "TrackerErrors",
    "TrainSettings",
    "Validate",
    "draw_batch",
    "train",
]
