"""Operations on a camera path, each a function that is registered by name: one kind a file."""

from . import composing, following, retiming, shaping  # noqa: F401 (their functions register themselves)
from .operation import OPERATIONS, Operation, Parameter, edit_path, operations_table

__all__ = ["OPERATIONS", "Operation", "Parameter", "edit_path", "operations_table"]
