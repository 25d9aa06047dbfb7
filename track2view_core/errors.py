"""The one error type of the core."""


class Track2ViewError(ValueError):
    """Something the user can mend: one sentence that says what came, what is allowed, and what to change."""

    # ComfyUI shows the type by its module, and knows this one by the folder that the pack lies in.
    __module__ = "track2view_core.errors"
