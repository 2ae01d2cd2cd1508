"""An object that was named does not exist."""

from collections.abc import Sequence

from precache.core.errors.tree import NotFound
from precache.core.text import quoted


class AggregateNotFound(NotFound):
    """No aggregate has this id or name."""

    def __init__(self, aggregate: int | str) -> None:
        super().__init__(f"Aggregate {aggregate} could not be found.")


class AggregateHostNotFound(NotFound):
    """The aggregate does not hold this host."""

    def __init__(self, aggregate: int, host: str) -> None:
        super().__init__(f"Aggregate {aggregate} has no host {host}.")


class AggregateMetadataNotFound(NotFound):
    """The aggregate's metadata lacks this key."""

    def __init__(self, aggregate: int, key: str) -> None:
        super().__init__(f"Aggregate {aggregate} has no metadata with key {key}.")


class HostNotFound(NotFound):
    """No compute host has this name. near: similar names of hosts."""

    def __init__(self, host: str, near: Sequence[str] = ()) -> None:
        hint = f" There is {', '.join(near)}." if near else ""
        super().__init__(f"Compute host {host} could not be found.{hint}")


class CellNotFound(NotFound):
    """No cell has this name."""

    def __init__(self, cell: str) -> None:
        super().__init__(f"Cell {cell} could not be found.")


class JobNotFound(NotFound):
    """No job has this id."""

    def __init__(self, job: str) -> None:
        super().__init__(f"Job {job} could not be found.")


class RelayNotFound(NotFound):
    """The list has no site with this id."""

    def __init__(self, relay: str) -> None:
        super().__init__(f"Site {relay} is not in this list, or no longer: begin again with the first page.")


class TaskNotFound(NotFound):
    """The job has no task for this host and image."""

    def __init__(self, job: str, host: str, image: str) -> None:
        super().__init__(f"Job {job} has no task for image {image} on host {host}.")


class ImageNotCached(NotFound):
    """The host's cache does not hold the image."""

    def __init__(self, image: str, place: str) -> None:
        super().__init__(f"Image {image} is not in the image cache in {place}.")


class ImageHeldNowhere(NotFound):
    """No host has reported that it holds the image, or should hold it. is_id: whether the text could be its id."""

    def __init__(self, text: str, *, is_id: bool = True) -> None:
        if is_id:
            super().__init__(f"No host has reported that it holds image {text}, or should hold it.")
        else:
            super().__init__(f"{quoted(text)} is neither the id of an image nor the name of an entry, 40 hex digits.")


class ImageNotFound(NotFound):
    """The image service has no such image, or does not show it to the caller. reason: further details, if any."""

    def __init__(self, image: str, reason: str | None = None) -> None:
        super().__init__(f"Image {image} could not be found{f': {reason}' if reason else '.'}")
        self.image = image


class TokenNotFound(NotFound):
    """No token has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Token {name} could not be found", "'precache token list' shows all.")


class CertificateNotFound(NotFound):
    """The key manager has no certificate with this id."""

    def __init__(self, certificate: str) -> None:
        super().__init__(f"Certificate not found with ID: {certificate}")
