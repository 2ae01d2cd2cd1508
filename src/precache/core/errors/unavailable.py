"""A part is down or slow."""

from precache.core.errors.tree import Unavailable, message_and_advice


class ImageServiceUnavailable(Unavailable):
    """The image service did not answer, or answered with an error."""

    usual_advice = "check that Glance runs, and that the catalogue or [glance] endpoint_override has its URL"

    def __init__(self, endpoint: str, reason: str) -> None:
        super().__init__(f"Connection to glance host {endpoint} failed: {reason}")
        self.endpoint, self.reason = endpoint, reason


class ServiceTokenUnavailable(ImageServiceUnavailable):
    """Keystone issues no token for the image service at present, for any of its endpoints."""


class TransferInterrupted(Unavailable):
    """The data stopped before the end; the next attempt may resume at `received_bytes`."""

    def __init__(self, image: str, received_bytes: int, expected_bytes: int | None, reason: str) -> None:
        expected = "unknown" if expected_bytes is None else str(expected_bytes)
        super().__init__(f"Image {image}: transfer ended after {received_bytes} of {expected} bytes: {reason}")
        self.received_bytes, self.expected_bytes = received_bytes, expected_bytes
        self.reason = reason


class TransferTooSlow(TransferInterrupted):
    """The data arrived too slowly; another server or a later attempt may be faster."""

    def __init__(
        self,
        image: str,
        received_bytes: int,
        expected_bytes: int | None,
        *,
        came_bytes: int,
        window_s: float,
        least: int,
    ) -> None:
        super().__init__(
            image,
            received_bytes,
            expected_bytes,
            f"only {came_bytes} bytes arrived in {window_s:.0f} s, but [glance] min_throughput is {least // 1024} "
            "KiB/s; let fewer hosts download at once ([image_cache] precache_concurrency), or "
            "lower min_throughput",
        )


class DeadlinePassed(Unavailable):
    """The host did not finish within the time that the request allows."""

    def __init__(self, image: str, received_bytes: int) -> None:
        super().__init__(
            f"Image {image} was stopped after {received_bytes} bytes: the time that the conductor allows a host for "
            "all images of a job ([DEFAULT] long_rpc_timeout) is over; raise it, or ask again for fewer images at once"
        )


class KeyManagerUnavailable(Unavailable):
    """The key manager did not answer whether it has the certificate."""

    def __init__(self, certificate: str, reason: str) -> None:
        super().__init__(f"Unable to retrieve certificate with ID: {certificate}: {reason}")


class ComputeUnreachable(Unavailable):
    """The host's compute did not answer, or ended during the work."""

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(f"Compute host {host} did not answer: {reason}")
        self.reason = reason


class ConductorUnavailable(Unavailable):
    """No conductor answers the API."""

    usual_advice = "check that `precache serve conductor` runs, and that its [DEFAULT] transport_url is that of the API"

    def __init__(self, reason: str) -> None:
        super().__init__(f"No conductor can ask the hosts: {reason}")


class HostNotReached(Unavailable):
    """An operator's request to clean the cache could not be sent to the host, or it gave no answer."""

    def __init__(self, host: str, reason: str, *, was_asked: bool = False) -> None:
        if was_asked:
            found = f"Host {host} was asked to clean its cache, and did not answer: {reason}"
            super().__init__(found, f"what it removes is in its log, and in `precache host show {host}`")
        else:
            super().__init__(f"Host {host} was not asked to clean its cache: {reason}")
        self.host, self.reason, self.was_asked = host, reason, was_asked


class TooManyCleanings(Unavailable):
    """The API waits for as many hosts that clean their caches as it can at once."""

    def __init__(self, most: int) -> None:
        super().__init__(f"The API already waits for {most} hosts that clean their caches; ask again in half a minute")


class TooManyPlans(Unavailable):
    """The API makes as many plans as it can at once."""

    def __init__(self, most: int) -> None:
        super().__init__(f"The API already makes {most} plans and asks many hosts for them; ask again in half a minute")


class BusUnavailable(Unavailable):
    """The message bus of a cell did not accept a message. `place` contains no user and no password."""

    usual_advice = "check that the broker runs, and that the transport URL is right"

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(*message_and_advice(f"The message bus {place} is not available: {reason}"))
        self.reason = reason


class IdentityServiceUnavailable(Unavailable):
    """The caller could not be identified."""

    usual_advice = "check that Keystone runs, and that auth_url is right"

    def __init__(self) -> None:
        super().__init__(
            "The identity service cannot check the token at present: Keystone, or the database of tokens, does not "
            "answer; try again later."
        )


class InventoryUnavailable(Unavailable):
    """The service that owns hosts and aggregates did not answer, or answered with an error."""

    usual_advice = (
        "check that Nova runs, that the catalogue or [nova] endpoint_override has its URL, and that [service_user] "
        "may read it"
    )

    def __init__(self, endpoint: str, reason: str) -> None:
        super().__init__(*message_and_advice(f"The compute API {endpoint} did not give hosts and aggregates: {reason}"))


class StoreUnavailable(Unavailable):
    """The database did not answer. advice: what to do, if that is known. The reason may be a library's text."""

    usual_advice = "start the database, or correct [database] connection: host, user, password, name"

    def __init__(self, reason: str, advice: str = "") -> None:
        super().__init__(f"The database is not available: {reason}", advice)


class ChangeUncertain(StoreUnavailable):
    """The connection broke while the database confirmed a change: it may have been made, or not."""

    def __init__(self, database: str) -> None:
        super().__init__(
            f"the connection to {database} broke while a change was being confirmed",
            "look whether it was made before you ask for it again",
        )


class DatabaseDamaged(StoreUnavailable):
    """The file of the database is damaged; a retry helps only after an operator has replaced it."""

    may_pass = False

    def __init__(self, reason: str, database: str) -> None:
        super().__init__(f"{reason} ({database})", "restore it from a backup, or rename it to begin with an empty one")


class DomainsUnknown(Unavailable):
    """The hypervisor of this host does not report the disks of its guests. advice: what an operator can do."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(f"The disks of this host's guests are not known: {reason}", advice)
        self.reason = reason


class SharersUnknown(Unavailable):
    """It is not known what other hosts use in a cache that they share with this one. place: the cache, or a file."""

    def __init__(self, place: str, reason: str, advice: str = "") -> None:
        super().__init__(f"What other hosts use in {place} is not known: {reason}", advice)
        self.place, self.reason = place, reason


class WebhookFailed(Unavailable):
    """A receiver of notices did not accept one. place: its URL without the path.

    has_answered: whether it gave an answer, so that it may accept other notices.
    """

    def __init__(self, place: str, reason: str, *, has_answered: bool = False) -> None:
        super().__init__(f"The webhook at {place} failed: {reason}")
        self.place, self.reason, self.has_answered = place, reason, has_answered
