"""The one error type of the core."""


class Track2ViewError(ValueError):
    """Something the user can mend: one sentence that says what came, what is allowed, and what to change."""
