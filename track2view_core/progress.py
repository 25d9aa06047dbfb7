"""How long work reports itself, everywhere in the core."""

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called with (done, total, stage); what it raises stops the work, and nothing half-written stays behind."""
