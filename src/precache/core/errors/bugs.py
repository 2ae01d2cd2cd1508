"""Bugs of ours."""

from precache.core.errors.tree import InvariantBroken


class IllegalTransition(InvariantBroken):
    """The transition table does not allow this change of state."""

    def __init__(self, what: str, old: str, new: str) -> None:
        super().__init__(f"{what} cannot go from {old} to {new}")
