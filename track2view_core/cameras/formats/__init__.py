"""Camera paths of other programs: one exchange format a file. Each reader converts at its own boundary."""

from .exchange import read_path, write_path
from .path_format import PathFormat
from .registry import FORMATS

__all__ = ["FORMATS", "PathFormat", "read_path", "write_path"]
