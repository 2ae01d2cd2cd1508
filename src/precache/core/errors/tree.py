"""The branches of the tree of errors; the leaves are in the file of their branch."""

from __future__ import annotations

from typing import ClassVar

from precache.core.stopping import StopReason


class PrecacheError(Exception):
    """The root; raised only through its children.

    message: what is wrong. advice: what an operator can do about it. The text of the error is both, with a semicolon
    between them. usual_advice: of an error that is raised without one; it is not in the text.
    """

    usual_advice: ClassVar[str] = "correct what is named here, then run this again"

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(f"{message}; {advice}" if advice else message)
        self.message, self.advice = message, advice or self.usual_advice


class NotFound(PrecacheError):
    """Something that was named does not exist."""


class Conflict(PrecacheError):
    """The present state forbids the operation."""


class Refused(PrecacheError):
    """The request, or the image, is not acceptable as it is; trying again will not help."""


class Unavailable(PrecacheError):
    """A part is down, slow or failing; worth a retry."""

    usual_advice = "see that it is there and can be reached from here, then run this again"


class Corrupt(PrecacheError):
    """What arrived is not what was promised; discard it and fetch it again."""


class Stopped(PrecacheError):
    """The work was stopped before its end; nothing partial is left behind."""

    def __init__(self, what: str, reason: StopReason = StopReason.SHUTDOWN) -> None:
        why = "" if reason is StopReason.SHUTDOWN else f" ({reason})"
        super().__init__(f"{what} was stopped before it ended{why}")
        self.reason = reason


class InvariantBroken(PrecacheError):
    """A bug: a state that must not exist."""

    usual_advice = "this is a bug; report it with what `precache --debug doctor` shows"


def message_and_advice(sentence: str) -> tuple[str, str]:
    """Return the two parts of a sentence of this project, which a semicolon separates; the second may be empty."""
    message, _, advice = sentence.partition("; ")
    return message, advice
