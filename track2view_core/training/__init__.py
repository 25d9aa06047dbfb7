"""Training: one loop for every objective, batches that depend on the step alone, checkpoints that are whole."""

from .batches import BatchSource, CameraBatch, PairBatch, PairShare, PairSource, draw_batch
from .loop import Objective, Stopped, Validate, train
from .objectives import ConditionerObjective
from .settings import BatchDraw, FlowSettings, OptimiserSettings, TrackerErrors, TrainSettings

__all__ = [
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
