"""Errors of a request that the API itself finds.

Most texts are those of Nova for the same error, because clients show or compare them.
"""

from __future__ import annotations

from collections.abc import Sequence

from precache.core.errors import Conflict, NotFound, Refused, Unavailable
from precache.core.targets import Target
from precache.core.text import first_names, quoted, shortened

MOST_SHOWN = 20
"""Names that a message lists; of the others it says the number."""


class NotAuthenticated(Refused):
    """The caller is not authenticated."""

    def __init__(self) -> None:
        super().__init__("The request you have made requires authentication.")


class TokenExposed(NotAuthenticated):
    """The token came unencrypted over a network. It is not looked up, because others may have read it."""

    def __init__(self) -> None:
        Refused.__init__(
            self,
            "The token came unencrypted and is not accepted; use https, and replace the token, because others may have "
            "read it.",
        )


class NotAllowed(Refused):
    """The policy does not let this caller do it."""

    def __init__(self, rule: str) -> None:
        super().__init__(f"Policy doesn't allow {rule} to be performed.")


class NoSuchPath(NotFound):
    """There is nothing at this address, or not in this microversion."""

    def __init__(self) -> None:
        super().__init__("The resource could not be found.")


class WrongMethod(Refused):
    """The address exists, but does not take this method."""

    def __init__(self, method: str, allowed: str) -> None:
        super().__init__(f"{method} is not possible here; this address takes {allowed}.")


class MalformedHeader(Refused):
    """A header of the request cannot be read."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Malformed request header: {reason}")


class MalformedVersion(Refused):
    """The microversion is not of the form X.Y."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"API Version String {shortened(text)} is of invalid format. Must be of format MajorNum.MinorNum."
        )


class VersionOutOfRange(Refused):
    """No such microversion here."""

    def __init__(self, asked: str, lowest: str, highest: str) -> None:
        super().__init__(f"Version {asked} is not supported by the API. Minimum is {lowest} and maximum is {highest}.")


class WrongContentType(Refused):
    """The content type is not JSON."""

    def __init__(self) -> None:
        super().__init__("Unsupported Content-Type")


class BodyTooLarge(Refused):
    """The body is larger than the limit."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"Request is too large. Larger than max_request_body_size ({max_bytes} bytes).")


class MalformedBody(Refused):
    """The body is not JSON, or not text that can be stored. reason: follows the message; empty for Nova's text."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(f"Malformed request body{f': {reason}' if reason else ''}")


class BodyBrokenOff(Refused):
    """The client stopped sending, or disconnected, before its body was complete."""

    def __init__(self) -> None:
        super().__init__("The body of the request did not arrive as a whole")


class NoSuchAction(Refused):
    """The only key of the body is not an action."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no such action: {shortened(name)}")


class WrongProject(Refused):
    """The project in the address is not the caller's."""

    def __init__(self, in_path: str, of_caller: str) -> None:
        super().__init__(
            f"Malformed request URL: URL's project_id '{in_path}' doesn't match Context's project_id '{of_caller}'"
        )


class InvalidRequest(Refused):
    """The body or the query breaks its schema; the message says where."""


class IdNotInteger(Refused):
    """An aggregate's id must be a number."""

    def __init__(self) -> None:
        super().__init__("Invalid input received: id must be an integer")


class DuplicateImages(Refused):
    """One request names an image twice."""

    def __init__(self) -> None:
        super().__init__("Duplicate images in request")


class CannotRemoveHost(NotFound):
    """The aggregate, the host, or the host in the aggregate is missing."""

    def __init__(self, host: str, aggregate: int) -> None:
        super().__init__(f"Cannot remove host {host} in aggregate {aggregate}")


class AggregateNotEmpty(Refused):
    """An aggregate with hosts cannot be deleted. The wording is Nova's."""

    def __init__(self, aggregate: int) -> None:
        super().__init__(f"Cannot remove host from aggregate {aggregate}. Reason: Host aggregate is not empty.")


class EmptyZone(Refused):
    """An availability zone must have a name."""

    def __init__(self, doing: str, aggregate: int, name: str) -> None:
        super().__init__(
            f"Cannot {doing} aggregate {aggregate}. Reason: "
            f"Aggregate {name} does not support empty named availability zone."
        )


class ZoneOfHostsDiffers(Refused):
    """A host is in one availability zone only, and some have one already."""

    def __init__(self, doing: str, aggregate: int, zones: list[str]) -> None:
        super().__init__(
            f"Cannot {doing} aggregate {aggregate}. Reason: One or more hosts already in availability zone(s) {zones}."
        )


class ZoneOfHostDiffers(Conflict):
    """The host to be added is in another availability zone."""

    def __init__(self, aggregate: int, zones: list[str]) -> None:
        super().__init__(
            f"Cannot add host to aggregate {aggregate}. Reason: "
            f"One or more hosts already in availability zone(s) {zones}."
        )


def listed_names(kind: str, names: Sequence[str]) -> str:
    """Return the first MOST_SHOWN names after their kind, and the number of the others.

    A name with a blank at an end is quoted, because it would look like the right one.
    """
    shown = [name if name == name.strip() else quoted(name) for name in names]
    return f"{kind}{'' if len(names) == 1 else 's'} {first_names(shown, MOST_SHOWN)}"


class ListsNames:
    """Of a refusal whose answer lists names. names: the first MOST_SHOWN of them. more: the number of the others."""

    names: tuple[str, ...]
    more: int

    def list_names(self, names: Sequence[str]) -> None:
        self.names, self.more = tuple(names[:MOST_SHOWN]), max(len(names) - MOST_SHOWN, 0)


class UnknownAggregates(Refused, ListsNames):
    """No aggregates have these ids, UUIDs or names."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"{listed_names('Aggregate', names)} could not be found.")
        self.list_names(names)


class UnknownCells(Refused, ListsNames):
    """No host belongs to these cells."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"{listed_names('Cell', names)} could not be found, or no host belongs to it.")
        self.list_names(names)


class UnknownHosts(Refused, ListsNames):
    """No compute hosts have these names. near: similar names of hosts."""

    def __init__(self, names: Sequence[str], near: Sequence[str] = ()) -> None:
        hint = f" There is {', '.join(near)}." if near else ""
        super().__init__(f"{listed_names('Compute host', names)} could not be found.{hint}")
        self.list_names(names)


class UnknownImages(Refused, ListsNames):
    """The image service shows the caller no images with these ids or names."""

    def __init__(self, names: Sequence[str], *, may_be_gone: bool = False) -> None:
        """may_be_gone: whether the request may name images that the image service does not have."""
        reported = f", and no host has reported {'it' if len(names) == 1 else 'them'}" if may_be_gone else ""
        message = f"{listed_names('Image', names)} could not be found{reported}."
        super().__init__(f"{message} Hidden images are found by id only.")
        self.list_names(names)


class AmbiguousImage(Refused, ListsNames):
    """Several images have this name. names: their ids."""

    def __init__(self, name: str, ids: Sequence[str]) -> None:
        super().__init__(f"{len(ids)} images have the name {name}; give the id of one: {', '.join(ids)}")
        self.list_names(ids)


class EntryWithoutImage(Refused):
    """A job cannot be about this entry: no host knows which image it is of, and hosts are given ids of images."""

    def __init__(self, entry: str) -> None:
        super().__init__(
            f"No host knows the image of entry {entry}, so a job cannot name it; `precache image where {entry}` lists "
            "its hosts, and `precache host clean HOST --all` removes it there, with all other unused images."
        )


class TooManyImageNames(Refused):
    """More images by name than are looked up for one request."""

    def __init__(self, names: int, most: int) -> None:
        super().__init__(f"The request gives {names} images by name; give at most {most} by name, the others by id.")


class EmptyTarget(Refused):
    """The target of a job has no host. named: number of hosts before the exclusion."""

    def __init__(self, target: Target, named: int) -> None:
        if named:
            message = f"The target has no host left; its exclude_hosts name all {named}."
        elif target.aggregates:
            message = f"The target has no host; there is none in {listed_names('aggregate', target.aggregates)}."
        else:
            message = "The target names no host; give at least one of aggregates, cells and hosts."
        super().__init__(message)


class TooManyReaders(Unavailable):
    """As many clients follow jobs as this process serves at once."""

    def __init__(self, readers: int) -> None:
        super().__init__(
            f"{readers} clients follow jobs already, the most that this process serves at once",
            "try again later, or read GET /v1/jobs/{id} again and again",
        )


class EventsNotServed(Unavailable):
    """The WSGI server has one thread, which a stream of events would occupy."""

    def __init__(self) -> None:
        super().__init__(
            "This server answers one request at a time, so that it cannot send the events of a job",
            "read GET /v1/jobs/{id} again and again, or give the WSGI server threads",
        )
