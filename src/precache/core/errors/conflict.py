"""The present state forbids it."""

from precache.core.errors.tree import Conflict


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


class CellNameTaken(Conflict):
    """Another cell has this name."""

    def __init__(self, cell: str) -> None:
        super().__init__(f"Cell {cell} already exists; change its transport URL with: precache cell set {cell}")
        self.cell = cell


class CellHasHosts(Conflict):
    """A cell with hosts cannot be deleted."""

    def __init__(self, cell: str) -> None:
        super().__init__(f"Cell {cell} still has hosts; stop their computes, or move them to another cell, first")
        self.cell = cell


class InventoryForeign(Conflict):
    """Hosts and aggregates belong to another service, where the change is to be made."""

    def __init__(self, owner: str) -> None:
        super().__init__(f"Hosts and aggregates are kept by {owner} ([inventory] source); make the change there.")
        self.owner = owner


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
