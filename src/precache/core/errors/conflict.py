"""The present state forbids it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from precache.core.errors.tree import Conflict
from precache.core.text import first_names


class AggregateNameTaken(Conflict):
    """Another aggregate has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Aggregate {name} already exists.")


class AggregateHostTaken(Conflict):
    """The host is in the aggregate already."""

    def __init__(self, aggregate: int, host: str) -> None:
        super().__init__(f"Aggregate {aggregate} already has host {host}.")


class AggregateHasHosts(Conflict):
    """An aggregate with hosts cannot be deleted."""

    def __init__(self, aggregate: int) -> None:
        super().__init__(f"Cannot remove aggregate {aggregate}: it still has hosts.")


class CellNameTaken(Conflict):
    """Another cell has this name."""

    def __init__(self, cell: str) -> None:
        super().__init__(f"Cell {cell} already exists", f"change its transport URL with: precache cell set {cell}")


class CleanRefused(Conflict):
    """The host does not clean its cache now; `reason` says why, and what to do."""

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(f"Host {host} does not clean its cache: {reason}")
        self.host, self.reason = host, reason


class HostStillAlive(Conflict):
    """A host whose compute is alive cannot be deleted: its next heartbeat would register it again."""

    def __init__(self, host: str, last_seen: datetime) -> None:
        heard = last_seen.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        super().__init__(
            f"Compute host {host} is alive: its last heartbeat was at {heard}",
            "stop its compute first, and delete the host once it has been silent for [DEFAULT] service_down_time.",
        )


class SharerStillThere(Conflict):
    """A host that was in a shared cache lately still counts there: its guests may stand on entries."""

    def __init__(self, host: str, place: str, silent_for: timedelta) -> None:
        super().__init__(
            f"Host {host} was in {place} {round(silent_for.total_seconds())} seconds ago, so its guests may use it",
            "stop its compute, and try again half an hour later; or, if you know that it has no guests, with --force.",
        )


class HostInAggregates(Conflict):
    """A host in aggregates cannot be deleted."""

    def __init__(self, host: str, aggregates: Sequence[str]) -> None:
        super().__init__(
            f"Compute host {host} is in {_counted('aggregate', aggregates)}",
            "remove it there first, with: precache aggregate remove host",
        )
        self.aggregates = tuple(aggregates)


class CellHasHosts(Conflict):
    """A cell cannot be deleted while computes of it are alive."""

    def __init__(self, cell: str, hosts: Sequence[str]) -> None:
        super().__init__(
            f"Cell {cell} has hosts that are alive: {first_names(hosts)}",
            "stop their computes, or move them to another cell, and delete the cell once it has been silent for "
            "[DEFAULT] service_down_time",
        )
        self.hosts = tuple(hosts)


class CellHostsInAggregates(Conflict):
    """A cell cannot be deleted while hosts of it are in aggregates."""

    def __init__(self, cell: str, hosts: Sequence[str], aggregates: Sequence[str]) -> None:
        super().__init__(
            f"Cell {cell} has hosts in {_counted('aggregate', aggregates)}: {first_names(hosts)}",
            "remove them there first, with: precache aggregate remove host",
        )
        self.hosts, self.aggregates = tuple(hosts), tuple(aggregates)


class InventoryForeign(Conflict):
    """Hosts and aggregates belong to another service, where the change must be made."""

    def __init__(self, owner: str) -> None:
        super().__init__(f"Hosts and aggregates are kept by {owner} ([inventory] source)", "make the change there.")


class JobExists(Conflict):
    """Another job has this id."""

    def __init__(self, job: str) -> None:
        super().__init__(f"Job {job} already exists.")


class IdempotencyKeyReused(Conflict):
    """The caller used the same idempotency key for another request."""

    def __init__(self, job: str) -> None:
        super().__init__(
            f"The Idempotency-Key belongs to job {job}, whose request had another body",
            "use a new key for a new request",
        )
        self.job = job


class JobEnded(Conflict):
    """A job that has ended can only be retried. action: what was requested, such as `pause`."""

    def __init__(self, job: str, state: str, action: str = "cancel") -> None:
        super().__init__(f"Job {job} has ended as {state}: nothing of it is left to {action}.")


class JobNotEnded(Conflict):
    """A job that has not ended cannot be retried."""

    def __init__(self, job: str, state: str) -> None:
        super().__init__(f"Job {job} is {state}; it can be retried when it has ended.")


class JobIsCancelled(Conflict):
    """The job ends as soon as its hosts have stopped. action: what was requested, such as `pause`."""

    def __init__(self, job: str, action: str) -> None:
        super().__init__(f"Job {job} is being cancelled; it is too late to {action} it.")


class NothingToRetry(Conflict):
    """All images are in the caches of all hosts."""

    def __init__(self, job: str) -> None:
        super().__init__(f"Job {job} has no task to retry: all of them were successful.")


class DiskExists(Conflict):
    """A disk cannot be created, because the path exists."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} exists already and is left as it is", "remove it or name another path")


class TokenNameTaken(Conflict):
    """Another token has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Token {name} already exists", f"choose another name, or revoke it first: precache token revoke {name}"
        )


class LeaseLost(Conflict):
    """The job belongs to another conductor now, so this one's knowledge of it is stale."""

    def __init__(self, job: str, owner: str) -> None:
        super().__init__(f"Conductor {owner} no longer holds job {job}; it was claimed again or released")


class AddressUnavailable(Conflict):
    """The address to listen on is not available."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(
            f"cannot listen on {address}: {reason}", "stop what uses it, or choose another address with --listen"
        )


class StateDirUnusable(Conflict):
    """The state directory of the embedded service cannot be used."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"the state directory {path} cannot be used: {reason}")


def _counted(what: str, names: Sequence[str]) -> str:
    return f"{what if len(names) == 1 else f'{what}s'} {first_names(names)}"
