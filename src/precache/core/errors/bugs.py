"""Bugs."""

from precache.core.errors.tree import InvariantBroken


class ThreadDied(InvariantBroken):
    """A thread that the process needs has ended."""

    def __init__(self, thread: str, reason: str) -> None:
        super().__init__(
            f"The thread {thread} ended by a bug ({reason}), and the process ends with it; the log has the traceback. "
            "Start the process again."
        )


class IllegalTransition(InvariantBroken):
    """The transition table does not allow this change of state."""

    def __init__(self, what: str, old: str, new: str) -> None:
        super().__init__(f"{what} cannot go from {old} to {new}")
