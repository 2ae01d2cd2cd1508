"""The request, the image, or a part of this host is not acceptable as it is."""

from precache.core.errors.tree import Refused, message_and_advice
from precache.core.free_space import RESERVE_OPTION, FreeSpace
from precache.core.sizes import human_bytes
from precache.core.text import number_of, quoted


class InvalidOption(Refused):
    """An option of a request has an invalid value."""

    def __init__(self, option: str, value: object, expected: str) -> None:
        super().__init__(f"{option} must be {expected}, not {quoted(value)}")


class InvalidNotifyUrl(Refused):
    """The URL that shall be told of a job is no URL that could be called. reason: follows the word notify_url."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"notify_url {reason}", "give one such as https://hooks.example.org/precache")


class NotifyUrlRefused(Refused):
    """The URL that shall be told of a job is not allowed. place: the URL without its path; reason: follows it."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"notify_url: {place} {reason}", "ask an operator of this service to allow it there")


class WindowNeverOpens(Refused):
    """The window of a job does not open before its deadline. Both are times as text."""

    def __init__(self, *, deadline: str, opening: str) -> None:
        super().__init__(
            f"The window never opens before the deadline, {deadline}: its next opening is at {opening}",
            "choose a later deadline or another window",
        )


class InvalidImageId(Refused):
    """The text is not the id of an image."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{quoted(text)} is not an image id: give a UUID such as 70a599e0-31e7-49b7-b260-868f441e862b")


class InvalidDigest(Refused):
    """The text is not a digest, or its algorithm is not available."""

    def __init__(self, algorithm: str, value: str) -> None:
        super().__init__(f"{algorithm}:{value} is not a digest that can be verified here")


class ImageNotAuthorized(Refused):
    """The image service refuses the caller. reason: whose credentials are wrong, and what to do."""

    def __init__(self, image: str, reason: str | None = None) -> None:
        super().__init__(f"Not authorized for image {image}{f': {reason}' if reason else '.'}")


class ImageNotActive(Refused):
    """The image has no data at present."""

    def __init__(self, image: str, status: str) -> None:
        super().__init__(f"Image {image} is not active: its status is {status}.")


class ImageFormatUnsupported(Refused):
    """No host can turn this disk format into a cache entry."""

    def __init__(self, image: str, disk_format: str | None) -> None:
        super().__init__(f"Image {image} has disk format {disk_format}, which cannot be cached.")


class PrecachingOff(Refused):
    """The operator lets no image be cached before boots."""

    def __init__(self) -> None:
        super().__init__(
            "Images are not cached ahead of boots here ([image_cache] precache_images = none)",
            "ask an operator of this service to allow it",
        )


class ImageNotOptedIn(Refused):
    """The operator lets only images be cached that have a property for it."""

    def __init__(self, image: str) -> None:
        super().__init__(
            f"Image {image} may not be cached: it has neither the property cache_in_nova=true nor precache=true",
            f"set one of them: openstack image set --property precache=true {image}",
        )


class ImageOwnerNotListed(Refused):
    """The operator lets only images of some projects be cached. owner: id of a project; None if there is none."""

    def __init__(self, image: str, owner: str | None) -> None:
        has = "has no owner" if owner is None else f"belongs to project {owner}"
        super().__init__(
            f"Image {image} may not be cached: it {has}, and [image_cache] precache_projects lists other projects",
            "use an image of a listed project, or ask an operator of this service to list this one",
        )


class SignatureRefused(Refused):
    """The image has no valid signature of a trusted certificate. The reasons have Nova's wording."""

    def __init__(self, image: str, reason: str) -> None:
        super().__init__(f"Image signature verification failed for image {image}: {reason}")


class ImageCompressed(Refused):
    """The data is a compressed file, which hosts do not unpack."""

    def __init__(self, image: str) -> None:
        super().__init__(
            f"Image {image} has container format compressed, which cannot be cached: compute hosts take the data "
            "as they are. Upload the image uncompressed, or import it through Glance's plugin image_decompression"
        )


class UnsafeImage(Refused):
    """The content breaks a rule that protects the host; no tool may open it."""

    def __init__(self, image: str, rule: str) -> None:
        super().__init__(f"Image {image}: {rule}")


class UnusableImage(Refused):
    """The content alone is not a complete disk; `reason` says what is missing, and what to do."""

    def __init__(self, image: str, reason: str) -> None:
        super().__init__(f"Image {image}: {reason}")


class NotEnoughSpace(Refused):
    """The disk of the cache has too little space for the image, or became full while the image was written.

    needed_bytes: the required free space; None if the space seemed sufficient at the start. written_bytes, why: how
    much had been written, and why the space was not sufficient.
    """

    may_pass = True  # guests and other fetches end, and the cleaner removes entries: the space may be free soon

    def __init__(
        self,
        image: str,
        space: FreeSpace,
        place: str,
        *,
        needed_bytes: int | None = None,
        written_bytes: int = 0,
        why: str | None = None,
    ) -> None:
        """space: of the disk, without the image."""
        free = human_bytes(space.free_bytes)
        if needed_bytes is not None:
            found = f"needs {human_bytes(needed_bytes)}, {free} free{_not_for_it(space, needed_bytes)}"
            advice = f"free some space in {place} or move the cache to a larger disk"
        else:
            after = f" after {human_bytes(written_bytes)} of it had been written" if written_bytes else ""
            reason = f" ({why})" if why else ""
            found = f"the disk of {place} became full{after}{reason}; {free} are free without the image"
            advice = "free some space or move the cache to a larger disk"
        super().__init__(f"Image {image}: {found}; {advice}")
        self.space, self.free_bytes = space, space.free_bytes
        self.needed_bytes, self.written_bytes = needed_bytes, written_bytes


def _not_for_it(space: FreeSpace, needed_bytes: int) -> str:
    """Return what of the free space is promised to others, and what is reserved if the image would fit without that."""
    text = ""
    if space.promised_bytes:
        of_it = " of it" if space.promised_bytes <= space.free_bytes else ""
        others = number_of(space.promised_images, "other image")
        text += f", {human_bytes(space.promised_bytes)}{of_it} promised to {others}"
    if needed_bytes + space.promised_bytes <= space.free_bytes:
        whom = " for guests" if space.reserve_option == RESERVE_OPTION else ""
        text += f", {human_bytes(space.reserve_bytes)} of it reserved{whom} ([image_cache] {space.reserve_option})"
    return text


class EntryCorrupt(Refused):
    """The image is in the host's cache, but corrupt, and cannot be replaced; `reason` says both."""

    def __init__(self, image: str, place: str, reason: str) -> None:
        super().__init__(
            f"Image {image} is in the cache, but its entry {place} is corrupt: {reason}. Rebuild the instances that "
            "use it, then verify the image"
        )
        self.reason = reason


class ConversionFailed(Refused):
    """qemu-img could not read or write the image; `reason` is the first line of its output that says why."""

    def __init__(self, image: str, reason: str) -> None:
        super().__init__(f"Image {image} could not be converted: {reason}")


class InvalidConfiguration(Refused):
    """The configuration cannot be read or is contradictory; `sentence` names the option and what to do."""

    usual_advice = "correct that option in the configuration file"

    def __init__(self, sentence: str) -> None:
        super().__init__(*message_and_advice(f"Invalid configuration: {sentence}"))


class CacheUnusable(Refused):
    """The cache directory or its lock directory cannot be used."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"The image cache in {path} cannot be used: {reason}")


class DiskUnreadable(Refused):
    """A disk image on the host cannot be read."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"The disk {path} cannot be read: {reason}")


class DiskRefused(Refused):
    """A disk cannot be created as requested."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"The disk {path} was not created: {reason}")


class DiskTooSmall(Refused):
    """The image does not fit into a disk of this size."""

    def __init__(self, image: str, asked_bytes: int, virtual_size_bytes: int) -> None:
        super().__init__(
            f"A disk of {asked_bytes / 2**30:.2f} GiB is too small for image {image}, whose virtual size is "
            f"{virtual_size_bytes / 2**30:.2f} GiB",
            f"ask for at least {-(-virtual_size_bytes // 2**30)} GiB",
        )
        self.asked_bytes, self.virtual_size_bytes = asked_bytes, virtual_size_bytes


class CachingUnsupported(Refused):
    """This host cannot cache images or does not need to; `reason` comes from the driver."""

    def __init__(self, image: str, reason: str) -> None:
        super().__init__(f"Image {image} cannot be cached on this host: {reason}")


class CacheNotDescribed(Refused):
    """The virt driver of this host cannot tell what its cache holds."""

    usual_advice = "use a release of the driver that has the method describe_cache"

    def __init__(self, driver: str = "") -> None:
        super().__init__(f"The virt driver {driver} cannot describe its cache".replace("  ", " "))


class DatabaseUrlRefused(Refused):
    """The database URL cannot be used; `reason` never contains its password."""

    usual_advice = "correct [database] connection"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The database URL cannot be used: {reason}")


class SchemaOutdated(Refused):
    """The tables are older than this release, or do not exist."""

    def __init__(self, database: str, found: str | None, expected: str, command: str) -> None:
        state = "has no tables of Precache" if found is None else f"has the schema {found}"
        super().__init__(f"Database {database} {state}, but this release needs {expected}: run `{command}`")
        self.advice = f"run `{command}`"


class SchemaTooNew(Refused):
    """A newer release has changed the tables; this one must not touch them."""

    usual_advice = "run the release that made it here, too, or restore the backup taken before that upgrade"

    def __init__(self, database: str, found: str) -> None:
        super().__init__(
            f"Database {database} has the schema {found}, which this release does not know: "
            "start the newer release that made it, or restore the backup taken before that upgrade "
            "(or name another database, if this one belongs to another program)"
        )


class SchemaHalfDone(Refused):
    """The tables match neither the old nor the new schema; `reason` says which table or column already exists."""

    usual_advice = "restore the backup taken before the upgrade, and upgrade again"

    def __init__(self, database: str, found: str | None, reason: str) -> None:
        state = "no schema of Precache" if found is None else f"the schema {found}"
        super().__init__(
            f"Database {database} has {state}, but cannot be upgraded: {reason}. An earlier upgrade was interrupted, "
            "another program keeps its tables there, or the row in alembic_version was lost: restore the backup taken "
            "before the upgrade, or name an empty database, and upgrade again. With a backup at hand, the row can also "
            "be written: it holds the number of the schema that the tables have"
        )


class ImageNotPinned(Refused):
    """The image is in the cache, but it cannot be pinned there."""

    may_pass = True  # the disk may have space soon

    def __init__(self, image: str, directory: str, reason: str) -> None:
        """reason: with what to do."""
        super().__init__(f"Image {image} is in the cache {directory}, but cannot be pinned: {reason}")


class KeepingUnsupported(Refused):
    """The host's virt driver cannot pin images."""

    def __init__(self, image: str, driver: str) -> None:
        super().__init__(
            f"Image {image} was not cached: virt driver {driver} of this host cannot pin images; install a "
            "newer version of it, or request the image without keep_for_s and keep_until"
        )


class ComputeOutdated(Refused):
    """The host's compute is too old for the message, or a pin forbids it."""

    def __init__(self, host: str, needed: str, spoken: str = "", pinned: bool = False) -> None:
        """spoken: the version of the compute, or of the pin; empty if the compute only refused the message."""
        own = f"its compute speaks version {spoken}" if spoken else "its compute does not speak it"
        why = (
            f"messages to computes are pinned to version {spoken} ([upgrade_levels] compute); lift the pin"
            if pinned
            else f"{own}; update Precache on the host"
        )
        super().__init__(f"Compute host {host} was not asked: version {needed} of the messages is needed, but {why}")


class SecretUnreadable(Refused):
    """A stored secret cannot be decrypted with any configured key. store_again: how it is replaced, in words."""

    def __init__(self, what: str, store_again: str = "") -> None:
        super().__init__(
            f"{what} cannot be decrypted: the key that it was stored with is missing from [database] encryption_keys "
            "of this process; put it there and start it again, or store the secret again"
        )
        again = store_again or "store the secret again: precache cell set NAME --transport-url -"
        self.advice = f"put that key back, behind the newer one, or {again}"
