"""The branches of the tree of errors; the leaves are in the file of their branch."""


class PrecacheError(Exception):
    """The root; raised only through its children."""


class NotFound(PrecacheError):
    """Something that was named does not exist."""


class Conflict(PrecacheError):
    """The present state forbids the operation."""


class Refused(PrecacheError):
    """The request, or the image, is not acceptable as it is; trying again will not help."""


class Unavailable(PrecacheError):
    """A part that we need is away, slow or failing; worth a retry."""


class Corrupt(PrecacheError):
    """What arrived is not what was promised; discard it and fetch it again."""


class Stopped(PrecacheError):
    """Somebody asked us to stop; nothing partial is left behind."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} was stopped before it ended")


class InvariantBroken(PrecacheError):
    """A bug of ours: a state that must not exist."""
