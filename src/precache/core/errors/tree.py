"""The branches of the tree of errors; each branch has a file for its errors."""

from __future__ import annotations

from typing import ClassVar, Self

from precache.core.stopping import StopReason


class PrecacheError(Exception):
    """The root; only its subclasses are raised.

    message: what is wrong. advice: what an operator can do about it. The text of the error is both, with a semicolon
    between them. usual_advice: the advice if none is given; it is not part of the text. may_pass: whether the same
    work may succeed a few minutes later, without a correction.
    """

    usual_advice: ClassVar[str] = "correct what is named here, then run this again"
    may_pass: ClassVar[bool] = False

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(f"{message}; {advice}" if advice else message)
        self.message, self.advice = message, advice or self.usual_advice

    def with_sentence(self, sentence: str) -> Self:
        """Return this error with another sentence at the end of its text."""
        self.message = f"{self.message.rstrip('.')}. {sentence}"
        self.args = (f"{str(self).rstrip('.')}. {sentence}",)
        return self


class NotFound(PrecacheError):
    """Something that was named does not exist."""


class Conflict(PrecacheError):
    """The present state forbids the operation."""


class Refused(PrecacheError):
    """The request or the image is not acceptable; a retry does not help."""


class Unavailable(PrecacheError):
    """A part is down, slow or failing; a retry may help."""

    usual_advice = "check that it runs and can be reached from this host, then run this again"
    may_pass = True


class Corrupt(PrecacheError):
    """The received data is wrong; discard it and fetch it again."""


class Stopped(PrecacheError):
    """The work was stopped before its end.

    keeps_data: whether what was received stays on the host, for the next attempt; else nothing partial is left.
    """

    may_pass = True

    def __init__(self, what: str, reason: StopReason = StopReason.SHUTDOWN, keeps_data: bool = False) -> None:
        why = "" if reason is StopReason.SHUTDOWN else f" ({reason})"
        super().__init__(f"{what} was stopped before it ended{why}")
        self.reason, self.keeps_data = reason, keeps_data


class InvariantBroken(PrecacheError):
    """A bug: an impossible state."""

    usual_advice = "this is a bug; report it with what `precache --debug doctor` shows"


def message_and_advice(sentence: str) -> tuple[str, str]:
    """Return message and advice of a text in which a semicolon separates them; the advice may be empty."""
    message, _, advice = sentence.partition("; ")
    return message, advice
