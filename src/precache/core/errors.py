"""Every error that crosses a layer, in one tree, cut by what the caller does next.

    PrecacheError
    |-- NotFound          name what is missing; do not retry
    |-- Conflict          the state of things forbids it; look again, then decide
    |-- Refused           the request or the image is not acceptable; do not retry
    |-- Unavailable       a part is away or slow; retry later
    |-- Corrupt           what arrived is not what was promised; discard and fetch again
    |-- Stopped           we were asked to stop; whatever was begun is undone
    `-- InvariantBroken   a bug of ours

Errors take typed fields and build their message themselves: what, which, and what to do now. A message
never holds a secret. Adapters translate foreign exceptions into these at their edge.
"""


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


# What was named does not exist.


class AggregateNotFound(NotFound):
    """No aggregate has this id or name."""

    def __init__(self, aggregate: int | str) -> None:
        super().__init__(f"Aggregate {aggregate} could not be found.")
        self.aggregate = aggregate


class AggregateHostNotFound(NotFound):
    """The aggregate does not hold this host."""

    def __init__(self, aggregate: int, host: str) -> None:
        super().__init__(f"Aggregate {aggregate} has no host {host}.")
        self.aggregate, self.host = aggregate, host


class AggregateMetadataNotFound(NotFound):
    """The aggregate's metadata lacks this key."""

    def __init__(self, aggregate: int, key: str) -> None:
        super().__init__(f"Aggregate {aggregate} has no metadata with key {key}.")
        self.aggregate, self.key = aggregate, key


class HostNotFound(NotFound):
    """No compute host has this name."""

    def __init__(self, host: str) -> None:
        super().__init__(f"Compute host {host} could not be found.")
        self.host = host


class JobNotFound(NotFound):
    """No job has this id."""

    def __init__(self, job: str) -> None:
        super().__init__(f"Job {job} could not be found.")
        self.job = job


class TaskNotFound(NotFound):
    """The job has no task for this host and image."""

    def __init__(self, job: str, host: str, image: str) -> None:
        super().__init__(f"Job {job} has no task for image {image} on host {host}.")
        self.job, self.host, self.image = job, host, image


class ImageNotCached(NotFound):
    """The host's cache does not hold the image."""

    def __init__(self, image: str, place: str) -> None:
        super().__init__(f"Image {image} is not in the image cache in {place}.")
        self.image, self.place = image, place


class ImageNotFound(NotFound):
    """The image service has no such image, or does not show it to the one who asks."""

    def __init__(self, image: str) -> None:
        super().__init__(f"Image {image} could not be found.")
        self.image = image


# The present state forbids it.


class AggregateNameTaken(Conflict):
    """Another aggregate has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Aggregate {name} already exists.")
        self.name = name


class AggregateHostTaken(Conflict):
    """The host is in the aggregate already."""

    def __init__(self, aggregate: int, host: str) -> None:
        super().__init__(f"Aggregate {aggregate} already has host {host}.")
        self.aggregate, self.host = aggregate, host


class AggregateHasHosts(Conflict):
    """An aggregate with hosts cannot be deleted."""

    def __init__(self, aggregate: int) -> None:
        super().__init__(f"Cannot remove aggregate {aggregate}: it still has hosts.")
        self.aggregate = aggregate


class JobExists(Conflict):
    """Another job has this id."""

    def __init__(self, job: str) -> None:
        super().__init__(f"Job {job} already exists.")
        self.job = job


class DiskExists(Conflict):
    """There is a file at the path where a disk was to be made."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} exists already and is left as it is; remove it or name another path")
        self.path = path


class LeaseLost(Conflict):
    """The job belongs to another conductor now; whatever we know of it is stale."""

    def __init__(self, job: str, owner: str) -> None:
        super().__init__(f"Conductor {owner} no longer holds job {job}; another has taken it over")
        self.job, self.owner = job, owner


# Not acceptable as it is.


class InvalidImageId(Refused):
    """The text is not the id of an image."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} is not an image id: give a UUID such as 70a599e0-31e7-49b7-b260-868f441e862b")


class InvalidDigest(Refused):
    """The text is not a digest that we can compute."""

    def __init__(self, algorithm: str, value: str) -> None:
        super().__init__(f"{algorithm}:{value} is not a digest that can be verified here")


class ImageNotAuthorized(Refused):
    """The image service denies the one who asks."""

    def __init__(self, image: str) -> None:
        super().__init__(f"Not authorized for image {image}.")
        self.image = image


class ImageNotActive(Refused):
    """The image has no data to give now."""

    def __init__(self, image: str, status: str) -> None:
        super().__init__(f"Image {image} is not active: its status is {status}.")
        self.image, self.status = image, status


class ImageFormatUnsupported(Refused):
    """No host can turn this disk format into a cache entry."""

    def __init__(self, image: str, disk_format: str | None) -> None:
        super().__init__(f"Image {image} has disk format {disk_format}, which cannot be cached.")
        self.image, self.disk_format = image, disk_format


class UnsafeImage(Refused):
    """The content breaks a rule that protects the host; it must never be opened by a tool."""

    def __init__(self, image: str, rule: str) -> None:
        super().__init__(f"Image {image}: {rule}")
        self.image, self.rule = image, rule


class NotEnoughSpace(Refused):
    """The disk of the cache cannot take the image."""

    def __init__(self, image: str, needed_bytes: int, free_bytes: int, place: str) -> None:
        super().__init__(
            f"Image {image}: {_size(needed_bytes)} needed, {_size(free_bytes)} free in {place}; "
            "free some space or move the cache to a larger disk"
        )
        self.image, self.needed_bytes, self.free_bytes = image, needed_bytes, free_bytes


class ConversionFailed(Refused):
    """qemu-img could not read or write the image; `reason` is its own last line."""

    def __init__(self, image: str, reason: str) -> None:
        super().__init__(f"Image {image} could not be converted: {reason}")
        self.image, self.reason = image, reason


class InvalidConfiguration(Refused):
    """A configuration that cannot be read or cannot be meant; `sentence` says which option and what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__(f"Invalid configuration: {sentence}")
        self.sentence = sentence


class CacheUnusable(Refused):
    """The cache directory, or its lock directory, cannot be used as it is."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"The image cache in {path} cannot be used: {reason}")
        self.path, self.reason = path, reason


class DiskUnreadable(Refused):
    """A disk image on the host cannot be understood."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"The disk {path} cannot be read: {reason}")
        self.path, self.reason = path, reason


class DiskRefused(Refused):
    """A disk cannot be made as it was asked for."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"The disk {path} was not created: {reason}")
        self.path, self.reason = path, reason


class DiskTooSmall(Refused):
    """The image does not fit into a disk of this size."""

    def __init__(self, image: str, asked_bytes: int, virtual_size_bytes: int) -> None:
        super().__init__(
            f"A disk of {asked_bytes / 2**30:.2f} GiB is too small for image {image}, whose virtual size is "
            f"{virtual_size_bytes / 2**30:.2f} GiB; ask for at least {-(-virtual_size_bytes // 2**30)} GiB"
        )
        self.image, self.asked_bytes, self.virtual_size_bytes = image, asked_bytes, virtual_size_bytes


class CachingUnsupported(Refused):
    """This host cannot, or need not, cache images; `reason` is the driver's."""

    def __init__(self, image: str, reason: str) -> None:
        super().__init__(f"Image {image} cannot be cached on this host: {reason}")
        self.image, self.reason = image, reason


class CacheFull(Refused):
    """The disk of the cache ran full while the image was coming in."""

    def __init__(self, image: str, place: str, free_bytes: int) -> None:
        super().__init__(
            f"Image {image}: the disk of {place} is full, {_size(free_bytes)} were left; "
            "free some space or move the cache to a larger disk"
        )
        self.image, self.place, self.free_bytes = image, place, free_bytes


class DatabaseUrlRefused(Refused):
    """The database URL cannot be used; `reason` never holds its password."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The database URL cannot be used: {reason}")


class SchemaOutdated(Refused):
    """The tables are older than this release, or not there at all."""

    def __init__(self, database: str, found: str | None, expected: str, command: str) -> None:
        state = "has no tables of ours" if found is None else f"has the schema {found}"
        super().__init__(f"Database {database} {state}, but this release needs {expected}: run `{command}`")
        self.found, self.expected = found, expected


class SchemaTooNew(Refused):
    """A newer release has changed the tables; this one must not touch them."""

    def __init__(self, database: str, found: str) -> None:
        super().__init__(
            f"Database {database} has the schema {found}, which this release does not know: "
            "start the newer release that made it, or restore the backup taken before that upgrade"
        )
        self.found = found


# A part is away or slow.


class ImageServiceUnavailable(Unavailable):
    """The image service did not answer, or answered with an error of its own."""

    def __init__(self, endpoint: str, reason: str) -> None:
        super().__init__(f"Connection to glance host {endpoint} failed: {reason}")
        self.endpoint, self.reason = endpoint, reason


class TransferInterrupted(Unavailable):
    """The data stopped before the end; the next attempt may resume at `received_bytes`."""

    def __init__(self, image: str, received_bytes: int, expected_bytes: int | None, reason: str) -> None:
        expected = "unknown" if expected_bytes is None else str(expected_bytes)
        super().__init__(f"Image {image}: transfer ended after {received_bytes} of {expected} bytes: {reason}")
        self.image, self.received_bytes, self.expected_bytes = image, received_bytes, expected_bytes
        self.reason = reason


class ComputeUnreachable(Unavailable):
    """The host's agent did not answer, or died while it worked."""

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(f"Compute host {host} did not answer: {reason}")
        self.host, self.reason = host, reason


class StoreUnavailable(Unavailable):
    """The database did not answer."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The database is not available: {reason}")


class DatabaseDamaged(StoreUnavailable):
    """The file of the database does not hold what a database holds; no retry helps before somebody acts."""

    def __init__(self, reason: str, database: str) -> None:
        super().__init__(f"{reason} ({database}); restore it from a backup, or move it away to begin with an empty one")


# Not what was promised.


class DigestMismatch(Corrupt):
    """The bytes do not have the digest that the image service gave for them."""

    def __init__(self, image: str, expected: str, actual: str) -> None:
        super().__init__(f"Image {image}: the data does not match its digest: expected {expected}, got {actual}")
        self.image, self.expected, self.actual = image, expected, actual


class NoImageData(Corrupt):
    """The image service has a record but no data."""

    def __init__(self, image: str) -> None:
        super().__init__(f"Image {image} has no associated data")
        self.image = image


class ImageTooLong(Corrupt):
    """More bytes arrived than the image service had announced."""

    def __init__(self, image: str, expected_bytes: int) -> None:
        super().__init__(f"Image {image}: more than the announced {expected_bytes} bytes arrived")
        self.image, self.expected_bytes = image, expected_bytes


# Bugs of ours.


class IllegalTransition(InvariantBroken):
    """The transition table does not allow this change of state."""

    def __init__(self, what: str, old: str, new: str) -> None:
        super().__init__(f"{what} cannot go from {old} to {new}")


# How messages write things.


def _size(size_bytes: int) -> str:
    """Write a size in the largest unit of which there is at least one; what is less than that, in MB."""
    for unit, unit_bytes in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9)):
        if size_bytes >= unit_bytes:
            return f"{size_bytes / unit_bytes:.1f} {unit}"
    return f"{size_bytes / 1e6:.1f} MB"
